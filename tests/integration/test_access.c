/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who gets in, and what is trusted: the runtime directory, the socket's permissions, lists of users,
 * other users and user namespaces.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/limits.h"
#include "support.h"

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

/* ---- the way to the directory ---- */

static void refuse_way(const char *way, int error, const char *words)
{
    struct as_another a = {way, error, words};
    struct test_peer peer;

    test_spawn(&peer, publish_as_another, &a, NULL);
    test_join(&peer);
}

/* 12345 has a directory below one of root; 4711 can lead the way elsewhere. */
TEST(a_publisher_checks_the_way_to_its_directory)
{
    char dir[512], mine[600], way[600];

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    snprintf(dir, sizeof(dir), "%s", test_runtime_path("shared"));
    snprintf(mine, sizeof(mine), "%s/mine", dir);
    snprintf(way, sizeof(way), "%s/link", dir);
    CHECK_SYS(mkdir(dir, 0755));
    CHECK_SYS(mkdir(mine, 0700));
    CHECK_SYS(chown(mine, 12345, 12345));
    CHECK_SYS(symlink("mine", way));
    CHECK_SYS(lchown(way, 4711, 4711));
    test_may_remain("shared");
    strcat(way, "/run");
    refuse_way(way, CUFRAMES_ERR_PERMISSION, "symbolic link of uid 4711");
    CHECK_SYS(chmod(dir, 0777));
    refuse_way(mine, CUFRAMES_ERR_PERMISSION, "everybody can replace");
    CHECK_SYS(chmod(dir, 0755));
    CHECK_SYS(chown(dir, 4711, 4711));
    refuse_way(mine, CUFRAMES_ERR_PERMISSION, "or one above it, belongs to uid 4711");
    CHECK(access(way, F_OK) != 0);
}

static void publish_and_read(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", 0);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    (void)test;
    test_become(12345);
    config.runtime_dir = wanted.runtime_dir = argument;
    publisher = make_publisher(&config);
    publish(publisher, 1);
    reader = make_subscriber(&wanted);
    expect_frame(reader, 1);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(links_of_root_and_of_this_user_lead_to_a_directory)
{
    static const uid_t owners[] = {0, 12345};
    struct test_peer peer;
    char dir[512], way[600];

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    snprintf(dir, sizeof(dir), "%s", test_runtime_path("sticky"));
    CHECK_SYS(mkdir(dir, 0755));
    CHECK_SYS(chmod(dir, 01777));
    test_may_remain("sticky");
    snprintf(way, sizeof(way), "%s/link", dir);
    CHECK_SYS(symlink("../sticky", way));
    for (int i = 0; i < 2; i++) {
        CHECK_SYS(lchown(way, owners[i], owners[i]));
        strcat(way, "/run");
        test_spawn(&peer, publish_and_read, way, NULL);
        test_join(&peer);
        *strrchr(way, '/') = '\0';
    }
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

TEST(a_subscriber_checks_the_way_to_a_socket)
{
    struct test_peer peer;
    char his[512], dir[600], link[600];

    test_need_root();
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    snprintf(his, sizeof(his), "%s", test_runtime_path("his"));
    snprintf(dir, sizeof(dir), "%s/run", his);
    CHECK_SYS(mkdir(his, 0755));
    CHECK_SYS(chown(his, 4711, 4711));
    test_may_remain("his");
    test_may_remain("link");
    test_spawn(&peer, publish_as_4711, dir, NULL);
    CHECK_HEAR(&peer, 0);
    CHECK_SYS(chmod(dir, 0755));
    /* His alone, all of it. */
    subscribe_in(dir, CUFRAMES_OK, NULL);
    CHECK_SYS(chmod(his, 0777));
    subscribe_in(dir, CUFRAMES_ERR_PERMISSION, "everybody can replace");
    CHECK_SYS(chmod(his, 0755));
    CHECK_SYS(chown(his, 8888, 8888));
    subscribe_in(dir, CUFRAMES_ERR_PERMISSION, "and a directory above it to uid 8888");
    CHECK_SYS(chown(dir, 0, 0));
    subscribe_in(dir, CUFRAMES_ERR_PERMISSION, "belongs to uid 8888, and uid 4711 publishes");
    CHECK_SYS(chown(his, 0, 0));
    subscribe_in(dir, CUFRAMES_OK, NULL);
    snprintf(link, sizeof(link), "%s", test_runtime_path("link"));
    CHECK_SYS(symlink("his", link));
    strcat(link, "/run");
    subscribe_in(link, CUFRAMES_OK, NULL);
    CHECK_SYS(lchown(test_runtime_path("link"), 4711, 4711));
    subscribe_in(link, CUFRAMES_ERR_PERMISSION, "symbolic link of uid 4711");
    test_join(&peer);
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
