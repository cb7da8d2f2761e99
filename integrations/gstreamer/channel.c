/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel.h"

#include <unistd.h>

#include "cuda_memory.h"

/* The library's publisher, which must outlive every call into it. */
struct publisher {
    gatomicrefcount refs;
    cuframes_publisher_t *publisher;
};

struct GstCuframesChannel {
    gatomicrefcount refs;
    GstCuframesChannelSettings settings;
    gint slots_out; /* atomic */
    gint flushing;  /* atomic */

    GMutex lock;
    gboolean closed;
    struct publisher *publisher;
    GstCudaContext *context; /* of pictures in GPU memory */
    GstCuframesPicture picture;
    cuframes_layout_t layout;
    GArray *waiting_clients; /* descriptors, until there is a publisher */
};

/* A slot that is out; freed with its memory. */
struct slot {
    GstCuframesChannel *channel;
    cuframes_buffer_t *buffer;
    cuframes_layout_t layout;
    gboolean cuda;
};

static GQuark slot_quark(void)
{
    static GQuark quark;

    if (!quark)
        quark = g_quark_from_static_string("gst-cuframes-slot");
    return quark;
}

static void publisher_unref(struct publisher *publisher)
{
    if (!publisher || !g_atomic_ref_count_dec(&publisher->refs))
        return;
    cuframes_publisher_destroy(publisher->publisher);
    g_free(publisher);
}

/* The publisher for one call, NULL if there is none. */
static struct publisher *borrow_publisher(GstCuframesChannel *channel)
{
    struct publisher *publisher;

    g_mutex_lock(&channel->lock);
    publisher = channel->publisher;
    if (publisher)
        g_atomic_ref_count_inc(&publisher->refs);
    g_mutex_unlock(&channel->lock);
    return publisher;
}

static void close_descriptor(gpointer data)
{
    close(*(gint *)data);
}

GstCuframesChannel *gst_cuframes_channel_new(const GstCuframesChannelSettings *settings)
{
    GstCuframesChannel *channel = g_new0(GstCuframesChannel, 1);

    g_atomic_ref_count_init(&channel->refs);
    g_mutex_init(&channel->lock);
    channel->settings = *settings;
    channel->settings.publishing = gst_cuframes_publishing_copy(&settings->publishing);
    channel->waiting_clients = g_array_new(FALSE, FALSE, sizeof(gint));
    g_array_set_clear_func(channel->waiting_clients, close_descriptor);
    return channel;
}

GstCuframesChannel *gst_cuframes_channel_ref(GstCuframesChannel *channel)
{
    g_atomic_ref_count_inc(&channel->refs);
    return channel;
}

void gst_cuframes_channel_unref(GstCuframesChannel *channel)
{
    if (!channel || !g_atomic_ref_count_dec(&channel->refs))
        return;
    publisher_unref(channel->publisher);
    gst_clear_object(&channel->context);
    g_array_unref(channel->waiting_clients);
    g_mutex_clear(&channel->lock);
    gst_cuframes_publishing_clear(&channel->settings.publishing);
    g_free(channel);
}

void gst_cuframes_channel_close(GstCuframesChannel *channel)
{
    struct publisher *publisher;

    g_mutex_lock(&channel->lock);
    publisher = channel->publisher;
    channel->publisher = NULL;
    channel->closed = TRUE;
    g_array_set_size(channel->waiting_clients, 0);
    g_mutex_unlock(&channel->lock);
    publisher_unref(publisher);
}

void gst_cuframes_channel_set_context(GstCuframesChannel *channel, GstCudaContext *context)
{
    g_mutex_lock(&channel->lock);
    gst_object_replace((GstObject **)&channel->context, (GstObject *)context);
    g_mutex_unlock(&channel->lock);
}

