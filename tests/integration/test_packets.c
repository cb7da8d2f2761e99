/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets through the public API: streams, where a reader begins, generations, overruns, growth.
 */
#include <poll.h>
#include <stdlib.h>

#include "packet_support.h"

#define KEY        CUFRAMES_PKT_FLAG_KEY
#define LAST       CUFRAMES_PKT_FLAG_LAST_IN_AU
#define GENERATION CUFRAMES_PKT_FLAG_GENERATION
#define BREAK      CUFRAMES_PKT_FLAG_DISCONTINUITY

TEST(packets_arrive_as_they_were_published)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_packet_t *packet;

    EXPECT_NO_PACKET(reader);
    send_gops(publisher, 1, 2, 5000);
    expect_packet(reader, 0, KEY | LAST | GENERATION);
    packet = take_packet(reader);
    CHECK_EQ(cuframes_packet_stream(packet), AUDIO);
    CHECK_EQ(cuframes_packet_size(packet), 40U);
    CHECK_EQ(cuframes_packet_generation(packet), 1U);
    CHECK_EQ(cuframes_packet_lost(packet), 0U);
    CHECK_LE(cuframes_packet_published_ns(packet), cuframes_now_ns());
    CHECK_EQ(cuframes_packet_capture_ns(packet, NULL), CUFRAMES_NO_TIME);
    expect_packet(reader, 2, LAST);
    expect_packet(reader, 3, KEY);
    EXPECT_NO_PACKET(reader);
    CHECK_EQ(subscriber_stats(reader).packets_received, 4U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    /* A packet is a copy of its own. */
    check_packet(packet);
    CHECK_OK(cuframes_subscriber_release_packet(NULL, packet));
}

TEST(a_packet_has_its_wall_clock_time)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_packet_desc_t sent = {.data = "packet",
                                   .size = 6,
                                   .flags = KEY,
                                   .duration_ns = 40000000,
                                   .capture_ns = INT64_C(1700000000123456789),
                                   .capture_source = CUFRAMES_CLOCK_CAMERA};
    cuframes_clock_source_t source = CUFRAMES_CLOCK_UNKNOWN;
    cuframes_packet_t *packet = NULL;

    CHECK_OK(cuframes_publisher_send_packet(publisher, &sent, NULL));
    CHECK_OK(cuframes_subscriber_next_packet(reader, &packet, test_patience_ms()));
    CHECK_EQ(cuframes_packet_capture_ns(packet, &source), INT64_C(1700000000123456789));
    CHECK_EQ(source, CUFRAMES_CLOCK_CAMERA);
    CHECK_EQ(cuframes_packet_duration(packet), INT64_C(40000000));
    CHECK_OK(cuframes_subscriber_release_packet(reader, packet));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(streams_are_described)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_stream_t stream;
    const void *extradata;
    uint32_t codec;
    size_t size;

    CHECK_EQ(cuframes_subscriber_stream_count(reader), 2);
    CHECK_OK(cuframes_subscriber_stream(reader, VIDEO, &stream));
    CHECK_EQ(stream.type, CUFRAMES_STREAM_VIDEO);
    CHECK_EQ(stream.codec_id, 27U);
    CHECK_STR_EQ(stream.codec_name, "h264");
    CHECK_EQ(stream.packaging, CUFRAMES_PACKAGING_ANNEX_B);
    CHECK_EQ(stream.time_base_den, 90000);
    CHECK_EQ(stream.width, 1920);
    CHECK_EQ(stream.sar_den, 0);
    CHECK_EQ(stream.extradata_size, 33U);
    CHECK_EQ(((const uint8_t *)stream.extradata)[32], 1);
    CHECK_OK(cuframes_subscriber_stream(reader, AUDIO, &stream));
    CHECK_STR_EQ(stream.language, "eng");
    CHECK_EQ(stream.channel_mask, 3U);
    CHECK_MEM_EQ(stream.extradata, "\x11\x90", 2);
    CHECK_ERR(cuframes_subscriber_stream(reader, 2, &stream), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_subscriber_stream(reader, -1, &stream), CUFRAMES_ERR_INVALID_ARG);
    CHECK_OK(cuframes_subscriber_get_codec_params(reader, &codec, &extradata, &size));
    CHECK_EQ(codec, 27U);
    CHECK_EQ(size, 33U);
    CHECK_OK(cuframes_subscriber_get_codec_params(reader, NULL, NULL, NULL));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* What programs of the 0.4 line do. */
