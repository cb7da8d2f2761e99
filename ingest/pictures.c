/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * get_buffer2 into slots.
 *
 * The geometry of a picture is what libavcodec's own allocator would make: dimensions padded by
 * avcodec_align_dimensions2(), the width increased until every row starts aligned, and some bytes
 * after each plane, because decoders write whole blocks and read vectors. Pictures on the heap have
 * the same geometry, since some decoders refuse pitches that change within a stream.
 */
#include "pictures.h"

#include <string.h>

#include <libavutil/imgutils.h>
#include <libavutil/pixdesc.h>

#include "convert.h"
#include "pixfmt.h"

/* What libavcodec's allocator leaves after each plane, for its widest vectors. */
#define PLANE_TAIL      80
#define PLANE_ALIGNMENT 64

int pictures_init(struct pictures *pictures, struct channel *channel)
{
    memset(pictures, 0, sizeof(*pictures));
    pictures->channel = channel;
    for (int i = 0; i < MAX_PICTURES; i++)
        pictures->pictures[i].owner = pictures;
    return pthread_mutex_init(&pictures->lock, NULL);
}

void pictures_fini(struct pictures *pictures)
{
    av_buffer_pool_uninit(&pictures->heap_pool);
    pthread_mutex_destroy(&pictures->lock);
}

/* libavcodec's own way from padded dimensions to pitches. */
static int padded_pitches(AVCodecContext *codec, int *width, int *height, int *pitches)
{
    int alignment[AV_NUM_DATA_POINTERS];
    int unaligned, err;

    avcodec_align_dimensions2(codec, width, height, alignment);
    do {
        err = av_image_fill_linesizes(pitches, codec->pix_fmt, *width);
        if (err < 0)
            return err;
        unaligned = 0;
        for (int i = 0; i < 4; i++)
            unaligned |= pitches[i] % alignment[i];
        if (unaligned)
            *width += *width & ~(*width - 1);
    } while (unaligned);
    return 0;
}

static int padded_layout(AVCodecContext *codec, const AVFrame *frame, cuframes_layout_t *layout)
{
    int width = frame->width, height = frame->height;
    int pitches[4];
    ptrdiff_t wide_pitches[4];
    size_t sizes[4];
    int err = padded_pitches(codec, &width, &height, pitches);

    if (err < 0)
        return err;
    for (int i = 0; i < 4; i++)
        wide_pitches[i] = pitches[i];
    err = av_image_fill_plane_sizes(sizes, codec->pix_fmt, height, wide_pitches);
    if (err < 0)
        return err;
    *layout = (cuframes_layout_t){.coded_width = width, .coded_height = height};
    for (uint32_t i = 0; i < 4 && sizes[i]; i++) {
        layout->planes[i] = (cuframes_plane_layout_t){
            .offset = layout->size,
            .pitch = (uint32_t)pitches[i],
            .rows = (uint32_t)(sizes[i] / (size_t)pitches[i]),
        };
        layout->plane_count = i + 1;
        layout->size +=
            (sizes[i] + PLANE_TAIL + PLANE_ALIGNMENT - 1) & ~(size_t)(PLANE_ALIGNMENT - 1);
    }
    return 0;
}

static void choose_sar(const struct channel *channel, const AVCodecContext *codec,
                       struct geometry *geometry)
{
    geometry->sar_num = channel->stream_sar_num;
    geometry->sar_den = channel->stream_sar_den;
    if (geometry->sar_num <= 0 && codec->sample_aspect_ratio.num > 0) {
        geometry->sar_num = codec->sample_aspect_ratio.num;
        geometry->sar_den = codec->sample_aspect_ratio.den;
    }
}

