/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash matrix for GPU memory, over the stand-in driver: a process is killed, or stopped, while it
 * makes, exports or maps memory, between the mark on a stream and the announcement of the frame, or
 * between a release behind a stream and the moment when that is done. Three others read: one by
 * copies, one on the GPU, one that polls.
 *
 * The test's own process never uses the driver, so that its forks can: the honest publisher is a peer,
 * too.
 */
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "crowd.h"
#include "fate.h"
#include "harness/resources.h"
#include "integration/gpu_support.h"
#include "points.h"

#define FRAMES_OF_LIFE 150
#define FRAME_SIZE     ((size_t)128 * 96)
/* Frames that can be on their way at the same time. */
#define UPLOADS 16

static bool is(const char *point, const char *name)
{
    return strcmp(point, name) == 0;
}

/* ---- the crowd ---- */

static void check_on_gpu(const cuframes_frame_t *frame)
{
    static uint8_t bytes[FRAME_SIZE];

    enter_primary(0);
    CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
        bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), FRAME_SIZE, NULL));
    CHECK_CU(driver()->cuStreamSynchronize(NULL));
    leave_primary(0);
    CHECK(pattern_fits(bytes, FRAME_SIZE, cuframes_frame_pts_ns(frame)));
}

static const struct crowd_eyes eyes = {
    .memory = {CUFRAMES_MEMORY_HOST, CUFRAMES_MEMORY_CUDA, CUFRAMES_MEMORY_HOST},
    .flags = {CUFRAMES_SUBSCRIBER_STAGED, 0, CUFRAMES_SUBSCRIBER_STAGED},
    .check = {NULL, check_on_gpu, NULL},
};

/* ---- publishing ---- */

static cuframes_publisher_config_t channel_in(cuframes_memory_t memory)
{
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);

    config.memory = memory;
    return config;
}

/* Fills memory of the GPU in the order of the stream; the call does not wait. */
static void upload(void *to, int64_t pts, cf_CUstream stream)
{
    static uint8_t patterns[UPLOADS][FRAME_SIZE];
    uint8_t *pattern = patterns[pts % UPLOADS];

    fill_pattern(pattern, FRAME_SIZE, pts);
    CHECK_CU(
        driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)to, pattern, FRAME_SIZE, stream));
}

/* A frame behind a stream; one that finds no slot is left out. */
static void publish_behind(cuframes_publisher_t *publisher, int64_t pts, cf_CUstream stream)
{
    const cuframes_frame_meta_t meta = {.pts_ns = pts};
    cuframes_buffer_t *buffer;
    int err = cuframes_publisher_acquire_buffer(publisher, &buffer);

    if (err == CUFRAMES_OK) {
        upload(cuframes_buffer_data(buffer), pts, stream);
        CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, stream, &meta, NULL));
        cuframes_buffer_unref(buffer);
    } else {
        CHECK_EQ(err, CUFRAMES_ERR_WOULD_BLOCK);
    }
    usleep(200);
}

static void publish_last(cuframes_publisher_t *publisher)
{
    int64_t until = test_deadline_ms(test_patience_ms());
    const cuframes_frame_meta_t meta = {.pts_ns = CROWD_END};
    static uint8_t pattern[FRAME_SIZE];
    cuframes_buffer_t *buffer;

    while (cuframes_publisher_acquire_buffer(publisher, &buffer) != CUFRAMES_OK)
        CHECK(test_pause_until(until));
    fill_pattern(pattern, FRAME_SIZE, CROWD_END);
    CHECK_OK(cuframes_buffer_write(buffer, 0, pattern, FRAME_SIZE, NULL));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
    cuframes_buffer_unref(buffer);
}

/* Waits until the crowd is there, publishes, and comes to an end when it is told. */
struct honest {
    cuframes_memory_t memory;
    atomic_bool *end;
};

