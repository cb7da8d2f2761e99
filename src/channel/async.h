/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A thread that takes a subscriber's frames and calls back for each.
 */
#pragma once

#include <cuframes/async.h>

/* Consumes the subscriber, also on failure. */
int cf_async_create(cuframes_subscriber_t *subscriber, cuframes_frame_callback_t callback,
                    void *user, cuframes_async_subscriber_t **async);
/* Not from the callback: INVALID_ARG, and nothing is destroyed. */
int cf_async_destroy(cuframes_async_subscriber_t *async);
int cf_async_wait(cuframes_async_subscriber_t *async, int64_t deadline_ns);
int cf_async_read_stats(cuframes_async_subscriber_t *async, cuframes_subscriber_stats_t *stats);
