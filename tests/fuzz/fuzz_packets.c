/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A reader of packets against a ring and stream descriptions that a publisher has filled with
 * whatever it likes, and goes on changing.
 *
 * Input: a header of four bytes (what it is, the index's size, two bytes unused), some operations,
 * then the ring's memory; or, if the first byte is odd, the parameter memory of a packet generation.
 * A reader must stay inside the ring and inside the size that it was told, whatever it finds; what
 * decodes as descriptions must be within its limits, and encode to the same bytes again.
 */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "ring/packet_reader.h"
#include "ring/packet_writer.h"
#include "wire/streams.h"

enum { HEADER = 4, OPERATIONS = 32, MEMORY = HEADER + OPERATIONS, NUMBER = 7 };
enum { MOST_INDEX = 16, DATA_SIZE = 2048, MOST_PACKET = 512 };

#define RING_SIZE(index) (sizeof(struct cf_packet_ring_header) + (index)*64 + DATA_SIZE)

/* ---- a ring ---- */

struct play {
    struct cf_packet_reader reader;
    uint8_t *memory;
    size_t size;
    uint64_t wanted;
};

/* Copies into memory of exactly the size that a copy may write. */
static void read_packet(struct play *play)
{
    struct cf_packet_found found;
    uint8_t *bytes;

    if (cf_packet_reader_look(&play->reader, play->wanted, &found) != CF_PACKET_OK)
        return;
    FUZZ_REQUIRE(found.size >= 1 && found.size <= play->reader.max_packet);
    FUZZ_REQUIRE(found.meta.stream < CUFRAMES_MAX_STREAMS && found.meta.generation != 0);
    bytes = malloc((found.size + 7) / 8 * 8);
    FUZZ_REQUIRE(bytes);
    cf_packet_reader_copy(&play->reader, play->wanted, &found, bytes);
    free(bytes);
}

static void find_starts(struct play *play)
{
    uint64_t oldest, head, start = cf_packet_reader_oldest_start(&play->reader, 8);

    if (!cf_packet_reader_range(&play->reader, &oldest, &head)) {
        FUZZ_REQUIRE(start == CF_PACKET_NONE);
        return;
    }
    FUZZ_REQUIRE(head - oldest <= play->reader.index_size);
    if (start != CF_PACKET_NONE)
        FUZZ_REQUIRE(start >= oldest && start < head);
    start = cf_packet_reader_start_before(&play->reader, (int64_t)play->wanted);
    if (start != CF_PACKET_NONE)
        FUZZ_REQUIRE(start >= oldest && start < head);
    start = cf_packet_reader_newest_start(&play->reader);
    if (start != CF_PACKET_NONE)
        play->wanted = start;
}

static void step(struct play *play, uint8_t operation)
{
    struct cf_packet_page page = {.waiting = 0};
    uint64_t oldest, head;
    uint32_t word;

    switch (operation & 7) {
    case 0:
    case 1:
        read_packet(play);
        play->wanted++;
        break;
    case 2:
        find_starts(play);
        break;
    case 3:
        play->wanted = operation >> 3;
        break;
    case 4:
        if (cf_packet_reader_range(&play->reader, &oldest, &head))
            play->wanted = oldest + (operation >> 3) % (head - oldest + 1);
        break;
    case 5:
        if (cf_packet_reader_prepare_wait(&play->reader, &page, CF_PACKETS_WAITING_FUTEX,
                                          play->wanted, &word))
            cf_packet_reader_end_wait(&page);
        FUZZ_REQUIRE(page.waiting == 0);
        break;
    default:
        /* The publisher changes something, in the constants too. */
        play->memory[(size_t)(operation >> 3) * 37 % play->size] ^= operation;
        break;
    }
}

static void read_ring(const uint8_t *data, size_t size)
{
    struct play play = {.size = RING_SIZE(2U << data[1] % 4)};

    /* Memory that ends with the ring, for sanitizers to watch. */
    play.memory = aligned_alloc(64, play.size);
    FUZZ_REQUIRE(play.memory);
    memset(play.memory, 0, play.size);
    memcpy(play.memory, data + MEMORY, size - MEMORY < play.size ? size - MEMORY : play.size);
    if (cf_packet_reader_init(&play.reader, (void *)play.memory, play.size, NUMBER))
        for (int i = 0; i < OPERATIONS; i++)
            step(&play, data[HEADER + i]);
    free(play.memory);
}

/* ---- descriptions ---- */

static void read_streams(const uint8_t *data, size_t size)
{
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS];
    uint8_t again[CF_STREAMS_MAX_SIZE];
    uint32_t count = 0;

    if (cf_streams_decode(data, size, NUMBER, streams, &count) != 0)
        return;
    FUZZ_REQUIRE(count >= 1 && count <= CUFRAMES_MAX_STREAMS);
    for (uint32_t i = 0; i < count; i++) {
        FUZZ_REQUIRE(streams[i].extradata_size <= CUFRAMES_MAX_EXTRADATA);
        FUZZ_REQUIRE(memchr(streams[i].codec_name, 0, sizeof(streams[i].codec_name)));
    }
    FUZZ_REQUIRE(cf_streams_encode(NUMBER, streams, count, again) == size);
    FUZZ_REQUIRE(memcmp(again, data, size) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < MEMORY)
        return 0;
    if (data[0] & 1)
        read_streams(data + HEADER, size - HEADER);
    else
        read_ring(data, size);
    return 0;
}

/* ---- honest inputs ---- */

static void seed_ring(uint8_t *data, unsigned packets)
{
    const uint32_t index = 2U << data[1] % 4;
    struct cf_packet_writer writer;
    uint8_t *memory = aligned_alloc(64, RING_SIZE(MOST_INDEX));
    uint8_t bytes[MOST_PACKET] = {1, 2, 3};

    FUZZ_REQUIRE(memory);
    memset(memory, 0, RING_SIZE(MOST_INDEX));
    cf_packet_writer_init(&writer, (void *)memory, DATA_SIZE, index, MOST_PACKET, NUMBER, 0);
    for (unsigned i = 0; i < packets; i++) {
        const struct cf_packet_meta meta = {.generation = 1,
                                            .flags = i % 3 ? 0 : CF_PACKET_FLAG_START,
                                            .stream = (uint8_t)(i % 2),
                                            .published_ns = i};

        cf_packet_writer_put(&writer, bytes, 1 + i * 67 % MOST_PACKET, &meta);
    }
    memcpy(data + MEMORY, memory, RING_SIZE(index));
    for (int i = 0; i < OPERATIONS; i++)
        data[HEADER + i] = (uint8_t)(i * 5 + (int)packets);
    free(memory);
}

static size_t seed_streams(uint8_t *data, uint32_t count)
{
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS];

    memset(streams, 0, sizeof(streams));
    for (uint32_t i = 0; i < count; i++) {
        streams[i].type = (cuframes_stream_type_t)(i % 3);
        streams[i].codec_id = 27 + i;
        memcpy(streams[i].codec_name, "h264", 4);
        streams[i].extradata = "extradata";
        streams[i].extradata_size = i;
    }
    return cf_streams_encode(NUMBER, streams, count, data);
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const unsigned packets[] = {0, 1, 5, 40};

    memset(data, 0, HEADER);
    if (index < 8) {
        data[1] = (uint8_t)(index / 4 * 3);
        seed_ring(data, packets[index % 4]);
        return MEMORY + RING_SIZE(2U << data[1] % 4);
    }
    if (index < 11) {
        data[0] = 1;
        return HEADER + seed_streams(data + HEADER, 1 + (index - 8) * 3);
    }
    return 0;
}
