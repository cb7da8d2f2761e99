/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "format.h"

#include "gstcuda.h"

static const struct {
    cuframes_format_t format;
    GstVideoFormat gst;
} formats[] = {
    {CUFRAMES_FORMAT_NV12, GST_VIDEO_FORMAT_NV12},
    {CUFRAMES_FORMAT_YUV420P, GST_VIDEO_FORMAT_I420},
    {CUFRAMES_FORMAT_RGB, GST_VIDEO_FORMAT_RGB},
    {CUFRAMES_FORMAT_BGR, GST_VIDEO_FORMAT_BGR},
    {CUFRAMES_FORMAT_RGBA, GST_VIDEO_FORMAT_RGBA},
    {CUFRAMES_FORMAT_GRAYSCALE, GST_VIDEO_FORMAT_GRAY8},
    {CUFRAMES_FORMAT_P010, GST_VIDEO_FORMAT_P010_10LE},
    {CUFRAMES_FORMAT_YUV444P, GST_VIDEO_FORMAT_Y444},
    {CUFRAMES_FORMAT_BGRA, GST_VIDEO_FORMAT_BGRA},
    {CUFRAMES_FORMAT_GRAY16, GST_VIDEO_FORMAT_GRAY16_LE},
};

/* H.273's code point for "unspecified", where cuframes has 0. */
#define H273_UNSPECIFIED 2

/* What the driver's own allocations of pictures have, and no GPU asks for more. */
#define GPU_ROW_ALIGNMENT 512

GstCaps *gst_cuframes_template_caps(void)
{
    GstCaps *caps = gst_caps_from_string(GST_VIDEO_CAPS_MAKE(GST_CUFRAMES_FORMATS));

    if (gst_cuframes_cuda_library())
        gst_caps_append(caps, gst_caps_from_string(GST_VIDEO_CAPS_MAKE_WITH_FEATURES(
                                  GST_CUFRAMES_CUDA_FEATURE, GST_CUFRAMES_CUDA_FORMATS)));
    return caps;
}

GstVideoFormat gst_cuframes_format_to_gst(cuframes_format_t format)
{
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++)
        if (formats[i].format == format)
            return formats[i].gst;
    return GST_VIDEO_FORMAT_UNKNOWN;
}

