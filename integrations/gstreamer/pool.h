/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buffer pool that cuframessink offers upstream: its buffers are slots of the channel.
 *
 * Upstream may keep as many buffers as it likes. Half of the slots are lent to it (decoders keep
 * their reference pictures); beyond that, and when subscribers hold the rest, it gets ordinary
 * memory, and the sink copies.
 */
#pragma once

#include <gst/video/gstvideopool.h>

#include "channel.h"

G_BEGIN_DECLS

#define GST_TYPE_CUFRAMES_POOL (gst_cuframes_pool_get_type())
G_DECLARE_FINAL_TYPE(GstCuframesPool, gst_cuframes_pool, GST, CUFRAMES_POOL, GstBufferPool)

GstBufferPool *gst_cuframes_pool_new(GstCuframesChannel *channel);
/* Whether `buffer` is of ordinary memory because no slot was free; the library has counted it. */
gboolean gst_cuframes_pool_had_no_slot(GstBuffer *buffer);

G_END_DECLS
