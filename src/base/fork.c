/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The registry is a list under a lock that fork() takes, so that the child sees it whole.
 */
#include "base/fork.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/sys.h"

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

/* Under the lock. */
static void unlink_guard(struct cf_fork_guard *guard)
{
    guard->prev->next = guard->next;
    guard->next->prev = guard->prev;
    guard->next = guard->prev = NULL;
}

/* Under the lock. */
static void link_guard(struct cf_fork_guard *guard, int fd)
{
    guard->fd = fd;
    guard->next = guards.next;
    guard->prev = &guards;
    guards.next->prev = guard;
    guards.next = guard;
}

/* Under the lock. */
static void forget(int fd)
{
    for (struct cf_fork_guard *g = guards.next; g != &guards; g = g->next) {
        if (g->fd == fd) {
            unlink_guard(g);
            return;
        }
    }
}

static void in_child(void)
{
    struct cf_fork_guard *following;

    for (struct cf_fork_guard *g = guards.next; g != &guards; g = following) {
        following = g->next;
        close(g->fd);
        *g = (struct cf_fork_guard){.fd = -1};
    }
    /* Some guards were on stacks of threads that the child has not. */
    guards.next = guards.prev = &guards;
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
    forget(fd);
    link_guard(guard, fd);
    pthread_mutex_unlock(&lock);
}

void cf_fork_guard_remove(struct cf_fork_guard *guard)
{
    pthread_mutex_lock(&lock);
    /* Read under the lock, like the rest: neighbours in the list write to it. */
    if (guard->next)
        unlink_guard(guard);
    pthread_mutex_unlock(&lock);
}

int cf_fork_guard_accept(struct cf_fork_guard *newborn, int listener)
{
    int fd;

    pthread_once(&once, install);
    *newborn = (struct cf_fork_guard){.fd = -1};
    pthread_mutex_lock(&lock);
    fd = cf_sys.accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        link_guard(newborn, fd);
    pthread_mutex_unlock(&lock);
    return fd;
}

void cf_fork_guard_forget(int fd)
{
    pthread_mutex_lock(&lock);
    forget(fd);
    pthread_mutex_unlock(&lock);
}
