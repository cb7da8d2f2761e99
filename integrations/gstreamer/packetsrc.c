/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframespacketsrc.
 *
 * Packets are copied out of the ring by the library and wrapped here. The first is a key frame,
 * which can be as old as the group of pictures is long: its running time is that at which it is
 * pushed, and those after it follow with the spacing that their source gave them.
 *
 * Threads: as in src.c.
 */
#include "packetsrc.h"

#include "meta.h"
#include "properties.h"
#include "reader.h"
#include "stream.h"
#include "timeline.h"

GST_DEBUG_CATEGORY_STATIC(gst_cuframes_packet_src_debug);
#define GST_CAT_DEFAULT gst_cuframes_packet_src_debug

#define LOOK_INTERVAL (500 * GST_MSECOND)
#define FIRST_VIDEO   (-1)

typedef enum { START_NEWEST_KEY, START_OLDEST_KEY, START_PRE_ROLL } Start;

struct _GstCuframesPacketSrc {
    GstPushSrc parent;

    /* Properties, with those of the reader. */
    gint stream;
    gint start; /* Start */
    guint pre_roll_ms;

    /* The streaming thread's. */
    GstCuframesReader reader;
    GstCuframesTimeline timeline;
    gint chosen;    /* index of the stream, -1 until known */
    gboolean video; /* it is one */
    gboolean have_caps;
    gboolean placed;
    gint64 shift; /* from places to running time */
    gboolean discontinuity;

    /* Under the object lock. */
    guint64 delivered, bytes;
};

static GstStaticPadTemplate src_template = GST_STATIC_PAD_TEMPLATE(
    "src", GST_PAD_SRC, GST_PAD_ALWAYS, GST_STATIC_CAPS(GST_CUFRAMES_STREAM_CAPS));

G_DEFINE_TYPE(GstCuframesPacketSrc, gst_cuframes_packet_src, GST_TYPE_PUSH_SRC)
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(cuframespacketsrc, "cuframespacketsrc", GST_RANK_NONE,
                                      GST_TYPE_CUFRAMES_PACKET_SRC,
                                      GST_DEBUG_CATEGORY_INIT(gst_cuframes_packet_src_debug,
                                                              "cuframespacketsrc", 0,
                                                              "cuframes packet source"))

/* ---- attaching ---- */

static GstFlowReturn attach(GstCuframesPacketSrc *self)
{
    cuframes_subscriber_config_t config = {
        .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY,
    };
    cuframes_packet_options_t options = {
        .start = self->start == START_OLDEST_KEY ? CUFRAMES_PACKETS_FROM_OLDEST_KEY
                 : self->start == START_PRE_ROLL ? CUFRAMES_PACKETS_FROM_PRE_ROLL
                                                 : CUFRAMES_PACKETS_FROM_NEWEST_KEY,
        .pre_roll_ms = self->pre_roll_ms,
    };
    GstFlowReturn ret = gst_cuframes_reader_attach(&self->reader, &config);

    if (ret != GST_FLOW_OK)
        return ret;
    if (cuframes_subscriber_enable_packets_from(self->reader.subscriber, &options) == CUFRAMES_OK)
        return GST_FLOW_OK;
    GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND, ("%s", cuframes_last_error()), (NULL));
    return GST_FLOW_ERROR;
}

/* ---- packets ---- */

static GstFlowReturn next_packet(GstCuframesPacketSrc *self, cuframes_packet_t **packet)
{
    GstFlowReturn ret = GST_FLOW_OK;

    while (ret == GST_FLOW_OK) {
        int error = cuframes_subscriber_next_packet(self->reader.subscriber, packet, 0);

        if (error == CUFRAMES_OK)
            return GST_FLOW_OK;
        if (error == CUFRAMES_ERR_WOULD_BLOCK) {
            if (gst_cuframes_reader_wait(&self->reader, LOOK_INTERVAL) ==
                GST_CUFRAMES_READER_FLUSHING)
                ret = GST_FLOW_FLUSHING;
        } else if (error == CUFRAMES_ERR_PACKET_OVERRUN) {
            GST_WARNING_OBJECT(self, "%s", cuframes_last_error());
            self->discontinuity = TRUE;
        } else {
            ret = gst_cuframes_reader_ended(&self->reader, error);
        }
    }
    return ret;
}

