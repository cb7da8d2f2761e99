/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Load: many channels, many attachments, a day of frames in fast motion, large frames as fast as
 * they come. Every frame that is read is verified. Nothing here looks at how long it takes; how much
 * was done goes to the report.
 */
#include <pthread.h>
#include <stdlib.h>

#include "channel/publisher.h"
#include "crash/crowd.h"
#include "harness/limits.h"
#include "integration/support.h"

#define CHANNELS     64
#define OF_A_CHANNEL 4
#define ATTACHERS    4
#define ATTACHES     2500 /* of each */
/* 24 hours of 30 frames a second. */
#define DAY        (24L * 3600 * 30)
#define BIG_FRAMES 250
/* 256 subscribers in four processes. */
#define OF_A_PROCESS   64
#define MANY_FRAMES    200
#define BORDER_PACKETS 20000

/* Reads frames in order until one says that it is the last; gives their number. */
static uint64_t read_all(cuframes_subscriber_t *reader)
{
    uint64_t verified = 0;
    bool end = false;

    while (!end) {
        cuframes_frame_t *frame = take_frame(reader);

        end = cuframes_frame_pts_ns(frame) == CROWD_END;
        verified++;
        CHECK_OK(cuframes_frame_check(frame));
        cuframes_frame_release(frame);
    }
    return verified;
}

/* ---- many channels ---- */

static void read_every_channel(struct test_peer *test, void *argument)
{
    static cuframes_subscriber_t *readers[CHANNELS];
    uint64_t verified = 0;
    char key[16];

    (void)argument;
    for (int i = 0; i < CHANNELS; i++) {
        snprintf(key, sizeof(key), "cam-%d", i);
        readers[i] = make_reader(key, CUFRAMES_MODE_STRICT_ORDER);
    }
    test_say(test, 0);
    for (int i = 0; i < CHANNELS; i++) {
        verified += read_all(readers[i]);
        cuframes_subscriber_destroy(readers[i]);
    }
    test_say(test, verified);
}

TEST(sixty_four_channels_in_one_process, .timeout_s = 120)
{
    static cuframes_publisher_t *publishers[CHANNELS];
    struct test_peer peers[OF_A_CHANNEL];
    uint64_t verified = 0;
    char key[16];

    for (int i = 0; i < CHANNELS; i++) {
        cuframes_publisher_config_t config = small_config(key);

        snprintf(key, sizeof(key), "cam-%d", i);
        config.policy = CUFRAMES_POLICY_STRICT_WAIT;
        config.consumer_ack_timeout_ms = -1;
        config.ring_size = 40;
        publishers[i] = make_publisher(&config);
    }
    for (int i = 0; i < OF_A_CHANNEL; i++) {
        test_spawn(&peers[i], read_every_channel, NULL, NULL);
        CHECK_HEAR(&peers[i], 0);
    }
    for (int frame = 0; frame < 30; frame++)
        for (int i = 0; i < CHANNELS; i++)
            publish(publishers[i], frame);
    for (int i = 0; i < CHANNELS; i++)
        publish(publishers[i], CROWD_END);
    for (int i = 0; i < OF_A_CHANNEL; i++) {
        verified += test_hear(&peers[i]);
        test_join(&peers[i]);
    }
    CHECK_EQ(verified, (uint64_t)OF_A_CHANNEL * CHANNELS * 31);
    for (int i = 0; i < CHANNELS; i++)
        cuframes_publisher_destroy(publishers[i]);
    test_report("64 channels of 4 subscribers: %" PRIu64 " frames verified, 0 torn, 0 lost\n",
                verified);
}

/* ---- many subscribers ---- */

/* Opens its share of the channel's subscribers, then reads all frames with each. */
static void read_with_many(struct test_peer *test, void *argument)
{
    static cuframes_subscriber_t *readers[OF_A_PROCESS];
    uint64_t verified = 0;

    (void)argument;
    for (int i = 0; i < OF_A_PROCESS; i++)
        readers[i] = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    test_say(test, 0);
    for (int frame = 0; frame < MANY_FRAMES; frame++)
        for (int i = 0; i < OF_A_PROCESS; i++, verified++)
            expect_frame(readers[i], frame);
    for (int i = 0; i < OF_A_PROCESS; i++)
        cuframes_subscriber_destroy(readers[i]);
    test_say(test, verified);
}

