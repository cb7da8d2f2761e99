/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Contexts, threads and fork(): whatever context a thread has, the library leaves it as it was.
 */
#include <pthread.h>
#include <stdlib.h>

#include "channel.h"
#include "integration/support.h"

static cu_context current(void)
{
    cu_context context = NULL;

    CHECK_CU(gpu.cuCtxGetCurrent(&context));
    return context;
}

/* A frame through a channel, with checks that need no context of this thread's. */
static void pass_one(const char *key)
{
    cuframes_publisher_config_t config = gpu_config(key);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = gpu_make_reader(key, CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;
    void *slot;

    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    CHECK_OK(cuframes_publisher_publish(publisher, NULL, 5));
    frame = gpu_next(reader);
    CHECK_EQ(cuframes_frame_pts_ns(frame), 5);
    CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(a_thread_without_a_context_gets_none, .prepare = gpu_prepare)
{
    CHECK(!current());
    pass_one("cam");
    CHECK(!current());
    settle_pages();
}

TEST(the_context_of_a_thread_stays_current, .prepare = gpu_prepare)
{
    cu_context other;

    CHECK_CU(gpu.cuCtxCreate_v2(&other, 0, 0));
    pass_one("cam");
    CHECK(current() == other);
    CHECK_CU(gpu.cuCtxDestroy_v2(other));
    CHECK(!current());
    settle_pages();
}

TEST(streams_of_another_context_order_too, .prepare = gpu_prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct gpu_kernels kernels;
    cuframes_frame_t *early = NULL;
    struct gpu_worker worker;
    struct gpu_gate gate;
    cu_stream stream;
    cu_context other;
    void *slot;

    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    CHECK_CU(gpu.cuCtxCreate_v2(&other, 0, 0));
    gpu_kernels_init(&kernels);
    gpu_gate_init(&gate);
    CHECK_CU(gpu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    gpu_gate_close(&gate, stream);
    gpu_fill(&kernels, (uintptr_t)slot, 256 * 128, 5, stream);
    CHECK_OK(cuframes_publisher_publish(publisher, stream, 5));
    CHECK(current() == other);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &early, 50), CUFRAMES_ERR_TIMEOUT);
    gpu_gate_open(&gate);
    CHECK_CU(gpu.cuCtxPopCurrent_v2(&other));
    gpu_expect(&worker, reader, 5);
    CHECK_CU(gpu.cuCtxPushCurrent_v2(other));
    CHECK_CU(gpu.cuStreamDestroy_v2(stream));
    gpu_gate_fini(&gate);
    gpu_kernels_fini(&kernels);
    CHECK_CU(gpu.cuCtxDestroy_v2(other));
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
}

TEST(a_channel_can_be_in_the_current_context, .prepare = gpu_prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher = NULL;
    cu_context other;

    config.flags = CUFRAMES_PUBLISHER_CURRENT_CONTEXT;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_INVALID_ARG,
                   "context");
    CHECK_CU(gpu.cuCtxCreate_v2(&other, 0, 0));
    publisher = make_publisher(&config);
    CHECK(cuframes_publisher_cuda_context(publisher) == (void *)other);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    CHECK_CU(gpu.cuCtxDestroy_v2(other));
}

TEST(no_such_gpu_is_said, .prepare = gpu_prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    cuframes_publisher_t *publisher = NULL;

    config.cuda_device = 77;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_INVALID_ARG,
                   "GPU 77");
}

/* --- threads ------------------------------------------------------------------------------------ */
#define THREADS 4
#define FRAMES  100

struct crowd {
    cuframes_publisher_t *publisher;
    pthread_barrier_t start;
};

/* Half of them publish in a context of their own, half in the primary one. */
struct member {
    struct crowd *crowd;
    bool own_context;
};