TEST(one_stream_calls)
{
    const cuframes_packet_ring_options_t options = {.codec_id = 173};
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", 0);
    cuframes_packet_t *packet = NULL;
    cuframes_channel_info_t info;
    const void *extradata = NULL;
    uint32_t codec = 0;
    size_t size = 0;

    CHECK_ERR(cuframes_subscriber_enable_packets(reader), CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_publisher_publish_packet(publisher, "x", 1, 0, 0, 0),
              CUFRAMES_ERR_NO_PACKET_RING);
    CHECK_ERR(cuframes_subscriber_next_packet(reader, &packet, 0), CUFRAMES_ERR_NO_PACKET_RING);
    CHECK_OK(cuframes_publisher_enable_packets(publisher, &options));
    CHECK_ERR(cuframes_publisher_enable_packets(publisher, NULL), CUFRAMES_ERR_ALREADY_EXISTS);
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_EQ(info.notes & CUFRAMES_CHANNEL_PACKETS, 0);
    CHECK_OK(cuframes_subscriber_enable_packets(reader));
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK(info.notes & CUFRAMES_CHANNEL_PACKETS);
    CHECK_ERR(cuframes_subscriber_enable_packets(reader), CUFRAMES_ERR_ALREADY_EXISTS);
    CHECK_ERR(cuframes_subscriber_get_codec_params(reader, &codec, &extradata, &size),
              CUFRAMES_ERR_NO_CODEC_PARAMS);
    CHECK_OK(cuframes_publisher_set_codec_extradata(publisher, "extra", 5));
    CHECK_OK(cuframes_publisher_publish_packet(publisher, "key frame", 9, 10, 5, KEY));
    CHECK_OK(cuframes_subscriber_next_packet(reader, &packet, test_patience_ms()));
    CHECK_EQ(cuframes_packet_size(packet), 9U);
    CHECK_MEM_EQ(cuframes_packet_data(packet), "key frame", 10);
    CHECK_EQ(cuframes_packet_pts(packet), 10);
    CHECK_EQ(cuframes_packet_dts(packet), 5);
    CHECK_EQ(cuframes_packet_flags(packet), (uint32_t)(KEY | GENERATION));
    CHECK_OK(cuframes_subscriber_release_packet(reader, packet));
    CHECK_OK(cuframes_subscriber_get_codec_params(reader, &codec, &extradata, &size));
    CHECK_EQ(codec, 173U);
    CHECK_EQ(size, 5U);
    CHECK_MEM_EQ(extradata, "extra", 5);
    /* Frames beside it, as ever. */
    publish(publisher, 4);
    expect_frame(reader, 4);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(a_late_reader_begins_at_a_key_frame)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    const cuframes_packet_options_t oldest = {.start = CUFRAMES_PACKETS_FROM_OLDEST_KEY};
    const cuframes_packet_options_t sound = {.streams = 1U << AUDIO};
    cuframes_subscriber_t *reader;

    send_packet(publisher, VIDEO, 100, 0);
    send_gops(publisher, 3, 4, 1000);
    reader = make_packet_reader("cam", 0, NULL);
    expect_packet(reader, 17, KEY | LAST | GENERATION);
    expect_packet(reader, 18, KEY);
    cuframes_subscriber_destroy(reader);
    reader = make_packet_reader("cam", 0, &oldest);
    expect_packet(reader, 1, KEY | LAST | GENERATION);
    cuframes_subscriber_destroy(reader);
    reader = make_packet_reader("cam", 0, &sound);
    expect_packet(reader, 18, KEY | GENERATION);
    expect_packet(reader, 20, KEY);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(a_reader_waits_for_the_first_key_frame)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader;

    send_packet(publisher, VIDEO, 100, 0);
    reader = make_packet_reader("cam", 0, NULL);
    EXPECT_NO_PACKET(reader);
    send_packet(publisher, VIDEO, 100, 0);
    send_packet(publisher, AUDIO, 100, KEY);
    EXPECT_NO_PACKET(reader);
    send_packet(publisher, VIDEO, 100, KEY);
    expect_packet(reader, 3, KEY | GENERATION);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(pre_roll_begins_at_the_youngest_key_frame_that_is_old_enough)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_packet_options_t options = {.start = CUFRAMES_PACKETS_FROM_PRE_ROLL};
    cuframes_subscriber_t *reader;

    for (int i = 0; i < 3; i++) {
        const int64_t until = cuframes_now_ns() + 30 * 1000000;

        send_gops(publisher, 1, 2, 100);
        WAIT_FOR(cuframes_now_ns() >= until, test_patience_ms());
    }
    reader = make_packet_reader("cam", 0, &options);
    expect_packet(reader, 8, KEY | LAST | GENERATION);
    cuframes_subscriber_destroy(reader);
    options.pre_roll_ms = 60000;
    reader = make_packet_reader("cam", 0, &options);
    expect_packet(reader, 0, KEY | LAST | GENERATION);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(new_streams_begin_a_generation)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    const cuframes_packet_options_t oldest = {.start = CUFRAMES_PACKETS_FROM_OLDEST_KEY};
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL), *late;
    cuframes_stream_t stream;

    send_gops(publisher, 1, 1, 1000);
    describe_streams(publisher, 1); /* the same */
    send_gops(publisher, 1, 1, 1000);
    describe_streams(publisher, 2);
    describe_streams(publisher, 3); /* before there was a packet of the one before */
    send_gops(publisher, 1, 1, 1000);
    describe_streams(publisher, 4);
    send_gops(publisher, 1, 1, 1000);

    expect_packet(reader, 0, KEY | LAST | GENERATION);
    CHECK_OK(cuframes_subscriber_stream(reader, VIDEO, &stream));
    CHECK_EQ(((const uint8_t *)stream.extradata)[0], 1);
    expect_packet(reader, 1, KEY);
    expect_packet(reader, 2, KEY | LAST);
    expect_packet(reader, 3, KEY);
    expect_packet(reader, 4, KEY | LAST | GENERATION);
    CHECK_OK(cuframes_subscriber_stream(reader, VIDEO, &stream));
    CHECK_EQ(((const uint8_t *)stream.extradata)[0], 3);
    expect_packet(reader, 5, KEY);
    expect_packet(reader, 6, KEY | LAST | GENERATION);
    CHECK_OK(cuframes_subscriber_stream(reader, VIDEO, &stream));
    CHECK_EQ(((const uint8_t *)stream.extradata)[0], 4);

    /* One that begins with what is old gets all descriptions. */
    late = make_packet_reader("cam", 0, &oldest);
    CHECK_OK(cuframes_subscriber_stream(late, VIDEO, &stream));
    CHECK_EQ(((const uint8_t *)stream.extradata)[0], 1);
    for (uint64_t seq = 0; seq < 8; seq++)
        expect_packet(late, seq,
                      KEY | (seq % 2 ? 0 : LAST) |
                          (seq == 0 || seq == 4 || seq == 6 ? GENERATION : 0));
    cuframes_subscriber_destroy(late);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* More changes than descriptions are kept: the packets of the oldest go. */
