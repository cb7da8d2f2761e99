/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Out of memory shows as missing members and in the end as a null value, which json_print()
 * reports: nothing here can be meaningfully undone.
 */
#include "common/json.h"

#include <stdio.h>
#include <string.h>

#include "common/packets.h"
#include "common/report.h"

const char *word_of_policy(cuframes_policy_t policy)
{
    return policy == CUFRAMES_POLICY_DROP_OLDEST   ? "drop"
           : policy == CUFRAMES_POLICY_STRICT_WAIT ? "wait"
                                                   : "?";
}

const char *word_of_mode(cuframes_subscriber_mode_t mode)
{
    return mode == CUFRAMES_MODE_NEWEST_ONLY    ? "newest"
           : mode == CUFRAMES_MODE_STRICT_ORDER ? "order"
                                                : "?";
}

const char *word_of_memory(cuframes_memory_t memory)
{
    return memory == CUFRAMES_MEMORY_HOST ? "host" : memory == CUFRAMES_MEMORY_CUDA ? "cuda" : "?";
}

void make_printable(char *text)
{
    for (unsigned char *at = (unsigned char *)text; *at; at++)
        if (*at < 0x20 || *at >= 0x7f)
            *at = '?';
}

json_t *json_text(const char *text)
{
    json_t *value = json_string(text);
    char safe[256];

    if (value)
        return value;
    snprintf(safe, sizeof(safe), "%s", text);
    make_printable(safe);
    return json_string(safe);
}

json_t *json_unsigned(uint64_t value)
{
    return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *json_time(int64_t value)
{
    return value == CUFRAMES_NO_TIME ? json_null() : json_integer(value);
}

static json_t *json_of_reads(uint32_t reads)
{
    json_t *list = json_array();

    if (reads & CUFRAMES_READS_FRAMES)
        json_array_append_new(list, json_string("frames"));
    if (reads & CUFRAMES_READS_PACKETS)
        json_array_append_new(list, json_string("packets"));
    return list;
}

static json_t *json_of_subscriber(const cuframes_subscriber_info_t *subscriber)
{
    return json_pack(
        "{so, ss, sI, so, so, so, sI, sI, ss, so, so, so}", "name", json_text(subscriber->name),
        "mode", word_of_mode(subscriber->mode), "held", (json_int_t)subscriber->held, "received",
        json_unsigned(subscriber->received), "missed", json_unsigned(subscriber->missed), "lag",
        json_unsigned(subscriber->lag), "pid", (json_int_t)subscriber->pid, "uid",
        (json_int_t)subscriber->uid, "access", cuframes_access_name(subscriber->access), "reads",
        json_of_reads(subscriber->reads), "packets_received",
        json_unsigned(subscriber->packets_received), "packets_lost",
        json_unsigned(subscriber->packets_lost));
}

static json_t *json_of_subscribers(const cuframes_channel_report_t *report)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < report->subscriber_count; i++)
        json_array_append_new(list, json_of_subscriber(&report->subscribers[i]));
    return list;
}

static json_t *json_of_layout(const cuframes_layout_t *layout)
{
    json_t *planes = json_array();

    for (uint32_t i = 0; i < layout->plane_count && i < CUFRAMES_MAX_PLANES; i++)
        json_array_append_new(planes, json_pack("{so, sI, sI}", "offset",
                                                json_unsigned(layout->planes[i].offset), "pitch",
                                                (json_int_t)layout->planes[i].pitch, "rows",
                                                (json_int_t)layout->planes[i].rows));
    return json_pack("{si, si, so, so}", "coded_width", (int)layout->coded_width, "coded_height",
                     (int)layout->coded_height, "size", json_unsigned(layout->size), "planes",
                     planes);
}

static json_t *json_of_color(const cuframes_color_t *color)
{
    return json_pack("{si, si, si, ss}", "matrix", color->matrix, "primaries", color->primaries,
                     "transfer", color->transfer, "range",
                     color->range == CUFRAMES_RANGE_LIMITED ? "limited"
                     : color->range == CUFRAMES_RANGE_FULL  ? "full"
                                                            : "unspecified");
}

static json_t *json_of_fraction(int32_t num, int32_t den)
{
    return num > 0 && den > 0 ? json_pack("[ii]", (int)num, (int)den) : json_null();
}

/* The GPU whose memory the frames are in, or null. */
static json_t *json_of_gpu(const cuframes_channel_info_t *info)
{
    char uuid[CUFRAMES_GPU_UUID_TEXT];

    if (info->memory != CUFRAMES_MEMORY_CUDA)
        return json_null();
    cuframes_gpu_uuid_text(info->gpu_uuid, uuid);
    return json_string(uuid);
}

