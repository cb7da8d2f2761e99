/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets under load and on bad days: processes that are killed, many readers, slow ones, frames
 * and packets read by two threads while publishers come and go.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "packet_support.h"

#define KEY        CUFRAMES_PKT_FLAG_KEY
#define GENERATION CUFRAMES_PKT_FLAG_GENERATION

/* ---- deaths ---- */

static void publish_till_killed(struct test_peer *test, void *argument)
{
    const cuframes_packet_ring_options_t options = {.ring_slots = 32, .data_size = 64 << 10};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", &options);

    (void)argument;
    test_say(test, 0);
    for (uint32_t i = 0;; i++)
        send_packet(publisher, VIDEO, 1 + i * 67 % 8000, i % 8 == 0 ? KEY : 0);
}

/* Every packet that a reader gets is whole, also the last ones, and then it is told. */
TEST(a_publisher_is_killed_while_it_writes, .timeout_s = 60)
{
    for (int i = 0; i < 20; i++) {
        cuframes_subscriber_t *reader;
        struct test_peer peer;
        int err, taken = 0;

        test_spawn(&peer, publish_till_killed, NULL, NULL);
        CHECK_HEAR(&peer, 0);
        if (i == 0)
            test_may_remain("cam.sock");
        reader = make_packet_reader("cam", 0, NULL);
        for (;;) {
            cuframes_packet_t *packet = NULL;

            err = cuframes_subscriber_next_packet(reader, &packet, test_patience_ms());
            if (err == CUFRAMES_ERR_PACKET_OVERRUN)
                continue;
            if (err)
                break;
            check_packet(packet);
            cuframes_subscriber_release_packet(reader, packet);
            if (++taken == 10 + i)
                test_kill(&peer);
        }
        CHECK_EQ(err, CUFRAMES_ERR_DISCONNECTED);
        CHECK_GE(taken, 10 + i);
        cuframes_subscriber_destroy(reader);
    }
}

static void read_till_killed(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_packet_t *packet;

    (void)argument;
    test_say(test, 0);
    for (;;)
        if (cuframes_subscriber_next_packet(reader, &packet, -1) == CUFRAMES_OK)
            cuframes_subscriber_release_packet(reader, packet);
}

TEST(readers_are_killed, .timeout_s = 60)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);

    for (int i = 0; i < 10; i++) {
        struct test_peer peer;

        test_spawn(&peer, read_till_killed, NULL, NULL);
        CHECK_HEAR(&peer, 0);
        for (int k = 0; k < 20; k++)
            send_packet(publisher, VIDEO, 5000, KEY);
        CHECK_EQ(publisher_stats(publisher).subscribers, 1U);
        test_kill(&peer);
        WAIT_FOR(publisher_stats(publisher).subscribers == 0, test_patience_ms());
    }
    cuframes_publisher_destroy(publisher);
}

static void publish_one(struct test_peer *test, void *argument)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);

    (void)argument;
    send_packet(publisher, VIDEO, 100, KEY);
    test_say(test, 0);
    test_hear_end(test);
}

TEST(a_reader_follows_a_killed_publisher, .timeout_s = 60)
{
    cuframes_subscriber_t *reader = NULL;

    for (int i = 0; i < 3; i++) {
        struct test_peer peer;

        test_spawn(&peer, publish_one, NULL, NULL);
        CHECK_HEAR(&peer, 0);
        test_may_remain("cam.sock");
        if (!reader)
            reader = make_packet_reader("cam", CUFRAMES_SUBSCRIBER_RECONNECT, NULL);
        expect_packet(reader, 0, KEY | GENERATION | (i > 0 ? CUFRAMES_PKT_FLAG_DISCONTINUITY : 0));
        test_kill(&peer);
    }
    CHECK_EQ(subscriber_stats(reader).reconnects, 2U);
    cuframes_subscriber_destroy(reader);
}

