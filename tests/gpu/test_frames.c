/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in GPU memory, publisher and subscribers in one process: what is visible when, what a hold
 * protects, and every way to read.
 */
#include <pthread.h>
#include <stdlib.h>

#include "channel.h"
#include "integration/support.h"

static cuframes_channel_info_t info_of(cuframes_publisher_t *publisher)
{
    cuframes_channel_info_t info;

    CHECK_OK(cuframes_publisher_info(publisher, &info));
    return info;
}

static void prepare(void)
{
    struct gpu_worker worker;
    cuframes_publisher_config_t config = gpu_config("warm-up");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    gpu_prepare();
    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("warm-up", CUFRAMES_MODE_STRICT_ORDER);
    gpu_publish(&worker, publisher, 1);
    gpu_expect(&worker, reader, 1);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    settle_pages();
    gpu_worker_fini(&worker);
}

/* A channel, a reader of it in order, and somebody who works. */
struct scene {
    struct gpu_worker worker;
    struct gpu_gate gate;
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
};

static void begin_with(struct scene *scene, const cuframes_publisher_config_t *config)
{
    gpu_worker_init(&scene->worker, 0);
    gpu_gate_init(&scene->gate);
    scene->publisher = make_publisher(config);
    scene->reader = gpu_make_reader(config->key, CUFRAMES_MODE_STRICT_ORDER);
}

static void begin(struct scene *scene)
{
    cuframes_publisher_config_t config = gpu_config("cam");

    begin_with(scene, &config);
}

static void end(struct scene *scene)
{
    CHECK_OK(cuframes_subscriber_destroy(scene->reader));
    CHECK_OK(cuframes_publisher_destroy(scene->publisher));
    gpu_gate_fini(&scene->gate);
    gpu_worker_fini(&scene->worker);
}

/* --- passing frames ----------------------------------------------------------------------------- */
TEST(frames_are_read_in_place, .prepare = prepare)
{
    cuframes_gpu_info_t gpu_info;
    cuframes_channel_info_t info;
    cuframes_frame_t *frame;
    struct scene s;

    begin(&s);
    info = info_of(s.publisher);
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_CUDA);
    CHECK_OK(cuframes_gpu_info(0, &gpu_info));
    CHECK_MEM_EQ(info.gpu_uuid, gpu_info.uuid, sizeof(info.gpu_uuid));
    CHECK_EQ(cuframes_subscriber_access(s.reader), CUFRAMES_ACCESS_IN_PLACE);
    for (int64_t pts = 1; pts < 40; pts++) {
        CHECK_EQ(gpu_publish(&s.worker, s.publisher, pts), (uint64_t)pts - 1);
        frame = gpu_next(s.reader);
        CHECK_EQ(cuframes_frame_pts_ns(frame), pts);
        CHECK_EQ(gpu_wrong_in_frame(&s.worker, frame), 0U);
        CHECK_OK(cuframes_frame_release(frame));
    }
    CHECK_EQ(publisher_stats(s.publisher).copied, 0U);
    CHECK_EQ(subscriber_stats(s.reader).staged, 0U);
    end(&s);
}

TEST(held_frames_stay_as_they_are, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_frame_t *kept[3];
    struct scene s;

    config.ring_size = 6;
    begin_with(&s, &config);
    for (int i = 0; i < 3; i++) {
        gpu_publish(&s.worker, s.publisher, 100 + i);
        kept[i] = gpu_next(s.reader);
    }
    for (int64_t pts = 1; pts < 30; pts++)
        gpu_publish(&s.worker, s.publisher, pts);
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(cuframes_frame_pts_ns(kept[i]), 100 + i);
        CHECK_EQ(gpu_wrong_in_frame(&s.worker, kept[i]), 0U);
        CHECK_OK(cuframes_frame_check(kept[i]));
        CHECK_OK(cuframes_frame_release(kept[i]));
    }
    end(&s);
}

