/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Capture times, and the way past the decoder. FFmpeg's RTP input attaches the sender's wall clock to each packet once the
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

/* libavcodec hands a number of its user from packet to frame; how changed with version 60. */
#if LIBAVCODEC_VERSION_MAJOR >= 60
void stamps_attach(AVCodecContext *codec)
{
    codec->flags |= AV_CODEC_FLAG_COPY_OPAQUE;
}

static void mark_packet(AVCodecContext *codec, AVPacket *packet, int64_t number)
{
    (void)codec;
    packet->opaque = (void *)(intptr_t)number;
}

static int64_t frame_mark(const AVFrame *frame)
{
    return (intptr_t)frame->opaque;
}

int64_t stamps_packet_mark(const AVCodecContext *codec, const AVPacket *packet)
{
    (void)codec;
    return (intptr_t)packet->opaque;
}

void stamps_mark_frame(AVFrame *frame, int64_t mark)
{
    frame->opaque = (void *)(intptr_t)mark;
}
#else
void stamps_attach(AVCodecContext *codec)
{
    codec->reordered_opaque = 0;
}

static void mark_packet(AVCodecContext *codec, AVPacket *packet, int64_t number)
{
    (void)packet;
    codec->reordered_opaque = number;
}

static int64_t frame_mark(const AVFrame *frame)
{
    return frame->reordered_opaque;
}

int64_t stamps_packet_mark(const AVCodecContext *codec, const AVPacket *packet)
{
    (void)packet;
    return codec->reordered_opaque;
}

void stamps_mark_frame(AVFrame *frame, int64_t mark)
{
    frame->reordered_opaque = mark;
}
#endif

struct stamp stamps_capture(const AVFormatContext *format, const AVPacket *packet, bool live)
{
    struct stamp stamp = {.source = CUFRAMES_CLOCK_UNKNOWN,
                          .capture_ns = CUFRAMES_NO_TIME,
                          .dts_ns = CUFRAMES_NO_TIME};

    if (!live)
        return stamp;
    if (device_clock(format, packet, &stamp.capture_ns)) {
        stamp.source = CUFRAMES_CLOCK_DEVICE;
    } else if (camera_clock(format, packet, &stamp.capture_ns)) {
        stamp.source = CUFRAMES_CLOCK_CAMERA;
    } else {
        stamp.source = CUFRAMES_CLOCK_RECEIVED;
        stamp.capture_ns = realtime_ns();
    }
    return stamp;
}

void stamps_note(struct stamps *stamps, AVCodecContext *codec, AVPacket *packet,
                 const struct stamp *stamp)
{
    stamps->entries[stamps->count % STAMP_COUNT] = *stamp;
    mark_packet(codec, packet, ++stamps->count); /* from 1: 0 is what no mark looks like */
}

bool stamps_find(const struct stamps *stamps, const AVFrame *frame, struct stamp *found)
{
    int64_t number = frame_mark(frame);

    if (number <= 0 || number > stamps->count || number <= stamps->count - STAMP_COUNT)
        return false;
    *found = stamps->entries[(number - 1) % STAMP_COUNT];
    return true;
}