/* The index of the stream that is wanted, -1 if the channel has none. */
static gint choose_stream(GstCuframesPacketSrc *self)
{
    gint count = cuframes_subscriber_stream_count(self->reader.subscriber);
    cuframes_stream_t stream;

    if (self->stream != FIRST_VIDEO)
        return self->stream < count ? self->stream : -1;
    for (gint i = 0; i < count; i++)
        if (cuframes_subscriber_stream(self->reader.subscriber, i, &stream) == CUFRAMES_OK &&
            stream.type == CUFRAMES_STREAM_VIDEO)
            return i;
    return count > 0 ? 0 : -1;
}

static GstFlowReturn no_such_stream(GstCuframesPacketSrc *self)
{
    GST_ELEMENT_ERROR(self, RESOURCE, NOT_FOUND,
                      ("The channel has no stream %d; it has %d.", self->stream,
                       cuframes_subscriber_stream_count(self->reader.subscriber)),
                      (NULL));
    return GST_FLOW_ERROR;
}

static GstFlowReturn set_caps(GstCuframesPacketSrc *self)
{
    cuframes_stream_t stream;
    GstCaps *caps;
    gboolean taken;

    self->chosen = choose_stream(self);
    if (self->chosen < 0 ||
        cuframes_subscriber_stream(self->reader.subscriber, self->chosen, &stream) != CUFRAMES_OK)
        return no_such_stream(self);
    self->video = stream.type == CUFRAMES_STREAM_VIDEO;
    caps = gst_cuframes_stream_to_caps(&stream);
    if (!caps) {
        GST_ELEMENT_ERROR(self, STREAM, WRONG_TYPE,
                          ("Stream %d is %s, which this element has no caps for.", self->chosen,
                           stream.codec_name),
                          (NULL));
        return GST_FLOW_NOT_NEGOTIATED;
    }
    GST_INFO_OBJECT(self, "caps %" GST_PTR_FORMAT, caps);
    taken = gst_base_src_set_caps(GST_BASE_SRC(self), caps);
    gst_caps_unref(caps);
    self->have_caps = taken;
    return taken ? GST_FLOW_OK : GST_FLOW_NOT_NEGOTIATED;
}

static GstClockTime now_running(GstCuframesPacketSrc *self)
{
    GstClock *clock = gst_element_get_clock(GST_ELEMENT(self));
    GstClockTime base = gst_element_get_base_time(GST_ELEMENT(self));
    GstClockTime now = clock ? gst_clock_get_time(clock) : GST_CLOCK_TIME_NONE;

    gst_clear_object(&clock);
    return now != GST_CLOCK_TIME_NONE && now > base ? now - base : 0;
}

static GstClockTime shifted(GstCuframesPacketSrc *self, gint64 place)
{
    gint64 time = place + self->shift;

    return time > 0 ? (GstClockTime)time : 0;
}

/* Time stamps: the decoding order makes the line, the presentation time keeps its distance. */
static void stamp(GstCuframesPacketSrc *self, GstBuffer *buffer, const cuframes_packet_t *packet)
{
    gint64 pts = cuframes_packet_pts(packet), dts = cuframes_packet_dts(packet);
    gint64 first = dts != CUFRAMES_NO_TIME ? dts : pts;
    gint64 place;

    if (self->discontinuity || (cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_DISCONTINUITY))
        gst_cuframes_timeline_reset(&self->timeline);
    place =
        gst_cuframes_timeline_place(&self->timeline, first, cuframes_packet_published_ns(packet));
    if (!self->placed) {
        self->shift = (gint64)now_running(self) - place;
        self->placed = TRUE;
    }
    if (dts != CUFRAMES_NO_TIME)
        GST_BUFFER_DTS(buffer) = shifted(self, place);
    if (pts != CUFRAMES_NO_TIME)
        GST_BUFFER_PTS(buffer) = shifted(self, place + (pts - first));
    if (cuframes_packet_duration(packet) > 0)
        GST_BUFFER_DURATION(buffer) = (GstClockTime)cuframes_packet_duration(packet);
}

