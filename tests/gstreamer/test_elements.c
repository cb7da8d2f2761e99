/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The elements in GStreamer's own harness, without pipelines: what buffers carry, whose memory they
 * are, when slots are free again. The plug-in's sources are part of this program, so that the
 * address sanitizer sees them.
 */
#include <gst/video/video.h>
#include <sys/socket.h>

#include "elements.h"
#include "format.h"
#include "meta.h"
#include "timeline.h"

static cuframes_publisher_t *make_publisher(int32_t slots)
{
    cuframes_publisher_config_t config = {
        .key = "cam",
        .width = WIDTH,
        .height = 48,
        .ring_size = slots,
        .memory = CUFRAMES_MEMORY_HOST,
        .fps_num = 30,
        .fps_den = 1,
        .sar_num = 4,
        .sar_den = 3,
        .color = {1, 1, 1, CUFRAMES_RANGE_LIMITED},
    };
    cuframes_publisher_t *publisher;

    CHECK_OK(cuframes_publisher_create(&config, &publisher));
    return publisher;
}

static void publish(cuframes_publisher_t *publisher, uint8_t value,
                    const cuframes_frame_meta_t *meta)
{
    cuframes_buffer_t *buffer;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    memset(cuframes_buffer_data(buffer), value, SIZE);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, meta, NULL));
    cuframes_buffer_unref(buffer);
}

static uint32_t slots_held(cuframes_publisher_t *publisher)
{
    cuframes_publisher_stats_t stats;

    CHECK_OK(cuframes_publisher_stats(publisher, &stats));
    return stats.slots_held;
}

static GstHarness *make_source(const char *mode)
{
    GstElement *element = gst_element_factory_make("cuframessrc", NULL);
    GstHarness *h;

    gst_util_set_object_arg(G_OBJECT(element), "mode", mode);
    g_object_set(element, "key", "cam", NULL);
    h = gst_harness_new_with_element(element, NULL, "src");
    gst_object_unref(element);
    gst_harness_use_systemclock(h);
    /* What reads from the harness knows GstVideoMeta. */
    gst_harness_add_propose_allocation_meta(h, GST_VIDEO_META_API_TYPE, NULL);
    gst_harness_play(h);
    return h;
}

static void wait_for_subscriber(cuframes_publisher_t *publisher)
{
    cuframes_publisher_stats_t stats = {0};

    while (stats.subscribers == 0) {
        g_usleep(1000);
        CHECK_OK(cuframes_publisher_stats(publisher, &stats));
    }
}

ELEMENT_TEST(a_buffer_says_what_is_known_of_its_frame)
{
    static const char blob[] = "detections";
    cuframes_frame_meta_t meta = {
        .pts_ns = 5000,
        .capture_ns = INT64_C(1700000000123456789),
        .capture_source = CUFRAMES_CLOCK_CAMERA,
        .flags = CUFRAMES_FRAME_CORRUPT,
        .user_data = blob,
        .user_size = sizeof(blob),
    };
    cuframes_publisher_t *publisher;
    GstReferenceTimestampMeta *time;
    const GstStructure *structure;
    GstCustomMeta *custom;
    GstVideoMeta *video;
    GstHarness *h;
    GstBuffer *buffer, *data;
    GstMapInfo map;
    guint64 seq;

    publisher = make_publisher(8);
    h = make_source("order");
    wait_for_subscriber(publisher);
    publish(publisher, 7, &meta);
    buffer = gst_harness_pull(h);
    CHECK(buffer);
    CHECK(GST_BUFFER_IS_DISCONT(buffer));
    CHECK(GST_BUFFER_FLAG_IS_SET(buffer, GST_BUFFER_FLAG_CORRUPTED));
    CHECK_EQ(GST_BUFFER_DURATION(buffer), GST_SECOND / 30);
    CHECK(GST_BUFFER_PTS_IS_VALID(buffer));
    time = gst_buffer_get_reference_timestamp_meta(buffer, gst_cuframes_unix_time_caps());
    CHECK(time);
    CHECK_EQ(time->timestamp, (guint64)meta.capture_ns);
    custom = gst_buffer_get_custom_meta(buffer, GST_CUFRAMES_META_NAME);
    CHECK(custom);
    structure = gst_custom_meta_get_structure(custom);
    CHECK(gst_structure_get(structure, "seq", G_TYPE_UINT64, &seq, "data", GST_TYPE_BUFFER, &data,
                            NULL));
    CHECK_EQ(seq, 0U);
    CHECK_STR_EQ(gst_structure_get_string(structure, "capture-source"), "camera");
    CHECK_EQ(gst_buffer_get_size(data), sizeof(blob));
    CHECK_EQ(gst_buffer_memcmp(data, 0, blob, sizeof(blob)), 0);
    gst_buffer_unref(data);
    video = gst_buffer_get_video_meta(buffer);
    CHECK(video);
    CHECK_EQ(video->stride[1], WIDTH);
    CHECK(GST_MEMORY_IS_READONLY(gst_buffer_peek_memory(buffer, 0)));
    CHECK(gst_buffer_map(buffer, &map, GST_MAP_READ));
    CHECK_EQ(map.size, SIZE);
    CHECK_EQ(map.data[SIZE - 1], 7);
    gst_buffer_unmap(buffer, &map);
    gst_buffer_unref(buffer);
    gst_harness_teardown(h);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gst_deinit();
}

