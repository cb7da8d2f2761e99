/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A limit on how often a stranger can cause work: so many times at once, and so many a second from
 * then on (a token bucket). Refills go in steps, so that who waits for one is not woken for each.
 * One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

struct cf_rate_limit {
    uint32_t most; /* at once */
    uint32_t left;
    uint32_t step; /* of a refill, and the time from one to the next */
    int64_t every_ns;
    int64_t refilled_ns;
};

static inline void cf_rate_limit_init(struct cf_rate_limit *limit, uint32_t most, uint32_t step,
                                      int64_t every_ns)
{
    *limit = (struct cf_rate_limit){
        .most = most, .left = most, .step = step, .every_ns = every_ns, .refilled_ns = cf_now_ns()};
}

/* Whether it may be done now. */
static inline bool cf_rate_limit_may(struct cf_rate_limit *limit, int64_t now_ns)
{
    const int64_t refills = (now_ns - limit->refilled_ns) / limit->every_ns;

    if (refills > 0) {
        const int64_t more = refills < limit->most ? refills * limit->step : limit->most;
        const uint32_t room = limit->most - limit->left;

        limit->left += more < room ? (uint32_t)more : room;
        limit->refilled_ns += refills * limit->every_ns;
    }
    return limit->left > 0;
}

/* It was done, once. */
static inline void cf_rate_limit_count(struct cf_rate_limit *limit)
{
    limit->left--;
}

/* When the next refill is due. */
static inline int64_t cf_rate_limit_next(const struct cf_rate_limit *limit)
{
    return limit->refilled_ns + limit->every_ns;
}
