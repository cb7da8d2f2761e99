/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframessink.
 *
 * A picture is published in one of two ways: as the slot that upstream wrote it into (pool.h), or
 * copied into a slot, which is said once and counted. With the policy "drop" a picture for which no
 * slot is free is dropped, and the pipeline goes on.
 *
 * Threads: render, set_caps and the allocation query come from the streaming thread; the channel
 * (channel.h) is made at start and closed at stop, and may be used from any thread between. With the
 * policy "wait" render waits for readers; unlock() comes from another thread and ends that.
 */
#include "sink.h"

#include <gst/video/video.h>
#include <unistd.h>

#include "channel.h"
#include "cuda_element.h"
#include "cuda_memory.h"
#include "format.h"
#include "meta.h"
#include "pool.h"
#include "properties.h"
#include "report.h"

GST_DEBUG_CATEGORY_STATIC(gst_cuframes_sink_debug);
#define GST_CAT_DEFAULT gst_cuframes_sink_debug

struct _GstCuframesSink {
    GstVideoSink parent;

    GstCuframesChannelSettings settings; /* properties */
    GstCuframesCuda cuda;                /* its device is one, too */
    GstCuframesChannel *channel; /* replaced under the object lock, between start and stop */
    gint unlocked;               /* atomic */

    /* The streaming thread's. */
    GstCudaContext *context; /* of pictures in GPU memory; NULL until there are any */
    GstVideoInfo info;
    GstCuframesPicture picture;
    cuframes_layout_t layout;
    gboolean said_copy;

    /* Under the object lock. */
    guint64 published, copied, dropped;
};

enum { SIGNAL_ADD_CLIENT, SIGNAL_COUNT };
static guint signals[SIGNAL_COUNT];

#define DEFAULT_ACK_TIMEOUT_MS 200

G_DEFINE_TYPE(GstCuframesSink, gst_cuframes_sink, GST_TYPE_VIDEO_SINK)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(cuframessink, "cuframessink", GST_RANK_NONE,
                                      GST_TYPE_CUFRAMES_SINK,
                                      GST_DEBUG_CATEGORY_INIT(gst_cuframes_sink_debug,
                                                              "cuframessink", 0, "cuframes sink"))

/* ---- publishing ---- */

static void report(GstCuframesSink *self, int error)
{
    gst_cuframes_report_error(GST_ELEMENT(self), error, GST_RESOURCE_ERROR_WRITE);
}

static void count(GstCuframesSink *self, guint64 *counter)
{
    GST_OBJECT_LOCK(self);
    ++*counter;
    GST_OBJECT_UNLOCK(self);
}

/* The base class wants render to return: not the end of the stream. */
#define FLOW_UNLOCKED GST_FLOW_CUSTOM_SUCCESS

static gboolean is_unlocked(gpointer self)
{
    return g_atomic_int_get(&GST_CUFRAMES_SINK(self)->unlocked);
}

static GstFlowReturn failed(GstCuframesSink *self, int error)
{
    if (error == CUFRAMES_ERR_INTERRUPTED)
        return FLOW_UNLOCKED;
    report(self, error);
    return GST_FLOW_ERROR;
}

static GstFlowReturn drop(GstCuframesSink *self)
{
    GST_DEBUG_OBJECT(self, "no slot is free: dropped");
    count(self, &self->dropped);
    return GST_FLOW_OK;
}

static gboolean copy_picture(GstCuframesSink *self, GstBuffer *from, GstBuffer *to)
{
    GstVideoFrame source, target;
    gboolean done;

    if (self->picture.cuda)
        return gst_cuframes_cuda_copy(self->context, &self->info, to, from);
    if (!gst_video_frame_map(&source, &self->info, from, GST_MAP_READ))
        return FALSE;
    if (!gst_video_frame_map(&target, &self->info, to, GST_MAP_WRITE)) {
        gst_video_frame_unmap(&source);
        return FALSE;
    }
    done = gst_video_frame_copy(&target, &source);
    gst_video_frame_unmap(&target);
    gst_video_frame_unmap(&source);
    return done;
}

