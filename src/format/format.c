/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formats and plane geometry. Everything follows from one table; all functions are pure.
 *
 * A plane's row is made of units: one sample, or the samples of one pixel that lie together (RGB,
 * the Cb Cr pair). A unit covers 1 or 2 pixels each way; odd sizes round up, so that the last
 * column and row have chroma too.
 */
#include "format/format.h"

#include <strings.h>

#include "base/error.h"

#define FOURCC(a, b, c, d)                                                                         \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)

/* Pitches of 4096-byte alignment are what the strictest known consumer of buffers wants. */
#define MAX_ALIGNMENT 4096

struct plane {
    uint8_t unit_bytes;
    uint8_t shift; /* a unit covers 1 << shift pixels in both directions */
};

struct format {
    const char *name;
    uint32_t fourcc;
    uint8_t planes;
    uint8_t sample_bytes;
    struct plane plane[CUFRAMES_MAX_PLANES];
};

/* clang-format off */
static const struct format formats[CUFRAMES_FORMAT_COUNT] = {
    [CUFRAMES_FORMAT_NV12]      = {"nv12",      FOURCC('N', 'V', '1', '2'), 2, 1, {{1, 0}, {2, 1}}},
    [CUFRAMES_FORMAT_YUV420P]   = {"yuv420p",   FOURCC('Y', 'U', '1', '2'), 3, 1, {{1, 0}, {1, 1}, {1, 1}}},
    [CUFRAMES_FORMAT_RGB]       = {"rgb",       FOURCC('B', 'G', '2', '4'), 1, 1, {{3, 0}}},
    [CUFRAMES_FORMAT_BGR]       = {"bgr",       FOURCC('R', 'G', '2', '4'), 1, 1, {{3, 0}}},
    [CUFRAMES_FORMAT_RGBA]      = {"rgba",      FOURCC('A', 'B', '2', '4'), 1, 1, {{4, 0}}},
    [CUFRAMES_FORMAT_GRAYSCALE] = {"grayscale", FOURCC('R', '8', ' ', ' '), 1, 1, {{1, 0}}},
    [CUFRAMES_FORMAT_P010]      = {"p010",      FOURCC('P', '0', '1', '0'), 2, 2, {{2, 0}, {4, 1}}},
    [CUFRAMES_FORMAT_YUV444P]   = {"yuv444p",   FOURCC('Y', 'U', '2', '4'), 3, 1, {{1, 0}, {1, 0}, {1, 0}}},
    [CUFRAMES_FORMAT_BGRA]      = {"bgra",      FOURCC('A', 'R', '2', '4'), 1, 1, {{4, 0}}},
    [CUFRAMES_FORMAT_GRAY16]    = {"gray16",    FOURCC('R', '1', '6', ' '), 1, 2, {{2, 0}}},
};
/* clang-format on */

bool cf_format_known(cuframes_format_t format)
{
    return (unsigned)format < CUFRAMES_FORMAT_COUNT;
}

static int unknown_format(cuframes_format_t format)
{
    return cf_fail(CUFRAMES_ERR_FORMAT, "format %d is not known (this version knows 0 to %d)",
                   (int)format, CUFRAMES_FORMAT_COUNT - 1);
}

static bool dimension_ok(int32_t pixels)
{
    return pixels >= 1 && pixels <= CUFRAMES_MAX_DIMENSION;
}

static int check_picture(cuframes_format_t format, int32_t width, int32_t height)
{
    if (!cf_format_known(format))
        return unknown_format(format);
    if (!dimension_ok(width) || !dimension_ok(height))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a picture of %dx%d cannot be: width and height must be 1 to %d", width,
                       height, CUFRAMES_MAX_DIMENSION);
    return CUFRAMES_OK;
}

/* Units that cover `pixels`, rounded up. */
static uint32_t units(struct plane plane, int32_t pixels)
{
    return ((uint32_t)pixels + (1U << plane.shift) - 1) >> plane.shift;
}

