/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Eight readers at full rate: each looks at every word of each frame that it gets, by a kernel, and
 * releases the frame on the kernel's stream. No frame is torn.
 */
#include <stdlib.h>

#include "channel.h"
#include "integration/support.h"

#define READERS 8
#define BATCH   64

struct counts {
    uint64_t received, wrong;
};

static void read_all(struct gpu_worker *worker, cuframes_subscriber_t *reader,
                     struct counts *counts)
{
    for (;;) {
        cuframes_frame_t *frame = NULL;
        int err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms());

        if (err == CUFRAMES_ERR_DISCONNECTED)
            break;
        CHECK_OK(err);
        gpu_verify(&worker->kernels, (uintptr_t)cuframes_frame_data(frame),
                   cuframes_frame_data_size(frame), (uint64_t)cuframes_frame_pts_ns(frame),
                   worker->stream);
        CHECK_OK(cuframes_frame_release_stream(frame, worker->stream));
        if (++counts->received % BATCH == 0)
            counts->wrong += gpu_wrong(&worker->kernels, worker->stream);
    }
    counts->wrong += gpu_wrong(&worker->kernels, worker->stream);
}

static void run_reader(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;
    struct counts counts = {0};

    gpu_worker_init(&worker, 0);
    reader = gpu_make_reader("many", *(int *)argument);
    test_say(test, 0);
    read_all(&worker, reader, &counts);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    gpu_worker_fini(&worker);
    test_say(test, counts.received);
    test_say(test, counts.wrong);
}

static void run_publisher(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t *config = argument;
    int count = gpu_frames(on_standin() ? 2000 : 100000);
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;

    gpu_worker_init(&worker, 0);
    publisher = make_publisher(config);
    test_say(test, 0);
    test_hear(test);
    for (int64_t pts = 1; pts <= count; pts++)
        gpu_publish(&worker, publisher, pts);
    CHECK_CU(gpu.cuStreamSynchronize(worker.stream));
    WAIT_FOR(publisher_stats(publisher).pending == 0, 10000);
    test_say(test, publisher_stats(publisher).published);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
    test_hear_end(test);
}

/* Waits as long as it takes: the test's own timeout is the limit. */
static uint64_t hear_late(struct test_peer *peer)
{
    uint64_t word = 0;

    if (!test_hear_or_end(peer, &word))
        FAIL("process %d ended without a word", (int)peer->pid);
    return word;
}

static void pass_many(cuframes_policy_t policy, int mode)
{
    cuframes_publisher_config_t config = gpu_config("many");
    struct test_peer publisher, readers[READERS];
    uint64_t published, least = UINT64_MAX;

    need_gpus(1);
    config.ring_size = 24;
    config.policy = policy;
    config.consumer_ack_timeout_ms = -1;
    test_spawn(&publisher, run_publisher, &config, NULL);
    CHECK_HEAR(&publisher, 0);
    for (int i = 0; i < READERS; i++) {
        test_spawn(&readers[i], run_reader, &mode, NULL);
        CHECK_HEAR(&readers[i], 0);
    }
    test_say(&publisher, 0);
    published = hear_late(&publisher);
    for (int i = 0; i < READERS; i++) {
        uint64_t received = hear_late(&readers[i]);

        least = received < least ? received : least;
        CHECK_EQ(hear_late(&readers[i]), 0U);
        test_join(&readers[i]);
    }
    CHECK_GT(least, 0U);
    if (policy == CUFRAMES_POLICY_STRICT_WAIT)
        CHECK_EQ(least, published);
    test_join(&publisher);
}

TEST(eight_readers_find_no_torn_frame, .timeout_s = 240)
{
    pass_many(CUFRAMES_POLICY_DROP_OLDEST, CUFRAMES_MODE_NEWEST_ONLY);
}

TEST(eight_readers_in_order_lose_none, .timeout_s = 240)
{
    if (!on_standin() && !getenv("CUFRAMES_TEST_FRAMES"))
        setenv("CUFRAMES_TEST_FRAMES", "10000", 1);
    pass_many(CUFRAMES_POLICY_STRICT_WAIT, CUFRAMES_MODE_STRICT_ORDER);
}
