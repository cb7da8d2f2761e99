/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry is a list under a lock that fork() takes, so that the child sees it whole.
 */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct cf_fork_guard guards = {.next = &guards, .prev = &guards, .fd = -1};
/* Relaxed everywhere: it changes only in a child, while that has one thread. */
static atomic_uint forks;

static void before_fork(void)
{
    pthread_mutex_lock(&lock);
}

static void in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

static void in_child(void)
{
    for (struct cf_fork_guard *g = guards.next; g != &guards; g = g->next) {
        close(g->fd);
        g->fd = -1;
    }
    atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

static void install(void)
{
    pthread_atfork(before_fork, in_parent, in_child);
}

unsigned cf_fork_count(void)
{
    return atomic_load_explicit(&forks, memory_order_relaxed);
}

void cf_fork_guard_add(struct cf_fork_guard *guard, int fd)
{
    pthread_once(&once, install);
    pthread_mutex_lock(&lock);
    guard->fd = fd;
    guard->next = guards.next;
    guard->prev = &guards;
    guards.next->prev = guard;
    guards.next = guard;
    pthread_mutex_unlock(&lock);
}

void cf_fork_guard_remove(struct cf_fork_guard *guard)
{
    pthread_mutex_lock(&lock);
    /* Read under the lock, like the rest: neighbours in the list write to it. */
    if (guard->next) {
        guard->prev->next = guard->next;
        guard->next->prev = guard->prev;
        guard->next = guard->prev = NULL;
    }
    pthread_mutex_unlock(&lock);
}
