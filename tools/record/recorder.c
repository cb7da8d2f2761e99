/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file begins with a key frame of the first video stream (without video: with any packet), and
 * ends where a segment is full, where the streams change, or where another publisher begins.
 */
#include "record/recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/report.h"
#include "common/terminal.h"

void recorder_init(struct recorder *recorder, const struct recorder_settings *settings,
                   const struct record_names *names)
{
    memset(recorder, 0, sizeof(*recorder));
    recorder->settings = settings;
    recorder->names = *names;
    recording_file_init(&recorder->file);
}

static double file_seconds(const struct recorder *recorder)
{
    return recorder->end_ns > recorder->begin_ns
               ? ((double)recorder->end_ns - (double)recorder->begin_ns) / 1e9
               : 0;
}

double recorder_seconds(const struct recorder *recorder)
{
    return (double)recorder->recorded_ns / 1e9 + (recorder->writer ? file_seconds(recorder) : 0);
}

static void print_file(const struct recorder *recorder)
{
    terminal_progress_clear();
    printf("%s: %.1f s, %" PRIu64 " packets, %" PRId64 " bytes\n", recorder->file.path,
           file_seconds(recorder), recorder->file_packets, recorder->file.end);
    fflush(stdout);
}

static void count_file(struct recorder *recorder)
{
    recorder->recorded_ns += (int64_t)(file_seconds(recorder) * 1e9);
    recorder->files++;
}

/* The file cannot be written further. What it has stays, up to where it is whole. */
static int give_up(struct recorder *recorder, int error)
{
    struct recording_file *file = &recorder->file;
    int reason = file->error;

    packet_writer_abandon(recorder->writer);
    recorder->writer = NULL;
    recording_file_cut(file);
    print_file(recorder);
    count_file(recorder);
    recording_file_close(file);
    if (reason)
        return report_failed("%s: %s; the recording ends, what is in the file is whole", file->path,
                             strerror(reason));
    if (error == CUFRAMES_ERR_FORMAT)
        return report_failed("%s: %s%s", file->path, packet_writer_error(),
                             recorder->settings->format == PACKET_FORMAT_MATROSKA
                                 ? ""
                                 : "; a .mkv file carries most");
    return report_failed("%s: %s", file->path, packet_writer_error());
}

static int settle(struct recorder *recorder, int error)
{
    return error ? give_up(recorder, error) : TOOL_CONTINUE;
}

int recorder_idle(struct recorder *recorder)
{
    return recorder->writer ? settle(recorder, packet_writer_flush(recorder->writer, false))
                            : TOOL_CONTINUE;
}

int recorder_finish(struct recorder *recorder)
{
    struct packet_writer *writer = recorder->writer;
    int error;

    if (!writer)
        return TOOL_CONTINUE;
    error = packet_writer_flush(writer, true);
    if (error)
        return give_up(recorder, error);
    recorder->refused += packet_writer_refused(writer);
    recorder->writer = NULL;
    error = packet_writer_close(writer);
    if (error)
        return give_up(recorder, error);
    print_file(recorder);
    count_file(recorder);
    if (!recording_file_close(&recorder->file))
        return report_failed("%s: %s", recorder->file.path, strerror(errno));
    return TOOL_CONTINUE;
}

static bool is_recorded(const struct recorder *recorder, uint32_t stream)
{
    const struct packet_streams *streams = &recorder->streams;

    if (stream >= (uint32_t)streams->count)
        return false;
    return !recorder->settings->video_only || streams->list[stream].type == CUFRAMES_STREAM_VIDEO;
}

static uint32_t recorded_mask(const struct recorder *recorder)
{
    uint32_t mask = 0;

    for (uint32_t i = 0; i < (uint32_t)recorder->streams.count; i++)
        mask |= is_recorded(recorder, i) ? 1u << i : 0;
    return mask;
}

static int begin_file(struct recorder *recorder)
{
    struct packet_sink sink = recording_file_sink(&recorder->file);
    int error;

    error = packet_writer_open(recorder->settings->format, recorder->streams.list,
                               recorder->streams.count, recorded_mask(recorder), &sink,
                               &recorder->writer);
    if (error == CUFRAMES_ERR_FORMAT)
        return report_failed("%s: take a .mkv file, which carries most%s", packet_writer_error(),
                             recorder->settings->video_only ? "" : ", or --video-only");
    if (error)
        return report_failed("%s", packet_writer_error());
    if (recorder->file_waits || record_names_create(&recorder->names, &recorder->file)) {
        recorder->file_waits = false;
        return TOOL_CONTINUE;
    }
    error = errno;
    packet_writer_abandon(recorder->writer);
    recorder->writer = NULL;
    return report_failed("%s: %s%s", recorder->file.path, strerror(error),
                         error == EEXIST ? "; --overwrite replaces it" : "");
}

static int64_t time_of(const cuframes_packet_t *packet)
{
    int64_t pts = cuframes_packet_pts(packet);

    return pts != CUFRAMES_NO_TIME ? pts : cuframes_packet_dts(packet);
}

