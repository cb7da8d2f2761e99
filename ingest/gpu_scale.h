/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoded pictures in GPU memory into other sizes and formats, on the GPU. What it writes is
 * complete when the legacy default stream has come so far. Main thread.
 */
#pragma once

#include <libavutil/frame.h>

#include "convert.h"
#include "gpu.h"

/* Planes in GPU memory. */
struct gpu_planes {
    gpu_pointer first[4];
    uint32_t pitch[4];
};

/* Whether pictures of this format, as NVDEC gives them, can be read. */
bool gpu_scale_reads(enum AVPixelFormat format);

/*
 * Writes `frame`, whose samples are of `format`, into `to`. False on failure: see gpu->error.
 */
bool gpu_scale(struct gpu *gpu, const AVFrame *frame, enum AVPixelFormat format,
               const struct conversion *to, const struct gpu_planes *planes);
