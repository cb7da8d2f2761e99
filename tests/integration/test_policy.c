/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two policies under subscribers that are slow, stopped, greedy or dead: drop never waits, wait
 * loses nothing and evicts who is in the way, and nobody else notices.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#include "support.h"

static cuframes_publisher_config_t wait_config(int32_t ack_timeout_ms)
{
    cuframes_publisher_config_t config = small_config("cam");

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = ack_timeout_ms;
    return config;
}

TEST(drop_counts_frames_that_find_no_slot_and_recovers)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frames[3];
    cuframes_buffer_t *buffer = NULL;
    void *memory;

    config.max_holds = 3;
    publisher = make_publisher(&config);
    wanted.max_holds = 3;
    reader = make_subscriber(&wanted);
    for (int i = 0; i < 3; i++) {
        publish(publisher, i);
        frames[i] = take_frame(reader);
    }
    publish(publisher, 3); /* the newest is nobody's, and cannot be taken either */
    for (int i = 0; i < 5; i++)
        CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &buffer),
                       CUFRAMES_ERR_WOULD_BLOCK, "held");
    CHECK_ERR(cuframes_publisher_acquire(publisher, &memory), CUFRAMES_ERR_WOULD_BLOCK);
    CHECK(!buffer);
    CHECK_EQ(publisher_stats(publisher).dropped, 6U);
    for (int i = 0; i < 3; i++)
        check_pattern(frames[i]);
    cuframes_frame_release(frames[1]);
    publish(publisher, 4);
    check_pattern(frames[0]);
    check_pattern(frames[2]);
    expect_frame(reader, 3);
    CHECK_EQ(subscriber_stats(reader).publisher_dropped, 6U);
    cuframes_frame_release(frames[0]);
    cuframes_frame_release(frames[2]);
    expect_frame(reader, 4);
    publish_many(publisher, 5, 20);
    CHECK_EQ(publisher_stats(publisher).dropped, 6U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(drop_is_not_slowed_by_a_stopped_subscriber)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *other = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct test_peer peer;

    spawn_reader(&peer, &config);
    publish(publisher, 1);
    CHECK_EQ(order(&peer, READER_TAKE), 1U);
    expect_frame(other, 1);
    test_stop(&peer);
    for (int i = 2; i < 1000; i++) {
        publish(publisher, i);
        expect_frame(other, i);
    }
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    CHECK_EQ(publisher_stats(publisher).subscribers, 2U);
    test_continue(&peer);
    CHECK_EQ(order(&peer, READER_CHECK), 1U);
    CHECK_EQ(order(&peer, READER_RELEASE), 0U);
    CHECK_GE(order(&peer, READER_TAKE), 996U);
    test_join(&peer);
    cuframes_subscriber_destroy(other);
    cuframes_publisher_destroy(publisher);
}

/* Takes `count` frames in order, slowly, and checks that none is missing. */
static void read_all_slowly(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_subscriber(argument);

    test_say(test, 0);
    for (int i = 0; i < 200; i++) {
        expect_frame(reader, i);
        if (i % 16 == 0)
            test_pause_until(cuframes_now_ns() + 5000000);
    }
    CHECK_EQ(subscriber_stats(reader).missed, 0U);
    cuframes_subscriber_destroy(reader);
}

TEST(wait_loses_nothing)
{
    cuframes_publisher_config_t config = wait_config(-1);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct test_peer peers[3];

    for (int i = 0; i < 3; i++) {
        test_spawn(&peers[i], read_all_slowly, &wanted, NULL);
        CHECK_HEAR(&peers[i], 0);
    }
    publish_many(publisher, 0, 200);
    for (int i = 0; i < 3; i++)
        test_join(&peers[i]);
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    CHECK_GT(publisher_stats(publisher).waited_ns, 0U);
    cuframes_publisher_destroy(publisher);
}

TEST(wait_does_not_wait_for_those_who_want_the_newest)
{
    cuframes_publisher_config_t config = wait_config(-1);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);

    publish_many(publisher, 0, 100);
    expect_frame(reader, 99);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(wait_without_subscribers_does_not_wait)
{
    cuframes_publisher_config_t config = wait_config(-1);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    publish_many(publisher, 0, 4);
    cuframes_subscriber_destroy(reader);
    publish_many(publisher, 4, 20);
    cuframes_publisher_destroy(publisher);
}

