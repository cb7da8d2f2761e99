/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the GPU's kernels make of pictures, computed by the processor: nearly what libswscale makes
 * of them, in every format; and a picture that stays as it is comes out bit for bit.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "gpu_scale.h"
#include "pixfmt.h"

#define WIDTH  322
#define HEIGHT 182

void run_on_host(const char *name, unsigned width, unsigned height, void **arguments);

static int failures;

static int fake_push(void *context)
{
    (void)context;
    return 0;
}

static int fake_pop(void **context)
{
    *context = NULL;
    return 0;
}

static int fake_load(void **module, const void *image)
{
    static int loaded;

    *module = &loaded;
    return image ? 0 : 1;
}

static int fake_function(void **function, void *module, const char *name)
{
    (void)module;
    *function = (void *)(uintptr_t)name;
    return 0;
}

static int fake_launch(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                       void *stream, void **arguments, void **extra)
{
    (void)grid_z, (void)block_z, (void)shared, (void)stream, (void)extra;
    run_on_host(function, grid_x * block_x, grid_y * block_y, arguments);
    return 0;
}

/* Smooth and with edges, and nothing like it at its own borders. */
static void paint(AVFrame *frame)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(frame->format);

    for (int c = 0; c < desc->nb_components; c++) {
        const AVComponentDescriptor *comp = &desc->comp[c];
        int width = c ? AV_CEIL_RSHIFT(frame->width, desc->log2_chroma_w) : frame->width;
        int height = c ? AV_CEIL_RSHIFT(frame->height, desc->log2_chroma_h) : frame->height;

        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                double fx = (double)x / width, fy = (double)y / height;
                double v = 128 + 60 * sin(7 * fx + c) + 40 * cos(9 * fy * (c + 1)) +
                           ((int)(fx * 8) % 2 ? 12 : 0);
                uint8_t *at = frame->data[comp->plane] +
                              (ptrdiff_t)y * frame->linesize[comp->plane] +
                              (ptrdiff_t)x * comp->step + comp->offset;

                if (comp->depth > 8) {
                    uint16_t wide = (uint16_t)((int)(v * 4) << (16 - 10));

                    memcpy(at, &wide, sizeof(wide));
                } else {
                    *at = (uint8_t)v;
                }
            }
        }
    }
}

static AVFrame *picture(enum AVPixelFormat format, int width, int height)
{
    AVFrame *frame = av_frame_alloc();

    frame->format = format;
    frame->width = width;
    frame->height = height;
    if (av_frame_get_buffer(frame, 64) < 0)
        abort();
    memset(frame->buf[0]->data, 0, frame->buf[0]->size);
    return frame;
}

/* Peak signal to noise of the visible samples, in dB of their own range; 99 = equal. */
static double likeness(const AVFrame *a, const AVFrame *b)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(a->format);
    double sum = 0, count = 0;

    for (int c = 0; c < desc->nb_components; c++) {
        const AVComponentDescriptor *comp = &desc->comp[c];
        int width = c ? AV_CEIL_RSHIFT(a->width, desc->log2_chroma_w) : a->width;
        int height = c ? AV_CEIL_RSHIFT(a->height, desc->log2_chroma_h) : a->height;

        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                ptrdiff_t at = (ptrdiff_t)x * comp->step + comp->offset;
                const uint8_t *p =
                    a->data[comp->plane] + (ptrdiff_t)y * a->linesize[comp->plane] + at;
                const uint8_t *q =
                    b->data[comp->plane] + (ptrdiff_t)y * b->linesize[comp->plane] + at;
                double difference = comp->depth > 8
                                        ? (p[0] + 256 * p[1] - q[0] - 256 * q[1]) / 256.0
                                        : (double)p[0] - q[0];

                sum += difference * difference;
                count++;
            }
        }
    }
    return sum > 0 ? 10 * log10(255.0 * 255.0 * count / sum) : 99;
}

static void check(struct gpu *gpu, AVFrame *source, cuframes_format_t format, int width, int height,
                  double least)
{
    struct conversion to = {.width = width, .height = height, .format = format};
    enum AVPixelFormat av_format = pixfmt_to_av(format);
    AVFrame *expected = picture(av_format, width, height),
            *made = picture(av_format, width, height);
    struct converter converter = {0};
    struct gpu_planes planes = {0};
    bool as_it_is = av_format == (enum AVPixelFormat)source->format && width == source->width &&
                    height == source->height;
    cuframes_layout_t layout = {.plane_count = (uint32_t)av_pix_fmt_count_planes(av_format)};
    double found;

    for (uint32_t i = 0; i < layout.plane_count; i++) {
        layout.planes[i].offset = (uint64_t)(expected->data[i] - expected->data[0]);
        layout.planes[i].pitch = (uint32_t)expected->linesize[i];
        planes.first[i] = (gpu_pointer)(uintptr_t)made->data[i];
        planes.pitch[i] = (uint32_t)made->linesize[i];
    }
    if (as_it_is ? av_frame_copy(expected, source) < 0
                 : converter_run(&converter, source, &to, &layout, expected->data[0]) < 0)
        abort();
    if (!gpu_scale(gpu, source, source->format, &to, &planes))
        abort();
    found = likeness(expected, made);
    printf("%s %dx%d to %s %dx%d: %.1f dB\n", av_get_pix_fmt_name(source->format), source->width,
           source->height, cuframes_format_name(format), width, height, found);
    if (found < least) {
        fprintf(stderr, "less than %.1f dB\n", least);
        failures++;
    }
    converter_fini(&converter);
    av_frame_free(&expected);
    av_frame_free(&made);
}

static void check_formats(struct gpu *gpu, AVFrame *source)
{
    for (int format = 0; format < CUFRAMES_FORMAT_COUNT; format++) {
        /* libswscale takes 10 bits to grey in another range. */
        if (source->format == AV_PIX_FMT_P010 &&
            (format == CUFRAMES_FORMAT_GRAYSCALE || format == CUFRAMES_FORMAT_GRAY16))
            continue;
        check(gpu, source, (cuframes_format_t)format, 160, 90, 40);
        check(gpu, source, (cuframes_format_t)format, 500, 300, 40);
        check(gpu, source, (cuframes_format_t)format, WIDTH, HEIGHT, 40);
    }
}

int main(void)
{
    static const enum AVPixelFormat sources[] = {AV_PIX_FMT_NV12, AV_PIX_FMT_P010,
                                                 AV_PIX_FMT_YUV444P};
    struct gpu gpu = {
        .open = true,
        .driver = {.push = fake_push,
                   .pop = fake_pop,
                   .load_module = fake_load,
                   .function = fake_function,
                   .launch = fake_launch},
    };

    for (size_t i = 0; i < FF_ARRAY_ELEMS(sources); i++) {
        AVFrame *source = picture(sources[i], WIDTH, HEIGHT);
        cuframes_format_t same;

        paint(source);
        check_formats(&gpu, source);
        if (pixfmt_from_av(sources[i], &same))
            check(&gpu, source, same, WIDTH, HEIGHT, 99);
        for (int matrix = 0; matrix < 2; matrix++) {
            for (int full = 0; full < 2; full++) {
                source->colorspace = matrix ? AVCOL_SPC_BT709 : AVCOL_SPC_SMPTE170M;
                source->color_range = full ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
                check(&gpu, source, CUFRAMES_FORMAT_BGRA, 200, 120, 38);
            }
        }
        av_frame_free(&source);
    }
    return failures != 0;
}
