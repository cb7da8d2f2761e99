/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels in GPU memory over the stand-in driver: who reads what and how, what is announced when,
 * what comes back when, and the bad days.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#include "cuda/device.h"

#define SIZE ((size_t)64 * 48)

/* ---- the stand-in ---- */

static void *standin_function(const char *name)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    void *function = library ? dlsym(library, name) : NULL;

    if (library)
        dlclose(library);
    return function;
}

static void *standin(const char *name)
{
    void *function = standin_function(name);

    if (!function)
        SKIP("this is for the stand-in driver");
    return function;
}

static void delay_streams(unsigned microseconds)
{
    void (*delay)(unsigned) = (void (*)(unsigned))standin_function("standin_delay");

    if (delay)
        delay(microseconds);
}

static void fail_call(const char *call, unsigned nth, int result)
{
    void (*fail)(const char *, unsigned, int) =
        (void (*)(const char *, unsigned, int))standin("standin_fail");

    fail(call, nth, result);
}

static unsigned calls(const char *call)
{
    unsigned (*count)(const char *) = (unsigned (*)(const char *))standin("standin_calls");

    return count(call);
}

/* What there is in the driver; a real one does not tell, and has nothing. */
static unsigned objects(void)
{
    unsigned (*count)(void) = (unsigned (*)(void))standin_function("standin_objects");

    return count ? count() : 0;
}

static void need_two_gpus(void)
{
    setenv("STANDIN_DEVICES", "2", 1);
    if (cuframes_gpu_count() < 2)
        SKIP("this is for two GPUs");
}

/* ---- a program that uses CUDA ---- */

static const struct cf_driver *driver(void)
{
    const struct cf_driver *loaded;

    CHECK_OK(cf_driver_load(&loaded));
    return loaded;
}

#define CHECK_CU(call) CHECK_EQ(call, CF_CU_SUCCESS)

static cf_CUcontext enter_primary(int device)
{
    cf_CUcontext context;

    CHECK_CU(driver()->cuDevicePrimaryCtxRetain(&context, device));
    CHECK_CU(driver()->cuCtxPushCurrent_v2(context));
    return context;
}

static void leave_primary(int device)
{
    cf_CUcontext context;

    CHECK_CU(driver()->cuCtxPopCurrent_v2(&context));
    CHECK_CU(driver()->cuDevicePrimaryCtxRelease_v2(device));
}

static cf_CUstream make_stream(void)
{
    cf_CUstream stream;

    CHECK_CU(driver()->cuStreamCreate(&stream, CF_CU_STREAM_NON_BLOCKING));
    return stream;
}

/* Keeps a stream of the current context busy for about so long: with slow operations of the stand-in,
 * or with large copies on a real GPU. */
#define LARGE ((size_t)4 << 30)

static cf_CUdeviceptr ballast;

static void slow_down(cf_CUstream stream, unsigned milliseconds)
{
    static const uint8_t byte;
    const bool real = !standin_function("standin_delay");

    if (!ballast)
        CHECK_CU(driver()->cuMemAlloc_v2(&ballast, real ? 2 * LARGE : 1));
    delay_streams(10000);
    for (unsigned i = 0; i * (real ? 2 : 10) < milliseconds; i++)
        CHECK_CU(real ? driver()->cuMemcpyDtoDAsync_v2(ballast + LARGE, ballast, LARGE, stream)
                      : driver()->cuMemcpyHtoDAsync_v2(ballast, &byte, 1, stream));
}

static void full_speed(void)
{
    delay_streams(0);
    if (ballast)
        CHECK_CU(driver()->cuMemFree_v2(ballast));
    ballast = 0;
}

static cuframes_publisher_config_t gpu_config(void)
{
    cuframes_publisher_config_t config = small_config("cam");

    config.memory = CUFRAMES_MEMORY_CUDA;
    return config;
}

static cuframes_publisher_t *make_gpu_publisher(void)
{
    cuframes_publisher_config_t config = gpu_config();

    return make_publisher(&config);
}

/* Fills a slot in the order of the stream and publishes it behind that work; gives its number. The
 * upload goes by the driver's own call: it does not wait. */
