/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elementary streams between FFmpeg's words and the library's. Pure functions.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/codec_par.h>
#include <libavformat/avformat.h>

#include <cuframes/cuframes.h>

/* FFmpeg's "unknown" for both profile and level, under one name in all its versions. */
#define PROFILE_UNKNOWN (-99)

/*
 * Describes `av`, a stream of the input `format`. Its extradata is left out: how long that has to
 * live is the caller's affair.
 */
void stream_from_av(AVFormatContext *format, AVStream *av, cuframes_stream_t *stream);

/* How packets of a codec with this extradata, or else this first packet, are put together. */
cuframes_packaging_t packaging_of(enum AVCodecID codec_id, const uint8_t *extradata, size_t size,
                                  const uint8_t *packet, size_t packet_size);

/*
 * The other way: parameters for a muxer or a decoder, extradata copied. AVERROR(ENOMEM), or
 * AVERROR_DECODER_NOT_FOUND for a codec that this FFmpeg has not heard of.
 */
int stream_to_av(const cuframes_stream_t *stream, AVCodecParameters *parameters);

/* The codec as this FFmpeg numbers it: by name where its numbers are others. */
enum AVCodecID stream_codec_id(const cuframes_stream_t *stream);

/* Seconds of a tick of the stream's own time stamps. */
AVRational stream_time_base(const cuframes_stream_t *stream);
