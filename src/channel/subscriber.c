/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking frames: what the program gets next, and how it waits for it.
 */
#include "channel/subscriber.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/sys.h"
#include "base/thread.h"
#include "wire/connection.h"

/* Longest sleep before the connection is looked at: a publisher that was killed cannot wake its
 * subscribers, and a futex cannot be waited for together with a socket. */
#define LOOK_MS 50
/* More bytes than a wake socket has room for messages. */
#define MAX_WAKES 64
/* Adaptive spin: its limits, and how often a thread that gave it up tries again. */
#define SPIN_MIN_NS 2000
#define SPIN_MAX_NS 20000
#define SPIN_RETRY  64

/* ---- making and ending ---- */

static void subscriber_free(cuframes_subscriber_t *s)
{
    cf_close(&s->arrivals);
    cf_close(&s->epoll);
    pthread_mutex_destroy(&s->lock);
    cf_releases_fini(&s->releases);
    cf_cuda_unref(s->current_cuda);
    free(s);
}

void cf_subscriber_unref(cuframes_subscriber_t *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        subscriber_free(s);
}

/* Takes the calling thread's context, if that was asked for and there is a GPU at all. */
static int take_context(cuframes_subscriber_t *s)
{
    const struct cf_driver *driver;
    int err;

    if (!(s->flags & CUFRAMES_SUBSCRIBER_CURRENT_CONTEXT) || s->memory == CUFRAMES_MEMORY_HOST)
        return CUFRAMES_OK;
    err = cf_driver_load(&driver);
    if (err)
        return s->memory == CUFRAMES_MEMORY_AUTO ? CUFRAMES_OK : err;
    return cf_cuda_open_current(&s->current_cuda);
}

static int subscriber_new(const cuframes_subscriber_config_t *config, cuframes_subscriber_t **out)
{
    cuframes_subscriber_t *s = cf_sys.calloc(1, sizeof(*s));
    int err;

    if (!s)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    s->refs = 1;
    pthread_mutex_init(&s->lock, NULL);
    cf_releases_init(&s->releases);
    s->arrivals = s->wake_socket = s->epoll = -1;
    s->fork_count = cf_fork_count();
    s->mode = (cuframes_subscriber_mode_t)config->mode;
    s->flags = config->flags;
    s->max_holds = config->max_holds;
    s->memory = config->memory;
    s->device = config->cuda_device;
    s->every = config->every > 1 ? config->every : 1;
    s->interval_ns = config->max_fps > 0 ? (int64_t)((double)CF_NS_PER_S / config->max_fps) : 0;
    s->may_spin = cf_thread_may_spin();
    s->free_frames = UINT64_MAX;
    if (config->key)
        strncpy(s->key, config->key, sizeof(s->key) - 1);
    if (config->consumer_name)
        strncpy(s->name, config->consumer_name, sizeof(s->name) - 1);
    if ((err = take_context(s)) != 0) {
        subscriber_free(s);
        return err;
    }
    if (config->flags & CUFRAMES_SUBSCRIBER_POLL) {
        s->epoll = cf_sys.epoll_create1(EPOLL_CLOEXEC);
        if (s->epoll < 0) {
            int errnum = errno;

            subscriber_free(s);
            return cf_fail_errno(errnum, "cannot make a descriptor to poll");
        }
    }
    *out = s;
    return CUFRAMES_OK;
}

void cf_subscriber_destroy(cuframes_subscriber_t *s)
{
    /* First, so that nothing below touches what a process that forked off shares with its parent. */
    cf_close(&s->epoll);
    /* While the connection stands: frames on their way back are held until they are back. */
    if (s->fork_count == cf_fork_count())
        cf_releases_stop(s);
    cf_attach_lose(s);
    cf_packets_fini(s);
    cf_view_unref(s->view);
    s->view = NULL;
    cf_subscriber_unref(s);
}