static uint32_t plane_row_bytes(struct plane plane, int32_t width)
{
    return units(plane, width) * plane.unit_bytes;
}

CUFRAMES_API const char *cuframes_format_name(cuframes_format_t format)
{
    return cf_format_known(format) ? formats[format].name : NULL;
}

CUFRAMES_API int cuframes_format_from_name(const char *name, cuframes_format_t *format)
{
    if (!name || !format)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "cuframes_format_from_name: an argument is NULL");
    for (int i = 0; i < CUFRAMES_FORMAT_COUNT; i++) {
        if (strcasecmp(name, formats[i].name) == 0) {
            *format = (cuframes_format_t)i;
            return CUFRAMES_OK;
        }
    }
    return cf_fail(CUFRAMES_ERR_FORMAT,
                   "there is no format \"%s\"; known are nv12, yuv420p, rgb, bgr, rgba, grayscale, "
                   "p010, yuv444p, bgra, gray16",
                   name);
}

CUFRAMES_API uint32_t cuframes_format_fourcc(cuframes_format_t format)
{
    return cf_format_known(format) ? formats[format].fourcc : 0;
}

CUFRAMES_API int cuframes_format_from_fourcc(uint32_t fourcc, cuframes_format_t *format)
{
    if (!format)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "cuframes_format_from_fourcc: format is NULL");
    for (int i = 0; i < CUFRAMES_FORMAT_COUNT; i++) {
        if (formats[i].fourcc == fourcc) {
            *format = (cuframes_format_t)i;
            return CUFRAMES_OK;
        }
    }
    return cf_fail(CUFRAMES_ERR_FORMAT, "DRM fourcc %#010x is no format of this version", fourcc);
}

CUFRAMES_API int32_t cuframes_format_planes(cuframes_format_t format)
{
    return cf_format_known(format) ? formats[format].planes : 0;
}

CUFRAMES_API int cuframes_format_plane_size(cuframes_format_t format, int32_t plane, int32_t width,
                                            int32_t height, uint32_t *row_bytes, uint32_t *rows)
{
    int err = check_picture(format, width, height);
    struct plane p;

    if (err)
        return err;
    if (plane < 0 || plane >= formats[format].planes)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%s has %d planes; there is no plane %d",
                       formats[format].name, formats[format].planes, plane);
    p = formats[format].plane[plane];
    if (row_bytes)
        *row_bytes = plane_row_bytes(p, width);
    if (rows)
        *rows = units(p, height);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_layout_init(cuframes_layout_t *layout, cuframes_format_t format,
                                      int32_t width, int32_t height, uint32_t alignment)
{
    uint32_t mask = alignment ? alignment - 1 : 0;
    int err = check_picture(format, width, height);
    cuframes_layout_t made;

    if (err)
        return err;
    if (!layout)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "cuframes_layout_init: layout is NULL");
    if (alignment > MAX_ALIGNMENT || (alignment & mask) != 0)
        return cf_fail(
            CUFRAMES_ERR_INVALID_ARG,
            "an alignment of %u bytes cannot be: it must be a power of two up to %d, or 0",
            alignment, MAX_ALIGNMENT);
    made = (cuframes_layout_t){
        .coded_width = width, .coded_height = height, .plane_count = formats[format].planes};
    for (uint32_t i = 0; i < made.plane_count; i++) {
        struct plane p = formats[format].plane[i];
        cuframes_plane_layout_t *plane = &made.planes[i];

        plane->offset = made.size;
        plane->pitch = (plane_row_bytes(p, width) + mask) & ~mask;
        plane->rows = units(p, height);
        made.size += (uint64_t)plane->pitch * plane->rows;
    }
    *layout = made;
    return CUFRAMES_OK;
}

