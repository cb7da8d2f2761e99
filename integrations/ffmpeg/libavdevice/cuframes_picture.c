/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See cuframes_picture.h. A hold ends in whatever thread drops the last reference to a buffer, so
 * the count has a lock of its own.
 */
#include "cuframes_picture.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <libavutil/mem.h>

/* The most that FFmpeg's vector code reads past the end of a row. */
#define OVERREAD  64
#define SLOT_STEP 4096

typedef struct Holds {
    pthread_mutex_t lock;
    pthread_cond_t came_back;
    unsigned out;
    pthread_t reader; /* who asked last */
    int own;          /* frames come back in the reader's thread */
    int in_vain;      /* the last wait was, and nothing came back since */
} Holds;

typedef struct Held {
    cuframes_frame_t *frame;
    AVBufferRef *holds;
} Held;

static void free_holds(void *opaque, uint8_t *data)
{
    Holds *holds = (Holds *)data;

    (void)opaque;
    pthread_cond_destroy(&holds->came_back);
    pthread_mutex_destroy(&holds->lock);
    av_free(holds);
}

static int init_holds(Holds *holds)
{
    pthread_condattr_t attributes;
    int err;

    if (pthread_condattr_init(&attributes))
        return AVERROR(ENOMEM);
    err = pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    if (!err)
        err = pthread_cond_init(&holds->came_back, &attributes);
    pthread_condattr_destroy(&attributes);
    if (!err && (err = pthread_mutex_init(&holds->lock, NULL)))
        pthread_cond_destroy(&holds->came_back);
    return err ? AVERROR(err) : 0;
}

AVBufferRef *ff_cuframes_holds_alloc(void)
{
    Holds *holds = av_mallocz(sizeof(*holds));
    AVBufferRef *ref;

    if (!holds || init_holds(holds) < 0) {
        av_free(holds);
        return NULL;
    }
    if (!(ref = av_buffer_create((uint8_t *)holds, sizeof(*holds), free_holds, NULL, 0)))
        free_holds(NULL, (uint8_t *)holds);
    return ref;
}

static struct timespec time_in(int ms)
{
    struct timespec at;

    clock_gettime(CLOCK_MONOTONIC, &at);
    at.tv_sec += ms / 1000;
    at.tv_nsec += ms % 1000 * 1000000L;
    if (at.tv_nsec >= 1000000000L) {
        at.tv_sec++;
        at.tv_nsec -= 1000000000L;
    }
    return at;
}

int ff_cuframes_may_hold(AVBufferRef *ref, unsigned granted, int wait_ms)
{
    Holds *holds = (Holds *)ref->data;
    struct timespec end = time_in(wait_ms);
    int may, err = 0;

    pthread_mutex_lock(&holds->lock);
    holds->reader = pthread_self();
    /* Where the reader itself lets frames go, waiting would be for itself. */
    if (wait_ms > 0 && !holds->own && !holds->in_vain)
        while (holds->out + 2 > granted && err != ETIMEDOUT)
            err = pthread_cond_timedwait(&holds->came_back, &holds->lock, &end);
    may = holds->out + 2 <= granted;
    if (!may)
        holds->in_vain = 1;
    pthread_mutex_unlock(&holds->lock);
    return may;
}

static void count_out(AVBufferRef *ref)
{
    Holds *holds = (Holds *)ref->data;

    pthread_mutex_lock(&holds->lock);
    holds->out++;
    pthread_mutex_unlock(&holds->lock);
}

static void count_back(AVBufferRef *ref)
{
    Holds *holds = (Holds *)ref->data;

    pthread_mutex_lock(&holds->lock);
    holds->out--;
    holds->own = pthread_equal(holds->reader, pthread_self()) != 0;
    holds->in_vain = 0;
    pthread_cond_signal(&holds->came_back);
    pthread_mutex_unlock(&holds->lock);
}

static void release_held(void *opaque, uint8_t *data)
{
    Held *held = opaque;

    (void)data;
    if (cuframes_frame_memory(held->frame) != CUFRAMES_MEMORY_CUDA ||
        cuframes_frame_release_stream(held->frame, NULL) != CUFRAMES_OK)
        cuframes_frame_release(held->frame);
    count_back(held->holds);
    av_buffer_unref(&held->holds);
    av_free(held);
}

