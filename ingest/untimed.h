/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Inputs whose packets have no times: raw H.264 and HEVC, from a file, a pipe or a connection.
 * Their packets get times as the frame rate has it: the one that the user gives, else the stream's
 * own, else a stated guess. The first packets are read ahead of time, because they tell how. One
 * thread.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>

#include "counted_times.h"

/* Packets that are read ahead: more than any encoder reorders, twice. */
#define UNTIMED_AHEAD 32

struct untimed {
    bool active;      /* packets get their times here */
    bool guessed;     /* nothing told the rate */
    AVRational rate;  /* pictures a second */
    AVRational ticks; /* the stream's time base */
    struct counted_times times;
    AVCodecParserContext *parser; /* NULL = this codec is not looked into */
    AVCodecContext *codec;        /* the parser's */
    AVPacket *ahead[UNTIMED_AHEAD];
    int count, given; /* of those */
};

/* Looks at an input whose only stream is `video`. Whether packets are to be read ahead is what
 * untimed_wants_more() says then. AVERROR(ENOMEM) is the one failure. */
int untimed_open(struct untimed *untimed, const AVFormatContext *format, const AVStream *video);
void untimed_close(struct untimed *untimed);

bool untimed_wants_more(const struct untimed *untimed, const AVStream *video);
/* Keeps a packet, which is moved. */
int untimed_keep(struct untimed *untimed, AVPacket *packet);
/*
 * What there is to know is read. `rate` is what the user says, or 0/1. The stream is given its rate
 * where its packets have no times.
 */
void untimed_begin(struct untimed *untimed, AVStream *video, AVRational rate);

/* Whether FFmpeg counts the times of an input itself, at a rate that `video` cannot state: raw JPEG
 * pictures, raw AV1, pixels, numbered pictures. It is video->avg_frame_rate, the user's or a guess. */
bool untimed_by_demuxer(const AVFormatContext *format, const AVStream *video);

/* The next packet that was read ahead; false if there is none. */
bool untimed_take(struct untimed *untimed, AVPacket *packet);
/* Gives a packet its times, if it has none. Once for each, in their order. */
void untimed_stamp(struct untimed *untimed, AVPacket *packet);