CUFRAMES_API size_t cuframes_calc_frame_size(cuframes_format_t format, int32_t width,
                                             int32_t height, int32_t *pitch_y, int32_t *pitch_uv)
{
    cuframes_layout_t layout;

    if (cuframes_layout_init(&layout, format, width, height, 0) != CUFRAMES_OK ||
        layout.size > SIZE_MAX)
        return 0;
    if (pitch_y)
        *pitch_y = (int32_t)layout.planes[0].pitch;
    if (pitch_uv)
        *pitch_uv = (int32_t)layout.planes[1].pitch;
    return (size_t)layout.size;
}

static int check_plane(const cuframes_layout_t *layout, const struct format *format, uint32_t index)
{
    const cuframes_plane_layout_t *plane = &layout->planes[index];
    struct plane p = format->plane[index];
    uint32_t row_bytes = plane_row_bytes(p, layout->coded_width);
    uint64_t bytes = (uint64_t)plane->pitch * plane->rows;

    if (plane->pitch < row_bytes || plane->rows < units(p, layout->coded_height))
        return cf_fail(CUFRAMES_ERR_FORMAT,
                       "plane %u has %u rows of %u bytes; %s of %dx%d needs %u rows of %u", index,
                       plane->rows, plane->pitch, format->name, layout->coded_width,
                       layout->coded_height, units(p, layout->coded_height), row_bytes);
    if (bytes > layout->size || plane->offset > layout->size - bytes)
        return cf_fail(CUFRAMES_ERR_FORMAT,
                       "plane %u (%llu bytes at %llu) does not lie inside the frame's %llu bytes",
                       index, (unsigned long long)bytes, (unsigned long long)plane->offset,
                       (unsigned long long)layout->size);
    if (plane->pitch % format->sample_bytes || plane->offset % format->sample_bytes)
        return cf_fail(CUFRAMES_ERR_FORMAT,
                       "plane %u: offset and pitch must be multiples of the %u bytes of a sample",
                       index, (unsigned)format->sample_bytes);
    return CUFRAMES_OK;
}

static int check_unused(const cuframes_layout_t *layout)
{
    for (uint32_t i = layout->plane_count; i < CUFRAMES_MAX_PLANES; i++) {
        const cuframes_plane_layout_t *plane = &layout->planes[i];

        if (plane->offset || plane->pitch || plane->rows)
            return cf_fail(CUFRAMES_ERR_FORMAT, "the layout describes a plane %u; it has %u", i,
                           layout->plane_count);
    }
    if (layout->_reserved)
        return cf_fail(CUFRAMES_ERR_FORMAT, "a reserved field of the layout is not 0");
    return CUFRAMES_OK;
}

int cf_layout_check(const cuframes_layout_t *layout, cuframes_format_t format, int32_t width,
                    int32_t height)
{
    int err = check_picture(format, width, height);

    if (err)
        return CUFRAMES_ERR_FORMAT;
    if (layout->coded_width < width || layout->coded_height < height ||
        layout->coded_width > CF_MAX_CODED_DIMENSION ||
        layout->coded_height > CF_MAX_CODED_DIMENSION)
        return cf_fail(
            CUFRAMES_ERR_FORMAT,
            "a coded size of %dx%d does not fit a picture of %dx%d (at most %d each way)",
            layout->coded_width, layout->coded_height, width, height, CF_MAX_CODED_DIMENSION);
    if (layout->plane_count != formats[format].planes)
        return cf_fail(CUFRAMES_ERR_FORMAT, "the layout has %u planes; %s has %u",
                       layout->plane_count, formats[format].name, (unsigned)formats[format].planes);
    if (layout->size > CF_MAX_FRAME_SIZE)
        return cf_fail(CUFRAMES_ERR_FORMAT,
                       "a frame of %llu bytes is larger than the limit of %llu",
                       (unsigned long long)layout->size, (unsigned long long)CF_MAX_FRAME_SIZE);
    for (uint32_t i = 0; i < layout->plane_count; i++) {
        err = check_plane(layout, &formats[format], i);
        if (err)
            return err;
    }
    return check_unused(layout);
}
