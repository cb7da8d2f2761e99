/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subscriber's side: modes, counts, holds, names, timeouts, and the descriptor to poll.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support.h"

static void refuse(const cuframes_subscriber_config_t *config, int error, const char *words)
{
    cuframes_subscriber_t *subscriber = NULL;

    CHECK_ERR_SAYS(cuframes_subscriber_create(config, &subscriber), error, words);
    CHECK(!subscriber);
}

TEST(bad_values_are_refused)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    char long_name[CUFRAMES_NAME_MAX + 2];

    memset(long_name, 'n', sizeof(long_name) - 1);
    long_name[sizeof(long_name) - 1] = '\0';
#define REFUSE(field, value, error, words)                                                         \
    do {                                                                                           \
        __auto_type good = config.field;                                                           \
        config.field = (value);                                                                    \
        refuse(&config, error, words);                                                             \
        config.field = good;                                                                       \
    } while (0)
    REFUSE(key, NULL, CUFRAMES_ERR_INVALID_ARG, "key");
    REFUSE(key, "", CUFRAMES_ERR_INVALID_ARG, "key");
    REFUSE(key, "../cam", CUFRAMES_ERR_INVALID_ARG, "key");
    REFUSE(mode, 2, CUFRAMES_ERR_INVALID_ARG, "mode");
    REFUSE(mode, -1, CUFRAMES_ERR_INVALID_ARG, "mode");
    REFUSE(flags, 1U << 20, CUFRAMES_ERR_INVALID_ARG, "flags");
    REFUSE(max_fps, -1, CUFRAMES_ERR_INVALID_ARG, "max_fps");
    REFUSE(max_fps, NAN, CUFRAMES_ERR_INVALID_ARG, "max_fps");
    REFUSE(max_fps, INFINITY, CUFRAMES_ERR_INVALID_ARG, "max_fps");
    REFUSE(memory, 7, CUFRAMES_ERR_INVALID_ARG, "memory");
    REFUSE(max_holds, 64, CUFRAMES_ERR_INVALID_ARG, "hold");
    REFUSE(max_holds, 3, CUFRAMES_ERR_TOO_MANY, "hold");
    REFUSE(consumer_name, "", CUFRAMES_ERR_INVALID_ARG, "name");
    REFUSE(consumer_name, "two words", CUFRAMES_ERR_INVALID_ARG, "name");
    REFUSE(consumer_name, "bell\a", CUFRAMES_ERR_INVALID_ARG, "name");
    REFUSE(consumer_name, long_name, CUFRAMES_ERR_INVALID_ARG, "name");
    REFUSE(runtime_dir, "", CUFRAMES_ERR_INVALID_ARG, "directory");