static cuframes_publisher_config_t publisher_config(const GstCuframesChannel *channel,
                                                    const GstCuframesPicture *picture,
                                                    const cuframes_layout_t *layout)
{
    const GstCuframesChannelSettings *settings = &channel->settings;
    cuframes_publisher_config_t config = {
        .width = picture->width,
        .height = picture->height,
        .format = picture->format,
        .ring_size = settings->slots,
        .policy = settings->policy,
        .consumer_ack_timeout_ms = (gint)settings->ack_timeout_ms,
        .memory = picture->cuda ? CUFRAMES_MEMORY_CUDA : CUFRAMES_MEMORY_HOST,
        .flags = (settings->socket ? 0 : CUFRAMES_PUBLISHER_NO_SOCKET) |
                 (picture->cuda ? CUFRAMES_PUBLISHER_CURRENT_CONTEXT : 0),
        .max_holds = settings->max_holds,
        .layout = layout,
        .fps_num = picture->fps_num,
        .fps_den = picture->fps_den,
        .sar_num = picture->par_num,
        .sar_den = picture->par_den,
        .color = picture->color,
    };

    gst_cuframes_publishing_configure(&settings->publishing, &config);
    return config;
}

static int create_publisher(GstCuframesChannel *channel, const cuframes_publisher_config_t *config)
{
    cuframes_publisher_t *made;
    int error = cuframes_publisher_create(config, &made);

    if (error)
        return error;
    channel->publisher = g_new0(struct publisher, 1);
    g_atomic_ref_count_init(&channel->publisher->refs);
    channel->publisher->publisher = made;
    for (guint i = 0; i < channel->waiting_clients->len; i++)
        cuframes_publisher_add_client(made, g_array_index(channel->waiting_clients, gint, i));
    /* They were consumed. */
    g_array_set_clear_func(channel->waiting_clients, NULL);
    g_array_set_size(channel->waiting_clients, 0);
    return CUFRAMES_OK;
}

static gboolean layout_equal(const cuframes_layout_t *a, const cuframes_layout_t *b)
{
    if (a->coded_width != b->coded_width || a->coded_height != b->coded_height ||
        a->plane_count != b->plane_count || a->size != b->size)
        return FALSE;
    for (guint i = 0; i < a->plane_count; i++)
        if (a->planes[i].offset != b->planes[i].offset ||
            a->planes[i].pitch != b->planes[i].pitch || a->planes[i].rows != b->planes[i].rows)
            return FALSE;
    return TRUE;
}

/* In the context of the pictures, if they have one. */
static int configure(GstCuframesChannel *channel, const cuframes_publisher_config_t *config)
{
    if (channel->publisher)
        return cuframes_publisher_reconfigure(channel->publisher->publisher, config);
    return create_publisher(channel, config);
}

static int configure_on_gpu(GstCuframesChannel *channel, const cuframes_publisher_config_t *config)
{
    const GstCuframesCudaLibrary *library = gst_cuframes_cuda_library();
    int error;

    if (!channel->context || !library->gst_cuda_context_push(channel->context))
        return CUFRAMES_ERR_CUDA;
    error = configure(channel, config);
    library->gst_cuda_context_pop(NULL);
    return error;
}

/* Called with the lock. A channel is in one kind of memory: for the other it is made anew. */
static int prepare_locked(GstCuframesChannel *channel, const GstCuframesPicture *picture,
                          const cuframes_layout_t *layout)
{
    cuframes_publisher_config_t config = publisher_config(channel, picture, layout);
    int error;

    if (channel->closed)
        return CUFRAMES_ERR_DISCONNECTED;
    if (channel->publisher && channel->picture.cuda != picture->cuda)
        publisher_unref(g_steal_pointer(&channel->publisher));
    error = picture->cuda ? configure_on_gpu(channel, &config) : configure(channel, &config);
    if (error)
        return error;
    channel->picture = *picture;
    channel->layout = *layout;
    return CUFRAMES_OK;
}

int gst_cuframes_channel_prepare(GstCuframesChannel *channel, const GstCuframesPicture *picture,
                                 const cuframes_layout_t *layout, gboolean exact)
{
    int error = CUFRAMES_OK;

    g_mutex_lock(&channel->lock);
    if (!channel->publisher || !gst_cuframes_picture_equal(&channel->picture, picture) ||
        (exact && !layout_equal(&channel->layout, layout)))
        error = prepare_locked(channel, picture, layout);
    g_mutex_unlock(&channel->lock);
    return error;
}

