/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The points of the library at which this process can be stopped or killed (src/base/point.h), as
 * the crash tests set them. What is set here is inherited by forks and meant for one of them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* Whose process comes to a point, and how often. */
enum point_side {
    PUBLISHER,
    SUBSCRIBER,
    RANK,
    PACKET_WRITER,
    PACKET_READER,
    GPU_PUBLISHER,
    GPU_SUBSCRIBER,
};
enum point_when { MAKE, RUN, END };

struct point {
    enum point_side side;
    const char *name;
    enum point_when when;
};

/* The next point of this side after `previous` (NULL = the first), or NULL. */
const struct point *point_next(enum point_side side, const struct point *previous);
#define EACH_POINT(point, side)                                                                    \
    const struct point *point = point_next(side, NULL);                                            \
    point;                                                                                         \
    point = point_next(side, point)

/* Sends `signal` to this process when it comes to `name` for the `nth` time from now. */
void point_arm(const char *name, int nth, int signal);
/* How often this process and its forks have come to the point that was armed last. */
int point_visits(void);
/* Zeroes that, before forks are made. */
void point_reset(void);