/* One subscriber is in the way, another is not; the first is evicted, the other gets all. */
static void check_eviction(cuframes_publisher_t *publisher, struct test_peer *in_the_way)
{
    cuframes_subscriber_t *other = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;
    int64_t first = (int64_t)publisher_stats(publisher).newest_seq;
    bool empty = publisher_stats(publisher).published == 0;

    if (!empty)
        expect_frame(other, first);
    else
        first = -1;
    for (int64_t i = first + 1; i < first + 40; i++) {
        publish(publisher, i);
        frame = take_frame(other);
        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        CHECK_EQ(cuframes_frame_missed(frame), 0U);
        cuframes_frame_release(frame);
    }
    CHECK_EQ(publisher_stats(publisher).evicted, 1U);
    WAIT_FOR(publisher_stats(publisher).subscribers == 1, 2000);
    test_continue(in_the_way);
    CHECK_EQ(order(in_the_way, READER_ERROR), (uint64_t)-CUFRAMES_ERR_EVICTED);
    CHECK_EQ(order(in_the_way, READER_ERROR), (uint64_t)-CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(other);
}

TEST(wait_evicts_a_stopped_subscriber)
{
    cuframes_publisher_config_t config = wait_config(50);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct test_peer peer;

    spawn_reader(&peer, &wanted);
    test_stop(&peer);
    check_eviction(publisher, &peer);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

TEST(wait_evicts_a_subscriber_that_never_releases)
{
    cuframes_publisher_config_t config = wait_config(50);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct test_peer peer;

    config.max_holds = 3;
    wanted.max_holds = 3;
    publisher = make_publisher(&config);
    spawn_reader(&peer, &wanted);
    /* It holds all slots but the newest. */
    for (int i = 0; i < 3; i++) {
        publish(publisher, i);
        CHECK_EQ(order(&peer, READER_TAKE), (uint64_t)i);
    }
    check_eviction(publisher, &peer);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

/* One holds a frame, as it may; another has stopped reading. Only that one is in the way. */
TEST(wait_spares_who_only_holds)
{
    cuframes_publisher_config_t config = wait_config(50);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *holder = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *late = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;

    publish(publisher, 0);
    frame = take_frame(holder);
    expect_frame(late, 0);
    publish_many(publisher, 1, 10);
    CHECK_EQ(publisher_stats(publisher).evicted, 1U);
    CHECK_OK(cuframes_frame_check(frame));
    check_pattern(frame);
    cuframes_frame_release(frame);
    expect_frame(holder, 10);
    EXPECT_ERROR(late, CUFRAMES_ERR_EVICTED);
    cuframes_subscriber_destroy(late);
    cuframes_subscriber_destroy(holder);
    cuframes_publisher_destroy(publisher);
}

/* Whatever has become of the slot that it held. */
TEST(the_evicted_are_told_so)
{
    for (int more = 5; more < 10; more++) {
        cuframes_publisher_config_t config = wait_config(20);
        cuframes_publisher_t *publisher = make_publisher(&config);
        cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
        cuframes_frame_t *frame;

        publish(publisher, 0);
        frame = take_frame(reader);
        publish_many(publisher, 1, more);
        EXPECT_ERROR(reader, CUFRAMES_ERR_EVICTED);
        cuframes_frame_release(frame);
        cuframes_subscriber_destroy(reader);
        cuframes_publisher_destroy(publisher);
    }
}

TEST(evicted_frames_say_that_they_are_no_longer_protected)
{
    cuframes_publisher_config_t config = wait_config(50);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    wanted.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    reader = make_subscriber(&wanted);
    publish(publisher, 0);
    frame = take_frame(reader);
    CHECK_OK(cuframes_frame_check(frame));
    publish_many(publisher, 1, 6);
    CHECK_EQ(publisher_stats(publisher).evicted, 1U);
    CHECK_ERR_SAYS(cuframes_frame_check(frame), CUFRAMES_ERR_EVICTED, "evicted");
    EXPECT_ERROR(reader, CUFRAMES_ERR_EVICTED);
    CHECK_STR_HAS(cuframes_last_error(), "consumer_ack_timeout_ms");
    cuframes_frame_release(frame);
    /* With reconnect it comes back with the next call, at the newest frame. */
    frame = take_frame(reader);
    CHECK_EQ(cuframes_frame_pts_ns(frame), 6);
    CHECK(cuframes_frame_flags(frame) & CUFRAMES_FRAME_DISCONTINUITY);
    cuframes_frame_release(frame);
    CHECK_EQ(subscriber_stats(reader).reconnects, 1U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(wait_goes_on_at_once_when_the_one_in_the_way_dies)
{
    cuframes_publisher_config_t config = wait_config(-1);
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct test_peer peer;

    spawn_reader(&peer, &wanted);
    publish_many(publisher, 0, 4);
    CHECK_EQ(order(&peer, READER_TAKE), 0U);
    /* Its death is the only thing that can free a slot. */
    CHECK_SYS(kill(peer.pid, SIGKILL));
    publish_many(publisher, 4, 10);
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    test_kill(&peer);
    cuframes_publisher_destroy(publisher);
}

struct waiting_thread {
    cuframes_publisher_t *publisher;
    atomic_bool done;
};

static void *publish_one(void *argument)
{
    struct waiting_thread *w = argument;

    publish(w->publisher, 4);
    atomic_store(&w->done, true);
    return NULL;
}

TEST(wait_goes_on_when_the_frame_is_read, .threads = true)
{
    cuframes_publisher_config_t config = wait_config(-1);
    struct waiting_thread w = {.publisher = make_publisher(&config)};
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;
    pthread_t thread;

    publish_many(w.publisher, 0, 4);
    frame = take_frame(reader);
    CHECK_EQ(pthread_create(&thread, NULL, publish_one, &w), 0);
    /* The publisher waits for the frame that is held; nothing can be seen of that but time. */
    test_pause_until(cuframes_now_ns() + 20000000);
    CHECK(!atomic_load(&w.done));
    check_pattern(frame);
    cuframes_frame_release(frame);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    for (int i = 1; i < 5; i++)
        expect_frame(reader, i);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(w.publisher);
}
