/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoder of the wire protocol: what a peer sends is hostile until it has passed here.
 *
 * It first reads all fields, then judges them. Reading cannot leave the record: the cursor refuses
 * and remembers. Each value has one encoding: what decodes encodes to the same bytes again.
 */
#include "wire/message.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "format/format.h"
#include "wire/endpoint.h"
#include "wire/streams.h"

/* Sequence numbers have 58 bits, and the last one of these is no frame's. */
#define SEQ_LIMIT ((UINT64_C(1) << 58) - 1)
/* Most control memory that is mapped for a peer: several times what 64 slots need. */
#define MAX_CONTROL_SIZE (UINT64_C(1) << 20)
/* Most frame memory, and what slots are multiples of, so that samples of any format are aligned. */
#define MAX_FRAMES_SIZE (UINT64_C(1) << 46)
#define STRIDE_UNIT     16
/* Most memory of a packet ring: the largest index and the most bytes. */
#define MAX_PACKETS_SIZE ((UINT64_C(1) << 32) + (UINT64_C(1) << 27))
/* Lowest error number there is room for. */
#define LOWEST_ERROR (-1000)

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

static int out_of_range(const char *field, uint64_t value)
{
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message has %s %llu, which cannot be", field,
                   (unsigned long long)value);
}

/* A rule that a function of another part has judged; its sentence is kept. */
static int refused(const char *what)
{
    char why[256];

    snprintf(why, sizeof(why), "%s", cuframes_last_error());
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's %s is refused: %s", what, why);
}

static int check_attach(const struct cf_msg_attach *attach)
{
    if (attach->name[0] != '\0' && cf_name_check(attach->name) != CUFRAMES_OK)
        return refused("consumer name");
    if (attach->mode > CUFRAMES_MODE_STRICT_ORDER)
        return out_of_range("mode", attach->mode);
    if (attach->flags & ~(uint32_t)(CF_ATTACH_WAKE_SOCKET | CF_ATTACH_PACKETS_ONLY))
        return out_of_range("flags", attach->flags);
    if (attach->memory > CUFRAMES_MEMORY_CUDA)
        return out_of_range("memory", attach->memory);
    return CUFRAMES_OK;
}

/* A rate or a shape: 0/0, or both above 0. */
static bool fraction_ok(int32_t num, int32_t den)
{
    return (num == 0 && den == 0) || (num > 0 && den > 0);
}

/* A channel of packets alone: nothing is said of frames. */
static int check_no_frames(const cuframes_channel_info_t *info)
{
    static const cuframes_layout_t none;

    if (info->width != 0 || info->height != 0 || info->format != 0 || info->slots != 0 ||
        info->max_holds != 0 || info->memory != CUFRAMES_MEMORY_AUTO ||
        memcmp(&info->layout, &none, sizeof(none)) != 0)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer describes frames of a channel that it says has none");
    return CUFRAMES_OK;
}

static int check_packets_info(const cuframes_channel_info_t *info)
{
    if (info->notes & ~(uint32_t)(CUFRAMES_CHANNEL_GPU_UNUSED | CUFRAMES_CHANNEL_PACKETS |
                                  CUFRAMES_CHANNEL_PACKETS_ONLY))
        return out_of_range("notes", info->notes);
    if (info->stream_count > CUFRAMES_MAX_STREAMS ||
        (info->stream_count > 0 && !(info->notes & CUFRAMES_CHANNEL_PACKETS)))
        return out_of_range("number of streams", info->stream_count);
    return CUFRAMES_OK;
}

static int check_info(const cuframes_channel_info_t *info)
{
    int err = check_packets_info(info);

    if (err)
        return err;
    if (info->key[0] != '\0' && cf_key_check(info->key) != CUFRAMES_OK)
        return refused("key");
    if (info->notes & CUFRAMES_CHANNEL_PACKETS_ONLY)
        return check_no_frames(info);
    if (cf_layout_check(&info->layout, info->format, info->width, info->height) != CUFRAMES_OK)
        return refused("description");
    if (info->memory != CUFRAMES_MEMORY_HOST && info->memory != CUFRAMES_MEMORY_CUDA)
        return out_of_range("memory", info->memory);
    if (info->policy != CUFRAMES_POLICY_DROP_OLDEST && info->policy != CUFRAMES_POLICY_STRICT_WAIT)
        return out_of_range("policy", info->policy);
    if (info->slots < CUFRAMES_MIN_SLOTS || info->slots > CUFRAMES_MAX_SLOTS)
        return out_of_range("number of slots", (uint32_t)info->slots);
    if (info->max_holds < 1 || info->max_holds >= info->slots)
        return out_of_range("most holds", (uint32_t)info->max_holds);
    if (!fraction_ok(info->fps_num, info->fps_den))
        return out_of_range("frame rate numerator", (uint32_t)info->fps_num);
    if (!fraction_ok(info->sar_num, info->sar_den))
        return out_of_range("pixel shape numerator", (uint32_t)info->sar_num);
    if (info->color.range > CUFRAMES_RANGE_FULL)
        return out_of_range("colour range", info->color.range);
    for (int i = 0; info->memory == CUFRAMES_MEMORY_HOST && i < CUFRAMES_GPU_UUID_SIZE; i++)
        if (info->gpu_uuid[i])
            return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's host memory has a GPU");
    return CUFRAMES_OK;
}

