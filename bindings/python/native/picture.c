/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures as arrays.
 */
#include "picture.h"

#include <string.h>

int pycf_format_item(cuframes_format_t format)
{
    return format == CUFRAMES_FORMAT_P010 || format == CUFRAMES_FORMAT_GRAY16 ? 2 : 1;
}

/* Samples of one pixel that lie side by side in a plane. */
static int samples(cuframes_format_t format, int32_t plane)
{
    switch (format) {
    case CUFRAMES_FORMAT_RGB:
    case CUFRAMES_FORMAT_BGR:
        return 3;
    case CUFRAMES_FORMAT_RGBA:
    case CUFRAMES_FORMAT_BGRA:
        return 4;
    case CUFRAMES_FORMAT_NV12:
    case CUFRAMES_FORMAT_P010:
        return plane == 1 ? 2 : 1;
    default:
        return 1;
    }
}

void pycf_array_of_plane(const struct pycf_picture *picture, int32_t index,
                         struct pycf_array *array)
{
    const struct cuframes_plane *plane = &picture->planes[index];
    int item = pycf_format_item(picture->format);
    int pixel = samples(picture->format, index);

    *array = (struct pycf_array){
        .data = (void *)(uintptr_t)plane->data,
        .item = item,
        .ndim = pixel > 1 ? 3 : 2,
        .shape = {plane->rows, plane->row_bytes / (uint32_t)(item * pixel), pixel},
        .strides = {plane->pitch, (ptrdiff_t)item * pixel, item},
    };
}

static ptrdiff_t distance(const struct pycf_picture *picture, int from, int to)
{
    return (const uint8_t *)picture->planes[to].data - (const uint8_t *)picture->planes[from].data;
}

/* Two planes, the second with half the rows: it must go on where the first ends. */
static bool join_semi_planar(const struct pycf_picture *picture, struct pycf_array *array)
{
    const struct cuframes_plane *planes = picture->planes;

    if (planes[1].pitch != planes[0].pitch || planes[1].row_bytes != planes[0].row_bytes ||
        planes[0].rows != 2 * planes[1].rows ||
        distance(picture, 0, 1) != (ptrdiff_t)planes[0].pitch * planes[0].rows)
        return false;
    array->shape[0] += planes[1].rows;
    return true;
}

/* Three planes one behind the other without a gap, and rows of full length to cut them into. */
static bool join_planar_420(const struct pycf_picture *picture, struct pycf_array *array)
{
    const struct cuframes_plane *planes = picture->planes;
    const ptrdiff_t luma = (ptrdiff_t)planes[0].row_bytes * planes[0].rows;
    const ptrdiff_t chroma = (ptrdiff_t)planes[1].row_bytes * planes[1].rows;

    for (int i = 0; i < 3; i++)
        if (planes[i].pitch != planes[i].row_bytes)
            return false;
    if (distance(picture, 0, 1) != luma || distance(picture, 1, 2) != chroma || luma % 4 != 0 ||
        2 * chroma != luma / 2)
        return false;
    array->shape[0] += planes[0].rows / 2;
    return planes[0].rows % 2 == 0;
}

static bool join_planar_444(const struct pycf_picture *picture, struct pycf_array *array)
{
    const struct cuframes_plane *planes = picture->planes;
    const ptrdiff_t step = distance(picture, 0, 1);

    if (distance(picture, 1, 2) != step || planes[1].pitch != planes[0].pitch ||
        planes[2].pitch != planes[0].pitch)
        return false;
    *array = (struct pycf_array){
        .data = array->data,
        .item = 1,
        .ndim = 3,
        .shape = {3, array->shape[0], array->shape[1]},
        .strides = {step, array->strides[0], 1},
    };
    return true;
}

bool pycf_array_of_picture(const struct pycf_picture *picture, struct pycf_array *array)
{
    pycf_array_of_plane(picture, 0, array);
    switch (picture->format) {
    case CUFRAMES_FORMAT_NV12:
    case CUFRAMES_FORMAT_P010:
        return join_semi_planar(picture, array);
    case CUFRAMES_FORMAT_YUV420P:
        return join_planar_420(picture, array);
    case CUFRAMES_FORMAT_YUV444P:
        return join_planar_444(picture, array);
    default:
        return picture->plane_count == 1;
    }
}

ptrdiff_t pycf_array_bytes(const struct pycf_array *array)
{
    ptrdiff_t bytes = array->item;

    for (int i = 0; i < array->ndim; i++)
        bytes *= array->shape[i];
    return bytes;
}

bool pycf_array_is_contiguous(const struct pycf_array *array)
{
    ptrdiff_t bytes = array->item;

    for (int i = array->ndim - 1; i >= 0; i--) {
        if (array->shape[i] != 1 && array->strides[i] != bytes)
            return false;
        bytes *= array->shape[i];
    }
    return true;
}

void pycf_picture_packed(struct pycf_picture *picture, void *data)
{
    uint8_t *at = data;

    picture->plane_count = cuframes_format_planes(picture->format);
    picture->memory = CUFRAMES_MEMORY_HOST;
    for (int32_t i = 0; i < picture->plane_count; i++) {
        struct cuframes_plane *plane = &picture->planes[i];

        cuframes_format_plane_size(picture->format, i, picture->width, picture->height,
                                   &plane->row_bytes, &plane->rows);
        plane->pitch = plane->row_bytes;
        plane->data = at;
        at += (size_t)plane->pitch * plane->rows;
    }
}

void pycf_picture_copy(const struct pycf_picture *from, const struct pycf_picture *to)
{
    for (int32_t i = 0; i < to->plane_count; i++) {
        const struct cuframes_plane *source = &from->planes[i], *target = &to->planes[i];
        uint8_t *out = (uint8_t *)(uintptr_t)target->data;
        const uint8_t *in = source->data;

        if (source->pitch == source->row_bytes && target->pitch == target->row_bytes) {
            memcpy(out, in, (size_t)source->row_bytes * source->rows);
            continue;
        }
        for (uint32_t row = 0; row < target->rows; row++)
            memcpy(out + (size_t)row * target->pitch, in + (size_t)row * source->pitch,
                   target->row_bytes);
    }
}
