/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of cuframessrc share. src.c says which thread uses what.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/video/video.h>

#include "cuda_element.h"
#include "format.h"
#include "holds.h"
#include "reader.h"
#include "src.h"
#include "timeline.h"

typedef enum { GST_CUFRAMES_SRC_NEWEST, GST_CUFRAMES_SRC_ORDER } GstCuframesSrcMode;
typedef enum { GST_CUFRAMES_SRC_COPY, GST_CUFRAMES_SRC_WAIT } GstCuframesSrcWhenFull;
typedef enum {
    GST_CUFRAMES_SRC_MEMORY_AUTO,
    GST_CUFRAMES_SRC_MEMORY_HOST,
    GST_CUFRAMES_SRC_MEMORY_CUDA,
} GstCuframesSrcMemory;

struct _GstCuframesSrc {
    GstPushSrc parent;

    /* Properties, with those of the reader. */
    gint mode;      /* GstCuframesSrcMode */
    gint memory;    /* GstCuframesSrcMemory */
    gint when_full; /* GstCuframesSrcWhenFull */
    guint frame_timeout_ms;
    guint max_holds;
    gfloat max_fps;
    GstCuframesCuda cuda; /* its device is one, too */

    /* The streaming thread's. */
    GstCuframesReader reader;
    GstCudaContext *context; /* that frames in GPU memory are read in, or NULL */
    GstCuframesHolds *holds;
    GstCuframesTimeline timeline;
    GstCuframesPicture picture; /* of the caps */
    guint32 generation;         /* of the caps */
    gboolean have_caps;
    GstVideoInfo info;
    GstBufferPool *copies; /* where copies are made */
    gboolean downstream_knows_video_meta;
    gboolean discontinuity; /* the next buffer is the first, or follows a loss */
    gboolean said_copy, said_wait, said_staged;
    GstClockTime position;  /* running time of the newest buffer's end, or NONE */
    gint64 newest_frame_us; /* when a frame came last */

    /* Under the object lock. */
    GstClockTime frame_duration; /* NONE when unknown */
    guint64 copied;
    guint64 delivered;
    gboolean in_gpu_memory; /* the newest buffer */
};

/* src_memory.c */
/*
 * Chooses what shall read the frames, the CPU or a GPU, and in which context, and attaches. OK,
 * FLUSHING, or ERROR after an element error.
 */
GstFlowReturn gst_cuframes_src_attach(GstCuframesSrc *self, cuframes_subscriber_config_t *config);
/* Says once that frames come by way of host memory. */
void gst_cuframes_src_say_staged(GstCuframesSrc *self);

/* src_properties.c */
void gst_cuframes_src_install_properties(GObjectClass *class);
void gst_cuframes_src_uri_handler_init(gpointer iface, gpointer data);