ELEMENT_TEST(caps_say_what_the_channel_is)
{
    cuframes_publisher_t *publisher;
    GstCaps *caps, *expected;
    GstHarness *h;

    publisher = make_publisher(8);
    h = make_source("order");
    wait_for_subscriber(publisher);
    publish(publisher, 1, NULL);
    gst_buffer_unref(gst_harness_pull(h));
    caps = gst_pad_get_current_caps(h->sinkpad);
    expected = gst_caps_from_string(CAPS ",pixel-aspect-ratio=4/3,colorimetry=bt709,"
                                         "interlace-mode=progressive");
    CHECK(gst_caps_is_equal(caps, expected));
    gst_caps_unref(caps);
    gst_caps_unref(expected);
    gst_harness_teardown(h);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gst_deinit();
}

ELEMENT_TEST(a_buffer_holds_its_slot)
{
    cuframes_publisher_t *publisher;
    GstBuffer *buffers[3];
    GstMapInfo map;
    GstHarness *h;

    publisher = make_publisher(8);
    h = make_source("order");
    wait_for_subscriber(publisher);
    for (uint8_t i = 0; i < 3; i++) {
        publish(publisher, (uint8_t)(10 + i), NULL);
        buffers[i] = gst_harness_pull(h);
    }
    CHECK_EQ(slots_held(publisher), 3U);
    /* Also after the element has gone. */
    gst_harness_teardown(h);
    for (uint8_t i = 0; i < 40; i++)
        publish(publisher, i, NULL);
    for (int i = 0; i < 3; i++) {
        CHECK(gst_buffer_map(buffers[i], &map, GST_MAP_READ));
        CHECK_EQ(map.data[0], 10 + i);
        gst_buffer_unmap(buffers[i], &map);
        gst_buffer_unref(buffers[i]);
    }
    while (slots_held(publisher) > 0)
        g_usleep(1000);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gst_deinit();
}

ELEMENT_TEST(writing_to_a_buffer_changes_nobody_elses_frame)
{
    cuframes_publisher_t *publisher;
    GstBuffer *buffer, *again;
    GstMapInfo map;
    GstHarness *h, *other;

    publisher = make_publisher(8);
    h = make_source("order");
    other = make_source("order");
    wait_for_subscriber(publisher);
    while (slots_held(publisher) < 1) {
        publish(publisher, 5, NULL);
        g_usleep(5000);
    }
    buffer = gst_buffer_make_writable(gst_harness_pull(h));
    CHECK(gst_buffer_map(buffer, &map, GST_MAP_WRITE));
    memset(map.data, 99, map.size);
    gst_buffer_unmap(buffer, &map);
    publish(publisher, 5, NULL);
    again = gst_harness_pull(other);
    CHECK(gst_buffer_map(again, &map, GST_MAP_READ));
    CHECK_EQ(map.data[0], 5);
    gst_buffer_unmap(again, &map);
    gst_buffer_unref(again);
    gst_buffer_unref(buffer);
    gst_harness_teardown(h);
    gst_harness_teardown(other);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gst_deinit();
}

