/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers whose memory is a frame that is held.
 *
 * A frame goes back to its channel when the last reference to the buffer's memory goes, in
 * whatever thread and however long after the element. The holds are counted, so that the element
 * can wait until one is given back.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/video/video.h>

#include "gstcuda.h"

typedef struct GstCuframesHolds GstCuframesHolds;

GstCuframesHolds *gst_cuframes_holds_new(void);
/* Buffers that are still out keep what they need. NULL is fine. */
void gst_cuframes_holds_unref(GstCuframesHolds *holds);
/* Frames that are out now. */
guint gst_cuframes_holds_count(GstCuframesHolds *holds);
/*
 * Waits until fewer than `limit` frames are out. FALSE when it was interrupted or `timeout_us`
 * (below 0 = for ever) passed.
 */
gboolean gst_cuframes_holds_wait(GstCuframesHolds *holds, guint limit, gint64 timeout_us);
/* Ends waits now and until it is turned off. NULL is fine. */
void gst_cuframes_holds_interrupt(GstCuframesHolds *holds, gboolean on);

/*
 * A buffer over `frame`, which is consumed: read-only memory and a GstVideoMeta that says where the
 * visible planes are. A frame in GPU memory is GstCudaMemory of `context`, and goes back when what is
 * under way there is done. NULL if it is too large for that.
 */
GstBuffer *gst_cuframes_holds_wrap(GstCuframesHolds *holds, cuframes_frame_t *frame,
                                   const GstVideoInfo *info, GstCudaContext *context);
/* Whether the planes of `frame` lie where GStreamer expects them without a GstVideoMeta. */
gboolean gst_cuframes_frame_is_plain(const cuframes_frame_t *frame, const GstVideoInfo *info);