static uint64_t publish_on(cuframes_publisher_t *publisher, cf_CUstream stream, int64_t stamp)
{
    static uint8_t patterns[64][SIZE];
    uint8_t *pattern = patterns[stamp % 64];
    const cuframes_frame_meta_t meta = {.pts_ns = stamp};
    cuframes_buffer_t *buffer;
    uint64_t seq;

    fill_pattern(pattern, SIZE, stamp);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_CU(driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)cuframes_buffer_data(buffer),
                                            pattern, SIZE, stream));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, stream, &meta, &seq));
    cuframes_buffer_unref(buffer);
    return seq;
}

static uint64_t publish_stamp(cuframes_publisher_t *publisher, int64_t stamp)
{
    const cuframes_frame_meta_t meta = {.pts_ns = stamp};
    uint8_t pattern[SIZE];
    cuframes_buffer_t *buffer;
    uint64_t seq;

    fill_pattern(pattern, SIZE, stamp);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_OK(cuframes_buffer_write(buffer, 0, pattern, SIZE, NULL));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, &seq));
    cuframes_buffer_unref(buffer);
    return seq;
}

/* The frame's bytes, as the GPU sees them. */
static void check_frame(const cuframes_frame_t *frame)
{
    uint8_t bytes[SIZE];

    if (cuframes_frame_memory(frame) == CUFRAMES_MEMORY_CUDA) {
        enter_primary(0);
        CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
            bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), SIZE, NULL));
        CHECK_CU(driver()->cuStreamSynchronize(NULL));
        leave_primary(0);
    } else {
        memcpy(bytes, cuframes_frame_data(frame), SIZE);
    }
    CHECK(pattern_fits(bytes, SIZE, cuframes_frame_pts_ns(frame)));
}

static cuframes_frame_t *take(cuframes_subscriber_t *reader)
{
    cuframes_frame_t *frame = NULL;

    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
    check_frame(frame);
    return frame;
}

static cuframes_subscriber_t *make_gpu_reader(int mode)
{
    cuframes_subscriber_config_t config = reader_config("cam", mode);

    return make_subscriber(&config);
}

static void refuse_reader(const cuframes_subscriber_config_t *config, int error, const char *words)
{
    cuframes_subscriber_t *reader;

    CHECK_ERR_SAYS(cuframes_subscriber_create(config, &reader), error, words);
}

/* ---- who reads what ---- */

TEST(a_gpu_reads_a_gpu_channel_in_place, .threads = true)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_channel_info_t info;
    cuframes_gpu_info_t gpu;
    cuframes_frame_t *frame;

    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_IN_PLACE);
    CHECK_OK(cuframes_gpu_info(0, &gpu));
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_CUDA);
    CHECK_MEM_EQ(info.gpu_uuid, gpu.uuid, sizeof(gpu.uuid));
    for (int64_t i = 0; i < 10; i++) {
        CHECK_EQ(publish_stamp(publisher, i), i);
        frame = take(reader);
        CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
        CHECK_EQ(cuframes_frame_seq(frame), i);
        cuframes_frame_release(frame);
    }
    CHECK_EQ(subscriber_stats(reader).staged, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(automatic_memory_is_the_gpus)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_channel_info_t info;

    config.memory = CUFRAMES_MEMORY_AUTO;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_CUDA);
    CHECK_EQ(info.notes, 0U);
    CHECK(cuframes_publisher_cuda_context(publisher));
    cuframes_publisher_destroy(publisher);
}

TEST(a_gpu_that_cannot_share_is_left_aside_aloud)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_channel_info_t info;

    setenv("STANDIN_VMM", "0", 1);
    driver();
    standin("standin_delay");
    config.memory = CUFRAMES_MEMORY_AUTO;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_HOST);
    CHECK_EQ(info.notes, CUFRAMES_CHANNEL_GPU_UNUSED);
    cuframes_publisher_destroy(publisher);
    config.memory = CUFRAMES_MEMORY_CUDA;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_CUDA,
                   "virtual memory management");
}

