/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes top: channels and their readers, again and again. Rates are differences between two
 * looks, so the first table comes after one interval.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "channels.h"
#include "command.h"
#include "common/json.h"
#include "common/options.h"
#include "common/packets.h"
#include "common/stop.h"
#include "common/table.h"
#include "common/terminal.h"

struct settings {
    const char *runtime_dir;
    double interval_s;
    int64_t count; /* tables to show, 0 = until a signal */
    bool json;
};

/* One look at everything. */
struct sample {
    int64_t at_ns;
    struct channels channels;
};

enum { ID_INTERVAL = 1, ID_ONCE, ID_COUNT, ID_JSON };

static const struct option_row rows[] = {
    {ID_INTERVAL, "interval", "S", "seconds between two looks (default 1)"},
    {ID_ONCE, "once", NULL, "show one table and end"},
    {ID_COUNT, "count", "N", "show N tables and end"},
    {ID_JSON, "json", NULL, "print each table as a JSON object on one line"},
    {0},
};

static const struct usage usage = {
    .synopsis = "[options]",
    .about = "Shows the channels and their readers: rates, age of the newest frame, holds, lag,\n"
             "drops and evictions. On a terminal it takes the screen; q ends it.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    switch (id) {
    case ID_INTERVAL:
        return options_number(o, 0.05, 3600, &s->interval_s);
    case ID_COUNT:
        return options_integer(o, 1, INT64_MAX, &s->count);
    case ID_ONCE:
        s->count = 1;
        return true;
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
    if (!options_words(&o, 0, "") || !options_not_both(&o, ID_ONCE, ID_COUNT))
        return TOOL_USAGE;
    s->runtime_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

static const cuframes_channel_report_t *find_channel(const struct sample *sample, const char *key)
{
    for (uint32_t i = 0; i < sample->channels.count; i++)
        if (!strcmp(sample->channels.list[i].key, key))
            return sample->channels.list[i].report;
    return NULL;
}

/* What a subscriber got: packets, if it reads nothing else. */
static uint64_t got(const cuframes_subscriber_info_t *reader)
{
    return reader->reads & CUFRAMES_READS_FRAMES ? reader->received : reader->packets_received;
}

/* Frames (packets) a second that a subscriber got since the look before; -1 = it was not there. */
static double reader_rate_since(const struct sample *before, const struct sample *now,
                                const char *key, const cuframes_subscriber_info_t *reader)
{
    const cuframes_channel_report_t *report = find_channel(before, key);
    double seconds = (double)(now->at_ns - before->at_ns) / 1e9;

    for (uint32_t i = 0; report && i < report->subscriber_count; i++) {
        const cuframes_subscriber_info_t *old = &report->subscribers[i];

        if (!strcmp(old->name, reader->name) && got(reader) >= got(old) && seconds > 0)
            return (double)(got(reader) - got(old)) / seconds;
    }
    return -1;
}

static void add_channel(struct table *table, const struct channel *channel)
{
    const cuframes_channel_report_t *report = channel->report;
    char age[24], codecs[40];

    table_add(table, "%s", channel->key);
    if (!report) {
        table_add(table, channel->error == CUFRAMES_ERR_NOT_FOUND ? "dead" : "no answer");
        for (int i = 0; i < 7; i++)
            table_add(table, "-");
        return;
    }
    if (report->info.notes & CUFRAMES_CHANNEL_PACKETS_ONLY) {
        table_add(table, "%s",
                  codecs_text(report->streams, report->stream_count, codecs, sizeof(codecs)));
        for (int i = 0; i < 3; i++)
            table_add(table, "-");
    } else {
        table_add(table, "%" PRId32 "x%" PRId32 " %s", report->info.width, report->info.height,
                  word_of_policy(report->info.policy));
        table_add(table, "%.2f", report->stats.fps);
        table_add(table, "%s", age_text(channel_age_s(&report->stats), age));
        table_add(table, "%" PRIu32 "/%" PRId32, report->stats.slots_held, report->info.slots);
    }
    table_add(table, "-");
    table_add(table, "-");
    table_add(table, "%" PRIu64, report->stats.dropped);
    table_add(table, "%" PRIu64, report->stats.evicted);
}

static void add_reader(struct table *table, const struct sample *before, const struct sample *now,
                       const char *key, const cuframes_subscriber_info_t *reader)
{
    const bool frames = (reader->reads & CUFRAMES_READS_FRAMES) != 0;
    double rate = reader_rate_since(before, now, key, reader);

    table_add(table, "  %s", reader->name);
    table_add(table, "%s", frames ? word_of_mode(reader->mode) : "packets");
    if (rate >= 0)
        table_add(table, "%.2f", rate);
    else
        table_add(table, "-");
    table_add(table, "-");
    if (frames) {
        table_add(table, "%" PRIu32, reader->held);
        table_add(table, "%" PRIu64, reader->lag);
        table_add(table, "%" PRIu64, reader->missed);
    } else {
        table_add(table, "-");
        table_add(table, "-");
        table_add(table, "%" PRIu64, reader->packets_lost);
    }
    table_add(table, "-");
    table_add(table, "-");
}

static void write_table(const struct sample *before, const struct sample *now, FILE *file)
{
    static const char *const headings[] = {"CHANNEL", "WHAT",   "FPS",     "AGE",    "HELD",
                                           "LAG",     "MISSED", "DROPPED", "EVICTED"};
    struct table table;

    table_init(&table, "llrrrrrrr", headings);
    for (uint32_t i = 0; i < now->channels.count; i++) {
        const struct channel *channel = &now->channels.list[i];

        add_channel(&table, channel);
        for (uint32_t k = 0; channel->report && k < channel->report->subscriber_count; k++)
            add_reader(&table, before, now, channel->key, &channel->report->subscribers[k]);
    }
    table_print(&table, file);
    table_fini(&table);
}

static void show_screen(const struct settings *s, const struct sample *before,
                        const struct sample *now)
{
    char directory[4096] = "?";
    char *text = NULL;
    size_t size;
    FILE *memory = open_memstream(&text, &size);

    if (!memory)
        return;
    if (s->runtime_dir)
        snprintf(directory, sizeof(directory), "%s", s->runtime_dir);
    else
        cuframes_runtime_dir(directory, sizeof(directory));
    fprintf(memory, "cuframes: %" PRIu32 " channels in %s, every %g s; q ends\n\n",
            now->channels.count, directory, s->interval_s);
    write_table(before, now, memory);
    fclose(memory);
    terminal_screen_show(text);
    free(text);
}

static void add_rates(json_t *object, const struct sample *before, const struct sample *now,
                      const struct channel *channel)
{
    json_t *readers = json_object_get(object, "subscribers");

    for (uint32_t i = 0; i < channel->report->subscriber_count; i++) {
        double rate =
            reader_rate_since(before, now, channel->key, &channel->report->subscribers[i]);

        json_object_set_new(json_array_get(readers, i), "fps",
                            rate >= 0 ? json_real(rate) : json_null());
    }
}

static void print_json(const struct sample *before, const struct sample *now)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < now->channels.count; i++) {
        const struct channel *channel = &now->channels.list[i];
        json_t *object;

        if (!channel->report)
            continue;
        object = json_of_report(channel->report);
        add_rates(object, before, now, channel);
        json_array_append_new(array, object);
    }
    json_print(json_pack("{so}", "channels", array), true);
    fflush(stdout);
}

