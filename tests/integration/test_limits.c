/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stated limits and lacking resources: subscribers, descriptors, the runtime directory, the disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
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

/* ---- the runtime directory ---- */

static void refuse_directory(const char *dir, int error, const char *words)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = NULL;

    config.runtime_dir = dir;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), error, words);
    CHECK_STR_HAS(cuframes_last_error(), "directory");
    CHECK(!publisher);
}

TEST(directory_that_is_no_directory)
{
    const char *path = test_runtime_path("file");

    close(CHECK_SYS(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    test_may_remain("file");
    refuse_directory(path, CUFRAMES_ERR_IO, "not a directory");
    refuse_directory(test_runtime_path("missing/parent"), CUFRAMES_ERR_IO, "make");
}

TEST(directory_that_is_a_symbolic_link)
{
    char target[512];

    snprintf(target, sizeof(target), "%s", test_runtime_path("real"));
    CHECK_SYS(mkdir(target, 0700));
    CHECK_SYS(symlink(target, test_runtime_path("link")));
    test_may_remain("real");
    test_may_remain("link");
    refuse_directory(test_runtime_path("link"), CUFRAMES_ERR_PERMISSION, "symbolic link");
}

TEST(directory_that_everybody_can_write)
{
    char path[512];
    cuframes_publisher_config_t config = small_config("cam");

    snprintf(path, sizeof(path), "%s", test_runtime_path("open"));
    CHECK_SYS(mkdir(path, 0700));
    CHECK_SYS(chmod(path, 0777));
    test_may_remain("open");
    refuse_directory(path, CUFRAMES_ERR_PERMISSION, "chmod");
    CHECK_SYS(chmod(path, 01777));
    config.runtime_dir = path;
    cuframes_publisher_destroy(make_publisher(&config));
}

TEST(directory_is_made_with_strict_permissions)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct stat st;
    char path[512];

    snprintf(path, sizeof(path), "%s", test_runtime_path("new"));
    config.runtime_dir = path;
    umask(0);
    cuframes_publisher_destroy(make_publisher(&config));
    CHECK_SYS(stat(path, &st));
    CHECK_EQ(st.st_mode & 07777, 0700);
    test_may_remain("new");
}

TEST(path_that_is_too_long)
{
    cuframes_publisher_config_t config = small_config("a-key-of-twenty-chars");
    cuframes_subscriber_config_t wanted = reader_config("a-key-of-twenty-chars", 0);
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL;
    char dir[4096];

    for (size_t length = 90; length < sizeof(dir); length *= 2) {
        memset(dir, 'd', length);
        dir[0] = '/';
        dir[length] = '\0';
        config.runtime_dir = wanted.runtime_dir = dir;
        CHECK_ERR_SAYS(cuframes_subscriber_create(&wanted, &reader), CUFRAMES_ERR_INVALID_ARG,
                       "too long");
        if (length > 100)
            CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_INVALID_ARG,
                           "too long");
    }
    setenv("CUFRAMES_RUNTIME_DIR", dir, 1);
    config.runtime_dir = NULL;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_INVALID_ARG,
                   "too long");
}

struct as_another {
    const char *dir;
    int error;
    const char *words;
};

static void publish_as_another(struct test_peer *test, void *argument)
{
    const struct as_another *a = argument;

    (void)test;
    test_become(12345);
    refuse_directory(a->dir, a->error, a->words);
}

TEST(directory_without_permission)
{
    struct as_another a = {test_runtime_path("roots"), CUFRAMES_ERR_PERMISSION, "uid"};
    struct test_peer peer;
    char path[512];

    test_need_root();
    snprintf(path, sizeof(path), "%s", a.dir);
    a.dir = path;
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    CHECK_SYS(mkdir(path, 0755));
    test_may_remain("roots");
    test_spawn(&peer, publish_as_another, &a, NULL);
    test_join(&peer);
    /* One that belongs to somebody else than root. */
    CHECK_SYS(chown(path, 4711, 4711));
    CHECK_SYS(chmod(path, 01777));
    a.words = "4711";
    test_spawn(&peer, publish_as_another, &a, NULL);
    test_join(&peer);
    CHECK_SYS(chmod(path, 0700));
    test_spawn(&peer, publish_as_another, &a, NULL);
    test_join(&peer);
}

