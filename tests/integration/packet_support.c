/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packet_support.h"

#include <stdlib.h>

void describe_streams(cuframes_publisher_t *publisher, uint8_t variant)
{
    uint8_t extradata[33];
    cuframes_stream_t streams[2] = {
        [VIDEO] = {.type = CUFRAMES_STREAM_VIDEO,
                   .codec_id = 27,
                   .codec_name = "h264",
                   .packaging = CUFRAMES_PACKAGING_ANNEX_B,
                   .time_base_num = 1,
                   .time_base_den = 90000,
                   .width = 1920,
                   .height = 1080,
                   .sar_den = 1, /* how FFmpeg says "unknown" */
                   .fps_num = 30000,
                   .fps_den = 1001,
                   .extradata = extradata,
                   .extradata_size = sizeof(extradata)},
        [AUDIO] = {.type = CUFRAMES_STREAM_AUDIO,
                   .codec_id = 86018,
                   .codec_name = "aac",
                   .language = "eng",
                   .time_base_num = 1,
                   .time_base_den = 48000,
                   .sample_rate = 48000,
                   .channels = 2,
                   .channel_mask = 3,
                   .extradata = "\x11\x90",
                   .extradata_size = 2},
    };

    memset(extradata, variant, sizeof(extradata));
    CHECK_OK(cuframes_publisher_set_streams(publisher, streams, 2));
}

cuframes_publisher_t *make_packet_publisher(const char *key,
                                            const cuframes_packet_ring_options_t *options)
{
    const cuframes_publisher_config_t config = {.key = key,
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};
    cuframes_publisher_t *publisher = make_publisher(&config);

    CHECK_OK(cuframes_publisher_enable_packets(publisher, options));
    describe_streams(publisher, 1);
    return publisher;
}

cuframes_subscriber_t *make_packet_reader(const char *key, uint32_t flags,
                                          const cuframes_packet_options_t *options)
{
    const cuframes_subscriber_config_t config = {.key = key,
                                                 .flags = flags | CUFRAMES_SUBSCRIBER_PACKETS_ONLY};
    cuframes_subscriber_t *subscriber = make_subscriber(&config);

    CHECK_OK(cuframes_subscriber_enable_packets_from(subscriber, options));
    return subscriber;
}

static void fill(uint8_t *bytes, size_t size, uint64_t seq)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)(seq * 31 + i * 7 + (i >> 8) * 13);
}

uint64_t send_packet(cuframes_publisher_t *publisher, uint32_t stream, uint32_t size,
                     uint32_t flags)
{
    const uint64_t next = publisher_stats(publisher).packets;
    cuframes_packet_desc_t packet = {
        .size = size,
        .pts_ns = (int64_t)next * 1000,
        .dts_ns = (int64_t)next * 1000 - 500,
        .duration_ns = 40,
        .stream = stream,
        .flags = flags,
    };
    uint8_t *bytes = malloc(size);
    uint64_t seq = UINT64_MAX;

    CHECK(bytes);
    fill(bytes, size, next);
    packet.data = bytes;
    CHECK_OK(cuframes_publisher_send_packet(publisher, &packet, &seq));
    CHECK_EQ(seq, next);
    free(bytes);
    return seq;
}

void send_gops(cuframes_publisher_t *publisher, int gops, int length, uint32_t size)
{
    for (int i = 0; i < gops * length; i++) {
        send_packet(publisher, VIDEO, size,
                    CUFRAMES_PKT_FLAG_LAST_IN_AU | (i % length == 0 ? CUFRAMES_PKT_FLAG_KEY : 0));
        send_packet(publisher, AUDIO, 40, CUFRAMES_PKT_FLAG_KEY);
    }
}

void check_packet(const cuframes_packet_t *packet)
{
    const uint64_t seq = cuframes_packet_seq(packet);
    const size_t size = cuframes_packet_size(packet);
    const uint8_t *bytes = cuframes_packet_data(packet);
    uint8_t *expected = malloc(size);

    CHECK(expected);
    fill(expected, size, seq);
    CHECK_MEM_EQ(bytes, expected, size);
    free(expected);
    for (int i = 0; i < 64; i++)
        CHECK_EQ(bytes[size + (size_t)i], 0);
    CHECK_EQ(cuframes_packet_pts(packet), (int64_t)seq * 1000);
    CHECK_EQ(cuframes_packet_dts(packet), (int64_t)seq * 1000 - 500);
    CHECK_EQ(cuframes_packet_duration(packet), 40);
}

cuframes_packet_t *take_packet(cuframes_subscriber_t *subscriber)
{
    cuframes_packet_t *packet = NULL;

    CHECK_OK(cuframes_subscriber_next_packet(subscriber, &packet, test_patience_ms()));
    CHECK(packet);
    check_packet(packet);
    return packet;
}

void expect_packet(cuframes_subscriber_t *subscriber, uint64_t seq, uint32_t flags)
{
    cuframes_packet_t *packet = take_packet(subscriber);

    CHECK_EQ(cuframes_packet_seq(packet), seq);
    CHECK_EQ(cuframes_packet_flags(packet), flags);
    CHECK_OK(cuframes_subscriber_release_packet(subscriber, packet));
}
