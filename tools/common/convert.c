/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every format is first unpacked, some pixels of a row at a time, into three lines of samples with
 * the value range of 10 bits. YUV goes through one fixed-point matrix from there, RGB is only
 * shifted. The lines are short enough for the nearest cache, and the loops over them are the kind
 * that a compiler turns into vector code.
 */
#include "common/convert.h"

#include <endian.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#define CHUNK      256 /* pixels; even, so that chroma pairs are not split */
#define FIXED_BITS 14

struct chunk {
    int16_t samples[3][CHUNK];
};

/* R = (y_scale * (Y - y_zero) + r_v * V' + half) >> FIXED_BITS and so on, U' = U - 512. */
struct matrix {
    /* 16 bits, as the samples: every vector unit has the product of two 16-bit numbers. */
    int16_t y_zero, y_scale;
    int16_t r_v, g_u, g_v, b_u;
};

int picture_of_frame(const cuframes_frame_t *frame, struct picture *picture)
{
    struct picture made = {.format = cuframes_frame_format(frame)};
    int32_t planes = cuframes_format_planes(made.format);

    if (cuframes_frame_memory(frame) != CUFRAMES_MEMORY_HOST || planes == 0)
        return CUFRAMES_ERR_FORMAT;
    cuframes_frame_size(frame, &made.width, &made.height);
    cuframes_frame_color(frame, &made.color);
    for (int32_t i = 0; i < planes; i++) {
        cuframes_plane_t plane;
        int error = cuframes_frame_plane(frame, i, &plane);

        if (error)
            return error;
        made.planes[i] = plane.data;
        made.pitches[i] = plane.pitch;
    }
    *picture = made;
    return CUFRAMES_OK;
}

static void luma_weights(const struct picture *picture, double *kr, double *kb)
{
    bool large = picture->width >= 1280 || picture->height > 576;
    int matrix = picture->color.matrix;

    if (matrix == 1 || (large && (matrix == 0 || matrix == 2)))
        *kr = 0.2126, *kb = 0.0722; /* BT.709 */
    else if (matrix == 9 || matrix == 10)
        *kr = 0.2627, *kb = 0.0593; /* BT.2020 */
    else if (matrix == 7)
        *kr = 0.212, *kb = 0.087; /* SMPTE 240M */
    else if (matrix == 4)
        *kr = 0.30, *kb = 0.11; /* FCC */
    else
        *kr = 0.299, *kb = 0.114; /* BT.601 */
}

static bool is_gray(cuframes_format_t format)
{
    return format == CUFRAMES_FORMAT_GRAYSCALE || format == CUFRAMES_FORMAT_GRAY16;
}

static int16_t fixed(double value)
{
    return (int16_t)lrint(value * (1 << FIXED_BITS));
}

static struct matrix matrix_of(const struct picture *picture)
{
    bool deep =
        picture->format == CUFRAMES_FORMAT_P010 || picture->format == CUFRAMES_FORMAT_GRAY16;
    bool full = picture->color.range == CUFRAMES_RANGE_FULL ||
                (picture->color.range == CUFRAMES_RANGE_UNSPECIFIED && is_gray(picture->format));
    /* 8-bit samples are shifted by two, so their largest value is 1020. */
    double full_span = deep ? 1023 : 1020;
    double y = 255 / (full ? full_span : 876);
    double c = 255 / (full ? full_span : 896);
    double kr, kb, kg;

    luma_weights(picture, &kr, &kb);
    kg = 1 - kr - kb;
    return (struct matrix){
        .y_zero = full ? 0 : 64,
        .y_scale = fixed(y),
        .r_v = fixed(c * 2 * (1 - kr)),
        .g_u = fixed(-c * 2 * kb * (1 - kb) / kg),
        .g_v = fixed(-c * 2 * kr * (1 - kr) / kg),
        .b_u = fixed(c * 2 * (1 - kb)),
    };
}

static int16_t sample16(const uint8_t *at)
{
    return (int16_t)((at[0] | at[1] << 8) >> 6);
}

static void unpack8(const uint8_t *from, int step, int count, int16_t *to)
{
    for (int i = 0; i < count; i++)
        to[i] = (int16_t)(from[i * step] << 2);
}

static void unpack16(const uint8_t *from, int count, int16_t *to)
{
    for (int i = 0; i < count; i++)
        to[i] = sample16(from + 2 * i);
}

/* Chroma of half width: each sample twice. */
static void unpack8_half(const uint8_t *from, int step, int count, int16_t *to)
{
    for (int i = 0; i < count / 2; i++)
        to[2 * i] = to[2 * i + 1] = (int16_t)(from[i * step] << 2);
    if (count % 2)
        to[count - 1] = (int16_t)(from[count / 2 * step] << 2);
}

static void unpack16_half(const uint8_t *from, int count, int16_t *to)
{
    for (int i = 0; i < count / 2; i++)
        to[2 * i] = to[2 * i + 1] = sample16(from + 4 * i);
    if (count % 2)
        to[count - 1] = sample16(from + count / 2 * 4);
}

static void unpack_neutral(int count, int16_t *to)
{
    for (int i = 0; i < count; i++)
        to[i] = 512;
}

static const uint8_t *row_of(const struct picture *picture, int plane, int y)
{
    return picture->planes[plane] + (size_t)y * picture->pitches[plane];
}