/* Copies of a child are nobody's. */
TEST(a_child_cannot_use_what_it_inherited)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_packet_t *packet, *other = NULL;
    pid_t pid;

    send_packet(publisher, VIDEO, 100, KEY);
    packet = take_packet(reader);
    pid = CHECK_SYS(fork());
    if (pid == 0) {
        CHECK_ERR(cuframes_publisher_publish_packet(publisher, "x", 1, 0, 0, 0),
                  CUFRAMES_ERR_INVALID_ARG);
        CHECK_ERR(cuframes_publisher_enable_packets(publisher, NULL), CUFRAMES_ERR_INVALID_ARG);
        CHECK_ERR(cuframes_subscriber_next_packet(reader, &other, 0), CUFRAMES_ERR_INVALID_ARG);
        CHECK_LT(cuframes_subscriber_stream_count(reader), 0);
        /* The packet is a copy, and the child has one of its own. */
        check_packet(packet);
        cuframes_subscriber_release_packet(reader, packet);
        cuframes_subscriber_destroy(reader);
        cuframes_publisher_destroy(publisher);
        _exit(0);
    }
    {
        int status;

        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK_EQ(status, 0);
    }
    check_packet(packet);
    cuframes_subscriber_release_packet(reader, packet);
    send_packet(publisher, VIDEO, 100, 0);
    expect_packet(reader, 1, 0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* ---- threads ---- */

#define MANY    10
#define PACKETS 3000

/* What the threads of a test share. */
struct storm {
    cuframes_publisher_t *publisher;
    atomic_bool stop;
    atomic_uint packets, overruns, frames;
};

/* Reads to the end of the channel; checks order, and that what was lost was told. */
static void read_to_the_end(struct storm *s, cuframes_subscriber_t *reader, unsigned pause_us)
{
    uint64_t wanted = UINT64_MAX;

    for (;;) {
        cuframes_packet_t *packet = NULL;
        int err = cuframes_subscriber_next_packet(reader, &packet, test_patience_ms());

        if (err == CUFRAMES_ERR_PACKET_OVERRUN) {
            atomic_fetch_add(&s->overruns, 1);
            continue;
        }
        if (err == CUFRAMES_ERR_DISCONNECTED)
            return;
        CHECK_OK(err);
        check_packet(packet);
        if (wanted != UINT64_MAX)
            CHECK_EQ(cuframes_packet_seq(packet), wanted + cuframes_packet_lost(packet));
        wanted = cuframes_packet_seq(packet) + 1;
        cuframes_subscriber_release_packet(reader, packet);
        atomic_fetch_add(&s->packets, 1);
        if (pause_us)
            usleep(pause_us);
    }
}

static void *read_thread(void *argument)
{
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);

    read_to_the_end(argument, reader, 0);
    cuframes_subscriber_destroy(reader);
    return NULL;
}

/* One that is much too slow for the others: it is told, and nobody waits for it. */
static void *read_slowly(void *argument)
{
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);

    read_to_the_end(argument, reader, 20000);
    cuframes_subscriber_destroy(reader);
    return NULL;
}

TEST(ten_readers_one_of_them_slow, .threads = true, .timeout_s = 120)
{
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 16, .data_size = 64 << 10, .keep_ms = 1, .max_data_size = 256 << 10};
    struct storm s = {.publisher = make_packet_publisher("cam", &options)};
    pthread_t threads[MANY];

    for (int i = 0; i < MANY; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, i == 0 ? read_slowly : read_thread, &s), 0);
    WAIT_FOR(publisher_stats(s.publisher).subscribers == MANY, test_patience_ms());
    for (uint32_t i = 0; i < PACKETS; i++) {
        /* Changes of streams on the way, and growth. */
        if (i % 500 == 499)
            describe_streams(s.publisher, (uint8_t)(i / 500));
        send_packet(s.publisher, i % 2 ? AUDIO : VIDEO, 1 + i * 67 % 6000, i % 16 == 0 ? KEY : 0);
        if (i % 8 == 0)
            usleep(200);
    }
    cuframes_publisher_destroy(s.publisher);
    for (int i = 0; i < MANY; i++)
        pthread_join(threads[i], NULL);
    CHECK_GT(atomic_load(&s.packets), (unsigned)PACKETS);
    CHECK_GT(atomic_load(&s.overruns), 0U);
}

static void *send_a_thousand(void *argument)
{
    struct storm *s = argument;

    for (int i = 0; i < 1000; i++) {
        const cuframes_packet_desc_t packet = {
            .data = "a packet", .size = 8, .flags = i % 10 ? 0 : KEY};

        CHECK_OK(cuframes_publisher_send_packet(s->publisher, &packet, NULL));
    }
    return NULL;
}

