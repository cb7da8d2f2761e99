/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who gets a key: addresses, takeover, refusal, races, permissions.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/fault.h"
#include "harness/harness.h"
#include "harness/limits.h"
#include "harness/peer.h"
#include "harness/raw_client.h"
#include "wire/connection.h"
#include "wire/endpoint.h"

#define KEY "cam"

static struct cf_endpoint closed_endpoint(void)
{
    return (struct cf_endpoint){.socket = -1};
}

static struct cf_endpoint take(const char *key)
{
    struct cf_endpoint endpoint = closed_endpoint();

    CHECK_OK(cf_endpoint_listen(test_runtime_dir(), key, 0600, NULL, &endpoint));
    return endpoint;
}

static void check_taken(const char *key, int error, const char *words)
{
    struct cf_endpoint endpoint = closed_endpoint();

    CHECK_ERR_SAYS(cf_endpoint_listen(test_runtime_dir(), key, 0600, NULL, &endpoint), error,
                   words);
    CHECK_EQ(endpoint.socket, -1);
}

static void check_connects(const char *key)
{
    int socket;

    CHECK_OK(cf_endpoint_connect(test_runtime_dir(), key, &socket));
    CHECK_OK(cf_connection_check(socket));
    CHECK_EQ(CHECK_SYS(fcntl(socket, F_GETFD)) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_EQ(CHECK_SYS(fcntl(socket, F_GETFL)) & O_NONBLOCK, O_NONBLOCK);
    close(socket);
}

static void check_does_not_connect(const char *key, int error, const char *words)
{
    int socket = -7;

    CHECK_ERR_SAYS(cf_endpoint_connect(test_runtime_dir(), key, &socket), error, words);
    CHECK_EQ(socket, -7);
}

static mode_t mode_of(const char *path)
{
    struct stat st;

    CHECK_SYS(lstat(path, &st));
    return st.st_mode & 07777;
}

/* Addresses. */

TEST(path_that_is_too_long_is_refused_with_the_limit)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    char dir[CF_RUNTIME_DIR_SIZE];

    memset(dir, 'd', sizeof(dir));
    dir[0] = '/';
    dir[99] = '\0';
    CHECK_OK(cf_endpoint_address(dir, "ab", &address));
    CHECK_EQ(address.sun_family, AF_UNIX);
    CHECK_EQ(strlen(address.sun_path), 107);
    address.sun_family = AF_UNSPEC;
    CHECK_ERR_SAYS(cf_endpoint_address(dir, "abc", &address), CUFRAMES_ERR_INVALID_ARG,
                   "at most 98 bytes");
    CHECK_EQ(address.sun_family, AF_UNSPEC);
    CHECK_OK(cf_endpoint_address("/run/cuframes", "cam", &address));
    CHECK_STR_EQ(address.sun_path, "/run/cuframes/cam.sock");
}

TEST(longest_path_can_be_taken)
{
    char dir[CF_RUNTIME_DIR_SIZE];
    char key[CUFRAMES_KEY_MAX + 1];
    struct cf_endpoint endpoint = closed_endpoint();
    size_t length = strlen(test_runtime_dir());
    int socket;

    snprintf(dir, sizeof(dir), "%s", test_runtime_dir());
    memset(key, 'k', sizeof(key));
    key[CUFRAMES_KEY_MAX] = '\0';
    /* A directory whose name is such that the socket's path has 107 bytes. */
    if (length + 2 > 107 - 1 - CUFRAMES_KEY_MAX - 5)
        key[107 - 1 - 5 - length - 2] = '\0';
    dir[length] = '/';
    memset(dir + length + 1, 'd', 107 - 5 - 1 - strlen(key) - length - 1);
    dir[107 - 5 - 1 - strlen(key)] = '\0';
    CHECK_OK(cf_runtime_dir_ensure(dir));
    CHECK_OK(cf_endpoint_listen(dir, key, 0600, NULL, &endpoint));
    CHECK_EQ(strlen(endpoint.address.sun_path), 107);
    CHECK_OK(cf_endpoint_connect(dir, key, &socket));
    close(socket);
    cf_endpoint_close(&endpoint);
    CHECK_SYS(rmdir(dir));
}

/* Taking a key. */