static void subscribe_as_another(struct test_peer *test, void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    cuframes_subscriber_t *reader = NULL;
    const int *error = argument;

    (void)test;
    test_become(12345);
    if (*error) {
        CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), *error, "permission");
        return;
    }
    reader = make_subscriber(&config);
    expect_frame(reader, 3);
    cuframes_subscriber_destroy(reader);
}

TEST(socket_permissions_are_kept)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    int error = CUFRAMES_ERR_PERMISSION;
    struct test_peer peer;

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    publisher = make_publisher(&config);
    test_spawn(&peer, subscribe_as_another, &error, NULL);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
    config.socket_mode = 0666;
    publisher = make_publisher(&config);
    publish(publisher, 3);
    error = CUFRAMES_OK;
    test_spawn(&peer, subscribe_as_another, &error, NULL);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

/* Tries to connect as a user, and meets what is expected. */
struct attempt {
    uid_t uid;
    const char *refusal; /* what the sentence says; NULL = gets in */
};

static void attempt_as(struct test_peer *test, void *argument)
{
    const struct attempt *attempt = argument;
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    cuframes_subscriber_t *reader = NULL;
    cuframes_channel_report_t *report = NULL;

    (void)test;
    test_become(attempt->uid);
    if (attempt->refusal) {
        CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_PERMISSION,
                       attempt->refusal);
        CHECK_ERR_SAYS(cuframes_query(NULL, "cam", 1000, &report), CUFRAMES_ERR_PERMISSION,
                       attempt->refusal);
        return;
    }
    reader = make_subscriber(&config);
    cuframes_subscriber_destroy(reader);
}

static void try_as(uid_t uid, const char *refusal)
{
    struct attempt attempt = {.uid = uid, .refusal = refusal};
    struct test_peer peer;

    test_spawn(&peer, attempt_as, &attempt, NULL);
    test_join(&peer);
}

TEST(only_users_on_the_list_get_in)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t handed = {.consumer_name = "handed"};
    const uint32_t users[] = {12345, 23456};
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    int ends[2];

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    config.allowed_users = users;
    config.allowed_user_count = 2;
    publisher = make_publisher(&config);
    try_as(12345, NULL);
    try_as(23456, NULL);
    try_as(34567, "user 34567 is not on the list");
    try_as(0, NULL);
    CHECK_EQ(publisher_stats(publisher).refused, 2U);
    /* The program's own decision to hand a connection over goes before the list. */
    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_OK(cuframes_publisher_add_client(publisher, ends[0]));
    CHECK_OK(cuframes_subscriber_create_from_fd(&handed, ends[1], &reader));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);

    /* Permissions that are given go first. */
    config.socket_mode = 0600;
    publisher = make_publisher(&config);
    try_as(12345, "permission");
    cuframes_publisher_destroy(publisher);

    /* An empty list is a list. */
    config.socket_mode = 0;
    config.allowed_user_count = 0;
    publisher = make_publisher(&config);
    try_as(12345, "user 12345 is not on the list");
    try_as(0, NULL);
    cuframes_publisher_destroy(publisher);
}

/* ---- whom a subscriber trusts ---- */

static void subscribe_as_user(struct test_peer *test, void *argument)
{
    const struct as_another *a = argument;
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    cuframes_channel_report_t *report;
    cuframes_subscriber_t *reader = NULL;

    (void)test;
    test_become(12345);
    config.runtime_dir = a->dir;
    if (a->error) {
        CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), a->error, a->words);
        CHECK_ERR_SAYS(cuframes_query(a->dir, "cam", 1000, &report), a->error, a->words);
        return;
    }
    reader = make_subscriber(&config);
    cuframes_subscriber_destroy(reader);
}

static void subscribe_in(const char *dir, int error, const char *words)
{
    struct as_another a = {dir, error, words};
    struct test_peer peer;

    test_spawn(&peer, subscribe_as_user, &a, NULL);
    test_join(&peer);
}

/* A user with a directory of its own, open to all. */
static void publish_as_4711(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;

    test_become(4711);
    config.runtime_dir = argument;
    config.socket_mode = 0666;
    publisher = make_publisher(&config);
    test_say(test, 0);
    test_hear_end(test);
    cuframes_publisher_destroy(publisher);
}