TEST(threads_publish_packets_at_once, .threads = true, .timeout_s = 60)
{
    struct storm s = {.publisher = make_packet_publisher("cam", NULL)};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, send_a_thousand, &s), 0);
    for (int i = 0; i < 200; i++) {
        describe_streams(s.publisher, (uint8_t)i);
        publisher_stats(s.publisher);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CHECK_EQ(publisher_stats(s.publisher).packets, 4000U);
    cuframes_publisher_destroy(s.publisher);
}

/* A subscriber with reconnect, whose frames and packets two threads read. */
struct pair {
    cuframes_subscriber_t *reader;
    atomic_bool stop;
    atomic_uint frames, packets;
};

static bool is_passing(int err)
{
    return err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_WOULD_BLOCK ||
           err == CUFRAMES_ERR_PACKET_OVERRUN;
}

static void *read_frames(void *argument)
{
    struct pair *p = argument;

    while (!atomic_load(&p->stop)) {
        cuframes_frame_t *frame = NULL;
        int err = cuframes_subscriber_next(p->reader, NULL, &frame, 20);

        if (err) {
            CHECK(is_passing(err));
            continue;
        }
        check_pattern(frame);
        cuframes_frame_release(frame);
        atomic_fetch_add(&p->frames, 1);
    }
    return NULL;
}

static void *read_packets(void *argument)
{
    struct pair *p = argument;

    while (!atomic_load(&p->stop)) {
        cuframes_packet_t *packet = NULL;
        cuframes_stream_t stream;
        int err = cuframes_subscriber_next_packet(p->reader, &packet, 20);

        if (err) {
            CHECK(is_passing(err));
            continue;
        }
        check_packet(packet);
        CHECK_OK(cuframes_subscriber_stream(p->reader, (int32_t)cuframes_packet_stream(packet),
                                            &stream));
        cuframes_subscriber_release_packet(p->reader, packet);
        atomic_fetch_add(&p->packets, 1);
    }
    return NULL;
}

/* A publisher of both, for a while, with changes of both. */
static void publish_both(struct pair *p)
{
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 16, .data_size = 32 << 10, .keep_ms = 1, .max_data_size = 256 << 10};
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    unsigned frames = atomic_load(&p->frames), packets = atomic_load(&p->packets);

    CHECK_OK(cuframes_publisher_enable_packets(publisher, &options));
    describe_streams(publisher, 1);
    for (uint32_t i = 0; i < 400; i++) {
        if (i % 100 == 50) {
            config.width = 64 + (int32_t)(i / 100);
            CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
            describe_streams(publisher, (uint8_t)i);
        }
        publish(publisher, i);
        send_packet(publisher, VIDEO, 1 + i * 67 % 3000, i % 8 == 0 ? KEY : 0);
        if (i % 4 == 0)
            usleep(100);
    }
    /* The readers are here, not still on their way. */
    for (int i = 0; atomic_load(&p->frames) < frames + 5 || atomic_load(&p->packets) < packets + 5;
         i++) {
        publish(publisher, i);
        send_packet(publisher, VIDEO, 100, KEY);
        usleep(1000);
        CHECK_LT(i, 20000);
    }
    cuframes_publisher_destroy(publisher);
}

TEST(frames_and_packets_are_read_by_two_threads, .threads = true, .timeout_s = 120)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct pair p = {.reader = NULL};
    pthread_t threads[2];

    CHECK_OK(cuframes_publisher_enable_packets(publisher, NULL));
    config.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    p.reader = make_subscriber(&config);
    CHECK_OK(cuframes_subscriber_enable_packets(p.reader));
    CHECK_EQ(pthread_create(&threads[0], NULL, read_frames, &p), 0);
    CHECK_EQ(pthread_create(&threads[1], NULL, read_packets, &p), 0);
    cuframes_publisher_destroy(publisher);
    for (int i = 0; i < 4; i++)
        publish_both(&p);
    atomic_store(&p.stop, true);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    CHECK_GE(subscriber_stats(p.reader).reconnects, 4U);
    cuframes_subscriber_destroy(p.reader);
}
