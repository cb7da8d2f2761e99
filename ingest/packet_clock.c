/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The time line of packets. What is compared is decoding time, which does not go back in a stream
 * that is in order; pictures' own time does where there are B-frames.
 */
#include "packet_clock.h"

#include "times.h"

/* A step back that is more than a muxer's carelessness, or than reordering where pictures' own time
 * is all there is. */
#define JUMP_BACK_NS        INT64_C(200000000)
#define JUMP_BACK_UNSURE_NS INT64_C(1000000000)

void packet_clock_break(struct packet_clock *clock, enum timeline_break kind)
{
    clock->broken = clock->started;
    clock->kind = kind;
}

/* The same input once more, as soon as no stream of it goes back: it is as long as the longest. */
static int64_t offset_of_repetition(const struct packet_clock *clock)
{
    int64_t offset = INT64_MIN;

    for (int i = 0; i < CUFRAMES_MAX_STREAMS; i++) {
        const struct packet_clock_stream *stream = &clock->streams[i];

        if (stream->started && time_difference(stream->end_ns, stream->first_ns) > offset)
            offset = time_difference(stream->end_ns, stream->first_ns);
    }
    return offset;
}

/* The first packet with a time after a break: every stream is moved. */
static void resume(struct packet_clock *clock, int64_t time)
{
    int64_t elapsed = cuframes_now_ns() - clock->end_wall_ns;

    clock->offset = clock->kind == TIMELINE_NEXT_FRAME
                        ? offset_of_repetition(clock)
                        : time_difference(time_sum(clock->end_ns, elapsed > 0 ? elapsed : 0), time);
    clock->broken = false;
    for (int i = 0; i < CUFRAMES_MAX_STREAMS; i++) {
        clock->streams[i].offset = clock->offset;
        clock->streams[i].broken = clock->streams[i].started;
    }
}

static bool jumps_back(const struct packet_clock_stream *stream, int64_t time, int64_t offset,
                       int64_t tolerance)
{
    return stream->started && time_sum(time, offset) < time_difference(stream->last_ns, tolerance);
}

/* A time that jumps back: where another stream has gone before, else right after this one's last. */
static void follow_jump(struct packet_clock *clock, struct packet_clock_stream *stream,
                        int64_t time, int64_t duration)
{
    if (clock->offset == stream->offset || jumps_back(stream, time, clock->offset, JUMP_BACK_NS))
        clock->offset =
            time_difference(time_sum(stream->last_ns, duration > 0 ? duration : 1), time);
    stream->offset = clock->offset;
    stream->broken = true;
}

static void move(int64_t *time, int64_t offset)
{
    if (*time != CUFRAMES_NO_TIME)
        *time = time_sum(*time, offset);
}

static void note_end(struct packet_clock *clock, const struct packet_times *times)
{
    int64_t start = times->pts_ns != CUFRAMES_NO_TIME ? times->pts_ns : times->dts_ns;
    int64_t end = time_sum(start, times->duration_ns);

    if (start == CUFRAMES_NO_TIME)
        return;
    if (!clock->started || end > clock->end_ns)
        clock->end_ns = end;
    clock->end_wall_ns = cuframes_now_ns();
    clock->started = true;
}

bool packet_clock_map(struct packet_clock *clock, uint32_t index, struct packet_times *times,
                      int64_t *offset)
{
    struct packet_clock_stream *stream = &clock->streams[index];
    int64_t time = times->dts_ns != CUFRAMES_NO_TIME ? times->dts_ns : times->pts_ns;
    /* A picture's own time, of this packet or of the one before, is not a time in this order. */
    bool unsure = times->dts_ns == CUFRAMES_NO_TIME;
    int64_t tolerance = unsure || stream->unsure ? JUMP_BACK_UNSURE_NS : JUMP_BACK_NS;
    bool broken;

    if (time != CUFRAMES_NO_TIME) {
        if (clock->broken)
            resume(clock, time);
        if (!stream->started)
            stream->offset = clock->offset;
        if (!stream->started || stream->broken)
            stream->first_ns = time;
        else if (jumps_back(stream, time, stream->offset, tolerance))
            follow_jump(clock, stream, time, times->duration_ns);
        stream->last_ns = time_sum(time, stream->offset);
        stream->unsure = unsure;
        stream->end_ns = time_sum(stream->last_ns, times->duration_ns);
        stream->started = true;
    }
    broken = stream->broken;
    stream->broken = false;
    *offset = stream->offset;
    move(&times->pts_ns, stream->offset);
    move(&times->dts_ns, stream->offset);
    note_end(clock, times);
    return broken;
}