gboolean gst_cuframes_format_from_gst(GstVideoFormat gst, cuframes_format_t *format)
{
    for (gsize i = 0; i < G_N_ELEMENTS(formats); i++) {
        if (formats[i].gst == gst) {
            *format = formats[i].format;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean color_equal(const cuframes_color_t *a, const cuframes_color_t *b)
{
    return a->matrix == b->matrix && a->primaries == b->primaries && a->transfer == b->transfer &&
           a->range == b->range;
}

gboolean gst_cuframes_picture_equal(const GstCuframesPicture *a, const GstCuframesPicture *b)
{
    return a->format == b->format && a->width == b->width && a->height == b->height &&
           a->fps_num == b->fps_num && a->fps_den == b->fps_den && a->par_num == b->par_num &&
           a->par_den == b->par_den && a->cuda == b->cuda && a->interlaced == b->interlaced &&
           color_equal(&a->color, &b->color);
}

static gboolean color_known(const cuframes_color_t *color)
{
    return color->matrix || color->primaries || color->transfer || color->range;
}

/* What is not said keeps GStreamer's default for the format. */
static void color_to_gst(const cuframes_color_t *color, GstVideoColorimetry *gst)
{
    if (color->matrix && color->matrix != H273_UNSPECIFIED)
        gst->matrix = gst_video_color_matrix_from_iso(color->matrix);
    if (color->primaries && color->primaries != H273_UNSPECIFIED)
        gst->primaries = gst_video_color_primaries_from_iso(color->primaries);
    if (color->transfer && color->transfer != H273_UNSPECIFIED)
        gst->transfer = gst_video_transfer_function_from_iso(color->transfer);
    if (color->range == CUFRAMES_RANGE_FULL)
        gst->range = GST_VIDEO_COLOR_RANGE_0_255;
    else if (color->range == CUFRAMES_RANGE_LIMITED)
        gst->range = GST_VIDEO_COLOR_RANGE_16_235;
}

static guint8 code_point(guint iso)
{
    return iso == H273_UNSPECIFIED ? 0 : (guint8)iso;
}

static cuframes_color_t color_from_gst(const GstVideoColorimetry *gst)
{
    cuframes_color_t color = {
        .matrix = code_point(gst_video_color_matrix_to_iso(gst->matrix)),
        .primaries = code_point(gst_video_color_primaries_to_iso(gst->primaries)),
        .transfer = code_point(gst_video_transfer_function_to_iso(gst->transfer)),
    };

    if (gst->range == GST_VIDEO_COLOR_RANGE_0_255)
        color.range = CUFRAMES_RANGE_FULL;
    else if (gst->range == GST_VIDEO_COLOR_RANGE_16_235)
        color.range = CUFRAMES_RANGE_LIMITED;
    return color;
}

GstCaps *gst_cuframes_picture_to_caps(const GstCuframesPicture *picture)
{
    GstVideoFormat format = gst_cuframes_format_to_gst(picture->format);
    GstVideoInfo info;
    GstCaps *caps;

    gst_video_info_init(&info);
    if (format == GST_VIDEO_FORMAT_UNKNOWN ||
        !gst_video_info_set_format(&info, format, (guint)picture->width, (guint)picture->height))
        return NULL;
    color_to_gst(&picture->color, &info.colorimetry);
    if (picture->fps_num > 0 && picture->fps_den > 0) {
        info.fps_n = picture->fps_num;
        info.fps_d = picture->fps_den;
    }
    if (picture->par_num > 0 && picture->par_den > 0) {
        info.par_n = picture->par_num;
        info.par_d = picture->par_den;
    }
    if (picture->interlaced)
        info.interlace_mode = GST_VIDEO_INTERLACE_MODE_MIXED;
    caps = gst_video_info_to_caps(&info);
    /* Where chroma samples lie is not part of a channel's description. */
    gst_structure_remove_field(gst_caps_get_structure(caps, 0), "chroma-site");
    if (!color_known(&picture->color))
        gst_structure_remove_field(gst_caps_get_structure(caps, 0), "colorimetry");
    if (picture->cuda)
        gst_caps_set_features_simple(caps, gst_caps_features_new(GST_CUFRAMES_CUDA_FEATURE, NULL));
    return caps;
}

/* Not fields in buffers of their own. */
static gboolean is_whole_frames(const GstVideoInfo *info)
{
    switch (GST_VIDEO_INFO_INTERLACE_MODE(info)) {
    case GST_VIDEO_INTERLACE_MODE_PROGRESSIVE:
    case GST_VIDEO_INTERLACE_MODE_INTERLEAVED:
    case GST_VIDEO_INTERLACE_MODE_MIXED:
        return TRUE;
    default:
        return FALSE;
    }
}

gboolean gst_cuframes_picture_from_caps(const GstCaps *caps, const GstVideoInfo *info,
                                        GstCuframesPicture *picture)
{
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    GstCuframesPicture made = {.width = GST_VIDEO_INFO_WIDTH(info),
                               .height = GST_VIDEO_INFO_HEIGHT(info),
                               .cuda = gst_caps_features_contains(gst_caps_get_features(caps, 0),
                                                                  GST_CUFRAMES_CUDA_FEATURE)};

    if (!gst_cuframes_format_from_gst(GST_VIDEO_INFO_FORMAT(info), &made.format) ||
        !is_whole_frames(info))
        return FALSE;
    made.interlaced = GST_VIDEO_INFO_IS_INTERLACED(info);
    if (GST_VIDEO_INFO_FPS_N(info) > 0) {
        made.fps_num = GST_VIDEO_INFO_FPS_N(info);
        made.fps_den = GST_VIDEO_INFO_FPS_D(info);
    }
    if (gst_structure_has_field(structure, "pixel-aspect-ratio")) {
        made.par_num = GST_VIDEO_INFO_PAR_N(info);
        made.par_den = GST_VIDEO_INFO_PAR_D(info);
    }
    /* Without the field the info has a guess. */
    if (gst_structure_has_field(structure, "colorimetry"))
        made.color = color_from_gst(&info->colorimetry);
    *picture = made;
    return TRUE;
}

gboolean gst_cuframes_layout_from_info(const GstVideoInfo *info, cuframes_layout_t *layout)
{
    cuframes_layout_t made = {.coded_width = GST_VIDEO_INFO_WIDTH(info),
                              .coded_height = GST_VIDEO_INFO_HEIGHT(info),
                              .plane_count = GST_VIDEO_INFO_N_PLANES(info),
                              .size = GST_VIDEO_INFO_SIZE(info)};
    cuframes_format_t format;

    if (!gst_cuframes_format_from_gst(GST_VIDEO_INFO_FORMAT(info), &format))
        return FALSE;
    for (guint i = 0; i < made.plane_count; i++) {
        cuframes_plane_layout_t *plane = &made.planes[i];
        guint32 row_bytes, rows;

        if (cuframes_format_plane_size(format, (gint)i, made.coded_width, made.coded_height,
                                       &row_bytes, &rows))
            return FALSE;
        plane->offset = GST_VIDEO_INFO_PLANE_OFFSET(info, i);
        plane->pitch = (guint32)GST_VIDEO_INFO_PLANE_STRIDE(info, i);
        plane->rows = rows;
        /* Padding at the left of the last plane's rows lies before its first pixel. */
        made.size = MAX(made.size, plane->offset + (guint64)plane->pitch * rows);
    }
    *layout = made;
    return TRUE;
}

gboolean gst_cuframes_info_align_for_gpu(GstVideoInfo *info)
{
    GstVideoAlignment alignment;

    gst_video_alignment_reset(&alignment);
    for (guint i = 0; i < GST_VIDEO_INFO_N_PLANES(info); i++)
        alignment.stride_align[i] = GPU_ROW_ALIGNMENT - 1;
    return gst_video_info_align(info, &alignment);
}
