/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a frame lies on CLOCK_MONOTONIC: the spacing that its source gave it, placed so that it is
 * never later than its publishing, always later than the frame before, and as close to its
 * publishing as the frames with the least delay are.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct place {
    bool anchored;
    int64_t offset; /* from the publisher's time line to the clock */
    int64_t last;   /* newest place, INT64_MIN before the first */
};

void place_init(struct place *place);
/* The publisher's time line is another one from now on. */
void place_reset(struct place *place);
/* `pts_ns` is CUFRAMES_NO_TIME when unknown. */
int64_t place_of(struct place *place, int64_t pts_ns, int64_t published_ns);