TEST(a_frame_is_given_back_and_published_behind_several_streams, .prepare = prepare)
{
    struct gpu_worker other;
    struct gpu_gate gate;
    cuframes_frame_t *frame, *early = NULL;
    void *joined = NULL;
    struct scene s;

    begin(&s);
    gpu_worker_init(&other, 0);
    gpu_gate_init(&gate);
    for (int i = 0; i < 2; i++) {
        void *const streams[] = {s.worker.stream, other.stream};
        struct gpu_gate *first = i ? &gate : &s.gate, *last = i ? &s.gate : &gate;
        cuframes_buffer_t *buffer;

        gpu_publish(&s.worker, s.publisher, 10 * i);
        frame = gpu_next(s.reader);
        gpu_gate_close(&s.gate, s.worker.stream);
        gpu_gate_close(&gate, other.stream);
        CHECK_OK(cuframes_gpu_join_streams(0, streams, 2, &joined));
        CHECK_OK(cuframes_frame_release_stream(frame, joined));
        CHECK_OK(cuframes_gpu_end_stream(0, joined));
        CHECK_OK(cuframes_publisher_acquire_buffer(s.publisher, &buffer));
        CHECK_OK(cuframes_gpu_join_streams(0, streams, 2, &joined));
        CHECK_OK(cuframes_publisher_publish_buffer(s.publisher, buffer, joined, NULL, NULL));
        CHECK_OK(cuframes_gpu_end_stream(0, joined));
        cuframes_buffer_unref(buffer);
        gpu_gate_open(first);
        CHECK_ERR(cuframes_subscriber_next(s.reader, NULL, &early, 100), CUFRAMES_ERR_TIMEOUT);
        CHECK_EQ(publisher_stats(s.publisher).slots_held, 1U);
        gpu_gate_open(last);
        frame = gpu_next(s.reader);
        CHECK_OK(cuframes_frame_release(frame));
        WAIT_FOR(publisher_stats(s.publisher).slots_held == 0, 5000);
    }
    CHECK_ERR(cuframes_gpu_join_streams(0, NULL, 1, &joined), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_gpu_join_streams(0, &joined, 0, &joined), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_gpu_join_streams(99, &joined, 1, &joined), CUFRAMES_ERR_INVALID_ARG);
    CHECK_OK(cuframes_gpu_end_stream(0, NULL));
    gpu_gate_fini(&gate);
    gpu_worker_fini(&other);
    end(&s);
}

static void *copy_down(void *argument)
{
    const cuframes_frame_t *frame = argument;
    const size_t size = cuframes_frame_data_size(frame);
    uint64_t *words = malloc(size);

    CHECK(words);
    CHECK_OK(cuframes_frame_copy_to_host(frame, words, size));
    for (size_t i = 0; i < size / 8; i++)
        CHECK_EQ(words[i], (uint64_t)cuframes_frame_pts_ns(frame) * MULTIPLIER + i);
    free(words);
    return NULL;
}

