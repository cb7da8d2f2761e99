/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packet_crowd.h"

#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include "integration/support.h"

#define WAIT_MS     200
#define MOST_BYTES  700
#define LEAST_BYTES 40

struct member {
    struct crowd_board *board;
    int index;
};

/* ---- what is published ---- */

static size_t size_of(int64_t pts)
{
    return LEAST_BYTES + (size_t)((uint64_t)pts * 2654435761U % (MOST_BYTES - LEAST_BYTES));
}

static uint8_t byte_of(int64_t pts, size_t i)
{
    return (uint8_t)((uint64_t)pts * 31 + i * 7 + (i >> 8) * 13);
}

/* The description that is in force when the packet is published. */
static uint8_t variant_of(int64_t pts)
{
    return (uint8_t)(pts / DESCRIBED_FOR);
}

static void describe(cuframes_publisher_t *publisher, uint8_t variant)
{
    const uint8_t extradata[4] = {variant, variant, variant, variant};
    const cuframes_stream_t stream = {
        .type = CUFRAMES_STREAM_VIDEO,
        .codec_id = 27,
        .codec_name = "h264",
        .packaging = CUFRAMES_PACKAGING_ANNEX_B,
        .width = 64,
        .height = 48,
        .extradata = extradata,
        .extradata_size = sizeof(extradata),
    };

    CHECK_OK(cuframes_publisher_set_streams(publisher, &stream, 1));
}

static void send(cuframes_publisher_t *publisher, int64_t pts, bool key)
{
    uint8_t bytes[MOST_BYTES];
    const cuframes_packet_desc_t packet = {
        .data = bytes,
        .size = size_of(pts),
        .pts_ns = pts,
        .dts_ns = pts - 1,
        .flags = key ? CUFRAMES_PKT_FLAG_KEY : 0,
    };

    describe(publisher, variant_of(pts));
    for (size_t i = 0; i < packet.size; i++)
        bytes[i] = byte_of(pts, i);
    CHECK_OK(cuframes_publisher_send_packet(publisher, &packet, NULL));
}

cuframes_packet_ring_options_t packet_crowd_ring(bool grows)
{
    return (cuframes_packet_ring_options_t){
        .ring_slots = 16,
        .data_size = 4096,
        .max_packet_size = MOST_BYTES,
        .keep_ms = grows ? 100000 : 0,
        .max_data_size = grows ? 32768 : 0,
    };
}

void packet_crowd_publish(cuframes_publisher_t *publisher, int64_t first, int count,
                          unsigned pause_us)
{
    for (int64_t pts = first; pts < first + count; pts++) {
        send(publisher, pts, pts % GOP_LENGTH == 0);
        usleep(pause_us);
    }
}

void packet_crowd_end(cuframes_publisher_t *publisher)
{
    send(publisher, CROWD_END, true);
}

/* ---- what is read ---- */

void packet_crowd_check(cuframes_subscriber_t *reader, const cuframes_packet_t *packet)
{
    const int64_t pts = cuframes_packet_pts(packet);
    const uint8_t *bytes = cuframes_packet_data(packet);
    const size_t size = cuframes_packet_size(packet);
    cuframes_stream_t stream;

    CHECK_EQ(size, size_of(pts));
    CHECK_EQ(cuframes_packet_dts(packet), pts - 1);
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_of(pts, i))
            FAIL("packet %lld is torn at byte %zu of %zu", (long long)pts, i, size);
    CHECK_OK(cuframes_subscriber_stream(reader, 0, &stream));
    CHECK_EQ(stream.extradata_size, 4U);
    CHECK_EQ(*(const uint8_t *)stream.extradata, variant_of(pts));
}

cuframes_subscriber_t *packet_crowd_join(const cuframes_subscriber_config_t *config,
                                         cuframes_packet_start_t start)
{
    const cuframes_packet_options_t options = {.start = start};
    cuframes_subscriber_t *reader;
    int err = cuframes_subscriber_create(config, &reader);

    if (!err && (err = cuframes_subscriber_enable_packets_from(reader, &options)) != 0)
        cuframes_subscriber_destroy(reader);
    if (!err)
        return reader;
    /* A publisher that is killed before it has answered, or has no packets yet. */
    CHECK(err == CUFRAMES_ERR_DISCONNECTED || err == CUFRAMES_ERR_NOT_FOUND);
    return NULL;
}

static void note_wait(const struct member *me, int64_t took)
{
    CHECK_LT(took, INT64_C(1000000) * test_patience_ms());
    if (took > atomic_load(&me->board->longest_ns))
        atomic_store(&me->board->longest_ns, took);
}

/* The next packet of whoever publishes; waits for ever, in steps that must each end in time. */
static cuframes_packet_t *next_packet(cuframes_subscriber_t *reader, const struct member *me)
{
    const bool polls = me->index == 2;

    for (;;) {
        int64_t before = cuframes_now_ns();
        cuframes_packet_t *packet;
        int err = cuframes_subscriber_next_packet(reader, &packet, polls ? 0 : WAIT_MS);

        note_wait(me, cuframes_now_ns() - before);
        if (err == CUFRAMES_OK)
            return packet;
        if (err == CUFRAMES_ERR_WOULD_BLOCK)
            test_readable(cuframes_subscriber_fd(reader), WAIT_MS);
        else
            CHECK(err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_PACKET_OVERRUN);
    }
}

static void be_in_the_crowd(struct test_peer *test, void *argument)
{
    const struct member *me = argument;
    const cuframes_subscriber_config_t config = {
        .key = CROWD_KEY,
        .connect_timeout_ms = -1,
        .flags = CUFRAMES_SUBSCRIBER_RECONNECT | CUFRAMES_SUBSCRIBER_PACKETS_ONLY |
                 (me->index == 2 ? CUFRAMES_SUBSCRIBER_POLL : 0),
    };
    const cuframes_packet_start_t start =
        me->index == 1 ? CUFRAMES_PACKETS_FROM_OLDEST_KEY : CUFRAMES_PACKETS_FROM_NEWEST_KEY;
    cuframes_subscriber_t *reader = NULL;
    uint64_t next = 0;
    bool end = false;

    (void)test;
    while (!reader)
        reader = packet_crowd_join(&config, start);
    atomic_fetch_add(&me->board->attached, 1);
    while (!end) {
        cuframes_packet_t *packet = next_packet(reader, me);

        packet_crowd_check(reader, packet);
        atomic_fetch_add(&me->board->verified, 1);
        if (!(cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_DISCONTINUITY) && next > 0)
            CHECK_EQ(cuframes_packet_seq(packet), next);
        next = cuframes_packet_seq(packet) + 1;
        end = cuframes_packet_pts(packet) == CROWD_END;
        cuframes_subscriber_release_packet(reader, packet);
    }
    CHECK_OK(cuframes_subscriber_destroy(reader));
}

void packet_crowd_start(struct crowd *crowd)
{
    crowd->board = mmap(NULL, sizeof(*crowd->board), PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(crowd->board != MAP_FAILED);
    for (int i = 0; i < CROWD; i++) {
        struct member member = {.board = crowd->board, .index = i};

        test_spawn(&crowd->peers[i], be_in_the_crowd, &member, NULL);
    }
}
