/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer in new PID, IPC, network, mount, UTS and user namespaces, whose root is an empty tmpfs
 * with one directory of the host bound into it, an own /dev/shm and an own /proc. That directory
 * is all that it shares with anybody.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct test_isolation {
    const char *shared;   /* directory of the host */
    const char *at;       /* where the peer sees it, an absolute path */
    const char *hostname; /* of its UTS namespace */
    unsigned inner_uid;   /* what the test's user and group are inside */
    /* For programs that need more than themselves, such as a GPU's driver: the file system stays,
     * with another /proc and an empty /dev/shm, and root stays root. `shared` and `at` are unused. */
    bool keep_root;
};

/* Why this machine cannot isolate so (`isolation` NULL: with a root of its own), or NULL. */
const char *test_isolation_missing(const struct test_isolation *isolation);

/* Called in a fresh single-threaded child: returns in a process inside the new namespaces, which
 * has told its PID over `channel`; the caller's process stands by as its waiter and ends with its
 * status. */
void test_isolate(const struct test_isolation *isolation, int channel);

/* Inode numbers of a process's namespaces, for comparing. */
enum { TEST_NAMESPACES = 6 };
extern const char *const test_namespace_names[TEST_NAMESPACES];
void test_namespaces(pid_t pid, ino_t inodes[TEST_NAMESPACES]);
