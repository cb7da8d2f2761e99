/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Processes that die, stop, come back and fork: what they held is free at once, what others hold
 * stays as it is, and a lost publisher is told or waited for.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/resources.h"
#include "support.h"

TEST(killed_subscriber_frees_its_slots_at_once)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct test_resources before;
    struct test_peer peer;

    test_resources_take(&before);
    for (int round = 0; round < 5; round++) {
        spawn_reader(&peer, &config);
        for (int i = 0; i < 2; i++) {
            publish(publisher, i);
            CHECK_EQ(order(&peer, READER_TAKE), (uint64_t)i);
        }
        CHECK_EQ(publisher_stats(publisher).slots_held, 2U);
        test_kill(&peer);
        WAIT_FOR(publisher_stats(publisher).subscribers == 0, 2000);
        CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
        publish_many(publisher, 2, 20);
        CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    }
    CHECK_NO_LEAK(&before, "after subscribers were killed");
    test_resources_free(&before);
    cuframes_publisher_destroy(publisher);
}

/* Attaches, reads a little, detaches, for ever. */
static void come_and_go(struct test_peer *test, void *argument)
{
    test_say(test, 0);
    for (;;) {
        cuframes_subscriber_t *reader = make_subscriber(argument);
        cuframes_frame_t *frame;

        for (int i = 0; i < 3; i++)
            if (cuframes_subscriber_next(reader, NULL, &frame, 1) == CUFRAMES_OK)
                cuframes_frame_release(frame);
        cuframes_subscriber_destroy(reader);
    }
}

/* A pause whose length differs from call to call, below `most_us`. */
static void pause_at_random(unsigned most_us)
{
    static uint64_t state = 88172645463325252U;
    int64_t until;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    until = cuframes_now_ns() + (int64_t)(state % most_us) * 1000;
    while (cuframes_now_ns() < until)
        sched_yield();
}

TEST(subscribers_killed_at_any_step_leave_nothing, .timeout_s = 60)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct test_resources before;
    struct test_peer peer;

    publish(publisher, 0);
    test_resources_take(&before);
    for (int round = 0; round < 100; round++) {
        test_spawn(&peer, come_and_go, &config, NULL);
        CHECK_HEAR(&peer, 0);
        publish(publisher, round);
        pause_at_random(3000);
        test_kill(&peer);
    }
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, 2000);
    publish_many(publisher, 1000, 20);
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    /* A connection that was cut off before it said anything is closed too. */
    WAIT_FOR(test_count_descriptors("") <= before.descriptor_count, 4000);
    CHECK_NO_LEAK(&before, "after subscribers were killed at any step");
    test_resources_free(&before);
    cuframes_publisher_destroy(publisher);
}

/* Publishes as fast as it can, for ever. */
static void publish_for_ever(struct test_peer *test, void *argument)
{
    cuframes_publisher_t *publisher = make_publisher(argument);

    test_say(test, 0);
    for (int64_t i = 0;; i++) {
        cuframes_buffer_t *buffer;
        cuframes_frame_meta_t meta = {.pts_ns = i};

        if (cuframes_publisher_acquire_buffer(publisher, &buffer) != CUFRAMES_OK)
            continue;
        fill_pattern(cuframes_buffer_data(buffer), cuframes_buffer_layout(buffer)->size, i);
        CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
        cuframes_buffer_unref(buffer);
    }
}

/* Reads frames till the publisher is gone, and checks each; keeps the first. */
static void read_to_the_end(cuframes_subscriber_t *reader)
{
    cuframes_frame_t *first = take_frame(reader), *frame;
    int err;

    while ((err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms())) == 0) {
        check_pattern(frame);
        cuframes_frame_release(frame);
    }
    CHECK_EQ(err, CUFRAMES_ERR_DISCONNECTED);
    check_pattern(first);
    cuframes_frame_release(first);
}

static void read_in_peer(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_subscriber(argument);

    test_say(test, 0);
    read_to_the_end(reader);
    cuframes_subscriber_destroy(reader);
}

