/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Letting go of frames when a stream is done with them.
 */
#include "channel/release.h"

#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/point.h"
#include "base/thread.h"
#include "channel/subscriber.h"

/* How long destroy waits for streams, and how often it looks. */
#define DRAIN_MS 2000
#define LOOK_NS  (CF_NS_PER_MS / 5)

void cf_releases_init(struct cf_releases *releases)
{
    pthread_mutex_init(&releases->lock, NULL);
    cf_condition_init(&releases->changed);
}

void cf_releases_fini(struct cf_releases *releases)
{
    for (uint32_t i = 0; i < CUFRAMES_MAX_SLOTS; i++) {
        struct cf_release *release = &releases->queue[i];

        if (release->cuda) {
            cf_cuda_mark_fini(release->cuda, &release->mark);
            cf_cuda_unref(release->cuda);
        }
    }
    pthread_cond_destroy(&releases->changed);
    pthread_mutex_destroy(&releases->lock);
}

/* ---- by the stream ---- */

static _Atomic uint32_t *hold_word(const cuframes_frame_t *frame)
{
    return &frame->view->reader.page->holds[frame->hold.slot];
}

/* Where the GPU sees the hold page; 0 = it does not. Tried once for a view, when first needed. */
static cf_CUdeviceptr page_on_gpu(struct cf_view *view)
{
    if (!view->page_tried) {
        view->page_tried = true;
        if (cf_cuda_map_host(view->memory->cuda, view->page.addr, view->page.size, 0,
                             &view->page_at) != CUFRAMES_OK)
            view->page_at = 0;
        CF_POINT("release.page_mapped");
    }
    return view->page_at;
}

static uint64_t bit_of(const cuframes_frame_t *frame)
{
    return UINT64_C(1) << (frame - frame->subscriber->frames);
}

/* Has the stream clear the hold word. False: it cannot. */
static bool leave_to_stream(cuframes_frame_t *frame, void *stream)
{
    struct cf_releases *releases = &frame->subscriber->releases;
    struct cf_view *view = frame->view;
    const uint64_t bit = bit_of(frame);
    cf_CUdeviceptr at;

    /* A stage is not the publisher's: who clears the word does not give it back. */
    if (frame->stage != CF_NO_STAGE || (at = page_on_gpu(view)) == 0)
        return false;
    at += (cf_CUdeviceptr)((uint8_t *)hold_word(frame) - (uint8_t *)view->page.addr);
    /* Before the write is on its way: a publisher that waits for this page looks by itself from
     * now on. */
    cf_reader_begin_release(&view->reader);
    /* Release: pairs with the acquire in cf_releases_sweep(): the frame object is as it is here. */
    atomic_fetch_or_explicit(&releases->clearing, bit, memory_order_release);
    CF_POINT("release.noted");
    if (cf_cuda_clear_word(view->memory->cuda, stream, at)) {
        CF_POINT("release.left_to_stream");
        return true;
    }
    atomic_fetch_and_explicit(&releases->clearing, ~bit, memory_order_relaxed);
    cf_reader_end_release(&view->reader);
    return false;
}

void cf_releases_sweep(cuframes_subscriber_t *s)
{
    uint64_t bits = atomic_load_explicit(&s->releases.clearing, memory_order_acquire);

    while (bits) {
        const uint64_t bit = bits & -bits;
        cuframes_frame_t *frame = &s->frames[__builtin_ctzll(bit)];

        bits &= ~bit;
        /* Acquire: the write follows the stream's reads of the frame (the driver's fence). */
        if (atomic_load_explicit(hold_word(frame), memory_order_acquire) != 0)
            continue;
        atomic_fetch_and_explicit(&s->releases.clearing, ~bit, memory_order_relaxed);
        CF_POINT("release.swept");
        cf_reader_end_release(&frame->view->reader);
        cf_frame_return(frame);
    }
}

/* ---- by a thread ---- */

/* Waits for the first of the queue and lets go of its frame; under the lock. */
static void release_first(struct cf_releases *releases)
{
    struct cf_release *release = &releases->queue[releases->first];
    cuframes_frame_t *frame = release->frame;

    pthread_mutex_unlock(&releases->lock);
    /* Work that has failed reads no more. */
    cf_cuda_await(release->cuda, &release->mark, NULL);
    CF_POINT("release.awaited");
    pthread_mutex_lock(&releases->lock);
    releases->first = (releases->first + 1) % CUFRAMES_MAX_SLOTS;
    releases->count--;
    releases->letting_go = true;
    pthread_mutex_unlock(&releases->lock);
    cuframes_frame_release(frame);
    pthread_mutex_lock(&releases->lock);
    releases->letting_go = false;
}

static void *reap(void *arg)
{
    cuframes_subscriber_t *s = arg;
    struct cf_releases *releases = &s->releases;

    pthread_mutex_lock(&releases->lock);
    while (releases->count > 0 || !releases->stop) {
        if (releases->count > 0)
            release_first(releases);
        else
            pthread_cond_wait(&releases->changed, &releases->lock);
    }
    releases->runs = false;
    pthread_cond_broadcast(&releases->changed);
    pthread_mutex_unlock(&releases->lock);
    cf_subscriber_unref(s);
    return NULL;
}

