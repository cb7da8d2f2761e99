/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber with a thread of the library's own.
 *
 * The thread is the only one that calls next. It is stopped by `stop` and an interrupt of next;
 * it ends by itself with the first error that is not one of waiting. `lock` guards how it ended.
 */
#include "channel/async.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fork.h"
#include "base/sys.h"
#include "channel/subscriber.h"

/* As long as any sentence that the library makes. */
#define SENTENCE_SIZE 512

struct cuframes_async_subscriber {
    cuframes_subscriber_t *subscriber;
    cuframes_frame_callback_t callback;
    void *user;
    unsigned fork_count;
    pthread_t thread;
    atomic_bool stop;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* `ended` has been set */
    bool ended;
    int error;
    char sentence[SENTENCE_SIZE];
};

/* Whose thread this is; NULL in threads of the program. */
static _Thread_local const cuframes_async_subscriber_t *delivering;

/* Calls back for one frame. Whatever only means "no frame now" is not an error. */
static int deliver_next(cuframes_async_subscriber_t *async)
{
    cuframes_frame_t *frame;
    int err = cf_subscriber_next(async->subscriber, &frame, -1);

    if (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT)
        return CUFRAMES_OK;
    if (err)
        return err;
    async->callback(frame, async->user);
    return cuframes_frame_release(frame);
}

static void *deliver(void *arg)
{
    cuframes_async_subscriber_t *async = arg;
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&async->lock);
    pthread_mutex_unlock(&async->lock);
    delivering = async;
    /* Relaxed: the join orders everything else. */
    while (!err && !atomic_load_explicit(&async->stop, memory_order_relaxed))
        err = deliver_next(async);
    pthread_mutex_lock(&async->lock);
    async->ended = true;
    async->error = err;
    if (err)
        snprintf(async->sentence, sizeof(async->sentence), "%s", cuframes_last_error());
    pthread_cond_broadcast(&async->changed);
    pthread_mutex_unlock(&async->lock);
    return NULL;
}

/* Starts the thread with every signal blocked: signals are the program's business. */
static int start_thread(cuframes_async_subscriber_t *async)
{
    sigset_t all, before;
    int errnum;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&async->thread, NULL, deliver, async);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum)
        return cf_fail_errno(errnum, "cannot start the subscriber's thread");
    pthread_setname_np(async->thread, "cuframes-async");
    return CUFRAMES_OK;
}

static void init_lock(cuframes_async_subscriber_t *async)
{
    pthread_condattr_t attributes;

    pthread_mutex_init(&async->lock, NULL);
    pthread_condattr_init(&attributes);
    /* The clock of every deadline; a step of the wall clock must not end or prolong a wait. */
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&async->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void fini_lock(cuframes_async_subscriber_t *async)
{
    pthread_cond_destroy(&async->changed);
    pthread_mutex_destroy(&async->lock);
}

int cf_async_create(cuframes_subscriber_t *subscriber, cuframes_frame_callback_t callback,
                    void *user, cuframes_async_subscriber_t **async)
{
    cuframes_async_subscriber_t *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new) {
        cf_subscriber_destroy(subscriber);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    new->subscriber = subscriber;
    new->callback = callback;
    new->user = user;
    new->fork_count = cf_fork_count();
    init_lock(new);
    /* The thread begins by taking the lock: callbacks find their subscriber where it was to be. */
    pthread_mutex_lock(&new->lock);
    err = start_thread(new);
    if (!err)
        *async = new;
    pthread_mutex_unlock(&new->lock);
    if (err) {
        fini_lock(new);
        cf_subscriber_destroy(subscriber);
        free(new);
    }
    return err;
}

static bool in_callback(const cuframes_async_subscriber_t *async)
{
    return delivering == async;
}

int cf_async_destroy(cuframes_async_subscriber_t *async)
{
    if (async->fork_count == cf_fork_count()) {
        if (in_callback(async))
            return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                           "a callback cannot destroy its own subscriber: tell another thread to");
        atomic_store_explicit(&async->stop, true, memory_order_relaxed);
        cf_subscriber_interrupt(async->subscriber);
        pthread_join(async->thread, NULL);
        fini_lock(async);
    }
    /* In a child there is no thread to join, and the lock may be as it was in its hands. */
    cf_subscriber_destroy(async->subscriber);
    free(async);
    return CUFRAMES_OK;
}

static int wait_locked(cuframes_async_subscriber_t *async, int64_t deadline_ns)
{
    const struct timespec until = {.tv_sec = deadline_ns / CF_NS_PER_S,
                                   .tv_nsec = deadline_ns % CF_NS_PER_S};
    int errnum = 0;

    while (!async->ended && errnum == 0) {
        if (deadline_ns == CF_NEVER)
            pthread_cond_wait(&async->changed, &async->lock);
        else
            errnum = pthread_cond_timedwait(&async->changed, &async->lock, &until);
    }
    if (!async->ended)
        return cf_fail(CUFRAMES_ERR_TIMEOUT, "the subscriber still runs");
    return cf_fail(async->error, "%s", async->sentence);
}

static int check_process(const cuframes_async_subscriber_t *async)
{
    if (async->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this subscriber was made before fork(): subscribe "
                       "again in the child");
    return CUFRAMES_OK;
}

int cf_async_wait(cuframes_async_subscriber_t *async, int64_t deadline_ns)
{
    int err = check_process(async);

    if (err)
        return err;
    if (in_callback(async))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a callback cannot wait for the end of its own thread");
    pthread_mutex_lock(&async->lock);
    err = wait_locked(async, deadline_ns);
    pthread_mutex_unlock(&async->lock);
    return err;
}

int cf_async_read_stats(cuframes_async_subscriber_t *async, cuframes_subscriber_stats_t *stats)
{
    int err = check_process(async);

    if (!err)
        cf_subscriber_read_stats(async->subscriber, stats);
    return err;
}
