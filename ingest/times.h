/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sums and differences of times. They come from publishers, which can say any number: what does not
 * fit stays at the end of the range, and never becomes CUFRAMES_NO_TIME.
 */
#pragma once

#include <stdint.h>

static inline int64_t time_sum(int64_t a, int64_t b)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum))
        return b < 0 ? INT64_MIN + 1 : INT64_MAX;
    return sum == INT64_MIN ? INT64_MIN + 1 : sum;
}

static inline int64_t time_difference(int64_t a, int64_t b)
{
    int64_t difference;

    if (__builtin_sub_overflow(a, b, &difference))
        return b > 0 ? INT64_MIN + 1 : INT64_MAX;
    return difference == INT64_MIN ? INT64_MIN + 1 : difference;
}