int cf_subscriber_create(const cuframes_subscriber_config_t *config,
                         cuframes_subscriber_t **subscriber)
{
    cuframes_subscriber_t *s;
    int err;

    if ((err = subscriber_new(config, &s)) != 0)
        return err;
    err = cf_runtime_dir_resolve(config->runtime_dir, s->dir);
    if (!err) {
        pthread_mutex_lock(&s->lock);
        err = cf_connect(s, config);
        pthread_mutex_unlock(&s->lock);
    }
    if (err) {
        cf_subscriber_destroy(s);
        return err;
    }
    s->fork_count = cf_fork_count();
    *subscriber = s;
    return CUFRAMES_OK;
}

int cf_subscriber_create_from_fd(const cuframes_subscriber_config_t *config, int fd,
                                 cuframes_subscriber_t **subscriber)
{
    int CF_CLOSE socket = fd;
    cuframes_subscriber_t *s;
    int err;

    if ((err = cf_connection_check(socket)) != 0)
        return err;
    if (fcntl(socket, F_SETFD, FD_CLOEXEC) != 0)
        return cf_fail_errno(errno, "cannot set up the connection");
    if ((err = subscriber_new(config, &s)) != 0)
        return err;
    pthread_mutex_lock(&s->lock);
    err = cf_connect_over(s, config, cf_steal_fd(&socket));
    pthread_mutex_unlock(&s->lock);
    if (err) {
        cf_subscriber_destroy(s);
        return err;
    }
    s->fork_count = cf_fork_count();
    *subscriber = s;
    return CUFRAMES_OK;
}

void cf_subscriber_interrupt(cuframes_subscriber_t *s)
{
    /* Release: pairs with the exchange in interrupted(). A sleep that has begun ends by LOOK_MS. */
    atomic_store_explicit(&s->interrupted, true, memory_order_release);
}

static bool interrupted(cuframes_subscriber_t *s)
{
    return atomic_load_explicit(&s->interrupted, memory_order_relaxed) &&
           atomic_exchange_explicit(&s->interrupted, false, memory_order_acquire);
}

/* ---- which frame ---- */

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    /* Relaxed: a figure for display. Only the thread that calls next writes, so no
     * read-modify-write is needed. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

/* max_fps: whether a frame announced at `published_ns` is due. A frame may be early by an eighth
 * of the interval, so that a steady camera with some jitter keeps its rate; the due time moves on
 * by whole intervals, so that the cap holds in the long run. */
static bool is_due(const cuframes_subscriber_t *s, int64_t published_ns)
{
    return s->interval_ns == 0 || published_ns >= s->due_ns - s->interval_ns / 8;
}

static void move_due(cuframes_subscriber_t *s, int64_t published_ns)
{
    if (s->interval_ns == 0)
        return;
    if (published_ns - s->due_ns > s->interval_ns)
        s->due_ns = published_ns;
    s->due_ns += s->interval_ns;
}

/* Goes on behind frame `seq`, which was given or left out; `step` is how far. */
static void move_on(cuframes_subscriber_t *s, uint64_t seq, uint64_t step)
{
    s->wanted = seq + step;
    cf_reader_advance(&s->view->reader, s->wanted);
}

/* Counts what lies between the frame that was looked for and the one that was found. */
static void count_gap(cuframes_subscriber_t *s, cuframes_frame_t *frame)
{
    uint64_t gap = frame->hold.seq - s->wanted;

    frame->missed = 0;
    if (s->any || frame->hold.seq < s->wanted)
        return;
    /* The newest frame under a cap: what came in between was not asked for. */
    if (s->mode == CUFRAMES_MODE_NEWEST_ONLY && s->interval_ns > 0) {
        count(&s->skipped, gap);
        return;
    }
    frame->missed = gap;
    count(&s->missed, gap);
}

/* A break in time that lay among the frames this subscriber did not get is told with the first
 * one after it. */
static void flag(cuframes_subscriber_t *s, cuframes_frame_t *frame)
{
    if (!s->any && frame->discontinuities != s->discontinuities)
        frame->flags |= CUFRAMES_FRAME_DISCONTINUITY;
    frame->flags |= s->next_flags;
    s->discontinuities = frame->discontinuities;
    s->next_flags = 0;
}