/* Pixels x to x + count of row y as Y, Cb, Cr. */
static void unpack_yuv(const struct picture *picture, int x, int y, int count, struct chunk *chunk)
{
    const uint8_t *luma = row_of(picture, 0, y);
    int16_t *u = chunk->samples[1], *v = chunk->samples[2];

    switch (picture->format) {
    case CUFRAMES_FORMAT_NV12:
        unpack8(luma + x, 1, count, chunk->samples[0]);
        unpack8_half(row_of(picture, 1, y / 2) + x, 2, count, u);
        unpack8_half(row_of(picture, 1, y / 2) + x + 1, 2, count, v);
        break;
    case CUFRAMES_FORMAT_P010:
        unpack16(luma + 2 * x, count, chunk->samples[0]);
        unpack16_half(row_of(picture, 1, y / 2) + 2 * x, count, u);
        unpack16_half(row_of(picture, 1, y / 2) + 2 * x + 2, count, v);
        break;
    case CUFRAMES_FORMAT_YUV420P:
        unpack8(luma + x, 1, count, chunk->samples[0]);
        unpack8_half(row_of(picture, 1, y / 2) + x / 2, 1, count, u);
        unpack8_half(row_of(picture, 2, y / 2) + x / 2, 1, count, v);
        break;
    case CUFRAMES_FORMAT_YUV444P:
        unpack8(luma + x, 1, count, chunk->samples[0]);
        unpack8(row_of(picture, 1, y) + x, 1, count, u);
        unpack8(row_of(picture, 2, y) + x, 1, count, v);
        break;
    case CUFRAMES_FORMAT_GRAY16:
        unpack16(luma + 2 * x, count, chunk->samples[0]);
        unpack_neutral(count, u);
        unpack_neutral(count, v);
        break;
    default: /* GRAYSCALE */
        unpack8(luma + x, 1, count, chunk->samples[0]);
        unpack_neutral(count, u);
        unpack_neutral(count, v);
        break;
    }
}

static int32_t clamp255(int32_t value)
{
    return value < 0 ? 0 : value > 255 ? 255 : value;
}

static void apply_matrix(const struct matrix *matrix, int count, struct chunk *chunk)
{
    const struct matrix m = *matrix; /* a copy cannot be what the loop writes to */
    int16_t *restrict a = chunk->samples[0];
    int16_t *restrict b = chunk->samples[1];
    int16_t *restrict c = chunk->samples[2];

    for (int i = 0; i < count; i++) {
        int16_t y = (int16_t)(a[i] - m.y_zero), u = (int16_t)(b[i] - 512),
                v = (int16_t)(c[i] - 512);
        int32_t luma = y * m.y_scale + (1 << (FIXED_BITS - 1));

        a[i] = (int16_t)clamp255((luma + v * m.r_v) >> FIXED_BITS);
        b[i] = (int16_t)clamp255((luma + u * m.g_u + v * m.g_v) >> FIXED_BITS);
        c[i] = (int16_t)clamp255((luma + u * m.b_u) >> FIXED_BITS);
    }
}

/* Bytes of a pixel and places of R, G, B in it; false for formats that are not RGB. */
static bool rgb_places(cuframes_format_t format, int *step, int places[3])
{
    bool reversed = format == CUFRAMES_FORMAT_BGR || format == CUFRAMES_FORMAT_BGRA;

    if (format == CUFRAMES_FORMAT_RGB || format == CUFRAMES_FORMAT_BGR)
        *step = 3;
    else if (format == CUFRAMES_FORMAT_RGBA || format == CUFRAMES_FORMAT_BGRA)
        *step = 4;
    else
        return false;
    places[0] = reversed ? 2 : 0;
    places[1] = 1;
    places[2] = reversed ? 0 : 2;
    return true;
}

static void pack_rgb(const struct chunk *chunk, int count, uint8_t *restrict out)
{
    for (int i = 0; i < count; i++) {
        out[3 * i] = (uint8_t)chunk->samples[0][i];
        out[3 * i + 1] = (uint8_t)chunk->samples[1][i];
        out[3 * i + 2] = (uint8_t)chunk->samples[2][i];
    }
}

/* A word for each pixel, which vectorises where four bytes do not. */
static void pack_bgrx(const struct chunk *chunk, int count, uint8_t *restrict out)
{
    for (int i = 0; i < count; i++) {
        uint32_t pixel =
            htole32(0xff000000U | (uint32_t)chunk->samples[0][i] << 16 |
                    (uint32_t)chunk->samples[1][i] << 8 | (uint32_t)chunk->samples[2][i]);

        memcpy(out + 4 * (size_t)i, &pixel, sizeof(pixel));
    }
}

static void unpack_rgb(const uint8_t *from, int step, const int places[3], int count,
                       struct chunk *chunk)
{
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < count; i++)
            chunk->samples[k][i] = from[i * step + places[k]];
}

static void convert_row(const struct picture *picture, const struct matrix *matrix, int y,
                        enum convert_order order, uint8_t *out)
{
    int step = 0, places[3];
    bool rgb = rgb_places(picture->format, &step, places);
    struct chunk chunk;

    for (int x = 0; x < picture->width; x += CHUNK) {
        int count = picture->width - x < CHUNK ? picture->width - x : CHUNK;

        if (rgb) {
            unpack_rgb(row_of(picture, 0, y) + (size_t)x * (size_t)step, step, places, count,
                       &chunk);
        } else {
            unpack_yuv(picture, x, y, count, &chunk);
            apply_matrix(matrix, count, &chunk);
        }
        if (order == CONVERT_RGB)
            pack_rgb(&chunk, count, out + 3 * (size_t)x);
        else
            pack_bgrx(&chunk, count, out + 4 * (size_t)x);
    }
}

void convert_picture(const struct picture *picture, enum convert_order order, uint8_t *out,
                     size_t pitch)
{
    struct matrix matrix = matrix_of(picture);

    for (int y = 0; y < picture->height; y++)
        convert_row(picture, &matrix, y, order, out + (size_t)y * pitch);
}
