/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes packets: lists the encoded packets of a channel as they come.
 */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "common/attach.h"
#include "common/json.h"
#include "common/options.h"
#include "common/packet_attach.h"
#include "common/packets.h"
#include "common/stop.h"

struct settings {
    cuframes_subscriber_config_t config;
    cuframes_packet_options_t packets;
    int64_t count;  /* 0 = no limit */
    double seconds; /* 0 = no limit */
    double wait_s;
    bool json;
};

struct lister {
    const struct settings *settings;
    struct packet_streams streams;
    uint64_t listed;
    uint64_t lost;
};

enum { ID_JSON = 1, ID_COUNT, ID_DURATION, ID_STREAM, ID_KEPT, ID_RECONNECT, ID_WAIT };

static const struct option_row rows[] = {
    {ID_JSON, "json", NULL, "print one JSON object for each packet, on a line of its own"},
    {ID_COUNT, "count", "N", "end after so many packets"},
    {ID_DURATION, "duration", "S", "end after so many seconds"},
    {ID_STREAM, "stream", "N", "list stream N only, counted from 0"},
    {ID_KEPT, "kept", NULL,
     "begin with the oldest key frame that the channel keeps, not the newest"},
    {ID_RECONNECT, "reconnect", NULL, "when the publisher goes away, wait for the next one"},
    {ID_WAIT, "wait", "S", ATTACH_WAIT_HELP},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY [options]",
    .about = "Lists the packets of channel KEY: number, stream, times in seconds, size, and flags\n"
             "(K key frame, C corrupt, D does not follow on, G new streams).",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    int stream;

    switch (id) {
    case ID_COUNT:
        return options_integer(o, 1, INT64_MAX, &s->count);
    case ID_DURATION:
        return options_number(o, 0.001, 1e9, &s->seconds);
    case ID_STREAM:
        if (!options_int(o, 0, CUFRAMES_MAX_STREAMS - 1, &stream))
            return false;
        s->packets.streams = 1u << stream;
        return true;
    case ID_KEPT:
        s->packets.start = CUFRAMES_PACKETS_FROM_OLDEST_KEY;
        return true;
    case ID_RECONNECT:
        s->config.flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
        return true;
    case ID_WAIT:
        return options_number(o, 0, 1e6, &s->wait_s);
    default:
        s->json = true;
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
    return TOOL_CONTINUE;
}

static const char *time_text(int64_t ns, char text[32])
{
    if (ns == CUFRAMES_NO_TIME)
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.6f", (double)ns / 1e9);
    return text;
}

static void print_streams(const struct packet_streams *streams)
{
    char text[STREAM_TEXT_SIZE];

    for (int32_t i = 0; i < streams->count; i++)
        printf("# stream %" PRId32 ": %s, %s\n", i, stream_text(&streams->list[i], text),
               word_of_packaging(streams->list[i].packaging));
    printf("#     seq  stream           pts           dts      size  flags\n");
}

static void print_text(const cuframes_packet_t *packet)
{
    uint32_t flags = cuframes_packet_flags(packet);
    char pts[32], dts[32];

    printf("%9" PRIu64 "  %6" PRIu32 "  %12s  %12s  %8zu  %s%s%s%s\n", cuframes_packet_seq(packet),
           cuframes_packet_stream(packet), time_text(cuframes_packet_pts(packet), pts),
           time_text(cuframes_packet_dts(packet), dts), cuframes_packet_size(packet),
           flags & CUFRAMES_PKT_FLAG_KEY ? "K" : "", flags & CUFRAMES_PKT_FLAG_CORRUPT ? "C" : "",
           flags & CUFRAMES_PKT_FLAG_DISCONTINUITY ? "D" : "",
           flags & CUFRAMES_PKT_FLAG_GENERATION ? "G" : "");
}

static void print_json(const struct lister *lister, const cuframes_packet_t *packet)
{
    uint32_t stream = cuframes_packet_stream(packet), flags = cuframes_packet_flags(packet);
    const char *codec =
        stream < (uint32_t)lister->streams.count ? lister->streams.list[stream].codec_name : "?";

    json_print(json_pack("{so, sI, so, so, so, so, sI, sb, sb, sb, sI, so, so}", "seq",
                         json_unsigned(cuframes_packet_seq(packet)), "stream", (json_int_t)stream,
                         "codec", json_text(codec), "pts", json_time(cuframes_packet_pts(packet)),
                         "dts", json_time(cuframes_packet_dts(packet)), "duration",
                         json_unsigned((uint64_t)cuframes_packet_duration(packet)), "size",
                         (json_int_t)cuframes_packet_size(packet), "key",
                         (flags & CUFRAMES_PKT_FLAG_KEY) != 0, "corrupt",
                         (flags & CUFRAMES_PKT_FLAG_CORRUPT) != 0, "discontinuity",
                         (flags & CUFRAMES_PKT_FLAG_DISCONTINUITY) != 0, "generation",
                         (json_int_t)cuframes_packet_generation(packet), "capture",
                         json_time(cuframes_packet_capture_ns(packet, NULL)), "lost",
                         json_unsigned(cuframes_packet_lost(packet))),
               true);
}

static int list_one(struct lister *lister, cuframes_subscriber_t *subscriber,
                    const cuframes_packet_t *packet)
{
    bool fresh =
        lister->listed == 0 || cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_GENERATION;

    if (fresh) {
        int error = packet_streams_read(subscriber, &lister->streams);

        if (error)
            return report_library(error);
        if (!lister->settings->json)
            print_streams(&lister->streams);
    }
    if (lister->settings->json)
        print_json(lister, packet);
    else
        print_text(packet);
    fflush(stdout);
    lister->listed++;
    lister->lost += cuframes_packet_lost(packet);
    /* The reader of the pipe may have gone; main() says so where it is an error. */
    return ferror(stdout) ? TOOL_DONE : TOOL_CONTINUE;
}

static int ended(const struct lister *lister, int error)
{
    if (error == CUFRAMES_ERR_TIMEOUT || error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error == CUFRAMES_ERR_DISCONNECTED && lister->listed && !lister->settings->count &&
        lister->settings->seconds <= 0)
        return TOOL_DONE;
    return report_library(error);
}

static int list_all(struct lister *lister, cuframes_subscriber_t *subscriber)
{
    const struct settings *s = lister->settings;
    int64_t deadline_ns =
        s->seconds > 0 ? cuframes_now_ns() + (int64_t)(s->seconds * 1e9) : INT64_MAX;
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && (!s->count || lister->listed < (uint64_t)s->count)) {
        int64_t piece_ns = cuframes_now_ns() + INT64_C(1000000) * STOP_POLL_MS;
        cuframes_packet_t *packet;
        int error;

        if (cuframes_now_ns() >= deadline_ns)
            break;
        error = packet_next(subscriber, piece_ns < deadline_ns ? piece_ns : deadline_ns, &packet);
        /* The packet that comes next has the count. */
        if (error == CUFRAMES_ERR_TIMEOUT || error == CUFRAMES_ERR_PACKET_OVERRUN)
            continue;
        if (error)
            return ended(lister, error);
        rc = list_one(lister, subscriber, packet);
        cuframes_subscriber_release_packet(subscriber, packet);
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

/* Before any option. */
static const struct settings defaults = {.config.flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY,
                                         .wait_s = ATTACH_DEFAULT_WAIT_S};

int command_packets(int argc, char **argv)
{
    static struct lister lister; /* large: the extradata */
    struct settings s = defaults;
    cuframes_subscriber_t *subscriber;
    int error;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    error = packet_attach(&s.config, &s.packets, s.wait_s, s.seconds, &subscriber);
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error)
        return report_library(error);
    lister.settings = &s;
    rc = list_all(&lister, subscriber);
    if (lister.lost)
        report("%" PRIu64 " packets were lost: the reader of this list was too slow", lister.lost);
    lister.settings = NULL;
    cuframes_subscriber_destroy(subscriber);
    return rc;
}