static void give(cuframes_subscriber_t *s, cuframes_frame_t *frame)
{
    struct cf_hold_page *page = s->view->reader.page;

    count_gap(s, frame);
    flag(s, frame);
    if (!s->any)
        count(&s->skipped, s->every - 1);
    s->any = false;
    move_due(s, frame->published_ns);
    move_on(s, frame->hold.seq, s->every);
    count(&s->received, 1);
    atomic_store_explicit(
        &s->dropped, atomic_load_explicit(&s->view->reader.header->dropped, memory_order_relaxed),
        memory_order_relaxed);
    atomic_store_explicit(&page->received, atomic_load_explicit(&s->received, memory_order_relaxed),
                          memory_order_relaxed);
    atomic_store_explicit(&page->missed, atomic_load_explicit(&s->missed, memory_order_relaxed),
                          memory_order_relaxed);
}

static int broken(const cuframes_subscriber_t *s)
{
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the frame ring of %s contradicts itself",
                   s->view->info.key);
}

/* Whether the publisher has withdrawn its protection; if so, with the reason that it sends, which
 * comes a moment after the withdrawal. */
static int check_revoked(cuframes_subscriber_t *s)
{
    const int64_t deadline = cf_now_ns() + LOOK_MS * CF_NS_PER_MS;
    int err = cf_reader_revoked(&s->view->reader);
    int told;

    if (!err)
        return CUFRAMES_OK;
    /* Not letting go of the lock: the frame that the caller looks at is of this view. */
    do
        told = s->link ? cf_attach_hear(s, deadline) : CUFRAMES_ERR_DISCONNECTED;
    while (told == CUFRAMES_OK);
    if (told != err)
        cf_fail(err, "the publisher of %s has ended this subscription", s->view->info.key);
    return err;
}

/* Holds the next candidate and makes a frame of it. WOULD_BLOCK when there is none. */
static int hold_candidate(cuframes_subscriber_t *s, cuframes_frame_t **frame)
{
    struct cf_ring_reader *reader = &s->view->reader;
    struct cf_ring_hold hold;
    enum cf_hold_result result;
    cuframes_frame_t *taken;
    int err, revoked;

    if (s->mode == CUFRAMES_MODE_NEWEST_ONLY)
        result = cf_reader_hold_newest(reader, s->wanted, &hold);
    else
        result = cf_reader_hold_next(reader, s->wanted, &hold);
    if (result == CF_HOLD_NOTHING)
        return CUFRAMES_ERR_WOULD_BLOCK;
    /* A revoked page protects nothing, so what was held may be overwritten and the rest moved on. */
    if (result == CF_HOLD_BROKEN)
        return (err = check_revoked(s)) != 0 ? err : broken(s);
    taken = cf_frame_take(s, &hold);
    if (!taken) {
        cf_reader_let_go(reader, hold.slot);
        return cf_fail(CUFRAMES_ERR_TOO_MANY, "every frame object is in use: release frames");
    }
    err = cf_frame_read(taken);
    if ((revoked = check_revoked(s)) != 0)
        err = revoked;
    if (err) {
        cuframes_frame_release(taken);
        return err;
    }
    *frame = taken;
    return CUFRAMES_OK;
}

/* Makes the picture of a frame readable, or lets go of the frame. */
static int fetch(cuframes_subscriber_t *s, cuframes_frame_t *frame)
{
    int err = cf_frame_fetch(frame);

    if (err)
        cuframes_frame_release(frame);
    else if (frame->stage != CF_NO_STAGE)
        count(&s->staged, 1);
    return err;
}

/* The next frame that the program wants, if it is there. */
static int take(cuframes_subscriber_t *s, cuframes_frame_t **frame)
{
    cuframes_frame_t *candidate = NULL;
    int err;

    while ((err = hold_candidate(s, &candidate)) == CUFRAMES_OK) {
        if (is_due(s, candidate->published_ns)) {
            if ((err = fetch(s, candidate)) != 0)
                return err;
            give(s, candidate);
            *frame = candidate;
            return CUFRAMES_OK;
        }
        count_gap(s, candidate);
        count(&s->skipped, 1);
        move_on(s, candidate->hold.seq, 1);
        cuframes_frame_release(candidate);
    }
    return err;
}

/* ---- waiting ---- */

