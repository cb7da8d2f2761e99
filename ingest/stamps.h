/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * When a picture was taken, carried from its packet past the decoder to the frame by a number that
 * libavcodec hands through. One thread.
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
 * Notes the capture time of a packet that arrived just now from a live input, and marks the packet
 * for `codec`, which gets it next: the camera's clock where RTCP gives it, the capture driver's for
 * devices, else now.
 */
void stamps_note(struct stamps *stamps, const AVFormatContext *format, AVCodecContext *codec,
                 AVPacket *packet);

/*
 * For decoders that do not hand the mark through: what stamps_note() wrote for the packet that
 * `codec` gets next, and how a frame gets it.
 */
int64_t stamps_packet_mark(const AVCodecContext *codec, const AVPacket *packet);
void stamps_mark_frame(AVFrame *frame, int64_t mark);

/* The capture time of a decoded frame; false if it is not known. */
bool stamps_find(const struct stamps *stamps, const AVFrame *frame, struct stamp *found);
