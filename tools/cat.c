/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes cat: frames as a byte stream on stdout, for programs that know nothing of cuframes.
 * A frame is held while it is written, so a slow reader of the pipe is a slow subscriber.
 * --packets is in cat_packets.c.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cat_packets.h"
#include "command.h"
#include "common/attach.h"
#include "common/options.h"
#include "common/output.h"
#include "common/stop.h"
#include "common/stream.h"
#include "common/terminal.h"
#include "nut.h"

enum stream_type { STREAM_RAW, STREAM_Y4M, STREAM_NUT };

struct settings {
    cuframes_subscriber_config_t config;
    const char *format; /* NULL = nut */
    enum stream_type type;
    struct cat_packets_settings packets;
    bool wants_packets;
    bool frames_wanted; /* an option that is about frames was given */
    int64_t frames;     /* 0 = no limit */
    double seconds;     /* 0 = no limit */
    double wait_s;
    bool force;
};

/* What the stream promised with its first frame. */
struct shape {
    cuframes_format_t format;
    int32_t width, height;
};

struct writer {
    const struct settings *settings;
    struct output output;
    struct pieces pieces;
    struct nut_writer *nut;
    struct shape shape;
    uint64_t written;
    uint64_t missed;
};

enum {
    ID_TYPE = 1,
    ID_PACKETS,
    ID_TO,
    ID_FRAMES,
    ID_SECONDS,
    ID_MODE,
    ID_RECONNECT,
    ID_WAIT,
    ID_FORCE
};

static const struct option_row rows[] = {
    {ID_TYPE, "format", "FORMAT",
     "raw: planes without padding or header; y4m: YUV and gray,\n"
     "with size and rate; nut (default): every format, with times;\n"
     "with --packets: nut, mpegts, or annexb (H.264 or HEVC alone)"},
    {ID_PACKETS, "packets", NULL, "the encoded packets instead of frames, from a key frame on"},
    {ID_TO, "to", "unix:PATH", "packets to all who connect to this Unix socket"},
    {ID_FRAMES, "frames", "N", "end after so many frames"},
    {ID_SECONDS, "seconds", "S", "end after so many seconds"},
    {ID_MODE, "mode", "order|newest", "all frames in order (default), or the newest each time"},
    {ID_RECONNECT, "reconnect", NULL, "when the publisher goes away, wait for the next one"},
    {ID_WAIT, "wait", "S", ATTACH_WAIT_HELP},
    {ID_FORCE, "force", NULL, "write even if standard output is a terminal"},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY [options]",
    .about = "Writes the frames of channel KEY to standard output:\n"
             "  cuframes cat cam1 | ffplay -f nut -\n"
             "  cuframes cat cam1 --format y4m --frames 100 | ffmpeg -i - clip.mp4\n"
             "or its encoded packets:\n"
             "  cuframes cat cam1 --packets --format mpegts | ffplay -\n"
             "  cuframes cat cam1 --packets --format mpegts --to unix:/tmp/cam1.ts",
    .rows = rows,
};

static bool choose_frame_format(struct settings *s)
{
    if (!strcmp(s->format, "raw"))
        s->type = STREAM_RAW;
    else if (!strcmp(s->format, "y4m"))
        s->type = STREAM_Y4M;
    else if (!strcmp(s->format, "nut"))
        s->type = STREAM_NUT;
    else {
        report_usage("--format: \"%s\" is not raw, y4m or nut", s->format);
        return false;
    }
    if (s->packets.socket_path) {
        report_usage("--to is for packets: give --packets too");
        return false;
    }
    return true;
}

static bool choose_packet_format(struct settings *s)
{
    enum packet_format *format = &s->packets.feed.format;

    if (s->frames_wanted) {
        report_usage("--frames and --mode are about frames, --packets is not");
        return false;
    }
    if (packet_format_from_name(s->format, format) &&
        (*format == PACKET_FORMAT_NUT || *format == PACKET_FORMAT_MPEGTS ||
         *format == PACKET_FORMAT_ANNEXB))
        return true;
    report_usage("--format: \"%s\" is not nut, mpegts or annexb, which packets can be", s->format);
    return false;
}