static void say_copying(GstCuframesSink *self)
{
    if (self->said_copy)
        return;
    self->said_copy = TRUE;
    GST_ELEMENT_INFO(self, RESOURCE, SETTINGS, ("Frames are copied."),
                     ("Frames are copied once into the channel: what comes before this element "
                      "writes into memory of its own. stats/copied counts them."));
}

static GstFlowReturn publish_copy(GstCuframesSink *self, GstBuffer *buffer,
                                  cuframes_frame_meta_t *meta)
{
    GstBuffer *slot;
    int error =
        gst_cuframes_channel_acquire(self->channel, &self->picture, is_unlocked, self, &slot);

    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return drop(self);
    if (error)
        return failed(self, error);
    if (!copy_picture(self, buffer, slot)) {
        gst_buffer_unref(slot);
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("A buffer could not be read as a picture."),
                          (NULL));
        return GST_FLOW_ERROR;
    }
    say_copying(self);
    meta->copies = 1;
    error = gst_cuframes_channel_publish(self->channel, slot, meta, is_unlocked, self);
    gst_buffer_unref(slot);
    if (error)
        return failed(self, error);
    count(self, &self->copied);
    count(self, &self->published);
    return GST_FLOW_OK;
}

/* A slot of an older generation, or one that was published already, is copied like any memory. */
static GstFlowReturn publish(GstCuframesSink *self, GstBuffer *buffer, cuframes_frame_meta_t *meta)
{
    int error = gst_cuframes_channel_publish(self->channel, buffer, meta, is_unlocked, self);

    if (error == CUFRAMES_OK) {
        count(self, &self->published);
        return GST_FLOW_OK;
    }
    if (error == CUFRAMES_ERR_INVALID_ARG || error == CUFRAMES_ERR_FORMAT ||
        error == CUFRAMES_ERR_ALREADY_EXISTS)
        return publish_copy(self, buffer, meta);
    return failed(self, error);
}

/* A wait for readers that is ended because of a pause goes on when that is over. */
static GstFlowReturn publish_or_end(GstCuframesSink *self, GstBuffer *buffer,
                                    cuframes_frame_meta_t *meta)
{
    GstFlowReturn ret = publish(self, buffer, meta);

    while (ret == FLOW_UNLOCKED) {
        ret = gst_base_sink_wait_preroll(GST_BASE_SINK(self));
        if (ret == GST_FLOW_OK)
            ret = publish(self, buffer, meta);
    }
    return ret;
}

static void set_crop(GstBuffer *buffer, cuframes_frame_meta_t *meta)
{
    GstVideoCropMeta *crop = gst_buffer_get_video_crop_meta(buffer);

    if (crop && crop->width > 0 && crop->height > 0)
        meta->crop =
            (cuframes_rect_t){(gint)crop->x, (gint)crop->y, (gint)crop->width, (gint)crop->height};
}

static guint32 interlacing(const GstVideoInfo *info, GstBuffer *buffer)
{
    gboolean all = GST_VIDEO_INFO_INTERLACE_MODE(info) == GST_VIDEO_INTERLACE_MODE_INTERLEAVED;

    if (!all && !(GST_VIDEO_INFO_IS_INTERLACED(info) &&
                  GST_BUFFER_FLAG_IS_SET(buffer, GST_VIDEO_BUFFER_FLAG_INTERLACED)))
        return 0;
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_VIDEO_BUFFER_FLAG_TFF) ||
        (all && GST_VIDEO_INFO_FIELD_ORDER(info) == GST_VIDEO_FIELD_ORDER_TOP_FIELD_FIRST))
        return CUFRAMES_FRAME_INTERLACED | CUFRAMES_FRAME_TOP_FIELD_FIRST;
    return CUFRAMES_FRAME_INTERLACED;
}

static cuframes_frame_meta_t describe(GstCuframesSink *self, GstBuffer *buffer)
{
    GstClockTime time = gst_segment_to_running_time(&GST_BASE_SINK(self)->segment, GST_FORMAT_TIME,
                                                    GST_BUFFER_PTS(buffer));
    cuframes_frame_meta_t meta = {.pts_ns = CUFRAMES_NO_TIME};

    if (GST_CLOCK_TIME_IS_VALID(time) && time <= G_MAXINT64)
        meta.pts_ns = (gint64)time;
    if (GST_BUFFER_IS_DISCONT(buffer))
        meta.flags |= CUFRAMES_FRAME_DISCONTINUITY;
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED))
        meta.flags |= CUFRAMES_FRAME_CORRUPT;
    meta.flags |= interlacing(&self->info, buffer);
    set_crop(buffer, &meta);
    return meta;
}

