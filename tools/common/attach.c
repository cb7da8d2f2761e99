/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's waits are cut into pieces of STOP_POLL_MS, so that a signal is seen between them.
 */
#include "common/attach.h"

#include "common/report.h"
#include "common/stop.h"

void attach_for_cpu(cuframes_subscriber_config_t *config)
{
    config->memory = CUFRAMES_MEMORY_HOST;
    config->flags |= CUFRAMES_SUBSCRIBER_STAGED;
}

static void tell_of_copies(const cuframes_subscriber_t *subscriber)
{
    if (cuframes_subscriber_access(subscriber) == CUFRAMES_ACCESS_STAGED)
        report("the frames are in GPU memory: each one is copied to the host for this reader");
}

int attach(const cuframes_subscriber_config_t *config, double wait_s,
           cuframes_subscriber_t **subscriber)
{
    int64_t deadline = cuframes_now_ns() + (int64_t)(wait_s * 1e9);
    cuframes_subscriber_config_t one_try = *config;
    int error;

    for (;;) {
        int64_t left_ms = (deadline - cuframes_now_ns()) / 1000000;

        if (stop_requested())
            return CUFRAMES_ERR_WOULD_BLOCK;
        if (left_ms > STOP_POLL_MS)
            left_ms = STOP_POLL_MS;
        /* 0 at the end: the sentence then tells of a channel that is not there, not of the time
         * that the last piece was long. */
        one_try.connect_timeout_ms = left_ms > 0 ? (int32_t)left_ms : 0;
        error = cuframes_subscriber_create(&one_try, subscriber);
        if (!error)
            tell_of_copies(*subscriber);
        /* NOT_FOUND before the time is over is a publisher's own word, and stays so. */
        if (left_ms <= 0 || error != CUFRAMES_ERR_TIMEOUT)
            return error;
    }
}

int attach_next(cuframes_subscriber_t *subscriber, int64_t deadline_ns, cuframes_frame_t **frame)
{
    while (!stop_requested()) {
        int64_t left_ns = deadline_ns - cuframes_now_ns();
        int32_t timeout_ms = STOP_POLL_MS;
        int error;

        if (left_ns <= 0)
            timeout_ms = 0;
        else if (left_ns < STOP_POLL_MS * INT64_C(1000000))
            timeout_ms = (int32_t)((left_ns + 999999) / 1000000);
        error = cuframes_subscriber_next(subscriber, NULL, frame, timeout_ms);
        if (error == CUFRAMES_ERR_WOULD_BLOCK)
            return CUFRAMES_ERR_TIMEOUT;
        if (error != CUFRAMES_ERR_TIMEOUT)
            return error;
    }
    return CUFRAMES_ERR_WOULD_BLOCK;
}
