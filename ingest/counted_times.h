/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times for pictures that have none, counted at a constant rate. When a picture is decoded follows
 * from its place in the stream; when it is shown, from the picture order count that H.264 and HEVC
 * give each picture: it goes up in the order of display, and starts over at some key frames.
 *
 * Times are in half pictures, because a field lasts half as long as a frame. Pure; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct counted_picture {
    int64_t order; /* picture order count */
    bool known;    /* the order is */
    bool key;
    bool field; /* one of the two of a frame */
};

struct counted_time {
    int64_t dts, pts, duration;
};

struct counted_times {
    int64_t next;    /* when the next picture is decoded */
    int64_t delay;   /* from there until a key frame is shown */
    int64_t step;    /* between orders n and n + 1 */
    int64_t origin;  /* when order 0 of the present sequence is shown */
    int64_t highest; /* order in it */
    int64_t latest;  /* what is shown last so far */
    bool started;
};

/*
 * Learns from the first pictures, in the order in which they are decoded. `delay` is how many
 * pictures the decoder holds back, as far as the stream tells; `field_orders`: the codec counts
 * fields, as H.264 does, which decides where the pictures do not tell. The first key frame is shown
 * at 0.
 */
void counted_times_init(struct counted_times *times, const struct counted_picture *pictures,
                        int count, int delay, bool field_orders);

/* The times of the next picture. Decoding times go up. */
struct counted_time counted_times_next(struct counted_times *times,
                                       const struct counted_picture *picture);