static int decoder_geometry(struct pictures *pictures, AVCodecContext *codec, const AVFrame *frame,
                            struct geometry *geometry)
{
    memset(geometry, 0, sizeof(*geometry));
    geometry->memory = CUFRAMES_MEMORY_HOST;
    /* The decoder's width is the visible one; the frame's can be the coded one. */
    geometry->width = FFMIN(codec->width, frame->width);
    geometry->height = FFMIN(codec->height, frame->height);
    geometry->color = pixfmt_color(codec->pix_fmt, codec->colorspace, codec->color_primaries,
                                   codec->color_trc, codec->color_range);
    geometry->decoder_slots = pictures_needed(codec);
    choose_sar(pictures->channel, codec, geometry);
    if (!pixfmt_from_av(codec->pix_fmt, &geometry->format))
        return AVERROR(EINVAL);
    return padded_layout(codec, frame, &geometry->layout);
}

static struct picture *take_picture(struct pictures *pictures)
{
    for (int i = 0; i < MAX_PICTURES; i++) {
        unsigned index = atomic_fetch_add_explicit(&pictures->next, 1, memory_order_relaxed);
        struct picture *picture = &pictures->pictures[index % MAX_PICTURES];
        bool unused = false;

        /* Acquire: pairs with the release in drop_picture(). */
        if (atomic_compare_exchange_strong_explicit(&picture->used, &unused, true,
                                                    memory_order_acquire, memory_order_relaxed)) {
            picture->buffer = NULL;
            picture->heap = NULL;
            picture->published = false;
            return picture;
        }
    }
    return NULL;
}

static void count_claim(struct pictures *pictures)
{
    int now = atomic_fetch_add_explicit(&pictures->claimed, 1, memory_order_relaxed) + 1;
    int most = atomic_load_explicit(&pictures->most_claimed, memory_order_relaxed);

    while (now > most &&
           !atomic_compare_exchange_weak_explicit(&pictures->most_claimed, &most, now,
                                                  memory_order_relaxed, memory_order_relaxed))
        continue;
}

/* Gives back what a picture has. Any thread. */
static void drop_picture(struct picture *picture)
{
    if (picture->buffer)
        atomic_fetch_sub_explicit(&picture->owner->claimed, 1, memory_order_relaxed);
    cuframes_buffer_unref(picture->buffer);
    av_buffer_unref(&picture->heap);
    atomic_store_explicit(&picture->used, false, memory_order_release);
}

/* AVBuffer's callback: the last reference is gone. */
static void on_unreferenced(void *opaque, uint8_t *data)
{
    (void)data;
    drop_picture(opaque);
}

static int heap_memory(struct pictures *pictures, size_t size, AVBufferRef **memory)
{
    pthread_mutex_lock(&pictures->lock);
    if (!pictures->heap_pool || pictures->heap_size != size) {
        av_buffer_pool_uninit(&pictures->heap_pool);
        pictures->heap_pool = av_buffer_pool_init(size, NULL);
        pictures->heap_size = size;
    }
    *memory = pictures->heap_pool ? av_buffer_pool_get(pictures->heap_pool) : NULL;
    pthread_mutex_unlock(&pictures->lock);
    return *memory ? 0 : AVERROR(ENOMEM);
}

/* Memory for a picture: a slot, or the heap when every slot is taken. */
static uint8_t *find_memory(struct pictures *pictures, const struct geometry *geometry,
                            struct picture *picture)
{
    int err = channel_claim(pictures->channel, geometry, &picture->buffer);

    if (!err) {
        count_claim(pictures);
        return cuframes_buffer_data(picture->buffer);
    }
    if (err != CUFRAMES_ERR_WOULD_BLOCK && err != CUFRAMES_ERR_TOO_MANY)
        return NULL;
    if (heap_memory(pictures, (size_t)geometry->layout.size, &picture->heap) < 0)
        return NULL;
    return picture->heap->data;
}

static void describe_frame(AVFrame *frame, uint8_t *memory, const cuframes_layout_t *layout)
{
    for (uint32_t i = 0; i < layout->plane_count; i++) {
        frame->data[i] = memory + layout->planes[i].offset;
        frame->linesize[i] = (int)layout->planes[i].pitch;
    }
    frame->extended_data = frame->data;
}

