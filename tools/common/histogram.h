/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A histogram of times with a relative error below 1 % and a fixed size: 64 steps to each power
 * of two, whatever is counted and however long. One thread.
 */
#pragma once

#include <stdint.h>

#define HISTOGRAM_STEP_BITS 6
#define HISTOGRAM_STEPS     (1 << HISTOGRAM_STEP_BITS)
#define HISTOGRAM_BUCKETS   ((64 - HISTOGRAM_STEP_BITS + 1) * HISTOGRAM_STEPS)

struct histogram {
    uint64_t count;
    uint64_t max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);
/* The value that `fraction` (0 to 1) of all are at or below; 0 when nothing was counted. */
uint64_t histogram_quantile(const struct histogram *histogram, double fraction);
