/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes record: writes the encoded packets of a channel into files, unchanged.
 */
#include <inttypes.h>
#include <signal.h>
#include <string.h>

#include "command.h"
#include "common/attach.h"
#include "common/options.h"
#include "common/packet_attach.h"
#include "common/stop.h"
#include "common/terminal.h"
#include "record/recorder.h"

/* More than a channel keeps. */
#define MAX_PRE_ROLL_S 3600
/* A recording of limited length also ends when so much more time has passed: nothing comes. */
#define LATE_NS INT64_C(2000000000)

struct settings {
    cuframes_subscriber_config_t config;
    cuframes_packet_options_t packets;
    struct recorder_settings recorder;
    const char *path;
    const char *format; /* NULL = by the file's extension */
    double seconds;     /* 0 = no limit */
    double wait_s;
    bool overwrite;
};

enum {
    ID_FORMAT = 1,
    ID_PRE_ROLL,
    ID_SEGMENT,
    ID_DURATION,
    ID_VIDEO_ONLY,
    ID_OVERWRITE,
    ID_RECONNECT,
    ID_WAIT
};

static const struct option_row rows[] = {
    {ID_FORMAT, "format", "mp4|mkv|ts", "container; default: by the file's extension"},
    {ID_PRE_ROLL, "pre-roll", "S", "begin so many seconds ago, as far as the channel keeps them"},
    {ID_SEGMENT, "segment", "S", "begin a new file at the first key frame after S seconds"},
    {ID_DURATION, "duration", "S", "end after so many seconds, those of --pre-roll included"},
    {ID_VIDEO_ONLY, "video-only", NULL, "leave out the sound"},
    {ID_OVERWRITE, "overwrite", NULL, "replace files that are there"},
    {ID_RECONNECT, "reconnect", NULL,
     "when the publisher goes away, wait for the next one and begin a new file"},
    {ID_WAIT, "wait", "S", ATTACH_WAIT_HELP},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY FILE [options]",
    .about =
        "Records the encoded packets of channel KEY, unchanged. FILE ends in .mp4, .mkv or .ts\n"
        "and can be played at any time, also after a crash. Further files (--segment, or when\n"
        "the codec changes) are numbered; in FILE, %d or %05d stands for the number, and other\n"
        "conversions for the date, as in cam-%Y%m%d-%H%M%S.mp4.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    double seconds;

    switch (id) {
    case ID_FORMAT:
        s->format = o->value;
        return true;
    case ID_PRE_ROLL:
        if (!options_number(o, 0, MAX_PRE_ROLL_S, &seconds))
            return false;
        s->packets.start = CUFRAMES_PACKETS_FROM_PRE_ROLL;
        s->packets.pre_roll_ms = (uint32_t)(seconds * 1000);
        return true;
    case ID_SEGMENT:
        return options_number(o, 0.1, 1e9, &s->recorder.segment_s);
    case ID_DURATION:
        return options_number(o, 0.001, 1e9, &s->seconds);
    case ID_VIDEO_ONLY:
        s->recorder.video_only = true;
        return true;
    case ID_OVERWRITE:
        s->overwrite = true;
        return true;
    case ID_RECONNECT:
        s->config.flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
        return true;
    default:
        return options_number(o, 0, 1e6, &s->wait_s);
    }
}

static bool choose_format(struct settings *s)
{
    const char *dot = strrchr(s->path, '.');
    const char *name = s->format ? s->format : dot && !strchr(dot, '/') ? dot + 1 : "";
    enum packet_format *format = &s->recorder.format;

    if (packet_format_from_name(name, format) &&
        (*format == PACKET_FORMAT_MP4 || *format == PACKET_FORMAT_MATROSKA ||
         *format == PACKET_FORMAT_MPEGTS))
        return true;
    if (s->format)
        report_usage("--format: \"%s\" is not mp4, mkv or ts", name);
    else
        report_usage(
            "%s: the name tells no container; end it in .mp4, .mkv or .ts, or give --format",
            s->path);
    return false;
}