#undef REFUSE
    CHECK_ERR(cuframes_subscriber_create(NULL, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_subscriber_create(&config, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_OK(cuframes_subscriber_destroy(NULL));
    CHECK_OK(cuframes_frame_release(NULL));
    CHECK_OK(cuframes_subscriber_release(NULL, NULL));
    cuframes_publisher_destroy(publisher);
}

TEST(newest_gives_the_newest_and_counts_what_it_passed)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    publish_many(publisher, 0, 3);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    expect_frame(reader, 2);
    EXPECT_NOTHING(reader);
    publish_many(publisher, 3, 4);
    frame = take_frame(reader);
    CHECK_EQ(cuframes_frame_seq(frame), 6U);
    CHECK_EQ(cuframes_frame_missed(frame), 3U);
    cuframes_frame_release(frame);
    EXPECT_NOTHING(reader);
    CHECK_EQ(subscriber_stats(reader).received, 2U);
    CHECK_EQ(subscriber_stats(reader).missed, 3U);
    CHECK_EQ(subscriber_stats(reader).timeouts, 2U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(order_gives_every_frame_and_says_what_came_too_late)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;

    publish_many(publisher, 0, 3);
    for (int i = 0; i < 3; i++)
        expect_frame(reader, i);
    EXPECT_NOTHING(reader);
    /* Four slots: of ten frames the last four are there. */
    publish_many(publisher, 3, 10);
    frame = take_frame(reader);
    CHECK_EQ(cuframes_frame_pts_ns(frame), 9);
    CHECK_EQ(cuframes_frame_missed(frame), 6U);
    cuframes_frame_release(frame);
    for (int i = 10; i < 13; i++)
        expect_frame(reader, i);
    CHECK_EQ(subscriber_stats(reader).missed, 6U);
    CHECK_EQ(subscriber_stats(reader).received, 7U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(order_begins_with_the_newest_frame)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    publish_many(publisher, 0, 3);
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    publish(publisher, 3);
    frame = take_frame(reader);
    CHECK_EQ(cuframes_frame_pts_ns(frame), 2);
    CHECK_EQ(cuframes_frame_missed(frame), 0U);
    cuframes_frame_release(frame);
    expect_frame(reader, 3);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(every_nth_frame)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;

    config.every = 3;
    reader = make_subscriber(&config);
    for (int i = 0; i < 9; i++) {
        publish(publisher, i);
        if (i % 3 == 0)
            expect_frame(reader, i);
        else
            EXPECT_NOTHING(reader);
    }
    CHECK_EQ(subscriber_stats(reader).received, 3U);
    CHECK_EQ(subscriber_stats(reader).missed, 0U);
    CHECK_EQ(subscriber_stats(reader).skipped, 4U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/*
 * Publishes for half a second and checks, by the frames' own times, that what is given is capped
 * and that nothing that was due is left out.
 */
static void check_cap(cuframes_publisher_t *publisher, cuframes_subscriber_t *reader,
                      int64_t interval_ns)
{
    int64_t first = 0, newest = 0, until = cuframes_now_ns() + 500000000;
    int given = 0;

    for (int64_t i = 0; test_pause_until(until); i++) {
        cuframes_frame_t *frame;
        int64_t published;

        publish(publisher, i);
        published = publisher_stats(publisher).newest_ns;
        if (cuframes_subscriber_next(reader, NULL, &frame, 0) != CUFRAMES_OK) {
            CHECK_LT(published - newest, interval_ns);
            continue;
        }
        CHECK_EQ(cuframes_frame_published_ns(frame), published);
        cuframes_frame_release(frame);
        newest = published;
        first = given++ ? first : published;
        CHECK_LE(given, (newest - first) / interval_ns + 2);
    }
    CHECK_GT(given, 2);
    CHECK_EQ(subscriber_stats(reader).received, (uint64_t)given);
    CHECK_EQ(subscriber_stats(reader).missed, 0U);
}

static void check_cap_in_mode(int mode)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", mode);
    cuframes_subscriber_t *reader;

    config.max_fps = 20;
    reader = make_subscriber(&config);
    check_cap(publisher, reader, 50000000);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(max_fps_caps_the_rate)
{
    check_cap_in_mode(CUFRAMES_MODE_NEWEST_ONLY);
    check_cap_in_mode(CUFRAMES_MODE_STRICT_ORDER);
}

TEST(several_frames_are_held_at_once_and_stay_as_they_are)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frames[6], *more;

    config.ring_size = 8;
    publisher = make_publisher(&config);
    wanted.max_holds = 6;
    reader = make_subscriber(&wanted);
    CHECK_EQ(subscriber_stats(reader).max_holds, 6U);
    for (int i = 0; i < 6; i++) {
        publish(publisher, i);
        frames[i] = take_frame(reader);
    }
    publish_many(publisher, 6, 100);
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    CHECK_EQ(publisher_stats(publisher).slots_held, 6U);
    CHECK_EQ(subscriber_stats(reader).held, 6U);
    CHECK_ERR_SAYS(cuframes_subscriber_next(reader, NULL, &more, -1), CUFRAMES_ERR_TOO_MANY,
                   "release");
    for (int i = 0; i < 6; i++) {
        CHECK_EQ(cuframes_frame_pts_ns(frames[i]), i);
        check_pattern(frames[i]);
        CHECK_OK(cuframes_frame_check(frames[i]));
    }
    CHECK_OK(cuframes_subscriber_release(reader, frames[3]));
    expect_frame(reader, 105);
    for (int i = 0; i < 6; i++)
        if (i != 3)
            CHECK_OK(cuframes_frame_release(frames[i]));
    CHECK_EQ(subscriber_stats(reader).held, 0U);
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(holds_that_were_not_asked_for_are_few)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    config.ring_size = 32;
    publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    CHECK_EQ(subscriber_stats(reader).max_holds, 4U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    config.ring_size = 2;
    publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    CHECK_EQ(subscriber_stats(reader).max_holds, 1U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(frames_outlive_their_subscriber)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_frame_t *frame;

    publish(publisher, 5);
    frame = take_frame(reader);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    publish_many(publisher, 6, 50);
    check_pattern(frame);
    CHECK_EQ(publisher_stats(publisher).slots_held, 1U);
    CHECK_OK(cuframes_frame_release(frame));
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, 2000);
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    cuframes_publisher_destroy(publisher);
}

TEST(frames_outlive_their_publisher)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_frame_t *frame;

    publish(publisher, 5);
    frame = take_frame(reader);
    publish(publisher, 6);
    cuframes_publisher_destroy(publisher);
    /* What was announced is given before the end is told. */
    expect_frame(reader, 6);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    CHECK_STR_HAS(cuframes_last_error(), "cam");
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    check_pattern(frame);
    cuframes_subscriber_destroy(reader);
    check_pattern(frame);
    CHECK_EQ(cuframes_frame_seq(frame), 0U);
    cuframes_frame_release(frame);
}

TEST(names_are_unique_in_a_channel)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    cuframes_subscriber_t *first, *nameless, *other;

    config.consumer_name = "recorder";
    first = make_subscriber(&config);
    CHECK_STR_EQ(cuframes_subscriber_name(first), "recorder");
    refuse(&config, CUFRAMES_ERR_ALREADY_EXISTS, "recorder");
    nameless = make_reader("cam", 0);
    other = make_reader("cam", 0);
    CHECK(strlen(cuframes_subscriber_name(nameless)) > 0);
    CHECK(strcmp(cuframes_subscriber_name(nameless), cuframes_subscriber_name(other)) != 0);
    cuframes_subscriber_destroy(first);
    WAIT_FOR(publisher_stats(publisher).subscribers == 2, 2000);
    first = make_subscriber(&config);
    cuframes_subscriber_destroy(first);
    cuframes_subscriber_destroy(nameless);
    cuframes_subscriber_destroy(other);
    cuframes_publisher_destroy(publisher);
}

TEST(connect_timeout_zero_fails_at_once)
{
    cuframes_subscriber_config_t config = reader_config("nobody", 0);
    int64_t began = cuframes_now_ns();

    refuse(&config, CUFRAMES_ERR_NOT_FOUND, "nobody");
    config.runtime_dir = "/does/not/exist";
    refuse(&config, CUFRAMES_ERR_NOT_FOUND, "nobody");
    CHECK_LT(cuframes_now_ns() - began, INT64_C(5000000000));
}

TEST(connect_timeout_is_kept)
{
    cuframes_subscriber_config_t config = reader_config("nobody", 0);
    int64_t began = cuframes_now_ns();

    config.connect_timeout_ms = 100;
    refuse(&config, CUFRAMES_ERR_TIMEOUT, "nobody");
    CHECK_GE(cuframes_now_ns() - began, 100 * INT64_C(1000000));
    config.runtime_dir = "/does/not/exist";
    refuse(&config, CUFRAMES_ERR_TIMEOUT, "nobody");
}

static void wait_for_channel(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader;

    test_say(test, 0);
    reader = make_subscriber(argument);
    expect_frame(reader, 77);
    cuframes_subscriber_destroy(reader);
}

static void check_late_publisher(int32_t connect_timeout_ms)
{
    cuframes_subscriber_config_t config = reader_config("late", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    struct test_peer peer;

    config.connect_timeout_ms = connect_timeout_ms;
    test_spawn(&peer, wait_for_channel, &config, NULL);
    CHECK_HEAR(&peer, 0);
    publisher = make_small_publisher("late");
    WAIT_FOR(publisher_stats(publisher).subscribers == 1, 5000);
    publish(publisher, 77);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

TEST(subscriber_waits_for_a_publisher_that_comes_late)
{
    check_late_publisher(-1);
    check_late_publisher(20000);
}

TEST(timeouts_of_next)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_frame_t *frame = NULL;
    int64_t began = cuframes_now_ns();

    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &frame, 0), CUFRAMES_ERR_WOULD_BLOCK);
    CHECK_ERR_SAYS(cuframes_subscriber_next(reader, NULL, &frame, 120), CUFRAMES_ERR_TIMEOUT,
                   "cam");
    CHECK_GE(cuframes_now_ns() - began, 120 * INT64_C(1000000));
    CHECK(!frame);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, NULL, 0), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_subscriber_next(NULL, NULL, &frame, 0), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(subscriber_stats(reader).timeouts, 2U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void ignore_signal(int number)
{
    (void)number;
}

TEST(signals_neither_end_nor_stretch_a_wait)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    const struct itimerval each_ms = {{0, 1000}, {0, 1000}}, never = {0};
    const struct sigaction action = {.sa_handler = ignore_signal}; /* without SA_RESTART */
    cuframes_frame_t *frame;
    int64_t began;

    CHECK_SYS(sigaction(SIGALRM, &action, NULL));
    CHECK_SYS(setitimer(ITIMER_REAL, &each_ms, NULL));
    began = cuframes_now_ns();
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &frame, 150), CUFRAMES_ERR_TIMEOUT);
    CHECK_GE(cuframes_now_ns() - began, 150 * INT64_C(1000000));
    CHECK_LT(cuframes_now_ns() - began, 5000 * INT64_C(1000000));
    for (int i = 0; i < 100; i++) {
        publish(publisher, i);
        expect_frame(reader, i);
        cuframes_subscriber_destroy(make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY));
    }
    CHECK_SYS(setitimer(ITIMER_REAL, &never, NULL));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void answer_frames(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_subscriber(argument);
    cuframes_frame_t *frame;

    test_say(test, 0);
    for (int i = 0; i < 200; i++) {
        CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, -1));
        check_pattern(frame);
        test_say(test, (uint64_t)cuframes_frame_pts_ns(frame));
        cuframes_frame_release(frame);
    }
    cuframes_subscriber_destroy(reader);
}