TEST(the_cpu_reads_a_gpu_channel_by_copies_that_it_asked_for)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *held[2];
    cuframes_subscriber_t *reader;
    cuframes_subscriber_info_t seen;

    config.memory = CUFRAMES_MEMORY_HOST;
    config.max_holds = 2;
    refuse_reader(&config, CUFRAMES_ERR_FORMAT, "CUFRAMES_SUBSCRIBER_STAGED");
    config.flags = CUFRAMES_SUBSCRIBER_STAGED;
    reader = make_subscriber(&config);
    for (int64_t i = 0; i < 6; i += 2) {
        for (int64_t j = 0; j < 2; j++) {
            publish_stamp(publisher, i + j);
            held[j] = take(reader);
            CHECK_EQ(cuframes_frame_memory(held[j]), CUFRAMES_MEMORY_HOST);
        }
        check_frame(held[0]);
        CHECK_OK(cuframes_frame_release(held[0]));
        CHECK_OK(cuframes_frame_release_stream(held[1], NULL));
    }
    CHECK_EQ(subscriber_stats(reader).staged, 6U);
    CHECK_EQ(subscriber_stats(reader).access, CUFRAMES_ACCESS_STAGED);
    WAIT_FOR(cuframes_publisher_subscribers(publisher, &seen, 1) == 1 &&
                 seen.access == CUFRAMES_ACCESS_STAGED,
             2000);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(a_gpu_reads_a_host_channel_in_place)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    config.memory = CUFRAMES_MEMORY_CUDA;
    reader = make_subscriber(&config);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_REGISTERED);
    publish_many(publisher, 0, 3);
    for (int i = 0; i < 3; i++) {
        frame = take(reader);
        CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
        CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(another_gpu_reads_in_place_over_peer_access)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    need_two_gpus();
    config.cuda_device = 1;
    publisher = make_publisher(&config);
    reader = make_subscriber(&reading);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_PEER);
    publish_stamp(publisher, 5);
    cuframes_frame_release(take(reader));
    cuframes_subscriber_destroy(reader);
    reading.cuda_device = CUFRAMES_GPU_OF_FRAMES;
    reader = make_subscriber(&reading);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_IN_PLACE);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(another_gpu_without_access_is_refused_or_given_copies)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    setenv("STANDIN_PEERS", "0", 1);
    need_two_gpus();
    standin("standin_delay");
    config.cuda_device = 1;
    publisher = make_publisher(&config);
    refuse_reader(&reading, CUFRAMES_ERR_CUDA, "no access to its memory");
    CHECK_STR_HAS(cuframes_last_error(), "CUFRAMES_SUBSCRIBER_STAGED");
    reading.flags = CUFRAMES_SUBSCRIBER_STAGED;
    reader = make_subscriber(&reading);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_STAGED);
    for (int64_t i = 0; i < 5; i++) {
        publish_stamp(publisher, i);
        frame = take(reader);
        CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
        CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(the_library_leaves_the_callers_context_alone)
{
    cf_CUcontext current = NULL;
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    need_two_gpus();
    enter_primary(1);
    publisher = make_gpu_publisher();
    reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    publish_stamp(publisher, 1);
    CHECK_OK(cuframes_frame_release_stream(take(reader), NULL));
    CHECK_CU(driver()->cuCtxGetCurrent(&current));
    CHECK(current && current != cuframes_publisher_cuda_context(publisher));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    leave_primary(1);
    CHECK_CU(driver()->cuCtxGetCurrent(&current));
    CHECK(!current);
}

TEST(the_current_context_is_used_when_that_is_asked_for)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cf_CUcontext context;

    need_two_gpus();
    config.flags = CUFRAMES_PUBLISHER_CURRENT_CONTEXT;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_INVALID_ARG,
                   "this thread has none");
    context = enter_primary(1);
    publisher = make_publisher(&config);
    CHECK(cuframes_publisher_cuda_context(publisher) == context);
    cuframes_publisher_destroy(publisher);
    leave_primary(1);
}

/* ---- when ---- */

