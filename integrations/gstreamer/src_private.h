/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of cuframessrc share. src.c says which thread uses what.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/video/video.h>

#include "format.h"
#include "holds.h"
#include "reader.h"
#include "src.h"
#include "timeline.h"

typedef enum { GST_CUFRAMES_SRC_NEWEST, GST_CUFRAMES_SRC_ORDER } GstCuframesSrcMode;
typedef enum { GST_CUFRAMES_SRC_COPY, GST_CUFRAMES_SRC_WAIT } GstCuframesSrcWhenFull;
typedef enum { GST_CUFRAMES_SRC_MEMORY_AUTO, GST_CUFRAMES_SRC_MEMORY_HOST } GstCuframesSrcMemory;

struct _GstCuframesSrc {
    GstPushSrc parent;

    /* Properties, with those of the reader. */
    gint mode;      /* GstCuframesSrcMode */
    gint memory;    /* GstCuframesSrcMemory */
    gint when_full; /* GstCuframesSrcWhenFull */
    guint frame_timeout_ms;
    guint max_holds;
    gfloat max_fps;

    /* The streaming thread's. */
    GstCuframesReader reader;
    GstCuframesHolds *holds;
    GstCuframesTimeline timeline;
    GstCuframesPicture picture; /* of the caps */
    guint32 generation;         /* of the caps */
    gboolean have_caps;
    GstVideoInfo info;
    GstBufferPool *copies; /* where copies are made */
    gboolean downstream_knows_video_meta;
    gboolean discontinuity; /* the next buffer is the first, or follows a loss */
    gboolean said_copy, said_wait;
    GstClockTime position;  /* running time of the newest buffer's end, or NONE */
    gint64 newest_frame_us; /* when a frame came last */

    /* Under the object lock. */
    GstClockTime frame_duration; /* NONE when unknown */
    guint64 copied;
    guint64 delivered;
};

/* src_properties.c */
void gst_cuframes_src_install_properties(GObjectClass *class);
void gst_cuframes_src_uri_handler_init(gpointer iface, gpointer data);
