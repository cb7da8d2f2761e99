/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * FFmpeg's names for the pixel formats and colours of this library. Pure functions.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/frame.h>
#include <libavutil/pixfmt.h>

#include <cuframes/format.h>

/* The format whose bytes are those of `format`, AV_PIX_FMT_NONE for a stranger. */
enum AVPixelFormat pixfmt_to_av(cuframes_format_t format);

/* Whether a picture of `format` can be published as it is; writes which format that is. */
bool pixfmt_from_av(enum AVPixelFormat format, cuframes_format_t *found);

/* The format to convert `format` to with the least loss, one of this library's. */
cuframes_format_t pixfmt_nearest(enum AVPixelFormat format);

/* The same samples without "full range" in the format's name. */
enum AVPixelFormat pixfmt_plain(enum AVPixelFormat format);

/* What the samples of a decoded picture are, wherever its memory is. */
enum AVPixelFormat pixfmt_of_frame(const AVFrame *frame);

bool pixfmt_is_rgb(enum AVPixelFormat format);
/* YUVJ formats say "full range" in the format itself. */
bool pixfmt_is_full_range(enum AVPixelFormat format);

/* The colours a decoder says; 0 where it says nothing. */
cuframes_color_t pixfmt_color(enum AVPixelFormat format, enum AVColorSpace matrix,
                              enum AVColorPrimaries primaries,
                              enum AVColorTransferCharacteristic transfer, enum AVColorRange range);
cuframes_color_t pixfmt_frame_color(const AVFrame *frame);
