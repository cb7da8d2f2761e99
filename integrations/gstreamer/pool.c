/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include "cuda_memory.h"

GST_DEBUG_CATEGORY_STATIC(gst_cuframes_pool_debug);
#define GST_CAT_DEFAULT gst_cuframes_pool_debug

typedef struct {
    GstCuframesCudaBufferPool parent; /* of which a pool for host memory uses the beginning alone */

    GstCuframesChannel *channel;
    GstVideoInfo info; /* with the alignment that upstream asks for */
    GstCuframesPicture picture;
    cuframes_layout_t layout;
} GstCuframesPool;

typedef struct {
    GstBufferPoolClass parent; /* a GstCudaBufferPoolClass is no more than that */
} GstCuframesPoolClass;

static GQuark no_slot_quark(void)
{
    return g_quark_from_static_string("gst-cuframes-no-slot");
}

gboolean gst_cuframes_pool_had_no_slot(GstBuffer *buffer)
{
    return gst_mini_object_get_qdata(GST_MINI_OBJECT(buffer), no_slot_quark()) != NULL;
}

static const gchar **gst_cuframes_pool_get_options(GstBufferPool *pool)
{
    static const gchar *options[] = {GST_BUFFER_POOL_OPTION_VIDEO_META,
                                     GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT, NULL};

    return options;
}

/* Applies the alignment that upstream asks for, and tells it what came of that. */
static gboolean align(GstCuframesPool *self, GstStructure *config)
{
    GstVideoAlignment alignment;

    if (!gst_buffer_pool_config_has_option(config, GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT))
        return TRUE;
    gst_video_alignment_reset(&alignment);
    if (!gst_buffer_pool_config_get_video_alignment(config, &alignment) ||
        !gst_video_info_align(&self->info, &alignment))
        return FALSE;
    gst_buffer_pool_config_set_video_alignment(config, &alignment);
    return TRUE;
}

static gboolean gst_cuframes_pool_set_config(GstBufferPool *pool, GstStructure *config)
{
    GstCuframesPool *self = (GstCuframesPool *)pool;
    GstCaps *caps;
    guint size, min, max;

    if (!gst_buffer_pool_config_get_params(config, &caps, &size, &min, &max) || !caps ||
        !gst_video_info_from_caps(&self->info, caps) ||
        !gst_cuframes_picture_from_caps(caps, &self->info, &self->picture) ||
        (self->picture.cuda && !gst_cuframes_info_align_for_gpu(&self->info)) ||
        !align(self, config) || !gst_cuframes_layout_from_info(&self->info, &self->layout)) {
        GST_WARNING_OBJECT(self, "slots cannot be as %" GST_PTR_FORMAT " says", config);
        return FALSE;
    }
    gst_buffer_pool_config_set_params(config, caps, (guint)self->layout.size, min, max);
    /* What a GstCudaBufferPool would do is for its own memory. */
    return GST_BUFFER_POOL_CLASS(g_type_class_peek(GST_TYPE_BUFFER_POOL))->set_config(pool, config);
}

/* Slots are taken when buffers are, none in advance. */
static gboolean gst_cuframes_pool_start(GstBufferPool *pool)
{
    GstCuframesPool *self = (GstCuframesPool *)pool;
    int error = gst_cuframes_channel_prepare(self->channel, &self->picture, &self->layout, TRUE);

    if (error)
        /* The sink meets the same error with the first picture, and says it. */
        GST_WARNING_OBJECT(self, "no channel: %s", cuframes_last_error());
    return TRUE;
}

static gboolean gst_cuframes_pool_stop(GstBufferPool *pool)
{
    return TRUE;
}

static GstMemory *ordinary_memory(GstCuframesPool *self)
{
    return self->picture.cuda
               ? gst_cuframes_cuda_alloc(self->parent.context, &self->info, self->layout.size)
               : gst_allocator_alloc(NULL, self->layout.size, NULL);
}

static GstBuffer *ordinary_buffer(GstCuframesPool *self)
{
    GstMemory *memory = ordinary_memory(self);
    GstVideoInfo *info = &self->info;
    GstBuffer *buffer;

    if (!memory)
        return NULL;
    buffer = gst_buffer_new();
    gst_buffer_append_memory(buffer, memory);
    gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(info),
                                   (guint)GST_VIDEO_INFO_WIDTH(info),
                                   (guint)GST_VIDEO_INFO_HEIGHT(info),
                                   GST_VIDEO_INFO_N_PLANES(info), info->offset, info->stride);
    return buffer;
}