TEST(two_hundred_and_fifty_six_subscribers_of_one_channel, .timeout_s = 120)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct test_peer peers[CUFRAMES_MAX_SUBSCRIBERS / OF_A_PROCESS];
    cuframes_publisher_t *publisher;
    uint64_t verified = 0;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    publisher = make_publisher(&config);
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        test_spawn(&peers[i], read_with_many, NULL, NULL);
        CHECK_HEAR(&peers[i], 0);
    }
    CHECK_EQ(publisher_stats(publisher).subscribers, (uint32_t)CUFRAMES_MAX_SUBSCRIBERS);
    publish_many(publisher, 0, MANY_FRAMES);
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        verified += test_hear(&peers[i]);
        test_join(&peers[i]);
    }
    CHECK_EQ(verified, (uint64_t)CUFRAMES_MAX_SUBSCRIBERS * MANY_FRAMES);
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    cuframes_publisher_destroy(publisher);
    test_report("256 subscribers of one channel, in order: %" PRIu64
                " frames verified, 0 torn, 0 lost\n",
                verified);
}

/* ---- many attachments ---- */

static void come_and_go(struct test_peer *test, void *argument)
{
    (void)argument;
    for (int i = 0; i < ATTACHES; i++) {
        cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);

        expect_frame(reader, 7);
        cuframes_subscriber_destroy(reader);
    }
    test_say(test, ATTACHES);
}

TEST(thousands_of_attachments, .timeout_s = 120)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct test_peer peers[ATTACHERS];
    int64_t began;
    double seconds;

    publish(publisher, 7);
    began = cuframes_now_ns();
    for (int i = 0; i < ATTACHERS; i++)
        test_spawn(&peers[i], come_and_go, NULL, NULL);
    for (int i = 0; i < ATTACHERS; i++) {
        CHECK_HEAR(&peers[i], ATTACHES);
        test_join(&peers[i]);
    }
    seconds = (double)(cuframes_now_ns() - began) / 1e9;
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, 2000);
    CHECK_EQ(publisher_stats(publisher).refused, 0U);
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    cuframes_publisher_destroy(publisher);
    test_report("%d attachments, each read a frame: %.0f a second\n", ATTACHERS * ATTACHES,
                ATTACHERS * ATTACHES / seconds);
}

/* ---- a day ---- */

static void *read_a_day(void *argument)
{
    uint64_t *verified = argument;
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    *verified = read_all(reader);
    cuframes_subscriber_destroy(reader);
    return NULL;
}

TEST(a_day_of_frames_across_the_32_bit_border, .timeout_s = 300)
{
    cuframes_publisher_config_t config = small_config("cam");
    uint64_t first = (UINT64_C(1) << 32) - DAY / 2;
    cuframes_publisher_t *publisher;
    uint64_t verified[2];
    pthread_t readers[2];

    config.width = 16;
    config.height = 4;
    config.ring_size = 64;
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    publisher = make_publisher(&config);
    /* Nobody has been sent the memory yet. */
    cf_writer_start(&publisher->current->writer, first);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&readers[i], NULL, read_a_day, &verified[i]), 0);
    WAIT_FOR(publisher_stats(publisher).subscribers == 2, 5000);
    for (long i = 0; i < DAY - 1; i++)
        CHECK_EQ(publish(publisher, i), first + (uint64_t)i);
    publish(publisher, CROWD_END);
    for (int i = 0; i < 2; i++) {
        CHECK_EQ(pthread_join(readers[i], NULL), 0);
        CHECK_EQ(verified[i], (uint64_t)DAY);
    }
    CHECK_EQ(publisher_stats(publisher).newest_seq, first + DAY - 1);
    cuframes_publisher_destroy(publisher);
    test_report("24 hours at 30 frames a second, sequence numbers %" PRIu64 " to %" PRIu64
                ", two readers in order: %ld frames each verified, 0 lost\n",
                first, first + DAY - 1, DAY);
}

/* The numbers of packets, and their places in the ring, cross the border too; and frames that name
 * their packets. */