static void *publish_some(void *argument)
{
    struct member *member = argument;
    struct gpu_worker worker;
    cu_context own = NULL;

    gpu_worker_init(&worker, 0);
    if (member->own_context)
        CHECK_CU(gpu.cuCtxCreate_v2(&own, 0, 0));
    pthread_barrier_wait(&member->crowd->start);
    for (int i = 0; i < FRAMES; i++) {
        if (own)
            CHECK_CU(gpu.cuCtxPopCurrent_v2(&own));
        gpu_publish(&worker, member->crowd->publisher, i + 1);
        if (own)
            CHECK_CU(gpu.cuCtxPushCurrent_v2(own));
    }
    if (own)
        CHECK_CU(gpu.cuCtxDestroy_v2(own));
    gpu_worker_fini(&worker);
    return NULL;
}

TEST(threads_publish_and_read_together, .prepare = gpu_prepare, .timeout_s = 60)
{
    cuframes_publisher_config_t config = gpu_config("crowd");
    struct member members[THREADS];
    pthread_t threads[THREADS];
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;
    struct crowd crowd;
    uint64_t last = 0;

    config.ring_size = 12;
    gpu_worker_init(&worker, 0);
    crowd.publisher = make_publisher(&config);
    reader = gpu_make_reader("crowd", CUFRAMES_MODE_NEWEST_ONLY);
    pthread_barrier_init(&crowd.start, NULL, THREADS);
    for (int i = 0; i < THREADS; i++) {
        members[i] = (struct member){&crowd, i % 2};
        CHECK_EQ(pthread_create(&threads[i], NULL, publish_some, &members[i]), 0);
    }
    while (last + 1 < THREADS * FRAMES) {
        cuframes_frame_t *frame = gpu_next(reader);

        last = cuframes_frame_seq(frame);
        CHECK_EQ(gpu_wrong_in_frame(&worker, frame), 0U);
        CHECK_OK(cuframes_frame_release(frame));
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crowd.start);
    CHECK_EQ(publisher_stats(crowd.publisher).published, (uint64_t)(THREADS * FRAMES));
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(crowd.publisher));
    settle_pages();
    gpu_worker_fini(&worker);
}

/* --- fork() ------------------------------------------------------------------------------------- */
struct inherited {
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
};

static void use_in_child(struct test_peer *test, void *argument)
{
    struct inherited *inherited = argument;
    cuframes_publisher_config_t config = gpu_config("other");
    cuframes_publisher_t *publisher = NULL;
    void *slot;

    CHECK_ERR(cuframes_publisher_acquire(inherited->publisher, &slot), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_CUDA, "fork");
    CHECK_ERR_SAYS(cuframes_gpu_count(), CUFRAMES_ERR_CUDA, "fork");
    CHECK_OK(cuframes_frame_release(inherited->frame));
    CHECK_OK(cuframes_subscriber_destroy(inherited->reader));
    CHECK_OK(cuframes_publisher_destroy(inherited->publisher));
    test_say(test, 0);
}

TEST(a_child_of_fork_is_told_so, .prepare = gpu_prepare)
{
    cuframes_publisher_config_t config = gpu_config("cam");
    struct inherited inherited;
    struct gpu_worker worker;
    struct test_peer child;

    gpu_worker_init(&worker, 0);
    inherited.publisher = make_publisher(&config);
    inherited.reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    gpu_publish(&worker, inherited.publisher, 1);
    inherited.frame = gpu_next(inherited.reader);
    test_spawn(&child, use_in_child, &inherited, NULL);
    CHECK_HEAR(&child, 0);
    test_join(&child);
    /* The parent's are as they were. */
    CHECK_EQ(gpu_wrong_in_frame(&worker, inherited.frame), 0U);
    CHECK_OK(cuframes_frame_release(inherited.frame));
    gpu_publish(&worker, inherited.publisher, 2);
    gpu_expect(&worker, inherited.reader, 2);
    CHECK_OK(cuframes_subscriber_destroy(inherited.reader));
    CHECK_OK(cuframes_publisher_destroy(inherited.publisher));
    settle_pages();
    gpu_worker_fini(&worker);
}