static gboolean prepare(GstCuframesSink *self)
{
    int error = gst_cuframes_channel_prepare(self->channel, &self->picture, &self->layout, FALSE);

    if (error)
        report(self, error);
    return error == CUFRAMES_OK;
}

/* The channel is there from the first picture on, and that is published when it is its turn. */
static GstFlowReturn gst_cuframes_sink_preroll(GstBaseSink *base, GstBuffer *buffer)
{
    return prepare(GST_CUFRAMES_SINK(base)) ? GST_FLOW_OK : GST_FLOW_ERROR;
}

static GstFlowReturn gst_cuframes_sink_render(GstBaseSink *base, GstBuffer *buffer)
{
    GstCuframesSink *self = GST_CUFRAMES_SINK(base);
    cuframes_frame_meta_t meta = describe(self, buffer);
    GstCuframesMetaMap map;
    GstFlowReturn ret;

    if (!prepare(self))
        return GST_FLOW_ERROR;
    if (gst_cuframes_pool_had_no_slot(buffer))
        return drop(self);
    if (!gst_cuframes_meta_read(buffer, &meta, &map))
        GST_WARNING_OBJECT(self, "more bytes than a frame can carry (%d) were left out",
                           CUFRAMES_MAX_USER_DATA);
    ret = publish_or_end(self, buffer, &meta);
    gst_cuframes_meta_unmap(&map);
    return ret;
}

/* ---- base class ---- */

/* The context for pictures in GPU memory. FALSE after an element error. */
static gboolean ensure_context(GstCuframesSink *self)
{
    const gchar *reason;

    if (self->context)
        return TRUE;
    self->context = gst_cuframes_cuda_ensure(&self->cuda, -1, &reason);
    if (!self->context) {
        GST_ELEMENT_ERROR(self, RESOURCE, OPEN_WRITE,
                          ("Pictures in GPU memory cannot be published: %s", reason), (NULL));
        return FALSE;
    }
    gst_cuframes_channel_set_context(self->channel, self->context);
    return TRUE;
}

static gboolean too_large(GstCuframesSink *self)
{
    if (self->picture.width <= CUFRAMES_MAX_DIMENSION &&
        self->picture.height <= CUFRAMES_MAX_DIMENSION)
        return FALSE;
    GST_ELEMENT_ERROR(self, STREAM, FORMAT,
                      ("%dx%d is larger than a channel can be (%dx%d).", self->picture.width,
                       self->picture.height, CUFRAMES_MAX_DIMENSION, CUFRAMES_MAX_DIMENSION),
                      (NULL));
    return TRUE;
}

/* How slots are laid out for pictures that were not written into slots. */
static gboolean lay_out(GstCuframesSink *self)
{
    GstVideoInfo info = self->info;

    return (!self->picture.cuda || gst_cuframes_info_align_for_gpu(&info)) &&
           gst_cuframes_layout_from_info(&info, &self->layout);
}

static gboolean gst_cuframes_sink_set_caps(GstBaseSink *base, GstCaps *caps)
{
    GstCuframesSink *self = GST_CUFRAMES_SINK(base);

    if (!gst_video_info_from_caps(&self->info, caps) ||
        !gst_cuframes_picture_from_caps(caps, &self->info, &self->picture) || !lay_out(self)) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("These pictures cannot be shared."),
                          ("%" GST_PTR_FORMAT, caps));
        return FALSE;
    }
    if (too_large(self) || (self->picture.cuda && !ensure_context(self)))
        return FALSE;
    return GST_BASE_SINK_CLASS(gst_cuframes_sink_parent_class)->set_caps(base, caps);
}

