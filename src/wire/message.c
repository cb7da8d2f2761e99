/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Encoder of the wire protocol. Each body has a fixed size, known from its type (and, for the
 * list of subscribers, from its count). The put_x() functions name the fields in the order of the
 * wire, as their partners get_x() in decode.c do. `p` runs through CF_WIRE_MAX_MESSAGE bytes,
 * which hold the longest message.
 */
#include "wire/message.h"

#include <assert.h>
#include <string.h>

#include "wire/streams.h"

/* Bytes of the list of subscribers before its first entry, and of an entry. */
#define REPORT_HEAD     8
#define SUBSCRIBER_SIZE 136

static_assert(CF_WIRE_HEADER_SIZE + REPORT_HEAD + CF_WIRE_REPORT_BATCH * SUBSCRIBER_SIZE <=
                  CF_WIRE_MAX_MESSAGE,
              "the longest message fits");

static void put_number(uint8_t **p, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        *(*p)++ = (uint8_t)(value >> (8 * i));
}

static void put_u16(uint8_t **p, uint16_t value)
{
    put_number(p, value, 2);
}

static void put_u32(uint8_t **p, uint32_t value)
{
    put_number(p, value, 4);
}

static void put_i32(uint8_t **p, int32_t value)
{
    put_number(p, (uint32_t)value, 4);
}

static void put_u64(uint8_t **p, uint64_t value)
{
    put_number(p, value, 8);
}

/* Zeroes follow the text, so that nothing that was in the buffer leaves the process. */
static void put_text(uint8_t **p, const char *text, size_t size)
{
    size_t length = strnlen(text, size);

    assert(length < size);
    memcpy(*p, text, length);
    memset(*p + length, 0, size - length);
    *p += size;
}

static void put_layout(uint8_t **p, const cuframes_layout_t *layout)
{
    put_i32(p, layout->coded_width);
    put_i32(p, layout->coded_height);
    put_u32(p, layout->plane_count);
    put_u32(p, 0);
    put_u64(p, layout->size);
    for (int i = 0; i < CUFRAMES_MAX_PLANES; i++) {
        put_u64(p, layout->planes[i].offset);
        put_u32(p, layout->planes[i].pitch);
        put_u32(p, layout->planes[i].rows);
    }
}

static void put_info(uint8_t **p, const cuframes_channel_info_t *info)
{
    put_text(p, info->key, sizeof(info->key));
    put_u32(p, info->format);
    put_i32(p, info->width);
    put_i32(p, info->height);
    put_u32(p, info->memory);
    put_u32(p, info->policy);
    put_i32(p, info->slots);
    put_u32(p, info->generation);
    put_i32(p, info->fps_num);
    put_i32(p, info->fps_den);
    put_i32(p, info->sar_num);
    put_i32(p, info->sar_den);
    put_number(p, info->color.matrix, 1);
    put_number(p, info->color.primaries, 1);
    put_number(p, info->color.transfer, 1);
    put_number(p, info->color.range, 1);
    put_i32(p, info->ack_timeout_ms);
    put_i32(p, info->max_holds);
    put_layout(p, &info->layout);
    memcpy(*p, info->gpu_uuid, sizeof(info->gpu_uuid));
    *p += sizeof(info->gpu_uuid);
    put_u32(p, info->notes);
    put_u32(p, info->stream_count);
}

static void put_attach(uint8_t **p, const struct cf_msg_attach *attach)
{
    put_text(p, attach->name, sizeof(attach->name));
    put_u32(p, attach->mode);
    put_u32(p, attach->max_holds);
    put_u32(p, attach->flags);
    put_u32(p, attach->memory);
}

static void put_attached(uint8_t **p, const struct cf_msg_attached *attached)
{
    put_info(p, &attached->info);
    put_text(p, attached->name, sizeof(attached->name));
    put_u32(p, attached->max_holds);
    put_u32(p, attached->flags);
    put_u64(p, attached->control_size);
    put_u64(p, attached->frames_size);
    put_u64(p, attached->slot_stride);
    put_u64(p, attached->first_seq);
    put_u64(p, attached->slot_offset);
    put_u32(p, attached->memory_count);
    put_u32(p, 0);
}

static void put_error(uint8_t **p, const struct cf_msg_error *error)
{
    put_i32(p, error->error);
    put_text(p, error->text, sizeof(error->text));
}