/* Empties the wake socket before the announcement of a wait that it shall end. */
static void empty_wake_socket(const cuframes_subscriber_t *s)
{
    char bytes[MAX_WAKES];
    ssize_t ignored;

    /* A publisher that sends more only makes the descriptor readable for nothing. */
    ignored = recv(s->wake_socket, bytes, sizeof(bytes), MSG_DONTWAIT);
    (void)ignored;
}

/* Leaves the publisher with the wish to be woken by the wake socket. False: look again. */
static bool arm_wake_socket(cuframes_subscriber_t *s)
{
    uint32_t word;

    if (s->wake_socket < 0)
        return true;
    empty_wake_socket(s);
    return cf_reader_prepare_wait(&s->view->reader, CF_WAITING_SOCKET, s->wanted, &word);
}

static bool has_news(const struct cf_ring_reader *reader, uint64_t wanted)
{
    uint64_t newest = cf_reader_newest(reader);

    return newest != CF_SEQ_INVALID && newest >= wanted;
}

static bool is_news(const cuframes_subscriber_t *s)
{
    return s->view && has_news(&s->view->reader, s->wanted);
}

/* Spins for a moment where that has paid lately and cores are to spare. True: there is news. */
static bool spin(cuframes_subscriber_t *s, const struct cf_ring_reader *reader, uint64_t wanted)
{
    int64_t until;

    if (!s->may_spin)
        return false;
    if (s->spin_ns < SPIN_MIN_NS) {
        if (++s->sleeps % SPIN_RETRY != 0)
            return false;
        s->spin_ns = SPIN_MIN_NS;
    }
    until = cf_now_ns() + s->spin_ns;
    do {
        if (has_news(reader, wanted)) {
            s->spin_ns = s->spin_ns * 2 < SPIN_MAX_NS ? s->spin_ns * 2 : SPIN_MAX_NS;
            return true;
        }
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#endif
    } while (cf_now_ns() < until);
    s->spin_ns /= 2;
    return false;
}

/* Sleeps until there is news, the deadline, or time for a look at the connection; the last is
 * said by a false. */
static bool sleep_on(cuframes_subscriber_t *s, struct cf_ring_reader *reader, uint64_t wanted,
                     int64_t deadline)
{
    int64_t look = cf_now_ns() + LOOK_MS * CF_NS_PER_MS;
    uint32_t word;
    int err;

    if (spin(s, reader, wanted))
        return true;
    if (!cf_reader_prepare_wait(reader, CF_WAITING_FUTEX, wanted, &word))
        return true;
    err = cf_reader_sleep(reader, word, deadline < look ? deadline : look);
    cf_reader_end_wait(reader);
    return err != -ETIMEDOUT;
}

/* The same without the lock. The reader of packets may attach again meanwhile: the view stays mapped,
 * and what is waited for is a copy. */
static bool sleep_for_news(cuframes_subscriber_t *s, int64_t deadline)
{
    struct cf_view *view = cf_view_ref(s->view);
    const uint64_t wanted = s->wanted;
    bool news;

    pthread_mutex_unlock(&s->lock);
    news = sleep_on(s, &view->reader, wanted, deadline);
    pthread_mutex_lock(&s->lock);
    cf_view_unref(view);
    return news;
}

/* ---- the publisher's comings and goings ---- */

int cf_subscriber_lose(cuframes_subscriber_t *s, int err)
{
    cf_attach_lose(s);
    if (err == CUFRAMES_ERR_DISCONNECTED)
        cf_fail(err, "the publisher of %s is gone: it closed the channel, or died", s->key);
    /* An eviction is told once; the next call attaches again. Nonsense is not asked for twice. */
    if (err != CUFRAMES_ERR_DISCONNECTED || !(s->flags & CUFRAMES_SUBSCRIBER_RECONNECT))
        return err;
    cf_log(CUFRAMES_LOG_INFO, "%s: the publisher is gone, waiting for the next", s->key);
    return CUFRAMES_OK;
}

/* Hears what the publisher has to say, at the latest at `deadline`. */
static int listen_or_lose(cuframes_subscriber_t *s, int64_t deadline)
{
    int err = cf_attach_listen(s, deadline);

    if (!err || err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT)
        return err;
    /* What it announced last is given first; the connection stays as it is till then. */
    if (err == CUFRAMES_ERR_DISCONNECTED && is_news(s))
        return CUFRAMES_OK;
    return cf_subscriber_lose(s, err);
}

