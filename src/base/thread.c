/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Starting threads, and waiting with a deadline.
 */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>

#include "base/clock.h"
#include "base/error.h"

/* Fewest cores with which spinning is no loss. */
#define SPIN_CORES 4

int cf_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    int errnum;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum)
        return cf_fail_errno(errnum, "cannot start the thread %s", name);
    pthread_setname_np(*thread, name);
    return CUFRAMES_OK;
}

void cf_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

int cf_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = deadline_ns / CF_NS_PER_S,
                                   .tv_nsec = deadline_ns % CF_NS_PER_S};

    return pthread_cond_timedwait(condition, lock, &until);
}

bool cf_thread_may_spin(void)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof(cores), &cores) == 0 && CPU_COUNT(&cores) >= SPIN_CORES;
}
