/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bad days of a GPU, on demand: calls that fail, memory that runs out, work that fails, a GPU that
 * is lost, machines that lack something. Each is told, nothing hangs, nothing is left behind.
 */
#include <stdlib.h>

#include "channel.h"
#include "integration/support.h"

static const struct standin *standin;

static void prepare(void)
{
    standin = need_standin();
    gpu_prepare();
}

/* A day in the life of a channel; the first error ends it, and it cleans up. */
static int live(void)
{
    cuframes_publisher_config_t channel = gpu_config("cam");
    cuframes_subscriber_config_t config = gpu_reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL;
    cuframes_frame_t *frame = NULL;
    int err = cuframes_publisher_create(&channel, &publisher);
    void *slot;

    if (!err)
        err = cuframes_subscriber_create(&config, &reader);
    for (int64_t pts = 1; !err && pts < 4; pts++) {
        err = cuframes_publisher_acquire(publisher, &slot);
        if (!err)
            err = cuframes_publisher_publish(publisher, NULL, pts);
        if (!err)
            err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms());
        if (!err)
            err = cuframes_frame_release_stream(frame, NULL);
        if (err) {
            cuframes_frame_release(frame);
            break;
        }
        frame = NULL;
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    return err;
}

/* --- every call fails once at each place -------------------------------------------------------- */
/* Without cuCtxPushCurrent: what belongs to a context that cannot be entered cannot be given back. */
static const char *const calls[] = {
    "cuDeviceGet",
    "cuDeviceGetCount",
    "cuDeviceGetAttribute",
    "cuDeviceGetUuid_v2",
    "cuDevicePrimaryCtxRetain",
    "cuStreamCreate",
    "cuStreamGetCtx",
    "cuEventCreate",
    "cuEventRecord",
    "cuMemGetAllocationGranularity",
    "cuMemCreate",
    "cuMemExportToShareableHandle",
    "cuMemImportFromShareableHandle",
    "cuMemGetAllocationPropertiesFromHandle",
    "cuMemAddressReserve",
    "cuMemMap",
    "cuMemSetAccess",
    "cuMemHostRegister_v2",
    "cuMemHostGetDevicePointer_v2",
    "cuStreamWriteValue32_v2",
};

static unsigned fail_everywhere(const char *call)
{
    unsigned objects, before = standin->calls(call), nth, failures = 0;

    CHECK_OK(live());
    nth = standin->calls(call) - before;
    settle_pages();
    objects = standin->objects();
    for (; nth > 0; nth--) {
        int err;

        standin->fail(call, nth, CU_NOT_SUPPORTED);
        err = live();
        failures += err != CUFRAMES_OK;
        if (err && !cuframes_last_error()[0])
            FAIL("%s fails and nothing is said", call);
        if (standin->objects() != objects)
            FAIL("%s fails at the %uth call: %u objects of the driver, %u before", call, nth,
                 standin->objects(), objects);
    }
    CHECK_OK(live());
    return failures;
}

TEST(every_call_may_fail_at_each_place, .prepare = prepare, .timeout_s = 60)
{
    unsigned failures = 0;

    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
        failures += fail_everywhere(calls[i]);
    CHECK_GT(failures, 10U);
    settle_pages();
}

/* --- memory that runs out ----------------------------------------------------------------------- */
TEST(lack_of_memory_is_told, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("big");
    cuframes_publisher_t *publisher = NULL;
    unsigned objects = standin->objects();

    config.width = config.height = 16384;
    config.ring_size = 64;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_OUT_OF_MEMORY,
                   "cuMemCreate");
    CHECK_STR_HAS(cuframes_last_error(), "fewer or smaller slots");
    CHECK_EQ(standin->objects(), objects);
    CHECK_OK(live());
    settle_pages();
}

/* A new generation that there is no memory for: the channel goes on as it was. */
TEST(a_reconfigure_without_memory_changes_nothing, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;

    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    config.width = config.height = 16384;
    config.ring_size = 64;
    CHECK_ERR(cuframes_publisher_reconfigure(publisher, &config), CUFRAMES_ERR_OUT_OF_MEMORY);
    gpu_publish(&worker, publisher, 4);
    gpu_expect(&worker, reader, 4);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    settle_pages();
    gpu_worker_fini(&worker);
}

/* --- work that fails ---------------------------------------------------------------------------- */
/* What everybody is told when the work that fills a frame fails, or the GPU is gone. */
static void expect_failed_channel(cuframes_publisher_t *publisher, cuframes_subscriber_t *reader,
                                  cu_stream stream)
{
    cuframes_frame_t *frame = NULL;
    int64_t deadline = test_deadline_ms(5000);
    void *slot;
    int err;

    while ((err = cuframes_publisher_acquire(publisher, &slot)) == CUFRAMES_OK ||
           err == CUFRAMES_ERR_WOULD_BLOCK) {
        err = cuframes_publisher_publish(publisher, stream, 99);
        if (err)
            break;
        if (!test_pause_until(deadline))
            FAIL("the publisher is told nothing");
    }
    CHECK_EQ(err, CUFRAMES_ERR_CUDA);
    CHECK_STR_HAS(cuframes_last_error(), "CUDA_ERROR");
    err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms());
    if (err != CUFRAMES_ERR_CUDA && err != CUFRAMES_ERR_DISCONNECTED)
        FAIL("the subscriber is told %s: %s", cuframes_strerror(err), cuframes_last_error());
}