TEST(many_generations)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    const cuframes_packet_options_t oldest = {.start = CUFRAMES_PACKETS_FROM_OLDEST_KEY};
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL), *late;

    for (uint8_t i = 1; i <= 60; i++) {
        describe_streams(publisher, i);
        send_packet(publisher, VIDEO, 100, KEY);
        if (i % 5 == 0)
            for (uint64_t seq = i - 5; seq < i; seq++)
                expect_packet(reader, seq, KEY | GENERATION);
    }
    late = make_packet_reader("cam", 0, &oldest);
    for (uint64_t seq = 44; seq < 60; seq++)
        expect_packet(late, seq, KEY | GENERATION);
    CHECK_EQ(publisher_stats(publisher).packets_kept, 16U);
    cuframes_subscriber_destroy(late);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void expect_overrun(cuframes_subscriber_t *reader, uint64_t resumed, uint64_t lost)
{
    cuframes_packet_t *packet = NULL;

    CHECK_ERR_SAYS(cuframes_subscriber_next_packet(reader, &packet, 0), CUFRAMES_ERR_PACKET_OVERRUN,
                   "packets of cam were overwritten");
    packet = take_packet(reader);
    CHECK_EQ(cuframes_packet_seq(packet), resumed);
    CHECK_EQ(cuframes_packet_lost(packet), lost);
    CHECK(cuframes_packet_flags(packet) & KEY);
    CHECK(cuframes_packet_flags(packet) & BREAK);
    cuframes_subscriber_release_packet(reader, packet);
}

