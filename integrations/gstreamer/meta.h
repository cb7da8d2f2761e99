/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a buffer carries besides the picture: a custom meta named "CuframesFrame", which programs
 * read with gst_buffer_get_custom_meta() and no header of ours, and GStreamer's own meta for the
 * time of capture. Neither has tags, so elements that change size, format or colours keep them.
 *
 * Fields of the structure:
 *   seq             guint64    number of the frame in its channel
 *   generation      guint      generation of the channel
 *   missed          guint64    frames lost just before this one
 *   published       guint64    CLOCK_MONOTONIC, nanoseconds
 *   capture-source  gchararray "received", "camera", "device", "application", "file"; absent when
 *                              the time of capture is not known
 *   data            GstBuffer  the publisher's own bytes; absent without
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/gst.h>

#define GST_CUFRAMES_META_NAME "CuframesFrame"

/* Once, before the first element is made. */
void gst_cuframes_meta_register(void);
/* "timestamp/x-unix"; the caller does not own it. */
GstCaps *gst_cuframes_unix_time_caps(void);

/* Puts on `buffer` what is known about `frame`. */
void gst_cuframes_meta_attach(GstBuffer *buffer, const cuframes_frame_t *frame);

/*
 * The way back: fills capture time and user data of `meta` from what `buffer` carries. The bytes
 * are mapped in `map` until gst_cuframes_meta_unmap(). FALSE if the buffer has more bytes than a
 * frame can carry, which are left out.
 */
typedef struct {
    GstBuffer *data; /* NULL without */
    GstMapInfo map;
} GstCuframesMetaMap;

gboolean gst_cuframes_meta_read(GstBuffer *buffer, cuframes_frame_meta_t *meta,
                                GstCuframesMetaMap *map);
void gst_cuframes_meta_unmap(GstCuframesMetaMap *map);
