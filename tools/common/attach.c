/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits for frames are cut into pieces of STOP_POLL_MS, so that a signal is seen between them.
 */
#include "common/attach.h"

#include <math.h>

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

static int asked_to_stop(void *user)
{
    (void)user;
    return stop_requested();
}

/* Rounded up: 0 would not wait at all. */
static int32_t milliseconds(double seconds)
{
    return (int32_t)ceil(seconds * 1e3);
}

double attach_answer_s(double wait_s, double limit_s)
{
    double answer_s = wait_s > ATTACH_ANSWER_S ? wait_s : ATTACH_ANSWER_S;

    return limit_s > 0 && limit_s < answer_s ? limit_s : answer_s;
}

int attach(const cuframes_subscriber_config_t *config, double wait_s, double limit_s,
           cuframes_subscriber_t **subscriber)
{
    const cuframes_connect_options_t connect = {
        .stop = asked_to_stop, .answer_timeout_ms = milliseconds(attach_answer_s(wait_s, limit_s))};
    cuframes_subscriber_config_t waiting = *config;
    int error;

    waiting.connect = &connect;
    waiting.connect_timeout_ms = milliseconds(wait_s);
    error = cuframes_subscriber_create(&waiting, subscriber);
    if (!error)
        tell_of_copies(*subscriber);
    return error;
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
