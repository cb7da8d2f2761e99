/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoder of the wire protocol: what a peer sends is hostile until it has passed here.
 *
 * It first reads all fields, then has them judged (judge.c). Reading cannot leave the record: the
 * cursor refuses and remembers. Each value has one encoding: what decodes encodes to the same bytes
 * again.
 */
#include "wire/message.h"

#include <string.h>

#include "base/error.h"
#include "format/format.h"
#include "wire/judge.h"
#include "wire/streams.h"

static const char *type_name(uint32_t type)
{
    switch (type) {
    case CF_MSG_ATTACH:
        return "ATTACH";
    case CF_MSG_ADOPTED:
        return "ADOPTED";
    case CF_MSG_QUERY:
        return "QUERY";
    case CF_MSG_WATCH:
        return "WATCH";
    case CF_MSG_ATTACHED:
        return "ATTACHED";
    case CF_MSG_GENERATION:
        return "GENERATION";
    case CF_MSG_ERROR:
        return "ERROR";
    case CF_MSG_REPORT:
        return "REPORT";
    case CF_MSG_REPORT_SUBSCRIBERS:
        return "REPORT_SUBSCRIBERS";
    case CF_MSG_PACKETS_ENABLE:
        return "PACKETS_ENABLE";
    case CF_MSG_PACKETS_ADOPTED:
        return "PACKETS_ADOPTED";
    case CF_MSG_PACKETS:
        return "PACKETS";
    case CF_MSG_PACKET_RING:
        return "PACKET_RING";
    case CF_MSG_STREAMS:
        return "STREAMS";
    case CF_MSG_REPORT_STREAMS:
        return "REPORT_STREAMS";
    default:
        return NULL;
    }
}

struct cursor {
    const uint8_t *p, *end;
    bool bad; /* read past the end, text without NUL, bytes that must be 0 and are not */
};

static uint64_t get_number(struct cursor *c, size_t bytes)
{
    uint64_t value = 0;

    if ((size_t)(c->end - c->p) < bytes) {
        c->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)c->p[i] << (8 * i);
    c->p += bytes;
    return value;
}

static uint16_t get_u16(struct cursor *c)
{
    return (uint16_t)get_number(c, 2);
}

static uint32_t get_u32(struct cursor *c)
{
    return (uint32_t)get_number(c, 4);
}

static int32_t get_i32(struct cursor *c)
{
    return (int32_t)get_u32(c);
}

static uint64_t get_u64(struct cursor *c)
{
    return get_number(c, 8);
}

static void get_zero(struct cursor *c)
{
    if (get_u32(c) != 0)
        c->bad = true;
}

/* All zero when there are too few. */
static void get_bytes(struct cursor *c, void *bytes, size_t size)
{
    if ((size_t)(c->end - c->p) < size) {
        c->bad = true;
        memset(bytes, 0, size);
        return;
    }
    memcpy(bytes, c->p, size);
    c->p += size;
}

static void get_text(struct cursor *c, char *text, size_t size)
{
    get_bytes(c, text, size);
    if (text[size - 1] != '\0')
        c->bad = true;
    text[size - 1] = '\0';
    for (size_t i = strlen(text); i < size; i++)
        if (text[i] != '\0')
            c->bad = true;
}

static void get_layout(struct cursor *c, cuframes_layout_t *layout)
{
    layout->coded_width = get_i32(c);
    layout->coded_height = get_i32(c);
    layout->plane_count = get_u32(c);
    get_zero(c);
    layout->size = get_u64(c);
    for (int i = 0; i < CUFRAMES_MAX_PLANES; i++) {
        layout->planes[i].offset = get_u64(c);
        layout->planes[i].pitch = get_u32(c);
        layout->planes[i].rows = get_u32(c);
    }
}

static void get_info(struct cursor *c, cuframes_channel_info_t *info)
{
    get_text(c, info->key, sizeof(info->key));
    info->format = (cuframes_format_t)get_u32(c);
    info->width = get_i32(c);
    info->height = get_i32(c);
    info->memory = (cuframes_memory_t)get_u32(c);
    info->policy = (cuframes_policy_t)get_u32(c);
    info->slots = get_i32(c);
    info->generation = get_u32(c);
    info->fps_num = get_i32(c);
    info->fps_den = get_i32(c);
    info->sar_num = get_i32(c);
    info->sar_den = get_i32(c);
    info->color.matrix = (uint8_t)get_number(c, 1);
    info->color.primaries = (uint8_t)get_number(c, 1);
    info->color.transfer = (uint8_t)get_number(c, 1);
    info->color.range = (uint8_t)get_number(c, 1);
    info->ack_timeout_ms = get_i32(c);
    info->max_holds = get_i32(c);
    get_layout(c, &info->layout);
    get_bytes(c, info->gpu_uuid, sizeof(info->gpu_uuid));
    info->notes = get_u32(c);
    info->stream_count = get_u32(c);
}

