/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * See cuframes_cuda.h. FFmpeg's part of CUDA is used through its hardware contexts; of the driver
 * itself two calls are needed, which are looked up where the library has it from.
 */
#include "cuframes_cuda.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include <libavutil/hwcontext.h>

/* What hwcontext_cuda.h needs of a header that is not there. */
#ifndef CUDA_VERSION
#define CUDA_VERSION 0
typedef struct CUctx_st *CUcontext;
typedef struct CUstream_st *CUstream;
#endif
#include <libavutil/hwcontext_cuda.h>

#include "cuframes_common.h"

int ff_cuframes_device(AVFormatContext *s, int32_t gpu, AVBufferRef **device)
{
    char index[16];
    int ret;

    snprintf(index, sizeof(index), "%d", (int)gpu);
    ret = av_hwdevice_ctx_create(device, AV_HWDEVICE_TYPE_CUDA, index, NULL,
                                 AV_CUDA_USE_PRIMARY_CONTEXT);
    if (ret < 0)
        av_log(s, AV_LOG_ERROR,
               "%s: this FFmpeg cannot use GPU %s (it may have been built without CUDA); "
               "memory=host reads copies in host memory.\n",
               s->url, index);
    return ret;
}

int ff_cuframes_frames_context(AVBufferRef *device, cuframes_format_t format,
                               const cuframes_layout_t *layout, AVBufferRef **frames)
{
    AVBufferRef *ref = av_hwframe_ctx_alloc(device);
    AVHWFramesContext *context;
    int ret;

    if (!ref)
        return AVERROR(ENOMEM);
    context = (AVHWFramesContext *)ref->data;
    context->format = AV_PIX_FMT_CUDA;
    context->sw_format = ff_cuframes_pix_fmt(format);
    context->width = layout->coded_width;
    context->height = layout->coded_height;
    if ((ret = av_hwframe_ctx_init(ref)) < 0) {
        av_buffer_unref(&ref);
        return ret;
    }
    av_buffer_unref(frames);
    *frames = ref;
    return 0;
}

static const AVCUDADeviceContext *device_of(const AVFrame *picture)
{
    const AVHWFramesContext *frames = (const AVHWFramesContext *)picture->hw_frames_ctx->data;

    return frames->device_ctx->hwctx;
}

void *ff_cuframes_context_of(const AVFrame *picture)
{
    return device_of(picture)->cuda_ctx;
}

void *ff_cuframes_stream_of(const AVFrame *picture)
{
    return device_of(picture)->stream;
}

static int (*push_current)(void *context);
static int (*pop_current)(void **context);

/* The driver stays loaded: FFmpeg has it loaded, too. */
static void find_driver(void)
{
    const char *other = getenv("CUFRAMES_LIBCUDA");
    void *library = dlopen(other ? other : "libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);

    if (!library)
        return;
    *(void **)&push_current = dlsym(library, "cuCtxPushCurrent_v2");
    *(void **)&pop_current = dlsym(library, "cuCtxPopCurrent_v2");
}

int ff_cuframes_enter(AVFormatContext *s, void *context)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, find_driver);
    if (push_current && pop_current && push_current(context) == 0)
        return 0;
    av_log(s, AV_LOG_ERROR, "The CUDA context of the pictures cannot be used.\n");
    return AVERROR_EXTERNAL;
}

void ff_cuframes_leave(void)
{
    void *context;

    pop_current(&context);
}
