/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames that are published and wait for their stream: a queue, and a thread that announces them in
 * order when their GPU work is done. A publisher in host memory has no such thread.
 *
 * The queue is part of struct cuframes_publisher and under its lock. An entry that is in the queue
 * holds one reference to its buffer.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include <cuframes/publisher.h>

#include "cuda/stream.h"

/* A frame to be announced. */
struct cf_pending {
    struct cf_pending *next;
    cuframes_buffer_t *buffer;
    struct cf_cuda *cuda; /* owned; that of the mark */
    struct cf_cuda_mark mark;
    bool marked; /* false: there is nothing to wait for but the frames before */
    cuframes_frame_meta_t meta;
    uint8_t user_data[CUFRAMES_MAX_USER_DATA];
};

struct cf_completion {
    pthread_t thread;
    pthread_cond_t changed; /* something is in the queue, it is empty, or `stop` was set */
    struct cf_pending *first, **end;
    struct cf_pending *spare; /* entries for reuse, each with its event */
    uint32_t count;
    struct cf_cuda_patience patience; /* the thread's */
    bool runs;
    bool stop;      /* announce what is there, then end */
    bool abandoned; /* nothing is announced any more: the channel is gone */
};

void cf_completion_init(struct cf_completion *completion);
/* The thread has ended, or never ran. */
void cf_completion_fini(struct cf_completion *completion);

/* Starts the thread unless it runs. Not under the lock. */
int cf_completion_start(cuframes_publisher_t *publisher);

/*
 * Announces what is in the queue, and ends the thread; what is not done after a bounded time is
 * abandoned: the thread lets go of it when its stream is done, however late. Not under the lock.
 */
void cf_completion_stop(cuframes_publisher_t *publisher);

/* Gets an entry whose mark is behind the work of `stream`, for a buffer in `cuda`'s memory (NULL:
 * of a host, to come after the frames before). Not under the lock. */
int cf_completion_prepare(cuframes_publisher_t *publisher, struct cf_cuda *cuda, void *stream,
                          struct cf_pending **pending);
/* Under the lock: puts it at the end of the queue, and gives its sequence number; or gives it back. */
uint64_t cf_completion_submit(cuframes_publisher_t *publisher, struct cf_pending *pending,
                              cuframes_buffer_t *buffer, const cuframes_frame_meta_t *meta);
void cf_completion_discard(cuframes_publisher_t *publisher, struct cf_pending *pending);

/* Newest generation of which a frame is announced or in the queue. Under the lock. */
const struct cf_generation *cf_completion_newest(const cuframes_publisher_t *publisher);

/* Ends the channel with the calling thread's last error; under the lock. */
void cf_publisher_fail(cuframes_publisher_t *publisher, int error);
/* The error that has ended the channel, recorded for this thread; CUFRAMES_OK if none has. */
int cf_publisher_failure(const cuframes_publisher_t *publisher);
