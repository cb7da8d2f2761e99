/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Deaths at random: subscribers and publishers are killed after a random time, thousands of them,
 * while three others read and check every frame, and three every packet. $CUFRAMES_TEST_SECONDS says
 * for how long; it goes on until there were LEAST_KILLS of them.
 */
#include <unistd.h>

#include "crowd.h"
#include "harness/resources.h"
#include "integration/support.h"
#include "packet_crowd.h"

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

static void read_frames(uint64_t round)
{
    const cuframes_subscriber_config_t config = {
        .key = CROWD_KEY,
        .mode = (int)(round & 1),
        .flags = round & 2 ? CUFRAMES_SUBSCRIBER_POLL : 0,
        .connect_timeout_ms = 1000,
        .max_holds = 2,
    };
    cuframes_frame_t *frames[2] = {NULL, NULL};
    cuframes_subscriber_t *reader;

    /* Its publisher may be dying, too. */
    if (cuframes_subscriber_create(&config, &reader) != CUFRAMES_OK)
        return;
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

static void read_packets(uint64_t round)
{
    const cuframes_subscriber_config_t config = {
        .key = CROWD_KEY,
        .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY | (round & 2 ? CUFRAMES_SUBSCRIBER_POLL : 0),
        .connect_timeout_ms = 1000,
    };
    const cuframes_packet_options_t options = {.start = (cuframes_packet_start_t)(round % 2)};
    cuframes_packet_t *packet = NULL;
    cuframes_subscriber_t *reader;

    if (cuframes_subscriber_create(&config, &reader) != CUFRAMES_OK)
        return;
    if (cuframes_subscriber_enable_packets_from(reader, &options) == CUFRAMES_OK) {
        for (int i = 0; i < 16; i++) {
            if (cuframes_subscriber_next_packet(reader, &packet, 2) != CUFRAMES_OK)
                continue;
            packet_crowd_check(reader, packet);
            cuframes_subscriber_release_packet(reader, packet);
        }
    }
    cuframes_subscriber_destroy(reader);
}

/* Attaches in any mode, takes, keeps, releases, waits, polls, detaches, for ever. */
static void be_restless(struct test_peer *test, void *argument)
{
    uint64_t number = *(const uint64_t *)argument;

    (void)test;
    for (uint64_t round = number;; round++)
        round % 3 == 2 ? read_packets(round / 3) : read_frames(round / 3);
}

static cuframes_publisher_t *make_channel(const cuframes_publisher_config_t *config, bool grows)
{
    const cuframes_packet_ring_options_t ring = packet_crowd_ring(grows);
    cuframes_publisher_t *publisher = make_publisher(config);

    CHECK_OK(cuframes_publisher_enable_packets(publisher, &ring));
    return publisher;
}

static void publish_for_ever(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    cuframes_publisher_t *publisher = make_channel(&config, *(const uint64_t *)argument % 2);
    int64_t pts = 0;

    test_say(test, 0);
    for (;; pts++) {
        if (pts % 50 == 49) {
            config.width ^= 64;
            CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
        }
        crowd_publish(publisher, pts, 1, 50);
        packet_crowd_publish(publisher, 2 * pts, 2, 50);
    }
}

static void replace_publisher(struct test_peer *publisher, uint64_t number)
{
    if (publisher->pid > 0)
        test_kill(publisher);
    test_spawn(publisher, publish_for_ever, &number, NULL);
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

/* What is left of them all: nothing that a last publisher could stumble over. */
static void publish_last(void)
{
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    cuframes_publisher_t *last = make_channel(&config, false);

    WAIT_FOR(publisher_stats(last).subscribers == 2 * CROWD, test_patience_ms());
    publish(last, CROWD_END);
    packet_crowd_end(last);
    WAIT_FOR(publisher_stats(last).subscribers == 0, test_patience_ms());
    CHECK_EQ(publisher_stats(last).slots_held, 0U);
    CHECK_OK(cuframes_publisher_destroy(last));
}

TEST(deaths_at_random, .timeout_s = 100000)
{
    const int64_t end = cuframes_now_ns() + test_seconds(0) * INT64_C(1000000000);
    struct test_peer publisher = {.pid = -1};
    struct test_resources before;
    struct crowd frames, packets;
    uint64_t subscribers = 0, publishers = 0;
    unsigned long long verified, verified_packets;

    random_state = (uint64_t)cuframes_now_ns() | 1;
    printf("seed %llu\n", (unsigned long long)random_state);
    test_resources_take(&before);
    crowd_start(&frames, false);
    packet_crowd_start(&packets);
    replace_publisher(&publisher, 0);
    while (subscribers + publishers < LEAST_KILLS || cuframes_now_ns() < end) {
        kill_some(&subscribers);
        if (subscribers % PUBLISHER_EVERY == 0)
            replace_publisher(&publisher, ++publishers);
    }
    test_kill(&publisher);
    publish_last();
    verified = atomic_load(&frames.board->verified);
    verified_packets = atomic_load(&packets.board->verified);
    crowd_finish(&frames);
    crowd_finish(&packets);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    CHECK_NO_LEAK(&before, "after all those deaths");
    test_resources_free(&before);
    test_report("%llu subscribers and %llu publishers killed at random; the others verified %llu "
                "frames and %llu packets: 0 torn, 0 leaks\n",
                (unsigned long long)subscribers, (unsigned long long)publishers, verified,
                verified_packets);
}
