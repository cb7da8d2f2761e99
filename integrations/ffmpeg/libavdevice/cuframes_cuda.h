/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GPU frames: FFmpeg's side of them is a device with a frames context, whose own memory is used
 * for copies alone.
 */
#ifndef AVDEVICE_CUFRAMES_CUDA_H
#define AVDEVICE_CUFRAMES_CUDA_H

#include <cuframes/cuframes.h>

#include "cuframes_compat.h"

/*
 * FFmpeg's device over the primary context of a GPU, in which the library works too. To be made
 * before the library first uses that context: FFmpeg insists on flags that only the first can set.
 */
int ff_cuframes_device(AVFormatContext *s, int32_t gpu, AVBufferRef **device);

/*
 * A frames context for frames of that layout. It has the coded size: encoders of the GPU find the
 * second plane by it.
 */
int ff_cuframes_frames_context(AVBufferRef *device, cuframes_format_t format,
                               const cuframes_layout_t *layout, AVBufferRef **frames);

/* The CUDA context and stream of the device that a picture is on. */
void *ff_cuframes_context_of(const AVFrame *picture);
void *ff_cuframes_stream_of(const AVFrame *picture);

/* Makes a CUDA context current in this thread, and gives the thread back what it had. */
int ff_cuframes_enter(AVFormatContext *s, void *context);
void ff_cuframes_leave(void);

#endif