TEST(packets_across_the_32_bit_border, .timeout_s = 120)
{
    const uint64_t first = (UINT64_C(1) << 32) - BORDER_PACKETS / 2;
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 64, .data_size = 1 << 16, .codec_id = 27};
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader;
    struct cf_packet_writer *writer;

    CHECK_OK(cuframes_publisher_enable_packets(publisher, &options));
    writer = &publisher->packets->writer;
    /* Nobody has been sent the memory yet. */
    cf_packet_writer_init(writer, writer->header, writer->data_size, writer->index_size,
                          writer->header->max_packet, writer->header->number, first);
    writer->end = (UINT64_C(1) << 32) - writer->data_size;
    CHECK_OK(cuframes_publisher_set_codec_extradata(publisher, "extradata", 9));
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    CHECK_OK(cuframes_subscriber_enable_packets(reader));
    for (uint64_t i = 0; i < BORDER_PACKETS; i++) {
        const cuframes_frame_meta_t meta = {
            .pts_ns = (int64_t)i, .packet_seq = first + i, .flags = CUFRAMES_FRAME_PACKET};
        cuframes_packet_t *packet;
        cuframes_frame_t *frame;
        uint8_t bytes[1000];
        uint64_t named;

        fill_pattern(bytes, sizeof(bytes), (int64_t)i);
        CHECK_OK(cuframes_publisher_publish_packet(publisher, bytes, sizeof(bytes), (int64_t)i,
                                                   (int64_t)i, CUFRAMES_PKT_FLAG_KEY));
        publish_with(publisher, &meta);
        CHECK_OK(cuframes_subscriber_next_packet(reader, &packet, test_patience_ms()));
        CHECK_EQ(cuframes_packet_seq(packet), first + i);
        CHECK_EQ(cuframes_packet_lost(packet), 0U);
        CHECK(pattern_fits(cuframes_packet_data(packet), sizeof(bytes), (int64_t)i));
        cuframes_subscriber_release_packet(reader, packet);
        frame = take_frame(reader);
        CHECK_OK(cuframes_frame_packet_seq(frame, &named));
        CHECK_EQ(named, first + i);
        cuframes_frame_release(frame);
    }
    CHECK_GT(writer->end, UINT64_C(1) << 32);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    test_report("packets %" PRIu64 " to %" PRIu64 " and the frames of them: %d each verified, 0 "
                "lost\n",
                first, first + BORDER_PACKETS - 1, BORDER_PACKETS);
}

/* ---- large frames ---- */

static void read_big(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_reader("cam", *(const int *)argument);

    test_say(test, 0);
    test_say(test, read_all(reader));
    cuframes_subscriber_destroy(reader);
}

TEST(readers_of_4k_at_full_speed, .timeout_s = 120)
{
    cuframes_publisher_config_t config = {
        .key = "cam",
        .width = 3840,
        .height = 2160,
        .format = CUFRAMES_FORMAT_NV12,
        .ring_size = 6,
        .memory = CUFRAMES_MEMORY_HOST,
    };
    static const int modes[3] = {CUFRAMES_MODE_NEWEST_ONLY, CUFRAMES_MODE_STRICT_ORDER,
                                 CUFRAMES_MODE_NEWEST_ONLY};
    cuframes_publisher_t *publisher = make_publisher(&config);
    struct test_peer peers[3];
    uint64_t verified = 0;

    for (int i = 0; i < 3; i++) {
        test_spawn(&peers[i], read_big, (void *)&modes[i], NULL);
        CHECK_HEAR(&peers[i], 0);
    }
    crowd_publish(publisher, 0, BIG_FRAMES, 0);
    /* The last one must find a slot. */
    WAIT_FOR(publisher_stats(publisher).slots_held < 5, test_patience_ms());
    publish(publisher, CROWD_END);
    for (int i = 0; i < 3; i++) {
        verified += test_hear(&peers[i]);
        test_join(&peers[i]);
    }
    CHECK_GT(verified, 3U);
    test_report("4K at the publisher's full speed: three readers took %" PRIu64
                " of 3 x %d frames, "
                "every byte verified, 0 torn\n",
                verified, BIG_FRAMES + 1);
    cuframes_publisher_destroy(publisher);
}
