/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures of every format as 8-bit RGB, BGR or gray, full range. Pure functions; any thread.
 *
 * Matrix and range are those that the picture names. One that names none gets what the size
 * suggests: BT.709 from 1280 pixels of width or 577 rows on, else BT.601; YUV is limited range, gray
 * and RGB are full range. Chroma is repeated, not interpolated; alpha is left out; gray of RGB is
 * BT.601's luma.
 */
#pragma once

#include "picture.h"

enum pycf_order { PYCF_RGB, PYCF_BGR, PYCF_GRAY };

/* Code point of the matrix that counts (1 = BT.709, 5 = BT.601, 9 = BT.2020 and so on). */
int pycf_matrix_of(const struct pycf_picture *picture);
bool pycf_is_limited(const struct pycf_picture *picture);

/*
 * Writes rows `first`, which is even, up to `end` of the picture, which is in host memory, to where
 * they are in `out`, rows `pitch` bytes apart. False for a matrix that is no weighted sum of red,
 * green and blue.
 */
bool pycf_convert_rows(const struct pycf_picture *picture, enum pycf_order order, uint8_t *out,
                       size_t pitch, int first, int end);
/* All of them; a large picture by up to so many threads, the caller's among them. */
bool pycf_convert(const struct pycf_picture *picture, enum pycf_order order, uint8_t *out,
                  size_t pitch, int threads);
