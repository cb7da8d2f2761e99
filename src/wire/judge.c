/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fields of a message may say. Whatever passes here is safe to act on: sizes fit, sums do
 * not overflow, every slot is inside its memory.
 */
#include "wire/judge.h"

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
        attached->first_seq != 0 || attached->slot_offset != 0 || attached->memory_count != 0)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer offers frames where it says that there are none");
    return CUFRAMES_OK;
}

/* One allocation with all slots; or, on a GPU, one for each slot, of the same size. */
static int check_parts(const struct cf_msg_attached *attached)
{
    const uint64_t count = attached->memory_count;

    if (count == 1)
        return CUFRAMES_OK;
    if (attached->info.memory != CUFRAMES_MEMORY_CUDA || count != (uint64_t)attached->info.slots ||
        attached->slot_stride * count != attached->frames_size)
        return out_of_range("number of memories", count);
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
    if (__builtin_mul_overflow(attached->slot_stride, (uint64_t)attached->info.slots - 1, &end) ||
        __builtin_add_overflow(end, attached->slot_offset, &end) ||
        __builtin_add_overflow(end, attached->info.layout.size, &end) ||
        end > attached->frames_size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's %d slots of %llu bytes do not fit its %llu bytes of memory",
                       attached->info.slots, (unsigned long long)attached->slot_stride,
                       (unsigned long long)attached->frames_size);
    return check_parts(attached);
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

int cf_message_judge(const struct cf_message *message)
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