static bool take_socket(const struct options *o, struct settings *s)
{
    if (strncmp(o->value, "unix:", 5) != 0 || !o->value[5]) {
        report_usage("--to: \"%s\" is not unix:PATH", o->value);
        return false;
    }
    if (strlen(o->value + 5) > PACKET_SERVER_PATH_MAX) {
        report_usage("--to: the path of a socket has at most %d characters",
                     PACKET_SERVER_PATH_MAX);
        return false;
    }
    s->packets.socket_path = o->value + 5;
    return true;
}

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    cuframes_subscriber_mode_t mode;

    switch (id) {
    case ID_TYPE:
        s->format = o->value;
        return true;
    case ID_PACKETS:
        s->wants_packets = true;
        return true;
    case ID_TO:
        return take_socket(o, s);
    case ID_FRAMES:
        s->frames_wanted = true;
        return options_integer(o, 1, INT64_MAX, &s->frames);
    case ID_SECONDS:
        return options_number(o, 0.001, 1e9, &s->seconds);
    case ID_MODE:
        s->frames_wanted = true;
        if (!options_mode(o, &mode))
            return false;
        s->config.mode = (int)mode;
        return true;
    case ID_RECONNECT:
        s->config.flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
        return true;
    case ID_WAIT:
        return options_number(o, 0, 1e6, &s->wait_s);
    default:
        s->force = true;
        return true;
    }
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_channel(&o, 1, "KEY", &s->config))
        return TOOL_USAGE;
    if (!(s->wants_packets ? choose_packet_format(s) : choose_frame_format(s)))
        return TOOL_USAGE;
    if (!s->force && !s->packets.socket_path && terminal_on_stdout())
        return report_usage("video on a terminal helps nobody: use a pipe or a file, or --force");
    attach_for_cpu(&s->config);
    return TOOL_CONTINUE;
}

static int run_packets(struct settings *s)
{
    struct cat_packets_settings *packets = &s->packets;

    packets->feed.config = s->config;
    packets->feed.config.flags |= CUFRAMES_SUBSCRIBER_PACKETS_ONLY;
    packets->seconds = s->seconds;
    packets->wait_s = s->wait_s;
    if (!packets->socket_path)
        return cat_packets(packets);
    packets->feed.config.flags |= CUFRAMES_SUBSCRIBER_POLL;
    return packet_server_run(packets);
}

static struct shape shape_of(const cuframes_frame_t *frame)
{
    struct shape shape = {.format = cuframes_frame_format(frame)};

    cuframes_frame_size(frame, &shape.width, &shape.height);
    return shape;
}

static int after_output(enum output_result result)
{
    if (result == OUTPUT_DONE)
        return TOOL_CONTINUE;
    return result == OUTPUT_STOPPED ? TOOL_DONE : TOOL_FAILED;
}

static int nut_failed(int error)
{
    if (error == CUFRAMES_ERR_WOULD_BLOCK && stop_requested())
        return TOOL_DONE;
    /* The reader of the pipe has gone: cat(1) says nothing then either. */
    return error == CUFRAMES_ERR_DISCONNECTED ? TOOL_FAILED
                                              : report_failed("%s", nut_writer_error());
}

static int begin_y4m(struct writer *writer, const cuframes_frame_t *frame,
                     const cuframes_channel_info_t *info)
{
    char header[STREAM_Y4M_HEADER_SIZE];
    struct iovec piece = {.iov_base = header};

    if (!stream_y4m_has(writer->shape.format))
        return report_failed("y4m has no %s: use --format nut or raw",
                             cuframes_format_name(writer->shape.format));
    stream_y4m_header(frame, info, header);
    piece.iov_len = strlen(header);
    return after_output(output_write(&writer->output, &piece, 1));
}

/* What comes before the first frame. */
static int begin(struct writer *writer, cuframes_subscriber_t *subscriber,
                 const cuframes_frame_t *frame)
{
    cuframes_channel_info_t info;
    int error = cuframes_subscriber_info(subscriber, &info);

    if (error)
        return report_library(error);
    writer->shape = shape_of(frame);
    if (writer->settings->type == STREAM_Y4M)
        return begin_y4m(writer, frame, &info);
    if (writer->settings->type == STREAM_NUT) {
        error =
            nut_writer_open_channel(output_descriptor(&writer->output), frame, &info, &writer->nut);
        if (error)
            return nut_failed(error);
        nut_writer_set_stop(writer->nut, stop_requested);
    }
    return TOOL_CONTINUE;
}