TEST(an_overrun_is_told_once_and_reading_goes_on_at_a_key_frame)
{
    const cuframes_packet_ring_options_t options = {.ring_slots = 16, .data_size = 64 << 10};
    const cuframes_packet_options_t oldest = {.start = CUFRAMES_PACKETS_FROM_OLDEST_KEY};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", &options);
    cuframes_subscriber_t *live = make_packet_reader("cam", 0, NULL);
    cuframes_subscriber_t *recorder = make_packet_reader("cam", 0, &oldest);

    send_gops(publisher, 1, 2, 100);
    expect_packet(live, 0, KEY | LAST | GENERATION);
    expect_packet(recorder, 0, KEY | LAST | GENERATION);
    /* 40 packets, the key frames at 4, 8, …, 40; 28 to 43 are kept. */
    send_gops(publisher, 10, 2, 100);
    expect_overrun(live, 40, 39);
    expect_packet(live, 41, KEY);
    expect_overrun(recorder, 32, 31);
    expect_packet(recorder, 33, KEY);
    CHECK_EQ(subscriber_stats(live).packets_lost, 39U);
    CHECK_EQ(subscriber_stats(recorder).packets_lost, 31U);
    /* No key frame is kept: on at the next. */
    for (int i = 0; i < 20; i++)
        send_packet(publisher, VIDEO, 100, 0);
    EXPECT_PACKET_ERROR(live, CUFRAMES_ERR_PACKET_OVERRUN);
    EXPECT_NO_PACKET(live);
    for (int i = 0; i < 20; i++)
        send_packet(publisher, VIDEO, 100, 0);
    EXPECT_NO_PACKET(live);
    CHECK_EQ(send_packet(publisher, VIDEO, 100, KEY), 84U);
    {
        cuframes_packet_t *packet = take_packet(live);

        CHECK_EQ(cuframes_packet_seq(packet), 84U);
        CHECK_EQ(cuframes_packet_lost(packet), 84U - 42U);
        cuframes_subscriber_release_packet(live, packet);
    }
    cuframes_subscriber_destroy(recorder);
    cuframes_subscriber_destroy(live);
    cuframes_publisher_destroy(publisher);
}