/* A wait of one LOOK_MS at most, so that interrupt and signals of the program come through. */
static int64_t slice(int64_t deadline)
{
    int64_t look = deadline == 0 ? 0 : cf_now_ns() + LOOK_MS * CF_NS_PER_MS;

    return deadline < look ? deadline : look;
}

static int gone(const cuframes_subscriber_t *s)
{
    return cf_fail(CUFRAMES_ERR_DISCONNECTED, "the publisher of %s is gone", s->key);
}

int cf_subscriber_come_back(cuframes_subscriber_t *s, int64_t deadline)
{
    int err;

    if (!(s->flags & CUFRAMES_SUBSCRIBER_RECONNECT))
        return gone(s);
    err = cf_attach(s, slice(deadline));
    if (err == CUFRAMES_ERR_TIMEOUT)
        return CUFRAMES_OK;
    /* No publisher; one that went away; or one that has not noticed yet that the connection
     * before this one, with the same name, is closed. */
    if ((err == CUFRAMES_ERR_NOT_FOUND && !s->refused) || err == CUFRAMES_ERR_DISCONNECTED ||
        err == CUFRAMES_ERR_ALREADY_EXISTS) {
        if (deadline == 0)
            return cf_attach_watch(s) ? CUFRAMES_OK : CUFRAMES_ERR_WOULD_BLOCK;
        cf_attach_await(s, slice(deadline));
        return CUFRAMES_OK;
    }
    return err;
}

/* Attached, and nothing there: follows a change, or waits. OK = look again. */
static int wait_attached(cuframes_subscriber_t *s, enum cf_ring_state state, int64_t deadline)
{
    int err;

    /* It was there before the look that found nothing, so the ring before it has been read. */
    if (s->next_view) {
        cf_attach_follow(s);
        return CUFRAMES_OK;
    }
    if (state != CF_RING_RUNNING) {
        /* Closed, or a new generation is on its way: the socket tells. */
        err = listen_or_lose(s, slice(deadline));
        return err == CUFRAMES_ERR_TIMEOUT ? CUFRAMES_OK : err;
    }
    if (deadline == 0) {
        if (!arm_wake_socket(s))
            return CUFRAMES_OK;
        return listen_or_lose(s, 0);
    }
    if (!sleep_for_news(s, deadline) && s->state == CF_SUBSCRIBER_ATTACHED) {
        err = listen_or_lose(s, 0);
        return err == CUFRAMES_ERR_WOULD_BLOCK ? CUFRAMES_OK : err;
    }
    return CUFRAMES_OK;
}

static int timed_out(cuframes_subscriber_t *s, int32_t timeout_ms)
{
    count(&s->timeouts, 1);
    if (timeout_ms == 0)
        return CUFRAMES_ERR_WOULD_BLOCK;
    return cf_fail(CUFRAMES_ERR_TIMEOUT, "no frame of %s within %d ms", s->key, timeout_ms);
}

/* Frames that were announced before the reader of packets lost the connection. */
static int take_leftover(cuframes_subscriber_t *s, cuframes_frame_t **frame)
{
    int err = take(s, frame);

    s->leftover = err == CUFRAMES_OK || err == CUFRAMES_ERR_TOO_MANY;
    return err;
}

static int next_before(cuframes_subscriber_t *s, cuframes_frame_t **frame, int64_t deadline)
{
    for (;;) {
        int err;

        if (s->leftover && s->state == CF_SUBSCRIBER_AWAY && take_leftover(s, frame) == CUFRAMES_OK)
            return CUFRAMES_OK;
        if (s->state == CF_SUBSCRIBER_ATTACHED) {
            /* The state first: when it says that the ring has ended, every frame is there. */
            enum cf_ring_state state = cf_reader_state(&s->view->reader);

            err = take(s, frame);
            if (err == CUFRAMES_OK)
                return CUFRAMES_OK;
            if (err == CUFRAMES_ERR_WOULD_BLOCK)
                err = wait_attached(s, state, deadline);
            else if (err != CUFRAMES_ERR_TOO_MANY)
                err = cf_subscriber_lose(s, err);
        } else {
            err = cf_subscriber_come_back(s, deadline);
        }
        if (err)
            return err;
        if (interrupted(s))
            return CUFRAMES_ERR_WOULD_BLOCK;
        if (deadline != 0 && deadline != CF_NEVER && cf_now_ns() >= deadline)
            return CUFRAMES_ERR_TIMEOUT;
    }
}

