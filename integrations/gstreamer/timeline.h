/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a frame lies on this host's CLOCK_MONOTONIC.
 *
 * A publisher's time stamps have the spacing that its source gave them, on a time line of its own;
 * the times of publishing are on our clock, but late by whatever the publisher had to do. The
 * timeline keeps the spacing and follows the frames that were published with the least delay:
 * a place is never later than the frame's publishing, and always later than the place before.
 */
#pragma once

#include <glib.h>

typedef struct {
    gboolean anchored;
    gint64 offset; /* from the publisher's time line to the clock */
    gint64 last;   /* newest place, G_MININT64 before the first */
} GstCuframesTimeline;

void gst_cuframes_timeline_init(GstCuframesTimeline *timeline);
/* Forgets the publisher's time line: it is another one now. Places go on growing. */
void gst_cuframes_timeline_reset(GstCuframesTimeline *timeline);
/* `pts_ns` is CUFRAMES_NO_TIME when unknown. */
gint64 gst_cuframes_timeline_place(GstCuframesTimeline *timeline, gint64 pts_ns,
                                   gint64 published_ns);
