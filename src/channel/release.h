/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames that are given back behind a stream's work.
 *
 * Where the device can, the stream itself clears the hold word, in the subscriber's hold page; the
 * frame object is taken back when that is seen. Else a thread of the subscriber waits for an event
 * and lets go. Either way the frame object, and with it the mapping, stays in use until the work is
 * done.
 *
 * `lock` guards all but `clearing`, whose bits are set under it and taken away by the thread that
 * calls next or destroy.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <cuframes/subscriber.h>

#include "cuda/stream.h"

struct cf_release {
    cuframes_frame_t *frame;
    struct cf_cuda *cuda; /* owned, while there is a mark */
    struct cf_cuda_mark mark;
};

struct cf_releases {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the queue, `stop` or `runs` */
    pthread_t thread;
    bool started, runs, stop;
    bool ended;                                  /* the program has destroyed the subscriber */
    struct cf_release queue[CUFRAMES_MAX_SLOTS]; /* a ring; entries keep their marks for reuse */
    uint32_t first, count;
    bool letting_go;           /* of a frame that has left the queue */
    _Atomic uint64_t clearing; /* bit i: a stream will clear the hold word of frames[i] */
};

void cf_releases_init(struct cf_releases *releases);
void cf_releases_fini(struct cf_releases *releases);

/* Takes back the frames whose hold words have been cleared. The thread that calls next. */
void cf_releases_sweep(cuframes_subscriber_t *subscriber);
/* Whether some frame is on its way back. */
bool cf_releases_pending(cuframes_subscriber_t *subscriber);
/* Waits for a moment, without the subscriber's lock, then sweeps. */
void cf_releases_wait(cuframes_subscriber_t *subscriber);
/* At the end of a subscriber: waits, for a bounded time, until all are back. */
void cf_releases_stop(cuframes_subscriber_t *subscriber);