/* As many frames are held as were granted; or, if those are not protected any more, why. */
static int too_many(cuframes_subscriber_t *s, uint32_t granted)
{
    int err = s->state == CF_SUBSCRIBER_ATTACHED ? check_revoked(s) : CUFRAMES_OK;

    if (err && (err = cf_subscriber_lose(s, err)) != 0)
        return err;
    if (s->state == CF_SUBSCRIBER_AWAY && !(s->flags & CUFRAMES_SUBSCRIBER_RECONNECT))
        return gone(s);
    return cf_fail(CUFRAMES_ERR_TOO_MANY,
                   "%u frames are held, as many as were granted: release one, or ask for more "
                   "(max_holds)",
                   granted);
}

static int next_locked(cuframes_subscriber_t *s, cuframes_frame_t **frame, int32_t timeout_ms)
{
    uint32_t granted = atomic_load_explicit(&s->granted, memory_order_relaxed);
    const int64_t deadline = cf_deadline(timeout_ms);
    bool pending;
    int err;

    if (s->flags & CUFRAMES_SUBSCRIBER_PACKETS_ONLY)
        return cf_fail(CUFRAMES_ERR_NOT_FOUND, "this subscriber was made for packets alone");
    cf_releases_sweep(s);
    /* In this order: what is no longer on its way when it is asked for has come back when it is counted. */
    while (pending = cf_releases_pending(s), cf_frames_held(s) >= granted) {
        if (!pending)
            return too_many(s, granted);
        if (interrupted(s))
            return CUFRAMES_ERR_WOULD_BLOCK;
        if (timeout_ms == 0 || cf_now_ns() >= deadline)
            return timed_out(s, timeout_ms);
        cf_releases_wait(s);
    }
    err = next_before(s, frame, deadline);
    /* For those who poll after a wait: the last look leaves the wish to be woken. */
    if (err == CUFRAMES_ERR_TIMEOUT && s->epoll >= 0 &&
        (err = next_before(s, frame, 0)) == CUFRAMES_ERR_WOULD_BLOCK)
        err = CUFRAMES_ERR_TIMEOUT;
    if (err == CUFRAMES_ERR_TIMEOUT || (err == CUFRAMES_ERR_WOULD_BLOCK && timeout_ms == 0))
        return timed_out(s, timeout_ms);
    return err;
}

int cf_subscriber_next(cuframes_subscriber_t *s, cuframes_frame_t **frame, int32_t timeout_ms)
{
    int err;

    pthread_mutex_lock(&s->lock);
    err = next_locked(s, frame, timeout_ms);
    pthread_mutex_unlock(&s->lock);
    return err;
}

void cf_subscriber_read_stats(cuframes_subscriber_t *s, cuframes_subscriber_stats_t *stats)
{
    *stats = (cuframes_subscriber_stats_t){
        .received = s->received,
        .missed = s->missed,
        .skipped = s->skipped,
        .timeouts = s->timeouts,
        .reconnects = s->reconnects,
        .generations = s->generations,
        .held = cf_frames_held(s),
        .max_holds = s->granted,
        .publisher_dropped = s->dropped,
        .staged = s->staged,
        .access = atomic_load_explicit(&s->access, memory_order_relaxed),
        .packets_received = s->packets.received,
        .packets_lost = s->packets.total_lost,
    };
}

int cf_subscriber_read_info(cuframes_subscriber_t *s, cuframes_channel_info_t *info)
{
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&s->lock);
    if (s->granted_name[0])
        *info = s->info;
    else
        err = cf_fail(CUFRAMES_ERR_DISCONNECTED, "not attached");
    pthread_mutex_unlock(&s->lock);
    return err;
}