static void get_attach(struct cursor *c, struct cf_msg_attach *attach)
{
    get_text(c, attach->name, sizeof(attach->name));
    attach->mode = get_u32(c);
    attach->max_holds = get_u32(c);
    attach->flags = get_u32(c);
    attach->memory = get_u32(c);
}

static void get_attached(struct cursor *c, struct cf_msg_attached *attached)
{
    get_info(c, &attached->info);
    get_text(c, attached->name, sizeof(attached->name));
    attached->max_holds = get_u32(c);
    attached->flags = get_u32(c);
    attached->control_size = get_u64(c);
    attached->frames_size = get_u64(c);
    attached->slot_stride = get_u64(c);
    attached->first_seq = get_u64(c);
    attached->slot_offset = get_u64(c);
    attached->memory_count = get_u32(c);
    get_zero(c);
}

static void get_stats(struct cursor *c, cuframes_publisher_stats_t *stats)
{
    uint64_t fps_bits;

    stats->published = get_u64(c);
    stats->dropped = get_u64(c);
    stats->copied = get_u64(c);
    stats->evicted = get_u64(c);
    stats->refused = get_u64(c);
    stats->waited_ns = get_u64(c);
    stats->generations = get_u64(c);
    stats->subscribers = get_u32(c);
    stats->slots_held = get_u32(c);
    stats->newest_ns = (int64_t)get_u64(c);
    stats->newest_seq = get_u64(c);
    fps_bits = get_u64(c);
    memcpy(&stats->fps, &fps_bits, sizeof(stats->fps));
    stats->pending = get_u32(c);
    stats->packets_kept = get_u32(c);
    stats->packets = get_u64(c);
    stats->packet_bytes = get_u64(c);
    stats->packet_ring_bytes = get_u64(c);
    stats->packet_kept_ns = (int64_t)get_u64(c);
    stats->frame_subscribers = get_u32(c);
    get_zero(c);
}

static void get_subscriber(struct cursor *c, cuframes_subscriber_info_t *subscriber)
{
    get_text(c, subscriber->name, sizeof(subscriber->name));
    subscriber->mode = (cuframes_subscriber_mode_t)get_u32(c);
    subscriber->held = get_u32(c);
    subscriber->received = get_u64(c);
    subscriber->missed = get_u64(c);
    subscriber->lag = get_u64(c);
    subscriber->pid = (int64_t)get_u64(c);
    subscriber->uid = get_u32(c);
    subscriber->access = (cuframes_access_t)get_u32(c);
    subscriber->reads = get_u32(c);
    get_zero(c);
    subscriber->packets_received = get_u64(c);
    subscriber->packets_lost = get_u64(c);
}

static void get_subscribers(struct cursor *c, struct cf_msg_report_subscribers *list)
{
    uint32_t count = get_u32(c);
    uint32_t last = get_u32(c);

    if (count > CF_WIRE_REPORT_BATCH || last > 1) {
        c->bad = true;
        return;
    }
    list->count = count;
    list->last = last == 1;
    for (uint32_t i = 0; i < count; i++)
        get_subscriber(c, &list->subscribers[i]);
}

static void get_packets(struct cursor *c, struct cf_msg_packets *packets)
{
    packets->number = get_u32(c);
    packets->flags = get_u32(c);
    packets->memory_size = get_u64(c);
    packets->generation = get_u32(c);
    get_zero(c);
}

static void get_report_streams(struct cursor *c, struct cf_msg_report_streams *list)
{
    uint32_t count = get_u32(c);

    get_zero(c);
    if (count > CUFRAMES_MAX_STREAMS || (size_t)(c->end - c->p) < count * (size_t)CF_STREAM_SIZE) {
        c->bad = true;
        return;
    }
    list->count = count;
    for (uint32_t i = 0; i < count; i++, c->p += CF_STREAM_SIZE)
        if (!cf_stream_decode(c->p, &list->streams[i]))
            c->bad = true;
}

