/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel's time line: it goes on where inputs start over (loops, reconnects), and playing in
 * real time follows it. Nanoseconds. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How an input starts over. */
enum timeline_break {
    TIMELINE_NEXT_FRAME, /* its first picture follows the last one, one frame later: a loop */
    TIMELINE_ELAPSED     /* as much time has passed as the clock says: a lost connection */
};

struct timeline {
    int64_t frame_ns; /* nominal time between pictures, 0 = unknown */
    int64_t offset;   /* from the input's time to the channel's */
    int64_t last_ns, last_wall_ns;
    bool started, broken;
    enum timeline_break kind;
    /* Real time. */
    int64_t base_ns, base_wall_ns;
    bool paced;
    /* Frame rate limit. */
    int64_t due_ns;
    bool limited;
};

/* The next picture comes from an input that starts over. */
void timeline_break(struct timeline *timeline, enum timeline_break kind);

/*
 * The channel's time for a picture that has `input_ns` (CUFRAMES_NO_TIME if unknown, then it is one
 * frame after the last, where the rate is known). `discontinuity` is set, else left alone, when the
 * input's time jumped back.
 */
int64_t timeline_map(struct timeline *timeline, int64_t input_ns, bool *discontinuity);

/*
 * The same for a picture whose packet has its place already, `offset` away from its own time: it
 * goes where its packet is.
 */
int64_t timeline_follow(struct timeline *timeline, int64_t input_ns, int64_t offset,
                        bool *discontinuity);

/* Sleeps until the picture is due in real time; false if the process shall end. */
bool timeline_pace(struct timeline *timeline, int64_t pts_ns);

/* Whether a picture is to be kept so that at most `max_fps` a second are. */
bool timeline_keep(struct timeline *timeline, int64_t pts_ns, double max_fps);
