/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hardware frames context whose pool gives slots.
 *
 * An AVBufferPool hands a returned buffer out again by itself. A slot must not go that way once it
 * is published: it belongs to whoever the library gives it next. So each published frame takes its
 * pool with it (nvdec_renew_pool()), which then frees the buffer when FFmpeg lets it go, and the
 * next picture's buffer comes from a new pool. What was not published may be handed out again.
 */
#include "nvdec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "convert.h"
#include "gpu_scale.h"
#include "pixfmt.h"
#include "stamps.h"

/* One that is being written, one that the decoder has ready. */
#define DECODER_SLOTS 2
/* The size of a slot is a multiple of what the GPU's textures want their start to be. */
#define SLOT_ALIGNMENT 512
/* No memory: where the geometry of a picture is asked for. */
#define NOWHERE 0x10000

/*
 * FFmpeg's AVCUDADeviceContext, whose header needs the CUDA toolkit's. Public, and the same in all
 * releases that this program builds with.
 */
struct av_cuda_device {
    void *context, *stream, *internal;
};

/* Who has a buffer of the pool. */
struct surface {
    cuframes_buffer_t *buffer; /* NULL: the spare one */
};

void nvdec_init(struct nvdec *nvdec, struct gpu *gpu, struct channel *channel)
{
    *nvdec = (struct nvdec){.gpu = gpu, .channel = channel};
}

void nvdec_fini(struct nvdec *nvdec)
{
    av_buffer_unref(&nvdec->frames);
    av_buffer_unref(&nvdec->device);
    if (nvdec->spare && gpu_enter(nvdec->gpu)) {
        nvdec->gpu->driver.free(nvdec->spare);
        gpu_leave(nvdec->gpu);
    }
    nvdec->spare = 0;
}

const AVCodec *nvdec_find(const AVCodecParameters *parameters, char *why, size_t size)
{
    static const struct {
        enum AVCodecID id;
        const char *name;
    } decoders[] = {
        {AV_CODEC_ID_H264, "h264_cuvid"},        {AV_CODEC_ID_HEVC, "hevc_cuvid"},
        {AV_CODEC_ID_AV1, "av1_cuvid"},          {AV_CODEC_ID_VP9, "vp9_cuvid"},
        {AV_CODEC_ID_VP8, "vp8_cuvid"},          {AV_CODEC_ID_MJPEG, "mjpeg_cuvid"},
        {AV_CODEC_ID_MPEG2VIDEO, "mpeg2_cuvid"}, {AV_CODEC_ID_MPEG4, "mpeg4_cuvid"},
    };
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(parameters->format);
    const AVCodec *codec = NULL;

    for (size_t i = 0; i < FF_ARRAY_ELEMS(decoders); i++) {
        if (decoders[i].id == parameters->codec_id)
            codec = avcodec_find_decoder_by_name(decoders[i].name);
    }
    if (!codec)
        snprintf(why, size, "this FFmpeg has no decoder on the GPU for %s",
                 avcodec_get_name(parameters->codec_id));
    if (codec && desc && desc->log2_chroma_w == 1 && desc->log2_chroma_h == 0) {
        snprintf(why, size, "no GPU decodes 4:2:2 (%s) through this FFmpeg", desc->name);
        codec = NULL;
    }
    return codec;
}

/* --- the pool ------------------------------------------------------------------------------- */

static void on_unreferenced(void *opaque, uint8_t *data)
{
    struct surface *surface = opaque;

    (void)data;
    cuframes_buffer_unref(surface->buffer);
    free(surface);
}

static gpu_pointer spare_memory(struct nvdec *nvdec)
{
    struct gpu *gpu = nvdec->gpu;
    size_t size = (size_t)nvdec->geometry.layout.size;

    if (nvdec->spare && nvdec->spare_size >= size)
        return nvdec->spare;
    if (!gpu_enter(gpu))
        return 0;
    if (nvdec->spare)
        gpu->driver.free(nvdec->spare);
    if (!gpu_succeeded(gpu, gpu->driver.allocate(&nvdec->spare, size), "cuMemAlloc"))
        nvdec->spare = 0;
    nvdec->spare_size = nvdec->spare ? size : 0;
    gpu_leave(gpu);
    return nvdec->spare;
}

