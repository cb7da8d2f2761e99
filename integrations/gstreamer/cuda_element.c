/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cuda_element.h"

#include "properties.h"

void gst_cuframes_cuda_init(GstCuframesCuda *cuda, GstElement *element)
{
    *cuda = (GstCuframesCuda){.element = element, .device = -1, .wanted = -1};
    g_mutex_init(&cuda->lock);
}

void gst_cuframes_cuda_clear(GstCuframesCuda *cuda)
{
    gst_cuframes_cuda_forget(cuda);
    g_mutex_clear(&cuda->lock);
}

void gst_cuframes_cuda_install(GObjectClass *class, gsize offset)
{
    gst_cuframes_property_install(
        class, offset + G_STRUCT_OFFSET(GstCuframesCuda, device),
        g_param_spec_int(
            "cuda-device-id", "CUDA device",
            "Which GPU to use for frames in GPU memory, by CUDA's number; -1 = that of "
            "the frames, or what the pipeline uses",
            -1, G_MAXINT, -1, GST_CUFRAMES_PROPERTY_FLAGS));
}

static void share(GstCuframesCuda *cuda)
{
    g_mutex_lock(&cuda->lock);
    gst_object_replace((GstObject **)&cuda->context, (GstObject *)cuda->found);
    g_mutex_unlock(&cuda->lock);
}

GstCudaContext *gst_cuframes_cuda_ensure(GstCuframesCuda *cuda, gint preferred,
                                         const gchar **reason)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();

    if (!library) {
        *reason = "GStreamer's CUDA library (libgstcuda-1.0, with its \"bad\" plug-ins) is not "
                  "there, or is one that this plug-in does not know.";
        return NULL;
    }
    if (!library->gst_cuda_load_library()) {
        *reason = "GStreamer finds no NVIDIA driver (libcuda.so.1).";
        return NULL;
    }
    cuda->wanted = cuda->device >= 0 ? cuda->device : preferred;
    /* Without the lock: it asks other elements, which may ask this one. */
    if (!library->gst_cuda_ensure_element_context(cuda->element, cuda->wanted, &cuda->found)) {
        *reason = "No CUDA context could be made on that GPU.";
        return NULL;
    }
    share(cuda);
    return gst_object_ref(cuda->found);
}

void gst_cuframes_cuda_forget(GstCuframesCuda *cuda)
{
    gst_clear_object(&cuda->found);
    share(cuda);
}

void gst_cuframes_cuda_set_context(GstCuframesCuda *cuda, GstContext *context)
{
    if (!gst_context_has_context_type(context, "gst.cuda.context") || !gst_cuframes_cuda_works())
        return;
    gst_cuframes_cuda_library()->gst_cuda_handle_set_context(
        cuda->element, context, cuda->device >= 0 ? cuda->device : cuda->wanted, &cuda->found);
    share(cuda);
}

gboolean gst_cuframes_cuda_query(GstCuframesCuda *cuda, GstQuery *query)
{
    gboolean answered = FALSE;

    g_mutex_lock(&cuda->lock);
    if (cuda->context)
        answered = gst_cuframes_cuda_library()->gst_cuda_handle_context_query(cuda->element, query,
                                                                              cuda->context);
    g_mutex_unlock(&cuda->lock);
    return answered;
}