static int check_shape(const struct writer *writer, const cuframes_frame_t *frame)
{
    const struct shape *was = &writer->shape;
    struct shape is = shape_of(frame);

    if (is.format == was->format && is.width == was->width && is.height == was->height)
        return TOOL_CONTINUE;
    return report_failed("the picture changed from %" PRId32 "x%" PRId32 " %s to %" PRId32
                         "x%" PRId32 " %s, which the stream cannot express: start again",
                         was->width, was->height, cuframes_format_name(was->format), is.width,
                         is.height, cuframes_format_name(is.format));
}

static int write_frame(struct writer *writer, const cuframes_frame_t *frame)
{
    int error;

    if (writer->settings->type == STREAM_NUT) {
        error = nut_writer_frame(writer->nut, frame);
        return error ? nut_failed(error) : TOOL_CONTINUE;
    }
    error = writer->settings->type == STREAM_Y4M ? stream_y4m(frame, &writer->pieces)
                                                 : stream_raw(frame, &writer->pieces);
    if (error)
        return report_failed("cannot write this frame: %s", cuframes_strerror(error));
    return after_output(output_write(&writer->output, writer->pieces.list, writer->pieces.count));
}

static int take_frame(struct writer *writer, cuframes_subscriber_t *subscriber,
                      const cuframes_frame_t *frame)
{
    int rc = writer->written ? check_shape(writer, frame) : begin(writer, subscriber, frame);

    if (rc == TOOL_CONTINUE)
        rc = write_frame(writer, frame);
    if (rc == TOOL_CONTINUE) {
        writer->written++;
        writer->missed += cuframes_frame_missed(frame);
        terminal_progress("%" PRIu64 " frames, %" PRIu64 " missed", writer->written,
                          writer->missed);
    }
    return rc;
}

/* The channel's end is the stream's end, unless more was asked for. */
static int ended(const struct writer *writer, int error)
{
    if (error == CUFRAMES_ERR_TIMEOUT || error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error == CUFRAMES_ERR_DISCONNECTED && writer->written && !writer->settings->frames &&
        writer->settings->seconds <= 0)
        return TOOL_DONE;
    return report_library(error);
}

static int copy_frames(struct writer *writer, cuframes_subscriber_t *subscriber)
{
    const struct settings *s = writer->settings;
    int64_t deadline_ns =
        s->seconds > 0 ? cuframes_now_ns() + (int64_t)(s->seconds * 1e9) : INT64_MAX;
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && (!s->frames || writer->written < (uint64_t)s->frames)) {
        int64_t now = cuframes_now_ns();
        int64_t piece_ns = now + INT64_C(1000000) * STOP_POLL_MS;
        cuframes_frame_t *frame;
        int error;

        if (now >= deadline_ns || stop_requested())
            break;
        error = attach_next(subscriber, piece_ns < deadline_ns ? piece_ns : deadline_ns, &frame);
        if (error == CUFRAMES_ERR_TIMEOUT) {
            /* Also while no frame comes, a reader that is gone ends the tool. */
            if (output_is_closed(&writer->output))
                return TOOL_FAILED;
            continue;
        }
        if (error)
            return ended(writer, error);
        rc = take_frame(writer, subscriber, frame);
        cuframes_frame_release(frame);
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

static int finish(struct writer *writer, int rc)
{
    int error;

    terminal_progress_clear();
    error = nut_writer_close(writer->nut);
    if (error && rc == TOOL_DONE)
        rc = nut_failed(error);
    if (writer->missed)
        report("%" PRIu64 " frames were missed: the reader was too slow for the channel",
               writer->missed);
    pieces_fini(&writer->pieces);
    output_close(&writer->output);
    return rc;
}

/* Before any option. */
static const struct settings defaults = {
    .config.mode = CUFRAMES_MODE_STRICT_ORDER, .format = "nut", .wait_s = ATTACH_DEFAULT_WAIT_S};

int command_cat(int argc, char **argv)
{
    struct settings s = defaults;
    struct writer writer = {.settings = &s};
    cuframes_subscriber_t *subscriber;
    int error;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    if (s.wants_packets)
        return run_packets(&s);
    error = attach(&s.config, s.wait_s, s.seconds, &subscriber);
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error)
        return report_library(error);
    output_open(&writer.output, STDOUT_FILENO);
    rc = finish(&writer, copy_frames(&writer, subscriber));
    cuframes_subscriber_destroy(subscriber);
    return rc;
}