static void get_body(struct cursor *c, struct cf_message *message)
{
    switch (message->type) {
    case CF_MSG_ATTACH:
        get_attach(c, &message->attach);
        break;
    case CF_MSG_ADOPTED:
        message->adopted.generation = get_u32(c);
        message->adopted.access = get_u32(c);
        break;
    case CF_MSG_QUERY:
    case CF_MSG_WATCH:
    case CF_MSG_PACKETS_ADOPTED:
        break;
    case CF_MSG_ATTACHED:
    case CF_MSG_GENERATION:
        get_attached(c, &message->attached);
        break;
    case CF_MSG_ERROR:
        message->error.error = get_i32(c);
        get_text(c, message->error.text, sizeof(message->error.text));
        break;
    case CF_MSG_REPORT:
        get_info(c, &message->report.info);
        get_stats(c, &message->report.stats);
        break;
    case CF_MSG_REPORT_SUBSCRIBERS:
        get_subscribers(c, &message->subscribers);
        break;
    case CF_MSG_PACKETS_ENABLE:
        message->packets_enable.flags = get_u32(c);
        break;
    case CF_MSG_PACKETS:
    case CF_MSG_PACKET_RING:
        get_packets(c, &message->packets);
        break;
    case CF_MSG_STREAMS:
        message->streams.generation = get_u32(c);
        message->streams.size = get_u32(c);
        break;
    case CF_MSG_REPORT_STREAMS:
        get_report_streams(c, &message->report_streams);
        break;
    }
}

/* A first message that is not ours: says what it looks like, as far as four bytes tell. */
static int not_ours(const uint8_t *bytes)
{
    bool text = true;

    for (int i = 0; i < 4; i++)
        text = text && bytes[i] >= ' ' && bytes[i] <= '~';
    if (memcmp(bytes, "CUF", 3) == 0 && text)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer is another version of cuframes (its messages begin with %.4s, "
                       "this version's with CUF%d): update the older side",
                       (const char *)bytes, CF_WIRE_VERSION);
    if (text)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer sends text (\"%.4s...\"), not cuframes messages: it is no "
                       "cuframes program of protocol %d",
                       (const char *)bytes, CF_WIRE_VERSION);
    return cf_fail(CUFRAMES_ERR_PROTOCOL,
                   "the peer's message begins with %02x %02x %02x %02x: it is no cuframes program "
                   "of protocol %d",
                   bytes[0], bytes[1], bytes[2], bytes[3], CF_WIRE_VERSION);
}

static int decode_header(struct cursor *c, size_t size, uint16_t *type)
{
    const uint8_t *bytes = c->p;
    uint32_t magic = get_u32(c);
    uint16_t version = get_u16(c);
    uint32_t length;

    if (size >= 4 && magic != CF_WIRE_MAGIC)
        return not_ours(bytes);
    if (!c->bad && version != CF_WIRE_VERSION)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer speaks version %u of the cuframes protocol, this program speaks "
                       "version %d: update the older side",
                       (unsigned)version, CF_WIRE_VERSION);
    *type = get_u16(c);
    length = get_u32(c);
    if (size < CF_WIRE_HEADER_SIZE || length != size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message of %zu bytes is cut short", size);
    get_zero(c);
    if (!type_name(*type))
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message has the unknown type %u",
                       (unsigned)*type);
    return CUFRAMES_OK;
}

/* Descriptors that belong to a message. */
static size_t expected_fds(const struct cf_message *message)
{
    const struct cf_msg_attached *attached = &message->attached;

    switch (message->type) {
    case CF_MSG_ATTACHED:
    case CF_MSG_GENERATION:
        if (attached->flags & CF_ATTACH_PACKETS_ONLY)
            return 0;
        return CF_FD_WAKE_SOCKET + (attached->flags & CF_ATTACH_WAKE_SOCKET ? 1 : 0) +
               attached->memory_count - 1;
    case CF_MSG_PACKETS:
        if (message->packets.number == 0)
            return 0;
        return message->packets.flags & CF_PACKETS_WAKE_SOCKET ? CF_PACKETS_FD_COUNT
                                                               : CF_PACKETS_FD_WAKE_SOCKET;
    case CF_MSG_PACKET_RING:
    case CF_MSG_STREAMS:
        return 1;
    default:
        return 0;
    }
}

int cf_message_decode(const uint8_t *bytes, size_t size, size_t fd_count,
                      struct cf_message *message)
{
    struct cursor c = {.p = bytes, .end = bytes + size};
    struct cf_message read;
    uint16_t type = 0;
    int err = decode_header(&c, size, &type);

    if (err)
        return err;
    memset(&read, 0, sizeof(read));
    read.type = (enum cf_message_type)type;
    get_body(&c, &read);
    if (c.bad || c.p != c.end)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %s message of %zu bytes has the wrong size, text without an end "
                       "or reserved bytes that are not 0",
                       type_name(type), size);
    err = cf_message_judge(&read);
    if (err)
        return err;
    if (fd_count != expected_fds(&read))
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %s message came with %zu descriptors, %zu belong to it",
                       type_name(type), fd_count, expected_fds(&read));
    *message = read;
    return CUFRAMES_OK;
}