static int parse(int argc, char **argv, struct settings *s, struct record_names *names)
{
    struct options o;
    const char *why;
    char **words;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    words = options_channel(&o, 2, "KEY and FILE", &s->config);
    if (!words)
        return TOOL_USAGE;
    s->path = words[1];
    if (!strcmp(s->path, "-"))
        return report_usage(
            "a recording is a file, not standard output: 'cuframes cat %s --packets "
            "--format mpegts' (or nut) writes the same packets to a pipe; a file of "
            "that name is ./-",
            words[0]);
    if (!choose_format(s))
        return TOOL_USAGE;
    if (!record_names_init(names, s->path, s->recorder.segment_s > 0, s->overwrite, &why))
        return report_usage("%s: this cannot be a file's name: %s", s->path, why);
    return TOOL_CONTINUE;
}

/* The publisher's end is the recording's end, unless more was asked for. */
static int ended(const struct settings *s, const struct recorder *recorder, int error)
{
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    terminal_progress_clear();
    if (error != CUFRAMES_ERR_DISCONNECTED || s->seconds > 0 ||
        (!recorder->writer && recorder->files == 0))
        return report_library(error);
    report("the publisher has gone: the recording ends");
    return TOOL_DONE;
}

static bool is_over(const struct settings *s, const struct recorder *recorder, int64_t began_ns)
{
    if (s->seconds <= 0)
        return false;
    return recorder_seconds(recorder) >= s->seconds ||
           cuframes_now_ns() - began_ns > (int64_t)(s->seconds * 1e9) + LATE_NS;
}

static int record(const struct settings *s, struct recorder *recorder,
                  cuframes_subscriber_t *subscriber)
{
    int64_t began_ns = cuframes_now_ns();
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && !is_over(s, recorder, began_ns)) {
        cuframes_packet_t *packet;
        int error =
            packet_next(subscriber, cuframes_now_ns() + INT64_C(1000000) * STOP_POLL_MS, &packet);

        if (error == CUFRAMES_ERR_TIMEOUT) {
            rc = recorder_idle(recorder);
        } else if (!error) {
            rc = recorder_packet(recorder, subscriber, packet);
            cuframes_subscriber_release_packet(subscriber, packet);
        } else if (error != CUFRAMES_ERR_PACKET_OVERRUN) { /* which the next packet tells */
            return ended(s, recorder, error);
        }
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

static int finish(struct recorder *recorder, int rc)
{
    int finished = recorder_finish(recorder);

    terminal_progress_clear();
    if (finished != TOOL_CONTINUE)
        rc = finished;
    if (recorder->refused)
        report("%" PRIu64 " damaged packets could not be written", recorder->refused);
    if (rc == TOOL_DONE && recorder->files == 0)
        rc = report_failed("nothing was recorded: no key frame came");
    return rc;
}

/* Before any option. */
static const struct settings defaults = {.config.flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY,
                                         .wait_s = ATTACH_DEFAULT_WAIT_S};

int command_record(int argc, char **argv)
{
    static struct recorder recorder; /* large: the extradata */
    struct settings s = defaults;
    struct record_names names;
    cuframes_subscriber_t *subscriber;
    int error;
    int rc = parse(argc, argv, &s, &names);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (record_names_stream(&names))
        return report_failed("%s: this is a pipe or a socket, not a file: 'cuframes cat %s "
                             "--packets' writes to those",
                             s.path, s.config.key);
    if (record_names_taken(&names))
        return report_failed("%s: the file is there; --overwrite replaces it", s.path);
    stop_on_signals();
    signal(SIGXFSZ, SIG_IGN); /* a limit on the file's size is an error of write() */
    error = packet_attach(&s.config, &s.packets, s.wait_s, s.seconds, &subscriber);
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error)
        return report_library(error);
    recorder_init(&recorder, &s.recorder, &names);
    rc = finish(&recorder, record(&s, &recorder, subscriber));
    cuframes_subscriber_destroy(subscriber);
    return rc;
}
