/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colour conversion in 16-bit fixed point, a block of pixels of one row at a time: samples to
 * 16 bits, chroma terms, pixels plane by plane, then interleaved. Every loop is one that compilers
 * turn into vector code; the block's buffers stay in the first cache.
 *
 * Scales: luma samples are taken times 64, chroma samples times 128, coefficients in 1/16384 for
 * luma and 1/8192 for chroma. mul() takes the product's upper part, so every term comes out in
 * 1/32 of an 8-bit step, whatever the depth of the samples.
 */
#include "colors.h"

#include <math.h>

/* Pixels of a block; even. */
#define BLOCK 512
/* In the scale of terms. */
#define HALF_STEP 16

#if defined(__x86_64__) && !defined(__clang__) && __GNUC__ >= 12
#define VECTORS __attribute__((target_clones("arch=x86-64-v4", "avx2", "ssse3", "default")))
#elif defined(__x86_64__) && defined(__GNUC__)
#define VECTORS __attribute__((target_clones("avx2", "ssse3", "default")))
#else
#define VECTORS
#endif
#define INLINE static inline __attribute__((always_inline))

struct coefficients {
    int16_t luma_offset;                     /* times 64 */
    int16_t luma;                            /* times 16384 */
    int16_t red_v, green_u, green_v, blue_u; /* times 8192 */
};

struct block {
    int16_t luma[BLOCK];
    int16_t u[BLOCK], v[BLOCK]; /* of pixels, or of pairs of pixels */
    int16_t red[BLOCK], green[BLOCK], blue[BLOCK];
    uint8_t planes[3][BLOCK];
};

/* ---- coefficients ---- */

int pycf_matrix_of(const struct pycf_picture *picture)
{
    int matrix = picture->color.matrix;

    if (matrix != 0 && matrix != 2)
        return matrix;
    return picture->width >= 1280 || picture->height > 576 ? 1 : 5;
}

static bool is_yuv(cuframes_format_t format)
{
    return format == CUFRAMES_FORMAT_NV12 || format == CUFRAMES_FORMAT_YUV420P ||
           format == CUFRAMES_FORMAT_P010 || format == CUFRAMES_FORMAT_YUV444P;
}

bool pycf_is_limited(const struct pycf_picture *picture)
{
    if (picture->color.range != CUFRAMES_RANGE_UNSPECIFIED)
        return picture->color.range == CUFRAMES_RANGE_LIMITED;
    return is_yuv(picture->format);
}

/* Weights of red and blue in luma (ITU-T H.273, table 4). False for a matrix of another kind. */
static bool weights(int matrix, double *red, double *blue)
{
    static const struct {
        int matrix;
        double red, blue;
    } known[] = {
        {1, 0.2126, 0.0722}, /* BT.709 */
        {4, 0.30, 0.11},     /* FCC */
        {5, 0.299, 0.114},   /* BT.601, 625 lines */
        {6, 0.299, 0.114},   /* BT.601, 525 lines */
        {7, 0.212, 0.087},   /* SMPTE 240M */
        {9, 0.2627, 0.0593}, /* BT.2020 */
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].matrix == matrix) {
            *red = known[i].red;
            *blue = known[i].blue;
            return true;
        }
    return false;
}

static int16_t fixed(double value, double one)
{
    return (int16_t)lrint(value * one);
}

static bool coefficients_of(const struct pycf_picture *picture, struct coefficients *c)
{
    bool limited = pycf_is_limited(picture);
    /* 1023 is white in ten bits; four times 255 is 1020. */
    double full = picture->format == CUFRAMES_FORMAT_P010 ? 1020.0 / 1023.0 : 1.0;
    double luma = limited ? 255.0 / 219.0 : full, chroma = limited ? 255.0 / 224.0 : full;
    double red, green, blue;

    if (!weights(pycf_matrix_of(picture), &red, &blue))
        return false;
    green = 1 - red - blue;
    *c = (struct coefficients){
        .luma_offset = limited ? 16 * 64 : 0,
        .luma = fixed(luma, 16384),
        .red_v = fixed(2 * (1 - red) * chroma, 8192),
        .green_u = fixed(-2 * blue * (1 - blue) / green * chroma, 8192),
        .green_v = fixed(-2 * red * (1 - red) / green * chroma, 8192),
        .blue_u = fixed(2 * (1 - blue) * chroma, 8192),
    };
    return true;
}

