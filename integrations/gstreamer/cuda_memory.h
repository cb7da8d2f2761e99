/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Device memory of a channel as GstCudaMemory, and copies of pictures between such memories. Only
 * where gst_cuframes_cuda_works(); any thread.
 */
#pragma once

#include "gstcuda.h"

/*
 * `size` bytes at `device`, readable in `context`, whose planes lie as `info` says. `notify` is
 * called with `user_data` when the memory is freed, in that context. Mapped for the CPU it is a copy.
 * NULL if that cannot be; then `notify` is not called.
 */
GstMemory *gst_cuframes_cuda_wrap(GstCudaContext *context, const GstVideoInfo *info, guint64 device,
                                  gsize size, GstMemoryFlags flags, gpointer user_data,
                                  GDestroyNotify notify);
/* The same, in memory of its own. */
GstMemory *gst_cuframes_cuda_alloc(GstCudaContext *context, const GstVideoInfo *info, gsize size);
/* The memory of a buffer that is one GstCudaMemory, else NULL. */
GstCuframesCudaMemory *gst_cuframes_cuda_memory_of(GstBuffer *buffer);
/* Copies the picture of `from` to `to`, both in such memory. Done on return. */
gboolean gst_cuframes_cuda_copy(GstCudaContext *context, const GstVideoInfo *info, GstBuffer *to,
                                GstBuffer *from);