ELEMENT_TEST(frames_that_the_pipeline_keeps_are_copied)
{
    cuframes_publisher_t *publisher;
    GstBuffer *buffers[20];
    GstMapInfo map;
    GstHarness *h;

    publisher = make_publisher(6);
    h = make_source("order");
    wait_for_subscriber(publisher);
    for (uint8_t i = 0; i < 20; i++) {
        publish(publisher, i, NULL);
        buffers[i] = gst_harness_pull(h);
    }
    /* Four holds, of which one is for taking frames out. */
    check_stats(h->element,
                "application/x-cuframes-src-stats,delivered=(guint64)20,received=(guint64)20,"
                "copied=(guint64)17,held=(uint)3,max-holds=(uint)4,missed=(guint64)0,"
                "skipped=(guint64)0,generations=(guint64)0,reconnects=(guint64)0,"
                "publisher-dropped=(guint64)0,staged=(guint64)0,memory=host,access=\"in place\"");
    for (int i = 0; i < 20; i++) {
        CHECK(gst_buffer_map(buffers[i], &map, GST_MAP_READ));
        CHECK_EQ(map.data[SIZE / 2], i);
        gst_buffer_unmap(buffers[i], &map);
        gst_buffer_unref(buffers[i]);
    }
    gst_harness_teardown(h);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gst_deinit();
}

ELEMENT_TEST(a_latency_query_is_answered)
{
    cuframes_publisher_t *publisher;
    GstClockTime min, max;
    gboolean live;
    GstQuery *query;
    GstHarness *h;

    publisher = make_publisher(8);
    h = make_source("newest");
    wait_for_subscriber(publisher);
    publish(publisher, 1, NULL);
    gst_buffer_unref(gst_harness_pull(h));
    query = gst_query_new_latency();
    CHECK(gst_element_query(h->element, query));
    gst_query_parse_latency(query, &live, &min, &max);
    gst_query_unref(query);
    CHECK(live);
    CHECK_EQ(min, GST_SECOND / 30);
    CHECK(max == GST_CLOCK_TIME_NONE || max >= min);
    gst_harness_teardown(h);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gst_deinit();
}

/* ---- the sink ---- */

ELEMENT_TEST(what_a_buffer_carries_is_published)
{
    static const char blob[] = "boxes";
    cuframes_subscriber_t *reader;
    cuframes_clock_source_t source;
    cuframes_frame_t *frame;
    GstBuffer *buffer, *data;
    GstCustomMeta *custom;
    GstHarness *h;
    size_t size;

    h = make_sink();
    CHECK_EQ(gst_harness_push(h, plain_buffer(1)), GST_FLOW_OK);
    reader = make_reader();
    buffer = plain_buffer(2);
    GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_CORRUPTED);
    gst_buffer_add_reference_timestamp_meta(buffer, gst_cuframes_unix_time_caps(), 123456,
                                            GST_CLOCK_TIME_NONE);
    custom = gst_buffer_add_custom_meta(buffer, GST_CUFRAMES_META_NAME);
    data = gst_buffer_new_memdup(blob, sizeof(blob));
    gst_structure_set(gst_custom_meta_get_structure(custom), "data", GST_TYPE_BUFFER, data,
                      "capture-source", G_TYPE_STRING, "device", NULL);
    gst_buffer_unref(data);
    CHECK_EQ(gst_harness_push(h, buffer), GST_FLOW_OK);
    do {
        CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, 5000));
        if (cuframes_frame_seq(frame) == 1)
            break;
        cuframes_frame_release(frame);
    } while (true);
    CHECK_EQ(((const uint8_t *)cuframes_frame_data(frame))[SIZE - 1], 2);
    CHECK_EQ(cuframes_frame_pts_ns(frame), (int64_t)(40 * GST_MSECOND));
    CHECK(cuframes_frame_flags(frame) & CUFRAMES_FRAME_CORRUPT);
    CHECK_EQ(cuframes_frame_capture_ns(frame, &source), 123456);
    CHECK_EQ(source, CUFRAMES_CLOCK_DEVICE);
    CHECK_MEM_EQ(cuframes_frame_user_data(frame, &size), blob, sizeof(blob));
    CHECK_EQ(size, sizeof(blob));
    cuframes_frame_release(frame);
    CHECK_EQ(stat_of(h->element, "copied"), 2U);
    cuframes_subscriber_destroy(reader);
    gst_harness_teardown(h);
    gst_deinit();
}