TEST(the_bytes_can_run_out_before_the_index)
{
    const cuframes_packet_ring_options_t options = {.ring_slots = 1024, .data_size = 4096};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", &options);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_publisher_stats_t stats;

    send_packet(publisher, VIDEO, 2048, KEY);
    send_packet(publisher, VIDEO, 2000, KEY);
    CHECK_EQ(publisher_stats(publisher).packets_kept, 2U);
    send_packet(publisher, VIDEO, 1, KEY);
    stats = publisher_stats(publisher);
    CHECK_EQ(stats.packets_kept, 2U);
    CHECK_EQ(stats.packets, 3U);
    CHECK_EQ(stats.packet_bytes, 4049U);
    CHECK_EQ(stats.packet_ring_bytes, 4096U);
    CHECK_GE(stats.packet_kept_ns, 0);
    expect_packet(reader, 2, KEY | GENERATION);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(a_packet_that_is_too_large_is_refused_and_the_ring_goes_on)
{
    const cuframes_packet_ring_options_t options = {.max_packet_size = 1000};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", &options);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    uint8_t bytes[1001] = {0};
    cuframes_packet_desc_t packet = {.data = bytes, .size = sizeof(bytes)};

    CHECK_ERR_SAYS(cuframes_publisher_send_packet(publisher, &packet, NULL),
                   CUFRAMES_ERR_PACKET_OVERSIZED, "1001 bytes");
    send_packet(publisher, VIDEO, 1000, KEY);
    expect_packet(reader, 0, KEY | GENERATION);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* keep_ms: the ring grows, and readers follow without a gap. */
TEST(a_ring_grows_and_readers_follow)
{
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 4, .data_size = 16 << 10, .keep_ms = 60000, .max_data_size = 4 << 20};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", &options);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL), *late;
    const cuframes_packet_options_t oldest = {.start = CUFRAMES_PACKETS_FROM_OLDEST_KEY};
    cuframes_packet_t *packet;

    send_gops(publisher, 1, 3, 500);
    expect_packet(reader, 0, KEY | LAST | GENERATION);
    /* A GOP of 30 pictures of 3 KB. */
    send_gops(publisher, 5, 30, 3000);
    for (uint64_t seq = 1; seq < 6 + 300; seq++) {
        packet = take_packet(reader);
        CHECK_EQ(cuframes_packet_seq(packet), seq);
        cuframes_subscriber_release_packet(reader, packet);
    }
    EXPECT_NO_PACKET(reader);
    CHECK_EQ(publisher_stats(publisher).packet_ring_bytes, 512U << 10);
    CHECK_EQ(publisher_stats(publisher).packets_kept, 306U);
    late = make_packet_reader("cam", 0, &oldest);
    expect_packet(late, 0, KEY | LAST | GENERATION);
    /* One packet can be as large as half of what the ring can come to be. */
    send_packet(publisher, VIDEO, 2 << 20, KEY);
    expect_packet(reader, 306, KEY);
    CHECK_EQ(publisher_stats(publisher).packet_ring_bytes, 4U << 20);
    /* And there it ends: what is old goes. */
    for (int i = 0; i < 4; i++)
        send_packet(publisher, VIDEO, 1 << 20, KEY);
    CHECK_EQ(publisher_stats(publisher).packet_ring_bytes, 4U << 20);
    CHECK_EQ(publisher_stats(publisher).packets_kept, 4U);
    /* What its reader has mapped is not overwritten any more: it has time until the next ring. */
    expect_packet(late, 1, KEY);
    cuframes_subscriber_destroy(late);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* The time says little: two whole GOPs stay, and what has come of the third. */
TEST(two_whole_gops_are_kept)
{
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 4, .data_size = 16 << 10, .keep_ms = 1};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", &options);
    uint64_t size;

    for (int i = 0; i < 20; i++) {
        const int64_t later = cuframes_now_ns() + 3 * 1000000;

        send_gops(publisher, 1, 30, 3000);
        /* The GOP before is older than keep_ms when the next one comes. */
        WAIT_FOR(cuframes_now_ns() >= later, test_patience_ms());
        if (i >= 2)
            CHECK_GE(publisher_stats(publisher).packets_kept, 180U);
        if (i == 9)
            size = publisher_stats(publisher).packet_ring_bytes;
    }
    /* And the ring is of the size that this needs, no more. */
    CHECK_EQ(publisher_stats(publisher).packet_ring_bytes, size);
    CHECK_LE(size, 1U << 20);
    cuframes_publisher_destroy(publisher);
}

TEST(the_end_comes_after_the_last_packet)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);

    send_packet(publisher, VIDEO, 100, KEY);
    describe_streams(publisher, 2);
    send_packet(publisher, VIDEO, 100, KEY);
    describe_streams(publisher, 3);
    send_packet(publisher, VIDEO, 100, KEY);
    cuframes_publisher_destroy(publisher);
    expect_packet(reader, 0, KEY | GENERATION);
    expect_packet(reader, 1, KEY | GENERATION);
    expect_packet(reader, 2, KEY | GENERATION);
    EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
}

