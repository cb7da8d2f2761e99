/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Futexes between processes, deadlines, and what fork() must not break.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/fork.h"
#include "base/futex.h"
#include "base/shm.h"
#include "harness/harness.h"
#include "harness/peer.h"

TEST(deadlines_follow_the_timeouts_of_the_api)
{
    int64_t now = cf_now_ns();

    CHECK_EQ(cf_deadline(-1), CF_NEVER);
    CHECK_EQ(cf_deadline(INT32_MIN), CF_NEVER);
    CHECK_EQ(cf_deadline(0), 0);
    CHECK_GE(cf_deadline(1000), now + CF_NS_PER_S);
    CHECK_LT(cf_deadline(INT32_MAX), CF_NEVER);
    CHECK_GT(cf_deadline(INT32_MAX), now);
}

TEST(time_left_is_rounded_up_and_bounded)
{
    CHECK_EQ(cf_poll_ms(CF_NEVER, 500), 500);
    CHECK_EQ(cf_poll_ms(0, 500), 0);
    CHECK_EQ(cf_poll_ms(cf_now_ns() - CF_NS_PER_S, 500), 0);
    CHECK_EQ(cf_poll_ms(cf_now_ns() + 3600 * CF_NS_PER_S, 500), 500);
    CHECK_GE(cf_poll_ms(cf_now_ns() + CF_NS_PER_S, 2000), 1);
}

TEST(futex_that_differs_does_not_wait)
{
    _Atomic uint32_t word = 1;

    CHECK_EQ(cf_futex_wait(&word, 2, CF_NEVER), -EAGAIN);
    CHECK_EQ(cf_futex_wake_all(&word), 0);
}

TEST(futex_wait_ends_at_its_deadline)
{
    _Atomic uint32_t word = 1;
    int64_t deadline = cf_now_ns() + 20 * CF_NS_PER_MS;

    CHECK_EQ(cf_futex_wait(&word, 1, deadline), -ETIMEDOUT);
    CHECK_GE(cf_now_ns(), deadline);
    CHECK_EQ(cf_futex_wait(&word, 1, 0), -ETIMEDOUT);
}

struct shared_word {
    int fd;
};

static void wait_on_read_only_map(struct test_peer *test, void *argument)
{
    struct shared_word *shared = argument;
    struct cf_map map;
    const _Atomic uint32_t *word;
    int err;

    CHECK_OK(cf_shm_attach("word", shared->fd, 4096, CF_SHM_MAKER_WRITES, &map));
    word = map.addr;
    test_say(test, 1);
    do
        err = cf_futex_wait(word, 0, cf_deadline(test_patience_ms()));
    while (err == -EINTR);
    CHECK(err == 0 || err == -EAGAIN);
    CHECK_EQ(atomic_load(word), 5U);
    test_say(test, 2);
}

TEST(futex_wakes_a_process_with_a_read_only_map)
{
    struct test_peer peer;
    struct shared_word shared;
    struct test_spawn_options options = {0};
    struct cf_map map;
    _Atomic uint32_t *word;

    CHECK_OK(cf_shm_create("cuframes-test", 4096, CF_SHM_MAKER_WRITES, &shared.fd, &map));
    word = map.addr;
    options.keep_fd = shared.fd;
    test_spawn(&peer, wait_on_read_only_map, &shared, &options);
    CHECK_HEAR(&peer, 1);
    atomic_store(word, 5);
    cf_futex_wake_all(word);
    CHECK_HEAR(&peer, 2);
    test_join(&peer);
    cf_map_release(&map);
    close(shared.fd);
}

/* Exit status of a forked child that runs `check`. */
static void check_in_child(void (*check)(void *), void *argument)
{
    pid_t pid = CHECK_SYS(fork());
    int status;

    if (pid == 0) {
        check(argument);
        _exit(0);
    }
    CHECK_SYS(waitpid(pid, &status, 0));
    CHECK_EQ(status, 0);
}

struct guarded {
    struct cf_fork_guard guard;
    int fd;
    unsigned forks;
};

static void guard_is_closed(void *argument)
{
    struct guarded *g = argument;

    CHECK_EQ(g->guard.fd, -1);
    CHECK_EQ(write(g->fd, "x", 1), -1);
    CHECK_EQ(errno, EBADF);
    CHECK_EQ(cf_fork_count(), g->forks + 1);
}

TEST(child_closes_guarded_descriptors)
{
    struct guarded g = {.forks = cf_fork_count()};
    int ends[2];
    char byte;

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    g.fd = ends[0];
    cf_fork_guard_add(&g.guard, ends[0]);
    check_in_child(guard_is_closed, &g);
    CHECK_EQ(cf_fork_count(), g.forks);
    CHECK_EQ(write(ends[0], "x", 1), 1);
    CHECK_EQ(read(ends[1], &byte, 1), 1);
    cf_fork_guard_remove(&g.guard);
    close(ends[0]);
    close(ends[1]);
}

static void removed_is_open(void *argument)
{
    CHECK_EQ(write(*(int *)argument, "x", 1), 1);
}

TEST(child_keeps_what_is_not_guarded_any_more)
{
    struct cf_fork_guard guard = {0}, never_added = {0};
    int ends[2];

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    cf_fork_guard_add(&guard, ends[0]);
    cf_fork_guard_remove(&guard);
    cf_fork_guard_remove(&guard);
    cf_fork_guard_remove(&never_added);
    check_in_child(removed_is_open, &ends[0]);
    close(ends[0]);
    close(ends[1]);
}

TEST(hang_up_is_seen_although_a_child_lives)
{
    struct cf_fork_guard guard = {0};
    int ends[2], pipe_ends[2];
    pid_t child;
    char byte;

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_SYS(pipe2(pipe_ends, O_CLOEXEC));
    cf_fork_guard_add(&guard, ends[0]);
    child = CHECK_SYS(fork());
    if (child == 0) {
        close(pipe_ends[1]);
        _exit(read(pipe_ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    cf_fork_guard_remove(&guard);
    close(ends[0]);
    CHECK(test_readable(ends[1], test_patience_ms()));
    CHECK_EQ(read(ends[1], &byte, 1), 0);
    close(pipe_ends[1]);
    CHECK_SYS(waitpid(child, NULL, 0));
    close(pipe_ends[0]);
    close(ends[1]);
}

static void *churn_guards(void *argument)
{
    const int *fd = argument;

    for (int i = 0; i < 2000; i++) {
        struct cf_fork_guard guard = {0};

        cf_fork_guard_add(&guard, *fd);
        cf_fork_guard_remove(&guard);
    }
    return NULL;
}

TEST(guards_come_and_go_in_threads, .threads = true)
{
    pthread_t threads[3];
    int fd = CHECK_SYS(dup(STDIN_FILENO));

    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, churn_guards, &fd), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    close(fd);
}
