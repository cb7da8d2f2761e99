/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets: the offer, the ring, the packets' own bytes, and what the streams are said to be. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "plots.h"

#define RING_SIZE   cf_packet_ring_size(INDEX_SIZE, DATA_SIZE)
#define MAKER_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)

/* ---- memory ---- */

static void ring_unsealed(struct visit *visit)
{
    replace_fd(visit, CF_PACKETS_FD_RING, make_memory(0, RING_SIZE, 0));
}

static void ring_small(struct visit *visit)
{
    replace_fd(visit, CF_PACKETS_FD_RING, make_memory(0, 4096, MAKER_SEALS));
}

static void ring_empty(struct visit *visit)
{
    replace_fd(visit, CF_PACKETS_FD_RING, make_memory(0, cf_page_round(RING_SIZE), MAKER_SEALS));
}

static void ring_that_will_be_cut(struct visit *visit)
{
    int fd = make_memory(0, cf_page_round(RING_SIZE), F_SEAL_GROW | F_SEAL_FUTURE_WRITE);
    int same = dup(fd);

    replace_fd(visit, CF_PACKETS_FD_RING, fd);
    send_bytes(visit);
    if (ftruncate(same, 0) != 0)
        give_up("ftruncate");
    visit->silent = true;
}

static void page_unsealed(struct visit *visit)
{
    replace_fd(visit, CF_PACKETS_FD_PAGE, make_memory(0, 4096, 0));
}

static void page_empty(struct visit *visit)
{
    replace_fd(visit, CF_PACKETS_FD_PAGE, make_memory(0, 0, F_SEAL_SHRINK | F_SEAL_GROW));
}