static void *memory_for(struct nvdec *nvdec, struct surface *surface)
{
    int err = CUFRAMES_ERR_WOULD_BLOCK;

    if (nvdec->direct)
        err = channel_claim(nvdec->channel, &nvdec->geometry, &surface->buffer);
    if (!err)
        return cuframes_buffer_data(surface->buffer);
    if (err != CUFRAMES_ERR_WOULD_BLOCK && err != CUFRAMES_ERR_TOO_MANY)
        return NULL;
    /* One is enough: who wants to see it reads it in the order of the stream that fills it. */
    return (void *)(uintptr_t)spare_memory(nvdec);
}

static AVBufferRef *allocate_surface(void *opaque, size_t size)
{
    struct nvdec *nvdec = opaque;
    struct surface *surface = calloc(1, sizeof(*surface));
    void *memory = surface ? memory_for(nvdec, surface) : NULL;
    AVBufferRef *buffer = NULL;

    if (memory)
        buffer = av_buffer_create(memory, size, on_unreferenced, surface, 0);
    if (!buffer && surface) {
        cuframes_buffer_unref(surface->buffer);
        free(surface);
    }
    return buffer;
}

bool nvdec_renew_pool(struct nvdec *nvdec)
{
    AVHWFramesContext *frames = (AVHWFramesContext *)nvdec->frames->data;

    av_buffer_pool_uninit(&frames->pool);
    frames->pool =
        av_buffer_pool_init2((size_t)nvdec->geometry.layout.size, nvdec, allocate_surface, NULL);
    return frames->pool != NULL;
}

cuframes_buffer_t *nvdec_buffer(const AVFrame *frame)
{
    const struct surface *surface = av_buffer_pool_buffer_get_opaque(frame->buf[0]);

    return surface->buffer;
}

/* --- geometry ------------------------------------------------------------------------------- */

static void leave_alone(void *opaque, uint8_t *data)
{
    (void)opaque;
    (void)data;
}

static AVBufferRef *allocate_nowhere(void *opaque, size_t size)
{
    (void)opaque;
    return av_buffer_create((uint8_t *)(uintptr_t)NOWHERE, size, leave_alone, NULL, 0);
}

static void free_pool(AVHWFramesContext *frames)
{
    av_buffer_pool_uninit(&frames->pool);
}

static AVBufferRef *make_frames(struct nvdec *nvdec, const AVCodecContext *codec)
{
    AVBufferRef *buffer = av_hwframe_ctx_alloc(nvdec->device);
    AVHWFramesContext *frames;
    int size = av_image_get_buffer_size(codec->sw_pix_fmt, codec->width, codec->height, 1);

    if (!buffer || size < 0) {
        av_buffer_unref(&buffer);
        return NULL;
    }
    frames = (AVHWFramesContext *)buffer->data;
    frames->format = AV_PIX_FMT_CUDA;
    frames->sw_format = codec->sw_pix_fmt;
    frames->width = codec->width;
    frames->height = codec->height;
    frames->free = free_pool;
    frames->pool = av_buffer_pool_init2((size_t)size, NULL, allocate_nowhere, NULL);
    if (!frames->pool || av_hwframe_ctx_init(buffer) < 0)
        av_buffer_unref(&buffer);
    return buffer;
}

/*
 * Where FFmpeg has the planes of a picture depends on its release and on the GPU. It says so by a
 * frame, for which it needs no memory.
 */