static int start_reaper(cuframes_subscriber_t *s)
{
    int err;

    if (s->releases.runs)
        return CUFRAMES_OK;
    /* Relaxed: the frame that is given back keeps a reference. */
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    err = cf_thread_start(&s->releases.thread, "cuframes-reap", reap, s);
    if (err)
        atomic_fetch_sub_explicit(&s->refs, 1, memory_order_relaxed);
    else
        s->releases.started = s->releases.runs = true;
    return err;
}

static void use_cuda(struct cf_release *release, struct cf_cuda *cuda)
{
    if (release->cuda == cuda)
        return;
    if (release->cuda) {
        cf_cuda_mark_fini(release->cuda, &release->mark);
        cf_cuda_unref(release->cuda);
    }
    release->cuda = cf_cuda_ref(cuda);
}

/* Has the thread let go when the stream is done. Under the lock. There is room: each entry is a
 * frame object, of which there are as many. */
static int leave_to_thread(cuframes_frame_t *frame, void *stream)
{
    cuframes_subscriber_t *s = frame->subscriber;
    struct cf_releases *releases = &s->releases;
    struct cf_release *release =
        &releases->queue[(releases->first + releases->count) % CUFRAMES_MAX_SLOTS];
    int err;

    use_cuda(release, frame->view->memory->cuda);
    if ((err = cf_cuda_mark(release->cuda, stream, &release->mark, NULL)) != 0 ||
        (err = start_reaper(s)) != 0)
        return err;
    release->frame = frame;
    releases->count++;
    CF_POINT("release.queued");
    pthread_cond_broadcast(&releases->changed);
    return CUFRAMES_OK;
}

/* Nobody will look after the frame any more: waits here. */
static int release_after(cuframes_frame_t *frame, void *stream)
{
    struct cf_cuda *cuda = frame->view->memory->cuda;
    struct cf_cuda_mark mark = {0};
    int err = cf_cuda_mark(cuda, stream, &mark, NULL);

    if (err)
        return err;
    cf_cuda_await(cuda, &mark, NULL);
    cf_cuda_mark_fini(cuda, &mark);
    return cuframes_frame_release(frame);
}

CUFRAMES_API int cuframes_frame_release_stream(cuframes_frame_t *frame, void *stream)
{
    struct cf_releases *releases;
    bool ended;
    int err = CUFRAMES_OK;

    if (!frame)
        return CUFRAMES_OK;
    if (frame->subscriber->fork_count != cf_fork_count())
        return cuframes_frame_release(frame);
    if (frame->view->memory->place == CUFRAMES_MEMORY_HOST) {
        if (!stream)
            return cuframes_frame_release(frame);
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a stream is given for a frame in host memory: wait for the stream, then "
                       "release without one; or subscribe with CUFRAMES_MEMORY_CUDA");
    }
    releases = &frame->subscriber->releases;
    pthread_mutex_lock(&releases->lock);
    ended = releases->ended;
    if (!ended && !leave_to_stream(frame, stream))
        err = leave_to_thread(frame, stream);
    pthread_mutex_unlock(&releases->lock);
    return ended ? release_after(frame, stream) : err;
}

/* ---- the end ---- */

void cf_releases_wait(cuframes_subscriber_t *s)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};

    pthread_mutex_unlock(&s->lock);
    nanosleep(&pause, NULL);
    pthread_mutex_lock(&s->lock);
    cf_releases_sweep(s);
}

bool cf_releases_pending(cuframes_subscriber_t *s)
{
    bool pending;

    if (atomic_load_explicit(&s->releases.clearing, memory_order_relaxed) != 0)
        return true;
    pthread_mutex_lock(&s->releases.lock);
    pending = s->releases.count > 0 || s->releases.letting_go;
    pthread_mutex_unlock(&s->releases.lock);
    return pending;
}

/* Waits until streams have cleared their words. */
static bool drain_cleared(cuframes_subscriber_t *s, int64_t deadline)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};

    for (;;) {
        cf_releases_sweep(s);
        if (atomic_load_explicit(&s->releases.clearing, memory_order_relaxed) == 0)
            return true;
        if (cf_now_ns() >= deadline)
            return false;
        nanosleep(&pause, NULL);
    }
}

/* Waits until the thread has ended; under the lock. */
static bool drain_thread(struct cf_releases *releases, int64_t deadline)
{
    int errnum = 0;

    while (releases->runs && errnum == 0)
        errnum = cf_condition_wait(&releases->changed, &releases->lock, deadline);
    return !releases->runs;
}

void cf_releases_stop(cuframes_subscriber_t *s)
{
    struct cf_releases *releases = &s->releases;
    const int64_t deadline = cf_deadline(DRAIN_MS);
    bool started, cleared, ended;

    pthread_mutex_lock(&releases->lock);
    releases->ended = releases->stop = true;
    pthread_cond_broadcast(&releases->changed);
    pthread_mutex_unlock(&releases->lock);
    cleared = drain_cleared(s, deadline);
    pthread_mutex_lock(&releases->lock);
    started = releases->started;
    ended = drain_thread(releases, deadline);
    pthread_mutex_unlock(&releases->lock);
    if (started && ended)
        pthread_join(releases->thread, NULL);
    else if (started)
        pthread_detach(releases->thread);
    /* What a stream may still read stays mapped, and held. */
    if (!cleared || !ended)
        cf_log(CUFRAMES_LOG_WARNING,
               "%s: streams did not let go of their frames within %d ms: the memory stays mapped",
               s->key, DRAIN_MS);
}