TEST(a_stream_that_fails_fails_the_channel, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;
    int err;

    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    gpu_publish(&worker, publisher, 1);
    gpu_expect(&worker, reader, 1);
    standin->fail("kernel", 1, CU_LAUNCH_FAILED);
    /* The failure may be there before the call or after it. */
    err = gpu_try_publish(&worker, publisher, 2, NULL);
    CHECK(err == CUFRAMES_OK || err == CUFRAMES_ERR_CUDA);
    expect_failed_channel(publisher, reader, worker.stream);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    settle_pages();
    gpu_worker_abandon(&worker);
}

/* In a process of its own: with a lost GPU nothing of its memory can be given back. */
static void lose_gpu(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *held;
    struct gpu_worker worker;

    (void)argument;
    standin = need_standin();
    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    gpu_publish(&worker, publisher, 1);
    held = gpu_next(reader);
    standin->lose(CU_UNKNOWN);
    expect_failed_channel(publisher, reader, worker.stream);
    cuframes_frame_release(held);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    test_say(test, 0);
}

TEST(a_lost_gpu_is_told_and_nothing_hangs)
{
    struct test_peer peer;

    need_standin();
    test_spawn(&peer, lose_gpu, NULL, NULL);
    CHECK_HEAR(&peer, 0);
    test_join(&peer);
}

TEST(slow_streams_only_take_longer, .prepare = prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;

    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    standin->delay(20000);
    for (int64_t pts = 1; pts < 4; pts++)
        gpu_publish(&worker, publisher, pts);
    for (int64_t pts = 1; pts < 4; pts++) {
        cuframes_frame_t *frame = gpu_next(reader);

        CHECK_EQ(cuframes_frame_pts_ns(frame), pts);
        CHECK_OK(cuframes_frame_release_stream(frame, worker.stream));
    }
    standin->delay(0);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    settle_pages();
    gpu_worker_fini(&worker);
}

/* --- readers that cannot ------------------------------------------------------------------------ */
TEST(a_gpu_that_cannot_read_host_memory_says_so)
{
    cuframes_publisher_config_t channel = gpu_config("host");
    cuframes_subscriber_config_t config = gpu_reader_config("host", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader = NULL;
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;

    setenv("STANDIN_REGISTER", "0", 1);
    need_standin();
    gpu_worker_init(&worker, 0);
    channel.memory = CUFRAMES_MEMORY_HOST;
    publisher = make_publisher(&channel);
    config.memory = CUFRAMES_MEMORY_CUDA;
    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_CUDA, "staged");
    config.flags = CUFRAMES_SUBSCRIBER_STAGED;
    reader = make_subscriber(&config);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_STAGED);
    publish(publisher, 8);
    gpu_expect(&worker, reader, 8);
    CHECK_EQ(subscriber_stats(reader).staged, 1U);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    settle_pages();
    gpu_worker_fini(&worker);
}

/* --- machines that lack something: the environment is set before the driver is loaded ----------- */
static void expect_no_gpu_memory(const char *words)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher = NULL;
    cuframes_channel_info_t info;

    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_CUDA, words);
    config.memory = CUFRAMES_MEMORY_AUTO;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_HOST);
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(without_virtual_memory_management_host_memory_is_used)
{
    setenv("STANDIN_VMM", "0", 1);
    need_standin();
    expect_no_gpu_memory("virtual memory");
}

TEST(without_descriptors_host_memory_is_used)
{
    setenv("STANDIN_DESCRIPTORS", "0", 1);
    need_standin();
    expect_no_gpu_memory("descriptor");
}

TEST(without_a_driver_host_memory_is_used)
{
    setenv("CUFRAMES_LIBCUDA", "/nowhere/libcuda.so.1", 1);
    expect_no_gpu_memory("driver");
}

TEST(without_a_gpu_host_memory_is_used)
{
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    need_standin();
    expect_no_gpu_memory("CUDA_ERROR_NO_DEVICE");
}

TEST(an_old_driver_is_named)
{
    const char *path = getenv("OLD_STANDIN");

    if (!path)
        SKIP("needs $OLD_STANDIN, a driver without the newer calls");
    setenv("CUFRAMES_LIBCUDA", path, 1);
    expect_no_gpu_memory("too old");
}

/* The optional call by which a stream releases a frame: a thread does it then. */
TEST(frames_are_released_on_streams_without_stream_writes)
{
    const char *path = getenv("PLAIN_STANDIN");
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    void *slot;

    if (!path)
        SKIP("needs $PLAIN_STANDIN, a driver without cuStreamWriteValue32");
    setenv("CUFRAMES_LIBCUDA", path, 1);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    CHECK_OK(cuframes_publisher_publish(publisher, NULL, 1));
    frame = gpu_next(reader);
    CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    WAIT_FOR(publisher_stats(publisher).slots_held == 0, 5000);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    settle_pages();
}
