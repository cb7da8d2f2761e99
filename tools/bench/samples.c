/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bench/samples.h"

#include <stdint.h>
#include <stdlib.h>

#include "common/json.h"
#include "common/report.h"

bool samples_init(struct samples *samples, size_t capacity)
{
    *samples = (struct samples){.values = calloc(capacity, sizeof(double)), .capacity = capacity};
    if (samples->values)
        return true;
    report("out of memory for %zu samples", capacity);
    return false;
}

void samples_fini(struct samples *samples)
{
    free(samples->values);
    *samples = (struct samples){0};
}

void samples_add(struct samples *samples, double value)
{
    if (value >= 0 && samples->count < samples->capacity)
        samples->values[samples->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double samples_quantile(struct samples *samples, double fraction)
{
    size_t index;

    if (samples->count == 0)
        return 0;
    qsort(samples->values, samples->count, sizeof(double), compare);
    index = (size_t)(fraction * (double)samples->count);
    return samples->values[index < samples->count ? index : samples->count - 1];
}

json_t *samples_json(struct samples *samples)
{
    return json_pack("{s:o, s:f, s:f, s:f}", "samples", json_unsigned(samples->count), "p50_ns",
                     samples_quantile(samples, 0.5), "p90_ns", samples_quantile(samples, 0.9),
                     "p99_ns", samples_quantile(samples, 0.99));
}
