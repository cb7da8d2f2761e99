/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking rights and resources away from the test's own process.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Skips unless root runs the test. */
void test_need_root(void);
/* Becomes another user and group for good, without supplementary groups. For peers: a test's own
 * process could no longer look into its runtime directory. */
void test_become(uid_t uid);

/* Lets `count` more descriptors be opened from now on (RLIMIT_NOFILE, the soft limit). */
void test_limit_descriptors(unsigned count);
/* Back to the limit of the test's start. */
void test_unlimit_descriptors(void);

/* Moves the test into a mount namespace of its own and mounts a tmpfs on `path` that has room for
 * `files` files; skips where that is not allowed. */
void test_mount_small(const char *path, unsigned files);
