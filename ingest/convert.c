/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libswscale, told about colours: it would take everything for BT.601 in limited range.
 */
#include "convert.h"

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "pixfmt.h"

/* Pictures larger than standard definition are BT.709 where nobody says, as players take it. */
#define SD_MAX_WIDTH  1279
#define SD_MAX_HEIGHT 576

bool conversion_needed(const struct options *options, enum AVPixelFormat pix_fmt, int width,
                       int height, struct conversion *to)
{
    cuframes_format_t as_is = CUFRAMES_FORMAT_COUNT;
    bool known = pixfmt_from_av(pix_fmt, &as_is);

    to->width = options->width ? options->width : width;
    to->height = options->height ? options->height : height;
    if (options->format_given)
        to->format = options->format;
    else
        to->format = known ? as_is : pixfmt_nearest(pix_fmt);
    return to->width != width || to->height != height || to->format != as_is;
}

void converter_fini(struct converter *converter)
{
    sws_freeContext(converter->sws);
    converter->sws = NULL;
}

bool converter_reads_full_range(const AVFrame *frame)
{
    return frame->color_range == AVCOL_RANGE_JPEG || pixfmt_is_full_range(frame->format) ||
           pixfmt_is_rgb(frame->format);
}

enum AVColorSpace converter_matrix(const AVFrame *frame)
{
    bool said = frame->colorspace != AVCOL_SPC_UNSPECIFIED && frame->colorspace != AVCOL_SPC_RGB;

    if (said && !pixfmt_is_rgb(frame->format))
        return frame->colorspace;
    return frame->width > SD_MAX_WIDTH || frame->height > SD_MAX_HEIGHT ? AVCOL_SPC_BT709
                                                                        : AVCOL_SPC_SMPTE170M;
}

/* Full range stays full range; what comes from RGB becomes limited, as video is. */
static bool target_is_full(const AVFrame *frame, enum AVPixelFormat to)
{
    if (pixfmt_is_rgb(to))
        return true;
    return converter_reads_full_range(frame) && !pixfmt_is_rgb(frame->format);
}

cuframes_color_t converter_color(const AVFrame *frame, cuframes_format_t to)
{
    enum AVPixelFormat pix_fmt = pixfmt_to_av(to);
    cuframes_color_t color = pixfmt_frame_color(frame);

    color.range = target_is_full(frame, pix_fmt) ? CUFRAMES_RANGE_FULL : CUFRAMES_RANGE_LIMITED;
    if (pixfmt_is_rgb(pix_fmt))
        color.matrix = 0;
    else if (pixfmt_is_rgb(frame->format))
        color.matrix = (uint8_t)converter_matrix(frame);
    return color;
}

static bool is_prepared(const struct converter *c, const AVFrame *frame,
                        const struct conversion *to)
{
    return c->sws && c->to.width == to->width && c->to.height == to->height &&
           c->to.format == to->format && c->source_width == frame->width &&
           c->source_height == frame->height && c->source_format == frame->format &&
           c->source_matrix == frame->colorspace &&
           c->source_full == converter_reads_full_range(frame);
}

static int prepare(struct converter *c, const AVFrame *frame, const struct conversion *to)
{
    enum AVPixelFormat target = pixfmt_to_av(to->format);
    const int *matrix = sws_getCoefficients((int)converter_matrix(frame));

    if (is_prepared(c, frame, to))
        return 0;
    converter_fini(c);
    c->sws = sws_getContext(frame->width, frame->height, pixfmt_plain(frame->format), to->width,
                            to->height, target, SWS_BICUBIC, NULL, NULL, NULL);
    if (!c->sws)
        return AVERROR(EINVAL);
    sws_setColorspaceDetails(c->sws, matrix, converter_reads_full_range(frame), matrix,
                             target_is_full(frame, target), 0, 1 << 16, 1 << 16);
    c->to = *to;
    c->source_width = frame->width;
    c->source_height = frame->height;
    c->source_format = frame->format;
    c->source_matrix = frame->colorspace;
    c->source_full = converter_reads_full_range(frame);
    return 0;
}

/* The planes of a picture of this layout at `start`. */
static void layout_planes(const cuframes_layout_t *layout, uint8_t *start, uint8_t *planes[4],
                          int pitches[4])
{
    for (uint32_t i = 0; i < 4; i++) {
        bool there = i < layout->plane_count;

        planes[i] = there ? start + layout->planes[i].offset : NULL;
        pitches[i] = there ? (int)layout->planes[i].pitch : 0;
    }
}

int converter_run(struct converter *converter, const AVFrame *frame, const struct conversion *to,
                  const cuframes_layout_t *layout, void *start)
{
    int err = prepare(converter, frame, to);
    uint8_t *planes[4];
    int pitches[4];

    if (err < 0)
        return err;
    layout_planes(layout, start, planes, pitches);
    err = sws_scale(converter->sws, (const uint8_t *const *)frame->data, frame->linesize, 0,
                    frame->height, planes, pitches);
    return err < 0 ? err : 0;
}

void copy_picture(const AVFrame *frame, const cuframes_layout_t *layout, void *start)
{
    uint8_t *planes[4];
    int pitches[4];

    layout_planes(layout, start, planes, pitches);
    av_image_copy(planes, pitches, (const uint8_t **)frame->data, frame->linesize, frame->format,
                  frame->width, frame->height);
}
