/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file async.h
 * A subscriber with a thread of its own that calls back for each frame.
 */
#ifndef CUFRAMES_ASYNC_H
#define CUFRAMES_ASYNC_H

#include <cuframes/frame.h>
#include <cuframes/subscriber.h>

CUFRAMES_BEGIN_DECLS

typedef struct cuframes_async_subscriber cuframes_async_subscriber_t;

/**
 * Called from the library's thread, one frame at a time. The frame is released when the callback
 * returns; the callback must not release it, and must not destroy its own subscriber.
 */
typedef void (*cuframes_frame_callback_t)(const cuframes_frame_t *frame, void *user);

/**
 * Attaches as cuframes_subscriber_create() does, then starts the thread. `*subscriber` is written
 * before the first callback.
 */
CUFRAMES_API int cuframes_async_subscriber_create(const cuframes_subscriber_config_t *config,
                                                  cuframes_frame_callback_t callback, void *user,
                                                  cuframes_async_subscriber_t **subscriber);

/** Stops the thread, waiting for a callback that runs, and detaches. NULL is fine. */
CUFRAMES_API int cuframes_async_subscriber_destroy(cuframes_async_subscriber_t *subscriber);

/**
 * Waits until the thread has ended by itself, because the publisher is gone (DISCONNECTED) or
 * another error came, and returns that error; TIMEOUT if it still runs after `timeout_ms` (below
 * 0 waits for ever). Any thread but the callback's.
 */
CUFRAMES_API int cuframes_async_subscriber_wait(cuframes_async_subscriber_t *subscriber,
                                                int32_t timeout_ms);

/** Any thread. */
CUFRAMES_API int cuframes_async_subscriber_stats(cuframes_async_subscriber_t *subscriber,
                                                 cuframes_subscriber_stats_t *stats);

CUFRAMES_END_DECLS

#endif