ELEMENT_TEST(a_sink_counts)
{
    cuframes_subscriber_t *readers[2];
    cuframes_frame_t *frames[4];
    GstHarness *h;

    h = make_sink();
    gst_element_set_state(h->element, GST_STATE_NULL);
    g_object_set(h->element, "slots", 4, NULL);
    gst_harness_play(h);
    CHECK_EQ(gst_harness_push(h, plain_buffer(0)), GST_FLOW_OK);
    readers[0] = make_reader();
    readers[1] = make_reader();
    /* Each of the four slots is held by one of them: the next picture is dropped. */
    for (uint8_t i = 0; i < 5; i++) {
        CHECK_EQ(gst_harness_push(h, plain_buffer(i)), GST_FLOW_OK);
        while (i < 4 && (cuframes_subscriber_next(readers[i / 2], NULL, &frames[i], 5000) ||
                         cuframes_frame_seq(frames[i]) <= i))
            cuframes_frame_release(frames[i]);
    }
    check_stats(h->element,
                "application/x-cuframes-sink-stats,published=(guint64)5,copied=(guint64)5,"
                "dropped=(guint64)1,evicted=(guint64)0,refused=(guint64)0,generations=(guint64)1,"
                "subscribers=(uint)2,slots-held=(uint)4");
    for (int i = 0; i < 4; i++)
        cuframes_frame_release(frames[i]);
    cuframes_subscriber_destroy(readers[0]);
    cuframes_subscriber_destroy(readers[1]);
    gst_harness_teardown(h);
    gst_deinit();
}

static void fill_picture(GstBuffer *buffer, uint8_t value)
{
    GstVideoInfo info;
    GstVideoFrame frame;

    gst_video_info_set_format(&info, GST_VIDEO_FORMAT_NV12, WIDTH, 48);
    CHECK(gst_video_frame_map(&frame, &info, buffer, GST_MAP_WRITE));
    for (int y = 0; y < 48; y++)
        memset((uint8_t *)GST_VIDEO_FRAME_PLANE_DATA(&frame, 0) +
                   (size_t)y * (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0),
               value, WIDTH);
    gst_video_frame_unmap(&frame);
}

