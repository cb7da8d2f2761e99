/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host's side of scale.cu: which component goes where, and with which weights. Formats with
 * luma and chroma are made component by component, those of red, green and blue in one go.
 */
#include "gpu_scale.h"

#include <string.h>

#include <libavutil/pixdesc.h>

#include "pixfmt.h"
#include "scale_ptx.h"

#define BLOCK_X 32
#define BLOCK_Y 8

/* The structures of scale.cu. */
struct component {
    gpu_pointer first;
    int pitch, step, wide, width, height;
};

struct mapping {
    float origin_x, origin_y, step_x, step_y;
};

struct rgb {
    gpu_pointer first;
    int pitch, pixel, red, green, blue, alpha, width, height;
    float matrix[3][4];
};

bool gpu_scale_reads(enum AVPixelFormat format)
{
    return format == AV_PIX_FMT_NV12 || format == AV_PIX_FMT_P010 || format == AV_PIX_FMT_P016 ||
           format == AV_PIX_FMT_YUV444P || format == AV_PIX_FMT_YUV444P16;
}

static bool load_kernels(struct gpu *gpu)
{
    struct gpu_driver *driver = &gpu->driver;

    if (gpu->module)
        return true;
    if (!gpu_succeeded(gpu, driver->load_module(&gpu->module, scale_ptx), "cuModuleLoadData")) {
        gpu->module = NULL;
        return false;
    }
    return gpu_succeeded(gpu,
                         driver->function(&gpu->scale_component, gpu->module, "scale_component"),
                         "cuModuleGetFunction") &&
           gpu_succeeded(gpu, driver->function(&gpu->scale_to_rgb, gpu->module, "scale_to_rgb"),
                         "cuModuleGetFunction");
}

static bool launch(struct gpu *gpu, void *function, int width, int height, void **arguments)
{
    unsigned across = ((unsigned)width + BLOCK_X - 1) / BLOCK_X;
    unsigned down = ((unsigned)height + BLOCK_Y - 1) / BLOCK_Y;

    return gpu_succeeded(gpu,
                         gpu->driver.launch(function, across, down, 1, BLOCK_X, BLOCK_Y, 1, 0, NULL,
                                            arguments, NULL),
                         "cuLaunchKernel");
}

/* Where the samples of one component of a picture are. */
static struct component component_of(const struct gpu_planes *planes, enum AVPixelFormat format,
                                     int index, int width, int height)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(format);
    const AVComponentDescriptor *comp = &desc->comp[index];
    bool chroma = index == 1 || index == 2;

    return (struct component){
        .first = planes->first[comp->plane] + (gpu_pointer)comp->offset,
        .pitch = (int)planes->pitch[comp->plane],
        .step = comp->step,
        .wide = comp->depth > 8,
        .width = chroma ? AV_CEIL_RSHIFT(width, desc->log2_chroma_w) : width,
        .height = chroma ? AV_CEIL_RSHIFT(height, desc->log2_chroma_h) : height,
    };
}

/*
 * From positions in the result to positions in the source, by the ratio of the two sizes in
 * luma samples: edges fall on edges. A chroma sample of 4:2:0 is taken to sit between its columns
 * and rows in both, as libswscale takes it.
 */
static void map_axis(int from_size, int to_size, int from_shift, int to_shift, float *origin,
                     float *step)
{
    double ratio = (double)from_size / to_size;

    *step = (float)(ratio * (1 << to_shift) / (1 << from_shift));
    *origin = (float)(0.5 * *step - 0.5);
}

static struct mapping map_component(const AVFrame *frame, enum AVPixelFormat format,
                                    const struct conversion *to, int from_index, int to_index)
{
    const AVPixFmtDescriptor *from = av_pix_fmt_desc_get(format);
    const AVPixFmtDescriptor *target = av_pix_fmt_desc_get(pixfmt_to_av(to->format));
    bool from_chroma = from_index == 1 || from_index == 2;
    bool to_chroma = to_index == 1 || to_index == 2;
    struct mapping map;

    map_axis(frame->width, to->width, from_chroma ? from->log2_chroma_w : 0,
             to_chroma ? target->log2_chroma_w : 0, &map.origin_x, &map.step_x);
    map_axis(frame->height, to->height, from_chroma ? from->log2_chroma_h : 0,
             to_chroma ? target->log2_chroma_h : 0, &map.origin_y, &map.step_y);
    return map;
}

static struct gpu_planes planes_of(const AVFrame *frame)
{
    struct gpu_planes planes;

