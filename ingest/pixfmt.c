/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pixel formats and colours. The colour numbers of both sides are the code points of ITU-T H.273,
 * except that 2 ("unspecified") is 0 here, and so is 0 of the matrix (RGB), which the format says.
 */
#include "pixfmt.h"

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/macros.h>
#include <libavutil/pixdesc.h>

static const struct {
    enum AVPixelFormat av;
    cuframes_format_t format;
} formats[] = {
    {AV_PIX_FMT_NV12, CUFRAMES_FORMAT_NV12},        {AV_PIX_FMT_YUV420P, CUFRAMES_FORMAT_YUV420P},
    {AV_PIX_FMT_YUVJ420P, CUFRAMES_FORMAT_YUV420P}, {AV_PIX_FMT_RGB24, CUFRAMES_FORMAT_RGB},
    {AV_PIX_FMT_BGR24, CUFRAMES_FORMAT_BGR},        {AV_PIX_FMT_RGBA, CUFRAMES_FORMAT_RGBA},
    {AV_PIX_FMT_GRAY8, CUFRAMES_FORMAT_GRAYSCALE},  {AV_PIX_FMT_P010LE, CUFRAMES_FORMAT_P010},
    {AV_PIX_FMT_YUV444P, CUFRAMES_FORMAT_YUV444P},  {AV_PIX_FMT_YUVJ444P, CUFRAMES_FORMAT_YUV444P},
    {AV_PIX_FMT_BGRA, CUFRAMES_FORMAT_BGRA},        {AV_PIX_FMT_GRAY16LE, CUFRAMES_FORMAT_GRAY16},
};

enum AVPixelFormat pixfmt_to_av(cuframes_format_t format)
{
    for (size_t i = 0; i < FF_ARRAY_ELEMS(formats); i++) {
        if (formats[i].format == format)
            return formats[i].av;
    }
    return AV_PIX_FMT_NONE;
}

bool pixfmt_from_av(enum AVPixelFormat format, cuframes_format_t *found)
{
    for (size_t i = 0; i < FF_ARRAY_ELEMS(formats); i++) {
        if (formats[i].av == format) {
            *found = formats[i].format;
            return true;
        }
    }
    return false;
}

enum AVPixelFormat pixfmt_plain(enum AVPixelFormat format)
{
    switch (format) {
    case AV_PIX_FMT_YUVJ420P:
        return AV_PIX_FMT_YUV420P;
    case AV_PIX_FMT_YUVJ422P:
        return AV_PIX_FMT_YUV422P;
    case AV_PIX_FMT_YUVJ444P:
        return AV_PIX_FMT_YUV444P;
    case AV_PIX_FMT_YUVJ440P:
        return AV_PIX_FMT_YUV440P;
    case AV_PIX_FMT_YUVJ411P:
        return AV_PIX_FMT_YUV411P;
    default:
        return format;
    }
}

bool pixfmt_is_full_range(enum AVPixelFormat format)
{
    return pixfmt_plain(format) != format;
}

cuframes_format_t pixfmt_nearest(enum AVPixelFormat format)
{
    enum AVPixelFormat list[FF_ARRAY_ELEMS(formats) + 1];
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    bool alpha = desc && (desc->flags & AV_PIX_FMT_FLAG_ALPHA);
    cuframes_format_t found = CUFRAMES_FORMAT_YUV420P;
    size_t count = 0;

    for (size_t i = 0; i < FF_ARRAY_ELEMS(formats); i++) {
        if (!pixfmt_is_full_range(formats[i].av))
            list[count++] = formats[i].av;
    }
    list[count] = AV_PIX_FMT_NONE;
    pixfmt_from_av(avcodec_find_best_pix_fmt_of_list(list, pixfmt_plain(format), alpha, NULL),
                   &found);
    return found;
}

enum AVPixelFormat pixfmt_of_frame(const AVFrame *frame)
{
    if (frame->hw_frames_ctx)
        return ((const AVHWFramesContext *)frame->hw_frames_ctx->data)->sw_format;
    return frame->format;
}

bool pixfmt_is_rgb(enum AVPixelFormat format)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);

    return desc && (desc->flags & (AV_PIX_FMT_FLAG_RGB | AV_PIX_FMT_FLAG_PAL));
}

static uint8_t code_point(int value)
{
    return value > 2 && value <= UINT8_MAX ? (uint8_t)value : value == 1;
}

cuframes_color_t pixfmt_color(enum AVPixelFormat format, enum AVColorSpace matrix,
                              enum AVColorPrimaries primaries,
                              enum AVColorTransferCharacteristic transfer, enum AVColorRange range)
{
    cuframes_color_t color = {
        .matrix = code_point(matrix),
        .primaries = code_point(primaries),
        .transfer = code_point(transfer),
    };

    if (range == AVCOL_RANGE_JPEG || pixfmt_is_full_range(format))
        color.range = CUFRAMES_RANGE_FULL;
    else if (range == AVCOL_RANGE_MPEG)
        color.range = CUFRAMES_RANGE_LIMITED;
    return color;
}

cuframes_color_t pixfmt_frame_color(const AVFrame *frame)
{
    return pixfmt_color(frame->format, frame->colorspace, frame->color_primaries, frame->color_trc,
                        frame->color_range);
}
