/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframespacketsink: a channel without frames whose packets are the buffers that arrive.
 *
 * The publisher comes with the first caps, and goes when the element stops. Only the streaming
 * thread publishes; statistics take the object lock to see the publisher.
 */
#include "packetsink.h"

#include "meta.h"
#include "properties.h"
#include "publishing.h"
#include "report.h"
#include "stream.h"

GST_DEBUG_CATEGORY_STATIC(gst_cuframes_packet_sink_debug);
#define GST_CAT_DEFAULT gst_cuframes_packet_sink_debug

struct _GstCuframesPacketSink {
    GstBaseSink parent;

    /* Properties. */
    GstCuframesPublishing publishing;
    guint keep_ms;

    cuframes_publisher_t *publisher; /* changed under the object lock */
    /* Under the object lock. */
    guint64 published, bytes, dropped;
};

static GstStaticPadTemplate sink_template = GST_STATIC_PAD_TEMPLATE(
    "sink", GST_PAD_SINK, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_CUFRAMES_STREAM_CAPS));

G_DEFINE_TYPE(GstCuframesPacketSink, gst_cuframes_packet_sink, GST_TYPE_BASE_SINK)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(cuframespacketsink, "cuframespacketsink", GST_RANK_NONE,
                                      GST_TYPE_CUFRAMES_PACKET_SINK,
                                      GST_DEBUG_CATEGORY_INIT(gst_cuframes_packet_sink_debug,
                                                              "cuframespacketsink", 0,
                                                              "cuframes packet sink"))

static int create_publisher(GstCuframesPacketSink *self)
{
    cuframes_publisher_config_t config = {
        .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY,
        .memory = CUFRAMES_MEMORY_HOST,
    };
    cuframes_packet_ring_options_t ring = {.keep_ms = self->keep_ms};
    cuframes_publisher_t *publisher;
    int error;

    gst_cuframes_publishing_configure(&self->publishing, &config);
    error = cuframes_publisher_create(&config, &publisher);
    if (error)
        return error;
    error = cuframes_publisher_enable_packets(publisher, &ring);
    if (error) {
        cuframes_publisher_destroy(publisher);
        return error;
    }
    GST_OBJECT_LOCK(self);
    self->publisher = publisher;
    GST_OBJECT_UNLOCK(self);
    return CUFRAMES_OK;
}

static gboolean gst_cuframes_packet_sink_set_caps(GstBaseSink *base, GstCaps *caps)
{
    GstCuframesPacketSink *self = GST_CUFRAMES_PACKET_SINK(base);
    GstCuframesStream stream;
    int error = CUFRAMES_OK;

    if (!gst_cuframes_stream_from_caps(caps, &stream)) {
        GST_ELEMENT_ERROR(self, STREAM, WRONG_TYPE, ("This stream cannot be published."),
                          ("%" GST_PTR_FORMAT, caps));
        return FALSE;
    }
    if (!self->publisher)
        error = create_publisher(self);
    if (!error)
        error = cuframes_publisher_set_streams(self->publisher, &stream.stream, 1);
    gst_cuframes_stream_clear(&stream);
    if (error)
        gst_cuframes_report_error(GST_ELEMENT(self), error, GST_RESOURCE_ERROR_WRITE);
    return error == CUFRAMES_OK;
}

static gint64 running_ns(GstCuframesPacketSink *self, GstClockTime time)
{
    gint64 sign;
    guint64 running;

    if (!GST_CLOCK_TIME_IS_VALID(time))
        return CUFRAMES_NO_TIME;
    /* Decoding times before the segment's start are negative. */
    sign = gst_segment_to_running_time_full(&GST_BASE_SINK(self)->segment, GST_FORMAT_TIME, time,
                                            &running);
    return sign == 0 || running > G_MAXINT64 ? CUFRAMES_NO_TIME : sign * (gint64)running;
}

static cuframes_packet_desc_t describe(GstCuframesPacketSink *self, GstBuffer *buffer)
{
    GstReferenceTimestampMeta *time =
        gst_buffer_get_reference_timestamp_meta(buffer, gst_cuframes_unix_time_caps());
    cuframes_packet_desc_t packet = {
        .pts_ns = running_ns(self, GST_BUFFER_PTS(buffer)),
        .dts_ns = running_ns(self, GST_BUFFER_DTS(buffer)),
        .flags = CUFRAMES_PKT_FLAG_LAST_IN_AU,
    };

    if (GST_BUFFER_DURATION_IS_VALID(buffer) && GST_BUFFER_DURATION(buffer) <= G_MAXINT64)
        packet.duration_ns = (gint64)GST_BUFFER_DURATION(buffer);
    if (time && time->timestamp <= G_MAXINT64) {
        packet.capture_ns = (gint64)time->timestamp;
        packet.capture_source = CUFRAMES_CLOCK_APPLICATION;
    }
    if (!GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT))
        packet.flags |= CUFRAMES_PKT_FLAG_KEY;
    if (GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED))
        packet.flags |= CUFRAMES_PKT_FLAG_CORRUPT;
    if (GST_BUFFER_IS_DISCONT(buffer))
        packet.flags |= CUFRAMES_PKT_FLAG_DISCONTINUITY;
    return packet;
}