int gst_cuframes_channel_add_client(GstCuframesChannel *channel, int fd)
{
    struct publisher *publisher;
    gboolean taken = FALSE;
    int error;

    g_mutex_lock(&channel->lock);
    if (!channel->publisher && !channel->closed) {
        g_array_append_val(channel->waiting_clients, fd);
        taken = TRUE;
    }
    g_mutex_unlock(&channel->lock);
    if (taken)
        return CUFRAMES_OK;
    publisher = borrow_publisher(channel);
    if (!publisher) {
        close(fd);
        return CUFRAMES_ERR_DISCONNECTED;
    }
    error = cuframes_publisher_add_client(publisher->publisher, fd);
    publisher_unref(publisher);
    return error;
}

gboolean gst_cuframes_channel_stats(GstCuframesChannel *channel, cuframes_publisher_stats_t *stats)
{
    struct publisher *publisher = borrow_publisher(channel);
    gboolean known;

    if (!publisher)
        return FALSE;
    known = cuframes_publisher_stats(publisher->publisher, stats) == CUFRAMES_OK;
    publisher_unref(publisher);
    return known;
}

void gst_cuframes_channel_set_flushing(GstCuframesChannel *channel, gboolean on)
{
    g_atomic_int_set(&channel->flushing, on);
}

gboolean gst_cuframes_channel_is_flushing(GstCuframesChannel *channel)
{
    return g_atomic_int_get(&channel->flushing);
}

guint gst_cuframes_channel_slots_out(GstCuframesChannel *channel)
{
    return (guint)g_atomic_int_get(&channel->slots_out);
}

gint gst_cuframes_channel_slots(const GstCuframesChannel *channel)
{
    return channel->settings.slots;
}

static void slot_free(gpointer data)
{
    struct slot *slot = data;

    cuframes_buffer_unref(slot->buffer);
    g_atomic_int_add(&slot->channel->slots_out, -1);
    gst_cuframes_channel_unref(slot->channel);
    g_free(slot);
}

/* Owns the slot. */
static GstMemory *slot_memory(struct slot *slot, const GstCuframesPicture *picture,
                              const GstVideoInfo *info)
{
    gpointer data = cuframes_buffer_data(slot->buffer);
    gsize size = slot->layout.size;
    GstMemory *memory;

    if (!picture->cuda)
        return gst_memory_new_wrapped(0, data, size, 0, size, slot, slot_free);
    memory = gst_cuframes_cuda_wrap(slot->channel->context, info, (guint64)(guintptr)data, size, 0,
                                    slot, slot_free);
    if (!memory)
        slot_free(slot);
    return memory;
}

static GstVideoInfo slot_info(const cuframes_layout_t *layout, const GstCuframesPicture *picture)
{
    GstVideoInfo info;

    gst_video_info_set_format(&info, gst_cuframes_format_to_gst(picture->format),
                              (guint)picture->width, (guint)picture->height);
    for (guint i = 0; i < layout->plane_count; i++) {
        info.offset[i] = layout->planes[i].offset;
        info.stride[i] = (gint)layout->planes[i].pitch;
    }
    return info;
}

/* NULL for a slot too large for a memory on the GPU. */
static GstBuffer *slot_buffer(GstCuframesChannel *channel, cuframes_buffer_t *acquired,
                              const GstCuframesPicture *picture)
{
    const cuframes_layout_t *layout = cuframes_buffer_layout(acquired);
    GstVideoInfo info = slot_info(layout, picture);
    struct slot *slot = g_new(struct slot, 1);
    GstMemory *memory;
    GstBuffer *buffer;

    *slot = (struct slot){gst_cuframes_channel_ref(channel), acquired, *layout, picture->cuda};
    g_atomic_int_inc(&channel->slots_out);
    memory = slot_memory(slot, picture, &info);
    if (!memory)
        return NULL;
    gst_mini_object_set_qdata(GST_MINI_OBJECT(memory), slot_quark(), slot, NULL);
    buffer = gst_buffer_new();
    gst_buffer_append_memory(buffer, memory);
    gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(&info),
                                   (guint)picture->width, (guint)picture->height,
                                   layout->plane_count, info.offset, info.stride);
    return buffer;
}