TEST(publisher_killed_while_it_writes_leaves_no_torn_frame, .timeout_s = 60)
{
    static const int modes[2] = {CUFRAMES_MODE_NEWEST_ONLY, CUFRAMES_MODE_STRICT_ORDER};
    cuframes_publisher_config_t config = small_config("cam");
    struct test_peer publisher, readers[2];

    config.width = 320;
    config.height = 240;
    for (int round = 0; round < 30; round++) {
        test_spawn(&publisher, publish_for_ever, &config, NULL);
        CHECK_HEAR(&publisher, 0);
        for (int i = 0; i < 2; i++) {
            cuframes_subscriber_config_t wanted = reader_config("cam", modes[i]);

            test_spawn(&readers[i], read_in_peer, &wanted, NULL);
            CHECK_HEAR(&readers[i], 0);
        }
        pause_at_random(30000);
        test_kill(&publisher);
        for (int i = 0; i < 2; i++)
            test_join(&readers[i]);
    }
    test_may_remain("cam.sock");
}

TEST(publisher_killed_while_it_takes_the_key_leaves_it_free, .timeout_s = 60)
{
    cuframes_publisher_config_t config = small_config("cam");

    for (int round = 0; round < 60; round++) {
        struct test_peer peer;

        test_spawn(&peer, publish_for_ever, &config, NULL);
        pause_at_random(2000);
        test_kill(&peer);
    }
    CHECK_OK(cuframes_publisher_destroy(make_publisher(&config)));
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
}

TEST(held_frames_survive_a_killed_publisher)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    for (uint64_t i = 0; i < 3; i++) {
        test_say(&peer, 10 + i);
        CHECK_HEAR(&peer, i);
    }
    frame = take_frame(reader);
    test_kill(&peer);
    expect_frame(reader, 11);
    expect_frame(reader, 12);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    check_pattern(frame);
    cuframes_subscriber_destroy(reader);
    check_pattern(frame);
    cuframes_frame_release(frame);
    test_may_remain("cam.sock");
}

static cuframes_subscriber_t *make_reconnecting(uint32_t flags)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);

    config.flags = CUFRAMES_SUBSCRIBER_RECONNECT | flags;
    config.consumer_name = "faithful";
    return make_subscriber(&config);
}

/* The first frame of a new publisher. */
static void expect_first_frame(cuframes_subscriber_t *reader, int64_t pts_ns)
{
    cuframes_frame_t *frame = take_frame(reader);

    CHECK_EQ(cuframes_frame_pts_ns(frame), pts_ns);
    CHECK(cuframes_frame_flags(frame) & CUFRAMES_FRAME_DISCONTINUITY);
    CHECK(cuframes_frame_flags(frame) & CUFRAMES_FRAME_GENERATION);
    CHECK_EQ(cuframes_frame_missed(frame), 0U);
    cuframes_frame_release(frame);
}

TEST(subscriber_with_reconnect_follows_a_killed_publisher)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_t *reader = NULL;
    cuframes_frame_t *none, *kept = NULL;
    struct test_peer peer;

    for (uint64_t round = 0; round < 4; round++) {
        config.width = 64 + (int32_t)round;
        spawn_publisher(&peer, &config);
        test_say(&peer, 10 * round);
        CHECK_HEAR(&peer, 0);
        if (round == 0) {
            reader = make_reconnecting(0);
            kept = take_frame(reader);
        } else {
            expect_first_frame(reader, (int64_t)(10 * round));
        }
        test_say(&peer, 10 * round + 1);
        CHECK_HEAR(&peer, 1);
        expect_frame(reader, (int64_t)(10 * round + 1));
        test_kill(&peer);
        CHECK_ERR(cuframes_subscriber_next(reader, NULL, &none, 80), CUFRAMES_ERR_TIMEOUT);
        EXPECT_NOTHING(reader);
    }
    CHECK_EQ(subscriber_stats(reader).reconnects, 3U);
    CHECK_EQ(subscriber_stats(reader).received, 8U);
    CHECK_STR_EQ(cuframes_subscriber_name(reader), "faithful");
    check_pattern(kept);
    cuframes_frame_release(kept);
    cuframes_subscriber_destroy(reader);
    test_may_remain("cam.sock");
}