/* The answer to one that wants no frames. */
static int check_frameless(const struct cf_msg_attached *attached)
{
    if (attached->flags != CF_ATTACH_PACKETS_ONLY || attached->max_holds != 0 ||
        attached->control_size != 0 || attached->frames_size != 0 || attached->slot_stride != 0 ||
        attached->first_seq != 0 || attached->slot_offset != 0)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer offers frames where it says that there are none");
    return CUFRAMES_OK;
}

static int check_sizes(const struct cf_msg_attached *attached)
{
    uint64_t end;

    if (attached->control_size == 0 || attached->control_size > MAX_CONTROL_SIZE)
        return out_of_range("control memory size", attached->control_size);
    if (attached->frames_size > MAX_FRAMES_SIZE || attached->frames_size > SIZE_MAX)
        return out_of_range("frame memory size", attached->frames_size);
    if (attached->slot_stride % STRIDE_UNIT != 0)
        return out_of_range("slot stride", attached->slot_stride);
    if (attached->slot_stride < attached->info.layout.size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's slots are %llu bytes apart and its frames have %llu bytes",
                       (unsigned long long)attached->slot_stride,
                       (unsigned long long)attached->info.layout.size);
    if (attached->slot_offset % STRIDE_UNIT != 0)
        return out_of_range("slot offset", attached->slot_offset);
    if (__builtin_mul_overflow(attached->slot_stride, (uint64_t)attached->info.slots, &end) ||
        __builtin_add_overflow(end, attached->slot_offset, &end) || end > attached->frames_size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %d slots of %llu bytes do not fit its %llu bytes of memory",
                       attached->info.slots, (unsigned long long)attached->slot_stride,
                       (unsigned long long)attached->frames_size);
    return CUFRAMES_OK;
}

int cf_attached_check(const struct cf_msg_attached *attached)
{
    int err = check_info(&attached->info);

    if (err)
        return err;
    if (cf_name_check(attached->name) != CUFRAMES_OK)
        return refused("consumer name");
    if (attached->flags & CF_ATTACH_PACKETS_ONLY)
        return check_frameless(attached);
    if (attached->info.notes & CUFRAMES_CHANNEL_PACKETS_ONLY)
        return out_of_range("notes", attached->info.notes);
    if (attached->max_holds < 1 || attached->max_holds > (uint32_t)attached->info.max_holds)
        return out_of_range("granted holds", attached->max_holds);
    if (attached->flags & ~(uint32_t)CF_ATTACH_WAKE_SOCKET)
        return out_of_range("flags", attached->flags);
    if (attached->first_seq >= SEQ_LIMIT)
        return out_of_range("first sequence number", attached->first_seq);
    return check_sizes(attached);
}

/* The sentence is for a terminal: no control characters. */
static int check_error(const struct cf_msg_error *error)
{
    if (error->error >= CUFRAMES_OK || error->error < LOWEST_ERROR)
        return out_of_range("error number", (uint32_t)error->error);
    for (const char *c = error->text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 0x7f)
            return out_of_range("control character in its text", (unsigned char)*c);
    return CUFRAMES_OK;
}

static int check_report(const struct cf_msg_report *report)
{
    if (report->stats.subscribers > CUFRAMES_MAX_SUBSCRIBERS)
        return out_of_range("number of subscribers", report->stats.subscribers);
    if (report->stats.slots_held > CUFRAMES_MAX_SLOTS)
        return out_of_range("number of held slots", report->stats.slots_held);
    if (report->stats.frame_subscribers > report->stats.subscribers)
        return out_of_range("number of readers of frames", report->stats.frame_subscribers);
    if (report->stats.packet_kept_ns < 0)
        return out_of_range("time of kept packets", (uint64_t)report->stats.packet_kept_ns);
    if (!isfinite(report->stats.fps) || report->stats.fps < 0)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message has a frame rate that cannot be");
    return check_info(&report->info);
}

