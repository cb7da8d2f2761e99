/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stated limits and lacking resources: subscribers, descriptors, the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/limits.h"
#include "harness/resources.h"
#include "support.h"

TEST(channel_takes_256_subscribers_and_no_more, .timeout_s = 60)
{
    static cuframes_subscriber_t *readers[CUFRAMES_MAX_SUBSCRIBERS];
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *one_more = NULL;

    for (int i = 0; i < CUFRAMES_MAX_SUBSCRIBERS; i++)
        readers[i] = make_subscriber(&config);
    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &one_more), CUFRAMES_ERR_TOO_MANY, "256");
    CHECK_EQ(publisher_stats(publisher).subscribers, 256U);
    CHECK_EQ(publisher_stats(publisher).refused, 1U);
    CHECK_EQ(cuframes_publisher_subscribers(publisher, NULL, 0), 256);
    publish(publisher, 1);
    for (int i = 0; i < CUFRAMES_MAX_SUBSCRIBERS; i++)
        expect_frame(readers[i], 1);
    cuframes_subscriber_destroy(readers[100]);
    config.connect_timeout_ms = 2000;
    WAIT_FOR(publisher_stats(publisher).subscribers == 255, 2000);
    readers[100] = make_subscriber(&config);
    for (int i = 0; i < CUFRAMES_MAX_SUBSCRIBERS; i++)
        cuframes_subscriber_destroy(readers[i]);
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, 2000);
    cuframes_publisher_destroy(publisher);
}

TEST(channel_can_take_fewer_subscribers)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", 0);
    cuframes_subscriber_t *first, *second = NULL;
    cuframes_publisher_t *publisher;

    config.max_subscribers = 1;
    publisher = make_publisher(&config);
    first = make_subscriber(&wanted);
    CHECK_ERR_SAYS(cuframes_subscriber_create(&wanted, &second), CUFRAMES_ERR_TOO_MANY, "full");
    cuframes_subscriber_destroy(first);
    cuframes_publisher_destroy(publisher);
}

static atomic_int refusals_said;
static atomic_int refusals_counted;

static void count_refusals(cuframes_log_level_t level, const char *message, void *user)
{
    unsigned long long more;

    (void)level, (void)user;
    if (strstr(message, "refusing a connection"))
        atomic_fetch_add(&refusals_said, 1);
    if (sscanf(message, "cam: %llu more connections were refused", &more) == 1)
        atomic_fetch_add(&refusals_counted, (int)more);
}

/* Whoever tries again and again fills no log, and none of it is kept quiet. */
TEST(refusals_are_said_a_few_times_and_then_counted)
{
    cuframes_subscriber_config_t wanted = reader_config("cam", 0);
    cuframes_subscriber_t *first, *second = NULL;
    cuframes_publisher_t *publisher;

    cuframes_set_log_callback(count_refusals, NULL, CUFRAMES_LOG_INFO);
    publisher = make_small_publisher("cam");
    wanted.consumer_name = "reader";
    first = make_subscriber(&wanted);
    for (int i = 0; i < 40; i++)
        CHECK_ERR(cuframes_subscriber_create(&wanted, &second), CUFRAMES_ERR_ALREADY_EXISTS);
    cuframes_subscriber_destroy(first);
    cuframes_publisher_destroy(publisher);
    cuframes_set_log_callback(NULL, NULL, CUFRAMES_LOG_ERROR);
    CHECK_GE(atomic_load(&refusals_said), 1);
    CHECK_LT(atomic_load(&refusals_said), 11);
    CHECK_EQ(atomic_load(&refusals_said) + atomic_load(&refusals_counted), 40);
}

TEST(attach_errors_differ)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", 0);
    cuframes_subscriber_t *first, *second = NULL;
    cuframes_publisher_t *publisher;

    config.max_subscribers = 2;
    publisher = make_publisher(&config);
    wanted.consumer_name = "name";
    first = make_subscriber(&wanted);
    CHECK_ERR_SAYS(cuframes_subscriber_create(&wanted, &second), CUFRAMES_ERR_ALREADY_EXISTS,
                   "name");
    wanted.consumer_name = NULL;
    wanted.max_holds = 60;
    CHECK_ERR_SAYS(cuframes_subscriber_create(&wanted, &second), CUFRAMES_ERR_TOO_MANY, "holds");
    wanted.max_holds = 0;
    wanted.key = "none";
    CHECK_ERR(cuframes_subscriber_create(&wanted, &second), CUFRAMES_ERR_NOT_FOUND);
    CHECK(!second);
    cuframes_subscriber_destroy(first);
    cuframes_publisher_destroy(publisher);
}

