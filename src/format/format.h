/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library knows of formats beyond the public functions: whether a layout that somebody
 * else made (a publishing program, or a peer) can be a picture's. Pure functions.
 */
#pragma once

#include <stdbool.h>

#include <cuframes/format.h>

/* Largest coded width and height: room for a decoder's padding round the largest picture. */
#define CF_MAX_CODED_DIMENSION (CUFRAMES_MAX_DIMENSION + 1024)
/* Largest size of one frame: far above any real one, and 64 of them add up in 64 bits. */
#define CF_MAX_FRAME_SIZE (UINT64_C(1) << 45)

bool cf_format_known(cuframes_format_t format);

/*
 * CUFRAMES_OK if every visible and every coded sample lies inside `layout->size` bytes: the
 * coded size covers width x height, each plane has the rows and the row bytes of the coded size
 * and lies inside the frame, 16-bit samples are aligned, fields without meaning are 0. FORMAT and
 * the reason otherwise. Planes may share rows (side by side in one pitch).
 */
int cf_layout_check(const cuframes_layout_t *layout, cuframes_format_t format, int32_t width,
                    int32_t height);