/* ---- the steps for a block ---- */

/* (a * b + 1/2) / 32768, one instruction on vectors. */
INLINE int16_t mul(int16_t a, int16_t b)
{
    return (int16_t)((((int32_t)a * b >> 14) + 1) >> 1);
}

/* Of 1/32 steps, half a step added. */
INLINE uint8_t clip(int32_t value)
{
    int16_t step = (int16_t)((int16_t)value >> 5);

    step = step < 0 ? 0 : step;
    return (uint8_t)(step > 255 ? 255 : step);
}

INLINE void load_luma8(struct block *b, const uint8_t *in, int n, const struct coefficients *c)
{
    for (int i = 0; i < n; i++)
        b->luma[i] = (int16_t)(mul((int16_t)(in[i] * 64 - c->luma_offset), c->luma) + HALF_STEP);
}

INLINE void load_luma10(struct block *b, const uint16_t *in, int n, const struct coefficients *c)
{
    for (int i = 0; i < n; i++)
        b->luma[i] = (int16_t)(mul((int16_t)((in[i] >> 2) - c->luma_offset), c->luma) + HALF_STEP);
}

INLINE void load_chroma8(int16_t *to, const uint8_t *in, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (int16_t)(in[i] * 128 - 16384);
}

INLINE void load_pairs8(struct block *b, const uint8_t *in, int n)
{
    for (int i = 0; i < n; i++) {
        b->u[i] = (int16_t)(in[2 * i] * 128 - 16384);
        b->v[i] = (int16_t)(in[2 * i + 1] * 128 - 16384);
    }
}

INLINE void load_pairs10(struct block *b, const uint16_t *in, int n)
{
    for (int i = 0; i < n; i++) {
        b->u[i] = (int16_t)((in[2 * i] >> 1) - 16384);
        b->v[i] = (int16_t)((in[2 * i + 1] >> 1) - 16384);
    }
}

/* What chroma adds to each colour, for each pixel. */
INLINE void terms(struct block *b, int n, const struct coefficients *c)
{
    for (int i = 0; i < n; i++) {
        b->red[i] = mul(b->v[i], c->red_v);
        b->green[i] = (int16_t)(mul(b->u[i], c->green_u) + mul(b->v[i], c->green_v));
        b->blue[i] = mul(b->u[i], c->blue_u);
    }
}

/* The same for each pair of pixels. */
INLINE void term_of_pairs(int16_t *restrict to, const int16_t *restrict chroma, int pairs,
                          int16_t factor)
{
    for (int i = 0; i < pairs; i++)
        to[2 * i] = to[2 * i + 1] = mul(chroma[i], factor);
}

INLINE void terms_of_pairs(int16_t *restrict to, const int16_t *restrict u,
                           const int16_t *restrict v, int pairs, int16_t u_factor, int16_t v_factor)
{
    for (int i = 0; i < pairs; i++)
        to[2 * i] = to[2 * i + 1] = (int16_t)(mul(u[i], u_factor) + mul(v[i], v_factor));
}

INLINE void all_terms_of_pairs(struct block *b, int pairs, const struct coefficients *c)
{
    term_of_pairs(b->red, b->v, pairs, c->red_v);
    terms_of_pairs(b->green, b->u, b->v, pairs, c->green_u, c->green_v);
    term_of_pairs(b->blue, b->u, pairs, c->blue_u);
}

INLINE void add(uint8_t *restrict to, const int16_t *restrict luma, const int16_t *restrict term,
                int n)
{
    for (int i = 0; i < n; i++)
        to[i] = clip(luma[i] + term[i]);
}

INLINE void pixels(struct block *b, int n)
{
    add(b->planes[0], b->luma, b->red, n);
    add(b->planes[1], b->luma, b->green, n);
    add(b->planes[2], b->luma, b->blue, n);
}

INLINE void interleave(uint8_t *out, const uint8_t *first, const uint8_t *second,
                       const uint8_t *third, int n)
{
    for (int i = 0; i < n; i++) {
        out[3 * i] = first[i];
        out[3 * i + 1] = second[i];
        out[3 * i + 2] = third[i];
    }
}

