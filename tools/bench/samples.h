/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Measured times in nanoseconds, and what is said about them. Negative values mean that a sample
 * was lost and are left out. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

struct samples {
    double *values;
    size_t count;
    size_t capacity;
};

/* False: out of memory, reported. */
bool samples_init(struct samples *samples, size_t capacity);
void samples_fini(struct samples *samples);
/* Beyond the capacity a sample is left out. */
void samples_add(struct samples *samples, double value);
/* The value that `fraction` (0 to 1) of all are at or below; 0 without samples. Sorts. */
double samples_quantile(struct samples *samples, double fraction);
/* An object with samples, p50_ns, p90_ns, p99_ns. */
json_t *samples_json(struct samples *samples);