static int get_buffer(AVCodecContext *codec, AVFrame *frame, int flags)
{
    struct pictures *pictures = codec->opaque;
    struct conversion to;
    struct geometry geometry;
    struct picture *picture;
    uint8_t *memory;

    if (!(codec->codec->capabilities & AV_CODEC_CAP_DR1) ||
        pictures->channel->options->memory == CUFRAMES_MEMORY_CUDA ||
        conversion_needed(pictures->channel->options, codec->pix_fmt, codec->width, codec->height,
                          &to) ||
        decoder_geometry(pictures, codec, frame, &geometry) < 0)
        return avcodec_default_get_buffer2(codec, frame, flags);
    picture = take_picture(pictures);
    if (!picture)
        return avcodec_default_get_buffer2(codec, frame, flags);
    memory = find_memory(pictures, &geometry, picture);
    if (memory)
        frame->buf[0] = av_buffer_create(memory, (size_t)geometry.layout.size, on_unreferenced,
                                         picture, AV_BUFFER_FLAG_READONLY);
    if (!frame->buf[0]) {
        drop_picture(picture);
        return AVERROR(ENOMEM);
    }
    describe_frame(frame, memory, &geometry.layout);
    return 0;
}

void pictures_attach(struct pictures *pictures, AVCodecContext *codec)
{
    codec->opaque = pictures;
    codec->get_buffer2 = get_buffer;
#if LIBAVCODEC_VERSION_MAJOR < 60
    AV_NOWARN_DEPRECATED(codec->thread_safe_callbacks = 1;) /* later versions take it for granted */
#endif
}

struct picture *picture_of(struct pictures *pictures, const AVFrame *frame)
{
    struct picture *picture = frame->buf[0] ? av_buffer_get_opaque(frame->buf[0]) : NULL;
    uintptr_t place = (uintptr_t)picture, first = (uintptr_t)pictures->pictures;

    return place >= first && place < first + sizeof(pictures->pictures) ? picture : NULL;
}

bool picture_is_slot(const struct picture *picture, const AVFrame *frame)
{
    const cuframes_layout_t *layout;

    if (!picture->buffer)
        return false;
    layout = cuframes_buffer_layout(picture->buffer);
    for (uint32_t i = 0; i < layout->plane_count; i++) {
        if (frame->data[i] != cuframes_buffer_plane(picture->buffer, (int32_t)i, NULL) ||
            frame->linesize[i] != (int)layout->planes[i].pitch)
            return false;
    }
    return true;
}

/* The decoded picture buffer of HEVC, in pictures, from the level's limit on the picture's size. */
static int hevc_references(const AVCodecContext *codec)
{
    static const struct {
        int level; /* 30 times its number */
        int64_t samples;
    } limits[] = {
        {30, 36864},  {60, 122880},   {63, 245760},   {90, 552960},
        {93, 983040}, {123, 2228224}, {156, 8912896}, {186, 35651584},
    };
    int64_t samples = (int64_t)codec->width * codec->height;

    for (size_t i = 0; i < FF_ARRAY_ELEMS(limits); i++) {
        if (codec->level <= 0 || codec->level > limits[i].level)
            continue;
        if (samples * 4 <= limits[i].samples)
            return 16;
        if (samples * 2 <= limits[i].samples)
            return 12;
        return samples * 4 <= limits[i].samples * 3 ? 8 : 6;
    }
    return 16;
}

static int references(const AVCodecContext *codec)
{
    const AVCodecDescriptor *descriptor = avcodec_descriptor_get(codec->codec_id);

    if (descriptor && (descriptor->props & AV_CODEC_PROP_INTRA_ONLY))
        return 0;
    switch (codec->codec_id) {
    case AV_CODEC_ID_H264:
        return (codec->refs > 0 ? codec->refs : 16) + codec->has_b_frames;
    case AV_CODEC_ID_HEVC:
        return hevc_references(codec);
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_AV1:
        return 8;
    default:
        return 4;
    }
}

int32_t pictures_needed(const AVCodecContext *codec)
{
    bool frame_threads = (codec->active_thread_type & FF_THREAD_FRAME) && codec->thread_count > 1;
    /* Each frame thread has a picture in work and one that waits to be put out. */
    int in_work = frame_threads ? 2 * codec->thread_count : 1;

    return references(codec) + in_work;
}
