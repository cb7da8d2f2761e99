/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reading a channel and counting what comes: the work of `cuframes sub` and of sub_count.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

#include "common/histogram.h"

struct reader_settings {
    cuframes_subscriber_config_t config;
    double wait_s;             /* for the channel to come */
    int64_t frames;            /* end after so many; 0 = no limit */
    double seconds;            /* end after so long; 0 = no limit */
    int hold_ms;               /* keep each frame so long */
    bool verify;               /* compare with the test pattern */
    const char *checksum_path; /* write a line "SEQ CHECKSUM" for each frame there; NULL = no */
};

struct reader_result {
    cuframes_subscriber_stats_t stats;
    struct histogram latency; /* publish to awake, nanoseconds */
    uint64_t gaps;            /* times that frames were missed between two that came */
    uint64_t verified;
    uint64_t checksummed;
    uint64_t torn;
    int64_t first_ns; /* when the first and the last frame came */
    int64_t last_ns;
    double seconds;    /* from attach to end */
    bool disconnected; /* the publisher went away */
    char error[512];   /* why it ended early; empty = it did not */
};

/*
 * Reads until a limit, a signal or an error. Errors are reported on stderr. Returns the exit code;
 * `result` is filled in whatever it is, and *attached says whether there was a channel at all.
 */
int reader_run(const struct reader_settings *settings, struct reader_result *result,
               bool *attached);
/* Frames a second between the first and the last. */
double reader_rate(const struct reader_result *result);