/* What the channel is. */
static json_t *json_of_info(const cuframes_channel_info_t *info)
{
    const char *format = cuframes_format_name(info->format);

    return json_pack(
        "{so, ss, si, si, ss, so, sb, si, sI, ss, si, si, sI, so, so, so, so}", "key",
        json_text(info->key), "format", format ? format : "?", "width", (int)info->width, "height",
        (int)info->height, "memory", word_of_memory(info->memory), "gpu", json_of_gpu(info),
        "gpu_unused", (info->notes & CUFRAMES_CHANNEL_GPU_UNUSED) != 0, "slots", (int)info->slots,
        "generation", (json_int_t)info->generation, "policy", word_of_policy(info->policy),
        "ack_timeout_ms", (int)info->ack_timeout_ms, "max_holds", (int)info->max_holds, "pid",
        (json_int_t)info->pid, "fps_nominal", json_of_fraction(info->fps_num, info->fps_den), "sar",
        json_of_fraction(info->sar_num, info->sar_den), "color", json_of_color(&info->color),
        "layout", json_of_layout(&info->layout));
}

/* What it counts. */
static json_t *json_of_stats(const cuframes_publisher_stats_t *stats)
{
    bool any = stats->newest_ns != CUFRAMES_NO_TIME;
    json_t *age =
        any ? json_real(((double)cuframes_now_ns() - (double)stats->newest_ns) / 1e6) : json_null();

    return json_pack(
        "{so, sf, so, so, so, so, so, so, sf, so, sI}", "seq",
        any ? json_unsigned(stats->newest_seq) : json_null(), "fps", stats->fps, "newest_age_ms",
        age, "published", json_unsigned(stats->published), "dropped", json_unsigned(stats->dropped),
        "copied", json_unsigned(stats->copied), "evicted", json_unsigned(stats->evicted), "refused",
        json_unsigned(stats->refused), "waited_ms", (double)stats->waited_ns / 1e6, "generations",
        json_unsigned(stats->generations), "slots_held", (json_int_t)stats->slots_held);
}

json_t *json_of_stream(const cuframes_stream_t *stream)
{
    bool video = stream->type == CUFRAMES_STREAM_VIDEO,
         audio = stream->type == CUFRAMES_STREAM_AUDIO;
    json_t *object =
        json_pack("{ss, so, sI, so, ss, so, so}", "type", word_of_stream_type(stream->type),
                  "codec", stream->codec_name[0] ? json_text(stream->codec_name) : json_null(),
                  "codec_id", (json_int_t)stream->codec_id, "language",
                  stream->language[0] ? json_text(stream->language) : json_null(), "packaging",
                  word_of_packaging(stream->packaging), "time_base",
                  json_of_fraction(stream->time_base_num, stream->time_base_den), "bit_rate",
                  stream->bit_rate > 0 ? json_integer(stream->bit_rate) : json_null());

    if (video)
        json_object_update_new(object,
                               json_pack("{si, si, so}", "width", (int)stream->width, "height",
                                         (int)stream->height, "fps",
                                         json_of_fraction(stream->fps_num, stream->fps_den)));
    if (audio)
        json_object_update_new(object,
                               json_pack("{si, si}", "sample_rate", (int)stream->sample_rate,
                                         "channels", (int)stream->channels));
    return object;
}

/* The packet ring, or null. */
static json_t *json_of_packets(const cuframes_channel_report_t *report)
{
    const cuframes_publisher_stats_t *stats = &report->stats;
    json_t *streams;

    if (!(report->info.notes & CUFRAMES_CHANNEL_PACKETS))
        return json_null();
    streams = json_array();
    for (uint32_t i = 0; i < report->stream_count; i++)
        json_array_append_new(streams, json_of_stream(&report->streams[i]));
    return json_pack("{so, so, so, sI, sf, so}", "published", json_unsigned(stats->packets),
                     "bytes", json_unsigned(stats->packet_bytes), "ring_bytes",
                     json_unsigned(stats->packet_ring_bytes), "kept",
                     (json_int_t)stats->packets_kept, "kept_ms",
                     (double)stats->packet_kept_ns / 1e6, "streams", streams);
}

json_t *json_of_report(const cuframes_channel_report_t *report)
{
    json_t *channel = json_of_info(&report->info);
    json_t *stats = json_of_stats(&report->stats);

    json_object_update(channel, stats);
    json_decref(stats);
    json_object_set_new(channel, "packets", json_of_packets(report));
    json_object_set_new(channel, "frames",
                        json_boolean(!(report->info.notes & CUFRAMES_CHANNEL_PACKETS_ONLY)));
    json_object_set_new(channel, "subscribers", json_of_subscribers(report));
    return channel;
}

void json_print(json_t *value, bool compact)
{
    size_t flags = compact ? JSON_COMPACT : JSON_INDENT(2);

    if (!value)
        report("out of memory");
    else if (json_dumpf(value, stdout, flags | JSON_REAL_PRECISION(12) | JSON_ENCODE_ANY) == 0)
        putchar('\n');
    json_decref(value);
}