TEST(a_subscriber_checks_the_directory_before_it_trusts_a_socket)
{
    struct test_peer peer;
    char dir[512], link[600];

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    snprintf(dir, sizeof(dir), "%s", test_runtime_path("users"));
    snprintf(link, sizeof(link), "%s", test_runtime_path("link"));
    CHECK_SYS(mkdir(dir, 0755));
    CHECK_SYS(symlink(dir, link));
    CHECK_SYS(chown(dir, 4711, 4711));
    test_may_remain("users");
    test_may_remain("link");
    test_spawn(&peer, publish_as_4711, dir, NULL);
    CHECK_HEAR(&peer, 0);
    subscribe_in(dir, CUFRAMES_OK, NULL);
    subscribe_in(link, CUFRAMES_ERR_PERMISSION, "symbolic link");
    CHECK_SYS(chmod(dir, 0777));
    subscribe_in(dir, CUFRAMES_ERR_PERMISSION, "chmod");
    /* What another than its owner has put there. */
    CHECK_SYS(chmod(dir, 01777));
    CHECK_SYS(chown(dir, 8888, 8888));
    subscribe_in(dir, CUFRAMES_ERR_PERMISSION, "belongs to uid 8888, and uid 4711 publishes");
    CHECK_SYS(chown(dir, 0, 0));
    subscribe_in(dir, CUFRAMES_OK, NULL);
    /* The socket itself behind a link of another user's. */
    snprintf(link, sizeof(link), "%s/real.sock", dir);
    snprintf(dir + strlen(dir), sizeof(dir) - strlen(dir), "/cam.sock");
    CHECK_SYS(rename(dir, link));
    CHECK_SYS(symlink(link, dir));
    CHECK_SYS(lchown(dir, 4711, 4711));
    *strrchr(dir, '/') = '\0';
    subscribe_in(dir, CUFRAMES_ERR_PERMISSION, "symbolic link of uid 4711");
    test_join(&peer);
}

/* ---- user namespaces, and what is logged ---- */

/* Root in a user namespace of its own is the user that it was outside. */
static void try_as_inner_root(struct test_peer *test, void *argument)
{
    cuframes_subscriber_config_t config = reader_config("cam", 0);
    cuframes_subscriber_t *reader = NULL;
    int fd;

    (void)argument;
    test_become(34567);
    /* Whoever has changed its user cannot open what is its own in /proc. */
    prctl(PR_SET_DUMPABLE, 1);
    if (unshare(CLONE_NEWUSER) != 0) {
        test_say(test, 1);
        return;
    }
    fd = CHECK_SYS(open("/proc/self/uid_map", O_WRONLY | O_CLOEXEC));
    CHECK_EQ(write(fd, "0 34567 1", 9), 9);
    close(fd);
    CHECK_EQ(geteuid(), 0U);
    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_PERMISSION,
                   "user 34567 is not on the list");
    test_say(test, 0);
}

static char refusals[4096];

static void note_refusal(cuframes_log_level_t level, const char *message, void *user)
{
    size_t length = strlen(refusals);

    (void)user;
    if (level <= CUFRAMES_LOG_INFO)
        snprintf(refusals + length, sizeof(refusals) - length, "%s\n", message);
}

TEST(root_of_a_user_namespace_is_not_root_and_refusals_are_logged)
{
    static const uint32_t users[] = {12345};
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    struct test_peer peer;
    char said[64];
    bool refused;

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    config.allowed_users = users;
    config.allowed_user_count = 1;
    cuframes_set_log_callback(note_refusal, NULL, CUFRAMES_LOG_INFO);
    publisher = make_publisher(&config);
    test_spawn(&peer, try_as_inner_root, NULL, NULL);
    refused = test_hear(&peer) == 0;
    snprintf(said, sizeof(said), "(pid %d, uid 34567)", (int)peer.pid);
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
    cuframes_set_log_callback(NULL, NULL, CUFRAMES_LOG_INFO);
    if (!refused)
        SKIP("no user namespaces for unprivileged users here");
    CHECK_STR_HAS(refusals, said);
}

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
