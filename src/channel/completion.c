/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waiting for streams. One thread for a publisher sleeps for the oldest frame's mark, announces it,
 * and goes on to the next: so frames are announced in the order in which they were published,
 * whatever streams they come from. A stream that fails ends the channel with its error.
 *
 * The thread owns a reference to the publisher. Only it takes entries out of the queue.
 */
#include "channel/completion.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"
#include "base/thread.h"
#include "channel/publisher.h"

/* How long destroy waits for streams. */
#define DRAIN_MS 2000

void cf_completion_init(struct cf_completion *completion)
{
    completion->end = &completion->first;
    cf_condition_init(&completion->changed);
}

static void free_pending(struct cf_pending *pending)
{
    if (pending->cuda) {
        cf_cuda_mark_fini(pending->cuda, &pending->mark);
        cf_cuda_unref(pending->cuda);
    }
    free(pending);
}

void cf_completion_fini(struct cf_completion *completion)
{
    struct cf_pending *pending;

    while ((pending = completion->spare) != NULL) {
        completion->spare = pending->next;
        free_pending(pending);
    }
    pthread_cond_destroy(&completion->changed);
}

/* ---- the end of a channel by an error ---- */

void cf_publisher_fail(cuframes_publisher_t *publisher, int error)
{
    if (publisher->failed)
        return;
    publisher->failed = error;
    snprintf(publisher->failure, sizeof(publisher->failure), "%s", cuframes_last_error());
    cf_log(CUFRAMES_LOG_ERROR, "%s: the channel has failed: %s", publisher->key,
           publisher->failure);
    cf_writer_end(&publisher->current->writer, &publisher->peers, CF_RING_CLOSED);
    cf_service_kick(publisher);
    cf_wait_progress(publisher);
}

int cf_publisher_failure(const cuframes_publisher_t *publisher)
{
    if (!publisher->failed)
        return CUFRAMES_OK;
    return cf_fail(publisher->failed, "the channel has failed: %s", publisher->failure);
}

/* ---- the queue ---- */

static struct cf_pending *take_spare(cuframes_publisher_t *publisher)
{
    struct cf_pending *pending;

    pthread_mutex_lock(&publisher->lock);
    pending = publisher->completion.spare;
    if (pending)
        publisher->completion.spare = pending->next;
    pthread_mutex_unlock(&publisher->lock);
    return pending ? pending : cf_sys.calloc(1, sizeof(*pending));
}

/* An event of one GPU is of no use on another, to which a new generation may have gone. */
static void use_cuda(struct cf_pending *pending, struct cf_cuda *cuda)
{
    if (pending->cuda == cuda)
        return;
    if (pending->cuda) {
        cf_cuda_mark_fini(pending->cuda, &pending->mark);
        cf_cuda_unref(pending->cuda);
    }
    pending->cuda = cf_cuda_ref(cuda);
}

int cf_completion_prepare(cuframes_publisher_t *publisher, struct cf_cuda *cuda, void *stream,
                          struct cf_pending **pending)
{
    struct cf_pending *new = take_spare(publisher);
    bool fatal = false;
    int err = CUFRAMES_OK;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->marked = cuda != NULL;
    if (cuda) {
        use_cuda(new, cuda);
        err = cf_cuda_mark(cuda, stream, &new->mark, &fatal);
    }
    CF_POINT("completion.marked");
    if (!err) {
        *pending = new;
        return CUFRAMES_OK;
    }
    pthread_mutex_lock(&publisher->lock);
    if (fatal)
        cf_publisher_fail(publisher, err);
    cf_completion_discard(publisher, new);
    pthread_mutex_unlock(&publisher->lock);
    return err;
}

void cf_completion_discard(cuframes_publisher_t *publisher, struct cf_pending *pending)
{
    pending->next = publisher->completion.spare;
    publisher->completion.spare = pending;
}

uint64_t cf_completion_submit(cuframes_publisher_t *publisher, struct cf_pending *pending,
                              cuframes_buffer_t *buffer, const cuframes_frame_meta_t *meta)
{
    struct cf_completion *completion = &publisher->completion;
    uint64_t seq = publisher->current->writer.next_seq + completion->count;

    pending->buffer = cuframes_buffer_ref(buffer);
    pending->meta = *meta;
    if (meta->user_size > 0)
        memcpy(pending->user_data, meta->user_data, meta->user_size);
    pending->meta.user_data = pending->user_data;
    buffer->published = true;
    pending->next = NULL;
    *completion->end = pending;
    completion->end = &pending->next;
    completion->count++;
    CF_POINT("completion.submitted");
    pthread_cond_broadcast(&completion->changed);
    return seq;
}

const struct cf_generation *cf_completion_newest(const cuframes_publisher_t *publisher)
{
    const struct cf_generation *newest = publisher->current;

    for (const struct cf_pending *p = publisher->completion.first; p; p = p->next)
        newest = p->buffer->generation;
    return newest;
}