static int check_subscriber(const cuframes_subscriber_info_t *subscriber)
{
    if (cf_name_check(subscriber->name) != CUFRAMES_OK)
        return refused("subscriber's name");
    if ((uint32_t)subscriber->mode > CUFRAMES_MODE_STRICT_ORDER)
        return out_of_range("mode", subscriber->mode);
    if (subscriber->held > CUFRAMES_MAX_SLOTS)
        return out_of_range("number of holds", subscriber->held);
    if ((uint32_t)subscriber->access > CUFRAMES_ACCESS_STAGED)
        return out_of_range("access", subscriber->access);
    if (subscriber->reads & ~(uint32_t)(CUFRAMES_READS_FRAMES | CUFRAMES_READS_PACKETS))
        return out_of_range("kind of reader", subscriber->reads);
    if (subscriber->pid < 0)
        return out_of_range("process number", (uint64_t)subscriber->pid);
    return CUFRAMES_OK;
}

static int check_subscribers(const struct cf_msg_report_subscribers *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        int err = check_subscriber(&list->subscribers[i]);

        if (err)
            return err;
    }
    return CUFRAMES_OK;
}

static int check_packets(const struct cf_message *message)
{
    const struct cf_msg_packets *packets = &message->packets;
    const bool first = message->type == CF_MSG_PACKETS;

    if (packets->flags & ~(uint32_t)(first ? CF_PACKETS_WAKE_SOCKET : 0))
        return out_of_range("flags", packets->flags);
    if (!first && (packets->number == 0 || packets->generation != 0))
        return out_of_range("packet ring", packets->number);
    if (packets->number == 0 && (packets->flags != 0 || packets->generation != 0))
        return out_of_range("flags", packets->flags);
    if ((packets->number == 0) != (packets->memory_size == 0) ||
        packets->memory_size > MAX_PACKETS_SIZE || packets->memory_size > SIZE_MAX)
        return out_of_range("packet ring size", packets->memory_size);
    return CUFRAMES_OK;
}

static int check_report_streams(const struct cf_msg_report_streams *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        int err = cf_stream_check(&list->streams[i], i, CUFRAMES_ERR_PROTOCOL);

        if (err)
            return err;
        if (list->streams[i].extradata_size != 0)
            return out_of_range("extradata", list->streams[i].extradata_size);
    }
    return CUFRAMES_OK;
}

static int check_body(const struct cf_message *message)
{
    switch (message->type) {
    case CF_MSG_ATTACH:
        return check_attach(&message->attach);
    case CF_MSG_ADOPTED:
        if (message->adopted.access > CUFRAMES_ACCESS_STAGED)
            return out_of_range("access", message->adopted.access);
        return CUFRAMES_OK;
    case CF_MSG_GENERATION:
        /* The wake socket came with ATTACHED and stays. */
        if (message->attached.flags != 0)
            return out_of_range("flags", message->attached.flags);
        return cf_attached_check(&message->attached);
    case CF_MSG_ATTACHED:
        return cf_attached_check(&message->attached);
    case CF_MSG_ERROR:
        return check_error(&message->error);
    case CF_MSG_REPORT:
        return check_report(&message->report);
    case CF_MSG_REPORT_SUBSCRIBERS:
        return check_subscribers(&message->subscribers);
    case CF_MSG_PACKETS_ENABLE:
        if (message->packets_enable.flags & ~(uint32_t)(CF_PACKETS_WAKE_SOCKET | CF_PACKETS_WAIT))
            return out_of_range("flags", message->packets_enable.flags);
        return CUFRAMES_OK;
    case CF_MSG_PACKETS:
    case CF_MSG_PACKET_RING:
        return check_packets(message);
    case CF_MSG_STREAMS:
        if (message->streams.generation == 0 || message->streams.size < CF_STREAMS_HEAD ||
            message->streams.size > CF_STREAMS_MAX_SIZE)
            return out_of_range("size of its streams", message->streams.size);
        return CUFRAMES_OK;
    case CF_MSG_REPORT_STREAMS:
        return check_report_streams(&message->report_streams);
    default:
        return CUFRAMES_OK;
    }
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
    switch (message->type) {
    case CF_MSG_ATTACHED:
        if (message->attached.flags & CF_ATTACH_PACKETS_ONLY)
            return 0;
        return message->attached.flags & CF_ATTACH_WAKE_SOCKET ? CF_FD_COUNT : CF_FD_WAKE_SOCKET;
    case CF_MSG_GENERATION:
        return CF_FD_WAKE_SOCKET;
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
    err = check_body(&read);
    if (err)
        return err;
    if (fd_count != expected_fds(&read))
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %s message came with %zu descriptors, %zu belong to it",
                       type_name(type), fd_count, expected_fds(&read));
    *message = read;
    return CUFRAMES_OK;
}