TEST(frames_are_announced_when_their_stream_is_done, .threads = true)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cf_CUstream slow, fast;

    enter_primary(0);
    slow = make_stream();
    fast = make_stream();
    slow_down(slow, 100);
    CHECK_EQ(publish_on(publisher, slow, 1), 0U);
    /* Done long before the other, and announced after it. */
    CHECK_EQ(publish_on(publisher, fast, 2), 1U);
    CHECK_EQ(publisher_stats(publisher).pending, 2U);
    CHECK_CU(driver()->cuStreamSynchronize(fast));
    EXPECT_NOTHING(reader);
    for (int64_t i = 1; i <= 2; i++) {
        cuframes_frame_t *frame = take(reader);

        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        cuframes_frame_release(frame);
    }
    WAIT_FOR(publisher_stats(publisher).pending == 0, 2000);
    full_speed();
    CHECK_CU(driver()->cuStreamDestroy_v2(slow));
    CHECK_CU(driver()->cuStreamDestroy_v2(fast));
    leave_primary(0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(frames_that_wait_for_streams_use_up_the_slots)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_buffer_t *buffer;
    cf_CUstream stream;

    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 100);
    for (int64_t i = 0; i < 4; i++)
        publish_on(publisher, stream, i);
    CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &buffer), CUFRAMES_ERR_WOULD_BLOCK,
                   "GPU work");
    full_speed();
    CHECK_EQ(publisher_stats(publisher).dropped, 1U);
    WAIT_FOR(publisher_stats(publisher).pending == 0, 10000);
    publish_on(publisher, stream, 4);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
}

TEST(the_wait_policy_waits_for_streams_too, .threads = true)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUstream stream;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = test_patience_ms();
    publisher = make_publisher(&config);
    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 50);
    for (int64_t i = 0; i < 6; i++)
        publish_on(publisher, stream, i);
    reader = make_gpu_reader(CUFRAMES_MODE_NEWEST_ONLY);
    WAIT_FOR(publisher_stats(publisher).published == 6, 10000);
    full_speed();
    cuframes_frame_release(take(reader));
    cuframes_subscriber_destroy(reader);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
}

TEST(destroy_announces_what_is_published)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cf_CUstream stream;

    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 100);
    publish_on(publisher, stream, 1);
    publish_on(publisher, stream, 2);
    cuframes_publisher_destroy(publisher);
    full_speed();
    cuframes_frame_release(take(reader));
    cuframes_frame_release(take(reader));
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
}

TEST(destroy_does_not_wait_for_ever)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cf_CUstream stream;
    int64_t began;

    enter_primary(0);
    standin("standin_delay");
    stream = make_stream();
    delay_streams(4000000);
    publish_on(publisher, stream, 1);
    began = cuframes_now_ns();
    cuframes_publisher_destroy(publisher);
    CHECK_LT(cuframes_now_ns() - began, INT64_C(3500) * 1000000);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    /* What was abandoned is freed when the stream is done. */
    CHECK_CU(driver()->cuStreamSynchronize(stream));
    delay_streams(0);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    WAIT_FOR(objects() == 0, 5000);
}

TEST(a_change_of_generation_keeps_its_place_in_the_queue, .threads = true)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUstream stream;

    /* So that the reader is given the time to follow. */
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = test_patience_ms();
    publisher = make_publisher(&config);
    reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 30);
    CHECK_EQ(publish_on(publisher, stream, 1), 0U);
    config.ring_size = 6;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    CHECK_EQ(publish_on(publisher, stream, 2), 1U);
    /* And one in host memory behind it. */
    config.memory = CUFRAMES_MEMORY_HOST;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    CHECK_EQ(publish(publisher, 3), 2U);
    for (int64_t i = 1; i <= 3; i++) {
        cuframes_frame_t *frame = take(reader);

        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        CHECK_EQ(cuframes_frame_generation(frame), i);
        cuframes_frame_release(frame);
    }
    full_speed();
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

/* ---- giving back ---- */

/* A frame released behind slow work is held until then, and the reader may not take more than it was
 * granted meanwhile. */
