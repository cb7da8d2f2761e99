/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A picture in memory, and its planes as arrays: what a frame, a slot and a copy have in common.
 * Pure functions without Python objects.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

struct pycf_picture {
    cuframes_format_t format;
    int32_t width; /* visible */
    int32_t height;
    cuframes_memory_t memory;
    int32_t device; /* of CUDA memory */
    cuframes_color_t color;
    int32_t plane_count;
    struct cuframes_plane planes[CUFRAMES_MAX_PLANES];
};

/* Up to three dimensions of unsigned samples. Strides in bytes, as the buffer protocol has them. */
struct pycf_array {
    void *data;
    ptrdiff_t item; /* bytes of a sample: 1 or 2 */
    int ndim;
    ptrdiff_t shape[3];
    ptrdiff_t strides[3];
};

/* Bytes of one sample. */
int pycf_format_item(cuframes_format_t format);

/* Plane `index`: (rows, columns), or (rows, columns, samples of a pixel) where those are several. */
void pycf_array_of_plane(const struct pycf_picture *picture, int32_t index,
                         struct pycf_array *array);

/*
 * The whole picture as one array: the plane of a format with one plane; (rows * 3 / 2, columns)
 * for 4:2:0, as OpenCV takes it; (3, rows, columns) for 4:4:4. False where the planes do not lie
 * so that one array can describe them.
 */
bool pycf_array_of_picture(const struct pycf_picture *picture, struct pycf_array *array);

/* Items in the array, and their bytes. */
ptrdiff_t pycf_array_bytes(const struct pycf_array *array);
bool pycf_array_is_contiguous(const struct pycf_array *array);

/* Describes a packed picture at `data`, whose bytes are cuframes_calc_frame_size(). */
void pycf_picture_packed(struct pycf_picture *picture, void *data);
/* Copies the planes of one picture in host memory into another of the same format and size. */
void pycf_picture_copy(const struct pycf_picture *from, const struct pycf_picture *to);