static void publish_honestly(struct test_peer *test, void *argument)
{
    const struct honest *me = argument;
    const bool on_gpu = me->memory == CUFRAMES_MEMORY_CUDA;
    cuframes_publisher_config_t config = channel_in(me->memory);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cf_CUstream stream = NULL;
    size_t before;

    if (on_gpu) {
        enter_primary(0);
        stream = make_stream();
    }
    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    settle_pages();
    before = test_count_descriptors("");
    test_say(test, 0);
    for (int64_t pts = 0; !atomic_load(me->end); pts++)
        on_gpu ? publish_behind(publisher, pts, stream) : crowd_publish(publisher, pts, 1, 200);
    /* Of the victim nothing is left, not even a hold. */
    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    settle_pages();
    WAIT_FOR(test_count_descriptors("") <= before, test_patience_ms());
    publish_last(publisher);
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, test_patience_ms());
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    if (on_gpu) {
        CHECK_CU(driver()->cuStreamDestroy_v2(stream));
        leave_primary(0);
        CHECK_EQ(objects(), 0U);
    }
}

/* ---- a subscriber ---- */

static void read_one(cuframes_subscriber_t *reader, cf_CUstream stream)
{
    cuframes_frame_t *frame = NULL;
    int err = cuframes_subscriber_next(reader, NULL, &frame, 20);

    if (err == CUFRAMES_ERR_TIMEOUT)
        return;
    /* Frames that were given back behind a stream that has not come to them yet. */
    if (err == CUFRAMES_ERR_TOO_MANY)
        return;
    CHECK_OK(err);
    if (stream && cuframes_frame_memory(frame) == CUFRAMES_MEMORY_CUDA &&
        cuframes_subscriber_access(reader) == CUFRAMES_ACCESS_IN_PLACE)
        CHECK_OK(cuframes_frame_release_stream(frame, stream));
    else
        CHECK_OK(cuframes_frame_release(frame));
}

static void be_a_doomed_subscriber(struct test_peer *test, void *argument)
{
    const struct fate *fate = argument;
    const bool staged = is(fate->point, "staged.copied");
    /* Where the stream cannot clear the word, a thread waits for it. */
    const bool by_thread = is(fate->point, "release.queued") || is(fate->point, "release.awaited");
    cf_CUstream stream;

    (void)test;
    CHECK_GT(cuframes_gpu_count(), 0);
    enter_primary(0);
    stream = make_stream();
    point_arm(fate->point, fate->nth, fate->signal);
    while (!atomic_load(fate->end)) {
        const cuframes_subscriber_config_t config = {
            .key = CROWD_KEY,
            .connect_timeout_ms = test_patience_ms(),
            .flags = staged ? CUFRAMES_SUBSCRIBER_STAGED : 0,
            .memory = staged ? CUFRAMES_MEMORY_HOST : CUFRAMES_MEMORY_CUDA,
            .max_holds = 2,
        };
        cuframes_subscriber_t *reader;
        int err = cuframes_subscriber_create(&config, &reader);

        /* Stopped in the middle of attaching for longer than the publisher's patience. */
        if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_DISCONNECTED)
            continue;
        CHECK_OK(err);
        if (by_thread)
            fail_call("cuMemHostRegister_v2", 1, CF_CU_NOT_SUPPORTED);
        for (int i = 0; i < 6; i++)
            read_one(reader, stream);
        CHECK_OK(cuframes_subscriber_destroy(reader));
    }
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
}

static void subscriber_case(const char *point, int nth, int signal)
{
    struct honest honest = {.memory = is(point, "gpu_memory.registered") ? CUFRAMES_MEMORY_HOST
                                                                         : CUFRAMES_MEMORY_CUDA};
    struct fate fate = {.point = point, .nth = nth, .signal = signal};
    struct test_peer publisher, victim;
    struct crowd crowd;

    point_reset();
    crowd_start_with(&crowd, false, &eyes);
    honest.end = fate.end = &crowd.board->end;
    test_spawn(&publisher, publish_honestly, &honest, NULL);
    CHECK_HEAR(&publisher, 0);
    test_spawn(&victim, be_a_doomed_subscriber, &fate, NULL);
    WAIT_FOR(has_met_fate(&victim, signal), test_patience_ms());
    if (signal == SIGSTOP)
        usleep(STOPPED_MS * 1000);
    bury(&victim, &fate);
    atomic_store(fate.end, true);
    test_join(&publisher);
    crowd_finish(&crowd);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

TEST(subscriber_killed_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, GPU_SUBSCRIBER))
        for (int nth = 1; nth <= 2; nth++)
            subscriber_case(point->name, nth, SIGKILL);
}