static void describe(GstCuframesPacketSrc *self, GstBuffer *buffer, const cuframes_packet_t *packet)
{
    guint32 flags = cuframes_packet_flags(packet);
    gint64 capture_ns = cuframes_packet_capture_ns(packet, NULL);

    if (self->video && !(flags & CUFRAMES_PKT_FLAG_KEY))
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    if (flags & CUFRAMES_PKT_FLAG_CORRUPT)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_CORRUPTED);
    if (self->discontinuity || (flags & CUFRAMES_PKT_FLAG_DISCONTINUITY) ||
        cuframes_packet_lost(packet) > 0)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT);
    if (capture_ns != CUFRAMES_NO_TIME && capture_ns >= 0)
        gst_buffer_add_reference_timestamp_meta(buffer, gst_cuframes_unix_time_caps(),
                                                (GstClockTime)capture_ns, GST_CLOCK_TIME_NONE);
    GST_BUFFER_OFFSET(buffer) = cuframes_packet_seq(packet);
    self->discontinuity = FALSE;
}

static void free_packet(gpointer packet)
{
    cuframes_subscriber_release_packet(NULL, packet);
}

/* Consumes the packet; `*out` stays NULL for one of another stream. */
static GstFlowReturn deliver(GstCuframesPacketSrc *self, cuframes_packet_t *packet, GstBuffer **out)
{
    gsize size = cuframes_packet_size(packet);
    GstFlowReturn ret = GST_FLOW_OK;
    GstBuffer *buffer;

    if (!self->have_caps || (cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_GENERATION))
        ret = set_caps(self);
    if (ret != GST_FLOW_OK || (gint)cuframes_packet_stream(packet) != self->chosen) {
        free_packet(packet);
        return ret;
    }
    buffer = gst_buffer_new_wrapped_full(GST_MEMORY_FLAG_READONLY,
                                         (gpointer)cuframes_packet_data(packet), size, 0, size,
                                         packet, free_packet);
    stamp(self, buffer, packet);
    describe(self, buffer, packet);
    GST_OBJECT_LOCK(self);
    self->delivered++;
    self->bytes += size;
    GST_OBJECT_UNLOCK(self);
    *out = buffer;
    return GST_FLOW_OK;
}

static GstFlowReturn gst_cuframes_packet_src_create(GstPushSrc *push, GstBuffer **out)
{
    GstCuframesPacketSrc *self = GST_CUFRAMES_PACKET_SRC(push);
    GstFlowReturn ret = self->reader.subscriber ? GST_FLOW_OK : attach(self);
    cuframes_packet_t *packet;

    *out = NULL;
    while (ret == GST_FLOW_OK && !*out) {
        ret = next_packet(self, &packet);
        if (ret == GST_FLOW_OK)
            ret = deliver(self, packet, out);
    }
    return ret;
}

/* ---- base class ---- */

static gboolean gst_cuframes_packet_src_start(GstBaseSrc *base)
{
    GstCuframesPacketSrc *self = GST_CUFRAMES_PACKET_SRC(base);

    if (!gst_cuframes_reader_check(&self->reader))
        return FALSE;
    gst_cuframes_timeline_init(&self->timeline);
    self->chosen = -1;
    self->have_caps = self->placed = FALSE;
    self->discontinuity = TRUE;
    GST_OBJECT_LOCK(self);
    self->delivered = self->bytes = 0;
    GST_OBJECT_UNLOCK(self);
    return TRUE;
}

static gboolean gst_cuframes_packet_src_stop(GstBaseSrc *base)
{
    gst_cuframes_reader_detach(&GST_CUFRAMES_PACKET_SRC(base)->reader);
    return TRUE;
}

static gboolean gst_cuframes_packet_src_unlock(GstBaseSrc *base)
{
    GstCuframesReader *reader = &GST_CUFRAMES_PACKET_SRC(base)->reader;

    if (!gst_cuframes_reader_is_pausing(reader))
        gst_cuframes_reader_set_flushing(reader, TRUE);
    return TRUE;
}

static gboolean gst_cuframes_packet_src_unlock_stop(GstBaseSrc *base)
{
    gst_cuframes_reader_set_flushing(&GST_CUFRAMES_PACKET_SRC(base)->reader, FALSE);
    return TRUE;
}

