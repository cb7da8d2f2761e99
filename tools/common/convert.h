/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures of every format as 8-bit RGB, for files and windows. Pure functions; any thread.
 *
 * Matrix and range are those that the frame names. A frame that names none gets what the size
 * suggests: BT.709 from 1280 pixels of width or 577 rows on, else BT.601; YUV is limited range,
 * gray is full range. Chroma is repeated, not interpolated; alpha is left out.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

struct picture {
    cuframes_format_t format;
    int32_t width;
    int32_t height;
    cuframes_color_t color;
    const uint8_t *planes[CUFRAMES_MAX_PLANES];
    size_t pitches[CUFRAMES_MAX_PLANES];
};

/* Bytes of one pixel in memory. */
enum convert_order {
    CONVERT_RGB, /* R G B */
    CONVERT_BGRX /* B G R 255 */
};

/*
 * Borrows the frame's memory: the picture is valid while the frame is held. FORMAT for a frame in
 * GPU memory or of a format that this version does not know.
 */
int picture_of_frame(const cuframes_frame_t *frame, struct picture *picture);

/* Writes the whole picture to `out`, rows `pitch` bytes apart. */
void convert_picture(const struct picture *picture, enum convert_order order, uint8_t *out,
                     size_t pitch);
