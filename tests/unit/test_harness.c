/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * That the harness finds what it says it finds.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/harness.h"
#include "harness/isolation.h"
#include "harness/limits.h"
#include "harness/peer.h"

TEST(values_of_different_signs_compare_as_numbers)
{
    CHECK_LT(-1, 1U);
    CHECK_GT(UINT64_MAX, INT64_C(-1));
}

TEST(failed_comparison_fails, .fails = "1 (0x1) and 2 (0x2)")
{
    CHECK_EQ(1, 2);
}

TEST(descriptor_leak_fails, .fails = "leaked descriptor")
{
    CHECK_SYS(open("/dev/null", O_RDONLY | O_CLOEXEC));
}

TEST(descriptor_loss_fails, .fails = "lost descriptor")
{
    close(STDIN_FILENO);
}

TEST(mapping_leak_fails, .fails = "/memfd:cuframes-test")
{
    int fd = CHECK_SYS(memfd_create("cuframes-test", MFD_CLOEXEC));

    CHECK_SYS(ftruncate(fd, 4096));
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
    close(fd);
}

static void *idle(void *argument)
{
    pause();
    return argument;
}

TEST(thread_leak_fails, .fails = "threads, ")
{
    pthread_t thread;

    CHECK_EQ(pthread_create(&thread, NULL, idle, NULL), 0);
}

TEST(child_leak_fails, .fails = "a child process still runs")
{
    if (CHECK_SYS(fork()) == 0)
        pause();
}

TEST(file_left_behind_fails, .fails = "left in the runtime directory: stray")
{
    close(CHECK_SYS(open(test_runtime_path("stray"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
}

TEST(declared_file_may_remain)
{
    close(CHECK_SYS(open(test_runtime_path("stray"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    test_may_remain("stray");
}

TEST(hanging_test_is_ended, .fails = "", .timeout_s = 1)
{
    pause();
}

TEST(crash_fails, .fails = "")
{
    __builtin_trap();
}

static void echo(struct test_peer *test, void *argument)
{
    uint64_t difference = *(const uint64_t *)argument;

    test_say(test, test_hear(test) + difference);
    test_hear_end(test);
}

TEST(peers_hear_and_answer)
{
    uint64_t difference = 2;
    struct test_peer peer;

    test_spawn(&peer, echo, &difference, NULL);
    test_say(&peer, 40);
    CHECK_HEAR(&peer, 42);
    test_stop(&peer);
    test_continue(&peer);
    test_join(&peer);
    test_spawn(&peer, echo, &difference, NULL);
    test_kill(&peer);
}

static void look_around(struct test_peer *test, void *argument)
{
    (void)argument;
    CHECK_EQ(getpid(), 1);
    CHECK_EQ(getuid(), 1000U);
    CHECK_EQ(test_count_files("/dev/shm"), 0);
    CHECK_EQ(test_count_files("/"), 3);
    CHECK_EQ(access("/run/shared/stray", F_OK), 0);
    test_say(test, 1);
    test_hear_end(test);
}

TEST(isolated_peer_shares_one_directory)
{
    struct test_isolation isolation = {.shared = test_runtime_dir(),
                                       .at = "/run/shared",
                                       .hostname = "elsewhere",
                                       .inner_uid = 1000};
    struct test_spawn_options options = {.isolation = &isolation};
    ino_t here[TEST_NAMESPACES], there[TEST_NAMESPACES];
    const char *missing = test_isolation_missing(NULL);
    struct test_peer peer;

    if (missing)
        SKIP("no namespaces: %s", missing);
    close(CHECK_SYS(open(test_runtime_path("stray"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600)));
    test_may_remain("stray");
    test_spawn(&peer, look_around, NULL, &options);
    CHECK_HEAR(&peer, 1);
    test_namespaces(getpid(), here);
    test_namespaces(peer.pid, there);
    for (int i = 0; i < TEST_NAMESPACES; i++)
        CHECK_NE(here[i], there[i]);
    test_kill(&peer);
}

TEST(descriptor_limit_counts)
{
    int fds[2];

    test_limit_descriptors(2);
    CHECK_SYS(pipe2(fds, O_CLOEXEC));
    CHECK_EQ(dup(STDIN_FILENO), -1);
    close(fds[0]);
    close(fds[1]);
    test_unlimit_descriptors();
}