TEST(subscriber_with_reconnect_follows_a_publisher_that_closed)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reconnecting(0);

    for (int i = 0; i < 5; i++) {
        publish(publisher, i);
        if (i == 0)
            expect_frame(reader, 0);
        else
            expect_first_frame(reader, i);
        cuframes_publisher_destroy(publisher);
        publisher = make_small_publisher("cam");
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(polled_descriptor_tells_of_a_publisher_that_comes_back)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reconnecting(CUFRAMES_SUBSCRIBER_POLL);
    int fd = cuframes_subscriber_fd(reader);

    EXPECT_NOTHING(reader);
    for (int i = 0; i < 5; i++) {
        cuframes_frame_t *frame;

        cuframes_publisher_destroy(publisher);
        CHECK(test_readable(fd, test_patience_ms()));
        EXPECT_NOTHING(reader);
        publisher = make_small_publisher("cam");
        publish(publisher, i);
        do
            CHECK(test_readable(fd, test_patience_ms()));
        while (cuframes_subscriber_next(reader, NULL, &frame, 0) == CUFRAMES_ERR_WOULD_BLOCK);
        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        cuframes_frame_release(frame);
        CHECK_EQ(cuframes_subscriber_fd(reader), fd);
        EXPECT_NOTHING(reader);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(stopped_publisher_makes_nobody_hang)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_channel_report_t *report = NULL;
    cuframes_subscriber_t *reader, *late = NULL;
    cuframes_publisher_t *second = NULL;
    cuframes_frame_t *frame;
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    test_stop(&peer);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &frame, 100), CUFRAMES_ERR_TIMEOUT);
    wanted.connect_timeout_ms = 100;
    CHECK_ERR(cuframes_subscriber_create(&wanted, &late), CUFRAMES_ERR_TIMEOUT);
    CHECK_ERR(cuframes_query(NULL, "cam", 100, &report), CUFRAMES_ERR_TIMEOUT);
    CHECK_ERR(cuframes_publisher_create(&config, &second), CUFRAMES_ERR_ALREADY_EXISTS);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    test_continue(&peer);
    late = make_subscriber(&wanted);
    test_say(&peer, 5);
    CHECK_HEAR(&peer, 0);
    expect_frame(late, 5);
    cuframes_subscriber_destroy(late);
    test_join(&peer);
}

/* ---- fork ---- */

/* Runs `body` in a forked child, which must exit with 0; the child has copies of everything. */
static void in_fork(void (*body)(void *), void *argument)
{
    pid_t pid = CHECK_SYS(fork());
    int status;

    if (pid == 0) {
        body(argument);
        fflush(NULL);
        _exit(0);
    }
    CHECK_SYS(waitpid(pid, &status, 0));
    CHECK_EQ(status, 0);
}

struct family {
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_buffer_t *buffer;
    cuframes_frame_t *frame;
    cuframes_async_subscriber_t *async;
};

