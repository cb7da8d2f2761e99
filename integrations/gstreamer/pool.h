/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buffer pool that cuframessink offers upstream: its buffers are slots of the channel.
 *
 * Upstream may keep as many buffers as it likes. Half of the slots are lent to it (decoders keep
 * their reference pictures); beyond that, and when subscribers hold the rest, it gets ordinary
 * memory, and the sink copies.
 *
 * For pictures in GPU memory it is a GstCudaBufferPool, as CUDA elements take no other.
 */
#pragma once

#include <gst/video/gstvideopool.h>

#include "channel.h"

G_BEGIN_DECLS

/* `context` for pictures in GPU memory, else NULL. */
GstBufferPool *gst_cuframes_pool_new(GstCuframesChannel *channel, GstCudaContext *context);
/* Whether `buffer` is of ordinary memory because no slot was free; the library has counted it. */
gboolean gst_cuframes_pool_had_no_slot(GstBuffer *buffer);

G_END_DECLS
