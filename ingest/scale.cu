/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Pictures in GPU memory: scaled, in another format, or both, straight into their slot.
 *
 * The filter is the bicubic one that libswscale takes by default, widened where the picture gets
 * smaller, so that nothing is left out and nothing flickers. A thread makes one sample (or one
 * pixel) of the result and computes in float. Nothing of a CUDA toolkit is included.
 *
 * scale_ptx.h is made of this file by scripts/gpu-kernels, so that a build needs no compiler for it.
 */
#ifndef KERNEL /* a test compiles this for the processor */
#define KERNEL extern "C" __attribute__((global))
#define DEVICE static __attribute__((device))
#endif

typedef unsigned char u8;
typedef unsigned short u16;

/* Where the samples of one component lie; the same as in gpu_scale.c. */
struct component {
    u8 *first; /* its first sample */
    int pitch; /* bytes from row to row */
    int step;  /* bytes from sample to sample */
    int wide;  /* samples have 16 bits, the value at the top */
    int width, height;
};

/* Where the source's sample 0.5 of the result lies is origin; the next one is a step further. */
struct mapping {
    float origin_x, origin_y, step_x, step_y;
};

struct rgb {
    u8 *first;
    int pitch;
    int pixel;                  /* bytes */
    int red, green, blue, alpha; /* byte in the pixel; alpha -1 = none */
    int width, height;
    float matrix[3][4]; /* R, G, B from Y, Cb, Cr and 1, all 0 to 255 */
};

DEVICE float load(const component *c, int x, int y)
{
    const u8 *at = c->first + (long long)y * c->pitch + (long long)x * c->step;

    return c->wide ? (float)*(const u16 *)at / 256.0f : (float)*at;
}

/* Mitchell and Netravali's family with B = 0 and C = 0.6. */
DEVICE float weight(float x)
{
    x = x < 0 ? -x : x;
    if (x < 1)
        return 1.0f + x * x * (1.4f * x - 2.4f);
    if (x < 2)
        return 2.4f + x * (-4.8f + x * (3.0f - 0.6f * x));
    return 0;
}

DEVICE int clamp(int value, int low, int high)
{
    return value < low ? low : value > high ? high : value;
}

DEVICE float sample(const component *c, float x, float y, float step_x, float step_y)
{
    float wide_x = step_x > 1 ? step_x : 1, wide_y = step_y > 1 ? step_y : 1;
    int left = (int)__builtin_floorf(x - 2 * wide_x) + 1, top = (int)__builtin_floorf(y - 2 * wide_y) + 1;
    int right = (int)__builtin_floorf(x + 2 * wide_x), bottom = (int)__builtin_floorf(y + 2 * wide_y);
    float sum = 0, weights = 0;

#pragma clang loop unroll(disable)
    for (int row = top; row <= bottom; row++) {
        float weight_y = weight(((float)row - y) / wide_y);
        int from = clamp(row, 0, c->height - 1);

#pragma clang loop unroll(disable)
        for (int column = left; column <= right; column++) {
            float both = weight_y * weight(((float)column - x) / wide_x);

            sum += both * load(c, clamp(column, 0, c->width - 1), from);
            weights += both;
        }
    }
    return sum / weights;
}

DEVICE int column_here()
{
    return __nvvm_read_ptx_sreg_ctaid_x() * __nvvm_read_ptx_sreg_ntid_x() +
           __nvvm_read_ptx_sreg_tid_x();
}

DEVICE int row_here()
{
    return __nvvm_read_ptx_sreg_ctaid_y() * __nvvm_read_ptx_sreg_ntid_y() +
           __nvvm_read_ptx_sreg_tid_y();
}

DEVICE float sample_at(const component *c, const mapping *m, int x, int y)
{
    return sample(c, m->origin_x + (float)x * m->step_x, m->origin_y + (float)y * m->step_y,
                  m->step_x, m->step_y);
}

/* One component into another. `bits` is what a wide sample of the result has: 10 or 16. */
KERNEL void scale_component(component from, component to, mapping map, int bits)
{
    int x = column_here(), y = row_here();
    float value;
    u8 *at;

    if (x >= to.width || y >= to.height)
        return;
    value = sample_at(&from, &map, x, y);
    at = to.first + (long long)y * to.pitch + (long long)x * to.step;
    if (to.wide) {
        int most = (1 << bits) - 1, scale = 1 << (bits - 8);

        *(u16 *)at = (u16)(clamp((int)(value * (float)scale + 0.5f), 0, most) << (16 - bits));
    } else {
        *at = (u8)clamp((int)(value + 0.5f), 0, 255);
    }
}

DEVICE u8 channel(const float *row, float y, float u, float v)
{
    return (u8)clamp((int)(row[0] * y + row[1] * u + row[2] * v + row[3] + 0.5f), 0, 255);
}

/* Y, Cb, Cr into the bytes of RGB pixels. */
KERNEL void scale_to_rgb(component luma, component cb, component cr, mapping luma_map,
                         mapping chroma_map, rgb to)
{
    int column = column_here(), row = row_here();
    float y, u, v;
    u8 *at;

    if (column >= to.width || row >= to.height)
        return;
    y = sample_at(&luma, &luma_map, column, row);
    u = sample_at(&cb, &chroma_map, column, row);
    v = sample_at(&cr, &chroma_map, column, row);
    at = to.first + (long long)row * to.pitch + (long long)column * to.pixel;
    at[to.red] = channel(to.matrix[0], y, u, v);
    at[to.green] = channel(to.matrix[1], y, u, v);
    at[to.blue] = channel(to.matrix[2], y, u, v);
    if (to.alpha >= 0)
        at[to.alpha] = 255;
}