static void release_behind_work(void)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame, *next = NULL;
    cf_CUstream stream;
    int64_t began;
    void *bytes;

    config.ring_size = 3;
    publisher = make_publisher(&config);
    reading.max_holds = 1;
    reader = make_subscriber(&reading);
    enter_primary(0);
    stream = make_stream();
    CHECK_CU(driver()->cuMemHostAlloc(&bytes, SIZE, 0));
    publish_stamp(publisher, 1);
    publish_stamp(publisher, 2);
    frame = take(reader);
    began = cuframes_now_ns();
    slow_down(stream, 150);
    CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
        bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), SIZE, stream));
    CHECK_OK(cuframes_frame_release_stream(frame, stream));
    CHECK_LT(cuframes_now_ns() - began, INT64_C(100) * 1000000);
    CHECK_EQ(publisher_stats(publisher).slots_held, 1U);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &next, 0), CUFRAMES_ERR_WOULD_BLOCK);
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &next, test_patience_ms()));
    full_speed();
    check_frame(next);
    CHECK_GE(cuframes_now_ns() - began, INT64_C(100) * 1000000);
    CHECK(pattern_fits(bytes, SIZE, 1));
    CHECK_CU(driver()->cuMemFreeHost(bytes));
    CHECK_OK(cuframes_frame_release_stream(next, stream));
    cuframes_subscriber_destroy(reader);
    WAIT_FOR(publisher_stats(publisher).slots_held == 0, 2000);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(streams_give_frames_back, .threads = true)
{
    driver();
    release_behind_work();
    if (standin_function("standin_calls"))
        CHECK_EQ(calls("cuStreamWriteValue32_v2"), 2U);
}

TEST(a_thread_gives_frames_back_where_streams_cannot, .threads = true)
{
    driver();
    fail_call("cuStreamWriteValue32_v2", 1, CF_CU_NOT_SUPPORTED);
    fail_call("cuStreamWriteValue32_v2", 2, CF_CU_NOT_SUPPORTED);
    release_behind_work();
}

TEST(a_publisher_that_waits_sees_what_a_stream_gives_back, .threads = true)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUstream stream;
    void *bytes;

    config.ring_size = 2;
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = test_patience_ms();
    publisher = make_publisher(&config);
    reader = make_subscriber(&reading);
    enter_primary(0);
    stream = make_stream();
    CHECK_CU(driver()->cuMemHostAlloc(&bytes, SIZE, 0));
    for (int64_t i = 0; i < 20; i++) {
        cuframes_frame_t *frame;

        /* Waits, from the third frame on, for what the stream still reads. */
        publish_stamp(publisher, i);
        frame = take(reader);
        slow_down(stream, 5);
        CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
            bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), SIZE, stream));
        CHECK_OK(cuframes_frame_release_stream(frame, stream));
        usleep(1000);
        full_speed();
    }
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    cuframes_subscriber_destroy(reader);
    CHECK_CU(driver()->cuMemFreeHost(bytes));
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
}

TEST(frames_are_given_back_after_their_subscriber)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;

    publish_stamp(publisher, 1);
    frame = take(reader);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    check_frame(frame);
    CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    CHECK_EQ(objects(), 0U);
}

/* ---- the program's own buffers ---- */

/* `count` buffers of two granules each in one allocation, of that handle type. */
static cf_CUdeviceptr own_memory(size_t count, int handle_types, size_t *stride)
{
    const cf_CUallocation allocation = {
        .type = CF_CU_ALLOCATION_PINNED,
        .handle_types = handle_types,
        .location = {.type = CF_CU_LOCATION_DEVICE, .id = 0},
    };
    const cf_CUaccess access = {.location = allocation.location, .flags = CF_CU_ACCESS_READ_WRITE};
    cf_CUmemhandle handle;
    cf_CUdeviceptr at;
    size_t unit;

    CHECK_CU(driver()->cuMemGetAllocationGranularity(&unit, &allocation, 0));
    *stride = unit;
    CHECK_CU(driver()->cuMemCreate(&handle, count * unit, &allocation, 0));
    CHECK_CU(driver()->cuMemAddressReserve(&at, count * unit, 0, 0, 0));
    CHECK_CU(driver()->cuMemMap(at, count * unit, 0, handle, 0));
    CHECK_CU(driver()->cuMemSetAccess(at, count * unit, &access, 1));
    CHECK_CU(driver()->cuMemRelease(handle));
    return at;
}

static void publish_own(cuframes_publisher_t *publisher, void *buffer, int64_t stamp)
{
    static uint8_t pattern[SIZE];

    fill_pattern(pattern, SIZE, stamp);
    CHECK_CU(
        driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)buffer, pattern, SIZE, NULL));
    CHECK_OK(cuframes_publisher_publish_external(publisher, buffer, NULL, stamp));
}

