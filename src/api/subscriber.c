/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of subscriber.h: check what the program says, then call inward.
 */
#include <math.h>

#include "base/error.h"
#include "base/fd.h"
#include "channel/subscriber.h"

static int check_config(const cuframes_subscriber_config_t *config)
{
    const uint32_t known = CUFRAMES_SUBSCRIBER_RECONNECT | CUFRAMES_SUBSCRIBER_POLL |
                           CUFRAMES_SUBSCRIBER_PACKETS_ONLY | CUFRAMES_SUBSCRIBER_STAGED |
                           CUFRAMES_SUBSCRIBER_CURRENT_CONTEXT | CUFRAMES_SUBSCRIBER_FRAME_FD;

    if (config->consumer_name && cf_name_check(config->consumer_name) != CUFRAMES_OK)
        return CUFRAMES_ERR_INVALID_ARG;
    if (config->mode != CUFRAMES_MODE_NEWEST_ONLY && config->mode != CUFRAMES_MODE_STRICT_ORDER)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown mode %d", config->mode);
    if (config->flags & ~known)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown subscriber flags %#x",
                       config->flags & ~known);
    if (config->max_holds >= CUFRAMES_MAX_SLOTS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%u holds: at most %d are possible",
                       config->max_holds, CUFRAMES_MAX_SLOTS - 1);
    if (!isfinite(config->max_fps) || config->max_fps < 0 ||
        (config->max_fps > 0 && config->max_fps < 1e-6F))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "max_fps is %g: give frames a second, or 0",
                       (double)config->max_fps);
    if (config->cuda_device < CUFRAMES_GPU_OF_FRAMES)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "there is no GPU %d", config->cuda_device);
    if (config->memory > CUFRAMES_MEMORY_CUDA)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown kind of memory %u", config->memory);
    return CUFRAMES_OK;
}

static int check_handle(const cuframes_subscriber_t *subscriber)
{
    if (!subscriber)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the subscriber is NULL");
    if (subscriber->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this subscriber was made before fork(): subscribe "
                       "again in the child");
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_subscriber_create(const cuframes_subscriber_config_t *config,
                                            cuframes_subscriber_t **subscriber)
{
    int err;

    if (!config || !subscriber)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "config and subscriber must not be NULL");
    if ((err = cf_key_check(config->key)) != 0 || (err = check_config(config)) != 0)
        return err;
    return cf_subscriber_create(config, subscriber);
}

CUFRAMES_API int cuframes_subscriber_create_from_fd(const cuframes_subscriber_config_t *config,
                                                    int fd, cuframes_subscriber_t **subscriber)
{
    int CF_CLOSE socket = fd;
    int err;

    if (!config || !subscriber)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "config and subscriber must not be NULL");
    if (config->key && (err = cf_key_check(config->key)) != 0)
        return err;
    if ((err = check_config(config)) != 0)
        return err;
    if (config->flags & CUFRAMES_SUBSCRIBER_RECONNECT)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a subscriber over a given connection cannot reconnect: it has no name to "
                       "connect to");
    return cf_subscriber_create_from_fd(config, cf_steal_fd(&socket), subscriber);
}

CUFRAMES_API int cuframes_subscriber_destroy(cuframes_subscriber_t *subscriber)
{
    if (subscriber)
        cf_subscriber_destroy(subscriber);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_subscriber_next(cuframes_subscriber_t *subscriber, void *stream,
                                          cuframes_frame_t **frame, int32_t timeout_ms)
{
    int err;

    /* A frame is complete when it is announced, so there is nothing to order behind a stream. */
    (void)stream;
    if ((err = check_handle(subscriber)) != 0)
        return err;
    if (!frame)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "frame must not be NULL");
    return cf_subscriber_next(subscriber, frame, timeout_ms);
}

CUFRAMES_API const char *cuframes_access_name(cuframes_access_t access)
{
    switch (access) {
    case CUFRAMES_ACCESS_IN_PLACE:
        return "in place";
    case CUFRAMES_ACCESS_PEER:
        return "peer";
    case CUFRAMES_ACCESS_REGISTERED:
        return "registered";
    case CUFRAMES_ACCESS_STAGED:
        return "staged";
    default:
        return "unknown";
    }
}

CUFRAMES_API cuframes_access_t cuframes_subscriber_access(const cuframes_subscriber_t *subscriber)
{
    if (!subscriber)
        return CUFRAMES_ACCESS_UNKNOWN;
    return (cuframes_access_t)atomic_load_explicit(&subscriber->access, memory_order_relaxed);
}

CUFRAMES_API int cuframes_subscriber_release(cuframes_subscriber_t *subscriber,
                                             cuframes_frame_t *frame)
{
    (void)subscriber;
    return cuframes_frame_release(frame);
}

CUFRAMES_API int cuframes_subscriber_fd(cuframes_subscriber_t *subscriber)
{
    int err;

    if ((err = check_handle(subscriber)) != 0)
        return err;
    if (subscriber->epoll < 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this subscriber has no descriptor: create it with the flag "
                       "CUFRAMES_SUBSCRIBER_POLL");
    return subscriber->epoll;
}

CUFRAMES_API int cuframes_subscriber_info(cuframes_subscriber_t *subscriber,
                                          cuframes_channel_info_t *info)
{
    int err;

    if ((err = check_handle(subscriber)) != 0)
        return err;
    if (!info)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "info must not be NULL");
    return cf_subscriber_read_info(subscriber, info);
}

CUFRAMES_API int cuframes_subscriber_stats(cuframes_subscriber_t *subscriber,
                                           cuframes_subscriber_stats_t *stats)
{
    int err;

    if ((err = check_handle(subscriber)) != 0)
        return err;
    if (!stats)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "stats must not be NULL");
    cf_subscriber_read_stats(subscriber, stats);
    return CUFRAMES_OK;
}

CUFRAMES_API const char *cuframes_subscriber_name(const cuframes_subscriber_t *subscriber)
{
    return subscriber ? subscriber->granted_name : NULL;
}
