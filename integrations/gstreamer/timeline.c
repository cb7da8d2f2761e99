/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "timeline.h"

#include <cuframes/frame.h>

/* A place that would be so late or early means that the publisher's time line has jumped. */
#define MOST_DELAY (G_GINT64_CONSTANT(1000000) * 1000)
/* How fast the least delay is forgotten, for clocks that run apart: a part of a frame's delay. */
#define FORGET 256

void gst_cuframes_timeline_init(GstCuframesTimeline *timeline)
{
    *timeline = (GstCuframesTimeline){.last = G_MININT64};
}

void gst_cuframes_timeline_reset(GstCuframesTimeline *timeline)
{
    timeline->anchored = FALSE;
}

/* FALSE: the difference does not fit, so these are not times of one line. */
static gboolean difference(gint64 a, gint64 b, gint64 *result)
{
    return !__builtin_sub_overflow(a, b, result);
}

static gint64 anchored_place(GstCuframesTimeline *timeline, gint64 pts_ns, gint64 published_ns)
{
    gint64 offset, delay;

    if (!difference(published_ns, pts_ns, &offset)) {
        timeline->anchored = FALSE;
        return published_ns;
    }
    if (timeline->anchored && difference(offset, timeline->offset, &delay) && delay > 0 &&
        delay < MOST_DELAY)
        timeline->offset += delay / FORGET;
    else
        timeline->offset = offset;
    timeline->anchored = TRUE;
    return pts_ns + timeline->offset;
}

gint64 gst_cuframes_timeline_place(GstCuframesTimeline *timeline, gint64 pts_ns,
                                   gint64 published_ns)
{
    gint64 place =
        pts_ns == CUFRAMES_NO_TIME ? published_ns : anchored_place(timeline, pts_ns, published_ns);

    if (timeline->last != G_MININT64 && place <= timeline->last)
        place = timeline->last + 1;
    timeline->last = place;
    return place;
}
