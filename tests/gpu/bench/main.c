/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gpu_bench publish|wake|attach|peer: one measurement; bench.py runs all and writes the page.
 */
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

void series_add(struct series *series, double value)
{
    if (series->count == series->capacity) {
        series->capacity = series->capacity ? 2 * series->capacity : 1024;
        series->values = realloc(series->values, series->capacity * sizeof(double));
        CHECK(series->values);
    }
    series->values[series->count++] = value;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double quantile(const struct series *series, double q)
{
    return series->values[(unsigned)(q * (series->count - 1) + 0.5)];
}

void series_print(struct series *series)
{
    if (series->count > 0) {
        qsort(series->values, series->count, sizeof(double), compare);
        printf("{\"series\": \"%s\", \"unit\": \"%s\", \"count\": %u, \"median\": %.4g, "
               "\"p99\": %.4g, \"min\": %.4g, \"max\": %.4g}\n",
               series->name, series->unit, series->count, quantile(series, 0.5),
               quantile(series, 0.99), series->values[0], series->values[series->count - 1]);
        fflush(stdout);
    }
    free(series->values);
    series->values = NULL;
}

int bench_rounds(int usual)
{
    return on_standin() || getenv("CUFRAMES_BENCH_QUICK") ? usual / 10 : usual;
}

void bench_pace(int64_t start_ns, int index, int64_t interval_ns)
{
    int64_t due = start_ns + index * interval_ns;
    struct timespec at = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) != 0)
        ;
}

static const struct {
    const char *name;
    void (*run)(void);
} benches[] = {
    {"publish", bench_publish},
    {"wake", bench_wake},
    {"attach", bench_attach},
    {"peer", bench_peer},
};

int main(int argc, char **argv)
{
    for (size_t i = 0; argc == 2 && i < sizeof(benches) / sizeof(benches[0]); i++)
        if (strcmp(argv[1], benches[i].name) == 0) {
            benches[i].run();
            return 0;
        }
    fprintf(stderr, "usage: gpu_bench publish|wake|attach|peer\n");
    return 2;
}