TEST(frames_are_copied_to_the_host_beside_other_work, .prepare = prepare)
{
    cu_stream busy[] = {NULL, NULL};
    cuframes_frame_t *frame;
    pthread_t thread;
    struct scene s;

    begin(&s);
    busy[1] = s.worker.stream;
    for (int i = 0; i < 2; i++) {
        gpu_publish(&s.worker, s.publisher, 70 + i);
        frame = gpu_next(s.reader);
        gpu_gate_close(&s.gate, busy[i]);
        copy_down(frame);
        /* A thread without a context. */
        CHECK_EQ(pthread_create(&thread, NULL, copy_down, frame), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_CU_ERR(gpu.cuStreamQuery(busy[i]), CU_NOT_READY);
        gpu_gate_open(&s.gate);
        CHECK_CU(gpu.cuStreamSynchronize(busy[i]));
        CHECK_OK(cuframes_frame_release(frame));
    }
    CHECK_EQ(subscriber_stats(s.reader).staged, 0U);
    end(&s);
}

TEST(frames_outlive_publisher_and_subscriber, .prepare = prepare)
{
    cuframes_frame_t *frame;
    struct scene s;

    begin(&s);
    gpu_publish(&s.worker, s.publisher, 7);
    frame = gpu_next(s.reader);
    CHECK_OK(cuframes_publisher_destroy(s.publisher));
    CHECK_EQ(gpu_wrong_in_frame(&s.worker, frame), 0U);
    CHECK_OK(cuframes_subscriber_destroy(s.reader));
    CHECK_EQ(gpu_wrong_in_frame(&s.worker, frame), 0U);
    CHECK_OK(cuframes_frame_release(frame));
    gpu_gate_fini(&s.gate);
    gpu_worker_fini(&s.worker);
}

TEST(a_change_of_size_is_followed, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_frame_t *old, *new;
    int32_t width, height;
    struct scene s;

    begin(&s);
    gpu_publish(&s.worker, s.publisher, 1);
    old = gpu_next(s.reader);
    config.width = 512;
    config.height = 300;
    CHECK_OK(cuframes_publisher_reconfigure(s.publisher, &config));
    gpu_publish(&s.worker, s.publisher, 2);
    new = gpu_next(s.reader);
    cuframes_frame_size(new, &width, &height);
    CHECK_EQ(width, 512);
    CHECK_EQ(height, 300);
    CHECK(cuframes_frame_flags(new) & CUFRAMES_FRAME_GENERATION);
    CHECK_EQ(gpu_wrong_in_frame(&s.worker, new), 0U);
    CHECK_EQ(gpu_wrong_in_frame(&s.worker, old), 0U);
    CHECK_OK(cuframes_frame_release(old));
    CHECK_OK(cuframes_frame_release(new));
    end(&s);
}

TEST(the_program_writes_host_memory_into_a_slot, .prepare = prepare)
{
    cuframes_frame_meta_t meta = {.pts_ns = 55};
    cuframes_buffer_t *buffer;
    struct scene s;
    size_t size;
    void *bytes;

    begin(&s);
    CHECK_OK(cuframes_publisher_acquire_buffer(s.publisher, &buffer));
    size = cuframes_buffer_layout(buffer)->size;
    bytes = malloc(size);
    fill_pattern(bytes, size, 55);
    CHECK_OK(cuframes_buffer_write(buffer, 0, bytes, size, s.worker.stream));
    memset(bytes, 0, size);
    CHECK_OK(cuframes_publisher_publish_buffer(s.publisher, buffer, s.worker.stream, &meta, NULL));
    gpu_expect(&s.worker, s.reader, 55);
    CHECK_ERR(cuframes_buffer_write(buffer, 0, bytes, size, s.worker.stream),
              CUFRAMES_ERR_INVALID_ARG);
    cuframes_buffer_unref(buffer);
    free(bytes);
    end(&s);
}

/* --- the order of the GPU ----------------------------------------------------------------------- */
TEST(publish_returns_at_once_and_the_frame_comes_when_it_is_filled, .prepare = prepare)
{
    cuframes_frame_t *frame = NULL;
    struct scene s;

    begin(&s);
    gpu_gate_close(&s.gate, s.worker.stream);
    gpu_publish(&s.worker, s.publisher, 9);
    CHECK_CU_ERR(gpu.cuStreamQuery(s.worker.stream), CU_NOT_READY);
    CHECK_EQ(publisher_stats(s.publisher).pending, 1U);
    CHECK_EQ(publisher_stats(s.publisher).published, 0U);
    CHECK_ERR(cuframes_subscriber_next(s.reader, NULL, &frame, 100), CUFRAMES_ERR_TIMEOUT);
    gpu_gate_open(&s.gate);
    frame = gpu_next(s.reader);
    /* The stream's last work before the announcement was the filling. */
    CHECK_EQ(gpu_wrong_in_frame(&s.worker, frame), 0U);
    CHECK_EQ(publisher_stats(s.publisher).pending, 0U);
    CHECK_OK(cuframes_frame_release(frame));
    end(&s);
}

/* A second stream, with work of its own. */
TEST(frames_are_announced_in_the_order_of_their_publication, .prepare = prepare)
{
    struct gpu_worker other;
    struct scene s;

    begin(&s);
    gpu_worker_init(&other, 0);
    for (int64_t round = 0; round < 3; round++) {
        cuframes_frame_t *early = NULL;

        gpu_gate_close(&s.gate, s.worker.stream);
        CHECK_EQ(gpu_publish(&s.worker, s.publisher, 2 * round + 1), (uint64_t)(2 * round));
        CHECK_EQ(gpu_publish(&other, s.publisher, 2 * round + 2), (uint64_t)(2 * round + 1));
        CHECK_CU(gpu.cuStreamSynchronize(other.stream));
        CHECK_ERR(cuframes_subscriber_next(s.reader, NULL, &early, 50), CUFRAMES_ERR_TIMEOUT);
        gpu_gate_open(&s.gate);
        gpu_expect(&other, s.reader, 2 * round + 1);
        gpu_expect(&other, s.reader, 2 * round + 2);
    }
    gpu_worker_fini(&other);
    end(&s);
}

/* NULL is the legacy default stream, which waits for the blocking ones. */
TEST(the_default_stream_orders_too, .prepare = prepare)
{
    cuframes_frame_t *early = NULL;
    cuframes_buffer_t *buffer;
    cuframes_frame_meta_t meta = {.pts_ns = 3};
    struct scene s;

    begin(&s);
    CHECK_OK(cuframes_publisher_acquire_buffer(s.publisher, &buffer));
    gpu_gate_close(&s.gate, NULL);
    gpu_fill(&s.worker.kernels, (uintptr_t)cuframes_buffer_data(buffer),
             cuframes_buffer_layout(buffer)->size, 3, NULL);
    CHECK_OK(cuframes_publisher_publish_buffer(s.publisher, buffer, NULL, &meta, NULL));
    cuframes_buffer_unref(buffer);
    CHECK_ERR(cuframes_subscriber_next(s.reader, NULL, &early, 50), CUFRAMES_ERR_TIMEOUT);
    gpu_gate_open(&s.gate);
    gpu_expect(&s.worker, s.reader, 3);
    end(&s);
}

TEST(a_frame_released_on_a_stream_is_kept_until_that_is_done, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    struct gpu_worker reader;
    cuframes_frame_t *frame;
    struct scene s;

    config.ring_size = 3;
    begin_with(&s, &config);
    gpu_worker_init(&reader, 0);
    gpu_publish(&s.worker, s.publisher, 1);
    frame = gpu_next(s.reader);
    gpu_gate_close(&s.gate, reader.stream);
    gpu_verify(&reader.kernels, (uintptr_t)cuframes_frame_data(frame),
               cuframes_frame_data_size(frame), 1, reader.stream);
    CHECK_OK(cuframes_frame_release_stream(frame, reader.stream));
    CHECK_CU_ERR(gpu.cuStreamQuery(reader.stream), CU_NOT_READY);
    CHECK_EQ(publisher_stats(s.publisher).slots_held, 1U);
    for (int64_t pts = 2; pts < 20; pts++)
        gpu_publish(&s.worker, s.publisher, pts);
    CHECK_EQ(publisher_stats(s.publisher).slots_held, 1U);
    gpu_gate_open(&s.gate);
    CHECK_EQ(gpu_wrong(&reader.kernels, reader.stream), 0U);
    WAIT_FOR(publisher_stats(s.publisher).slots_held == 0, 5000);
    gpu_worker_fini(&reader);
    end(&s);
}

/* Many frames at full speed, read by a kernel and released on its stream: none is torn. */
TEST(no_frame_changes_under_a_kernel, .prepare = prepare, .timeout_s = 60)
{
    int count = gpu_frames(on_standin() ? 1000 : 5000);
    struct gpu_worker reader;
    cuframes_subscriber_t *newest;
    struct scene s;

    begin(&s);
    gpu_worker_init(&reader, 0);
    newest = gpu_make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    for (int64_t pts = 1; pts <= count; pts++) {
        cuframes_frame_t *frame = NULL;

        gpu_publish(&s.worker, s.publisher, pts);
        if (cuframes_subscriber_next(newest, NULL, &frame, 0) != CUFRAMES_OK)
            continue;
        gpu_verify(&reader.kernels, (uintptr_t)cuframes_frame_data(frame),
                   cuframes_frame_data_size(frame), (uint64_t)cuframes_frame_pts_ns(frame),
                   reader.stream);
        CHECK_OK(cuframes_frame_release_stream(frame, reader.stream));
    }
    CHECK_EQ(gpu_wrong(&reader.kernels, reader.stream), 0U);
    CHECK_GT(subscriber_stats(newest).received, 0U);
    CHECK_OK(cuframes_subscriber_destroy(newest));
    gpu_worker_fini(&reader);
    end(&s);
}

/* --- who reads what ----------------------------------------------------------------------------- */
TEST(the_processor_reads_gpu_frames_when_it_asks_for_copies, .prepare = prepare)
{
    cuframes_subscriber_config_t config = gpu_reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *staged = NULL;
    struct scene s;

    begin(&s);
    config.memory = CUFRAMES_MEMORY_HOST;
    CHECK_ERR(cuframes_subscriber_create(&config, &staged), CUFRAMES_ERR_FORMAT);
    CHECK_STR_HAS(cuframes_last_error(), "staged");
    config.flags = CUFRAMES_SUBSCRIBER_STAGED;
    staged = make_subscriber(&config);
    CHECK_EQ(cuframes_subscriber_access(staged), CUFRAMES_ACCESS_STAGED);
    for (int64_t pts = 1; pts < 12; pts++) {
        cuframes_frame_t *frame;

        gpu_publish(&s.worker, s.publisher, pts);
        frame = gpu_next(staged);
        CHECK_EQ(cuframes_frame_pts_ns(frame), pts);
        CHECK(host_frame_fits(frame));
        CHECK_OK(cuframes_frame_release(frame));
    }
    CHECK_EQ(subscriber_stats(staged).staged, 11U);
    CHECK_OK(cuframes_subscriber_destroy(staged));
    end(&s);
}

TEST(a_gpu_reads_host_frames_in_place, .prepare = prepare)
{
    cuframes_publisher_config_t channel = gpu_config("host");
    cuframes_subscriber_config_t config = gpu_reader_config("host", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;

    gpu_worker_init(&worker, 0);
    channel.memory = CUFRAMES_MEMORY_HOST;
    publisher = make_publisher(&channel);
    config.memory = CUFRAMES_MEMORY_CUDA;
    reader = make_subscriber(&config);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_REGISTERED);
    for (int64_t pts = 1; pts < 12; pts++) {
        publish(publisher, pts);
        gpu_expect(&worker, reader, pts);
    }
    CHECK_EQ(subscriber_stats(reader).staged, 0U);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
}

/* --- the caller's own memory -------------------------------------------------------------------- */
static void pass_external(void *ptrs[3], size_t size, uint64_t copies)
{
    cuframes_publisher_config_t config = gpu_config("own");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;

    gpu_worker_init(&worker, 0);
    config.ring_size = 0;
    config.ownership = CUFRAMES_OWNERSHIP_EXTERNAL;
    CHECK_OK(cuframes_publisher_create_external(&config, ptrs, 3, size, &publisher));
    reader = gpu_make_reader("own", CUFRAMES_MODE_STRICT_ORDER);
    for (int64_t pts = 1; pts < 12; pts++) {
        void *ptr = ptrs[pts % 3];

        gpu_fill(&worker.kernels, (uintptr_t)ptr, size, (uint64_t)pts, worker.stream);
        CHECK_OK(cuframes_publisher_publish_external(publisher, ptr, worker.stream, pts));
        gpu_expect(&worker, reader, pts);
    }
    CHECK_EQ(publisher_stats(publisher).copied, copies);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
}

TEST(own_memory_that_can_be_exported_is_shared_in_place, .prepare = prepare)
{
    size_t size = cuframes_calc_frame_size(CUFRAMES_FORMAT_GRAYSCALE, 256, 128, NULL, NULL);
    struct gpu_memory memory;
    void *ptrs[3];

    gpu_memory_create(&memory, 3 * size, 0);
    for (int i = 0; i < 3; i++)
        ptrs[i] = (void *)(uintptr_t)(memory.pointer + (size_t)i * size);
    pass_external(ptrs, size, 0);
    gpu_memory_destroy(&memory);
}

TEST(own_memory_that_cannot_is_copied_and_counted, .prepare = prepare)
{
    size_t size = cuframes_calc_frame_size(CUFRAMES_FORMAT_GRAYSCALE, 256, 128, NULL, NULL);
    cu_pointer memory;
    void *ptrs[3];

    gpu_start(0);
    CHECK_CU(gpu.cuMemAlloc_v2(&memory, 3 * size));
    for (int i = 0; i < 3; i++)
        ptrs[i] = (void *)(uintptr_t)(memory + (size_t)i * size);
    pass_external(ptrs, size, 11);
    CHECK_CU(gpu.cuMemFree_v2(memory));
    gpu_end(0);
}
