/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file format.h
 * Pixel formats, where the planes of a picture are, and how to read its colours.
 *
 * All functions here are pure: any thread, no state.
 */
#ifndef CUFRAMES_FORMAT_H
#define CUFRAMES_FORMAT_H

#include <cuframes/base.h>

CUFRAMES_BEGIN_DECLS

/** Pixel formats. Multi-byte samples are little-endian. */
typedef enum cuframes_format {
    CUFRAMES_FORMAT_NV12 = 0, /**< Y, then interleaved Cb Cr at half width and height; DRM NV12 */
    CUFRAMES_FORMAT_YUV420P = 1,   /**< Y, Cb, Cr; chroma at half width and height; DRM YU12 */
    CUFRAMES_FORMAT_RGB = 2,       /**< bytes R G B; DRM BG24 */
    CUFRAMES_FORMAT_BGR = 3,       /**< bytes B G R; DRM RG24 */
    CUFRAMES_FORMAT_RGBA = 4,      /**< bytes R G B A; DRM AB24 */
    CUFRAMES_FORMAT_GRAYSCALE = 5, /**< 8 bits a pixel; DRM R8 */
    CUFRAMES_FORMAT_P010 = 6, /**< as NV12 with 16-bit samples, 10 used bits at the top; DRM P010 */
    CUFRAMES_FORMAT_YUV444P = 7, /**< Y, Cb, Cr at full size; DRM YU24 */
    CUFRAMES_FORMAT_BGRA = 8,    /**< bytes B G R A; DRM AR24 */
    CUFRAMES_FORMAT_GRAY16 = 9,  /**< 16 bits a pixel; DRM R16 */
    CUFRAMES_FORMAT_COUNT        /**< how many this version knows; not a format */
} cuframes_format_t;

/** Lower-case name, "nv12" and so on; NULL for a format this version does not know. Static. */
CUFRAMES_API const char *cuframes_format_name(cuframes_format_t format);

/** The format of a name (case does not matter) into `format`; CUFRAMES_ERR_FORMAT if there is none. */
CUFRAMES_API int cuframes_format_from_name(const char *name, cuframes_format_t *format);

/** DRM fourcc (drm_fourcc.h), 0 for a format this version does not know. */
CUFRAMES_API uint32_t cuframes_format_fourcc(cuframes_format_t format);

/** The format of a DRM fourcc; CUFRAMES_ERR_FORMAT if there is none. */
CUFRAMES_API int cuframes_format_from_fourcc(uint32_t fourcc, cuframes_format_t *format);

/** Number of planes, 0 for a format this version does not know. */
CUFRAMES_API int32_t cuframes_format_planes(cuframes_format_t format);

/** Where one plane lies in a slot. */
typedef struct cuframes_plane_layout {
    uint64_t offset; /**< bytes from the slot's start to the plane's first row */
    uint32_t pitch;  /**< bytes from one row to the next */
    uint32_t rows;   /**< rows, padding included */
} cuframes_plane_layout_t;

/**
 * Where the planes of a picture lie. The picture that is meant to be seen is `width` x `height`
 * of the channel; the coded size can be larger, for decoders that need padding.
 */
typedef struct cuframes_layout {
    int32_t coded_width;  /**< pixels that a row has room for */
    int32_t coded_height; /**< rows of plane 0 */
    uint32_t plane_count;
    uint32_t _reserved;
    uint64_t size; /**< bytes of one frame */
    cuframes_plane_layout_t planes[CUFRAMES_MAX_PLANES];
} cuframes_layout_t;

/**
 * Computes the layout of a picture whose pitches are multiples of `alignment` bytes (a power of
 * two up to 4096; 0 or 1 = packed, the layout of cuframes_calc_frame_size()). Odd sizes round
 * the chroma planes up. INVALID_ARG for a size below 1 or above CUFRAMES_MAX_DIMENSION, FORMAT
 * for an unknown format; `layout` is written on success only.
 */
CUFRAMES_API int cuframes_layout_init(cuframes_layout_t *layout, cuframes_format_t format,
                                      int32_t width, int32_t height, uint32_t alignment);

/**
 * Bytes of one picture in the packed layout: plane 0 at the start with `pitch_y` bytes a row; the
 * next plane at pitch_y * height with `pitch_uv` bytes a row (0 if there is none), and so on.
 * `pitch_y` and `pitch_uv` may be NULL. Returns 0 for a format or size that does not exist.
 */
CUFRAMES_API size_t cuframes_calc_frame_size(cuframes_format_t format, int32_t width,
                                             int32_t height, int32_t *pitch_y, int32_t *pitch_uv);

/** Width in bytes and number of rows of one plane of a picture, without padding. */
CUFRAMES_API int cuframes_format_plane_size(cuframes_format_t format, int32_t plane, int32_t width,
                                            int32_t height, uint32_t *row_bytes, uint32_t *rows);

/**
 * How to read the colours, as the code points of ITU-T H.273 (the same numbers as FFmpeg's
 * AVColorSpace, AVColorPrimaries, AVColorTransferCharacteristic). 0 = not said.
 * H.273 calls code point 2 "unspecified" too; matrix code point 0 (identity, that is RGB) is
 * what RGB formats imply.
 */
typedef struct cuframes_color {
    uint8_t matrix;
    uint8_t primaries;
    uint8_t transfer;
    uint8_t range; /**< cuframes_color_range_t */
} cuframes_color_t;

typedef enum cuframes_color_range {
    CUFRAMES_RANGE_UNSPECIFIED = 0,
    CUFRAMES_RANGE_LIMITED = 1, /**< luma 16 to 235 (of 8 bits) */
    CUFRAMES_RANGE_FULL = 2
} cuframes_color_range_t;

/** A rectangle in pixels of plane 0. */
typedef struct cuframes_rect {
    int32_t x, y, width, height;
} cuframes_rect_t;

CUFRAMES_END_DECLS

#endif