TEST(sleeping_subscriber_is_woken_by_each_frame)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct test_peer peer;

    test_spawn(&peer, answer_frames, &config, NULL);
    CHECK_HEAR(&peer, 0);
    for (uint64_t i = 0; i < 200; i++) {
        publish(publisher, (int64_t)i);
        CHECK_HEAR(&peer, i);
    }
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

static cuframes_subscriber_t *make_polling(int *fd)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;

    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    reader = make_subscriber(&config);
    *fd = cuframes_subscriber_fd(reader);
    CHECK_GE(*fd, 0);
    return reader;
}

TEST(descriptor_polls_readable_for_each_frame)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    int fd;
    cuframes_subscriber_t *reader = make_polling(&fd);

    EXPECT_NOTHING(reader);
    for (int i = 0; i < 50; i++) {
        CHECK(!test_readable(fd, 0));
        publish(publisher, i);
        CHECK(test_readable(fd, test_patience_ms()));
        expect_frame(reader, i);
        EXPECT_NOTHING(reader);
    }
    /* Several frames for one poll. */
    publish_many(publisher, 50, 3);
    CHECK(test_readable(fd, test_patience_ms()));
    for (int i = 50; i < 53; i++)
        expect_frame(reader, i);
    EXPECT_NOTHING(reader);
    CHECK(!test_readable(fd, 0));
    CHECK_EQ(cuframes_subscriber_fd(reader), fd);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(descriptor_polls_readable_when_the_publisher_closes)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    int fd;
    cuframes_subscriber_t *reader = make_polling(&fd);

    EXPECT_NOTHING(reader);
    cuframes_publisher_destroy(publisher);
    CHECK(test_readable(fd, test_patience_ms()));
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
}