static gboolean offer_pool(GstCuframesSink *self, GstQuery *query, GstCaps *caps,
                           const GstVideoInfo *info, gboolean cuda)
{
    GstBufferPool *pool = gst_cuframes_pool_new(self->channel, cuda ? self->context : NULL);
    GstStructure *config = gst_buffer_pool_get_config(pool);
    guint size;

    gst_buffer_pool_config_set_params(config, caps, (guint)GST_VIDEO_INFO_SIZE(info), 0, 0);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    if (!gst_buffer_pool_set_config(pool, config)) {
        gst_object_unref(pool);
        return FALSE;
    }
    /* What the pool has made of it. */
    config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_get_params(config, NULL, &size, NULL, NULL);
    gst_structure_free(config);
    gst_query_add_allocation_pool(query, pool, size, 0, 0);
    gst_object_unref(pool);
    return TRUE;
}

static gboolean gst_cuframes_sink_propose_allocation(GstBaseSink *base, GstQuery *query)
{
    GstCuframesSink *self = GST_CUFRAMES_SINK(base);
    GstVideoInfo info;
    GstCaps *caps;
    gboolean need_pool, cuda;

    gst_query_parse_allocation(query, &caps, &need_pool);
    if (!caps || !gst_video_info_from_caps(&info, caps))
        return FALSE;
    cuda = gst_caps_features_contains(gst_caps_get_features(caps, 0), GST_CUFRAMES_CUDA_FEATURE);
    if (cuda && !ensure_context(self))
        return FALSE;
    if (need_pool && !offer_pool(self, query, caps, &info, cuda))
        return FALSE;
    gst_query_add_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
    gst_query_add_allocation_meta(query, GST_VIDEO_CROP_META_API_TYPE, NULL);
    return TRUE;
}

static gboolean gst_cuframes_sink_query(GstBaseSink *base, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) == GST_QUERY_CONTEXT &&
        gst_cuframes_cuda_query(&GST_CUFRAMES_SINK(base)->cuda, query))
        return TRUE;
    return GST_BASE_SINK_CLASS(gst_cuframes_sink_parent_class)->query(base, query);
}

static void gst_cuframes_sink_set_context(GstElement *element, GstContext *context)
{
    gst_cuframes_cuda_set_context(&GST_CUFRAMES_SINK(element)->cuda, context);
    GST_ELEMENT_CLASS(gst_cuframes_sink_parent_class)->set_context(element, context);
}

static gboolean gst_cuframes_sink_unlock(GstBaseSink *base)
{
    g_atomic_int_set(&GST_CUFRAMES_SINK(base)->unlocked, TRUE);
    return TRUE;
}

static gboolean gst_cuframes_sink_unlock_stop(GstBaseSink *base)
{
    g_atomic_int_set(&GST_CUFRAMES_SINK(base)->unlocked, FALSE);
    return TRUE;
}

/* For upstream, whose waits for slots unlock() does not end. */
static void set_flushing(GstCuframesSink *self, gboolean on)
{
    GST_OBJECT_LOCK(self);
    if (self->channel)
        gst_cuframes_channel_set_flushing(self->channel, on);
    GST_OBJECT_UNLOCK(self);
}

static gboolean gst_cuframes_sink_event(GstBaseSink *base, GstEvent *event)
{
    if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_START)
        set_flushing(GST_CUFRAMES_SINK(base), TRUE);
    else if (GST_EVENT_TYPE(event) == GST_EVENT_FLUSH_STOP)
        set_flushing(GST_CUFRAMES_SINK(base), FALSE);
    return GST_BASE_SINK_CLASS(gst_cuframes_sink_parent_class)->event(base, event);
}

static GstStateChangeReturn gst_cuframes_sink_change_state(GstElement *element,
                                                           GstStateChange transition)
{
    /* Until the channel is made anew. */
    if (transition == GST_STATE_CHANGE_PAUSED_TO_READY)
        set_flushing(GST_CUFRAMES_SINK(element), TRUE);
    return GST_ELEMENT_CLASS(gst_cuframes_sink_parent_class)->change_state(element, transition);
}

static gboolean gst_cuframes_sink_start(GstBaseSink *base)
{
    GstCuframesSink *self = GST_CUFRAMES_SINK(base);
    GstCuframesChannel *channel;

    if (!gst_cuframes_report_key(GST_ELEMENT(self), self->settings.publishing.key,
                                 "No channel: set the property \"key\"."))
        return FALSE;
    channel = gst_cuframes_channel_new(&self->settings);
    GST_OBJECT_LOCK(self);
    self->channel = channel;
    self->published = self->copied = self->dropped = 0;
    GST_OBJECT_UNLOCK(self);
    self->said_copy = FALSE;
    return TRUE;
}