/* ---- the thread ---- */

/* Announces the first of the queue; under the lock, which it lets go of while it waits for those
 * who follow generations in order. */
static void announce_first(cuframes_publisher_t *publisher, struct cf_pending *pending)
{
    struct cf_generation *generation = pending->buffer->generation;
    const bool wait = generation->info.policy == CUFRAMES_POLICY_STRICT_WAIT;
    int64_t deadline = 0;
    bool again = wait;

    if (generation != publisher->current) {
        /* Nobody interrupts a thread of the library. */
        while (again && !publisher->completion.stop && !publisher->failed)
            cf_wait_for_followers(publisher, &deadline, &again);
        if (publisher->failed || publisher->completion.abandoned)
            return;
        cf_publisher_switch(publisher, generation);
    }
    cf_publisher_announce(publisher, pending->buffer, &pending->meta);
}

/* Waits for the first of the queue, announces it unless all is over, and takes it out. */
static void complete_first(cuframes_publisher_t *publisher)
{
    struct cf_completion *completion = &publisher->completion;
    struct cf_pending *pending = completion->first;
    cuframes_buffer_t *buffer = pending->buffer;
    int err = CUFRAMES_OK;

    if (pending->marked) {
        pthread_mutex_unlock(&publisher->lock);
        err = cf_cuda_await(pending->cuda, &pending->mark, &completion->patience);
        CF_POINT("completion.awaited");
        pthread_mutex_lock(&publisher->lock);
    }
    if (err && !completion->abandoned)
        cf_publisher_fail(publisher, err);
    if (!publisher->failed && !completion->abandoned)
        announce_first(publisher, pending);
    CF_POINT("completion.announced");
    completion->first = pending->next;
    if (!completion->first)
        completion->end = &completion->first;
    completion->count--;
    cf_completion_discard(publisher, pending);
    pthread_mutex_unlock(&publisher->lock);
    cf_buffer_unref(buffer);
    pthread_mutex_lock(&publisher->lock);
    /* Those who wait for a slot may have waited for this one. */
    cf_wait_progress(publisher);
}

static void *complete(void *arg)
{
    cuframes_publisher_t *publisher = arg;
    struct cf_completion *completion = &publisher->completion;

    pthread_mutex_lock(&publisher->lock);
    while (completion->first || !completion->stop) {
        if (completion->first)
            complete_first(publisher);
        else
            pthread_cond_wait(&completion->changed, &publisher->lock);
    }
    completion->runs = false;
    CF_POINT("completion.ended");
    pthread_cond_broadcast(&completion->changed);
    pthread_mutex_unlock(&publisher->lock);
    cf_publisher_unref(publisher);
    return NULL;
}

static int start_thread(cuframes_publisher_t *publisher)
{
    struct cf_completion *completion = &publisher->completion;
    int err;

    /* Relaxed: the caller keeps a reference. */
    atomic_fetch_add_explicit(&publisher->refs, 1, memory_order_relaxed);
    err = cf_thread_start(&completion->thread, "cuframes-gpu", complete, publisher);
    if (err)
        atomic_fetch_sub_explicit(&publisher->refs, 1, memory_order_relaxed);
    else
        completion->runs = true;
    return err;
}

int cf_completion_start(cuframes_publisher_t *publisher)
{
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&publisher->lock);
    if (!publisher->completion.runs)
        err = start_thread(publisher);
    pthread_mutex_unlock(&publisher->lock);
    return err;
}

/* Waits, under the lock, for the thread to end by itself. */
static bool drain(cuframes_publisher_t *publisher)
{
    struct cf_completion *completion = &publisher->completion;
    const int64_t deadline = cf_deadline(DRAIN_MS);
    int errnum = 0;

    while (completion->runs && errnum == 0)
        errnum = cf_condition_wait(&completion->changed, &publisher->lock, deadline);
    return !completion->runs;
}

void cf_completion_stop(cuframes_publisher_t *publisher)
{
    struct cf_completion *completion = &publisher->completion;
    pthread_t thread;
    bool ended;

    pthread_mutex_lock(&publisher->lock);
    if (!completion->runs) {
        pthread_mutex_unlock(&publisher->lock);
        return;
    }
    thread = completion->thread;
    completion->stop = true;
    pthread_cond_broadcast(&completion->changed);
    cf_wait_progress(publisher);
    ended = drain(publisher);
    if (!ended) {
        completion->abandoned = true;
        cf_log(CUFRAMES_LOG_WARNING,
               "%s: %u frames are not announced: their streams were not done within %d ms",
               publisher->key, completion->count, DRAIN_MS);
    }
    pthread_mutex_unlock(&publisher->lock);
    if (ended)
        pthread_join(thread, NULL);
    else
        pthread_detach(thread);
}
