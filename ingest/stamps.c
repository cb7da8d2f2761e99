/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capture times. FFmpeg's RTP input attaches the sender's wall clock to each packet once the
 * camera's first RTCP sender report is there; the stream's start in wall-clock time is the older
 * way to say it.
 */
#include "stamps.h"

#include <string.h>
#include <time.h>

#include <libavutil/mathematics.h>

#define NANOSECONDS 1000000000
/* A camera whose clock was never set says 1970. Such a time is not known, rather than wrong. */
#define EARLIEST_NS (INT64_C(1000000000) * NANOSECONDS)

void stamps_reset(struct stamps *stamps)
{
    stamps->count = 0;
}

static int64_t realtime_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * NANOSECONDS + now.tv_nsec;
}

static int64_t packet_ns(const AVFormatContext *format, const AVPacket *packet)
{
    AVRational time_base = format->streams[packet->stream_index]->time_base;

    return av_rescale_q(packet->pts, time_base, (AVRational){1, NANOSECONDS});
}

static bool camera_clock(const AVFormatContext *format, const AVPacket *packet, int64_t *capture_ns)
{
    size_t size = 0;
    const uint8_t *data = av_packet_get_side_data(packet, AV_PKT_DATA_PRFT, &size);
    int64_t ns;

    if (data && size >= sizeof(AVProducerReferenceTime)) {
        AVProducerReferenceTime reference;

        memcpy(&reference, data, sizeof(reference));
        ns = reference.wallclock * 1000;
    } else if (format->start_time_realtime != AV_NOPTS_VALUE && packet->pts != AV_NOPTS_VALUE) {
        ns = format->start_time_realtime * 1000 + packet_ns(format, packet);
    } else {
        return false;
    }
    *capture_ns = ns;
    return ns >= EARLIEST_NS;
}

/* V4L2 is opened with absolute time stamps (source.c), so that they are wall-clock times. */
static bool device_clock(const AVFormatContext *format, const AVPacket *packet, int64_t *capture_ns)
{
    if (!strstr(format->iformat->name, "v4l2") || packet->pts == AV_NOPTS_VALUE)
        return false;
    *capture_ns = packet_ns(format, packet);
    return *capture_ns >= EARLIEST_NS;
}

void stamps_note(struct stamps *stamps, const AVFormatContext *format, const AVPacket *packet)
{
    struct stamp *stamp = &stamps->entries[stamps->count++ % STAMP_COUNT];

    stamp->pts = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
    if (device_clock(format, packet, &stamp->capture_ns)) {
        stamp->source = CUFRAMES_CLOCK_DEVICE;
    } else if (camera_clock(format, packet, &stamp->capture_ns)) {
        stamp->source = CUFRAMES_CLOCK_CAMERA;
    } else {
        stamp->source = CUFRAMES_CLOCK_RECEIVED;
        stamp->capture_ns = realtime_ns();
    }
}

bool stamps_find(const struct stamps *stamps, const AVFrame *frame, struct stamp *found)
{
    int64_t pts = frame->pts != AV_NOPTS_VALUE ? frame->pts : frame->pkt_dts;
    unsigned known = stamps->count < STAMP_COUNT ? stamps->count : STAMP_COUNT;

    if (pts == AV_NOPTS_VALUE)
        return false;
    for (unsigned age = 1; age <= known; age++) {
        const struct stamp *stamp = &stamps->entries[(stamps->count - age) % STAMP_COUNT];

        if (stamp->pts == pts) {
            *found = *stamp;
            return true;
        }
    }
    return false;
}
