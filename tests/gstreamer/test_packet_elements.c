/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframespacketsink and cuframespacketsrc in GStreamer's harness: what they count, and where a
 * reader begins.
 */
#include "elements.h"

#define STREAM_CAPS "video/x-h264,stream-format=byte-stream,alignment=au,width=64,height=48"
#define PACKET_SIZE 100
/* More than a packet of a ring of the default size can be. */
#define TOO_LARGE   (3 << 20)
#define PRE_ROLL_MS 1000

static GstHarness *make_packet_sink(void)
{
    GstElement *element = gst_element_factory_make("cuframespacketsink", NULL);
    GstHarness *h;

    g_object_set(element, "key", "cam", "sync", FALSE, NULL);
    h = gst_harness_new_with_element(element, "sink", NULL);
    gst_object_unref(element);
    gst_harness_set_src_caps_str(h, STREAM_CAPS);
    gst_harness_play(h);
    return h;
}

static void send_packet(GstHarness *h, gsize size, gboolean key)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, size, NULL);

    gst_buffer_memset(buffer, 0, 1, size);
    if (!key)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DELTA_UNIT);
    CHECK_EQ(gst_harness_push(h, buffer), GST_FLOW_OK);
}

static GstHarness *make_packet_source(const char *start, guint pre_roll_ms)
{
    GstElement *element = gst_element_factory_make("cuframespacketsrc", NULL);
    GstHarness *h;

    g_object_set(element, "key", "cam", "pre-roll", pre_roll_ms, NULL);
    gst_util_set_object_arg(G_OBJECT(element), "start", start);
    h = gst_harness_new_with_element(element, NULL, "src");
    gst_object_unref(element);
    gst_harness_use_systemclock(h);
    gst_harness_play(h);
    return h;
}

/* The number of the packet that a reader gets first. */
static guint64 first_packet(const char *start, guint pre_roll_ms)
{
    GstHarness *h = make_packet_source(start, pre_roll_ms);
    GstBuffer *buffer = gst_harness_pull(h);
    guint64 seq = GST_BUFFER_OFFSET(buffer);

    gst_buffer_unref(buffer);
    gst_harness_teardown(h);
    return seq;
}

ELEMENT_TEST(packet_elements_count)
{
    GstHarness *sink, *source;

    sink = make_packet_sink();
    for (int i = 0; i < 10; i++)
        send_packet(sink, PACKET_SIZE, i % 5 == 0);
    send_packet(sink, TOO_LARGE, FALSE);
    check_stats(sink->element, "application/x-cuframes-packet-sink-stats,published=(guint64)10,"
                               "bytes=(guint64)1000,dropped=(guint64)1,subscribers=(uint)0");
    source = make_packet_source("newest-key", 0);
    for (int i = 0; i < 5; i++)
        gst_buffer_unref(gst_harness_pull(source));
    check_stats(source->element,
                "application/x-cuframes-packet-src-stats,delivered=(guint64)5,"
                "bytes=(guint64)500,received=(guint64)5,lost=(guint64)0,reconnects=(guint64)0");
    check_stats(sink->element, "application/x-cuframes-packet-sink-stats,subscribers=(uint)1");
    gst_harness_teardown(source);
    gst_harness_teardown(sink);
    gst_deinit();
}

ELEMENT_TEST(a_reader_of_packets_begins_where_it_says)
{
    gint64 before;
    GstHarness *sink;
    guint64 first;

    sink = make_packet_sink();
    for (int i = 0; i < 10; i++)
        send_packet(sink, PACKET_SIZE, i % 5 == 0);
    g_usleep((PRE_ROLL_MS + 50) * 1000);
    before = g_get_monotonic_time();
    send_packet(sink, PACKET_SIZE, TRUE);
    first = first_packet("pre-roll", PRE_ROLL_MS);
    /* On a machine that is too slow the newest one is old enough, too. */
    if (g_get_monotonic_time() - before < PRE_ROLL_MS * 1000)
        CHECK_EQ(first, 5U);
    CHECK_EQ(first_packet("pre-roll", 0), 10U);
    CHECK_EQ(first_packet("pre-roll", 3600000), 0U);
    CHECK_EQ(first_packet("newest-key", 0), 10U);
    CHECK_EQ(first_packet("oldest-key", 0), 0U);
    gst_harness_teardown(sink);
    gst_deinit();
}
