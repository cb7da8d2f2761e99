/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deaths at random: subscribers and publishers are killed after a random time, thousands of them,
 * while three others read and check every frame. $CUFRAMES_TEST_SECONDS says for how long; it goes on
 * until there were LEAST_KILLS of them.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "crowd.h"
#include "harness/resources.h"
#include "integration/support.h"

#define LEAST_KILLS     10000
#define AT_ONCE         8
#define MOST_LIFE_US    1500
#define PUBLISHER_EVERY 40 /* one publisher for so many subscribers */

static uint64_t random_state;

static uint64_t random_below(uint64_t limit)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % limit;
}

/* Attaches in any mode, takes, keeps, releases, waits, polls, detaches, for ever. */
static void be_restless(struct test_peer *test, void *argument)
{
    uint64_t number = *(const uint64_t *)argument;

    (void)test;
    for (uint64_t round = number;; round++) {
        cuframes_subscriber_config_t config = {
            .key = CROWD_KEY,
            .mode = (int)(round & 1),
            .flags = round & 2 ? CUFRAMES_SUBSCRIBER_POLL : 0,
            .connect_timeout_ms = 1000,
            .max_holds = 2,
        };
        cuframes_subscriber_t *reader;
        cuframes_frame_t *frames[2] = {NULL, NULL};

        /* Its publisher may be dying, too. */
        if (cuframes_subscriber_create(&config, &reader) != CUFRAMES_OK)
            continue;
        for (int i = 0; i < 8; i++) {
            cuframes_frame_release(frames[i % 2]);
            frames[i % 2] = NULL;
            if (cuframes_subscriber_next(reader, NULL, &frames[i % 2], 2) == CUFRAMES_OK)
                check_pattern(frames[i % 2]);
        }
        cuframes_frame_release(frames[0]);
        cuframes_frame_release(frames[1]);
        cuframes_subscriber_destroy(reader);
    }
}

static void publish_for_ever(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    cuframes_publisher_t *publisher = make_publisher(&config);
    int64_t pts = 0;

    (void)argument;
    test_say(test, 0);
    for (;;) {
        crowd_publish(publisher, pts, 50, 300);
        pts += 50;
        config.width ^= 64;
        CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    }
}

static void replace_publisher(struct test_peer *publisher)
{
    if (publisher->pid > 0)
        test_kill(publisher);
    test_spawn(publisher, publish_for_ever, NULL, NULL);
    CHECK_HEAR(publisher, 0);
}

/* Kills `AT_ONCE` victims, each after a random time of its own. */
static void kill_some(uint64_t *number)
{
    struct test_peer victims[AT_ONCE];

    for (int i = 0; i < AT_ONCE; i++) {
        test_spawn(&victims[i], be_restless, number, NULL);
        ++*number;
    }
    for (int i = 0; i < AT_ONCE; i++) {
        usleep((useconds_t)random_below(MOST_LIFE_US));
        test_kill(&victims[i]);
    }
}

TEST(deaths_at_random, .timeout_s = 100000)
{
    const int64_t end = cuframes_now_ns() + test_seconds(0) * INT64_C(1000000000);
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    struct test_peer publisher = {.pid = -1};
    cuframes_publisher_t *last;
    struct test_resources before;
    struct crowd crowd;
    uint64_t subscribers = 0, publishers = 0;
    unsigned long long verified;

    random_state = (uint64_t)cuframes_now_ns() | 1;
    printf("seed %llu\n", (unsigned long long)random_state);
    test_resources_take(&before);
    crowd_start(&crowd, false);
    replace_publisher(&publisher);
    while (subscribers + publishers < LEAST_KILLS || cuframes_now_ns() < end) {
        kill_some(&subscribers);
        if (subscribers % PUBLISHER_EVERY == 0) {
            replace_publisher(&publisher);
            publishers++;
        }
    }
    test_kill(&publisher);
    /* What is left of them all: nothing that a last publisher could stumble over. */
    last = make_publisher(&config);
    WAIT_FOR(publisher_stats(last).subscribers == CROWD, test_patience_ms());
    publish(last, CROWD_END);
    verified = atomic_load(&crowd.board->verified);
    crowd_finish(&crowd);
    CHECK_EQ(publisher_stats(last).slots_held, 0U);
    CHECK_OK(cuframes_publisher_destroy(last));
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    CHECK_NO_LEAK(&before, "after all those deaths");
    test_resources_free(&before);
    test_report("%llu subscribers and %llu publishers killed at random; the others verified %llu "
                "frames: 0 torn, 0 leaks\n",
                (unsigned long long)subscribers, (unsigned long long)publishers, verified);
}