static void use_inherited(void *argument)
{
    struct family *f = argument;
    cuframes_publisher_config_t config = small_config(NULL);
    cuframes_publisher_stats_t stats;
    cuframes_channel_info_t info;
    cuframes_buffer_t *buffer;
    cuframes_frame_t *frame;
    void *memory;

    CHECK_ERR_SAYS(cuframes_publisher_acquire(f->publisher, &memory), CUFRAMES_ERR_INVALID_ARG,
                   "fork");
    CHECK_ERR(cuframes_publisher_publish(f->publisher, NULL, 0), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_acquire_buffer(f->publisher, &buffer), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_publish_buffer(f->publisher, f->buffer, NULL, NULL, NULL),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_reconfigure(f->publisher, &config), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_stats(f->publisher, &stats), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_info(f->publisher, &info), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR_SAYS(cuframes_subscriber_next(f->reader, NULL, &frame, -1), CUFRAMES_ERR_INVALID_ARG,
                   "fork");
    CHECK_ERR(cuframes_subscriber_fd(f->reader), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_subscriber_info(f->reader, &info), CUFRAMES_ERR_INVALID_ARG);
    check_pattern(f->frame);
    CHECK_OK(cuframes_frame_release(f->frame));
    CHECK_OK(cuframes_subscriber_destroy(f->reader));
    CHECK_OK(cuframes_async_subscriber_destroy(f->async));
    cuframes_buffer_unref(f->buffer);
    CHECK_OK(cuframes_publisher_destroy(f->publisher));
}

static void ignore_frame(const cuframes_frame_t *frame, void *user)
{
    (void)frame, (void)user;
}

static struct family make_family(void)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_config_t channel = small_config("cam");
    struct family f;

    /* One for the buffer, one for the frame, one for each that the callback may have just then. */
    channel.ring_size = 6;
    f.publisher = make_publisher(&channel);
    publish(f.publisher, 1);
    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    f.reader = make_subscriber(&config);
    f.frame = take_frame(f.reader);
    CHECK_OK(cuframes_publisher_acquire_buffer(f.publisher, &f.buffer));
    config.flags = 0;
    CHECK_OK(cuframes_async_subscriber_create(&config, ignore_frame, NULL, &f.async));
    return f;
}

static void end_family(struct family *f)
{
    cuframes_frame_release(f->frame);
    cuframes_subscriber_destroy(f->reader);
    cuframes_async_subscriber_destroy(f->async);
    cuframes_buffer_unref(f->buffer);
    cuframes_publisher_destroy(f->publisher);
}

TEST(child_cannot_use_what_it_inherited_and_harms_nothing)
{
    struct family f = make_family();

    in_fork(use_inherited, &f);
    CHECK_EQ(access(test_runtime_path("cam.sock"), F_OK), 0);
    CHECK_EQ(publisher_stats(f.publisher).subscribers, 2U);
    publish_many(f.publisher, 2, 10);
    CHECK_EQ(cuframes_frame_pts_ns(f.frame), 1);
    check_pattern(f.frame);
    expect_frame(f.reader, 11);
    end_family(&f);
}

static void subscribe_and_publish(void *argument)
{
    cuframes_publisher_t *publisher = make_small_publisher("childs");
    cuframes_subscriber_t *own = make_reader("childs", 0), *parents = make_reader("cam", 0);

    (void)argument;
    publish(publisher, 3);
    expect_frame(own, 3);
    expect_frame(parents, 1);
    cuframes_subscriber_destroy(own);
    cuframes_subscriber_destroy(parents);
    cuframes_publisher_destroy(publisher);
}

TEST(child_can_make_its_own)
{
    struct family f;

#ifdef __SANITIZE_ADDRESS__
    /* Its allocator's locks are copied by fork() as they are: a thread of the parent that frees
     * something in that moment leaves the child with an allocator that never answers. */
    SKIP("the address sanitizer's allocator does not survive a fork() beside busy threads");
#endif
    f = make_family();

    in_fork(subscribe_and_publish, NULL);
    WAIT_FOR(publisher_stats(f.publisher).subscribers == 2, 2000);
    publish(f.publisher, 2);
    expect_frame(f.reader, 2);
    end_family(&f);
}

TEST(living_child_keeps_no_channel_alive)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct test_peer peer;
    int hold_on[2];
    char byte;
    pid_t child;

    CHECK_SYS(pipe2(hold_on, O_CLOEXEC));
    spawn_reader(&peer, &config);
    child = CHECK_SYS(fork());
    if (child == 0) {
        close(hold_on[1]);
        _exit(read(hold_on[0], &byte, 1) == 0 ? 0 : 1);
    }
    cuframes_subscriber_destroy(reader);
    WAIT_FOR(publisher_stats(publisher).subscribers == 1, 2000);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(order(&peer, READER_ERROR), (uint64_t)-CUFRAMES_ERR_DISCONNECTED);
    publisher = make_small_publisher("cam");
    cuframes_publisher_destroy(publisher);
    close(hold_on[1]);
    CHECK_SYS(waitpid(child, NULL, 0));
    close(hold_on[0]);
    test_join(&peer);
}
