/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who asks for frames, and the packets to begin with.
 */
#include "on_demand.h"

#define SECOND_NS   INT64_C(1000000000)
#define LOOK_GAP_NS (20 * 1000 * 1000)

void on_demand_forget(struct on_demand *on_demand)
{
    for (size_t i = 0; i < on_demand->count; i++)
        av_packet_free(&on_demand->kept[i].packet);
    on_demand->count = on_demand->bytes = 0;
    on_demand->usable = false;
}

void on_demand_fini(struct on_demand *on_demand)
{
    on_demand_forget(on_demand);
}

static bool append(struct on_demand *on_demand, const AVPacket *packet, const struct stamp *stamp)
{
    struct kept_packet *place = &on_demand->kept[on_demand->count];

    if (on_demand->count == ON_DEMAND_PACKETS ||
        on_demand->bytes + (size_t)packet->size > ON_DEMAND_BYTES)
        return false;
    place->packet = av_packet_clone(packet);
    if (!place->packet)
        return false;
    place->stamp = *stamp;
    on_demand->count++;
    on_demand->bytes += (size_t)packet->size;
    return true;
}

void on_demand_keep(struct on_demand *on_demand, const AVPacket *packet, const struct stamp *stamp)
{
    if (packet->flags & AV_PKT_FLAG_KEY) {
        on_demand_forget(on_demand);
        on_demand->usable = true;
    }
    if (on_demand->usable && !append(on_demand, packet, stamp))
        on_demand_forget(on_demand);
}

static bool is_read(const struct channel *channel)
{
    cuframes_publisher_stats_t stats = {0};

    if (channel->publisher)
        cuframes_publisher_stats(channel->publisher, &stats);
    return stats.frame_subscribers > 0;
}

static bool frames_are_read(const struct output *output)
{
    if (is_read(output->channel))
        return true;
    for (int i = 0; i < output->renditions.count; i++)
        if (is_read(&output->renditions.list[i].channel))
            return true;
    return false;
}

bool on_demand_wanted(struct on_demand *on_demand, const struct output *output, bool decoding)
{
    int64_t patience = (int64_t)(output->options->on_demand_stop_s * (double)SECOND_NS);
    int64_t now = cuframes_now_ns();

    if (output->counters.published == 0)
        return true;
    if (now >= on_demand->look_next_ns) {
        on_demand->asked = frames_are_read(output);
        on_demand->look_next_ns = now + LOOK_GAP_NS;
        if (on_demand->asked)
            on_demand->asked_at_ns = now;
    }
    if (on_demand->asked)
        return true;
    return decoding && on_demand->asked_at_ns > 0 && now - on_demand->asked_at_ns < patience;
}
