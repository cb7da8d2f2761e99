/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time: CLOCK_MONOTONIC in nanoseconds, and deadlines made from the API's millisecond timeouts.
 */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <time.h>

#define CF_NS_PER_S  INT64_C(1000000000)
#define CF_NS_PER_MS INT64_C(1000000)
/* A deadline that never comes. */
#define CF_NEVER INT64_MAX

static inline int64_t cf_clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * CF_NS_PER_S + t.tv_nsec;
}

static inline int64_t cf_now_ns(void)
{
    return cf_clock_ns(CLOCK_MONOTONIC);
}

/* Deadline for a timeout in milliseconds: below 0 = never, 0 = the past, so no clock is read. */
static inline int64_t cf_deadline(int32_t timeout_ms)
{
    if (timeout_ms < 0)
        return CF_NEVER;
    return timeout_ms == 0 ? 0 : cf_now_ns() + timeout_ms * CF_NS_PER_MS;
}

/* Time left until `deadline` as poll() wants it, rounded up, at most `most_ms`. */
static inline int cf_poll_ms(int64_t deadline, int most_ms)
{
    int64_t left;

    if (deadline == CF_NEVER)
        return most_ms;
    left = (deadline - cf_now_ns() + CF_NS_PER_MS - 1) / CF_NS_PER_MS;
    if (left <= 0)
        return 0;
    return left < most_ms ? (int)left : most_ms;
}
