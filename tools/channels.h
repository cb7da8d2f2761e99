/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What several subcommands show of a runtime directory: the answer of each of its channels.
 */
#pragma once

#include <cuframes/cuframes.h>

struct channel {
    char key[CUFRAMES_KEY_MAX + 1];
    int error;                         /* of the query; NOT_FOUND = the publisher is dead */
    char reason[256];                  /* the library's sentence when there is an error */
    cuframes_channel_report_t *report; /* NULL when there is an error */
};

struct channels {
    uint32_t count;
    struct channel *list;
};

/*
 * Asks every channel of `runtime_dir` (NULL = the default). Returns the library's error of the
 * listing; errors of a single channel are in the channel. Free with channels_fini().
 */
int channels_ask(const char *runtime_dir, struct channels *channels);
void channels_fini(struct channels *channels);

/* Age of the newest frame, or -1. */
double channel_age_s(const cuframes_publisher_stats_t *stats);
/* "12 ms", "3.4 s", "-" for -1. */
const char *age_text(double seconds, char text[24]);
