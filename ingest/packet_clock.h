/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One time line for the packets of several streams, which goes on where the input's time starts
 * over: at a loop, a lost connection, or a time stamp that jumps back. All streams are moved
 * together, so that sound stays with its picture. Nanoseconds. Pure but for cuframes_now_ns(); one
 * thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

#include "timeline.h"

struct packet_clock_stream {
    bool started;
    bool broken;    /* its next packet does not follow on */
    bool unsure;    /* last_ns is a picture's own time */
    int64_t offset; /* from the input's time to the channel's */
    int64_t last_ns;
    int64_t first_ns; /* of the input's present run, in its own time */
    int64_t end_ns;   /* where the newest packet ends */
};

struct packet_clock {
    struct packet_clock_stream streams[CUFRAMES_MAX_STREAMS];
    int64_t offset; /* of the stream that was moved last; the others follow */
    int64_t end_ns; /* where the latest packet ends */
    int64_t end_wall_ns;
    bool started, broken;
    enum timeline_break kind;
};

/* Times of one packet: in as the input has them, out on the time line; CUFRAMES_NO_TIME = unknown. */
struct packet_times {
    int64_t pts_ns, dts_ns;
    int64_t duration_ns; /* 0 = unknown */
};

/*
 * The next packets come from an input that starts over: the same once more (TIMELINE_NEXT_FRAME),
 * or what a camera sends now (TIMELINE_ELAPSED).
 */
void packet_clock_break(struct packet_clock *clock, enum timeline_break kind);

/*
 * Moves a packet of `stream` onto the time line and tells how far. True if its time, or that of the
 * input, does not follow on from the stream's packet before.
 */
bool packet_clock_map(struct packet_clock *clock, uint32_t stream, struct packet_times *times,
                      int64_t *offset);
