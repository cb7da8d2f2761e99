/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One good message of each type, in which every field has a value of its own. docs/protocol.md
 * shows the bytes of the same messages.
 */
#pragma once

#include <stdio.h>
#include <string.h>

#include <cuframes/error.h>

#include "wire/message.h"

enum { WIRE_SAMPLES = 9 };

static const enum cf_message_type wire_sample_types[WIRE_SAMPLES] = {
    CF_MSG_ATTACH, CF_MSG_ADOPTED,  CF_MSG_QUERY,
    CF_MSG_WATCH,  CF_MSG_ATTACHED, CF_MSG_GENERATION,
    CF_MSG_ERROR,  CF_MSG_REPORT,   CF_MSG_REPORT_SUBSCRIBERS,
};

static inline void wire_sample_info(cuframes_channel_info_t *info)
{
    snprintf(info->key, sizeof(info->key), "cam-1");
    info->format = CUFRAMES_FORMAT_P010;
    info->width = 641;
    info->height = 481;
    info->memory = CUFRAMES_MEMORY_CUDA;
    info->policy = CUFRAMES_POLICY_STRICT_WAIT;
    info->slots = 6;
    info->generation = 3;
    info->fps_num = 30000;
    info->fps_den = 1001;
    info->sar_num = 4;
    info->sar_den = 3;
    info->color = (cuframes_color_t){
        .matrix = 9, .primaries = 8, .transfer = 16, .range = CUFRAMES_RANGE_FULL};
    info->ack_timeout_ms = -1;
    info->max_holds = 4;
    info->layout = (cuframes_layout_t){.coded_width = 704,
                                       .coded_height = 496,
                                       .plane_count = 2,
                                       .size = 1052672,
                                       .planes = {{.offset = 256, .pitch = 1408, .rows = 496},
                                                  {.offset = 699648, .pitch = 1412, .rows = 249}}};
    for (uint8_t i = 0; i < CUFRAMES_GPU_UUID_SIZE; i++)
        info->gpu_uuid[i] = (uint8_t)(0xa0 + i);
    info->notes = CUFRAMES_CHANNEL_GPU_UNUSED;
}

static inline void wire_sample_attached(struct cf_msg_attached *attached, bool wakes)
{
    wire_sample_info(&attached->info);
    snprintf(attached->name, sizeof(attached->name), "detector");
    attached->max_holds = 2;
    attached->flags = wakes ? CF_ATTACH_WAKE_SOCKET : 0;
    attached->control_size = 8192;
    attached->frames_size = 6340624;
    attached->slot_stride = 1056768;
    attached->first_seq = UINT64_C(0x0123456789abcdef);
    attached->slot_offset = 16;
}

static inline void wire_sample_report(struct cf_msg_report *report)
{
    wire_sample_info(&report->info);
    report->stats = (cuframes_publisher_stats_t){
        .published = UINT64_C(0x1111111111111111),
        .dropped = 2,
        .copied = 3,
        .evicted = 4,
        .refused = 5,
        .waited_ns = UINT64_C(0x6666666666666666),
        .generations = 7,
        .subscribers = 256,
        .slots_held = 9,
        .newest_ns = CUFRAMES_NO_TIME,
        .newest_seq = 11,
        .fps = 29.5,
        .pending = 12,
    };
}

static inline void wire_sample_subscribers(struct cf_msg_report_subscribers *list)
{
    list->count = 2;
    list->last = true;
    list->subscribers[0] = (cuframes_subscriber_info_t){.name = "detector",
                                                        .mode = CUFRAMES_MODE_NEWEST_ONLY,
                                                        .held = 1,
                                                        .received = 2,
                                                        .missed = UINT64_MAX,
                                                        .lag = 4,
                                                        .pid = 5,
                                                        .uid = 1000,
                                                        .access = CUFRAMES_ACCESS_PEER};
    list->subscribers[1] = (cuframes_subscriber_info_t){.name = "recorder",
                                                        .mode = CUFRAMES_MODE_STRICT_ORDER,
                                                        .held = 64,
                                                        .received = 3,
                                                        .missed = 2,
                                                        .lag = 1,
                                                        .pid = 0,
                                                        .uid = UINT32_MAX,
                                                        .access = CUFRAMES_ACCESS_STAGED};
}

/* Returns how many descriptors belong to the message. */
static inline size_t wire_sample(enum cf_message_type type, struct cf_message *message)
{
    memset(message, 0, sizeof(*message));
    message->type = type;
    switch (type) {
    case CF_MSG_ATTACH:
        message->attach = (struct cf_msg_attach){.name = "detector",
                                                 .mode = CUFRAMES_MODE_STRICT_ORDER,
                                                 .max_holds = 2,
                                                 .flags = CF_ATTACH_WAKE_SOCKET,
                                                 .memory = CUFRAMES_MEMORY_CUDA};
        return 0;
    case CF_MSG_ADOPTED:
        message->adopted =
            (struct cf_msg_adopted){.generation = 0x01020304, .access = CUFRAMES_ACCESS_REGISTERED};
        return 0;
    case CF_MSG_ATTACHED:
        wire_sample_attached(&message->attached, true);
        return 4;
    case CF_MSG_GENERATION:
        wire_sample_attached(&message->attached, false);
        return 3;
    case CF_MSG_ERROR:
        message->error =
            (struct cf_msg_error){.error = CUFRAMES_ERR_TOO_MANY, .text = "the channel is full"};
        return 0;
    case CF_MSG_REPORT:
        wire_sample_report(&message->report);
        return 0;
    case CF_MSG_REPORT_SUBSCRIBERS:
        wire_sample_subscribers(&message->subscribers);
        return 0;
    case CF_MSG_QUERY:
    case CF_MSG_WATCH:
        return 0;
    }
    return 0;
}
