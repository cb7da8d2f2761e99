/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes ls: the channels of a runtime directory, once or as they come and go.
 */
#include <inttypes.h>
#include <stdio.h>

#include "channels.h"
#include "command.h"
#include "common/json.h"
#include "common/options.h"
#include "common/packets.h"
#include "common/stop.h"
#include "common/table.h"

struct settings {
    const char *runtime_dir;
    bool json;
    bool watch;
};

enum { ID_JSON = 1, ID_WATCH };

static const struct option_row rows[] = {
    {ID_WATCH, "watch", NULL, "print a line when a channel comes or goes, until a signal"},
    {ID_JSON, "json", NULL, "print a JSON array (with --watch an object a line)"},
    {0},
};

static const struct usage usage = {
    .synopsis = "[options]",
    .about = "Lists the channels of the runtime directory.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    (void)o;
    if (id == ID_JSON)
        s->json = true;
    else
        s->watch = true;
    return true;
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    if (!options_words(&o, 0, ""))
        return TOOL_USAGE;
    s->runtime_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

static const char *state_of(const struct channel *channel)
{
    switch (channel->error) {
    case CUFRAMES_OK:
        return "live";
    case CUFRAMES_ERR_NOT_FOUND:
        return "dead";
    case CUFRAMES_ERR_TIMEOUT:
        return "no answer";
    case CUFRAMES_ERR_PERMISSION:
        return "no permission";
    default:
        return cuframes_strerror(channel->error);
    }
}

static void add_channel(struct table *table, const struct channel *channel)
{
    const cuframes_channel_report_t *report = channel->report;
    const char *format = report ? cuframes_format_name(report->info.format) : NULL;
    char age[24], codecs[40];

    table_add(table, "%s", channel->key);
    table_add(table, "%s", state_of(channel));
    if (!report) {
        for (int i = 0; i < 8; i++)
            table_add(table, "-");
        return;
    }
    if (report->info.notes & CUFRAMES_CHANNEL_PACKETS_ONLY) {
        for (int i = 0; i < 6; i++)
            table_add(table, "-");
    } else {
        table_add(table, "%" PRId32 "x%" PRId32, report->info.width, report->info.height);
        table_add(table, "%s", format ? format : "?");
        table_add(table, "%.2f", report->stats.fps);
        table_add(table, "%s", age_text(channel_age_s(&report->stats), age));
        table_add(table, "%" PRId32, report->info.slots);
        table_add(table, "%s", word_of_policy(report->info.policy));
    }
    table_add(table, "%s",
              codecs_text(report->streams, report->stream_count, codecs, sizeof(codecs)));
    table_add(table, "%" PRIu32, report->subscriber_count);
}

static void print_table(const struct channels *channels)
{
    static const char *const headings[] = {"KEY", "STATE", "SIZE",   "FORMAT",  "FPS",
                                           "AGE", "SLOTS", "POLICY", "STREAMS", "READERS"};
    struct table table;

    table_init(&table, "llllrrrllr", headings);
    for (uint32_t i = 0; i < channels->count; i++)
        add_channel(&table, &channels->list[i]);
    if (channels->count)
        table_print(&table, stdout);
    table_fini(&table);
}

static void print_array(const struct channels *channels)
{
    json_t *array = json_array();

    for (uint32_t i = 0; i < channels->count; i++) {
        const struct channel *channel = &channels->list[i];
        json_t *object = channel->report ? json_of_report(channel->report)
                                         : json_pack("{ss, so}", "key", channel->key, "error",
                                                     json_text(channel->reason));

        json_object_set_new(object, "state", json_string(state_of(channel)));
        json_array_append_new(array, object);
    }
    json_print(array, false);
}

static int list(const struct settings *s)
{
    struct channels channels;
    int error = channels_ask(s->runtime_dir, &channels);

    if (error)
        return report_library(error);
    if (s->json)
        print_array(&channels);
    else
        print_table(&channels);
    channels_fini(&channels);
    return TOOL_DONE;
}

static void print_event(const struct settings *s, const cuframes_watch_event_t *event)
{
    const char *word = event->type == CUFRAMES_WATCH_ADDED ? "added" : "removed";

    if (s->json)
        json_print(json_pack("{ss, ss}", "event", word, "key", event->key), true);
    else
        printf("%s %s\n", word, event->key);
    fflush(stdout);
}

static int watch(const struct settings *s)
{
    cuframes_watch_t *watch;
    int error = cuframes_watch_create(s->runtime_dir, &watch);

    if (error)
        return report_library(error);
    stop_on_signals();
    while (!stop_requested() && !ferror(stdout)) {
        cuframes_watch_event_t event;

        error = cuframes_watch_next(watch, &event, STOP_POLL_MS);
        if (error == CUFRAMES_OK)
            print_event(s, &event);
        else if (error != CUFRAMES_ERR_TIMEOUT)
            break;
    }
    cuframes_watch_destroy(watch);
    if (error && error != CUFRAMES_ERR_TIMEOUT)
        return report_library(error);
    return TOOL_DONE;
}

/* Before any option. */
static const struct settings defaults = {0};

int command_ls(int argc, char **argv)
{
    struct settings s = defaults;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    return s.watch ? watch(&s) : list(&s);
}