TEST(descriptor_polls_readable_when_the_publisher_is_killed)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_t *reader;
    struct test_peer peer;
    int fd;

    spawn_publisher(&peer, &config);
    reader = make_polling(&fd);
    EXPECT_NOTHING(reader);
    CHECK(!test_readable(fd, 0));
    test_kill(&peer);
    CHECK(test_readable(fd, test_patience_ms()));
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    test_may_remain("cam.sock");
}

TEST(descriptor_must_be_asked_for)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", 0);

    CHECK_ERR_SAYS(cuframes_subscriber_fd(reader), CUFRAMES_ERR_INVALID_ARG, "POLL");
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(given_connection_attaches)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = {.mode = CUFRAMES_MODE_STRICT_ORDER};
    cuframes_subscriber_t *reader = NULL;
    cuframes_channel_info_t info;
    int ends[2];

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_OK(cuframes_publisher_add_client(publisher, ends[0]));
    CHECK_OK(cuframes_subscriber_create_from_fd(&config, ends[1], &reader));
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_STR_EQ(info.key, "cam");
    publish(publisher, 1);
    expect_frame(reader, 1);
    cuframes_subscriber_destroy(reader);

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_OK(cuframes_publisher_add_client(publisher, ends[0]));
    config.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    CHECK_ERR_SAYS(cuframes_subscriber_create_from_fd(&config, ends[1], &reader),
                   CUFRAMES_ERR_INVALID_ARG, "reconnect");
    cuframes_publisher_destroy(publisher);
}

