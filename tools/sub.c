/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes sub: reads a channel, verifies it if it is a test source, and says what came and how
 * fast.
 */
#include <inttypes.h>
#include <stdio.h>

#include "command.h"
#include "common/attach.h"
#include "common/json.h"
#include "common/options.h"
#include "common/stop.h"
#include "reader.h"

struct settings {
    struct reader_settings reader;
    bool json;
};

enum {
    ID_FRAMES = 1,
    ID_SECONDS,
    ID_MODE,
    ID_VERIFY,
    ID_HOLD,
    ID_CHECKSUM,
    ID_MAX_FPS,
    ID_EVERY,
    ID_RECONNECT,
    ID_NAME,
    ID_WAIT,
    ID_JSON,
};

static const struct option_row rows[] = {
    {ID_FRAMES, "frames", "N", "end after so many frames"},
    {ID_SECONDS, "seconds", "S", "end after so many seconds"},
    {ID_MODE, "mode", "newest|order", "the newest frame each time (default), or all in order"},
    {ID_VERIFY, "verify", NULL, "compare every byte with the pattern of 'cuframes test-source'"},
    {ID_HOLD, "hold-ms", "N", "keep each frame for N milliseconds; --verify looks again after it"},
    {ID_CHECKSUM, "checksum", "FILE",
     "write sequence number and CRC-32 of each picture to FILE; look again after --hold-ms"},
    {ID_MAX_FPS, "max-fps", "N", "take at most N frames a second"},
    {ID_EVERY, "every", "N", "take every N-th frame"},
    {ID_RECONNECT, "reconnect", NULL, "when the publisher goes away, wait for the next one"},
    {ID_NAME, "name", "NAME", "what the publisher calls this reader (default: made up)"},
    {ID_WAIT, "wait", "S", ATTACH_WAIT_HELP},
    {ID_JSON, "json", NULL, "print the summary as JSON"},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY [options]",
    .about = "Reads channel KEY without a copy and prints a summary at the end: after --frames or\n"
             "--seconds, on a signal, or when the publisher ends.",
    .rows = rows,
};

static bool take_number(const struct options *o, int id, struct settings *s)
{
    struct reader_settings *r = &s->reader;
    double rate;
    int every;

    switch (id) {
    case ID_FRAMES:
        return options_integer(o, 1, INT64_MAX, &r->frames);
    case ID_SECONDS:
        return options_number(o, 0.001, 1e9, &r->seconds);
    case ID_HOLD:
        return options_int(o, 0, 3600000, &r->hold_ms);
    case ID_WAIT:
        return options_number(o, 0, 1e6, &r->wait_s);
    case ID_MAX_FPS:
        if (!options_number(o, 0.001, 1e5, &rate))
            return false;
        r->config.max_fps = (float)rate;
        return true;
    default:
        if (!options_int(o, 1, INT32_MAX, &every))
            return false;
        r->config.every = (uint32_t)every;
        return true;
    }
}

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;
    cuframes_subscriber_config_t *config = &s->reader.config;
    cuframes_subscriber_mode_t mode;

    switch (id) {
    case ID_MODE:
        if (!options_mode(o, &mode))
            return false;
        config->mode = (int)mode;
        return true;
    case ID_NAME:
        config->consumer_name = o->value;
        return true;
    case ID_RECONNECT:
        config->flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
        return true;
    case ID_VERIFY:
        s->reader.verify = true;
        return true;
    case ID_CHECKSUM:
        s->reader.checksum_path = o->value;
        return true;
    case ID_JSON:
        s->json = true;
        return true;
    default:
        return take_number(o, id, s);
    }
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_channel(&o, 1, "KEY", &s->reader.config))
        return TOOL_USAGE;
    /* Who only counts leaves the frames where they are. */
    if (s->reader.verify || s->reader.checksum_path)
        attach_for_cpu(&s->reader.config);
    return TOOL_CONTINUE;
}

static double microseconds(const struct histogram *latency, double fraction)
{
    return (double)histogram_quantile(latency, fraction) / 1000;
}

static json_t *latency_json(const struct histogram *latency)
{
    if (!latency->count)
        return json_pack("{sn, sn, sn}", "p50", "p99", "max");
    return json_pack("{sf, sf, sf}", "p50", microseconds(latency, 0.5), "p99",
                     microseconds(latency, 0.99), "max", (double)latency->max / 1000);
}

static void print_json(const struct settings *s, const struct reader_result *r)
{
    json_t *summary = json_pack(
        "{ss, ss, ss, so, so, so, so, so, so, so, so, sf, so, so, so, sf, sb, so}", "key",
        s->reader.config.key, "mode",
        word_of_mode((cuframes_subscriber_mode_t)s->reader.config.mode), "access",
        cuframes_access_name(r->stats.access), "staged", json_unsigned(r->stats.staged), "received",
        json_unsigned(r->stats.received), "missed", json_unsigned(r->stats.missed), "skipped",
        json_unsigned(r->stats.skipped), "gaps", json_unsigned(r->gaps), "verified",
        json_unsigned(r->verified), "checksummed", json_unsigned(r->checksummed), "torn",
        json_unsigned(r->torn), "fps", reader_rate(r), "latency_us", latency_json(&r->latency),
        "reconnects", json_unsigned(r->stats.reconnects), "generations",
        json_unsigned(r->stats.generations), "seconds", r->seconds, "disconnected", r->disconnected,
        "error", r->error[0] ? json_text(r->error) : json_null());

    json_print(summary, false);
}

static void print_text(const struct settings *s, const struct reader_result *r)
{
    printf("%s: %" PRIu64 " frames in %.1f s, %.2f a second, %" PRIu64 " missed\n",
           s->reader.config.key, r->stats.received, r->seconds, reader_rate(r), r->stats.missed);
    if (s->reader.verify)
        printf("verified %" PRIu64 ", torn %" PRIu64 "\n", r->verified, r->torn);
    if (s->reader.checksum_path)
        printf("checksums of %" PRIu64 " frames in %s\n", r->checksummed, s->reader.checksum_path);
    if (r->latency.count)
        printf("publish to awake: p50 %.1f us, p99 %.1f us, max %.1f us\n",
               microseconds(&r->latency, 0.5), microseconds(&r->latency, 0.99),
               (double)r->latency.max / 1000);
    if (r->stats.reconnects || r->stats.generations)
        printf("reconnects %" PRIu64 ", changes of generation %" PRIu64 "\n", r->stats.reconnects,
               r->stats.generations);
}

/* Before any option. */
static const struct settings defaults = {.reader.wait_s = ATTACH_DEFAULT_WAIT_S};

int command_sub(int argc, char **argv)
{
    static struct reader_result result; /* large: the histogram */
    struct settings s = defaults;
    bool attached;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    rc = reader_run(&s.reader, &result, &attached);
    if (!attached)
        return rc;
    if (s.json)
        print_json(&s, &result);
    else
        print_text(&s, &result);
    return rc;
}
