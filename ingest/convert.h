/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures into slots that the decoder did not write itself: one plain copy, or one conversion of
 * size and format by libswscale. One thread.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/frame.h>
#include <libswscale/swscale.h>

#include <cuframes/cuframes.h>

#include "options.h"

/* What a conversion makes of a frame. */
struct conversion {
    int32_t width, height;
    cuframes_format_t format;
};

/*
 * What pictures of this kind are published as: what was asked for, else the nearest format that can
 * be shared. True if that takes a conversion.
 */
bool conversion_needed(const struct options *options, enum AVPixelFormat pix_fmt, int width,
                       int height, struct conversion *to);

struct converter {
    struct SwsContext *sws;
    /* What `sws` was made for. */
    struct conversion to;
    int source_width, source_height;
    enum AVPixelFormat source_format;
    enum AVColorSpace source_matrix;
    bool source_full;
};

void converter_fini(struct converter *converter);

/*
 * Writes `frame` (crop applied) into memory that begins at `start` and has this layout. A negative
 * AVERROR on failure.
 */
int converter_run(struct converter *converter, const AVFrame *frame, const struct conversion *to,
                  const cuframes_layout_t *layout, void *start);

/* The colours of what converter_run() makes. */
cuframes_color_t converter_color(const AVFrame *frame, cuframes_format_t to);

/* Whether the samples of `frame` have the full range. */
bool converter_reads_full_range(const AVFrame *frame);

/* The YUV side's matrix: the source's, or what its size suggests. */
enum AVColorSpace converter_matrix(const AVFrame *frame);

/* Copies `frame` (crop applied, its format the layout's) to the start of the layout's planes. */
void copy_picture(const AVFrame *frame, const cuframes_layout_t *layout, void *start);