static void page_of_a_device(struct visit *visit)
{
    replace_fd(visit, CF_PACKETS_FD_PAGE, open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static void streams_writable(struct visit *visit)
{
    replace_fd(visit, 0, make_memory(0, 4096, MAKER_SEALS));
}

static void streams_empty(struct visit *visit)
{
    replace_fd(visit, 0, make_memory(0, 0, MAKER_SEALS | F_SEAL_WRITE));
}

static void streams_of_zeros(struct visit *visit)
{
    replace_fd(visit, 0, make_memory(0, 65536, MAKER_SEALS | F_SEAL_WRITE));
}

static void one_descriptor(struct visit *visit)
{
    while (visit->fd_count > 1)
        close(visit->fds[--visit->fd_count]);
}

/* ---- the ring ---- */

static struct cf_packet_ring_header *header(struct visit *visit)
{
    return visit->ring.addr;
}

static void head_runs_backwards(struct visit *visit)
{
    header(visit)->head = visit->packets.head - 3;
    header(visit)->oldest = visit->packets.head > 8 ? visit->packets.head - 8 : 0;
}

static void head_leaps(struct visit *visit)
{
    header(visit)->head = visit->packets.head + (UINT64_C(1) << 40);
}

static void numbers_run_backwards(struct visit *visit)
{
    visit->packets.head -= visit->packets.head > 4 ? 4 : 0;
}

static void oldest_flickers(struct visit *visit)
{
    for (int i = 0; i < 100000; i++)
        header(visit)->oldest = visit->packets.head - random_word() % 20;
}

static void packet_of(struct visit *visit, uint32_t generation, uint32_t size)
{
    static uint8_t bytes[MAX_PACKET];
    const struct cf_packet_meta meta = {.generation = generation,
                                        .pts_ns = (int64_t)random_word() * INT32_MAX,
                                        .dts_ns = -(int64_t)random_word() * INT32_MAX,
                                        .flags = CUFRAMES_PKT_FLAG_KEY | CF_PACKET_FLAG_START};

    for (uint32_t i = 0; i < size; i++)
        bytes[i] = (uint8_t)random_word();
    if (random_word() % 2)
        memcpy(bytes, "\0\0\0\1\x65", 5);
    cf_packet_writer_put(&visit->packets, bytes, size, &meta);
}

static void random_packets(struct visit *visit)
{
    for (int i = 0; i < 4; i++)
        packet_of(visit, visit->packet_generation, 1 + random_word() % MAX_PACKET);
}

static void generation_that_never_comes(struct visit *visit)
{
    packet_of(visit, 99, 100);
    visit->has_packets = false;
}

static void generation_of_the_past(struct visit *visit)
{
    visit->packet_generation += 2;
    send_streams(visit);
    packet_of(visit, visit->packet_generation, 100);
    packet_of(visit, 1, 100);
}

static void sizes_lie(struct visit *visit)
{
    for (int i = 0; i < INDEX_SIZE; i++)
        header(visit)->index[i].size = 1 + random_word() % MAX_PACKET;
}

static void positions_lie(struct visit *visit)
{
    for (int i = 0; i < INDEX_SIZE; i++)
        header(visit)->index[i].position =
            ((uint64_t)random_word() << 32 | random_word()) & ~UINT64_C(63);
}

/* The last line of the last lap: wraps in every sense. */
static void positions_at_the_end(struct visit *visit)
{
    for (int i = 0; i < INDEX_SIZE; i++) {
        header(visit)->index[i].position = UINT64_MAX - 63;
        header(visit)->index[i].size = MAX_PACKET;
    }
}

static void scribble_on_the_ring(struct visit *visit)
{
    volatile uint32_t *words = visit->ring.addr;

    for (int i = 0; i < 100000; i++)
        words[16 + random_word() % (visit->ring.size / 4 - 16)] = random_word();
}

static void scribble_on_the_index(struct visit *visit)
{
    for (int i = 0; i < 20000; i++) {
        volatile uint32_t *words =
            (volatile uint32_t *)&header(visit)->index[random_word() % INDEX_SIZE];

        words[random_word() % 16] = random_word() % 2 ? random_word() : random_word() % 5000;
    }
}

static void scribble_on_the_shape(struct visit *visit)
{
    volatile uint32_t *words = visit->ring.addr;

    for (int i = 0; i < 100000; i++)
        words[2 + random_word() % 4] = random_word();
}

/* ---- messages that come later ---- */

static void rings_without_end(struct visit *visit)
{
    send_ring(visit);
}

static void superseding_rings_without_end(struct visit *visit)
{
    static const struct cf_packet_peers nobody;

    cf_packet_writer_end(&visit->packets, &nobody, CF_PACKET_RING_SUPERSEDED);
    send_ring(visit);
}

static void bad_ring(struct visit *visit)
{
    static const struct cf_packet_peers nobody;
    static const struct plot then = {.where = CF_MSG_PACKET_RING, .act = ring_unsealed};

    visit->plot = &then;
    cf_packet_writer_end(&visit->packets, &nobody, CF_PACKET_RING_SUPERSEDED);
    send_ring(visit);
}

static void descriptions_without_end(struct visit *visit)
{
    for (int i = 0; i < 8; i++) {
        visit->packet_generation++;
        send_streams(visit);
    }
}

static void new_description_for_each(struct visit *visit)
{
    visit->packet_generation++;
    send_streams(visit);
}

static void same_description_again(struct visit *visit)
{
    send_streams(visit);
}

static void superseded_by_nothing(struct visit *visit)
{
    static const struct cf_packet_peers nobody;

    cf_packet_writer_end(&visit->packets, &nobody, CF_PACKET_RING_SUPERSEDED);
    visit->silent = true;
}

static void closed_without_hanging_up(struct visit *visit)
{
    static const struct cf_packet_peers nobody;

    cf_packet_writer_end(&visit->packets, &nobody, CF_PACKET_RING_CLOSED);
    visit->silent = true;
}

#define HEADER(field) (uint32_t) offsetof(struct cf_packet_ring_header, field)
#define ENTRY(field)  (HEADER(index) + (uint32_t)offsetof(struct cf_packet_entry, field))
/* A field of the first stream, in the parameters. */
#define STREAM(at) (CF_STREAMS_HEAD + (at))

const struct plot packet_plots[] = {
    FIELD("ring-number", PACKETS, CF_MSG_PACKETS, 16, 4, 2),
    FIELD("packets-none-with-descriptors", PACKETS, CF_MSG_PACKETS, 16, 4, 0),
    FIELD("packets-flag-unknown", PACKETS, CF_MSG_PACKETS, 20, 4, 8),
    FIELD("packets-flag-wake-socket", PACKETS, CF_MSG_PACKETS, 20, 4, 1),
    FIELD("ring-size-0", PACKETS, CF_MSG_PACKETS, 24, 8, 0),
    FIELD("ring-size-small", PACKETS, CF_MSG_PACKETS, 24, 8, 4096),
    FIELD("ring-size-more-than-there-is", PACKETS, CF_MSG_PACKETS, 24, 8, 1 << 20),
    FIELD("ring-size-huge", PACKETS, CF_MSG_PACKETS, 24, 8, UINT64_MAX),
    ODD_FIELD("packets-generation-to-come", PACKETS, CF_MSG_PACKETS, 32, 4, 9),
    FIELD("streams-generation-0", PACKETS, CF_MSG_STREAMS, 16, 4, 0),
    FIELD("streams-of-another-generation", PACKETS, CF_MSG_STREAMS, 16, 4, 2),
    FIELD("streams-size-0", PACKETS, CF_MSG_STREAMS, 20, 4, 0),
    FIELD("streams-size-small", PACKETS, CF_MSG_STREAMS, 20, 4, 100),
    FIELD("streams-size-large", PACKETS, CF_MSG_STREAMS, 20, 4, 34064),
    FIELD("streams-size-huge", PACKETS, CF_MSG_STREAMS, 20, 4, UINT32_MAX),
    ACT("packet-ring-unsealed", PACKETS, CF_MSG_PACKETS, ring_unsealed),
    ACT("packet-ring-small", PACKETS, CF_MSG_PACKETS, ring_small),
    ACT("packet-ring-of-zeros", PACKETS, CF_MSG_PACKETS, ring_empty),
    ACT("packet-ring-truncated-later", PACKETS, CF_MSG_PACKETS, ring_that_will_be_cut),
    ACT("packet-page-unsealed", PACKETS, CF_MSG_PACKETS, page_unsealed),
    ACT("packet-page-empty", PACKETS, CF_MSG_PACKETS, page_empty),
    ACT("packet-page-of-a-device", PACKETS, CF_MSG_PACKETS, page_of_a_device),
    ACT("packets-one-descriptor", PACKETS, CF_MSG_PACKETS, one_descriptor),
    ACT("streams-writable", PACKETS, CF_MSG_STREAMS, streams_writable),
    ACT("streams-empty", PACKETS, CF_MSG_STREAMS, streams_empty),
    ACT("streams-of-zeros", PACKETS, CF_MSG_STREAMS, streams_of_zeros),

    FIELD("packet-ring-magic", PACKETS, IN_RING, HEADER(magic), 8, 0),
    FIELD("packet-ring-data-size", PACKETS, IN_RING, HEADER(data_size), 8, UINT64_MAX - 63),
    FIELD("packet-ring-data-size-0", PACKETS, IN_RING, HEADER(data_size), 8, 0),
    FIELD("packet-ring-data-size-odd", PACKETS, IN_RING, HEADER(data_size), 8, DATA_SIZE - 8),
    FIELD("packet-ring-index-size", PACKETS, IN_RING, HEADER(index_size), 4, 1 << 20),
    FIELD("packet-ring-index-size-odd", PACKETS, IN_RING, HEADER(index_size), 4, 15),
    FIELD("packet-ring-index-size-0", PACKETS, IN_RING, HEADER(index_size), 4, 0),
    FIELD("packet-ring-max-packet", PACKETS, IN_RING, HEADER(max_packet), 4, UINT32_MAX),
    FIELD("packet-ring-max-packet-0", PACKETS, IN_RING, HEADER(max_packet), 4, 0),
    FIELD("packet-ring-other-number", PACKETS, IN_RING, HEADER(number), 4, 5),
    FIELD("packet-size-0", PACKETS, IN_RING, ENTRY(size), 4, 0),
    FIELD("packet-size-too-large", PACKETS, IN_RING, ENTRY(size), 4, MAX_PACKET + 1),
    FIELD("packet-size-huge", PACKETS, IN_RING, ENTRY(size), 4, UINT32_MAX),
    FIELD("packet-position-odd", PACKETS, IN_RING, ENTRY(position), 8, 7),
    ODD_FIELD("packet-position-far-away", PACKETS, IN_RING, ENTRY(position), 8, UINT64_MAX - 63),
    FIELD("packet-of-no-stream", PACKETS, IN_RING, ENTRY(what), 4, 0x018001),
    FIELD("packet-flags", PACKETS, IN_RING, ENTRY(what), 4, 0xffff),
    FIELD("packet-capture-source", PACKETS, IN_RING, ENTRY(what), 4, 0x99008001),
    FIELD("packet-generation-0", PACKETS, IN_RING, ENTRY(generation), 4, 0),
    FIELD("packet-duration-negative", PACKETS, IN_RING, ENTRY(duration_ns), 8, INT64_MIN),
    ODD_FIELD("packet-duration-huge", PACKETS, IN_RING, ENTRY(duration_ns), 8, INT64_MAX),
    ODD_FIELD("packet-time-first", PACKETS, IN_RING, ENTRY(pts_ns), 8, INT64_MIN + 1),
    ODD_FIELD("packet-time-last", PACKETS, IN_RING, ENTRY(pts_ns), 8, INT64_MAX),
    ODD_FIELD("packet-decoding-time-last", PACKETS, IN_RING, ENTRY(dts_ns), 8, INT64_MAX),
    ODD_FIELD("packet-published-last", PACKETS, IN_RING, ENTRY(published_ns), 8, INT64_MAX),
    ODD_FIELD("packet-oldest-beyond-head", PACKETS, IN_RING, HEADER(oldest), 8, 1000),
    ODD_FIELD("packet-start-far-away", PACKETS, IN_RING, HEADER(newest_start), 8, UINT64_MAX - 1),
    ODD_FIELD("packet-head-at-the-end", PACKETS, IN_RING, HEADER(head), 8, UINT64_MAX),
    ODD_FIELD("packet-state-unknown", PACKETS, IN_RING_LATER, HEADER(state), 4, 77),
    ODD_ACT("packet-head-backwards", PACKETS, IN_RING_LATER, head_runs_backwards),
    ODD_ACT("packet-head-leaps", PACKETS, IN_RING_LATER, head_leaps),
    ODD_ACT("packet-numbers-backwards", PACKETS, IN_RING_LATER, numbers_run_backwards),
    ODD_ACT("packet-oldest-flickers", PACKETS, IN_RING_LATER, oldest_flickers),
    ODD_ACT("packets-random", PACKETS, IN_RING_LATER, random_packets),
    ODD_ACT("packet-generation-never-comes", PACKETS, IN_RING_LATER, generation_that_never_comes),
    ODD_ACT("packet-generation-of-the-past", PACKETS, IN_RING_LATER, generation_of_the_past),
    ODD_ACT("packet-sizes-lie", PACKETS, IN_RING_LATER, sizes_lie),
    ODD_ACT("packet-positions-lie", PACKETS, IN_RING_LATER, positions_lie),
    ODD_ACT("packet-positions-at-the-end", PACKETS, IN_RING_LATER, positions_at_the_end),
    ODD_ACT("scribbles-on-the-packet-ring", PACKETS, IN_RING_LATER, scribble_on_the_ring),
    ODD_ACT("scribbles-on-the-index", PACKETS, IN_RING_LATER, scribble_on_the_index),
    ODD_ACT("scribbles-on-the-shape", PACKETS, IN_RING_LATER, scribble_on_the_shape),
    ODD_ACT("packet-rings-without-end", PACKETS, IN_RING_LATER, rings_without_end),
    ODD_ACT("packet-rings-supersede", PACKETS, IN_RING_LATER, superseding_rings_without_end),
    ACT("packet-ring-larger-unsealed", PACKETS, IN_RING_LATER, bad_ring),
    ODD_ACT("descriptions-without-end", PACKETS, IN_RING_LATER, descriptions_without_end),
    ODD_ACT("description-for-each-packet", PACKETS, IN_RING_LATER, new_description_for_each),
    ACT("same-description-again", PACKETS, IN_RING_LATER, same_description_again),
    ODD_ACT("packet-ring-superseded-by-nothing", PACKETS, IN_RING_LATER, superseded_by_nothing),
    ODD_ACT("packet-ring-closed-and-silent", PACKETS, IN_RING_LATER, closed_without_hanging_up),

    FIELD("streams-magic", PACKETS, IN_PARAMETERS, 0, 8, 0),
    FIELD("streams-number", PACKETS, IN_PARAMETERS, 8, 4, 7),
    FIELD("streams-none", PACKETS, IN_PARAMETERS, 12, 4, 0),
    FIELD("streams-too-many", PACKETS, IN_PARAMETERS, 12, 4, 9),
    FIELD("streams-more-than-there-are", PACKETS, IN_PARAMETERS, 12, 4, 8),
    FIELD("stream-type", PACKETS, IN_PARAMETERS, STREAM(0), 4, 55),
    ODD_FIELD("stream-is-sound", PACKETS, IN_PARAMETERS, STREAM(0), 4, 1),
    ODD_FIELD("stream-is-data", PACKETS, IN_PARAMETERS, STREAM(0), 4, 2),
    ODD_FIELD("codec-unknown", PACKETS, IN_PARAMETERS, STREAM(4), 4, 0x7fffffff),
    ODD_FIELD("codec-none", PACKETS, IN_PARAMETERS, STREAM(4), 4, 0),
    ODD_FIELD("codec-another", PACKETS, IN_PARAMETERS, STREAM(4), 4, 86018),
    ODD_FIELD("codec-hevc", PACKETS, IN_PARAMETERS, STREAM(4), 4, 173),
    FIELD("codec-name-escape", PACKETS, IN_PARAMETERS, STREAM(8), 4, 0x4a325b1b),
    FIELD("codec-name-unended", PACKETS, IN_PARAMETERS, STREAM(39), 1, 'x'),
    FIELD("language-escape", PACKETS, IN_PARAMETERS, STREAM(40), 4, 0x4a325b1b),
    FIELD("packaging", PACKETS, IN_PARAMETERS, STREAM(52), 4, 9),
    ODD_FIELD("packaging-length-prefixed", PACKETS, IN_PARAMETERS, STREAM(52), 4, 2),
    FIELD("time-base-negative", PACKETS, IN_PARAMETERS, STREAM(56), 8, UINT64_C(0x1ffffffff)),
    FIELD("time-base-half", PACKETS, IN_PARAMETERS, STREAM(56), 8, 1),
    ODD_FIELD("time-base-huge", PACKETS, IN_PARAMETERS, STREAM(56), 8, UINT64_C(0x17fffffff)),
    ODD_FIELD("time-base-tiny", PACKETS, IN_PARAMETERS, STREAM(56), 8,
              UINT64_C(0x7fffffff00000001)),
    ODD_FIELD("profile-strange", PACKETS, IN_PARAMETERS, STREAM(64), 4, INT32_MIN),
    FIELD("bit-rate-negative", PACKETS, IN_PARAMETERS, STREAM(72), 8, INT64_MIN),
    ODD_FIELD("bit-rate-huge", PACKETS, IN_PARAMETERS, STREAM(72), 8, INT64_MAX),
    FIELD("stream-width-negative", PACKETS, IN_PARAMETERS, STREAM(80), 4, INT32_MIN),
    ODD_FIELD("stream-size-huge", PACKETS, IN_PARAMETERS, STREAM(80), 8,
              UINT64_C(0x7fffffff7fffffff)),
    FIELD("stream-rate-half", PACKETS, IN_PARAMETERS, STREAM(92), 4, 0),
    ODD_FIELD("stream-rate-huge", PACKETS, IN_PARAMETERS, STREAM(88), 8, UINT64_C(0x17fffffff)),
    ODD_FIELD("stream-shape-strange", PACKETS, IN_PARAMETERS, STREAM(96), 8, UINT64_C(0x17fffffff)),
    ODD_FIELD("stream-colour-strange", PACKETS, IN_PARAMETERS, STREAM(104), 3, 0xfefefe),
    FIELD("stream-colour-range", PACKETS, IN_PARAMETERS, STREAM(107), 1, 200),
    ODD_FIELD("stream-delay-huge", PACKETS, IN_PARAMETERS, STREAM(108), 4, INT32_MAX),
    ODD_FIELD("extradata-none", PACKETS, IN_PARAMETERS, STREAM(160), 8, 0),
    ODD_FIELD("extradata-random", PACKETS, IN_PARAMETERS, STREAM(165), 8,
              UINT64_C(0xdeadbeefcafe1234)),
    FIELD("extradata-long", PACKETS, IN_PARAMETERS, STREAM(152), 4, 4097),
    FIELD("extradata-longer-than-there-is", PACKETS, IN_PARAMETERS, STREAM(152), 4, 4096),
    FIELD("extradata-shorter-than-there-is", PACKETS, IN_PARAMETERS, STREAM(152), 4, 1),
    NO_MORE_PLOTS,
};