static void put_stats(uint8_t **p, const cuframes_publisher_stats_t *stats)
{
    uint64_t fps_bits;

    memcpy(&fps_bits, &stats->fps, sizeof(fps_bits));
    put_u64(p, stats->published);
    put_u64(p, stats->dropped);
    put_u64(p, stats->copied);
    put_u64(p, stats->evicted);
    put_u64(p, stats->refused);
    put_u64(p, stats->waited_ns);
    put_u64(p, stats->generations);
    put_u32(p, stats->subscribers);
    put_u32(p, stats->slots_held);
    put_u64(p, (uint64_t)stats->newest_ns);
    put_u64(p, stats->newest_seq);
    put_u64(p, fps_bits);
    put_u32(p, stats->pending);
    put_u32(p, stats->packets_kept);
    put_u64(p, stats->packets);
    put_u64(p, stats->packet_bytes);
    put_u64(p, stats->packet_ring_bytes);
    put_u64(p, (uint64_t)stats->packet_kept_ns);
    put_u32(p, stats->frame_subscribers);
    put_u32(p, 0);
}

static void put_subscriber(uint8_t **p, const cuframes_subscriber_info_t *subscriber)
{
    put_text(p, subscriber->name, sizeof(subscriber->name));
    put_u32(p, subscriber->mode);
    put_u32(p, subscriber->held);
    put_u64(p, subscriber->received);
    put_u64(p, subscriber->missed);
    put_u64(p, subscriber->lag);
    put_u64(p, (uint64_t)subscriber->pid);
    put_u32(p, subscriber->uid);
    put_u32(p, subscriber->access);
    put_u32(p, subscriber->reads);
    put_u32(p, 0);
    put_u64(p, subscriber->packets_received);
    put_u64(p, subscriber->packets_lost);
}

static void put_subscribers(uint8_t **p, const struct cf_msg_report_subscribers *list)
{
    assert(list->count <= CF_WIRE_REPORT_BATCH);
    put_u32(p, list->count);
    put_u32(p, list->last);
    for (uint32_t i = 0; i < list->count; i++)
        put_subscriber(p, &list->subscribers[i]);
}

static void put_packets(uint8_t **p, const struct cf_msg_packets *packets)
{
    put_u32(p, packets->number);
    put_u32(p, packets->flags);
    put_u64(p, packets->memory_size);
    put_u32(p, packets->generation);
    put_u32(p, 0);
}

static void put_report_streams(uint8_t **p, const struct cf_msg_report_streams *list)
{
    assert(list->count <= CUFRAMES_MAX_STREAMS);
    put_u32(p, list->count);
    put_u32(p, 0);
    for (uint32_t i = 0; i < list->count; i++) {
        cf_stream_encode(&list->streams[i], 0, *p);
        *p += CF_STREAM_SIZE;
    }
}

static void put_body(uint8_t **p, const struct cf_message *message)
{
    switch (message->type) {
    case CF_MSG_ATTACH:
        put_attach(p, &message->attach);
        break;
    case CF_MSG_ADOPTED:
        put_u32(p, message->adopted.generation);
        put_u32(p, message->adopted.access);
        break;
    case CF_MSG_QUERY:
    case CF_MSG_WATCH:
    case CF_MSG_PACKETS_ADOPTED:
        break;
    case CF_MSG_ATTACHED:
    case CF_MSG_GENERATION:
        put_attached(p, &message->attached);
        break;
    case CF_MSG_ERROR:
        put_error(p, &message->error);
        break;
    case CF_MSG_REPORT:
        put_info(p, &message->report.info);
        put_stats(p, &message->report.stats);
        break;
    case CF_MSG_REPORT_SUBSCRIBERS:
        put_subscribers(p, &message->subscribers);
        break;
    case CF_MSG_PACKETS_ENABLE:
        put_u32(p, message->packets_enable.flags);
        break;
    case CF_MSG_PACKETS:
    case CF_MSG_PACKET_RING:
        put_packets(p, &message->packets);
        break;
    case CF_MSG_STREAMS:
        put_u32(p, message->streams.generation);
        put_u32(p, message->streams.size);
        break;
    case CF_MSG_REPORT_STREAMS:
        put_report_streams(p, &message->report_streams);
        break;
    }
}

size_t cf_message_encode(const struct cf_message *message, uint8_t *bytes)
{
    uint8_t *p = bytes + CF_WIRE_HEADER_SIZE;
    uint8_t *header = bytes;
    size_t size;

    put_body(&p, message);
    size = (size_t)(p - bytes);
    put_u32(&header, CF_WIRE_MAGIC);
    put_u16(&header, CF_WIRE_VERSION);
    put_u16(&header, (uint16_t)message->type);
    put_u32(&header, (uint32_t)size);
    put_u32(&header, 0);
    return size;
}
