/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packet_start.h"

#include "times.h"

void packet_start_init(struct packet_start *start, uint32_t streams)
{
    *start = (struct packet_start){
        .waited_for = streams, .first_ns = CUFRAMES_NO_TIME, .origin_ns = CUFRAMES_NO_TIME};
}

void packet_start_fini(struct packet_start *start)
{
    for (int i = 0; i < start->count; i++)
        av_packet_free(&start->kept[i]);
    start->count = 0;
}

void packet_start_note(struct packet_start *start, uint32_t stream,
                       const struct packet_times *times, int64_t padding_ns)
{
    int64_t time = times->pts_ns != CUFRAMES_NO_TIME ? times->pts_ns : times->dts_ns;
    bool first = start->waited_for & 1u << stream;

    if (time == CUFRAMES_NO_TIME)
        return;
    if (start->first_ns == CUFRAMES_NO_TIME)
        start->first_ns = time;
    if (first &&
        (start->origin_ns == CUFRAMES_NO_TIME || time_sum(time, padding_ns) < start->origin_ns))
        start->origin_ns = time_sum(time, padding_ns);
    start->waited_for &= ~(1u << stream);
    if (!start->waited_for || time_difference(time, start->first_ns) > PACKET_START_NS)
        packet_start_decide(start);
}

bool packet_start_keep(struct packet_start *start, const AVPacket *packet)
{
    start->kept[start->count] = av_packet_clone(packet);
    if (!start->kept[start->count])
        return false;
    if (++start->count == PACKET_START_COUNT)
        packet_start_decide(start);
    return true;
}

void packet_start_decide(struct packet_start *start)
{
    if (start->origin_ns == CUFRAMES_NO_TIME)
        start->origin_ns = 0;
    start->decided = true;
}