TEST(largest_ring)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frames[63];
    cuframes_subscriber_t *reader;
    cuframes_publisher_t *publisher;

    config.ring_size = 64;
    config.max_holds = 63;
    publisher = make_publisher(&config);
    wanted.max_holds = 63;
    reader = make_subscriber(&wanted);
    publish_many(publisher, 0, 63);
    for (int i = 0; i < 63; i++)
        frames[i] = take_frame(reader);
    CHECK_EQ(publisher_stats(publisher).slots_held, 63U);
    publish(publisher, 63);
    for (int i = 0; i < 63; i++) {
        check_pattern(frames[i]);
        cuframes_frame_release(frames[i]);
    }
    expect_frame(reader, 63);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(smallest_ring)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_t *reader;
    cuframes_publisher_t *publisher;

    config.ring_size = 2;
    config.width = 1;
    config.height = 1;
    publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    for (int i = 0; i < 100; i++) {
        publish(publisher, i);
        expect_frame(reader, i);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* ---- descriptors ---- */

/* Calls `make` with room for 0, 1, 2, … descriptors until it works; gives how many it needed.
 * Each failure must name the limit and leave nothing. */
static unsigned needed_descriptors(int (*make)(void *), void *argument)
{
    struct test_resources before;

    test_resources_take(&before);
    for (unsigned room = 0; room < 64; room++) {
        int err;

        test_limit_descriptors(room);
        err = make(argument);
        test_unlimit_descriptors();
        if (err == CUFRAMES_OK) {
            test_resources_free(&before);
            return room;
        }
        if (err != CUFRAMES_ERR_TOO_MANY)
            FAIL("with room for %u descriptors: %s: %s", room, cuframes_strerror(err),
                 cuframes_last_error());
        CHECK_STR_HAS(cuframes_last_error(), "ulimit -n");
        CHECK_NO_LEAK(&before, "out of descriptors");
    }
    FAIL("64 descriptors are not enough");
}

static int create_publisher(void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");

    return cuframes_publisher_create(&config, argument);
}

TEST(publisher_out_of_descriptors_says_so_at_each_step)
{
    cuframes_publisher_t *publisher = NULL;

    CHECK_GT(needed_descriptors(create_publisher, &publisher), 3U);
    cuframes_publisher_destroy(publisher);
}

static int create_subscriber(void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", 0);

    config.flags = CUFRAMES_SUBSCRIBER_POLL | CUFRAMES_SUBSCRIBER_RECONNECT;
    config.connect_timeout_ms = 3000;
    return cuframes_subscriber_create(&config, argument);
}

TEST(subscriber_out_of_descriptors_says_so_at_each_step)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_t *reader = NULL;
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    CHECK_GT(needed_descriptors(create_subscriber, &reader), 3U);
    test_say(&peer, 4);
    CHECK_HEAR(&peer, 0);
    expect_frame(reader, 4);
    cuframes_subscriber_destroy(reader);
    test_join(&peer);
}

static int query_channel(void *argument)
{
    cuframes_channel_report_t *report;
    int err = cuframes_query(NULL, argument, 1000, &report);

    if (!err)
        cuframes_channel_report_free(report);
    return err;
}

static int list_channels(void *argument)
{
    cuframes_key_list_t *list;
    int err = cuframes_list(argument, &list);

    if (!err)
        cuframes_key_list_free(list);
    return err;
}

static int watch_channels(void *argument)
{
    return cuframes_watch_create(NULL, argument);
}

TEST(discovery_out_of_descriptors_says_so_at_each_step)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_watch_t *watch = NULL;
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    CHECK_GE(needed_descriptors(query_channel, "cam"), 1U);
    CHECK_GE(needed_descriptors(list_channels, NULL), 1U);
    CHECK_GE(needed_descriptors(watch_channels, &watch), 3U);
    cuframes_watch_destroy(watch);
    test_join(&peer);
}

static int change_generation(void *argument)
{
    cuframes_publisher_config_t config = small_config(NULL);

    config.width = 100;
    return cuframes_publisher_reconfigure(argument, &config);
}

TEST(change_out_of_descriptors_leaves_the_channel_as_it_was)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    settle_pages();
    CHECK_GE(needed_descriptors(change_generation, publisher), 2U);
    publish(publisher, 1);
    expect_frame(reader, 1);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void follow_without_room(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_subscriber(argument);
    cuframes_frame_t *frame;

    test_say(test, 0);
    frame = take_frame(reader);
    test_limit_descriptors(1);
    test_say(test, 1);
    EXPECT_ERROR(reader, CUFRAMES_ERR_TOO_MANY);
    CHECK_STR_HAS(cuframes_last_error(), "ulimit -n");
    check_pattern(frame);
    test_unlimit_descriptors();
    cuframes_frame_release(frame);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    test_hear_end(test);
}

