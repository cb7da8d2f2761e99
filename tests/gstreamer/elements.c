/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "elements.h"

#include <gst/video/video.h>

#include "meta.h"
#include "packetsink.h"
#include "packetsrc.h"
#include "sink.h"
#include "src.h"

static void start_gstreamer(void)
{
    CHECK(gst_init_check(NULL, NULL, NULL));
    gst_cuframes_meta_register();
    CHECK(GST_ELEMENT_REGISTER(cuframessrc, NULL));
    CHECK(GST_ELEMENT_REGISTER(cuframessink, NULL));
    CHECK(GST_ELEMENT_REGISTER(cuframespacketsrc, NULL));
    CHECK(GST_ELEMENT_REGISTER(cuframespacketsink, NULL));
}

static void nothing(gpointer data, gpointer unused)
{
}

void prepare(void)
{
    GThreadPool *pool;

    start_gstreamer();
    /* Newer releases of GLib start threads from a thread that stays. */
    g_thread_pool_set_max_unused_threads(0);
    pool = g_thread_pool_new(nothing, NULL, 1, FALSE, NULL);
    g_thread_pool_push(pool, pool, NULL);
    g_thread_pool_free(pool, FALSE, TRUE);
}

guint64 stat_of(GstElement *element, const char *name)
{
    GstStructure *stats;
    guint64 value;

    g_object_get(element, "stats", &stats, NULL);
    CHECK(gst_structure_get_uint64(stats, name, &value));
    gst_structure_free(stats);
    return value;
}

GstHarness *make_sink(void)
{
    GstElement *element = gst_element_factory_make("cuframessink", NULL);
    GstHarness *h;

    g_object_set(element, "key", "cam", "sync", FALSE, NULL);
    h = gst_harness_new_with_element(element, "sink", NULL);
    gst_object_unref(element);
    gst_harness_set_src_caps_str(h, CAPS);
    gst_harness_play(h);
    return h;
}

cuframes_subscriber_t *make_reader(void)
{
    cuframes_subscriber_config_t config = {
        .key = "cam", .mode = CUFRAMES_MODE_STRICT_ORDER, .connect_timeout_ms = 5000};
    cuframes_subscriber_t *reader;

    CHECK_OK(cuframes_subscriber_create(&config, &reader));
    return reader;
}

GstBuffer *plain_buffer(uint8_t value)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, SIZE, NULL);

    gst_buffer_memset(buffer, 0, value, SIZE);
    GST_BUFFER_PTS(buffer) = 40 * GST_MSECOND;
    return buffer;
}

GstBufferPool *take_pool(GstHarness *h)
{
    GstCaps *caps = gst_caps_from_string(CAPS);
    GstQuery *query = gst_query_new_allocation(caps, TRUE);
    GstVideoAlignment align;
    GstBufferPool *pool;
    GstStructure *config;
    guint size;

    gst_video_alignment_reset(&align);
    align.padding_top = align.padding_bottom = align.padding_left = align.padding_right = 16;
    CHECK(gst_pad_peer_query(h->srcpad, query));
    gst_query_parse_nth_allocation_pool(query, 0, &pool, &size, NULL, NULL);
    CHECK(pool);
    config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, size, 2, 0);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_META);
    gst_buffer_pool_config_add_option(config, GST_BUFFER_POOL_OPTION_VIDEO_ALIGNMENT);
    gst_buffer_pool_config_set_video_alignment(config, &align);
    CHECK(gst_buffer_pool_set_config(pool, config));
    CHECK(gst_buffer_pool_set_active(pool, TRUE));
    gst_query_unref(query);
    gst_caps_unref(caps);
    return pool;
}

void check_stats(GstElement *element, const char *expected)
{
    GstStructure *wanted = gst_structure_from_string(expected, NULL), *stats;

    g_object_get(element, "stats", &stats, NULL);
    if (!gst_structure_is_subset(stats, wanted))
        g_error("%s instead of %s", gst_structure_to_string(stats), expected);
    gst_structure_free(stats);
    gst_structure_free(wanted);
}
