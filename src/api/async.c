/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of async.h: check what the program says, then call inward.
 */
#include "channel/async.h"
#include "base/clock.h"
#include "base/error.h"

CUFRAMES_API int cuframes_async_subscriber_create(const cuframes_subscriber_config_t *config,
                                                  cuframes_frame_callback_t callback, void *user,
                                                  cuframes_async_subscriber_t **subscriber)
{
    cuframes_subscriber_t *attached;
    int err;

    if (!callback || !subscriber)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "callback and subscriber must not be NULL");
    err = cuframes_subscriber_create(config, &attached);
    if (err)
        return err;
    return cf_async_create(attached, callback, user, subscriber);
}

CUFRAMES_API int cuframes_async_subscriber_destroy(cuframes_async_subscriber_t *subscriber)
{
    return subscriber ? cf_async_destroy(subscriber) : CUFRAMES_OK;
}

CUFRAMES_API int cuframes_async_subscriber_wait(cuframes_async_subscriber_t *subscriber,
                                                int32_t timeout_ms)
{
    if (!subscriber)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the subscriber is NULL");
    return cf_async_wait(subscriber, cf_deadline(timeout_ms));
}

CUFRAMES_API int cuframes_async_subscriber_stats(cuframes_async_subscriber_t *subscriber,
                                                 cuframes_subscriber_stats_t *stats)
{
    if (!subscriber || !stats)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "subscriber and stats must not be NULL");
    return cf_async_read_stats(subscriber, stats);
}
