/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes info: everything that a channel says about itself and its subscribers.
 */
#include <inttypes.h>
#include <stdio.h>

#include "channels.h"
#include "command.h"
#include "common/json.h"
#include "common/options.h"
#include "common/packets.h"
#include "common/table.h"

#define QUERY_TIMEOUT_MS 2000

struct settings {
    const char *key;
    const char *runtime_dir;
    bool json;
};

enum { ID_JSON = 1 };

static const struct option_row rows[] = {
    {ID_JSON, "json", NULL, "print a JSON object"},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY [options]",
    .about = "Describes channel KEY and its readers.",
    .rows = rows,
};

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    (void)o, (void)id; /* there is one */
    s->json = true;
    return true;
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    char **words;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    words = options_words(&o, 1, "KEY");
    if (!words || !options_check_key(words[0]))
        return TOOL_USAGE;
    s->key = words[0];
    s->runtime_dir = o.runtime_dir;
    return TOOL_CONTINUE;
}

static void print_gpu(const cuframes_channel_info_t *info)
{
    char uuid[CUFRAMES_GPU_UUID_TEXT];

    if (info->memory == CUFRAMES_MEMORY_CUDA) {
        cuframes_gpu_uuid_text(info->gpu_uuid, uuid);
        printf("gpu         %s\n", uuid);
    } else if (info->notes & CUFRAMES_CHANNEL_GPU_UNUSED) {
        printf("gpu         not used: the publisher's GPU cannot share its memory (its log says "
               "why)\n");
    }
}

static void print_frames(const cuframes_channel_info_t *info)
{
    const char *format = cuframes_format_name(info->format);

    printf("picture     %" PRId32 "x%" PRId32 " %s, coded %" PRId32 "x%" PRId32 "\n", info->width,
           info->height, format ? format : "?", info->layout.coded_width,
           info->layout.coded_height);
    printf("memory      %s, %" PRId32 " slots of %" PRIu64 " bytes, generation %" PRIu32 "\n",
           word_of_memory(info->memory), info->slots, info->layout.size, info->generation);
    print_gpu(info);
    printf("policy      %s", word_of_policy(info->policy));
    if (info->policy == CUFRAMES_POLICY_STRICT_WAIT && info->ack_timeout_ms >= 0)
        printf(", evicts after %" PRId32 " ms", info->ack_timeout_ms);
    printf(", at most %" PRId32 " frames held by one reader\n", info->max_holds);
    printf("colour      matrix %u, primaries %u, transfer %u, range %s\n", info->color.matrix,
           info->color.primaries, info->color.transfer,
           info->color.range == CUFRAMES_RANGE_LIMITED ? "limited"
           : info->color.range == CUFRAMES_RANGE_FULL  ? "full"
                                                       : "not said");
}

static void print_channel(const cuframes_channel_info_t *info)
{
    printf("key         %s\n", info->key);
    if (info->notes & CUFRAMES_CHANNEL_PACKETS_ONLY)
        printf("picture     none: packets alone\n");
    else
        print_frames(info);
    if (info->pid)
        printf("publisher   process %" PRId64 "\n", info->pid);
    else
        printf("publisher   in another PID namespace\n");
}

static void print_packets(const cuframes_channel_report_t *report)
{
    const cuframes_publisher_stats_t *stats = &report->stats;
    char text[STREAM_TEXT_SIZE];

    if (!(report->info.notes & CUFRAMES_CHANNEL_PACKETS))
        return;
    printf("packets     %" PRIu64 " published, %" PRIu64 " bytes; %" PRIu32
           " kept (%.1f s) in a ring of %.1f MiB\n",
           stats->packets, stats->packet_bytes, stats->packets_kept,
           (double)stats->packet_kept_ns / 1e9, (double)stats->packet_ring_bytes / (1 << 20));
    for (uint32_t i = 0; i < report->stream_count; i++)
        printf("stream %" PRIu32 "    %s\n", i, stream_text(&report->streams[i], text));
}