/* Whether a wait for readers is to end: this pool, or the stream that it is for, is flushed. */
static gboolean has_to_stop(gpointer pool)
{
    return GST_BUFFER_POOL_IS_FLUSHING(GST_BUFFER_POOL(pool)) ||
           gst_cuframes_channel_is_flushing(((GstCuframesPool *)pool)->channel);
}

static GstFlowReturn gst_cuframes_pool_acquire(GstBufferPool *pool, GstBuffer **buffer,
                                               GstBufferPoolAcquireParams *params)
{
    GstCuframesPool *self = (GstCuframesPool *)pool;
    guint most = (guint)MAX(gst_cuframes_channel_slots(self->channel) / 2, 1);
    int error = CUFRAMES_OK;

    if (GST_BUFFER_POOL_IS_FLUSHING(pool))
        return GST_FLOW_FLUSHING;
    if (gst_cuframes_channel_slots_out(self->channel) < most) {
        error =
            gst_cuframes_channel_acquire(self->channel, &self->picture, has_to_stop, self, buffer);
        if (error == CUFRAMES_OK)
            return GST_FLOW_OK;
        if (error == CUFRAMES_ERR_INTERRUPTED)
            return GST_FLOW_FLUSHING;
    }
    *buffer = ordinary_buffer(self);
    if (!*buffer)
        return GST_FLOW_ERROR;
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        gst_mini_object_set_qdata(GST_MINI_OBJECT(*buffer), no_slot_quark(), self, NULL);
    return GST_FLOW_OK;
}

/* The next one is another slot: nothing to keep. */
static void gst_cuframes_pool_release(GstBufferPool *pool, GstBuffer *buffer)
{
    gst_buffer_unref(buffer);
}

static void gst_cuframes_pool_finalize(GObject *object)
{
    gst_cuframes_channel_unref(((GstCuframesPool *)object)->channel);
    G_OBJECT_CLASS(g_type_class_peek_parent(G_OBJECT_GET_CLASS(object)))->finalize(object);
}

static void gst_cuframes_pool_init(GTypeInstance *instance, gpointer class)
{
    gst_video_info_init(&((GstCuframesPool *)instance)->info);
}

static void gst_cuframes_pool_class_init(gpointer class, gpointer data)
{
    GstBufferPoolClass *pool = GST_BUFFER_POOL_CLASS(class);

    GST_DEBUG_CATEGORY_INIT(gst_cuframes_pool_debug, "cuframespool", 0, "slots as a buffer pool");
    G_OBJECT_CLASS(class)->finalize = gst_cuframes_pool_finalize;
    pool->get_options = gst_cuframes_pool_get_options;
    pool->set_config = gst_cuframes_pool_set_config;
    pool->start = gst_cuframes_pool_start;
    pool->stop = gst_cuframes_pool_stop;
    pool->acquire_buffer = gst_cuframes_pool_acquire;
    pool->release_buffer = gst_cuframes_pool_release;
}

static GType register_type(GType parent, const gchar *name)
{
    return g_type_register_static_simple(parent, name, sizeof(GstCuframesPoolClass),
                                         gst_cuframes_pool_class_init, sizeof(GstCuframesPool),
                                         gst_cuframes_pool_init, 0);
}

static GType host_type(void)
{
    static gsize type;

    if (g_once_init_enter(&type))
        g_once_init_leave(&type, register_type(GST_TYPE_BUFFER_POOL, "GstCuframesPool"));
    return type;
}

static GType cuda_type(void)
{
    static gsize type;

    if (g_once_init_enter(&type))
        g_once_init_leave(
            &type, register_type(gst_cuframes_cuda_library()->gst_cuda_buffer_pool_get_type(),
                                 "GstCuframesCudaPool"));
    return type;
}

GstBufferPool *gst_cuframes_pool_new(GstCuframesChannel *channel, GstCudaContext *context)
{
    GstCuframesPool *pool = g_object_new(context ? cuda_type() : host_type(), NULL);

    gst_object_ref_sink(pool);
    pool->channel = gst_cuframes_channel_ref(channel);
    if (context)
        pool->parent.context = gst_object_ref(context);
    return GST_BUFFER_POOL(pool);
}