static bool ask_layout(AVBufferRef *frames, const AVCodecContext *codec, cuframes_layout_t *layout)
{
    const AVPixFmtDescriptor *desc = av_pix_fmt_desc_get(codec->sw_pix_fmt);
    AVFrame *frame = av_frame_alloc();
    bool ok = frame && av_hwframe_get_buffer(frames, frame, 0) >= 0;

    *layout = (cuframes_layout_t){.coded_width = codec->width, .coded_height = codec->height};
    for (int i = 0; ok && i < 4 && frame->data[i]; i++) {
        int shift = i > 0 ? desc->log2_chroma_h : 0;
        cuframes_plane_layout_t *plane = &layout->planes[i];

        plane->offset = (uint64_t)(uintptr_t)frame->data[i] - NOWHERE;
        plane->pitch = (uint32_t)frame->linesize[i];
        plane->rows = (uint32_t)AV_CEIL_RSHIFT(codec->height, shift);
        layout->plane_count = (uint32_t)i + 1;
        layout->size = FFMAX(layout->size, plane->offset + (uint64_t)plane->pitch * plane->rows);
    }
    layout->size = FFALIGN(layout->size, SLOT_ALIGNMENT);
    av_frame_free(&frame);
    return ok;
}

/* The chip rounds an odd size up; the container knows better. */
static int visible(int decoded, int said)
{
    return said == decoded - 1 ? said : decoded;
}

static void describe(struct nvdec *nvdec, const AVCodecContext *codec)
{
    const struct channel *channel = nvdec->channel;
    struct geometry *geometry = &nvdec->geometry;
    const struct options *options = channel->options;
    struct conversion to;
    bool known = pixfmt_from_av(codec->sw_pix_fmt, &geometry->format);

    geometry->width = visible(codec->width, nvdec->visible_width);
    geometry->height = visible(codec->height, nvdec->visible_height);
    geometry->memory = CUFRAMES_MEMORY_CUDA;
    geometry->decoder_slots = DECODER_SLOTS;
    geometry->sar_num = channel->stream_sar_num;
    geometry->sar_den = channel->stream_sar_den;
    if (geometry->sar_num <= 0 && codec->sample_aspect_ratio.num > 0) {
        geometry->sar_num = codec->sample_aspect_ratio.num;
        geometry->sar_den = codec->sample_aspect_ratio.den;
    }
    nvdec->direct =
        known && options->memory != CUFRAMES_MEMORY_HOST &&
        !conversion_needed(options, codec->sw_pix_fmt, geometry->width, geometry->height, &to);
}

static bool is_prepared(const struct nvdec *nvdec, const AVCodecContext *codec)
{
    const AVHWFramesContext *frames;

    if (!nvdec->frames)
        return false;
    frames = (const AVHWFramesContext *)nvdec->frames->data;
    return frames->width == codec->width && frames->height == codec->height &&
           frames->sw_format == codec->sw_pix_fmt;
}

static bool prepare(struct nvdec *nvdec, const AVCodecContext *codec)
{
    AVBufferRef *frames;

    if (is_prepared(nvdec, codec))
        return true;
    frames = make_frames(nvdec, codec);
    if (!frames)
        return false;
    nvdec->geometry = (struct geometry){0};
    if (!ask_layout(frames, codec, &nvdec->geometry.layout)) {
        av_buffer_unref(&frames);
        return false;
    }
    describe(nvdec, codec);
    av_buffer_unref(&nvdec->frames);
    nvdec->frames = frames;
    return nvdec_renew_pool(nvdec);
}

/* --- the decoder ---------------------------------------------------------------------------- */

/*
 * FFmpeg asks once when the decoder is made, before anything is known, and then for each sequence
 * of pictures.
 */
static enum AVPixelFormat choose_format(AVCodecContext *codec, const enum AVPixelFormat *formats)
{
    struct nvdec *nvdec = codec->opaque;