TEST(key_is_taken_and_given_back)
{
    struct cf_endpoint endpoint;

    check_does_not_connect(KEY, CUFRAMES_ERR_NOT_FOUND, "there is no");
    endpoint = take(KEY);
    CHECK_EQ(test_count_files(test_runtime_dir()), 1);
    CHECK_EQ(mode_of(test_runtime_path(KEY ".sock")), 0600);
    CHECK_EQ(CHECK_SYS(fcntl(endpoint.socket, F_GETFD)) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_EQ(CHECK_SYS(fcntl(endpoint.socket, F_GETFL)) & O_NONBLOCK, O_NONBLOCK);
    check_connects(KEY);
    cf_endpoint_close(&endpoint);
    CHECK_EQ(endpoint.socket, -1);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    check_does_not_connect(KEY, CUFRAMES_ERR_NOT_FOUND, "there is no");
    cf_endpoint_close(&endpoint);
}

TEST(key_with_a_live_publisher_is_refused)
{
    struct cf_endpoint endpoint = take(KEY);

    check_taken(KEY, CUFRAMES_ERR_ALREADY_EXISTS, "\"cam\" has a publisher");
    CHECK_EQ(test_count_files(test_runtime_dir()), 1);
    check_connects(KEY);
    cf_endpoint_close(&endpoint);
}

static void connect_until_full(const char *key, int *sockets, size_t most, size_t *count)
{
    int err;

    for (*count = 0; *count < most; ++*count) {
        err = cf_endpoint_connect(test_runtime_dir(), key, &sockets[*count]);
        if (err == CUFRAMES_ERR_WOULD_BLOCK)
            return;
        CHECK_OK(err);
    }
    FAIL("%zu connections wait and the socket is not full", most);
}

TEST(key_of_a_publisher_that_does_not_answer_is_refused)
{
    struct cf_endpoint endpoint = take(KEY);
    int sockets[1100];
    size_t count;

    CHECK_SYS(listen(endpoint.socket, 8));
    connect_until_full(KEY, sockets, 1100, &count);
    check_does_not_connect(KEY, CUFRAMES_ERR_WOULD_BLOCK, "does not answer");
    check_taken(KEY, CUFRAMES_ERR_ALREADY_EXISTS, "has a publisher");
    while (count > 0)
        close(sockets[--count]);
    cf_endpoint_close(&endpoint);
}

/* As many subscribers as a channel has can come at once. */
TEST(whole_channel_of_subscribers_can_wait_to_be_accepted)
{
    struct cf_endpoint endpoint = take(KEY);
    int sockets[CUFRAMES_MAX_SUBSCRIBERS + 1];

    for (size_t i = 0; i < CUFRAMES_MAX_SUBSCRIBERS + 1; i++)
        CHECK_OK(cf_endpoint_connect(test_runtime_dir(), KEY, &sockets[i]));
    for (size_t i = 0; i < CUFRAMES_MAX_SUBSCRIBERS + 1; i++)
        close(sockets[i]);
    cf_endpoint_close(&endpoint);
}

static void take_and_idle(struct test_peer *test, void *argument)
{
    (void)argument;
    take(KEY);
    test_say(test, 1);
    test_hear_end(test);
}

TEST(killed_publisher_leaves_the_name_and_the_next_takes_it)
{
    struct cf_endpoint endpoint;
    struct test_peer peer;

    for (int round = 0; round < 3; round++) {
        test_spawn(&peer, take_and_idle, NULL, NULL);
        CHECK_HEAR(&peer, 1);
        check_taken(KEY, CUFRAMES_ERR_ALREADY_EXISTS, "has a publisher");
        test_kill(&peer);
        CHECK_EQ(test_count_files(test_runtime_dir()), 1);
        check_does_not_connect(KEY, CUFRAMES_ERR_NOT_FOUND, "is gone");
    }
    endpoint = take(KEY);
    check_connects(KEY);
    CHECK_EQ(test_count_files(test_runtime_dir()), 1);
    cf_endpoint_close(&endpoint);
}

TEST(stopped_publisher_keeps_its_key)
{
    struct test_peer peer;

    test_spawn(&peer, take_and_idle, NULL, NULL);
    CHECK_HEAR(&peer, 1);
    test_stop(&peer);
    check_taken(KEY, CUFRAMES_ERR_ALREADY_EXISTS, "has a publisher");
    test_kill(&peer);
    CHECK_SYS(unlink(test_runtime_path(KEY ".sock")));
}

/* Whoever watches or connects never sees the name without a listener. */
TEST(name_changes_hands_in_one_step)
{
    struct cf_endpoint endpoint;
    struct test_peer peer;
    char buffer[4096] __attribute__((aligned(8)));
    int watch = CHECK_SYS(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    ssize_t size;
    int moved = 0;

    test_spawn(&peer, take_and_idle, NULL, NULL);
    CHECK_HEAR(&peer, 1);
    test_kill(&peer);
    CHECK_SYS(inotify_add_watch(watch, test_runtime_dir(), IN_CREATE | IN_DELETE | IN_MOVE));
    endpoint = take(KEY);
    size = CHECK_SYS(read(watch, buffer, sizeof(buffer)));
    for (ssize_t at = 0; at < size;) {
        const struct inotify_event *event = (const struct inotify_event *)(buffer + at);

        if (strcmp(event->name, KEY ".sock") == 0) {
            CHECK_EQ(event->mask, IN_MOVED_TO);
            moved++;
        }
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    CHECK_EQ(moved, 1);
    close(watch);
    cf_endpoint_close(&endpoint);
}

enum { RACERS = 8, ROUNDS = 25, WON = 100, LOST };

static void race(struct test_peer *test, void *argument)
{
    (void)argument;
    for (;;) {
        struct cf_endpoint endpoint = closed_endpoint();
        int err;

        if (test_hear(test) == 0)
            return;
        err = cf_endpoint_listen(test_runtime_dir(), KEY, 0600, NULL, &endpoint);
        if (err != CUFRAMES_OK)
            CHECK_EQ(err, CUFRAMES_ERR_ALREADY_EXISTS);
        test_say(test, err == CUFRAMES_OK ? WON : LOST);
        CHECK_HEAR(test, 2);
        /* Even rounds give the name back, odd ones leave it behind stale. */
        if (test_hear(test) == 0)
            cf_endpoint_close(&endpoint);
        else if (endpoint.socket >= 0)
            close(endpoint.socket);
        test_say(test, 3);
    }
}

TEST(exactly_one_of_many_takers_wins, .timeout_s = 60)
{
    struct test_peer racers[RACERS];

    for (int i = 0; i < RACERS; i++)
        test_spawn(&racers[i], race, NULL, NULL);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        int winners = 0;

        for (int i = 0; i < RACERS; i++)
            test_say(&racers[i], 1);
        for (int i = 0; i < RACERS; i++)
            winners += test_hear(&racers[i]) == WON;
        CHECK_EQ(winners, 1);
        CHECK_EQ(test_count_files(test_runtime_dir()), 1);
        check_connects(KEY);
        for (int i = 0; i < RACERS; i++) {
            test_say(&racers[i], 2);
            test_say(&racers[i], round % 2);
        }
        for (int i = 0; i < RACERS; i++)
            CHECK_HEAR(&racers[i], 3);
        CHECK_EQ(test_count_files(test_runtime_dir()), (int)(round % 2));
    }
    for (int i = 0; i < RACERS; i++) {
        test_say(&racers[i], 0);
        test_join(&racers[i]);
    }
}

/* What may be in the way. */

TEST(what_a_killed_taker_left_is_removed)
{
    struct cf_endpoint endpoint;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int left = CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.%s.tmp", test_runtime_dir(), KEY);
    CHECK_SYS(bind(left, (struct sockaddr *)&address, sizeof(address)));
    close(left);
    close(CHECK_SYS(open(test_runtime_path(KEY ".lock"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    CHECK_EQ(test_count_files(test_runtime_dir()), 2);
    endpoint = take(KEY);
    CHECK_EQ(test_count_files(test_runtime_dir()), 1);
    check_connects(KEY);
    cf_endpoint_close(&endpoint);
}

static void make_file(const char *name)
{
    close(CHECK_SYS(open(test_runtime_path(name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
}

TEST(files_in_the_way_are_refused_and_stay)
{
    const char *names[] = {KEY ".sock", "." KEY ".tmp"};

    for (size_t i = 0; i < 2; i++) {
        make_file(names[i]);
        check_taken(KEY, CUFRAMES_ERR_IO, "not a socket");
        CHECK_EQ(test_count_files(test_runtime_dir()), 1);
        CHECK_SYS(unlink(test_runtime_path(names[i])));
    }
    CHECK_SYS(mkdir(test_runtime_path(KEY ".sock"), 0700));
    check_taken(KEY, CUFRAMES_ERR_IO, "not a socket");
    CHECK_SYS(rmdir(test_runtime_path(KEY ".sock")));
    CHECK_SYS(symlink("nowhere", test_runtime_path(KEY ".sock")));
    check_taken(KEY, CUFRAMES_ERR_IO, "not a socket");
    CHECK_SYS(unlink(test_runtime_path(KEY ".sock")));
}

TEST(lock_that_is_no_file_is_refused)
{
    make_file("victim");
    CHECK_SYS(symlink("victim", test_runtime_path(KEY ".lock")));
    check_taken(KEY, CUFRAMES_ERR_PERMISSION, "symbolic link");
    CHECK_SYS(unlink(test_runtime_path(KEY ".lock")));
    CHECK_SYS(unlink(test_runtime_path("victim")));
    CHECK_SYS(mkfifo(test_runtime_path(KEY ".lock"), 0600));
    check_taken(KEY, CUFRAMES_ERR_IO, "not a regular file");
    CHECK_SYS(unlink(test_runtime_path(KEY ".lock")));
}

/* In the place of libc's, to be where no test can be otherwise: between open() and flock(). */
static void (*before_flock)(void);

int flock(int fd, int operation)
{
    if (before_flock)
        before_flock();
    return (int)syscall(SYS_flock, fd, operation);
}

static int rivals_lock = -1;
static int locks_tried;

/* First the rival who had the lock removes its name, and another one makes and takes a new lock;
 * at the third try that one has finished too. */
static void rivals(void)
{
    const char *path = test_runtime_path(KEY ".lock");

    locks_tried++;
    if (locks_tried == 1) {
        CHECK_SYS(unlink(path));
        rivals_lock = CHECK_SYS(open(path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600));
        CHECK_SYS(syscall(SYS_flock, rivals_lock, LOCK_EX | LOCK_NB));
    } else if (locks_tried == 3) {
        CHECK_SYS(unlink(path));
        close(rivals_lock);
    }
}

TEST(lock_on_a_file_without_a_name_is_none)
{
    struct cf_endpoint endpoint;

    before_flock = rivals;
    endpoint = take(KEY);
    /* The nameless one, the rival's, the rival's again (removed by now), and an own one. */
    CHECK_EQ(locks_tried, 4);
    cf_endpoint_close(&endpoint);
}

TEST(lock_that_is_never_given_back_ends_in_a_timeout)
{
    int lock = CHECK_SYS(open(test_runtime_path(KEY ".lock"), O_CREAT | O_RDWR | O_CLOEXEC, 0600));
    struct cf_endpoint endpoint;
    int64_t begin = cf_now_ns();

    CHECK_SYS(flock(lock, LOCK_EX));
    check_taken(KEY, CUFRAMES_ERR_TIMEOUT, "fuser");
    CHECK_GE(cf_now_ns() - begin, 2 * CF_NS_PER_S);
    /* The lock of another key is another lock. */
    endpoint = take("other");
    cf_endpoint_close(&endpoint);
    CHECK_SYS(unlink(test_runtime_path(KEY ".lock")));
    close(lock);
}

TEST(older_publishers_are_refused_by_name)
{
    const int types[] = {SOCK_STREAM, SOCK_DGRAM};

    for (size_t i = 0; i < 2; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        struct cf_endpoint endpoint;
        int old = CHECK_SYS(socket(AF_UNIX, types[i] | SOCK_CLOEXEC, 0));

        snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_runtime_path(KEY ".sock"));
        CHECK_SYS(bind(old, (struct sockaddr *)&address, sizeof(address)));
        if (types[i] == SOCK_STREAM)
            CHECK_SYS(listen(old, 8));
        check_taken(KEY, CUFRAMES_ERR_ALREADY_EXISTS, "older cuframes");
        check_does_not_connect(KEY, CUFRAMES_ERR_PROTOCOL, "older cuframes");
        close(old);
        /* Its owner is gone: the name is free, whatever type it had. */
        check_does_not_connect(KEY, CUFRAMES_ERR_NOT_FOUND, "is gone");
        endpoint = take(KEY);
        cf_endpoint_close(&endpoint);
    }
}

/* The other side of it: an older subscriber is told by the kernel. */
TEST(older_subscribers_cannot_connect)
{
    struct cf_endpoint endpoint = take(KEY);

    CHECK_EQ(raw_connect(KEY, SOCK_STREAM), -1);
    CHECK_EQ(errno, EPROTOTYPE);
    cf_endpoint_close(&endpoint);
}

TEST(name_that_is_not_ours_any_more_is_not_removed)
{
    struct cf_endpoint endpoint = take(KEY), other;

    CHECK_SYS(unlink(test_runtime_path(KEY ".sock")));
    other = take(KEY);
    cf_endpoint_close(&endpoint);
    check_connects(KEY);
    cf_endpoint_close(&other);
    endpoint = take(KEY);
    CHECK_SYS(unlink(test_runtime_path(KEY ".sock")));
    cf_endpoint_close(&endpoint);
}

TEST(directory_that_is_not_there)
{
    struct cf_endpoint endpoint = closed_endpoint();
    int socket;

    CHECK_ERR_SAYS(cf_endpoint_listen(test_runtime_path("absent"), KEY, 0600, NULL, &endpoint),
                   CUFRAMES_ERR_IO, "cam.lock");
    CHECK_ERR(cf_endpoint_connect(test_runtime_path("absent"), KEY, &socket),
              CUFRAMES_ERR_NOT_FOUND);
}

/* Permissions. */

TEST(socket_has_its_mode_whatever_the_umask)
{
    const mode_t modes[] = {0600, 0660, 0666, 0777, 0622};
    const mode_t umasks[] = {0, 022, 077, 0777};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        for (size_t k = 0; k < sizeof(umasks) / sizeof(umasks[0]); k++) {
            struct cf_endpoint endpoint = closed_endpoint();

            umask(umasks[k]);
            CHECK_OK(cf_endpoint_listen(test_runtime_dir(), KEY, modes[i], NULL, &endpoint));
            CHECK_EQ(mode_of(test_runtime_path(KEY ".sock")), modes[i]);
            cf_endpoint_close(&endpoint);
        }
    }
}

static gid_t group_of(const char *path)
{
    struct stat st;

    CHECK_SYS(lstat(path, &st));
    return st.st_gid;
}

TEST(socket_has_its_group)
{
    struct cf_endpoint endpoint = closed_endpoint();

    test_need_root();
    CHECK_OK(cf_endpoint_listen(test_runtime_dir(), KEY, 0660, "daemon", &endpoint));
    CHECK_EQ(group_of(test_runtime_path(KEY ".sock")), 1);
    CHECK_EQ(mode_of(test_runtime_path(KEY ".sock")), 0660);
    cf_endpoint_close(&endpoint);
    CHECK_OK(cf_endpoint_listen(test_runtime_dir(), KEY, 0660, "54321", &endpoint));
    CHECK_EQ(group_of(test_runtime_path(KEY ".sock")), 54321);
    cf_endpoint_close(&endpoint);
}

TEST(groups_and_modes_that_cannot_be_are_refused)
{
    const char *groups[] = {"no-such-group", "", "-1", "12x", "4294967295", "99999999999999999999"};
    struct cf_endpoint endpoint = closed_endpoint();

    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
        CHECK_ERR_SAYS(cf_endpoint_listen(test_runtime_dir(), KEY, 0660, groups[i], &endpoint),
                       CUFRAMES_ERR_INVALID_ARG, "no group");
    CHECK_ERR_SAYS(cf_endpoint_listen(test_runtime_dir(), KEY, 04755, NULL, &endpoint),
                   CUFRAMES_ERR_INVALID_ARG, "0777");
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
}

struct strangers {
    char dir[64];
};

static void try_as_user(struct test_peer *test, void *argument)
{
    const struct strangers *s = argument;
    struct cf_endpoint endpoint = closed_endpoint();
    int socket;

    test_become(54321);
    CHECK_HEAR(test, 1); /* listens with 0600 */
    CHECK_ERR_SAYS(cf_endpoint_connect(s->dir, KEY, &socket), CUFRAMES_ERR_PERMISSION,
                   "socket_mode");
    CHECK_ERR_SAYS(cf_endpoint_listen(s->dir, KEY, 0600, NULL, &endpoint), CUFRAMES_ERR_PERMISSION,
                   "lock");
    test_say(test, 2);
    CHECK_HEAR(test, 3); /* listens with 0666, directory of everybody, sticky */
    CHECK_OK(cf_endpoint_connect(s->dir, KEY, &socket));
    close(socket);
    CHECK_ERR(cf_endpoint_listen(s->dir, KEY, 0600, NULL, &endpoint), CUFRAMES_ERR_ALREADY_EXISTS);
    test_say(test, 4);
    CHECK_HEAR(test, 5); /* listens with 0600 again */
    CHECK_ERR_SAYS(cf_endpoint_listen(s->dir, KEY, 0600, NULL, &endpoint), CUFRAMES_ERR_PERMISSION,
                   "belongs to uid 0");
    CHECK_ERR_SAYS(cf_endpoint_listen(s->dir, "mine", 0660, "0", &endpoint),
                   CUFRAMES_ERR_PERMISSION, "member");
    CHECK_OK(cf_endpoint_listen(s->dir, "mine", 0600, NULL, &endpoint));
    cf_endpoint_close(&endpoint);
}

TEST(other_users_get_what_the_permissions_say)
{
    struct strangers s = {.dir = "/tmp/cuframes-test-XXXXXX"};
    struct cf_endpoint endpoint = closed_endpoint();
    struct test_peer peer;

    test_need_root();
    CHECK(mkdtemp(s.dir));
    CHECK_SYS(chmod(s.dir, 0755));
    test_spawn(&peer, try_as_user, &s, NULL);
    CHECK_OK(cf_endpoint_listen(s.dir, KEY, 0600, NULL, &endpoint));
    test_say(&peer, 1);
    CHECK_HEAR(&peer, 2);
    cf_endpoint_close(&endpoint);
    CHECK_SYS(chmod(s.dir, 01777));
    CHECK_OK(cf_endpoint_listen(s.dir, KEY, 0666, NULL, &endpoint));
    test_say(&peer, 3);
    CHECK_HEAR(&peer, 4);
    cf_endpoint_close(&endpoint);
    CHECK_OK(cf_endpoint_listen(s.dir, KEY, 0600, NULL, &endpoint));
    test_say(&peer, 5);
    test_join(&peer);
    cf_endpoint_close(&endpoint);
    CHECK_EQ(test_count_files(s.dir), 0);
    CHECK_SYS(rmdir(s.dir));
}

/* Bad days. */

TEST(failed_steps_leave_nothing_behind)
{
    const enum test_fault calls[] = {TEST_FAULT_SOCKET, TEST_FAULT_BIND, TEST_FAULT_LISTEN};
    const int errors[] = {EMFILE, ENOSPC, EADDRINUSE};
    const int expected[] = {CUFRAMES_ERR_TOO_MANY, CUFRAMES_ERR_OUT_OF_MEMORY, CUFRAMES_ERR_IO};

    test_fault_install();
    for (size_t i = 0; i < 3; i++) {
        struct cf_endpoint endpoint = closed_endpoint();

        test_fault_arm(calls[i], 1, errors[i]);
        CHECK_ERR(cf_endpoint_listen(test_runtime_dir(), KEY, 0600, NULL, &endpoint), expected[i]);
        CHECK(test_fault_disarm());
        CHECK_EQ(endpoint.socket, -1);
        CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    }
}

TEST(probe_that_fails_takes_nothing_away)
{
    struct test_peer peer;
    struct cf_endpoint endpoint;

    test_spawn(&peer, take_and_idle, NULL, NULL);
    CHECK_HEAR(&peer, 1);
    test_fault_install();
    test_fault_arm(TEST_FAULT_CONNECT, 1, ENOMEM);
    check_taken(KEY, CUFRAMES_ERR_OUT_OF_MEMORY, "cannot find out");
    CHECK(test_fault_disarm());
    test_fault_arm(TEST_FAULT_CONNECT, 1, EINTR);
    check_taken(KEY, CUFRAMES_ERR_ALREADY_EXISTS, "has a publisher");
    CHECK(test_fault_disarm());
    check_connects(KEY);
    test_kill(&peer);
    endpoint = take(KEY);
    cf_endpoint_close(&endpoint);
}

TEST(full_disk_is_told)
{
    char dir[200];
    struct cf_endpoint endpoint = closed_endpoint();

    snprintf(dir, sizeof(dir), "%s", test_runtime_path("full"));
    CHECK_SYS(mkdir(dir, 0700));
    test_mount_small(dir, 16384);
    /* Room for one inode, which the directory has. */
    CHECK_SYS(mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,nr_inodes=1"));
    CHECK_ERR_SAYS(cf_endpoint_listen(dir, KEY, 0600, NULL, &endpoint), CUFRAMES_ERR_OUT_OF_MEMORY,
                   "No space left");
    CHECK_EQ(endpoint.socket, -1);
    test_may_remain("full");
}