static void print_frame_stats(const cuframes_channel_info_t *info,
                              const cuframes_publisher_stats_t *stats)
{
    char age[24];

    if (stats->newest_ns == CUFRAMES_NO_TIME)
        printf("newest      none yet\n");
    else
        printf("newest      frame %" PRIu64 ", %s old\n", stats->newest_seq,
               age_text(channel_age_s(stats), age));
    printf("rate        %.2f a second", stats->fps);
    if (info->fps_num > 0 && info->fps_den > 0)
        printf(" (nominal %.2f)", (double)info->fps_num / info->fps_den);
    printf("\nframes      %" PRIu64 " published, %" PRIu64 " dropped, %" PRIu64 " copied\n",
           stats->published, stats->dropped, stats->copied);
}

static void print_stats(const cuframes_channel_report_t *report)
{
    const cuframes_publisher_stats_t *stats = &report->stats;

    if (!(report->info.notes & CUFRAMES_CHANNEL_PACKETS_ONLY))
        print_frame_stats(&report->info, stats);
    print_packets(report);
    printf("readers     %" PRIu32 " attached, %" PRIu32 " slots held, %" PRIu64 " evicted, %" PRIu64
           " refused\n",
           stats->subscribers, stats->slots_held, stats->evicted, stats->refused);
}

static void add_frames(struct table *table, const cuframes_subscriber_info_t *subscriber)
{
    if (!(subscriber->reads & CUFRAMES_READS_FRAMES)) {
        table_add(table, "packets");
        for (int i = 0; i < 5; i++)
            table_add(table, "-");
        return;
    }
    table_add(table, "%s", word_of_mode(subscriber->mode));
    table_add(table, "%" PRIu32, subscriber->held);
    table_add(table, "%" PRIu64, subscriber->received);
    table_add(table, "%" PRIu64, subscriber->missed);
    table_add(table, "%" PRIu64, subscriber->lag);
    table_add(table, "%s", cuframes_access_name(subscriber->access));
}

static void add_packets(struct table *table, const cuframes_subscriber_info_t *subscriber)
{
    if (!(subscriber->reads & CUFRAMES_READS_PACKETS)) {
        table_add(table, "-");
        table_add(table, "-");
        return;
    }
    table_add(table, "%" PRIu64, subscriber->packets_received);
    table_add(table, "%" PRIu64, subscriber->packets_lost);
}

static void print_readers(const cuframes_channel_report_t *report)
{
    static const char *const headings[] = {"NAME", "MODE",   "HELD",    "RECEIVED", "MISSED",
                                           "LAG",  "ACCESS", "PACKETS", "LOST",     "PID"};
    struct table table;

    if (!report->subscriber_count)
        return;
    table_init(&table, "llrrrrlrrr", headings);
    for (uint32_t i = 0; i < report->subscriber_count; i++) {
        const cuframes_subscriber_info_t *subscriber = &report->subscribers[i];

        table_add(&table, "%s", subscriber->name);
        add_frames(&table, subscriber);
        add_packets(&table, subscriber);
        if (subscriber->pid)
            table_add(&table, "%" PRId64, subscriber->pid);
        else
            table_add(&table, "-");
    }
    putchar('\n');
    table_print(&table, stdout);
    table_fini(&table);
}

/* Before any option. */
static const struct settings defaults = {0};

int command_info(int argc, char **argv)
{
    cuframes_channel_report_t *report;
    struct settings s = defaults;
    int error;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    error = cuframes_query(s.runtime_dir, s.key, QUERY_TIMEOUT_MS, &report);
    if (error)
        return report_library(error);
    if (s.json) {
        json_print(json_of_report(report), false);
    } else {
        print_channel(&report->info);
        print_stats(report);
        print_readers(report);
    }
    cuframes_channel_report_free(report);
    return TOOL_DONE;
}