static gboolean gst_cuframes_sink_stop(GstBaseSink *base)
{
    GstCuframesSink *self = GST_CUFRAMES_SINK(base);
    GstCuframesChannel *channel;

    GST_OBJECT_LOCK(self);
    channel = self->channel;
    self->channel = NULL;
    GST_OBJECT_UNLOCK(self);
    gst_cuframes_channel_close(channel);
    gst_cuframes_channel_unref(channel);
    gst_clear_object(&self->context);
    gst_cuframes_cuda_forget(&self->cuda);
    return TRUE;
}

static GstCuframesChannel *channel_for_call(GstCuframesSink *self)
{
    GstCuframesChannel *channel;

    GST_OBJECT_LOCK(self);
    channel = self->channel ? gst_cuframes_channel_ref(self->channel) : NULL;
    GST_OBJECT_UNLOCK(self);
    return channel;
}

/* The action signal "add-client". */
static gboolean gst_cuframes_sink_add_client(GstCuframesSink *self, gint fd)
{
    GstCuframesChannel *channel = channel_for_call(self);
    int error;

    if (!channel) {
        close(fd);
        GST_WARNING_OBJECT(self, "a client was added in state NULL");
        return FALSE;
    }
    error = gst_cuframes_channel_add_client(channel, fd);
    gst_cuframes_channel_unref(channel);
    if (error)
        GST_WARNING_OBJECT(self, "client not added: %s", cuframes_last_error());
    return error == CUFRAMES_OK;
}

/* ---- properties ---- */

static GType policy_type(void)
{
    static GType type;
    static const GEnumValue values[] = {
        {CUFRAMES_POLICY_DROP_OLDEST, "Never wait for a reader", "drop"},
        {CUFRAMES_POLICY_STRICT_WAIT, "Wait for readers in strict order, up to ack-timeout",
         "wait"},
        {0},
    };

    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstCuframesSinkPolicy", values));
    return type;
}

static GstStructure *statistics(GstElement *element)
{
    GstCuframesSink *self = GST_CUFRAMES_SINK(element);
    GstCuframesChannel *channel = channel_for_call(self);
    cuframes_publisher_stats_t stats = {0};
    GstStructure *structure;

    if (channel)
        gst_cuframes_channel_stats(channel, &stats);
    gst_cuframes_channel_unref(channel);
    GST_OBJECT_LOCK(self);
    structure = gst_structure_new(
        "application/x-cuframes-sink-stats", "published", G_TYPE_UINT64, self->published, "copied",
        G_TYPE_UINT64, self->copied, "dropped", G_TYPE_UINT64, self->dropped, "evicted",
        G_TYPE_UINT64, stats.evicted, "refused", G_TYPE_UINT64, stats.refused, "generations",
        G_TYPE_UINT64, stats.generations, "subscribers", G_TYPE_UINT, stats.subscribers,
        "slots-held", G_TYPE_UINT, stats.slots_held, NULL);
    GST_OBJECT_UNLOCK(self);
    return structure;
}

#define FIELD(name) G_STRUCT_OFFSET(GstCuframesSink, settings.name)

static void install_slots(GObjectClass *class)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_property_install(
        class, FIELD(slots),
        g_param_spec_int("slots", "Slots",
                         "Frames that the channel has memory for; half of them are lent to the "
                         "elements before this one",
                         CUFRAMES_MIN_SLOTS, CUFRAMES_MAX_SLOTS, CUFRAMES_DEFAULT_SLOTS, flags));
    gst_cuframes_property_install(
        class, FIELD(max_holds),
        g_param_spec_int("max-holds", "Most holds",
                         "Most frames that one reader may hold; 0 = slots - 2", 0,
                         CUFRAMES_MAX_SLOTS - 1, 0, flags));
}