INLINE void store(const struct block *b, enum pycf_order order, uint8_t *out, int n)
{
    if (order == PYCF_RGB)
        interleave(out, b->planes[0], b->planes[1], b->planes[2], n);
    else
        interleave(out, b->planes[2], b->planes[1], b->planes[0], n);
}

/* ---- rows ---- */

struct rows {
    int first, end;
    uint8_t *out; /* of the picture's first row */
    size_t pitch;
};

INLINE const uint8_t *row_of(const struct pycf_picture *picture, int plane, int row)
{
    const struct cuframes_plane *p = &picture->planes[plane];

    return (const uint8_t *)p->data + (size_t)p->pitch * (size_t)row;
}

INLINE void load_luma(const struct pycf_picture *picture, const struct coefficients *c,
                      struct block *b, int row, int x, int n)
{
    const uint8_t *in = row_of(picture, 0, row);

    if (picture->format == CUFRAMES_FORMAT_P010)
        load_luma10(b, (const uint16_t *)(const void *)in + x, n, c);
    else
        load_luma8(b, in + x, n, c);
}

/* What chroma adds, for the rows that share it. */
INLINE void load_terms(const struct pycf_picture *picture, const struct coefficients *c,
                       struct block *b, int row, int x, int n)
{
    const int half = x / 2, pairs = (n + 1) / 2;

    switch (picture->format) {
    case CUFRAMES_FORMAT_NV12:
        load_pairs8(b, row_of(picture, 1, row / 2) + x, pairs);
        all_terms_of_pairs(b, pairs, c);
        break;
    case CUFRAMES_FORMAT_YUV420P:
        load_chroma8(b->u, row_of(picture, 1, row / 2) + half, pairs);
        load_chroma8(b->v, row_of(picture, 2, row / 2) + half, pairs);
        all_terms_of_pairs(b, pairs, c);
        break;
    case CUFRAMES_FORMAT_P010:
        load_pairs10(b, (const uint16_t *)(const void *)row_of(picture, 1, row / 2) + x, pairs);
        all_terms_of_pairs(b, pairs, c);
        break;
    default:
        load_chroma8(b->u, row_of(picture, 1, row) + x, n);
        load_chroma8(b->v, row_of(picture, 2, row) + x, n);
        terms(b, n, c);
        break;
    }
}

/* `n` pixels from column `x` of one row, or of two that share their chroma, as colour. x is even,
 * and so is the first of two rows. */
VECTORS static void yuv_block(const struct pycf_picture *picture, const struct coefficients *c,
                              enum pycf_order order, struct block *b, int row, int rows, int x,
                              int n, uint8_t *out, size_t pitch)
{
    load_terms(picture, c, b, row, x, n);
    for (int i = 0; i < rows; i++) {
        load_luma(picture, c, b, row + i, x, n);
        pixels(b, n);
        store(b, order, out + (size_t)(row + i) * pitch + (size_t)x * 3, n);
    }
}

static bool convert_yuv(const struct pycf_picture *picture, enum pycf_order order,
                        const struct rows *rows)
{
    const int at_once = picture->format == CUFRAMES_FORMAT_YUV444P ? 1 : 2;
    struct coefficients c;
    struct block b;

    if (!coefficients_of(picture, &c))
        return false;
    for (int row = rows->first; row < rows->end; row += at_once) {
        const int left = rows->end - row, now = left < at_once ? left : at_once;

        for (int x = 0; x < picture->width; x += BLOCK)
            yuv_block(picture, &c, order, &b, row, now, x,
                      picture->width - x < BLOCK ? picture->width - x : BLOCK, rows->out,
                      rows->pitch);
    }
    return true;
}

/* Luma alone, at full range. */
VECTORS static void luma_row(const struct pycf_picture *picture, const struct coefficients *c,
                             int row, uint8_t *out)
{
    const uint8_t *in = row_of(picture, 0, row);
    const uint16_t *wide = (const uint16_t *)(const void *)in;

    if (picture->format == CUFRAMES_FORMAT_P010)
        for (int i = 0; i < picture->width; i++)
            out[i] = clip(mul((int16_t)((wide[i] >> 2) - c->luma_offset), c->luma) + HALF_STEP);
    else
        for (int i = 0; i < picture->width; i++)
            out[i] = clip(mul((int16_t)(in[i] * 64 - c->luma_offset), c->luma) + HALF_STEP);
}