ELEMENT_TEST(slots_are_lent_to_upstream)
{
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    cuframes_plane_t plane;
    GstBufferPool *pool;
    GstBuffer *buffer, *kept;
    GstMapInfo map;
    GstHarness *h;

    h = make_sink();
    pool = take_pool(h);
    reader = make_reader();
    CHECK_EQ(gst_buffer_pool_acquire_buffer(pool, &buffer, NULL), GST_FLOW_OK);
    fill_picture(buffer, 42);
    kept = gst_buffer_ref(buffer);
    CHECK_EQ(gst_harness_push(h, buffer), GST_FLOW_OK);
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, 5000));
    CHECK_OK(cuframes_frame_plane(frame, 0, &plane));
    CHECK_GT(plane.pitch, (uint32_t)WIDTH);
    CHECK_EQ(((const uint8_t *)plane.data)[0], 42);
    CHECK_EQ(((const uint8_t *)plane.data)[(size_t)47 * plane.pitch + WIDTH - 1], 42);
    CHECK_EQ(stat_of(h->element, "copied"), 0U);
    /* Upstream still has the buffer, and can write only to a copy. */
    CHECK(gst_buffer_is_writable(kept));
    CHECK(gst_buffer_map(kept, &map, GST_MAP_READWRITE));
    memset(map.data, 1, map.size);
    gst_buffer_unmap(kept, &map);
    CHECK_EQ(((const uint8_t *)plane.data)[0], 42);
    cuframes_frame_release(frame);
    gst_buffer_unref(kept);
    cuframes_subscriber_destroy(reader);
    gst_buffer_pool_set_active(pool, FALSE);
    gst_object_unref(pool);
    gst_harness_teardown(h);
    gst_deinit();
}

ELEMENT_TEST(a_buffer_that_comes_twice_is_copied)
{
    GstBufferPool *pool;
    GstBuffer *buffer;
    GstHarness *h;

    h = make_sink();
    pool = take_pool(h);
    CHECK_EQ(gst_buffer_pool_acquire_buffer(pool, &buffer, NULL), GST_FLOW_OK);
    fill_picture(buffer, 42);
    CHECK_EQ(gst_harness_push(h, gst_buffer_ref(buffer)), GST_FLOW_OK);
    CHECK_EQ(gst_harness_push(h, buffer), GST_FLOW_OK);
    CHECK_EQ(stat_of(h->element, "published"), 2U);
    CHECK_EQ(stat_of(h->element, "copied"), 1U);
    gst_buffer_pool_set_active(pool, FALSE);
    gst_object_unref(pool);
    gst_harness_teardown(h);
    gst_deinit();
}

ELEMENT_TEST(upstream_that_keeps_everything_gets_ordinary_memory)
{
    GstBuffer *buffers[20];
    GstBufferPool *pool;
    GstHarness *h;

    h = make_sink();
    pool = take_pool(h);
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(gst_buffer_pool_acquire_buffer(pool, &buffers[i], NULL), GST_FLOW_OK);
        fill_picture(buffers[i], (uint8_t)i);
    }
    for (int i = 0; i < 20; i++)
        CHECK_EQ(gst_harness_push(h, buffers[i]), GST_FLOW_OK);
    CHECK_EQ(stat_of(h->element, "published"), 20U);
    CHECK_EQ(stat_of(h->element, "copied"), 16U); /* half of the eight slots are lent */
    gst_buffer_pool_set_active(pool, FALSE);
    gst_object_unref(pool);
    gst_harness_teardown(h);
    gst_deinit();
}

ELEMENT_TEST(caps_change_in_mid_stream)
{
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    int32_t width, height;
    GstBuffer *buffer;
    GstHarness *h;

    h = make_sink();
    CHECK_EQ(gst_harness_push(h, plain_buffer(1)), GST_FLOW_OK);
    reader = make_reader();
    gst_harness_set_src_caps_str(h, "video/x-raw,format=RGB,width=32,height=16,framerate=30/1");
    buffer = gst_buffer_new_allocate(NULL, 32 * 16 * 3, NULL);
    gst_buffer_memset(buffer, 0, 9, 32 * 16 * 3);
    CHECK_EQ(gst_harness_push(h, buffer), GST_FLOW_OK);
    do {
        CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, 5000));
        if (cuframes_frame_seq(frame) == 1)
            break;
        cuframes_frame_release(frame);
    } while (true);
    cuframes_frame_size(frame, &width, &height);
    CHECK_EQ(width, 32);
    CHECK_EQ(cuframes_frame_format(frame), CUFRAMES_FORMAT_RGB);
    CHECK_EQ(((const uint8_t *)cuframes_frame_data(frame))[100], 9);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(reader);
    gst_harness_teardown(h);
    gst_deinit();
}