/* FALSE: the channel has changed meanwhile. */
static gboolean still_is(GstCuframesChannel *channel, const GstCuframesPicture *picture)
{
    gboolean same;

    g_mutex_lock(&channel->lock);
    same = gst_cuframes_picture_equal(&channel->picture, picture);
    g_mutex_unlock(&channel->lock);
    return same;
}

/* Whom the library asks in a call. */
typedef struct {
    GstCuframesStop stop;
    gpointer user;
} Asked;

static int ask(void *data)
{
    const Asked *asked = data;

    return asked->stop(asked->user);
}

int gst_cuframes_channel_acquire(GstCuframesChannel *channel, const GstCuframesPicture *picture,
                                 GstCuframesStop stop, gpointer user, GstBuffer **buffer)
{
    struct publisher *publisher = borrow_publisher(channel);
    Asked asked = {stop, user};
    cuframes_buffer_t *acquired;
    int error;

    if (!publisher)
        return CUFRAMES_ERR_DISCONNECTED;
    cuframes_set_interrupt_check(ask, &asked);
    error = cuframes_publisher_acquire_buffer(publisher->publisher, &acquired);
    cuframes_set_interrupt_check(NULL, NULL);
    publisher_unref(publisher);
    if (error)
        return error;
    if (!still_is(channel, picture)) {
        cuframes_buffer_unref(acquired);
        return CUFRAMES_ERR_FORMAT;
    }
    *buffer = slot_buffer(channel, acquired, picture);
    return *buffer ? CUFRAMES_OK : CUFRAMES_ERR_OUT_OF_MEMORY;
}

/* The slot that `buffer` is, if it is one of `channel` and its planes are where they were. */
static struct slot *slot_of(GstCuframesChannel *channel, GstBuffer *buffer)
{
    GstVideoMeta *video = gst_buffer_get_video_meta(buffer);
    GstMemory *memory = gst_buffer_n_memory(buffer) == 1 ? gst_buffer_peek_memory(buffer, 0) : NULL;
    struct slot *slot =
        memory ? gst_mini_object_get_qdata(GST_MINI_OBJECT(memory), slot_quark()) : NULL;

    if (!slot || slot->channel != channel || memory->offset != 0 || !video ||
        video->n_planes != slot->layout.plane_count)
        return NULL;
    for (guint i = 0; i < video->n_planes; i++)
        if (video->offset[i] != slot->layout.planes[i].offset ||
            video->stride[i] != (gint)slot->layout.planes[i].pitch)
            return NULL;
    return slot;
}

/* What the CPU has written into memory on the GPU gets there when that is mapped for the GPU. */
static gboolean settle(GstBuffer *buffer)
{
    GstMapInfo map;

    if (!gst_buffer_map(buffer, &map, GST_MAP_READ | GST_CUFRAMES_MAP_CUDA))
        return FALSE;
    gst_buffer_unmap(buffer, &map);
    return TRUE;
}

int gst_cuframes_channel_publish(GstCuframesChannel *channel, GstBuffer *buffer,
                                 const cuframes_frame_meta_t *meta, GstCuframesStop stop,
                                 gpointer user)
{
    struct slot *slot = slot_of(channel, buffer);
    Asked asked = {stop, user};
    struct publisher *publisher;
    int error;

    if (!slot || (slot->cuda && !settle(buffer)))
        return CUFRAMES_ERR_INVALID_ARG;
    publisher = borrow_publisher(channel);
    if (!publisher)
        return CUFRAMES_ERR_DISCONNECTED;
    /* On a GPU behind the context's NULL stream, which waits for the streams of all elements. */
    cuframes_set_interrupt_check(ask, &asked);
    error = cuframes_publisher_publish_buffer(publisher->publisher, slot->buffer, NULL, meta, NULL);
    cuframes_set_interrupt_check(NULL, NULL);
    publisher_unref(publisher);
    if (error == CUFRAMES_OK)
        /* Whoever keeps the buffer upstream may read it, and gets a copy to write to. */
        GST_MINI_OBJECT_FLAG_SET(gst_buffer_peek_memory(buffer, 0), GST_MEMORY_FLAG_READONLY);
    return error;
}