static GstFlowReturn published(GstCuframesPacketSink *self, int error, gsize size)
{
    /* One packet that is too large must not end the stream; the ring goes on. */
    if (error == CUFRAMES_ERR_PACKET_OVERSIZED) {
        GST_ELEMENT_WARNING(self, RESOURCE, NO_SPACE_LEFT, ("%s", cuframes_last_error()), (NULL));
        GST_OBJECT_LOCK(self);
        self->dropped++;
        GST_OBJECT_UNLOCK(self);
        return GST_FLOW_OK;
    }
    if (error) {
        gst_cuframes_report_error(GST_ELEMENT(self), error, GST_RESOURCE_ERROR_WRITE);
        return GST_FLOW_ERROR;
    }
    GST_OBJECT_LOCK(self);
    self->published++;
    self->bytes += size;
    GST_OBJECT_UNLOCK(self);
    return GST_FLOW_OK;
}

static GstFlowReturn gst_cuframes_packet_sink_render(GstBaseSink *base, GstBuffer *buffer)
{
    GstCuframesPacketSink *self = GST_CUFRAMES_PACKET_SINK(base);
    cuframes_packet_desc_t packet = describe(self, buffer);
    GstMapInfo map;
    gsize size;
    int error;

    if (gst_buffer_get_size(buffer) == 0)
        return GST_FLOW_OK;
    if (!gst_buffer_map(buffer, &map, GST_MAP_READ)) {
        GST_ELEMENT_ERROR(self, RESOURCE, READ, ("A buffer could not be read."), (NULL));
        return GST_FLOW_ERROR;
    }
    packet.data = map.data;
    packet.size = size = map.size;
    error = cuframes_publisher_send_packet(self->publisher, &packet, NULL);
    gst_buffer_unmap(buffer, &map);
    return published(self, error, size);
}

static gboolean gst_cuframes_packet_sink_start(GstBaseSink *base)
{
    GstCuframesPacketSink *self = GST_CUFRAMES_PACKET_SINK(base);

    if (!gst_cuframes_report_key(GST_ELEMENT(self), self->publishing.key,
                                 "No channel: set the property \"key\"."))
        return FALSE;
    GST_OBJECT_LOCK(self);
    self->published = self->bytes = self->dropped = 0;
    GST_OBJECT_UNLOCK(self);
    return TRUE;
}

static gboolean gst_cuframes_packet_sink_stop(GstBaseSink *base)
{
    GstCuframesPacketSink *self = GST_CUFRAMES_PACKET_SINK(base);
    cuframes_publisher_t *publisher;

    GST_OBJECT_LOCK(self);
    publisher = self->publisher;
    self->publisher = NULL;
    GST_OBJECT_UNLOCK(self);
    cuframes_publisher_destroy(publisher);
    return TRUE;
}

/* ---- properties ---- */

static GstStructure *statistics(GstElement *element)
{
    GstCuframesPacketSink *self = GST_CUFRAMES_PACKET_SINK(element);
    cuframes_publisher_stats_t stats = {0};
    GstStructure *structure;

    GST_OBJECT_LOCK(self);
    if (self->publisher)
        cuframes_publisher_stats(self->publisher, &stats);
    structure = gst_structure_new("application/x-cuframes-packet-sink-stats", "published",
                                  G_TYPE_UINT64, self->published, "bytes", G_TYPE_UINT64,
                                  self->bytes, "dropped", G_TYPE_UINT64, self->dropped,
                                  "subscribers", G_TYPE_UINT, stats.subscribers, NULL);
    GST_OBJECT_UNLOCK(self);
    return structure;
}

static void install_properties(GObjectClass *class)
{
    gst_cuframes_properties_init(class, statistics);
    gst_cuframes_publishing_install(class, G_STRUCT_OFFSET(GstCuframesPacketSink, publishing));
    gst_cuframes_property_install(
        class, G_STRUCT_OFFSET(GstCuframesPacketSink, keep_ms),
        g_param_spec_uint("keep", "Keep",
                          "How much of the past to keep for readers that begin with it, "
                          "milliseconds, and at least two groups of pictures; 0 = a ring of 8 MiB "
                          "and 64 packets",
                          0, G_MAXUINT, 0, GST_CUFRAMES_PROPERTY_FLAGS));
}

static void gst_cuframes_packet_sink_finalize(GObject *object)
{
    gst_cuframes_publishing_clear(&GST_CUFRAMES_PACKET_SINK(object)->publishing);
    G_OBJECT_CLASS(gst_cuframes_packet_sink_parent_class)->finalize(object);
}

static void gst_cuframes_packet_sink_init(GstCuframesPacketSink *self)
{
    gst_cuframes_publishing_init(&self->publishing);
}

static void gst_cuframes_packet_sink_class_init(GstCuframesPacketSinkClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseSinkClass *base = GST_BASE_SINK_CLASS(class);

    object->finalize = gst_cuframes_packet_sink_finalize;
    install_properties(object);
    gst_element_class_set_static_metadata(element, "cuframes packet sink", "Sink/Video/Audio",
                                          "Publishes an encoded stream for other processes to read",
                                          "cuframes");
    gst_element_class_add_static_pad_template(element, &sink_template);
    base->start = gst_cuframes_packet_sink_start;
    base->stop = gst_cuframes_packet_sink_stop;
    base->set_caps = gst_cuframes_packet_sink_set_caps;
    base->render = gst_cuframes_packet_sink_render;
}
