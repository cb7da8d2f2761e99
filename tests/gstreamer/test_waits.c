/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframessink with policy=wait: its waits for readers, which last an hour here unless they are
 * ended, end with the pipeline.
 */
#include "elements.h"

/* A sink that waits for a reader who takes nothing, and a thread that does what has to wait. */
struct waiting {
    GstHarness *h;
    GstBufferPool *pool;
    cuframes_subscriber_t *reader;
    GThread *thread;
    gint begun; /* atomic */
    GstFlowReturn ret;
};

static void fill_slots(struct waiting *waiting)
{
    waiting->h = make_sink();
    gst_element_set_state(waiting->h->element, GST_STATE_NULL);
    g_object_set(waiting->h->element, "slots", 4, "ack-timeout", 3600000, NULL);
    gst_util_set_object_arg(G_OBJECT(waiting->h->element), "policy", "wait");
    gst_harness_play(waiting->h);
    waiting->pool = take_pool(waiting->h);
    /* Slots of this channel as the pool has made them. */
    CHECK_EQ(gst_harness_push(waiting->h, plain_buffer(0)), GST_FLOW_OK);
    waiting->reader = make_reader();
    for (uint8_t i = 1; i < 4; i++)
        CHECK_EQ(gst_harness_push(waiting->h, plain_buffer(i)), GST_FLOW_OK);
}

static gpointer push_one_more(gpointer data)
{
    struct waiting *waiting = data;

    g_atomic_int_set(&waiting->begun, TRUE);
    waiting->ret = gst_harness_push(waiting->h, plain_buffer(4));
    return NULL;
}

static gpointer take_one_more(gpointer data)
{
    struct waiting *waiting = data;
    GstBuffer *buffer;

    g_atomic_int_set(&waiting->begun, TRUE);
    waiting->ret = gst_buffer_pool_acquire_buffer(waiting->pool, &buffer, NULL);
    return NULL;
}

static void begin_waiting(struct waiting *waiting, GThreadFunc func)
{
    fill_slots(waiting);
    waiting->thread = g_thread_new("waits", func, waiting);
    while (!g_atomic_int_get(&waiting->begun))
        g_usleep(1000);
    /* Time to get there; without it the test would see less. */
    g_usleep(100000);
    CHECK_EQ(stat_of(waiting->h->element, "published"), 4U);
}

static void end_waiting(struct waiting *waiting, GstFlowReturn expected)
{
    g_thread_join(waiting->thread);
    CHECK_EQ(waiting->ret, expected);
    CHECK_EQ(stat_of(waiting->h->element, "evicted"), 0U);
}

static void clean_up(struct waiting *waiting)
{
    cuframes_subscriber_destroy(waiting->reader);
    gst_buffer_pool_set_active(waiting->pool, FALSE);
    gst_object_unref(waiting->pool);
    gst_harness_teardown(waiting->h);
    gst_deinit();
}

ELEMENT_TEST(a_sink_that_waits_is_stopped_at_once)
{
    struct waiting waiting = {0};

    begin_waiting(&waiting, push_one_more);
    CHECK_EQ(gst_element_set_state(waiting.h->element, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
    end_waiting(&waiting, GST_FLOW_FLUSHING);
    clean_up(&waiting);
}

ELEMENT_TEST(upstream_that_waits_for_a_slot_is_stopped_with_the_sink)
{
    struct waiting waiting = {0};

    begin_waiting(&waiting, take_one_more);
    CHECK_EQ(gst_element_set_state(waiting.h->element, GST_STATE_NULL), GST_STATE_CHANGE_SUCCESS);
    end_waiting(&waiting, GST_FLOW_FLUSHING);
    clean_up(&waiting);
}

ELEMENT_TEST(a_pool_that_is_flushed_waits_no_longer)
{
    struct waiting waiting = {0};

    begin_waiting(&waiting, take_one_more);
    gst_buffer_pool_set_flushing(waiting.pool, TRUE);
    end_waiting(&waiting, GST_FLOW_FLUSHING);
    clean_up(&waiting);
}

static void expect_values(cuframes_subscriber_t *reader, uint8_t first, uint8_t last)
{
    for (uint8_t i = first; i <= last; i++) {
        cuframes_frame_t *frame;
        cuframes_plane_t plane;

        CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, 5000));
        CHECK_OK(cuframes_frame_plane(frame, 0, &plane));
        CHECK_EQ(((const uint8_t *)plane.data)[0], i);
        cuframes_frame_release(frame);
    }
}

/* The wait ends, what was on its way is lost, and the next pictures come. */
static void flush_while(GThreadFunc func)
{
    struct waiting waiting = {0};
    GstSegment segment;

    begin_waiting(&waiting, func);
    CHECK(gst_harness_push_event(waiting.h, gst_event_new_flush_start()));
    end_waiting(&waiting, GST_FLOW_FLUSHING);
    CHECK(gst_harness_push_event(waiting.h, gst_event_new_flush_stop(TRUE)));
    gst_segment_init(&segment, GST_FORMAT_TIME);
    CHECK(gst_harness_push_event(waiting.h, gst_event_new_segment(&segment)));
    expect_values(waiting.reader, 0, 3);
    CHECK_EQ(gst_harness_push(waiting.h, plain_buffer(6)), GST_FLOW_OK);
    expect_values(waiting.reader, 6, 6);
    clean_up(&waiting);
}

ELEMENT_TEST(a_flush_ends_a_wait_and_the_stream_goes_on)
{
    flush_while(push_one_more);
}

ELEMENT_TEST(a_flush_ends_the_wait_of_upstream_for_a_slot)
{
    flush_while(take_one_more);
}

ELEMENT_TEST(a_pause_does_not_wait_for_readers_and_costs_no_picture)
{
    struct waiting waiting = {0};

    begin_waiting(&waiting, push_one_more);
    gst_element_set_state(waiting.h->element, GST_STATE_PAUSED);
    CHECK_EQ(gst_element_get_state(waiting.h->element, NULL, NULL, GST_CLOCK_TIME_NONE),
             GST_STATE_CHANGE_SUCCESS);
    CHECK_EQ(stat_of(waiting.h->element, "published"), 4U);
    expect_values(waiting.reader, 0, 3);
    gst_element_set_state(waiting.h->element, GST_STATE_PLAYING);
    end_waiting(&waiting, GST_FLOW_OK);
    expect_values(waiting.reader, 4, 4);
    clean_up(&waiting);
}