/* Caps are known with the first packet, and set then. */
static gboolean gst_cuframes_packet_src_negotiate(GstBaseSrc *base)
{
    return TRUE;
}

/* ---- properties ---- */

static GType start_type(void)
{
    static GType type;
    static const GEnumValue values[] = {
        {START_NEWEST_KEY, "At the newest key frame", "newest-key"},
        {START_OLDEST_KEY, "At the oldest key frame that is kept", "oldest-key"},
        {START_PRE_ROLL, "At the youngest key frame that is at least pre-roll old", "pre-roll"},
        {0},
    };

    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstCuframesPacketSrcStart", values));
    return type;
}

static GstStructure *statistics(GstElement *element)
{
    GstCuframesPacketSrc *self = GST_CUFRAMES_PACKET_SRC(element);
    cuframes_subscriber_stats_t stats = {0};
    GstStructure *structure;

    GST_OBJECT_LOCK(self);
    if (self->reader.subscriber)
        cuframes_subscriber_stats(self->reader.subscriber, &stats);
    structure =
        gst_structure_new("application/x-cuframes-packet-src-stats", "delivered", G_TYPE_UINT64,
                          self->delivered, "bytes", G_TYPE_UINT64, self->bytes, "received",
                          G_TYPE_UINT64, stats.packets_received, "lost", G_TYPE_UINT64,
                          stats.packets_lost, "reconnects", G_TYPE_UINT64, stats.reconnects, NULL);
    GST_OBJECT_UNLOCK(self);
    return structure;
}

#define FIELD(name) G_STRUCT_OFFSET(GstCuframesPacketSrc, name)

static void install_properties(GObjectClass *class)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_properties_init(class, statistics);
    gst_cuframes_reader_install(class, FIELD(reader));
    gst_cuframes_property_install(
        class, FIELD(stream),
        g_param_spec_int("stream", "Stream",
                         "Number of the elementary stream; -1 = the first video stream, else the "
                         "first",
                         FIRST_VIDEO, CUFRAMES_MAX_STREAMS - 1, FIRST_VIDEO, flags));
    gst_cuframes_property_install(class, FIELD(start),
                                  g_param_spec_enum("start", "Start", "Where to begin",
                                                    start_type(), START_NEWEST_KEY, flags));
    gst_cuframes_property_install(
        class, FIELD(pre_roll_ms),
        g_param_spec_uint("pre-roll", "Pre-roll",
                          "With start=pre-roll: how much of the past to begin with, milliseconds",
                          0, G_MAXUINT, 0, flags));
    gst_type_mark_as_plugin_api(start_type(), 0);
}

static void gst_cuframes_packet_src_finalize(GObject *object)
{
    GstCuframesPacketSrc *self = GST_CUFRAMES_PACKET_SRC(object);

    gst_cuframes_reader_clear(&self->reader);
    G_OBJECT_CLASS(gst_cuframes_packet_src_parent_class)->finalize(object);
}

static void gst_cuframes_packet_src_init(GstCuframesPacketSrc *self)
{
    self->stream = FIRST_VIDEO;
    gst_cuframes_reader_init(&self->reader, GST_ELEMENT(self));
    gst_base_src_set_live(GST_BASE_SRC(self), TRUE);
    gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}

static void gst_cuframes_packet_src_class_init(GstCuframesPacketSrcClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseSrcClass *base = GST_BASE_SRC_CLASS(class);

    object->finalize = gst_cuframes_packet_src_finalize;
    install_properties(object);
    gst_element_class_set_static_metadata(
        element, "cuframes packet source", "Source/Video/Audio",
        "Reads an encoded stream that another process publishes, from a key frame on", "cuframes");
    gst_element_class_add_static_pad_template(element, &src_template);
    base->start = gst_cuframes_packet_src_start;
    base->stop = gst_cuframes_packet_src_stop;
    base->unlock = gst_cuframes_packet_src_unlock;
    base->unlock_stop = gst_cuframes_packet_src_unlock_stop;
    base->negotiate = gst_cuframes_packet_src_negotiate;
    GST_PUSH_SRC_CLASS(class)->create = gst_cuframes_packet_src_create;
}
