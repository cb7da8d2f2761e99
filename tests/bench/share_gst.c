/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pictures through GStreamer's shmsink and shmsrc. The writer draws into memory that it asks
 * shmsink for, so that nothing is copied; with a further argument "copied" it draws into its own
 * memory, and shmsink copies, as it does for every element that does not use its memory. ENDPOINT
 * is the socket's path.
 */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "share.h"

#define SLOTS   8
#define WAIT_MS 20000
#define CAPS    "video/x-raw,format=NV12,width=1920,height=1080,framerate=0/1"

static void pause_ms(long ms)
{
    const struct timespec pause = {.tv_nsec = ms * 1000000};

    nanosleep(&pause, NULL);
}

static GstElement *launch(const char *description)
{
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(description, &error);

    if (!pipeline || error)
        share_fail(error ? error->message : "no pipeline");
    return pipeline;
}

static GstElement *element(GstElement *pipeline, const char *name)
{
    return gst_bin_get_by_name(GST_BIN(pipeline), name);
}

/* The allocator that shmsink offers to the elements before it. */
static GstAllocator *sink_allocator(GstElement *appsrc)
{
    GstPad *pad = gst_element_get_static_pad(appsrc, "src");
    GstCaps *caps = gst_caps_from_string(CAPS);
    GstQuery *query = gst_query_new_allocation(caps, FALSE);
    GstAllocator *allocator = NULL;

    if (!gst_pad_peer_query(pad, query) || gst_query_get_n_allocation_params(query) == 0)
        share_fail("shmsink offers no memory");
    gst_query_parse_nth_allocation_param(query, 0, &allocator, NULL);
    gst_query_unref(query);
    gst_caps_unref(caps);
    gst_object_unref(pad);
    return allocator;
}

/* A buffer of shmsink's; all of them may be with the reader. */
static GstBuffer *shared_buffer(GstAllocator *allocator)
{
    for (int i = 0; i < WAIT_MS * 10; i++) {
        GstMemory *memory = gst_allocator_alloc(allocator, SHARE_SIZE, NULL);
        const struct timespec pause = {.tv_nsec = 100000};

        if (memory) {
            GstBuffer *buffer = gst_buffer_new();

            gst_buffer_append_memory(buffer, memory);
            return buffer;
        }
        nanosleep(&pause, NULL);
    }
    share_fail("the reader does not give memory back");
}

static void push(struct share *share, GstElement *appsrc, GstBuffer *buffer)
{
    GstMapInfo map;

    if (!gst_buffer_map(buffer, &map, GST_MAP_WRITE))
        share_fail("cannot map a buffer");
    share_draw(share, map.data);
    gst_buffer_unmap(buffer, &map);
    if (gst_app_src_push_buffer(GST_APP_SRC(appsrc), buffer) != GST_FLOW_OK)
        share_fail("shmsink takes no more buffers");
}

static void await_end(GstElement *pipeline)
{
    GstBus *bus = gst_element_get_bus(pipeline);
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, WAIT_MS * GST_MSECOND, GST_MESSAGE_EOS | GST_MESSAGE_ERROR);

    if (!message || GST_MESSAGE_TYPE(message) != GST_MESSAGE_EOS)
        share_fail("the pipeline did not end well");
    gst_message_unref(message);
    gst_object_unref(bus);
}

static void write_frames(struct share *share, bool copied)
{
    GstElement *pipeline =
        launch("appsrc name=in caps=" CAPS " block=true max-buffers=2 max-bytes=0 "
               "! shmsink name=out wait-for-connection=true sync=false");
    GstElement *appsrc = element(pipeline, "in"), *sink = element(pipeline, "out");
    GstAllocator *allocator;

    /* A little more than the pictures: the allocator has headers of its own. */
    g_object_set(sink, "socket-path", share->endpoint, "shm-size",
                 (guint)(SLOTS * (SHARE_SIZE + 65536)), NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    /* The pipeline becomes PLAYING with its first buffer; its memory is there after READY. */
    allocator = copied ? NULL : sink_allocator(appsrc);
    while (!share_is_done(share)) {
        share_pace(share);
        push(share, appsrc,
             copied ? gst_buffer_new_allocate(NULL, SHARE_SIZE, NULL) : shared_buffer(allocator));
    }
    gst_app_src_end_of_stream(GST_APP_SRC(appsrc));
    await_end(pipeline);
    /* Until the reader has given everything back: shmsink takes its memory away when it stops. */
    pause_ms(200);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    if (allocator)
        gst_object_unref(allocator);
    gst_object_unref(sink);
    gst_object_unref(appsrc);
    gst_object_unref(pipeline);
}

static void await_socket(const char *path)
{
    for (int i = 0; i < WAIT_MS && !g_file_test(path, G_FILE_TEST_EXISTS); i++)
        pause_ms(1);
}

static void read_frames(struct share *share)
{
    GstElement *pipeline = launch("shmsrc name=in is-live=true ! appsink name=out sync=false "
                                  "max-buffers=2 caps=" CAPS);
    GstElement *src = element(pipeline, "in"), *appsink = element(pipeline, "out");

    await_socket(share->endpoint);
    /* shmsrc carries no description of what it reads: appsink is told. */
    g_object_set(src, "socket-path", share->endpoint, NULL);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (!share_is_done(share)) {
        GstSample *sample =
            gst_app_sink_try_pull_sample(GST_APP_SINK(appsink), WAIT_MS * GST_MSECOND);
        GstBuffer *buffer = sample ? gst_sample_get_buffer(sample) : NULL;
        GstMapInfo map;

        if (!buffer || !gst_buffer_map(buffer, &map, GST_MAP_READ) || map.size != SHARE_SIZE)
            share_fail("no picture of the right size came");
        share_read(share, map.data);
        gst_buffer_unmap(buffer, &map);
        gst_sample_unref(sample);
    }
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(appsink);
    gst_object_unref(src);
    gst_object_unref(pipeline);
}

int main(int argc, char **argv)
{
    struct share share;

    share_init(&share, argc, argv);
    gst_init(NULL, NULL);
    if (share.write)
        write_frames(&share, argc > 5 && !strcmp(argv[5], "copied"));
    else
        read_frames(&share);
    share_finish(&share);
    return 0;
}
