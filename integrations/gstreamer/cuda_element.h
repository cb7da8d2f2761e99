/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CUDA context of an element: the one that its pipeline shares, or a new one that it offers.
 *
 * Any thread; the context is there from the first gst_cuframes_cuda_ensure() that succeeds, until
 * gst_cuframes_cuda_forget().
 */
#pragma once

#include "gstcuda.h"

typedef struct {
    GstElement *element; /* whose it is */
    gint device;         /* property: which GPU, -1 = whatever the pipeline uses */

    /* Changed by GStreamer's library and in set_context(), which that calls. */
    gint wanted; /* the GPU that is looked for */
    GstCudaContext *found;

    GMutex lock;
    GstCudaContext *context; /* under the lock: what was found; NULL until then */
} GstCuframesCuda;

void gst_cuframes_cuda_init(GstCuframesCuda *cuda, GstElement *element);
void gst_cuframes_cuda_clear(GstCuframesCuda *cuda);
/* The property "cuda-device-id", for a GstCuframesCuda that lies `offset` bytes into the element. */
void gst_cuframes_cuda_install(GObjectClass *class, gsize offset);

/*
 * From one thread at a time. A context on the property's GPU, else on `preferred`, else on any (-1). NULL if there is none, for
 * which `reason` is a sentence. To be unreferenced by the caller.
 */
GstCudaContext *gst_cuframes_cuda_ensure(GstCuframesCuda *cuda, gint preferred,
                                         const gchar **reason);
void gst_cuframes_cuda_forget(GstCuframesCuda *cuda);
/* What an element does in set_context() and with a query for the context. */
void gst_cuframes_cuda_set_context(GstCuframesCuda *cuda, GstContext *context);
gboolean gst_cuframes_cuda_query(GstCuframesCuda *cuda, GstQuery *query);
