/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How fast buffers pass between pipelines of two processes, with the pixels left alone.
 *
 *   gst_flow write SINK          pushes buffers of the memory that SINK offers, until interrupted
 *   gst_flow read SOURCE SECONDS counts what comes, from a moment after the first
 *
 * SINK and SOURCE are descriptions as for gst-launch-1.0. Both print one line of JSON at the end.
 */
#include <gst/app/gstappsrc.h>
#include <gst/gst.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define WIDTH     1920
#define HEIGHT    1080
#define SIZE      (WIDTH * HEIGHT * 3 / 2)
#define CAPS      "video/x-raw,format=NV12,width=1920,height=1080,framerate=0/1"
#define BUFFERS   8
#define SETTLE_S  0.3
#define PATIENCE  (20 * GST_SECOND)
#define REPORT_NS 500000000

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    (void)number;
    stopped = 1;
}

static double clock_s(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    fprintf(stderr, "gst_flow: %s\n", what);
    exit(1);
}

static GstElement *launch(const char *description)
{
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(description, &error);

    if (!pipeline || error)
        fail(error ? error->message : "no pipeline");
    return pipeline;
}

/* The sink's own pool, or one of ours with its allocator. */
static GstBufferPool *make_pool(GstElement *source)
{
    GstPad *pad = gst_element_get_static_pad(source, "src");
    GstCaps *caps = gst_caps_from_string(CAPS);
    GstQuery *query = gst_query_new_allocation(caps, TRUE);
    GstAllocator *allocator = NULL;
    GstBufferPool *pool = NULL;
    GstStructure *config;

    if (!gst_pad_peer_query(pad, query))
        fail("the sink answers no allocation query");
    if (gst_query_get_n_allocation_pools(query) > 0)
        gst_query_parse_nth_allocation_pool(query, 0, &pool, NULL, NULL, NULL);
    if (gst_query_get_n_allocation_params(query) > 0)
        gst_query_parse_nth_allocation_param(query, 0, &allocator, NULL);
    if (!pool)
        pool = gst_buffer_pool_new();
    config = gst_buffer_pool_get_config(pool);
    gst_buffer_pool_config_set_params(config, caps, SIZE, 0, BUFFERS);
    if (allocator)
        gst_buffer_pool_config_set_allocator(config, allocator, NULL);
    if (!gst_buffer_pool_set_config(pool, config) || !gst_buffer_pool_set_active(pool, TRUE))
        fail("no buffers can be had");
    gst_clear_object(&allocator);
    gst_query_unref(query);
    gst_caps_unref(caps);
    gst_object_unref(pad);
    return pool;
}

static void write_buffers(const char *sink)
{
    char *text = g_strdup_printf("appsrc name=in caps=%s block=true max-buffers=1 max-bytes=0 "
                                 "format=time ! %s",
                                 CAPS, sink);
    GstElement *pipeline = launch(text);
    GstElement *source = gst_bin_get_by_name(GST_BIN(pipeline), "in");
    guint64 count = 0;
    GstBufferPool *pool;

    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    pool = make_pool(source);
    while (!stopped) {
        GstBuffer *buffer;

        if (gst_buffer_pool_acquire_buffer(pool, &buffer, NULL) != GST_FLOW_OK)
            fail("no buffer");
        GST_BUFFER_PTS(buffer) = count * 1000;
        if (gst_app_src_push_buffer(GST_APP_SRC(source), buffer) != GST_FLOW_OK)
            fail("the sink takes no more buffers");
        count++;
    }
    printf("{\"pushed\": %llu, \"cpu_s\": %.6f}\n", (unsigned long long)count,
           clock_s(CLOCK_PROCESS_CPUTIME_ID));
    fflush(stdout);
    /* Readers may hold what the sink would take away: the process just ends. */
    _Exit(0);
}

struct counter {
    gint frames;
};

static void count_frame(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
    struct counter *counter = data;

    g_atomic_int_inc(&counter->frames);
}

static void sleep_s(double seconds)
{
    g_usleep((gulong)(seconds * 1e6));
}

/* Frames of each half second are printed as they come, for those who stop others meanwhile. */
static void read_buffers(const char *source, double seconds)
{
    char *text = g_strdup_printf(
        "%s ! fakesink name=out sync=false async=false signal-handoffs=true", source);
    GstElement *pipeline = launch(text);
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "out");
    struct counter counter = {0};
    double start, cpu, end;
    gint first, last;

    g_signal_connect(sink, "handoff", G_CALLBACK(count_frame), &counter);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    for (int i = 0; g_atomic_int_get(&counter.frames) == 0; i++) {
        if (i > 20000)
            fail("no buffer came");
        g_usleep(1000);
    }
    sleep_s(SETTLE_S);
    first = g_atomic_int_get(&counter.frames);
    start = clock_s(CLOCK_MONOTONIC);
    cpu = clock_s(CLOCK_PROCESS_CPUTIME_ID);
    do {
        gint before = g_atomic_int_get(&counter.frames);

        sleep_s(REPORT_NS / 1e9);
        end = clock_s(CLOCK_MONOTONIC);
        last = g_atomic_int_get(&counter.frames);
        fprintf(stderr, "%d\n", last - before);
    } while (end - start < seconds);
    printf("{\"frames\": %d, \"seconds\": %.6f, \"cpu_s\": %.6f}\n", last - first, end - start,
           clock_s(CLOCK_PROCESS_CPUTIME_ID) - cpu);
    fflush(stdout);
    _Exit(0);
}

int main(int argc, char **argv)
{
    gst_init(NULL, NULL);
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    if (argc == 3 && !strcmp(argv[1], "write"))
        write_buffers(argv[2]);
    else if (argc == 4 && !strcmp(argv[1], "read"))
        read_buffers(argv[2], strtod(argv[3], NULL));
    fprintf(stderr, "usage: gst_flow write SINK | read SOURCE SECONDS\n");
    return 2;
}