TEST(a_reader_follows_the_next_publisher)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", CUFRAMES_SUBSCRIBER_RECONNECT, NULL);
    const cuframes_publisher_config_t config = {.key = "cam",
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};

    send_packet(publisher, VIDEO, 100, KEY);
    send_packet(publisher, VIDEO, 100, 0);
    expect_packet(reader, 0, KEY | GENERATION);
    cuframes_publisher_destroy(publisher);
    publisher = make_publisher(&config);
    expect_packet(reader, 1, 0);
    EXPECT_NO_PACKET(reader);
    CHECK_OK(cuframes_publisher_enable_packets(publisher, NULL));
    describe_streams(publisher, 9);
    send_packet(publisher, VIDEO, 100, KEY);
    expect_packet(reader, 0, KEY | GENERATION | BREAK);
    CHECK_EQ(subscriber_stats(reader).reconnects, 1U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(packets_alone)
{
    const cuframes_subscriber_config_t frames = reader_config("cam", 0);
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL), *none = NULL;
    cuframes_channel_info_t info;
    cuframes_frame_t *frame = NULL;
    void *memory;

    CHECK_ERR_SAYS(cuframes_publisher_acquire(publisher, &memory), CUFRAMES_ERR_INVALID_ARG,
                   "packets alone");
    CHECK_ERR_SAYS(cuframes_subscriber_create(&frames, &none), CUFRAMES_ERR_NOT_FOUND,
                   "packets alone");
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &frame, 0), CUFRAMES_ERR_NOT_FOUND);
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_EQ(info.notes, (uint32_t)(CUFRAMES_CHANNEL_PACKETS | CUFRAMES_CHANNEL_PACKETS_ONLY));
    CHECK_EQ(info.stream_count, 2U);
    CHECK_STR_EQ(info.key, "cam");
    CHECK_EQ(publisher_stats(publisher).subscribers, 1U);
    CHECK_EQ(publisher_stats(publisher).frame_subscribers, 0U);
    cuframes_subscriber_destroy(reader);
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, test_patience_ms());
    cuframes_publisher_destroy(publisher);
}

/* A reader of packets alone beside one of frames. */
TEST(readers_of_packets_are_no_readers_of_frames)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_info_t list[2];
    cuframes_subscriber_t *frames, *packets;
    cuframes_channel_report_t *report = NULL;

    CHECK_OK(cuframes_publisher_enable_packets(publisher, NULL));
    describe_streams(publisher, 1);
    frames = make_reader("cam", 0);
    packets = make_packet_reader("cam", 0, NULL);
    publish(publisher, 1);
    send_packet(publisher, VIDEO, 100, KEY);
    expect_frame(frames, 1);
    expect_packet(packets, 0, KEY | GENERATION);
    CHECK_EQ(publisher_stats(publisher).subscribers, 2U);
    CHECK_EQ(publisher_stats(publisher).frame_subscribers, 1U);
    CHECK_EQ(cuframes_publisher_subscribers(publisher, list, 2), 2);
    CHECK_EQ(list[0].reads, (uint32_t)CUFRAMES_READS_FRAMES);
    CHECK_EQ(list[1].reads, (uint32_t)CUFRAMES_READS_PACKETS);
    CHECK_EQ(list[1].packets_received, 1U);
    CHECK_OK(cuframes_query(NULL, "cam", test_patience_ms(), &report));
    CHECK_EQ(report->info.notes, (uint32_t)CUFRAMES_CHANNEL_PACKETS);
    CHECK_EQ(report->stream_count, 2U);
    CHECK_STR_EQ(report->streams[1].codec_name, "aac");
    CHECK(!report->streams[1].extradata);
    CHECK_EQ(report->subscriber_count, 2U);
    CHECK_EQ(report->stats.packets, 1U);
    cuframes_channel_report_free(report);
    cuframes_subscriber_destroy(frames);
    cuframes_subscriber_destroy(packets);
    cuframes_publisher_destroy(publisher);
}

