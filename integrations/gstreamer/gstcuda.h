/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What this plug-in uses of GStreamer's CUDA library (libgstcuda-1.0, with its "bad" plug-ins), opened
 * when it is first asked for. So the plug-in is built without it and without CUDA's own headers, which
 * the library's headers include, and loads on machines that do not have it.
 *
 * The declarations are what 1.22 to 1.26 have in common. Without gst_cuda_allocator_alloc_wrapped()
 * the library is one before 1.24.
 */
#pragma once

#include <gst/video/video.h>

#define GST_CUFRAMES_CUDA_FEATURE "memory:CUDAMemory"
/* Map for the GPU: the address is the device's. */
#define GST_CUFRAMES_MAP_CUDA ((GstMapFlags)(GST_MAP_FLAG_LAST << 1))

typedef struct _GstCudaContext GstCudaContext; /* a GstObject */

typedef struct {
    GstMemory memory;
    GstCudaContext *context;
    GstVideoInfo info;
    gpointer priv;
    gpointer _gst_reserved[GST_PADDING];
} GstCuframesCudaMemory;

typedef struct {
    GstBufferPool pool;
    GstCudaContext *context;
    gpointer priv;
} GstCuframesCudaBufferPool;

/* The driver's CUDA_MEMCPY2D. */
typedef struct {
    gsize from_x, from_y;
    gint from_type;
    gconstpointer from_host;
    guint64 from_device;
    gpointer from_array;
    gsize from_pitch;
    gsize to_x, to_y;
    gint to_type;
    gpointer to_host;
    guint64 to_device;
    gpointer to_array;
    gsize to_pitch;
    gsize row, rows;
} GstCuframesCudaCopy;

enum { GST_CUFRAMES_CUDA_HOST = 1, GST_CUFRAMES_CUDA_DEVICE = 2 };

/* X(result, symbol, arguments); CUresult is a gint, CUdeviceptr a guint64. */
#define GST_CUFRAMES_CUDA_SYMBOLS(X)                                                               \
    X(gboolean, gst_cuda_load_library, (void))                                                     \
    X(void, gst_cuda_memory_init_once, (void))                                                     \
    X(gboolean, gst_is_cuda_memory, (GstMemory * memory))                                          \
    X(GType, gst_cuda_allocator_get_type, (void))                                                  \
    X(GType, gst_cuda_buffer_pool_get_type, (void))                                                \
    X(GstBufferPool *, gst_cuda_buffer_pool_new, (GstCudaContext * context))                       \
    X(gboolean, gst_cuda_context_push, (GstCudaContext * context))                                 \
    X(gboolean, gst_cuda_context_pop, (gpointer * popped))                                         \
    X(gboolean, gst_cuda_ensure_element_context,                                                   \
      (GstElement * element, gint device, GstCudaContext * *context))                              \
    X(gboolean, gst_cuda_handle_set_context,                                                       \
      (GstElement * element, GstContext * set, gint device, GstCudaContext * *context))            \
    X(gboolean, gst_cuda_handle_context_query,                                                     \
      (GstElement * element, GstQuery * query, GstCudaContext * context))                          \
    X(gint, CuMemAlloc, (guint64 * pointer, guint size))                                           \
    X(gint, CuMemFree, (guint64 pointer))                                                          \
    X(gint, CuMemAllocHost, (gpointer * pointer, guint size))                                      \
    X(gint, CuMemFreeHost, (gpointer pointer))                                                     \
    X(gint, CuMemcpy2D, (const GstCuframesCudaCopy *copy))

typedef struct {
#define X(result, symbol, arguments) result(*symbol) arguments;
    GST_CUFRAMES_CUDA_SYMBOLS(X)
#undef X
    /* Since 1.24, else NULL. */
    GstMemory *(*gst_cuda_allocator_alloc_wrapped)(gpointer allocator, GstCudaContext *context,
                                                   gpointer stream, const GstVideoInfo *info,
                                                   guint64 device, gpointer user_data,
                                                   GDestroyNotify notify);
} GstCuframesCudaLibrary;

/* NULL where the library is not there. */
const GstCuframesCudaLibrary *gst_cuframes_cuda_library(void);
/* Whether it found a driver, too. */
gboolean gst_cuframes_cuda_works(void);