static void install_properties(GObjectClass *class)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_properties_init(class, statistics);
    gst_cuframes_publishing_install(class, FIELD(publishing));
    gst_cuframes_cuda_install(class, G_STRUCT_OFFSET(GstCuframesSink, cuda));
    gst_cuframes_property_install(
        class, FIELD(policy),
        g_param_spec_enum("policy", "Policy", "What to do when readers hold every slot",
                          policy_type(), CUFRAMES_POLICY_DROP_OLDEST, flags));
    gst_cuframes_property_install(
        class, FIELD(ack_timeout_ms),
        g_param_spec_uint("ack-timeout", "Acknowledge timeout",
                          "Policy wait: how long to wait for a reader before it is evicted, "
                          "milliseconds",
                          1, 3600000, DEFAULT_ACK_TIMEOUT_MS, flags));
    gst_cuframes_property_install(
        class, FIELD(socket),
        g_param_spec_boolean("socket", "Socket",
                             "Make a socket in the runtime directory; without it readers come by "
                             "the signal add-client alone",
                             TRUE, flags));
    install_slots(class);
    gst_type_mark_as_plugin_api(policy_type(), 0);
}

static void gst_cuframes_sink_finalize(GObject *object)
{
    gst_cuframes_publishing_clear(&GST_CUFRAMES_SINK(object)->settings.publishing);
    gst_cuframes_cuda_clear(&GST_CUFRAMES_SINK(object)->cuda);
    G_OBJECT_CLASS(gst_cuframes_sink_parent_class)->finalize(object);
}

static void gst_cuframes_sink_init(GstCuframesSink *self)
{
    gst_cuframes_publishing_init(&self->settings.publishing);
    gst_cuframes_cuda_init(&self->cuda, GST_ELEMENT(self));
    self->settings.socket = TRUE;
    self->settings.policy = CUFRAMES_POLICY_DROP_OLDEST;
    self->settings.ack_timeout_ms = DEFAULT_ACK_TIMEOUT_MS;
    self->settings.slots = CUFRAMES_DEFAULT_SLOTS;
    /* Whether a frame is late is for the readers to judge. */
    gst_base_sink_set_max_lateness(GST_BASE_SINK(self), -1);
    gst_base_sink_set_qos_enabled(GST_BASE_SINK(self), FALSE);
    /* It would keep a slot. */
    gst_base_sink_set_last_sample_enabled(GST_BASE_SINK(self), FALSE);
}

static void gst_cuframes_sink_class_init(GstCuframesSinkClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseSinkClass *base = GST_BASE_SINK_CLASS(class);
    GstCaps *caps = gst_cuframes_template_caps();

    object->finalize = gst_cuframes_sink_finalize;
    install_properties(object);
    /**
     * GstCuframesSink::add-client:
     * @fd: one end of a connected SOCK_SEQPACKET Unix socket; closed by the element
     *
     * Serves the reader at the other end (cuframessrc's property "fd"). From state READY on; a
     * reader that comes before the first picture waits for it.
     *
     * Returns: whether the reader was taken
     */
    signals[SIGNAL_ADD_CLIENT] = g_signal_new_class_handler(
        "add-client", G_TYPE_FROM_CLASS(class), G_SIGNAL_RUN_LAST | G_SIGNAL_ACTION,
        G_CALLBACK(gst_cuframes_sink_add_client), NULL, NULL, NULL, G_TYPE_BOOLEAN, 1, G_TYPE_INT);
    gst_element_class_set_static_metadata(
        element, "cuframes sink", "Sink/Video",
        "Publishes video frames for other processes to read without a copy", "cuframes");
    gst_element_class_add_pad_template(
        element, gst_pad_template_new("sink", GST_PAD_SINK, GST_PAD_ALWAYS, caps));
    gst_caps_unref(caps);
    element->set_context = gst_cuframes_sink_set_context;
    element->change_state = gst_cuframes_sink_change_state;
    base->start = gst_cuframes_sink_start;
    base->stop = gst_cuframes_sink_stop;
    base->set_caps = gst_cuframes_sink_set_caps;
    base->propose_allocation = gst_cuframes_sink_propose_allocation;
    base->query = gst_cuframes_sink_query;
    base->event = gst_cuframes_sink_event;
    base->unlock = gst_cuframes_sink_unlock;
    base->unlock_stop = gst_cuframes_sink_unlock_stop;
    base->preroll = gst_cuframes_sink_preroll;
    base->render = gst_cuframes_sink_render;
}