/* Follows a packet generation; the file of other streams ends. */
static int follow_streams(struct recorder *recorder, cuframes_subscriber_t *subscriber)
{
    static struct packet_streams fresh; /* large; one thread */
    cuframes_subscriber_stats_t stats = {0};
    int error = packet_streams_read(subscriber, &fresh);
    int rc = TOOL_CONTINUE;
    bool again;

    if (error)
        return report_library(error);
    cuframes_subscriber_stats(subscriber, &stats);
    again = stats.reconnects != recorder->reconnects;
    if (!again && packet_streams_equal(&fresh, &recorder->streams))
        return TOOL_CONTINUE;
    if (recorder->writer && packet_writer_waits(recorder->writer)) {
        packet_writer_abandon(recorder->writer);
        recorder->writer = NULL;
        recorder->file_waits = true;
    } else if (recorder->writer) {
        report(again ? "another publisher: a new file begins"
                     : "the streams have changed: a new file begins");
        rc = recorder_finish(recorder);
    }
    recorder->reconnects = stats.reconnects;
    packet_streams_copy(&recorder->streams, &fresh);
    return rc;
}

static bool segment_is_full(const struct recorder *recorder, const cuframes_packet_t *packet)
{
    int64_t time = time_of(packet);

    if (time == CUFRAMES_NO_TIME)
        time = recorder->end_ns;
    if (!recorder->writer || recorder->settings->segment_s <= 0 ||
        packet_writer_waits(recorder->writer))
        return false;
    return (double)time - (double)recorder->begin_ns >= recorder->settings->segment_s * 1e9 - 1e6;
}

static bool can_begin(const struct recorder *recorder, const cuframes_packet_t *packet)
{
    int32_t video = packet_streams_video(&recorder->streams);

    if (video < 0)
        return true;
    return cuframes_packet_stream(packet) == (uint32_t)video &&
           (cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_KEY) != 0;
}

/* The one stream whose durations tell the time where no packet has any. */
static bool tells_time(const struct recorder *recorder, const cuframes_packet_t *packet)
{
    int32_t video = packet_streams_video(&recorder->streams);

    return cuframes_packet_stream(packet) == (uint32_t)(video < 0 ? 0 : video);
}

static void begin_time(struct recorder *recorder)
{
    recorder->file_packets = 0;
    recorder->timed = false;
    recorder->wait_said = false;
    recorder->begin_ns = 0;
    recorder->end_ns = 0;
}

/* A raw stream has no times: it is as long as its packets, one after the other. */
static void note_time(struct recorder *recorder, const cuframes_packet_t *packet)
{
    int64_t time = time_of(packet);

    recorder->file_packets++;
    if (time != CUFRAMES_NO_TIME && !recorder->timed) {
        recorder->begin_ns = time;
        recorder->end_ns = time;
        recorder->timed = true;
    }
    if (time == CUFRAMES_NO_TIME) {
        if (recorder->timed || !tells_time(recorder, packet))
            return;
        time = recorder->end_ns;
    }
    if (__builtin_add_overflow(time, cuframes_packet_duration(packet), &time))
        time = INT64_MAX;
    if (time > recorder->end_ns)
        recorder->end_ns = time;
}

/* Said once for each file. */
static void note_wait(struct recorder *recorder)
{
    if (recorder->wait_said)
        return;
    recorder->wait_said = true;
    terminal_progress_clear();
    report(
        "%s: the stream has not told its parameters yet: the recording begins with the key frame "
        "that does",
        recorder->file.path);
}

static int write_packet(struct recorder *recorder, const cuframes_packet_t *packet)
{
    int rc;

    if (!recorder->writer) {
        rc = begin_file(recorder);
        if (rc != TOOL_CONTINUE)
            return rc;
        begin_time(recorder);
    }
    rc = settle(recorder, packet_writer_packet(recorder->writer, packet));
    if (rc != TOOL_CONTINUE)
        return rc;
    if (packet_writer_waits(recorder->writer))
        note_wait(recorder);
    else
        note_time(recorder, packet);
    return TOOL_CONTINUE;
}

static void note_loss(struct recorder *recorder, const cuframes_packet_t *packet)
{
    uint64_t lost = cuframes_packet_lost(packet);

    if (!lost)
        return;
    recorder->lost += lost;
    terminal_progress_clear();
    report("%" PRIu64 " packets were lost before packet %" PRIu64
           ": this machine or its disk is too slow; the recording goes on",
           lost, cuframes_packet_seq(packet));
}

int recorder_packet(struct recorder *recorder, cuframes_subscriber_t *subscriber,
                    const cuframes_packet_t *packet)
{
    int rc = TOOL_CONTINUE;
    bool begins;

    note_loss(recorder, packet);
    if (recorder->streams.count == 0 ||
        (cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_GENERATION))
        rc = follow_streams(recorder, subscriber);
    if (rc != TOOL_CONTINUE || !is_recorded(recorder, cuframes_packet_stream(packet)))
        return rc;
    begins = can_begin(recorder, packet);
    if (begins && segment_is_full(recorder, packet))
        rc = recorder_finish(recorder);
    /* Nothing can be made of what comes before the first key frame. */
    if (rc != TOOL_CONTINUE || (!recorder->writer && !begins))
        return rc;
    rc = write_packet(recorder, packet);
    if (rc == TOOL_CONTINUE)
        terminal_progress("%s: %.1f s, %" PRId64 " bytes", recorder->file.path,
                          file_seconds(recorder), recorder->file.end);
    return rc;
}
