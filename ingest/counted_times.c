/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A sequence begins at a key frame whose order does not go up; its other pictures are placed by
 * their order from there. What contradicts that is a wrong guess of the delay, which is mended for
 * good, or damage, after which counting begins anew.
 */
#include "counted_times.h"

#include <stddef.h>

#define FRAME 2
/* Farther from its place in the stream no picture is shown: twice the most that codecs reorder. */
#define FARTHEST (32 * FRAME)
/* So many pictures have two that follow each other, if the codec can have such. */
#define ENOUGH 4

static int64_t duration_of(const struct counted_picture *picture)
{
    return picture->field ? 1 : FRAME;
}

static bool begins_sequence(const struct counted_times *times,
                            const struct counted_picture *picture)
{
    return !times->started || (picture->key && picture->order <= times->highest);
}

/* Counts from this picture on. Where pictures before it are missing, so is their time. */
static int64_t begin_sequence(struct counted_times *times, const struct counted_picture *picture)
{
    int64_t pts = times->next + times->delay;

    if (times->started && pts <= times->latest) {
        pts = times->latest + FRAME;
        times->next = pts - times->delay;
    }
    times->origin = pts - picture->order * times->step;
    times->highest = picture->order;
    return pts;
}

/* Nothing is held back as far as is known: then the order of decoding is that of display, and gaps
 * in the count mean nothing. */
static bool is_in_order(const struct counted_times *times, const struct counted_picture *picture)
{
    return times->delay == 0 && picture->order > times->highest;
}

static int64_t show_at(struct counted_times *times, const struct counted_picture *picture)
{
    int64_t pts = times->origin + picture->order * times->step;
    int64_t late = times->next - pts;

    if (begins_sequence(times, picture) || is_in_order(times, picture) || late > FARTHEST ||
        -late > times->delay + FARTHEST)
        return begin_sequence(times, picture);
    if (late > 0) { /* more is held back than was known */
        times->delay += late;
        times->origin += late;
        pts += late;
    }
    if (picture->order > times->highest)
        times->highest = picture->order;
    return pts;
}

struct counted_time counted_times_next(struct counted_times *times,
                                       const struct counted_picture *picture)
{
    int64_t pts = picture->known ? show_at(times, picture) : times->next + times->delay;
    struct counted_time time = {.dts = times->next, .pts = pts, .duration = duration_of(picture)};

    times->next += time.duration;
    if (!times->started || pts > times->latest)
        times->latest = pts;
    times->started = times->started || picture->known;
    return time;
}

/* How far apart orders are in which only frames are counted: two, unless there are odd ones too. */
static int64_t find_step(const struct counted_picture *pictures, int count, bool field_orders)
{
    const struct counted_picture *before = NULL;
    int compared = 0;

    for (int i = 0; i < count; i++) {
        if (!pictures[i].known || pictures[i].field)
            continue;
        if (before && !pictures[i].key && (pictures[i].order - before->order) % 2 != 0)
            return FRAME;
        before = &pictures[i];
        compared++;
    }
    return field_orders || compared >= ENOUGH ? 1 : FRAME;
}

void counted_times_init(struct counted_times *times, const struct counted_picture *pictures,
                        int count, int delay, bool field_orders)
{
    const struct counted_times fresh = {.delay = (int64_t)delay * FRAME,
                                        .step = find_step(pictures, count, field_orders)};

    *times = fresh;
    for (int i = 0; i < count; i++)
        counted_times_next(times, &pictures[i]);
    *times =
        (struct counted_times){.delay = times->delay, .step = fresh.step, .next = -times->delay};
}