ELEMENT_TEST(a_descriptor_connects_sink_and_source)
{
    GstElement *element;
    GstHarness *sink, *source;
    GstBuffer *buffer;
    gboolean taken;
    int pair[2];

    CHECK_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    element = gst_element_factory_make("cuframessink", NULL);
    g_object_set(element, "key", "cam", "socket", FALSE, "sync", FALSE, NULL);
    sink = gst_harness_new_with_element(element, "sink", NULL);
    gst_object_unref(element);
    gst_harness_set_src_caps_str(sink, CAPS);
    gst_harness_play(sink);
    /* Before the first picture. */
    g_signal_emit_by_name(sink->element, "add-client", pair[0], &taken);
    CHECK(taken);
    element = gst_element_factory_make("cuframessrc", NULL);
    g_object_set(element, "fd", pair[1], NULL);
    source = gst_harness_new_with_element(element, NULL, "src");
    gst_object_unref(element);
    gst_harness_play(source);
    CHECK_EQ(gst_harness_push(sink, plain_buffer(77)), GST_FLOW_OK);
    buffer = gst_harness_pull(source);
    CHECK(buffer);
    CHECK_EQ(gst_buffer_memcmp(buffer, 0, "MMMM", 4), 0);
    gst_buffer_unref(buffer);
    gst_harness_teardown(source);
    gst_harness_teardown(sink);
    gst_deinit();
}

/* ---- what needs no elements ---- */

TEST(places_on_the_clock)
{
    GstCuframesTimeline timeline;
    gint64 place;

    gst_cuframes_timeline_init(&timeline);
    CHECK_EQ(gst_cuframes_timeline_place(&timeline, 1000, 50000), 50000);
    /* One that is published late keeps its spacing (but for the part that the anchor gives in). */
    place = gst_cuframes_timeline_place(&timeline, 2000, 51000 + 2560);
    CHECK_EQ(place, 51000 + 10);
    /* One that is published early moves the line: never in the future. */
    CHECK_EQ(gst_cuframes_timeline_place(&timeline, 900000, 60000), 60000);
    /* A jump, a time that is not known, one that goes back: always later than the one before. */
    CHECK_EQ(gst_cuframes_timeline_place(&timeline, CUFRAMES_NO_TIME, 70000), 70000);
    CHECK_EQ(gst_cuframes_timeline_place(&timeline, CUFRAMES_NO_TIME, 65000), 70001);
    gst_cuframes_timeline_reset(&timeline);
    CHECK_EQ(gst_cuframes_timeline_place(&timeline, -5, 80000), 80000);
    place = gst_cuframes_timeline_place(&timeline, INT64_MAX, -5);
    CHECK_EQ(place, 80001);
    place = gst_cuframes_timeline_place(&timeline, INT64_MIN + 1, INT64_MAX);
    CHECK_EQ(place, INT64_MAX);
}

ELEMENT_TEST(pictures_and_caps)
{
    for (int format = 0; format < CUFRAMES_FORMAT_COUNT; format++) {
        GstCuframesPicture picture = {.format = (cuframes_format_t)format,
                                      .width = 67,
                                      .height = 51,
                                      .fps_num = 30000,
                                      .fps_den = 1001,
                                      .par_num = 4,
                                      .par_den = 3};
        GstCuframesPicture back;
        cuframes_layout_t layout;
        GstVideoInfo info;
        GstCaps *caps;

        if (gst_cuframes_format_to_gst(picture.format) == GST_VIDEO_FORMAT_UNKNOWN)
            continue;
        caps = gst_cuframes_picture_to_caps(&picture);
        CHECK(gst_video_info_from_caps(&info, caps));
        CHECK(gst_cuframes_picture_from_caps(caps, &info, &back));
        CHECK(gst_cuframes_picture_equal(&picture, &back));
        CHECK(gst_cuframes_layout_from_info(&info, &layout));
        CHECK_EQ(layout.size, GST_VIDEO_INFO_SIZE(&info));
        gst_caps_unref(caps);
    }
    gst_deinit();
}