TEST(given_connection_without_an_answer_times_out)
{
    cuframes_subscriber_config_t config = {.connect_timeout_ms = 100};
    cuframes_subscriber_t *reader = NULL;
    int ends[2];

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_ERR(cuframes_subscriber_create_from_fd(&config, ends[1], &reader), CUFRAMES_ERR_TIMEOUT);
    CHECK(*cuframes_last_error());
    close(ends[0]);
    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    close(ends[0]);
    CHECK_ERR(cuframes_subscriber_create_from_fd(&config, ends[1], &reader),
              CUFRAMES_ERR_DISCONNECTED);
    CHECK(!reader);
}

TEST(info_is_the_publishers)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", 0);
    cuframes_channel_info_t ours, theirs;

    CHECK_OK(cuframes_publisher_info(publisher, &theirs));
    CHECK_OK(cuframes_subscriber_info(reader, &ours));
    CHECK_MEM_EQ(&ours, &theirs, sizeof(ours));
    CHECK_ERR(cuframes_subscriber_info(reader, NULL), CUFRAMES_ERR_INVALID_ARG);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(wanted_memory_must_be_what_there_is)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    cuframes_subscriber_t *reader;

    setenv("CUFRAMES_LIBCUDA", "/nowhere/libcuda.so.1", 1);
    config.memory = CUFRAMES_MEMORY_CUDA;
    refuse(&config, CUFRAMES_ERR_CUDA, "NVIDIA driver");
    config.memory = CUFRAMES_MEMORY_HOST;
    reader = make_subscriber(&config);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(publisher_knows_its_subscribers)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_info_t list[2] = {0};
    cuframes_subscriber_t *reader, *other;
    cuframes_frame_t *frame;

    config.consumer_name = "one";
    reader = make_subscriber(&config);
    publish_many(publisher, 0, 3);
    frame = take_frame(reader);
    CHECK_EQ(cuframes_publisher_subscribers(publisher, list, 2), 1);
    CHECK_STR_EQ(list[0].name, "one");
    CHECK_EQ(list[0].mode, CUFRAMES_MODE_STRICT_ORDER);
    CHECK_EQ(list[0].held, 1U);
    CHECK_EQ(list[0].received, 1U);
    CHECK_EQ(list[0].missed, 0U);
    CHECK_EQ(list[0].lag, 2U);
    CHECK_EQ(list[0].pid, getpid());
    CHECK_EQ(list[0].uid, geteuid());
    other = make_reader("cam", 0);
    CHECK_EQ(cuframes_publisher_subscribers(publisher, list, 1), 2);
    CHECK_EQ(cuframes_publisher_subscribers(publisher, NULL, 0), 2);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(reader);
    cuframes_subscriber_destroy(other);
    cuframes_publisher_destroy(publisher);
}
