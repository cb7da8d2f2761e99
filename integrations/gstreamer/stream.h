/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elementary streams in GStreamer's words, the caps of its parsers, and in cuframes' words.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/gst.h>

/* What both sides can express. */
#define GST_CUFRAMES_STREAM_CAPS                                                                   \
    "video/x-h264, stream-format=(string){ byte-stream, avc }, alignment=(string)au; "             \
    "video/x-h265, stream-format=(string){ byte-stream, hvc1 }, alignment=(string)au; "            \
    "video/x-av1, stream-format=(string)obu-stream, alignment=(string)tu; "                        \
    "audio/mpeg, mpegversion=(int)4, stream-format=(string){ raw, adts }, framed=(boolean)true; "  \
    "audio/x-opus"

/* NULL for a codec that is none of these. */
GstCaps *gst_cuframes_stream_to_caps(const cuframes_stream_t *stream);

/*
 * The other way. What `stream->extradata` points to belongs to `*extradata`, which is to be
 * unmapped and freed with gst_cuframes_stream_clear(). FALSE for caps that none of these are.
 */
typedef struct {
    cuframes_stream_t stream;
    GstBuffer *extradata; /* NULL without */
    GstMapInfo map;
} GstCuframesStream;

gboolean gst_cuframes_stream_from_caps(GstCaps *caps, GstCuframesStream *stream);
void gst_cuframes_stream_clear(GstCuframesStream *stream);