TEST(subscriber_stopped_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, GPU_SUBSCRIBER))
        subscriber_case(point->name, 2, SIGSTOP);
}

/* ---- a publisher ---- */

static void live(cuframes_publisher_t *publisher, cuframes_publisher_config_t *config,
                 cf_CUstream stream)
{
    for (int i = 0; i < FRAMES_OF_LIFE; i++) {
        if (i % 40 == 39) {
            config->policy ^= 1;
            CHECK_OK(cuframes_publisher_reconfigure(publisher, config));
        }
        publish_behind(publisher, i, stream);
    }
}

/* One that publishes buffers of its own, which have to be copied. */
static cuframes_publisher_t *make_external(const cuframes_publisher_config_t *config,
                                           void *buffers[], int count)
{
    cuframes_publisher_t *publisher = NULL;

    for (int i = 0; i < count; i++) {
        cf_CUdeviceptr at;

        CHECK_CU(driver()->cuMemAlloc_v2(&at, FRAME_SIZE));
        buffers[i] = (void *)(uintptr_t)at;
    }
    CHECK_OK(cuframes_publisher_create_external(config, buffers, count, FRAME_SIZE, &publisher));
    return publisher;
}

static void live_external(const cuframes_publisher_config_t *config, cf_CUstream stream)
{
    void *buffers[4];
    cuframes_publisher_t *publisher = make_external(config, buffers, 4);

    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    for (int i = 0; i < FRAMES_OF_LIFE; i++) {
        upload(buffers[i % 4], i, stream);
        int err = cuframes_publisher_publish_external(publisher, buffers[i % 4], stream, i);
        CHECK(err == CUFRAMES_OK || err == CUFRAMES_ERR_WOULD_BLOCK);
        usleep(200);
    }
    CHECK_OK(cuframes_publisher_destroy(publisher));
    for (int i = 0; i < 4; i++)
        CHECK_CU(driver()->cuMemFree_v2((cf_CUdeviceptr)(uintptr_t)buffers[i]));
}

static void be_a_doomed_publisher(struct test_peer *test, void *argument)
{
    const struct fate *fate = argument;
    cuframes_publisher_config_t config = channel_in(CUFRAMES_MEMORY_CUDA);
    cf_CUstream stream;

    (void)test;
    enter_primary(0);
    stream = make_stream();
    point_arm(fate->point, fate->nth, fate->signal);
    if (is(fate->point, "external.copied")) {
        live_external(&config, stream);
    } else {
        cuframes_publisher_t *publisher = make_publisher(&config);

        WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
        live(publisher, &config, stream);
        CHECK_OK(cuframes_publisher_destroy(publisher));
    }
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
}

static void publisher_case(const char *point, int nth, int signal)
{
    struct honest honest = {.memory = CUFRAMES_MEMORY_CUDA};
    struct fate fate = {.point = point, .nth = nth, .signal = signal};
    struct test_peer victim, next;
    struct crowd crowd;

    point_reset();
    crowd_start_with(&crowd, false, &eyes);
    honest.end = fate.end = &crowd.board->end;
    test_spawn(&victim, be_a_doomed_publisher, &fate, NULL);
    WAIT_FOR(has_met_fate(&victim, signal), test_patience_ms());
    if (signal == SIGSTOP)
        usleep(STOPPED_MS * 1000);
    bury(&victim, &fate);
    atomic_store(fate.end, false);
    test_spawn(&next, publish_honestly, &honest, NULL);
    CHECK_HEAR(&next, 0);
    usleep(5000);
    atomic_store(fate.end, true);
    test_join(&next);
    crowd_finish(&crowd);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

TEST(publisher_killed_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, GPU_PUBLISHER)) {
        publisher_case(point->name, 1, SIGKILL);
        if (point->when == RUN)
            publisher_case(point->name, 3, SIGKILL);
    }
}

TEST(publisher_stopped_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, GPU_PUBLISHER))
        publisher_case(point->name, point->when == RUN ? 2 : 1, SIGSTOP);
}
