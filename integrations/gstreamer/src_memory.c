/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What memory cuframessrc hands on.
 *
 * Frames in GPU memory go on as GstCudaMemory where the elements behind name that in their caps, or
 * the property says so; those who take any caps are taken for readers of host memory. Everything else
 * is host memory, to which frames of a GPU channel are copied by the library: that is said. The choice
 * is made when the channel is attached.
 */
#include <string.h>

#include "report.h"
#include "src_private.h"

/* What the elements behind name. */
typedef struct {
    gboolean host, cuda;
} Named;

/* Caps for one kind of memory, of the channel's format if that is known. */
static GstCaps *caps_of(const gchar *feature, const cuframes_channel_info_t *info)
{
    GstCaps *caps = gst_caps_new_empty_simple("video/x-raw");
    GstVideoFormat format = gst_cuframes_format_to_gst(info->format);

    if (info->width > 0 && format != GST_VIDEO_FORMAT_UNKNOWN)
        gst_caps_set_simple(caps, "format", G_TYPE_STRING, gst_video_format_to_string(format),
                            NULL);
    gst_caps_set_features_simple(caps, gst_caps_features_new(feature, NULL));
    return caps;
}

static gboolean takes(const GstCaps *peer, const gchar *feature,
                      const cuframes_channel_info_t *info)
{
    GstCaps *wanted = caps_of(feature, info);
    GstCaps *ours = gst_cuframes_template_caps();
    gboolean possible = gst_caps_can_intersect(ours, wanted);
    gboolean taken = FALSE;

    gst_caps_unref(ours);
    for (guint i = 0; possible && !taken && i < gst_caps_get_size(peer); i++) {
        GstCaps *one = gst_caps_copy_nth(peer, i);

        taken = !gst_caps_features_is_any(gst_caps_get_features(one, 0)) &&
                gst_caps_can_intersect(one, wanted);
        gst_caps_unref(one);
    }
    gst_caps_unref(wanted);
    return taken;
}

static Named ask_behind(GstCuframesSrc *self, const cuframes_channel_info_t *info)
{
    GstCaps *peer = gst_pad_peer_query_caps(GST_BASE_SRC_PAD(self), NULL);
    Named named = {0};

    if (!gst_caps_is_any(peer)) {
        named.host = takes(peer, GST_CAPS_FEATURE_MEMORY_SYSTEM_MEMORY, info);
        named.cuda = takes(peer, GST_CUFRAMES_CUDA_FEATURE, info);
    }
    gst_caps_unref(peer);
    return named;
}

/* The number of the GPU that the frames are in, -1 if it is not known here. */
static gint gpu_of(const cuframes_channel_info_t *info)
{
    int count = info->memory == CUFRAMES_MEMORY_CUDA ? cuframes_gpu_count() : 0;

    for (int i = 0; i < count; i++) {
        cuframes_gpu_info_t gpu;

        if (cuframes_gpu_info(i, &gpu) == CUFRAMES_OK &&
            memcmp(gpu.uuid, info->gpu_uuid, sizeof(gpu.uuid)) == 0)
            return i;
    }
    return -1;
}

static void read_by_cpu(cuframes_subscriber_config_t *config)
{
    config->memory = CUFRAMES_MEMORY_HOST;
    config->flags |= CUFRAMES_SUBSCRIBER_STAGED;
}

static GstFlowReturn no_context(GstCuframesSrc *self, const gchar *reason)
{
    GST_ELEMENT_ERROR(self, RESOURCE, OPEN_READ,
                      ("GPU memory was asked for and cannot be had: %s", reason), (NULL));
    return GST_FLOW_ERROR;
}

/* `also_host`: the CPU may read what no GPU can. */
static GstFlowReturn read_by_gpu(GstCuframesSrc *self, const cuframes_channel_info_t *info,
                                 gboolean also_host, cuframes_subscriber_config_t *config)
{
    const gchar *reason;

    self->context = gst_cuframes_cuda_ensure(&self->cuda, gpu_of(info), &reason);
    if (!self->context && !also_host)
        return no_context(self, reason);
    if (!self->context) {
        GST_WARNING_OBJECT(self, "%s", reason);
        read_by_cpu(config);
        return GST_FLOW_OK;
    }
    config->memory = also_host ? CUFRAMES_MEMORY_AUTO : CUFRAMES_MEMORY_CUDA;
    config->flags |= CUFRAMES_SUBSCRIBER_CURRENT_CONTEXT;
    if (also_host)
        config->flags |= CUFRAMES_SUBSCRIBER_STAGED;
    return GST_FLOW_OK;
}

static GstFlowReturn choose(GstCuframesSrc *self, cuframes_subscriber_config_t *config)
{
    cuframes_channel_info_t info = {0};
    GstFlowReturn ret;
    Named named;

    if (self->memory == GST_CUFRAMES_SRC_MEMORY_HOST ||
        (self->memory == GST_CUFRAMES_SRC_MEMORY_AUTO && !ask_behind(self, &info).cuda)) {
        read_by_cpu(config);
        return GST_FLOW_OK;
    }
    ret = gst_cuframes_reader_describe(&self->reader, &info);
    if (ret != GST_FLOW_OK)
        return ret;
    if (self->memory == GST_CUFRAMES_SRC_MEMORY_CUDA)
        return read_by_gpu(self, &info, FALSE, config);
    named = ask_behind(self, &info);
    if (named.cuda && !(named.host && info.memory == CUFRAMES_MEMORY_HOST))
        return read_by_gpu(self, &info, named.host, config);
    read_by_cpu(config);
    return GST_FLOW_OK;
}

GstFlowReturn gst_cuframes_src_attach(GstCuframesSrc *self, cuframes_subscriber_config_t *config)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    GstFlowReturn ret;

    gst_clear_object(&self->context);
    ret = choose(self, config);
    if (ret != GST_FLOW_OK)
        return ret;
    if (self->context && !library->gst_cuda_context_push(self->context))
        return no_context(self, "the context has failed.");
    ret = gst_cuframes_reader_attach(&self->reader, config);
    if (self->context)
        library->gst_cuda_context_pop(NULL);
    return ret;
}

void gst_cuframes_src_say_staged(GstCuframesSrc *self)
{
    if (self->said_staged ||
        cuframes_subscriber_access(self->reader.subscriber) != CUFRAMES_ACCESS_STAGED)
        return;
    self->said_staged = TRUE;
    GST_ELEMENT_WARNING(
        self, RESOURCE, SETTINGS,
        ("Frames are copied from GPU memory to host memory: %s.",
         self->memory == GST_CUFRAMES_SRC_MEMORY_HOST
             ? "memory=host asks for that"
             : "the elements behind do not name memory:CUDAMemory in their caps, or "
               "this GPU cannot read them"),
        ("stats/staged counts them; see the property \"memory\""));
}