    for (int i = 0; i < 4; i++) {
        planes.first[i] = (gpu_pointer)(uintptr_t)frame->data[i];
        planes.pitch[i] = (uint32_t)frame->linesize[i];
    }
    return planes;
}

static bool scale_components(struct gpu *gpu, const AVFrame *frame, enum AVPixelFormat format,
                             const struct conversion *to, const struct gpu_planes *planes)
{
    enum AVPixelFormat target = pixfmt_to_av(to->format);
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(target);
    struct gpu_planes source = planes_of(frame);
    int bits = desc->comp[0].depth;

    for (int i = 0; i < desc->nb_components; i++) {
        struct component from = component_of(&source, format, i, frame->width, frame->height);
        struct component result = component_of(planes, target, i, to->width, to->height);
        struct mapping map = map_component(frame, format, to, i, i);
        void *arguments[] = {&from, &result, &map, &bits};

        if (!launch(gpu, gpu->scale_component, result.width, result.height, arguments))
            return false;
    }
    return true;
}

/* Kr and Kb of ITU-T H.273. */
static void luma_weights(enum AVColorSpace matrix, double *red, double *blue)
{
    switch (matrix) {
    case AVCOL_SPC_BT709:
        *red = 0.2126, *blue = 0.0722;
        break;
    case AVCOL_SPC_FCC:
        *red = 0.30, *blue = 0.11;
        break;
    case AVCOL_SPC_SMPTE240M:
        *red = 0.212, *blue = 0.087;
        break;
    case AVCOL_SPC_BT2020_NCL:
    case AVCOL_SPC_BT2020_CL:
        *red = 0.2627, *blue = 0.0593;
        break;
    default:
        *red = 0.299, *blue = 0.114;
        break;
    }
}

static void fill_matrix(const AVFrame *frame, float matrix[3][4])
{
    bool full = converter_reads_full_range(frame);
    double luma = full ? 1 : 255.0 / 219, chroma = full ? 1 : 255.0 / 224;
    double black = full ? 0 : 16;
    double r, b, g, weights[3][2];

    luma_weights(converter_matrix(frame), &r, &b);
    g = 1 - r - b;
    weights[0][0] = 0, weights[0][1] = 2 * (1 - r);
    weights[1][0] = -2 * b * (1 - b) / g, weights[1][1] = -2 * r * (1 - r) / g;
    weights[2][0] = 2 * (1 - b), weights[2][1] = 0;
    for (int i = 0; i < 3; i++) {
        matrix[i][0] = (float)luma;
        matrix[i][1] = (float)(weights[i][0] * chroma);
        matrix[i][2] = (float)(weights[i][1] * chroma);
        matrix[i][3] = (float)(-black * luma - 128 * chroma * (weights[i][0] + weights[i][1]));
    }
}

static bool scale_rgb(struct gpu *gpu, const AVFrame *frame, enum AVPixelFormat format,
                      const struct conversion *to, const struct gpu_planes *planes)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(pixfmt_to_av(to->format));
    struct gpu_planes source = planes_of(frame);
    struct component luma = component_of(&source, format, 0, frame->width, frame->height);
    struct component cb = component_of(&source, format, 1, frame->width, frame->height);
    struct component cr = component_of(&source, format, 2, frame->width, frame->height);
    struct mapping luma_map = map_component(frame, format, to, 0, 0);
    struct mapping chroma_map = map_component(frame, format, to, 1, 0);
    struct rgb result = {
        .first = planes->first[0],
        .pitch = (int)planes->pitch[0],
        .pixel = desc->comp[0].step,
        .red = desc->comp[0].offset,
        .green = desc->comp[1].offset,
        .blue = desc->comp[2].offset,
        .alpha = desc->nb_components > 3 ? desc->comp[3].offset : -1,
        .width = to->width,
        .height = to->height,
    };
    void *arguments[] = {&luma, &cb, &cr, &luma_map, &chroma_map, &result};

    fill_matrix(frame, result.matrix);
    return launch(gpu, gpu->scale_to_rgb, result.width, result.height, arguments);
}

bool gpu_scale(struct gpu *gpu, const AVFrame *frame, enum AVPixelFormat format,
               const struct conversion *to, const struct gpu_planes *planes)
{
    bool ok;

    if (!gpu_enter(gpu))
        return false;
    ok = load_kernels(gpu) && (pixfmt_is_rgb(pixfmt_to_av(to->format))
                                   ? scale_rgb
                                   : scale_components)(gpu, frame, format, to, planes);
    gpu_leave(gpu);
    return ok;
}
