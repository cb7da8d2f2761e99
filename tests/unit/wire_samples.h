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

enum { WIRE_SAMPLES = 15 };

static const enum cf_message_type wire_sample_types[WIRE_SAMPLES] = {
    CF_MSG_ATTACH,         CF_MSG_ADOPTED,         CF_MSG_QUERY,
    CF_MSG_WATCH,          CF_MSG_ATTACHED,        CF_MSG_GENERATION,
    CF_MSG_ERROR,          CF_MSG_REPORT,          CF_MSG_REPORT_SUBSCRIBERS,
    CF_MSG_PACKETS_ENABLE, CF_MSG_PACKETS_ADOPTED, CF_MSG_PACKETS,
    CF_MSG_PACKET_RING,    CF_MSG_STREAMS,         CF_MSG_REPORT_STREAMS,
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
    info->stream_count = 2;
    info->layout = (cuframes_layout_t){.coded_width = 704,
                                       .coded_height = 496,
                                       .plane_count = 2,
                                       .size = 1052672,
                                       .planes = {{.offset = 256, .pitch = 1408, .rows = 496},
                                                  {.offset = 699648, .pitch = 1412, .rows = 249}}};
    for (uint8_t i = 0; i < CUFRAMES_GPU_UUID_SIZE; i++)
        info->gpu_uuid[i] = (uint8_t)(0xa0 + i);
    info->notes = CUFRAMES_CHANNEL_GPU_UNUSED | CUFRAMES_CHANNEL_PACKETS;
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
    attached->memory_count = 1;
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
        .packets = UINT64_C(0x1212121212121212),
        .packet_bytes = UINT64_C(0x1313131313131313),
        .packet_ring_bytes = 8388608,
        .packets_kept = 14,
        .frame_subscribers = 200,
        .packet_kept_ns = INT64_C(4000000000),
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
                                                        .access = CUFRAMES_ACCESS_PEER,
                                                        .reads = CUFRAMES_READS_FRAMES};
    list->subscribers[1] =
        (cuframes_subscriber_info_t){.name = "recorder",
                                     .mode = CUFRAMES_MODE_STRICT_ORDER,
                                     .held = 64,
                                     .received = 3,
                                     .missed = 2,
                                     .lag = 1,
                                     .pid = 0,
                                     .uid = UINT32_MAX,
                                     .access = CUFRAMES_ACCESS_STAGED,
                                     .reads = CUFRAMES_READS_FRAMES | CUFRAMES_READS_PACKETS,
                                     .packets_received = 0x1234,
                                     .packets_lost = 5};
}

static inline void wire_sample_streams(struct cf_msg_report_streams *list)
{
    list->count = 2;
    list->streams[0] = (cuframes_stream_t){.type = CUFRAMES_STREAM_VIDEO,
                                           .codec_id = 27,
                                           .codec_name = "h264",
                                           .codec_tag = 0x31637661,
                                           .packaging = CUFRAMES_PACKAGING_LENGTH,
                                           .time_base_num = 1,
                                           .time_base_den = 90000,
                                           .profile = 100,
                                           .level = 41,
                                           .bit_rate = 4000000,
                                           .width = 1920,
                                           .height = 1080,
                                           .fps_num = 30000,
                                           .fps_den = 1001,
                                           .sar_num = 4,
                                           .sar_den = 3,
                                           .color = {1, 2, 3, CUFRAMES_RANGE_LIMITED},
                                           .video_delay = 2};
    list->streams[1] = (cuframes_stream_t){.type = CUFRAMES_STREAM_AUDIO,
                                           .codec_id = 86018,
                                           .codec_name = "aac",
                                           .language = "eng",
                                           .packaging = CUFRAMES_PACKAGING_RAW,
                                           .profile = -99,
                                           .level = -99,
                                           .sample_rate = 48000,
                                           .channels = 6,
                                           .channel_mask = UINT64_C(0x60f00000000),
                                           .samples_per_packet = 1024,
                                           .initial_padding = 2112,
                                           .trailing_padding = 5,
                                           .seek_preroll = 6,
                                           .block_align = 7,
                                           .bits_per_sample = 16};
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
    case CF_MSG_PACKETS_ENABLE:
        message->packets_enable.flags = CF_PACKETS_WAKE_SOCKET | CF_PACKETS_WAIT;
        return 0;
    case CF_MSG_PACKETS:
        message->packets = (struct cf_msg_packets){.number = 3,
                                                   .flags = CF_PACKETS_WAKE_SOCKET,
                                                   .memory_size = 8392832,
                                                   .generation = 0x01020304};
        return 3;
    case CF_MSG_PACKET_RING:
        message->packets = (struct cf_msg_packets){.number = 4, .memory_size = 16785536};
        return 1;
    case CF_MSG_STREAMS:
        message->streams = (struct cf_msg_streams){.generation = 0x01020304, .size = 371};
        return 1;
    case CF_MSG_REPORT_STREAMS:
        wire_sample_streams(&message->report_streams);
        return 0;
    case CF_MSG_PACKETS_ADOPTED:
    case CF_MSG_QUERY:
    case CF_MSG_WATCH:
        return 0;
    }
    return 0;
}
