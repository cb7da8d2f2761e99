/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For lines that a stranger can cause as often as it likes: a few in a while, the rest is counted, and
 * the count is said. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define CF_LOG_LIMIT_LINES 5
#define CF_LOG_LIMIT_NS    (10 * CF_NS_PER_S)

/* Zero-initialised. */
struct cf_log_limit {
    int64_t began_ns; /* the while; 0 = there is none */
    uint32_t said;
    uint64_t more; /* not said */
};

/* Whether to say a line now; if not, it is counted. */
static inline bool cf_log_limit_take(struct cf_log_limit *limit, int64_t now_ns)
{
    if (limit->began_ns == 0)
        limit->began_ns = now_ns;
    if (limit->said < CF_LOG_LIMIT_LINES) {
        limit->said++;
        return true;
    }
    limit->more++;
    return false;
}

/* When the while ends, and the count is due; CF_NEVER if none has begun. */
static inline int64_t cf_log_limit_end(const struct cf_log_limit *limit)
{
    return limit->began_ns ? limit->began_ns + CF_LOG_LIMIT_NS : CF_NEVER;
}

/* Ends the while: how many lines were not said. */
static inline uint64_t cf_log_limit_reset(struct cf_log_limit *limit)
{
    uint64_t more = limit->more;

    *limit = (struct cf_log_limit){.began_ns = 0};
    return more;
}