    if (nvdec->asked++ == 0)
        return formats[0];
    nvdec->resized = nvdec->asked > 2 && !is_prepared(nvdec, codec);
    if (nvdec->resized || !gpu_scale_reads(codec->sw_pix_fmt) || !prepare(nvdec, codec))
        return AV_PIX_FMT_NONE;
    av_buffer_unref(&codec->hw_frames_ctx);
    codec->hw_frames_ctx = av_buffer_ref(nvdec->frames);
    return codec->hw_frames_ctx ? AV_PIX_FMT_CUDA : AV_PIX_FMT_NONE;
}

/* FFmpeg's view of the GPU over the context that the library uses. */
static int make_device(struct nvdec *nvdec)
{
    struct av_cuda_device *cuda;
    int err;

    if (nvdec->device)
        return 0;
    nvdec->device = av_hwdevice_ctx_alloc(AV_HWDEVICE_TYPE_CUDA);
    if (!nvdec->device)
        return AVERROR(ENOSYS);
    cuda = ((AVHWDeviceContext *)nvdec->device->data)->hwctx;
    cuda->context = nvdec->gpu->context;
    err = av_hwdevice_ctx_init(nvdec->device);
    if (err < 0)
        av_buffer_unref(&nvdec->device);
    return err;
}

int nvdec_attach(struct nvdec *nvdec, AVCodecContext *codec, bool live)
{
    int err = make_device(nvdec);

    if (err < 0)
        return err;
    codec->hw_device_ctx = av_buffer_ref(nvdec->device);
    if (!codec->hw_device_ctx)
        return AVERROR(ENOMEM);
    codec->opaque = nvdec;
    codec->get_format = choose_format;
    codec->thread_count = 1;
    codec->pkt_timebase = (AVRational){1, 10000000}; /* the chip's own: numbers come back whole */
    if (live)
        codec->flags |= AV_CODEC_FLAG_LOW_DELAY; /* else it keeps four pictures to work ahead */
    nvdec->asked = 0;
    nvdec->resized = false;
    nvdec->visible_width = codec->width;
    nvdec->visible_height = codec->height;
    return 0;
}

int nvdec_note_packet(struct nvdec *nvdec, const AVCodecContext *codec, const AVPacket *packet,
                      AVPacket *carried)
{
    int64_t number = ++nvdec->packets;
    int err = av_packet_ref(carried, packet);

    if (err < 0)
        return err;
    nvdec->timed |= packet->pts != AV_NOPTS_VALUE;
    carried->pts = carried->dts = nvdec->timed ? packet->pts : number;
    nvdec->notes[number % NVDEC_NOTES] = (struct nvdec_note){
        .carried = carried->pts,
        .pts = packet->pts,
        .mark = stamps_packet_mark(codec, packet),
    };
    return 0;
}

/* The newest that had it; each is for one picture. */
static struct nvdec_note take_note(struct nvdec *nvdec, int64_t carried)
{
    struct nvdec_note found = {.pts = AV_NOPTS_VALUE};

    for (int64_t i = 0; i < NVDEC_NOTES && i < nvdec->packets; i++) {
        struct nvdec_note *note = &nvdec->notes[(nvdec->packets - i) % NVDEC_NOTES];

        if (note->carried == carried && carried != AV_NOPTS_VALUE) {
            found = *note;
            note->carried = AV_NOPTS_VALUE;
            return found;
        }
    }
    return found;
}

void nvdec_complete(struct nvdec *nvdec, const AVCodecContext *codec, AVFrame *frame)
{
    struct nvdec_note note = take_note(nvdec, frame->pts);

    frame->best_effort_timestamp = frame->pts = note.pts;
    stamps_mark_frame(frame, note.mark);
    if (codec->codec_id == AV_CODEC_ID_MJPEG) /* the chip's parser does not look */
        frame->color_range = AVCOL_RANGE_JPEG;
    frame->crop_right = (size_t)(frame->width - visible(frame->width, nvdec->visible_width));
    frame->crop_bottom = (size_t)(frame->height - visible(frame->height, nvdec->visible_height));
}