TEST(subscriber_without_room_for_a_change_says_so)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct test_peer peer;

    publish(publisher, 1);
    test_spawn(&peer, follow_without_room, &config, NULL);
    CHECK_HEAR(&peer, 0);
    CHECK_HEAR(&peer, 1);
    CHECK_OK(change_generation(publisher));
    publish(publisher, 2);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

/* Publishes, with room for as many more descriptors as the test says first. */
static void publish_within_limit(struct test_peer *test, void *argument)
{
    cuframes_publisher_t *publisher = make_publisher(argument);
    uint64_t word;

    test_limit_descriptors((unsigned)test_hear(test));
    test_say(test, 0);
    while (test_hear_or_end(test, &word))
        test_say(test, publish(publisher, (int64_t)word));
    cuframes_publisher_destroy(publisher);
}

/* Subscribers attach until one is refused for want of descriptors; gives how many there are. */
static int attach_until_refused(cuframes_subscriber_t **readers, int most)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);

    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    config.connect_timeout_ms = 5000;
    for (int count = 0; count < most; count++) {
        int err = cuframes_subscriber_create(&config, &readers[count]);

        if (err) {
            CHECK_EQ(err, CUFRAMES_ERR_TOO_MANY);
            CHECK_STR_HAS(cuframes_last_error(), "ulimit -n");
            return count;
        }
    }
    FAIL("%d subscribers were not too many", most);
}

TEST(publisher_without_room_for_a_client_refuses_it_and_goes_on)
{
    cuframes_publisher_config_t config = small_config("cam");

    /* One that polls needs four while it attaches, and two when it has. */
    for (uint64_t room = 4; room < 9; room++) {
        cuframes_subscriber_t *readers[8];
        struct test_peer peer;
        int count;

        test_spawn(&peer, publish_within_limit, &config, NULL);
        test_say(&peer, room);
        CHECK_HEAR(&peer, 0);
        count = attach_until_refused(readers, 8);
        CHECK_GE(count, 1);
        test_say(&peer, 9);
        CHECK_HEAR(&peer, 0);
        for (int i = 0; i < count; i++) {
            expect_frame(readers[i], 9);
            cuframes_subscriber_destroy(readers[i]);
        }
        test_join(&peer);
    }
}

/* ---- the disk ---- */

TEST(disk_without_an_inode_left)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = NULL;
    char path[512], name[600];
    int count = 0;

    snprintf(path, sizeof(path), "%s", test_runtime_path("full"));
    CHECK_SYS(mkdir(path, 0700));
    test_may_remain("full");
    test_mount_small(path, 6);
    for (int fd; count < 100; close(fd)) {
        snprintf(name, sizeof(name), "%s/filler-%d", path, count++);
        fd = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
        if (fd < 0)
            break;
    }
    config.runtime_dir = path;
    CHECK_ERR(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_OUT_OF_MEMORY);
    CHECK_STR_HAS(cuframes_last_error(), path);
    CHECK_STR_HAS(cuframes_last_error(), "no space left");
    CHECK(!publisher);
    /* With room for two names (the lock, the socket) it works. */
    for (int i = 0; i < 2; i++) {
        snprintf(name, sizeof(name), "%s/filler-%d", path, i);
        CHECK_SYS(unlink(name));
    }
    cuframes_publisher_destroy(make_publisher(&config));
}

/* Names and empty files need no room: a channel does not care about a disk without any. */
TEST(disk_without_room_left)
{
    static uint8_t bytes[4096];
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    char path[512], name[600];
    int fd;

    snprintf(path, sizeof(path), "%s", test_runtime_path("full"));
    CHECK_SYS(mkdir(path, 0700));
    test_may_remain("full");
    test_mount_small(path, 20);
    snprintf(name, sizeof(name), "%s/filler", path);
    fd = CHECK_SYS(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    while (write(fd, bytes, sizeof(bytes)) > 0)
        ;
    CHECK_EQ(errno, ENOSPC);
    close(fd);
    config.runtime_dir = wanted.runtime_dir = path;
    publisher = make_publisher(&config);
    reader = make_subscriber(&wanted);
    publish(publisher, 1);
    expect_frame(reader, 1);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}
