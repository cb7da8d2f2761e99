/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash matrix for packets: a writer or a reader is killed, or stopped, at each named point, while
 * three others read. Every packet that they get is whole and comes with its own description; nothing
 * is left behind, and the name can be used again.
 */
#include <signal.h>
#include <unistd.h>

#include "fate.h"
#include "harness/resources.h"
#include "integration/support.h"
#include "packet_crowd.h"
#include "points.h"

#define PACKETS_OF_LIFE 700

static cuframes_publisher_t *make_channel(void)
{
    const cuframes_publisher_config_t config = {.key = CROWD_KEY,
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};
    const cuframes_packet_ring_options_t ring = packet_crowd_ring(true);
    cuframes_publisher_t *publisher = make_publisher(&config);

    CHECK_OK(cuframes_publisher_enable_packets(publisher, &ring));
    return publisher;
}

/* Descriptors and mappings of this process; but for descriptions of streams, of which the channel
 * keeps more or less. */
static size_t count_resources(void)
{
    struct test_resources now;
    size_t count;

    test_resources_take(&now);
    count = now.descriptor_count - test_count_descriptors("cuframes-streams") + now.mappings;
    test_resources_free(&now);
    return count;
}

/* ---- a reader ---- */

/* The only errors are those that a stop of this process explains. */
static void read_some(cuframes_subscriber_t *reader, const struct fate *fate, int count)
{
    int err = CUFRAMES_OK;

    for (int i = 0; i < count && !err && !atomic_load(fate->end); i++) {
        cuframes_packet_t *packet = NULL;

        err = cuframes_subscriber_next_packet(reader, &packet, 20);
        if (packet)
            packet_crowd_check(reader, packet);
        cuframes_subscriber_release_packet(reader, packet);
        if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_PACKET_OVERRUN)
            err = CUFRAMES_OK;
    }
    CHECK_EQ(err, CUFRAMES_OK);
}

static void be_a_doomed_reader(struct test_peer *test, void *argument)
{
    const struct fate *fate = argument;

    (void)test;
    point_arm(fate->point, fate->nth, fate->signal);
    for (int round = 0; !atomic_load(fate->end); round++) {
        const cuframes_subscriber_config_t config = {
            .key = CROWD_KEY,
            .connect_timeout_ms = test_patience_ms(),
            .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY,
        };
        cuframes_subscriber_t *reader =
            packet_crowd_join(&config, round % 2 ? CUFRAMES_PACKETS_FROM_NEWEST_KEY
                                                 : CUFRAMES_PACKETS_FROM_OLDEST_KEY);

        if (!reader)
            continue;
        /* The first one stays, and follows the ring as it grows. */
        read_some(reader, fate, round == 0 ? 150 : 6);
        CHECK_OK(cuframes_subscriber_destroy(reader));
    }
}

static void reader_case(const char *point, int nth, int signal)
{
    cuframes_publisher_t *publisher;
    struct crowd crowd;
    struct test_peer victim;
    struct fate fate = {.point = point, .nth = nth, .signal = signal};
    int64_t pts = 0;
    size_t before;

    point_reset();
    /* Before this process has a second thread: gcc 12's address sanitizer does not survive a fork
     * while another thread allocates. */
    packet_crowd_start(&crowd);
    publisher = make_channel();
    fate.end = &crowd.board->end;
    crowd_wait(&crowd);
    /* The pages that were sent are closed a moment later. */
    WAIT_FOR(test_count_descriptors("cuframes-packet-page") == 0, test_patience_ms());
    before = count_resources();
    test_spawn(&victim, be_a_doomed_reader, &fate, NULL);
    WAIT_FOR(has_met_fate(&victim, signal) || publisher_stats(publisher).subscribers == CROWD + 1,
             test_patience_ms());
    while (!has_met_fate(&victim, signal)) {
        packet_crowd_publish(publisher, pts++, 1, 200);
        if (pts > 50000)
            FAIL("no reader comes to the point %s", point);
    }
    if (signal == SIGSTOP)
        packet_crowd_publish(publisher, pts, STOPPED_MS, 1000);
    bury(&victim, &fate);
    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    /* What it had is closed a moment later. */
    WAIT_FOR(count_resources() <= before, test_patience_ms());
    packet_crowd_end(publisher);
    crowd_finish(&crowd);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

TEST(reader_killed_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, PACKET_READER))
        for (int nth = 1; nth <= 2; nth++)
            reader_case(point->name, nth, SIGKILL);
}

TEST(reader_stopped_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, PACKET_READER))
        reader_case(point->name, 2, SIGSTOP);
}

/* ---- a writer ---- */

static void be_a_doomed_writer(struct test_peer *test, void *argument)
{
    const struct fate *fate = argument;
    cuframes_publisher_t *publisher;

    (void)test;
    point_arm(fate->point, fate->nth, fate->signal);
    publisher = make_channel();
    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    packet_crowd_publish(publisher, 0, PACKETS_OF_LIFE, 200);
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

static void writer_case(const char *point, int nth, int signal)
{
    cuframes_publisher_t *next;
    struct crowd crowd;
    struct test_peer victim;
    struct fate fate = {.point = point, .nth = nth, .signal = signal};

    point_reset();
    packet_crowd_start(&crowd);
    fate.end = &crowd.board->end;
    test_spawn(&victim, be_a_doomed_writer, &fate, NULL);
    WAIT_FOR(has_met_fate(&victim, signal), test_patience_ms());
    if (signal == SIGSTOP)
        usleep(STOPPED_MS * 1000);
    bury(&victim, &fate);
    next = make_channel();
    WAIT_FOR(publisher_stats(next).subscribers == CROWD, test_patience_ms());
    packet_crowd_publish(next, 0, 20, 200);
    packet_crowd_end(next);
    crowd_finish(&crowd);
    CHECK_OK(cuframes_publisher_destroy(next));
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

TEST(writer_killed_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, PACKET_WRITER)) {
        writer_case(point->name, 1, SIGKILL);
        if (point->when == RUN)
            writer_case(point->name, 3, SIGKILL);
    }
}

TEST(writer_stopped_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, PACKET_WRITER))
        writer_case(point->name, point->when == RUN ? 2 : 1, SIGSTOP);
}