static AVBufferRef *hold(AVBufferRef *holds, cuframes_frame_t *frame)
{
    Held *held = av_mallocz(sizeof(*held));
    AVBufferRef *buffer = NULL;

    if (held && (held->holds = av_buffer_ref(holds)))
        buffer = av_buffer_create((uint8_t *)cuframes_frame_cuda_ptr(frame),
                                  cuframes_frame_data_size(frame), release_held, held,
                                  AV_BUFFER_FLAG_READONLY);
    if (!buffer) {
        if (held)
            av_buffer_unref(&held->holds);
        av_free(held);
        return NULL;
    }
    held->frame = frame;
    count_out(holds);
    return buffer;
}

int ff_cuframes_is_padded(const cuframes_frame_t *frame)
{
    const cuframes_layout_t *layout = cuframes_frame_layout(frame);
    const cuframes_plane_layout_t *last = &layout->planes[layout->plane_count - 1];
    uint64_t end = last->offset + (uint64_t)last->pitch * last->rows;
    uint64_t mapped = (layout->size + SLOT_STEP - 1) / SLOT_STEP * SLOT_STEP;
    cuframes_plane_t plane;

    if (mapped - end >= OVERREAD)
        return 1;
    /* Rows of whole vectors are not read past their end. */
    return cuframes_frame_plane(frame, (int32_t)layout->plane_count - 1, &plane) == CUFRAMES_OK &&
           plane.row_bytes % OVERREAD == 0;
}

int ff_cuframes_wrap(AVBufferRef *holds, cuframes_frame_t *frame, AVBufferRef *gpu,
                     AVFrame *picture)
{
    cuframes_plane_t plane;

    if (!(picture->buf[0] = hold(holds, frame))) {
        cuframes_frame_release(frame);
        return AVERROR(ENOMEM);
    }
    for (int32_t i = 0; i < cuframes_frame_plane_count(frame); i++) {
        if (cuframes_frame_plane(frame, i, &plane) != CUFRAMES_OK)
            return AVERROR_BUG;
        picture->data[i] = (uint8_t *)plane.data;
        picture->linesize[i] = (int)plane.pitch;
    }
    if (!gpu)
        return 0;
    picture->format = AV_PIX_FMT_CUDA;
    picture->hw_frames_ctx = av_buffer_ref(gpu);
    return picture->hw_frames_ctx ? 0 : AVERROR(ENOMEM);
}

static int copy_on_gpu(AVBufferRef *holds, cuframes_frame_t *frame, AVBufferRef *gpu,
                       AVFrame *picture)
{
    int width = picture->width, height = picture->height, ret;
    AVFrame *there = av_frame_alloc();

    if (!there) {
        cuframes_frame_release(frame);
        return AVERROR(ENOMEM);
    }
    there->width = width;
    there->height = height;
    ret = ff_cuframes_wrap(holds, frame, gpu, there);
    if (ret >= 0 && (ret = av_hwframe_get_buffer(gpu, picture, 0)) >= 0)
        ret = av_hwframe_transfer_data(picture, there, 0);
    /* The buffer is as large as the coded picture. */
    picture->width = width;
    picture->height = height;
    av_frame_free(&there);
    return ret;
}

static int copy_on_host(cuframes_frame_t *frame, AVFrame *picture)
{
    cuframes_plane_t plane;
    int ret = av_frame_get_buffer(picture, 0);

    for (int32_t i = 0; ret >= 0 && i < cuframes_frame_plane_count(frame); i++) {
        if (cuframes_frame_plane(frame, i, &plane) != CUFRAMES_OK)
            ret = AVERROR_BUG;
        else
            av_image_copy_plane(picture->data[i], picture->linesize[i], plane.data,
                                (int)plane.pitch, (int)plane.row_bytes, (int)plane.rows);
    }
    cuframes_frame_release(frame);
    return ret;
}

int ff_cuframes_copy(AVBufferRef *holds, cuframes_frame_t *frame, AVBufferRef *gpu,
                     AVFrame *picture)
{
    return gpu ? copy_on_gpu(holds, frame, gpu, picture) : copy_on_host(frame, picture);
}

static void free_picture(void *opaque, uint8_t *data)
{
    AVFrame *picture = (AVFrame *)data;

    (void)opaque;
    av_frame_free(&picture);
}

int ff_cuframes_packet(AVPacket *packet, AVFrame *picture)
{
    int64_t pts = picture->pts;

    packet->buf = av_buffer_create((uint8_t *)picture, sizeof(*picture), free_picture, NULL, 0);
    if (!packet->buf) {
        av_frame_free(&picture);
        return AVERROR(ENOMEM);
    }
    packet->data = (uint8_t *)picture;
    packet->size = sizeof(*picture);
    packet->pts = packet->dts = pts;
    packet->flags |= AV_PKT_FLAG_KEY | AV_PKT_FLAG_TRUSTED;
    return 0;
}
