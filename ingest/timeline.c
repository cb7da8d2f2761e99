/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time line, real time and the frame rate limit: all three follow the pictures' own times, because
 * arrival jitters.
 */
#include "timeline.h"

#include <cuframes/cuframes.h>

#include "shutdown.h"

#define SECOND_NS INT64_C(1000000000)
/* A step back that is more than reordering or rounding. */
#define JUMP_BACK_NS SECOND_NS
/* Who is later than this does not hurry to catch up. */
#define MAX_BEHIND_NS SECOND_NS

void timeline_break(struct timeline *timeline, enum timeline_break kind)
{
    timeline->broken = true;
    timeline->kind = kind;
    timeline->paced = false;
    timeline->limited = false;
}

static int64_t frame_after(const struct timeline *timeline)
{
    return timeline->last_ns + (timeline->frame_ns > 0 ? timeline->frame_ns : 1);
}

/* Where the first picture after a break belongs. */
static int64_t resume_at(const struct timeline *timeline)
{
    int64_t elapsed = cuframes_now_ns() - timeline->last_wall_ns;

    if (timeline->kind == TIMELINE_ELAPSED && timeline->last_ns + elapsed > timeline->last_ns)
        return timeline->last_ns + elapsed;
    return frame_after(timeline);
}

static int64_t place(struct timeline *timeline, int64_t input_ns, bool *discontinuity)
{
    if (!timeline->started)
        return input_ns;
    if (timeline->broken) {
        timeline->offset = resume_at(timeline) - input_ns;
    } else if (input_ns + timeline->offset < timeline->last_ns - JUMP_BACK_NS) {
        timeline->offset = frame_after(timeline) - input_ns;
        timeline->paced = timeline->limited = false;
        *discontinuity = true;
    }
    return input_ns + timeline->offset;
}

/* A picture without a time of its own. The break, if there is one, is still to be mended by one
 * that has: inputs often begin with pictures without a time. */
static int64_t place_unknown(struct timeline *timeline)
{
    int64_t pts = timeline->broken ? resume_at(timeline) : frame_after(timeline);

    timeline->kind = TIMELINE_NEXT_FRAME;
    return pts;
}

int64_t timeline_map(struct timeline *timeline, int64_t input_ns, bool *discontinuity)
{
    int64_t pts;

    if (input_ns != CUFRAMES_NO_TIME) {
        pts = place(timeline, input_ns, discontinuity);
        timeline->broken = false;
    } else if (timeline->frame_ns > 0 && timeline->started) {
        pts = place_unknown(timeline);
    } else {
        return CUFRAMES_NO_TIME;
    }
    timeline->started = true;
    timeline->last_ns = pts;
    timeline->last_wall_ns = cuframes_now_ns();
    return pts;
}

int64_t timeline_follow(struct timeline *timeline, int64_t input_ns, int64_t offset,
                        bool *discontinuity)
{
    if (timeline->started && !timeline->broken && offset != timeline->offset) {
        timeline->paced = timeline->limited = false;
        *discontinuity = true;
    }
    timeline->offset = offset;
    timeline->started = true;
    timeline->broken = false;
    timeline->last_ns = input_ns + offset;
    timeline->last_wall_ns = cuframes_now_ns();
    return timeline->last_ns;
}

bool timeline_pace(struct timeline *timeline, int64_t pts_ns)
{
    int64_t now = cuframes_now_ns();
    int64_t due;

    if (pts_ns == CUFRAMES_NO_TIME)
        return !shutdown_requested();
    due = timeline->base_wall_ns + (pts_ns - timeline->base_ns);
    if (!timeline->paced || now - due > MAX_BEHIND_NS) {
        timeline->paced = true;
        timeline->base_ns = pts_ns;
        timeline->base_wall_ns = now;
        return !shutdown_requested();
    }
    return shutdown_sleep_until(due);
}

bool timeline_keep(struct timeline *timeline, int64_t pts_ns, double max_fps)
{
    int64_t interval, now = pts_ns == CUFRAMES_NO_TIME ? cuframes_now_ns() : pts_ns;

    if (max_fps <= 0)
        return true;
    interval = (int64_t)((double)SECOND_NS / max_fps);
    /* A sixteenth of a step early is on time: time stamps are rounded. */
    if (timeline->limited && now < timeline->due_ns - interval / 16)
        return false;
    if (!timeline->limited || now - timeline->due_ns > interval)
        timeline->due_ns = now;
    timeline->due_ns += interval;
    timeline->limited = true;
    return true;
}
