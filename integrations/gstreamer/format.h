/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures in GStreamer's words and in cuframes' words: formats, colours, layouts, caps. Pure
 * functions, any thread.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/video/video.h>

/* What both sides can express. */
#define GST_CUFRAMES_FORMATS                                                                       \
    "{ NV12, I420, RGB, BGR, RGBA, GRAY8, P010_10LE, Y444, BGRA, GRAY16_LE }"

/* And in GPU memory, where GStreamer's CUDA elements know fewer. */
#define GST_CUFRAMES_CUDA_FORMATS "{ NV12, I420, RGB, BGR, RGBA, P010_10LE, Y444, BGRA }"

/* Caps of a pad for pictures; with GPU memory where GStreamer's CUDA library is there. */
GstCaps *gst_cuframes_template_caps(void);

/* GST_VIDEO_FORMAT_UNKNOWN for a format that this plug-in does not know. */
GstVideoFormat gst_cuframes_format_to_gst(cuframes_format_t format);
gboolean gst_cuframes_format_from_gst(GstVideoFormat gst, cuframes_format_t *format);

/* What a picture looks like: all that caps say. */
typedef struct {
    cuframes_format_t format;
    gint width, height;
    gint fps_num, fps_den; /* 0/0 = unknown */
    gint par_num, par_den; /* 0/0 = unknown */
    cuframes_color_t color;
    gboolean cuda;       /* in GPU memory */
    gboolean interlaced; /* some frames, which say so themselves */
} GstCuframesPicture;

gboolean gst_cuframes_picture_equal(const GstCuframesPicture *a, const GstCuframesPicture *b);
/* NULL for a format that GStreamer does not know. Colours that are not said are left out. */
GstCaps *gst_cuframes_picture_to_caps(const GstCuframesPicture *picture);
/* `info` is that of the caps. FALSE for a format that cannot be shared. */
gboolean gst_cuframes_picture_from_caps(const GstCaps *caps, const GstVideoInfo *info,
                                        GstCuframesPicture *picture);

/* The layout of slots that hold pictures as `info` lays them out. */
gboolean gst_cuframes_layout_from_info(const GstVideoInfo *info, cuframes_layout_t *layout);
/* Widens the rows to what GPUs read pictures with: textures need it. */
gboolean gst_cuframes_info_align_for_gpu(GstVideoInfo *info);
