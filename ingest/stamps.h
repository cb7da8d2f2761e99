/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is known of a picture's packet, carried past the decoder to the frame by a number that
 * libavcodec hands through: when it was taken, and where the packet went. One thread.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include <cuframes/cuframes.h>

/* More than any decoder keeps back. */
#define STAMP_COUNT 128

struct stamp {
    int64_t capture_ns; /* CLOCK_REALTIME */
    cuframes_clock_source_t source;
    bool packet_known; /* the packet is in the channel's packet ring */
    uint64_t packet_seq;
    bool placed;       /* the packet is on the channel's time line */
    int64_t offset_ns; /* from the input's time to there */
    int64_t dts_ns;    /* its decoding time there */
};

struct stamps {
    struct stamp entries[STAMP_COUNT];
    int64_t count; /* since the last reset */
};

/* Forgets all: a new session's time stamps start over. */
void stamps_reset(struct stamps *stamps);

/* Prepares a decoder for it; before avcodec_open2(). */
void stamps_attach(AVCodecContext *codec);

/*
 * A stamp with the capture time of a packet that arrived just now: the camera's clock where RTCP
 * gives it, the capture driver's for devices, else now; unknown for a file.
 */
struct stamp stamps_capture(const AVFormatContext *format, const AVPacket *packet, bool live);

/* Notes a packet's stamp, and marks the packet for `codec`, which gets it next. */
void stamps_note(struct stamps *stamps, AVCodecContext *codec, AVPacket *packet,
                 const struct stamp *stamp);

/*
 * For decoders that do not hand the mark through: what stamps_note() wrote for the packet that
 * `codec` gets next, and how a frame gets it.
 */
int64_t stamps_packet_mark(const AVCodecContext *codec, const AVPacket *packet);
void stamps_mark_frame(AVFrame *frame, int64_t mark);

/* The stamp of a decoded frame's packet; false if it is not known. */
bool stamps_find(const struct stamps *stamps, const AVFrame *frame, struct stamp *found);
