/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Rows that lie behind one another become one piece; padded rows a piece each.
 */
#include "common/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char frame_line[] = "FRAME\n";

void pieces_fini(struct pieces *pieces)
{
    free(pieces->list);
    free(pieces->scratch);
    *pieces = (struct pieces){0};
}

static int add(struct pieces *pieces, const void *data, size_t size)
{
    if (pieces->count == pieces->capacity) {
        int capacity = pieces->capacity ? pieces->capacity * 2 : 64;
        struct iovec *list = reallocarray(pieces->list, (size_t)capacity, sizeof(*list));

        if (!list)
            return CUFRAMES_ERR_OUT_OF_MEMORY;
        pieces->list = list;
        pieces->capacity = capacity;
    }
    /* iovec has no const; writev() only reads. */
    pieces->list[pieces->count++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    return CUFRAMES_OK;
}

static int plane_of(const cuframes_frame_t *frame, int32_t index, cuframes_plane_t *plane)
{
    if (cuframes_frame_memory(frame) != CUFRAMES_MEMORY_HOST)
        return CUFRAMES_ERR_FORMAT;
    return cuframes_frame_plane(frame, index, plane);
}

static int add_plane(struct pieces *pieces, const cuframes_frame_t *frame, int32_t index)
{
    cuframes_plane_t plane;
    int error = plane_of(frame, index, &plane);

    if (error)
        return error;
    if (plane.pitch == plane.row_bytes)
        return add(pieces, plane.data, (size_t)plane.pitch * plane.rows);
    for (uint32_t y = 0; y < plane.rows && !error; y++)
        error = add(pieces, (const uint8_t *)plane.data + (size_t)y * plane.pitch, plane.row_bytes);
    return error;
}

int stream_raw(const cuframes_frame_t *frame, struct pieces *pieces)
{
    int error = CUFRAMES_OK;

    pieces->count = 0;
    for (int32_t i = 0; i < cuframes_frame_plane_count(frame) && !error; i++)
        error = add_plane(pieces, frame, i);
    return error;
}

static const char *y4m_colour(cuframes_format_t format)
{
    switch (format) {
    case CUFRAMES_FORMAT_NV12:
    case CUFRAMES_FORMAT_YUV420P:
        return "420mpeg2";
    case CUFRAMES_FORMAT_P010:
        return "420p10";
    case CUFRAMES_FORMAT_YUV444P:
        return "444";
    case CUFRAMES_FORMAT_GRAYSCALE:
        return "mono";
    case CUFRAMES_FORMAT_GRAY16:
        return "mono16";
    default:
        return NULL;
    }
}

bool stream_y4m_has(cuframes_format_t format)
{
    return y4m_colour(format) != NULL;
}

void stream_y4m_header(const cuframes_frame_t *frame, const cuframes_channel_info_t *info,
                       char header[STREAM_Y4M_HEADER_SIZE])
{
    bool rate = info->fps_num > 0 && info->fps_den > 0;
    bool shape = info->sar_num > 0 && info->sar_den > 0;
    cuframes_color_t color;
    int32_t width, height;

    cuframes_frame_size(frame, &width, &height);
    cuframes_frame_color(frame, &color);
    snprintf(header, STREAM_Y4M_HEADER_SIZE,
             "YUV4MPEG2 W%" PRId32 " H%" PRId32 " F%" PRId32 ":%" PRId32 " Ip A%" PRId32 ":%" PRId32
             " C%s%s\n",
             width, height, rate ? info->fps_num : 25, rate ? info->fps_den : 1,
             shape ? info->sar_num : 0, shape ? info->sar_den : 0,
             y4m_colour(cuframes_frame_format(frame)),
             color.range == CUFRAMES_RANGE_FULL      ? " XCOLORRANGE=FULL"
             : color.range == CUFRAMES_RANGE_LIMITED ? " XCOLORRANGE=LIMITED"
                                                     : "");
}

/* Room for `size` bytes in the scratch. */
static uint8_t *scratch(struct pieces *pieces, size_t size)
{
    if (size > pieces->scratch_size) {
        uint8_t *memory = realloc(pieces->scratch, size);

        if (!memory)
            return NULL;
        pieces->scratch = memory;
        pieces->scratch_size = size;
    }
    return pieces->scratch;
}

static void split_row8(const uint8_t *restrict from, size_t count, uint8_t *restrict u,
                       uint8_t *restrict v)
{
    for (size_t x = 0; x < count; x++) {
        u[x] = from[2 * x];
        v[x] = from[2 * x + 1];
    }
}

/* 10 bits from the top of the sample to its bottom. */
static void lower_row(const uint8_t *restrict from, size_t count, size_t step, uint8_t *restrict to)
{
    for (size_t x = 0; x < count; x++) {
        unsigned value = (unsigned)(from[2 * step * x] | from[2 * step * x + 1] << 8) >> 6;

        to[2 * x] = (uint8_t)value;
        to[2 * x + 1] = (uint8_t)(value >> 8);
    }
}

/* Luma as it lies, then Cb and Cr from the scratch. */
static int y4m_nv12(const cuframes_frame_t *frame, struct pieces *pieces)
{
    cuframes_plane_t chroma;
    size_t count, size;
    uint8_t *u;
    int error = plane_of(frame, 1, &chroma);

    if (error)
        return error;
    count = chroma.row_bytes / 2;
    size = count * chroma.rows;
    u = scratch(pieces, 2 * size);
    if (!u)
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    for (uint32_t y = 0; y < chroma.rows; y++)
        split_row8((const uint8_t *)chroma.data + (size_t)y * chroma.pitch, count, u + y * count,
                   u + size + y * count);
    error = add_plane(pieces, frame, 0);
    return error ? error : add(pieces, u, 2 * size);
}

/* Everything through the scratch: the samples are shifted. */
static int y4m_p010(const cuframes_frame_t *frame, struct pieces *pieces)
{
    cuframes_plane_t luma, chroma;
    size_t luma_size, half_row, half_size;
    uint8_t *to;
    int error = plane_of(frame, 0, &luma);

    if (!error)
        error = plane_of(frame, 1, &chroma);
    if (error)
        return error;
    luma_size = (size_t)luma.row_bytes * luma.rows;
    half_row = chroma.row_bytes / 2;
    half_size = half_row * chroma.rows;
    to = scratch(pieces, luma_size + 2 * half_size);
    if (!to)
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    for (uint32_t y = 0; y < luma.rows; y++)
        lower_row((const uint8_t *)luma.data + (size_t)y * luma.pitch, luma.row_bytes / 2, 1,
                  to + (size_t)y * luma.row_bytes);
    for (uint32_t y = 0; y < chroma.rows; y++) {
        const uint8_t *from = (const uint8_t *)chroma.data + (size_t)y * chroma.pitch;
        uint8_t *u = to + luma_size + y * half_row;

        lower_row(from, half_row / 2, 2, u);
        lower_row(from + 2, half_row / 2, 2, u + half_size);
    }
    return add(pieces, to, luma_size + 2 * half_size);
}

int stream_y4m(const cuframes_frame_t *frame, struct pieces *pieces)
{
    int error;

    pieces->count = 0;
    error = add(pieces, frame_line, sizeof(frame_line) - 1);
    if (error)
        return error;
    if (cuframes_frame_format(frame) == CUFRAMES_FORMAT_NV12)
        return y4m_nv12(frame, pieces);
    if (cuframes_frame_format(frame) == CUFRAMES_FORMAT_P010)
        return y4m_p010(frame, pieces);
    for (int32_t i = 0; i < cuframes_frame_plane_count(frame) && !error; i++)
        error = add_plane(pieces, frame, i);
    return error;
}