TEST(a_descriptor_polls_for_both)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader;
    int fd;

    CHECK_OK(cuframes_publisher_enable_packets(publisher, NULL));
    describe_streams(publisher, 1);
    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    reader = make_subscriber(&config);
    CHECK_OK(cuframes_subscriber_enable_packets(reader));
    fd = cuframes_subscriber_fd(reader);
    EXPECT_NOTHING(reader);
    EXPECT_NO_PACKET(reader);
    CHECK(!test_readable(fd, 0));
    send_packet(publisher, VIDEO, 100, KEY);
    CHECK(test_readable(fd, test_patience_ms()));
    /* The one that does not ask for packets leaves them to the one that does. */
    EXPECT_NOTHING(reader);
    CHECK(test_readable(fd, test_patience_ms()));
    expect_packet(reader, 0, KEY | GENERATION);
    EXPECT_NO_PACKET(reader);
    EXPECT_NOTHING(reader);
    CHECK(!test_readable(fd, 0));
    publish(publisher, 3);
    CHECK(test_readable(fd, test_patience_ms()));
    EXPECT_NO_PACKET(reader);
    CHECK(test_readable(fd, test_patience_ms()));
    expect_frame(reader, 3);
    EXPECT_NOTHING(reader);
    CHECK(!test_readable(fd, 0));
    describe_streams(publisher, 2);
    CHECK(test_readable(fd, test_patience_ms()));
    EXPECT_NO_PACKET(reader);
    EXPECT_NOTHING(reader);
    CHECK(!test_readable(fd, 0));
    cuframes_publisher_destroy(publisher);
    CHECK(test_readable(fd, test_patience_ms()));
    EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
}

TEST(frames_say_their_packet)
{
    const cuframes_frame_meta_t known = {
        .pts_ns = 1, .flags = CUFRAMES_FRAME_PACKET, .packet_seq = UINT64_C(0x123456789abc)};
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;
    uint64_t seq = 0;

    publish_with(publisher, &known);
    publish(publisher, 2);
    frame = take_frame(reader);
    CHECK_OK(cuframes_frame_packet_seq(frame, &seq));
    CHECK_EQ(seq, known.packet_seq);
    cuframes_frame_release(frame);
    frame = take_frame(reader);
    CHECK_ERR(cuframes_frame_packet_seq(frame, &seq), CUFRAMES_ERR_NOT_FOUND);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* Times need not go forward, and need not be known. */
TEST(times_may_jump)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    const int64_t times[] = {1000, INT64_MAX, -5, CUFRAMES_NO_TIME, 7};
    cuframes_packet_desc_t packet = {.data = "x", .size = 1, .flags = KEY};
    cuframes_packet_t *taken = NULL;
    cuframes_clock_source_t source;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        packet.pts_ns = packet.dts_ns = times[i];
        packet.capture_ns = times[i];
        packet.capture_source = i % 2 ? CUFRAMES_CLOCK_CAMERA : CUFRAMES_CLOCK_UNKNOWN;
        CHECK_OK(cuframes_publisher_send_packet(publisher, &packet, NULL));
        CHECK_OK(cuframes_subscriber_next_packet(reader, &taken, test_patience_ms()));
        CHECK_EQ(cuframes_packet_pts(taken), times[i]);
        CHECK_EQ(cuframes_packet_dts(taken), times[i]);
        CHECK_EQ(cuframes_packet_capture_ns(taken, &source), i % 2 ? times[i] : CUFRAMES_NO_TIME);
        CHECK_EQ(source, packet.capture_source);
        cuframes_subscriber_release_packet(reader, taken);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}