static void use_own_buffers(int handle_types, uint64_t copies)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUdeviceptr memory;
    void *buffers[3], *acquired;
    size_t stride;

    config.memory = CUFRAMES_MEMORY_AUTO;
    enter_primary(0);
    memory = own_memory(3, handle_types, &stride);
    for (size_t i = 0; i < 3; i++)
        buffers[i] = (void *)(uintptr_t)(memory + i * stride);
    CHECK_OK(cuframes_publisher_create_external(&config, buffers, 3, SIZE, &publisher));
    reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    for (int64_t i = 0; i < 7; i++) {
        publish_own(publisher, buffers[i % 3], i);
        cuframes_frame_release(take(reader));
    }
    CHECK_EQ(publisher_stats(publisher).copied, copies);
    CHECK_OK(cuframes_publisher_acquire(publisher, &acquired));
    if (copies == 0) {
        CHECK(acquired == buffers[1]);
        publish_own(publisher, acquired, 7);
        cuframes_frame_release(take(reader));
        WAIT_FOR(publisher_stats(publisher).pending == 0, 2000);
        CHECK_ERR(cuframes_publisher_publish_external(publisher, buffers[1], NULL, 8),
                  CUFRAMES_ERR_WOULD_BLOCK);
    }
    CHECK_ERR(cuframes_publisher_publish_external(publisher, &config, NULL, 8),
              CUFRAMES_ERR_INVALID_ARG);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_CU(driver()->cuMemUnmap(memory, 3 * stride));
    CHECK_CU(driver()->cuMemAddressFree(memory, 3 * stride));
    leave_primary(0);
    CHECK_EQ(objects(), 0U);
}

TEST(own_buffers_that_can_be_exported_are_shared_in_place)
{
    use_own_buffers(CF_CU_HANDLE_DESCRIPTOR, 0);
}

TEST(own_buffers_that_cannot_be_exported_are_copied)
{
    use_own_buffers(0, 7);
}

/* ---- the bad days ---- */

TEST(a_stream_that_fails_ends_the_channel, .threads = true)
{
    cuframes_publisher_t *publisher = make_gpu_publisher(), *second;
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_config_t other = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    static uint8_t bytes[SIZE];
    cuframes_subscriber_t *waiting;
    cuframes_buffer_t *buffer;
    cuframes_frame_t *frame;
    cf_CUcontext context;
    cf_CUstream stream;

    other.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    waiting = make_subscriber(&other);
    publish_stamp(publisher, 1);
    WAIT_FOR(publisher_stats(publisher).published == 1, 2000);
    enter_primary(0);
    stream = make_stream();
    fail_call("copy", 1, CF_CU_LAUNCH_FAILED);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_CU(driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)cuframes_buffer_data(buffer),
                                            bytes, SIZE, stream));
    /* The failure is told by this call, or comes to the thread that waits. */
    cuframes_publisher_publish_buffer(publisher, buffer, stream, NULL, NULL);
    cuframes_buffer_unref(buffer);
    /* What was announced before can be taken; then the reason. */
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
    CHECK_OK(cuframes_frame_release(frame));
    CHECK_ERR_SAYS(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()),
                   CUFRAMES_ERR_CUDA, "LAUNCH_FAILED");
    CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &buffer), CUFRAMES_ERR_CUDA,
                   "has failed");
    /* The name is free for another. */
    WAIT_FOR(access(test_runtime_path("cam.sock"), F_OK) != 0, 2000);
    second = make_small_publisher("cam");
    cuframes_publisher_destroy(publisher);
    cuframes_subscriber_destroy(reader);
    CHECK_OK(cuframes_subscriber_next(waiting, NULL, &frame, test_patience_ms()));
    cuframes_frame_release(frame);
    CHECK_ERR(cuframes_subscriber_next(waiting, NULL, &frame, test_patience_ms()),
              CUFRAMES_ERR_CUDA);
    publish(second, 3);
    CHECK_OK(cuframes_subscriber_next(waiting, NULL, &frame, test_patience_ms()));
    CHECK_EQ(cuframes_frame_pts_ns(frame), 3);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(waiting);
    cuframes_publisher_destroy(second);
    /* The context is lost: these only free what is left of it. */
    driver()->cuStreamDestroy_v2(stream);
    driver()->cuCtxPopCurrent_v2(&context);
    driver()->cuDevicePrimaryCtxRelease_v2(0);
}

