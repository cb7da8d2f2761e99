/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Geometry and contents of slots that hold converted or copied pictures. Between host and GPU
 * memory a picture is converted first, so that what is carried over has the size of the slot.
 */
#include "fill.h"

#include <stdlib.h>

#include <libavutil/pixdesc.h>

#include "gpu_scale.h"
#include "log.h"
#include "pixfmt.h"

void filler_init(struct filler *filler, struct gpu *gpu)
{
    *filler = (struct filler){.gpu = gpu};
}

void filler_fini(struct filler *filler)
{
    converter_fini(&filler->converter);
    free(filler->upload);
    filler->upload = NULL;
    filler->upload_size = 0;
}

bool fill_conversion(const struct options *options, const AVFrame *frame, struct conversion *to)
{
    return conversion_needed(options, pixfmt_of_frame(frame), frame->width, frame->height, to);
}

/* A pixel changes its shape with the picture's. */
static void keep_shape(const struct channel *channel, const AVFrame *frame,
                       struct geometry *geometry)
{
    AVRational sar = {channel->stream_sar_num, channel->stream_sar_den};

    if (sar.num <= 0)
        sar = frame->sample_aspect_ratio;
    if (sar.num <= 0 || sar.den <= 0)
        return;
    av_reduce(&geometry->sar_num, &geometry->sar_den,
              (int64_t)sar.num * frame->width * geometry->height,
              (int64_t)sar.den * frame->height * geometry->width, INT32_MAX);
}

static bool is_on_gpu(const AVFrame *frame)
{
    return frame->format == AV_PIX_FMT_CUDA;
}

static cuframes_memory_t choose_memory(const AVFrame *frame, cuframes_memory_t asked)
{
    if (asked != CUFRAMES_MEMORY_AUTO)
        return asked;
    return is_on_gpu(frame) ? CUFRAMES_MEMORY_CUDA : CUFRAMES_MEMORY_HOST;
}

int fill_claim(struct channel *channel, const AVFrame *frame, const struct conversion *to,
               bool converted, cuframes_memory_t memory, cuframes_buffer_t **buffer)
{
    struct geometry geometry = {.width = to->width, .height = to->height, .format = to->format};
    int err = channel_plain_layout(&geometry.layout, to->format, to->width, to->height);

    if (err)
        return err;
    geometry.memory = choose_memory(frame, memory);
    geometry.decoder_slots = 1; /* the one that is being written */
    geometry.color = converted ? converter_color(frame, to->format) : pixfmt_frame_color(frame);
    keep_shape(channel, frame, &geometry);
    return channel_claim(channel, &geometry, buffer);
}

static struct gpu_planes planes_at(gpu_pointer start, const cuframes_layout_t *layout)
{
    struct gpu_planes planes = {0};

    for (uint32_t i = 0; i < layout->plane_count && i < 4; i++) {
        planes.first[i] = start + layout->planes[i].offset;
        planes.pitch[i] = layout->planes[i].pitch;
    }
    return planes;
}

static bool gpu_failed(const struct filler *filler)
{
    log_line(CUFRAMES_LOG_ERROR, "GPU %d: %s", filler->gpu->index, filler->gpu->error);
    return false;
}

/* Within GPU memory. A copy is a conversion that changes nothing. */
static bool fill_on_gpu(struct filler *filler, const AVFrame *frame, const struct conversion *to,
                        cuframes_buffer_t *buffer)
{
    gpu_pointer start = (gpu_pointer)(uintptr_t)cuframes_buffer_data(buffer);
    struct gpu_planes planes = planes_at(start, cuframes_buffer_layout(buffer));

    return gpu_scale(filler->gpu, frame, pixfmt_of_frame(frame), to, &planes) || gpu_failed(filler);
}

static bool download(struct filler *filler, const AVFrame *frame, const struct conversion *to,
                     cuframes_buffer_t *buffer)
{
    const cuframes_layout_t *layout = cuframes_buffer_layout(buffer);
    gpu_pointer scratch = gpu_scratch(filler->gpu, (size_t)layout->size);
    struct gpu_planes planes = planes_at(scratch, layout);

    if (!scratch || !gpu_scale(filler->gpu, frame, pixfmt_of_frame(frame), to, &planes))
        return gpu_failed(filler);
    /* One row as long as the picture: planes follow one another in both places. */
    return gpu_download(filler->gpu, cuframes_buffer_data(buffer), (size_t)layout->size, scratch,
                        (size_t)layout->size, (size_t)layout->size, 1) ||
           gpu_failed(filler);
}

static bool cannot_convert(const AVFrame *frame, const struct conversion *to)
{
    log_line(CUFRAMES_LOG_ERROR, "cannot convert %s %dx%d to %s %dx%d",
             av_get_pix_fmt_name(pixfmt_of_frame(frame)), frame->width, frame->height,
             cuframes_format_name(to->format), to->width, to->height);
    return false;
}

static bool fill_host(struct filler *filler, const AVFrame *frame, const struct conversion *to,
                      bool converted, const cuframes_layout_t *layout, void *start)
{
    if (converted)
        return converter_run(&filler->converter, frame, to, layout, start) >= 0 ||
               cannot_convert(frame, to);
    copy_picture(frame, layout, start);
    return true;
}

static bool upload(struct filler *filler, const AVFrame *frame, const struct conversion *to,
                   bool converted, cuframes_buffer_t *buffer)
{
    const cuframes_layout_t *layout = cuframes_buffer_layout(buffer);
    size_t size = (size_t)layout->size;

    if (filler->upload_size < size) {
        free(filler->upload);
        filler->upload = calloc(1, size);
        filler->upload_size = filler->upload ? size : 0;
    }
    if (!filler->upload) {
        log_line(CUFRAMES_LOG_ERROR, "out of memory");
        return false;
    }
    if (!fill_host(filler, frame, to, converted, layout, filler->upload))
        return false;
    if (cuframes_buffer_write(buffer, 0, filler->upload, size, NULL)) {
        log_line(CUFRAMES_LOG_ERROR, "%s", cuframes_last_error());
        return false;
    }
    return true;
}

bool fill_buffer(struct filler *filler, const AVFrame *frame, const struct conversion *to,
                 bool converted, const struct channel *channel, cuframes_buffer_t *buffer,
                 cuframes_frame_meta_t *meta)
{
    bool to_gpu = channel->geometry.memory == CUFRAMES_MEMORY_CUDA;

    meta->copies = is_on_gpu(frame) == to_gpu ? 1 : 2;
    meta->crop = (cuframes_rect_t){.width = to->width, .height = to->height};
    if (converted)
        meta->color = converter_color(frame, to->format);
    if (is_on_gpu(frame))
        return (to_gpu ? fill_on_gpu : download)(filler, frame, to, buffer);
    if (to_gpu)
        return upload(filler, frame, to, converted, buffer);
    return fill_host(filler, frame, to, converted, cuframes_buffer_layout(buffer),
                     cuframes_buffer_data(buffer));
}
