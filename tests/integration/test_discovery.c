/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Listing, asking and watching: what is there, what it is, and when it comes and goes.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/limits.h"
#include "harness/raw_client.h"
#include "support.h"

TEST(runtime_directory_is_the_environments)
{
    char path[256] = "x";

    CHECK_OK(cuframes_runtime_dir(path, sizeof(path)));
    CHECK_STR_EQ(path, test_runtime_dir());
    CHECK_ERR(cuframes_runtime_dir(path, 5), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_runtime_dir(NULL, 0), CUFRAMES_ERR_INVALID_ARG);
    CHECK_STR_EQ(path, test_runtime_dir());
}

TEST(list_is_sorted_and_of_channels_only)
{
    cuframes_publisher_t *publishers[3] = {make_small_publisher("b"), make_small_publisher("a-1"),
                                           make_small_publisher("Z")};
    cuframes_key_list_t *list = NULL;

    close(CHECK_SYS(open(test_runtime_path("file.sock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    close(CHECK_SYS(open(test_runtime_path("other"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    close(raw_listen("not a key", SOCK_SEQPACKET));
    test_may_remain("file.sock");
    test_may_remain("other");
    test_may_remain("not a key.sock");
    CHECK_OK(cuframes_list(NULL, &list));
    CHECK_EQ(list->count, 3U);
    CHECK_STR_EQ(list->keys[0], "Z");
    CHECK_STR_EQ(list->keys[1], "a-1");
    CHECK_STR_EQ(list->keys[2], "b");
    cuframes_key_list_free(list);
    for (int i = 0; i < 3; i++)
        cuframes_publisher_destroy(publishers[i]);
    CHECK_OK(cuframes_list(test_runtime_dir(), &list));
    CHECK_EQ(list->count, 0U);
    cuframes_key_list_free(list);
    CHECK_OK(cuframes_list("/does/not/exist", &list));
    CHECK_EQ(list->count, 0U);
    cuframes_key_list_free(list);
    cuframes_key_list_free(NULL);
    CHECK_ERR(cuframes_list(NULL, NULL), CUFRAMES_ERR_INVALID_ARG);
}

TEST(query_tells_what_the_publisher_would)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *readers[40];
    cuframes_channel_report_t *report = NULL;
    cuframes_channel_info_t info;
    bool seen[40] = {false};

    config.fps_num = 25;
    config.fps_den = 1;
    publisher = make_publisher(&config);
    publish_many(publisher, 0, 7);
    for (int i = 0; i < 40; i++) {
        cuframes_subscriber_config_t wanted = reader_config("cam", i % 2);
        char name[16];

        snprintf(name, sizeof(name), "n%d", i);
        wanted.consumer_name = name;
        readers[i] = make_subscriber(&wanted);
    }
    expect_frame(readers[3], 6);
    CHECK_OK(cuframes_query(NULL, "cam", 0, &report));
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_MEM_EQ(&report->info, &info, sizeof(info));
    CHECK_EQ(report->stats.published, 7U);
    CHECK_EQ(report->stats.newest_seq, 6U);
    CHECK_EQ(report->stats.subscribers, 40U);
    CHECK_EQ(report->subscriber_count, 40U);
    for (uint32_t i = 0; i < 40; i++) {
        int number = atoi(report->subscribers[i].name + 1);

        CHECK(!seen[number]);
        seen[number] = true;
        CHECK_EQ(report->subscribers[i].mode, number % 2);
        CHECK_EQ(report->subscribers[i].pid, getpid());
        CHECK_EQ(report->subscribers[i].received, number == 3 ? 1 : 0);
        CHECK_EQ(report->subscribers[i].lag, number == 3 ? 0 : 1);
    }
    cuframes_channel_report_free(report);
    cuframes_channel_report_free(NULL);
    for (int i = 0; i < 40; i++)
        cuframes_subscriber_destroy(readers[i]);
    cuframes_publisher_destroy(publisher);
}

TEST(query_of_nobody)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_channel_report_t *report = NULL;
    struct test_peer peer;

    CHECK_ERR_SAYS(cuframes_query(NULL, "cam", 0, &report), CUFRAMES_ERR_NOT_FOUND, "cam");
    CHECK_ERR(cuframes_query("/does/not/exist", "cam", 0, &report), CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_query(NULL, "c/m", 0, &report), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_query(NULL, "cam", 0, NULL), CUFRAMES_ERR_INVALID_ARG);
    spawn_publisher(&peer, &config);
    test_kill(&peer);
    CHECK_ERR_SAYS(cuframes_query(NULL, "cam", 0, &report), CUFRAMES_ERR_NOT_FOUND, "gone");
    CHECK(!report);
    test_may_remain("cam.sock");
}

TEST(query_does_not_disturb)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    for (int i = 0; i < 100; i++) {
        cuframes_channel_report_t *report;

        publish(publisher, i);
        CHECK_OK(cuframes_query(NULL, "cam", 1000, &report));
        CHECK_EQ(report->stats.published, (uint64_t)i + 1);
        CHECK_EQ(report->subscriber_count, 1U);
        cuframes_channel_report_free(report);
        expect_frame(reader, i);
    }
    CHECK_EQ(publisher_stats(publisher).refused, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void expect_event(cuframes_watch_t *watch, cuframes_watch_event_type_t type, const char *key)
{
    cuframes_watch_event_t event;

    CHECK(test_readable(cuframes_watch_fd(watch), test_patience_ms()));
    CHECK_OK(cuframes_watch_next(watch, &event, test_patience_ms()));
    if (event.type != type || strcmp(event.key, key) != 0)
        FAIL("%s of %s instead of %s of %s",
             event.type == CUFRAMES_WATCH_ADDED ? "ADDED" : "REMOVED", event.key,
             type == CUFRAMES_WATCH_ADDED ? "ADDED" : "REMOVED", key);
}

static void expect_no_event(cuframes_watch_t *watch)
{
    cuframes_watch_event_t event;

    CHECK_ERR(cuframes_watch_next(watch, &event, 0), CUFRAMES_ERR_WOULD_BLOCK);
    CHECK_ERR(cuframes_watch_next(watch, &event, 30), CUFRAMES_ERR_TIMEOUT);
    CHECK(!test_readable(cuframes_watch_fd(watch), 0));
}

TEST(watch_tells_who_is_there_who_comes_and_who_goes)
{
    cuframes_publisher_t *first = make_small_publisher("first"), *second;
    cuframes_watch_t *watch = NULL;

    CHECK_OK(cuframes_watch_create(NULL, &watch));
    expect_event(watch, CUFRAMES_WATCH_ADDED, "first");
    expect_no_event(watch);
    for (int i = 0; i < 10; i++) {
        second = make_small_publisher("second");
        expect_event(watch, CUFRAMES_WATCH_ADDED, "second");
        cuframes_publisher_destroy(second);
        expect_event(watch, CUFRAMES_WATCH_REMOVED, "second");
    }
    publish_many(first, 0, 10);
    expect_no_event(watch);
    cuframes_publisher_destroy(first);
    expect_event(watch, CUFRAMES_WATCH_REMOVED, "first");
    expect_no_event(watch);
    cuframes_watch_destroy(watch);
    cuframes_watch_destroy(NULL);
}

TEST(watch_tells_of_a_killed_publisher_and_of_the_next)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_watch_t *watch = NULL;
    struct test_peer peer;

    CHECK_OK(cuframes_watch_create(test_runtime_dir(), &watch));
    expect_no_event(watch);
    for (int i = 0; i < 5; i++) {
        spawn_publisher(&peer, &config);
        expect_event(watch, CUFRAMES_WATCH_ADDED, "cam");
        test_kill(&peer);
        expect_event(watch, CUFRAMES_WATCH_REMOVED, "cam");
    }
    expect_no_event(watch);
    cuframes_watch_destroy(watch);
    CHECK_OK(cuframes_watch_create(NULL, &watch));
    expect_no_event(watch);
    cuframes_watch_destroy(watch);
    test_may_remain("cam.sock");
}

TEST(watch_of_many)
{
    cuframes_publisher_t *publishers[50];
    cuframes_watch_t *watch = NULL;
    cuframes_watch_event_t event;
    int balance = 0;

    CHECK_OK(cuframes_watch_create(NULL, &watch));
    for (int i = 0; i < 50; i++) {
        char key[16];

        snprintf(key, sizeof(key), "cam%d", i);
        publishers[i] = make_small_publisher(key);
    }
    for (int i = 0; i < 50; i++) {
        CHECK_OK(cuframes_watch_next(watch, &event, test_patience_ms()));
        CHECK_EQ(event.type, CUFRAMES_WATCH_ADDED);
        balance++;
    }
    expect_no_event(watch);
    for (int i = 0; i < 50; i++)
        cuframes_publisher_destroy(publishers[i]);
    for (; balance > 0; balance--) {
        CHECK_OK(cuframes_watch_next(watch, &event, test_patience_ms()));
        CHECK_EQ(event.type, CUFRAMES_WATCH_REMOVED);
    }
    expect_no_event(watch);
    cuframes_watch_destroy(watch);
}

TEST(watch_needs_a_directory)
{
    cuframes_watch_t *watch = NULL;

    CHECK_ERR_SAYS(cuframes_watch_create("/does/not/exist", &watch), CUFRAMES_ERR_NOT_FOUND,
                   "/does/not/exist");
    CHECK_ERR(cuframes_watch_create(NULL, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK(!watch);
}

TEST(watch_ends_with_its_directory)
{
    cuframes_watch_t *watch = NULL;
    cuframes_watch_event_t event;
    char path[512];

    snprintf(path, sizeof(path), "%s", test_runtime_path("gone"));
    CHECK_SYS(mkdir(path, 0700));
    CHECK_OK(cuframes_watch_create(path, &watch));
    CHECK_SYS(rmdir(path));
    CHECK(test_readable(cuframes_watch_fd(watch), test_patience_ms()));
    CHECK_ERR_SAYS(cuframes_watch_next(watch, &event, -1), CUFRAMES_ERR_NOT_FOUND, "removed");
    cuframes_watch_destroy(watch);
}

TEST(watch_skips_what_is_no_channel)
{
    cuframes_watch_t *watch = NULL;
    int old = raw_listen("old", SOCK_STREAM);

    CHECK_OK(cuframes_watch_create(NULL, &watch));
    close(CHECK_SYS(open(test_runtime_path("file.sock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    CHECK_SYS(unlink(test_runtime_path("file.sock")));
    expect_no_event(watch);
    cuframes_watch_destroy(watch);
    close(old);
    test_may_remain("old.sock");
}

/* A publisher that drops a watcher for want of room is not gone, and its end is told later. */
TEST(watch_outlives_being_turned_away)
{
    const struct cf_message message = {.type = CF_MSG_WATCH};
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_watch_t *watch;
    int sockets[256];

    CHECK_OK(cuframes_watch_create(NULL, &watch));
    expect_event(watch, CUFRAMES_WATCH_ADDED, "cam");
    for (int i = 0; i < 256; i++) {
        sockets[i] = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));
        raw_send(sockets[i], &message);
    }
    /* The watch has been sent its dismissal: it hears it, and says nothing of it. */
    WAIT_FOR(publisher_stats(publisher).refused >= 1, test_patience_ms());
    expect_no_event(watch);
    for (int i = 0; i < 256; i++)
        close(sockets[i]);
    cuframes_publisher_destroy(publisher);
    expect_event(watch, CUFRAMES_WATCH_REMOVED, "cam");
    expect_no_event(watch);
    cuframes_watch_destroy(watch);
}

static void watch_out_of_descriptors(struct test_peer *test, void *argument)
{
    cuframes_watch_t *watch;
    int last;

    (void)argument;
    CHECK_OK(cuframes_watch_create(NULL, &watch));
    test_limit_descriptors(1);
    last = CHECK_SYS(dup(STDERR_FILENO));
    test_say(test, 0);
    expect_event(watch, CUFRAMES_WATCH_ADDED, "cam");
    close(last);
    test_unlimit_descriptors();
    test_say(test, 1);
    expect_event(watch, CUFRAMES_WATCH_REMOVED, "cam");
    test_say(test, 2);
    cuframes_watch_destroy(watch);
}

/* Told of by its name alone at first; its death is seen once there is a descriptor for it. */
TEST(watch_out_of_descriptors_tries_again)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct test_peer watcher, publisher;

    test_spawn(&watcher, watch_out_of_descriptors, NULL, NULL);
    CHECK_HEAR(&watcher, 0);
    spawn_publisher(&publisher, &config);
    CHECK_HEAR(&watcher, 1);
    test_kill(&publisher);
    CHECK_HEAR(&watcher, 2);
    test_join(&watcher);
    test_may_remain("cam.sock");
}

static void watch_as_another_user(struct test_peer *test, void *directory)
{
    cuframes_watch_t *watch;

    test_become(65534);
    CHECK_OK(cuframes_watch_create(directory, &watch));
    expect_event(watch, CUFRAMES_WATCH_ADDED, "cam");
    expect_no_event(watch);
    test_say(test, 1);
    expect_event(watch, CUFRAMES_WATCH_REMOVED, "cam");
    expect_event(watch, CUFRAMES_WATCH_ADDED, "cam");
    test_say(test, 2);
    expect_event(watch, CUFRAMES_WATCH_REMOVED, "cam");
    cuframes_watch_destroy(watch);
}

TEST(watch_of_a_channel_that_is_for_others)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    char directory[] = "/tmp/cuframes-watch-XXXXXX";
    struct test_peer watcher;

    test_need_root();
    CHECK(mkdtemp(directory));
    CHECK_SYS(chmod(directory, 0755));
    config.runtime_dir = directory;
    publisher = make_publisher(&config);
    test_spawn(&watcher, watch_as_another_user, directory, NULL);
    CHECK_HEAR(&watcher, 1);
    cuframes_publisher_destroy(publisher);
    publisher = make_publisher(&config);
    CHECK_HEAR(&watcher, 2);
    cuframes_publisher_destroy(publisher);
    test_join(&watcher);
    CHECK_SYS(rmdir(directory));
}

TEST(watch_is_not_for_forked_processes)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_watch_t *watch;
    int status;
    pid_t child;

    CHECK_OK(cuframes_watch_create(NULL, &watch));
    expect_event(watch, CUFRAMES_WATCH_ADDED, "cam");
    child = CHECK_SYS(fork());
    if (child == 0) {
        cuframes_watch_event_t event;

        CHECK_ERR_SAYS(cuframes_watch_next(watch, &event, 0), CUFRAMES_ERR_INVALID_ARG, "fork");
        cuframes_watch_destroy(watch);
        cuframes_publisher_destroy(publisher);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    expect_no_event(watch);
    cuframes_publisher_destroy(publisher);
    expect_event(watch, CUFRAMES_WATCH_REMOVED, "cam");
    cuframes_watch_destroy(watch);
}
