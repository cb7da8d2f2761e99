/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gst_states PIPELINE: a pipeline as for gst-launch-1.0, that is paused and resumed on request.
 *
 * Its sink is named "out" and has signal-handoffs. A line on standard input is a request, a line on
 * standard output the answer:
 *
 *   play, pause   goes to that state: "playing", "paused", or "failed"
 *   last          the buffer that the sink keeps, as below, or "none"
 *   seen          the buffers that the sink has shown since the last "seen", in a line
 *   errors        what the pipeline has posted as errors and warnings
 *
 * A buffer is its offset and the CRC-32 of its bytes, "17:1a2b3c4d". Ends with the input.
 */
#include <gst/gst.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define PATIENCE (10 * GST_SECOND)

struct program {
    GstElement *pipeline;
    GstElement *sink;
    GMutex lock;
    GString *seen;
};

static void describe(GString *text, GstBuffer *buffer)
{
    GstMapInfo map;

    if (!gst_buffer_map(buffer, &map, GST_MAP_READ))
        return;
    g_string_append_printf(text, "%s%" G_GUINT64_FORMAT ":%08lx", text->len ? " " : "",
                           GST_BUFFER_OFFSET(buffer), crc32(0, map.data, (uInt)map.size));
    gst_buffer_unmap(buffer, &map);
}

static void show(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer data)
{
    struct program *program = data;

    g_mutex_lock(&program->lock);
    describe(program->seen, buffer);
    g_mutex_unlock(&program->lock);
}

static void answer(const char *text)
{
    printf("%s\n", text);
    fflush(stdout);
}

static void change(struct program *program, GstState state, const char *done)
{
    GstStateChangeReturn result = gst_element_set_state(program->pipeline, state);

    if (result == GST_STATE_CHANGE_ASYNC)
        result = gst_element_get_state(program->pipeline, NULL, NULL, PATIENCE);
    answer(result == GST_STATE_CHANGE_SUCCESS || result == GST_STATE_CHANGE_NO_PREROLL ? done
                                                                                       : "failed");
}

static void say_last(struct program *program)
{
    GString *text = g_string_new(NULL);
    GstSample *sample;

    g_object_get(program->sink, "last-sample", &sample, NULL);
    if (sample) {
        describe(text, gst_sample_get_buffer(sample));
        gst_sample_unref(sample);
    }
    answer(text->len ? text->str : "none");
    g_string_free(text, TRUE);
}

static void say_seen(struct program *program)
{
    g_mutex_lock(&program->lock);
    answer(program->seen->str);
    g_string_truncate(program->seen, 0);
    g_mutex_unlock(&program->lock);
}

static void say_errors(struct program *program)
{
    GstBus *bus = gst_element_get_bus(program->pipeline);
    GString *text = g_string_new(NULL);
    GstMessage *message;

    while ((message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR | GST_MESSAGE_WARNING))) {
        GError *error;

        if (GST_MESSAGE_TYPE(message) == GST_MESSAGE_ERROR)
            gst_message_parse_error(message, &error, NULL);
        else
            gst_message_parse_warning(message, &error, NULL);
        g_string_append_printf(text, "%s: %s; ", GST_MESSAGE_TYPE_NAME(message), error->message);
        g_error_free(error);
        gst_message_unref(message);
    }
    answer(g_strdelimit(text->str, "\n", ' '));
    g_string_free(text, TRUE);
    gst_object_unref(bus);
}

static void obey(struct program *program, const char *line)
{
    if (!strcmp(line, "play"))
        change(program, GST_STATE_PLAYING, "playing");
    else if (!strcmp(line, "pause"))
        change(program, GST_STATE_PAUSED, "paused");
    else if (!strcmp(line, "last"))
        say_last(program);
    else if (!strcmp(line, "seen"))
        say_seen(program);
    else if (!strcmp(line, "errors"))
        say_errors(program);
    else
        answer("what?");
}

int main(int argc, char **argv)
{
    struct program program = {.seen = g_string_new(NULL)};
    GError *error = NULL;
    char line[64];

    gst_init(&argc, &argv);
    if (argc != 2) {
        fprintf(stderr, "usage: gst_states PIPELINE\n");
        return 2;
    }
    program.pipeline = gst_parse_launch(argv[1], &error);
    program.sink = program.pipeline ? gst_bin_get_by_name(GST_BIN(program.pipeline), "out") : NULL;
    if (error || !program.sink) {
        fprintf(stderr, "gst_states: %s\n", error ? error->message : "no sink named \"out\"");
        return 1;
    }
    g_signal_connect(program.sink, "handoff", G_CALLBACK(show), &program);
    while (fgets(line, sizeof(line), stdin)) {
        line[strcspn(line, "\n")] = '\0';
        obey(&program, line);
    }
    gst_element_set_state(program.pipeline, GST_STATE_NULL);
    gst_object_unref(program.sink);
    gst_object_unref(program.pipeline);
    g_string_free(program.seen, TRUE);
    return 0;
}
