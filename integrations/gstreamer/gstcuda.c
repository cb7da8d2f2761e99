/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gstcuda.h"

#include <gmodule.h>

#define LIBRARY "libgstcuda-1.0.so.0"

/* Copies of older and newer drivers' structures have these places on every 64-bit machine. */
G_STATIC_ASSERT(sizeof(GstCuframesCudaCopy) == 128);

static gboolean find_symbols(GModule *module, GstCuframesCudaLibrary *library)
{
#define X(result, symbol, arguments)                                                               \
    if (!g_module_symbol(module, #symbol, (gpointer *)&library->symbol))                           \
        return FALSE;
    GST_CUFRAMES_CUDA_SYMBOLS(X)
#undef X
    if (!g_module_symbol(module, "gst_cuda_allocator_alloc_wrapped",
                         (gpointer *)&library->gst_cuda_allocator_alloc_wrapped))
        library->gst_cuda_allocator_alloc_wrapped = NULL;
    return TRUE;
}

static const GstCuframesCudaLibrary *load(void)
{
    static GstCuframesCudaLibrary library;
    GModule *module = g_module_open(LIBRARY, G_MODULE_BIND_LAZY | G_MODULE_BIND_LOCAL);

    if (!module) {
        GST_INFO("no %s: %s", LIBRARY, g_module_error());
        return NULL;
    }
    /* It has types, which cannot go. */
    g_module_make_resident(module);
    if (!find_symbols(module, &library)) {
        GST_WARNING("%s is another one: %s", LIBRARY, g_module_error());
        return NULL;
    }
    return &library;
}

const GstCuframesCudaLibrary *gst_cuframes_cuda_library(void)
{
    static const GstCuframesCudaLibrary *library;
    static gsize once;

    if (g_once_init_enter(&once)) {
        library = load();
        g_once_init_leave(&once, 1);
    }
    return library;
}

gboolean gst_cuframes_cuda_works(void)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();

    return library && library->gst_cuda_load_library();
}