static void show(const struct settings *s, bool screen, const struct sample *before,
                 const struct sample *now)
{
    if (s->json) {
        print_json(before, now);
    } else if (screen) {
        show_screen(s, before, now);
    } else {
        write_table(before, now, stdout);
        if (s->count != 1)
            putchar('\n');
        fflush(stdout);
    }
}

static int look(const struct settings *s, struct sample *sample)
{
    sample->at_ns = cuframes_now_ns();
    return channels_ask(s->runtime_dir, &sample->channels);
}

/* Waits for the next look; false when the user or a signal ends it. */
static bool wait_interval(bool screen, int64_t until_ns)
{
    if (!screen)
        return stop_sleep_until(until_ns);
    while (!stop_requested()) {
        int64_t left_ms = (until_ns - cuframes_now_ns()) / 1000000;

        if (left_ms <= 0)
            return true;
        if (terminal_key(left_ms < STOP_POLL_MS ? (int)left_ms : STOP_POLL_MS) == 'q')
            return false;
    }
    return false;
}

static int run(const struct settings *s, bool screen)
{
    struct sample before = {0}, now;
    int error = look(s, &before);

    for (int64_t shown = 0; !error && (!s->count || shown < s->count) && !ferror(stdout); shown++) {
        if (!wait_interval(screen, before.at_ns + (int64_t)(s->interval_s * 1e9)))
            break;
        error = look(s, &now);
        if (error)
            break;
        show(s, screen, &before, &now);
        channels_fini(&before.channels);
        before = now;
    }
    channels_fini(&before.channels);
    return error;
}

/* Before any option. */
static const struct settings defaults = {.interval_s = 1};

int command_top(int argc, char **argv)
{
    struct settings s = defaults;
    bool screen;
    int error;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    screen = !s.json && s.count != 1 && terminal_on_stdout();
    if (screen)
        terminal_screen_begin();
    error = run(&s, screen);
    terminal_screen_end();
    return error ? report_library(error) : TOOL_DONE;
}
