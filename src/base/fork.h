/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What fork() must not break. A child inherits copies of sockets; while it keeps them open, the
 * peer would not see this process die. So each socket whose hang-up means something is registered
 * here, and the child closes its copies before it runs. Objects remember the fork count of their
 * birth and refuse to work in a child.
 */
#pragma once

#include <stdbool.h>

/* One registered descriptor, embedded in its owner. Not moved while registered. */
struct cf_fork_guard {
    struct cf_fork_guard *next, *prev;
    int fd;
};

/* Number of forks between the program's start and this process; changes in a child. */
unsigned cf_fork_count(void);

/* Registers guard->fd, which another guard then has no more; forgets it. Any thread. The child sets
 * guard->fd to -1 as it closes it. */
void cf_fork_guard_add(struct cf_fork_guard *guard, int fd);
void cf_fork_guard_remove(struct cf_fork_guard *guard);

/* accept4(), non-blocking and close-on-exec, of a listening socket that does not block. The new
 * socket is `newborn`'s from its first moment, so that a fork() in another thread keeps no copy of
 * it, until another guard takes it, or it is forgotten, before it is closed. */
int cf_fork_guard_accept(struct cf_fork_guard *newborn, int listener);
void cf_fork_guard_forget(int fd);