static bool convert_luma(const struct pycf_picture *picture, const struct rows *rows)
{
    struct coefficients c;

    if (!coefficients_of(picture, &c))
        return false;
    for (int row = rows->first; row < rows->end; row++)
        luma_row(picture, &c, row, rows->out + (size_t)row * rows->pitch);
    return true;
}

/* One byte of gray for a sample of a gray format. */
INLINE uint8_t gray_of(uint32_t sample, bool wide, bool limited)
{
    uint32_t value;

    if (!limited)
        return (uint8_t)(wide ? (sample * 255 + 32767) / 65535 : sample);
    value = wide ? sample : sample << 8;
    value = value < 16 << 8 ? 0 : value - (16 << 8);
    value = (value * 255 + (219 << 7)) / (219 << 8);
    return (uint8_t)(value > 255 ? 255 : value);
}

static void gray_row(const struct pycf_picture *picture, int row, int step, uint8_t *out)
{
    const uint8_t *in = row_of(picture, 0, row);
    const uint16_t *in16 = (const uint16_t *)(const void *)in;
    bool wide = picture->format == CUFRAMES_FORMAT_GRAY16, limited = pycf_is_limited(picture);

    for (int i = 0; i < picture->width; i++) {
        uint8_t gray = gray_of(wide ? in16[i] : in[i], wide, limited);

        for (int k = 0; k < step; k++)
            out[i * step + k] = gray;
    }
}

static void convert_gray(const struct pycf_picture *picture, int step, const struct rows *rows)
{
    for (int row = rows->first; row < rows->end; row++)
        gray_row(picture, row, step, rows->out + (size_t)row * rows->pitch);
}

/* ---- RGB in its orders ---- */

INLINE void swap_row(const uint8_t *in, int step, bool swap, uint8_t *out, int n)
{
    for (int i = 0; i < n; i++) {
        out[3 * i] = in[step * i + (swap ? 2 : 0)];
        out[3 * i + 1] = in[step * i + 1];
        out[3 * i + 2] = in[step * i + (swap ? 0 : 2)];
    }
}

/* BT.601's weights in 1/16384, as OpenCV has them. */
INLINE void weigh_row(const uint8_t *in, int step, int first, uint8_t *out, int n)
{
    for (int i = 0; i < n; i++) {
        const uint8_t *p = in + (ptrdiff_t)step * i;

        out[i] = (uint8_t)((p[first] * 4899 + p[1] * 9617 + p[2 - first] * 1868 + 8192) >> 14);
    }
}

VECTORS static void rgb_row(const uint8_t *in, int step, bool is_rgb, enum pycf_order order,
                            uint8_t *out, int n)
{
    if (order == PYCF_GRAY)
        weigh_row(in, step, is_rgb ? 0 : 2, out, n);
    else if (step == 3)
        swap_row(in, 3, is_rgb != (order == PYCF_RGB), out, n);
    else
        swap_row(in, 4, is_rgb != (order == PYCF_RGB), out, n);
}

static void convert_rgb(const struct pycf_picture *picture, enum pycf_order order,
                        const struct rows *rows)
{
    bool is_rgb = picture->format == CUFRAMES_FORMAT_RGB || picture->format == CUFRAMES_FORMAT_RGBA;
    int step =
        picture->format == CUFRAMES_FORMAT_RGB || picture->format == CUFRAMES_FORMAT_BGR ? 3 : 4;

    for (int row = rows->first; row < rows->end; row++)
        rgb_row(row_of(picture, 0, row), step, is_rgb, order, rows->out + (size_t)row * rows->pitch,
                picture->width);
}

bool pycf_convert_rows(const struct pycf_picture *picture, enum pycf_order order, uint8_t *out,
                       size_t pitch, int first, int end)
{
    const struct rows rows = {first, end, out, pitch};

    if (picture->format == CUFRAMES_FORMAT_GRAYSCALE || picture->format == CUFRAMES_FORMAT_GRAY16)
        convert_gray(picture, order == PYCF_GRAY ? 1 : 3, &rows);
    else if (!is_yuv(picture->format))
        convert_rgb(picture, order, &rows);
    else if (order == PYCF_GRAY)
        return convert_luma(picture, &rows);
    else
        return convert_yuv(picture, order, &rows);
    return true;
}