TEST(a_stream_that_is_none_only_fails_the_call)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    void *slot;

    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    fail_call("cuEventRecord", 1, CF_CU_INVALID_HANDLE);
    CHECK_ERR_SAYS(cuframes_publisher_publish(publisher, NULL, 0), CUFRAMES_ERR_CUDA,
                   "cuEventRecord");
    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    CHECK_OK(cuframes_publisher_publish(publisher, NULL, 0));
    WAIT_FOR(publisher_stats(publisher).published == 1, 2000);
    cuframes_publisher_destroy(publisher);
}

TEST(what_the_driver_refuses_is_told_and_leaves_nothing)
{
    static const struct {
        const char *call;
        int result, error;
    } faults[] = {
        {"cuMemCreate", CF_CU_OUT_OF_MEMORY, CUFRAMES_ERR_OUT_OF_MEMORY},
        {"cuMemExportToShareableHandle", CF_CU_NOT_SUPPORTED, CUFRAMES_ERR_CUDA},
        {"cuMemAddressReserve", CF_CU_OUT_OF_MEMORY, CUFRAMES_ERR_OUT_OF_MEMORY},
        {"cuMemMap", CF_CU_INVALID_VALUE, CUFRAMES_ERR_CUDA},
        {"cuMemSetAccess", CF_CU_NOT_SUPPORTED, CUFRAMES_ERR_CUDA},
        {"cuDevicePrimaryCtxRetain", CF_CU_DEVICE_UNAVAILABLE, CUFRAMES_ERR_CUDA},
    };
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;

    driver();
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        fail_call(faults[i].call, 1, faults[i].result);
        CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), faults[i].error,
                       faults[i].call);
        CHECK_EQ(objects(), 0U);
    }
}

TEST(what_the_driver_refuses_a_reader_is_told)
{
    static const char *const faults[] = {"cuMemImportFromShareableHandle", "cuMemMap",
                                         "cuMemSetAccess",
                                         "cuMemGetAllocationPropertiesFromHandle"};
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    const unsigned before = objects();

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        fail_call(faults[i], 1, CF_CU_NOT_SUPPORTED);
        refuse_reader(&config, CUFRAMES_ERR_CUDA, faults[i]);
        CHECK_EQ(objects(), before);
    }
    cuframes_publisher_destroy(publisher);
}

TEST(a_child_of_fork_is_told)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;
    int status;
    pid_t child;

    publish_stamp(publisher, 1);
    frame = take(reader);
    child = CHECK_SYS(fork());
    if (child == 0) {
        cuframes_publisher_config_t config = gpu_config();
        cuframes_publisher_t *own;

        config.key = "other";
        CHECK_ERR_SAYS(cuframes_publisher_create(&config, &own), CUFRAMES_ERR_CUDA, "fork");
        CHECK_OK(cuframes_frame_release_stream(frame, NULL));
        cuframes_subscriber_destroy(reader);
        cuframes_publisher_destroy(publisher);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_frame(frame);
    CHECK_OK(cuframes_frame_release(frame));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(gpus_are_found_by_their_names)
{
    char text[CUFRAMES_GPU_UUID_TEXT];
    cuframes_gpu_info_t info;
    int32_t index = -1;

    need_two_gpus();
    CHECK_EQ(cuframes_gpu_count(), 2);
    CHECK_OK(cuframes_gpu_info(1, &info));
    CHECK(info.flags & CUFRAMES_GPU_SHARES);
    CHECK(info.flags & CUFRAMES_GPU_READS_HOST);
    cuframes_gpu_uuid_text(info.uuid, text);
    CHECK_OK(cuframes_gpu_find(text, &index));
    CHECK_EQ(index, 1);
    CHECK_OK(cuframes_gpu_find("0", &index));
    CHECK_EQ(index, 0);
    CHECK_ERR(cuframes_gpu_find("2", &index), CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_gpu_find("GPU-ffffffff-ffff", &index), CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_gpu_find("first", &index), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(cuframes_gpu_can_read(0, 1), 1);
    CHECK_ERR(cuframes_gpu_info(2, &info), CUFRAMES_ERR_INVALID_ARG);
}
