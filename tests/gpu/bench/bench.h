/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Measurements of channels in GPU memory. Each compares ways in one run, turn by turn, so that what
 * the machine does meanwhile falls on all of them. Each prints its series as lines of JSON.
 */
#pragma once

#include "../channel.h"

/* One quantity, measured again and again. */
struct series {
    const char *name;
    const char *unit;
    double *values;
    unsigned count, capacity;
};

void series_add(struct series *series, double value);
/* Prints {"series": name, "unit": …, "count": …, "median": …, "p99": …, "min": …, "max": …}, or
 * nothing if there is no value, and frees it. */
void series_print(struct series *series);

/* How often: fewer on the stand-in, or with $CUFRAMES_BENCH_QUICK. */
int bench_rounds(int usual);
/* Sleeps until `start_ns` + `index` * `interval_ns`. */
void bench_pace(int64_t start_ns, int index, int64_t interval_ns);

#define BENCH_WARM_UP 50

void bench_publish(void);
void bench_wake(void);
void bench_attach(void);
void bench_peer(void);
