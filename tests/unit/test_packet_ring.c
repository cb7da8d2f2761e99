/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packet ring, one step after the other: every residue of sizes and offsets, both orders of
 * wrapping, what is kept, where reading can start, and readers of rings that are nonsense.
 */
#include <stdlib.h>

#include "harness/harness.h"
#include "ring/packet_reader.h"
#include "ring/packet_writer.h"

struct ring {
    struct cf_packet_writer writer;
    struct cf_packet_reader reader;
    struct cf_packet_ring_header *header;
    size_t size;
};

#define NUMBER 3

static void open_ring(struct ring *ring, uint64_t data_size, uint32_t index_size,
                      uint32_t max_packet, uint64_t first)
{
    ring->size = cf_packet_ring_size(index_size, data_size);
    ring->header = aligned_alloc(4096, (ring->size + 4095) / 4096 * 4096);
    CHECK(ring->header);
    memset(ring->header, 0, ring->size);
    cf_packet_writer_init(&ring->writer, ring->header, data_size, index_size, max_packet, NUMBER,
                          first);
    CHECK(cf_packet_reader_init(&ring->reader, ring->header, ring->size, NUMBER));
}

static void close_ring(struct ring *ring)
{
    free(ring->header);
}

static uint8_t byte_of(uint64_t seq, size_t i)
{
    return (uint8_t)(seq * 31 + i * 7 + (i >> 8));
}

static uint64_t put(struct ring *ring, uint32_t size, uint16_t flags)
{
    const uint64_t seq = ring->writer.head;
    const struct cf_packet_meta meta = {.pts_ns = (int64_t)seq * 3 - 5,
                                        .dts_ns = INT64_MIN,
                                        .duration_ns = 40,
                                        .published_ns = (int64_t)seq * 10,
                                        .generation = 7,
                                        .flags = flags,
                                        .stream = (uint8_t)(seq % CUFRAMES_MAX_STREAMS),
                                        .capture_source = (uint8_t)(seq % 6)};
    uint8_t *bytes = malloc(size);

    CHECK(bytes);
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_of(seq, i);
    CHECK_EQ(cf_packet_writer_put(&ring->writer, bytes, size, &meta), seq);
    free(bytes);
    return seq;
}

static void check_packet(const struct ring *ring, uint64_t seq, uint32_t size)
{
    /* The guard is behind the words that a copy may write. */
    uint8_t *bytes = malloc(size + 8 + 16);
    struct cf_packet_found found;

    CHECK(bytes);
    memset(bytes, 0xee, size + 8 + 16);
    CHECK_EQ(cf_packet_reader_look(&ring->reader, seq, &found), CF_PACKET_OK);
    CHECK_EQ(found.size, size);
    CHECK_EQ(found.meta.pts_ns, (int64_t)seq * 3 - 5);
    CHECK_EQ(found.meta.dts_ns, INT64_MIN);
    CHECK_EQ(found.meta.stream, seq % CUFRAMES_MAX_STREAMS);
    CHECK_EQ(found.meta.capture_source, seq % 6);
    CHECK_EQ(found.meta.generation, 7);
    CHECK(cf_packet_reader_copy(&ring->reader, seq, &found, bytes));
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != byte_of(seq, i))
            FAIL("packet %" PRIu64 " of %u bytes: byte %zu is %02x instead of %02x", seq, size, i,
                 bytes[i], byte_of(seq, i));
    for (size_t i = (size + 7) / 8 * 8; i < size + 8U + 16; i++)
        CHECK_EQ(bytes[i], 0xee);
    free(bytes);
}

/* Every size modulo two lines at every line of the ring, so each place where a packet can go over
 * the end: the end between words of a packet, before its last one, after it. */
TEST(every_size_at_every_offset, .timeout_s = 60)
{
    for (uint32_t lines = 8; lines <= 11; lines++) {
        const uint64_t data_size = lines * (uint64_t)CF_PACKET_ALIGNMENT;
        struct ring ring;

        open_ring(&ring, data_size, 64, (uint32_t)data_size / 2 / 64 * 64, 0);
        for (uint32_t size = 1; size <= 256; size++) {
            for (uint32_t line = 0; line < lines; line++) {
                uint64_t seq = put(&ring, size, 0);

                check_packet(&ring, seq, size);
                /* On by one line, whatever the size was. */
                while (ring.writer.end / CF_PACKET_ALIGNMENT % lines != (line + 1) % lines)
                    check_packet(&ring, put(&ring, 1 + line, 0), 1 + line);
            }
        }
        close_ring(&ring);
    }
}

/* All that is kept can be read, and what is not kept is known to be gone, whichever wraps first. */
static void check_kept(uint64_t data_size, uint32_t index_size, uint32_t most, uint64_t first)
{
    uint32_t sizes[4096];
    struct ring ring;
    uint64_t random = 88172645463325252;

    open_ring(&ring, data_size, index_size, most, first);
    for (uint64_t n = 0; n < 4096; n++) {
        uint64_t oldest, head, room = 0;
        struct cf_packet_found found;

        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        sizes[n] = 1 + (uint32_t)(random % most);
        CHECK_EQ(put(&ring, sizes[n], 0), first + n);
        CHECK(cf_packet_reader_range(&ring.reader, &oldest, &head));
        CHECK_EQ(head, first + n + 1);
        CHECK_LE(oldest, first + n);
        CHECK_LE(head - oldest, index_size);
        for (uint64_t seq = oldest; seq < head; seq++) {
            check_packet(&ring, seq, sizes[seq - first]);
            room += cf_packet_room(sizes[seq - first]);
        }
        CHECK_LE(room, data_size);
        /* No more is given up than has to be. */
        if (oldest > first) {
            CHECK(head - oldest == index_size ||
                  room + cf_packet_room(sizes[oldest - 1 - first]) > data_size);
            CHECK_EQ(cf_packet_reader_look(&ring.reader, oldest - 1, &found), CF_PACKET_GONE);
            CHECK_EQ(cf_packet_reader_look(&ring.reader, first, &found), CF_PACKET_GONE);
        }
        CHECK_EQ(cf_packet_reader_look(&ring.reader, head, &found), CF_PACKET_NOTHING);
    }
    close_ring(&ring);
}

TEST(what_is_kept_when_the_index_wraps_first)
{
    check_kept(64 * 1024, 8, 2000, 0);
}

TEST(what_is_kept_when_the_bytes_wrap_first)
{
    check_kept(4096, 256, 2048, 0);
}

TEST(what_is_kept_when_either_may_wrap_first)
{
    check_kept(4096, 16, 500, 0);
}

TEST(numbers_beyond_32_bits)
{
    check_kept(4096, 16, 500, (UINT64_C(1) << 32) - 100);
}

TEST(starts_are_found)
{
    struct ring ring;

    open_ring(&ring, 64 * 1024, 32, 1024, 0);
    CHECK_EQ(cf_packet_reader_newest_start(&ring.reader), CF_PACKET_NONE);
    CHECK_EQ(cf_packet_reader_oldest_start(&ring.reader, 0), CF_PACKET_NONE);
    CHECK_EQ(cf_packet_reader_start_before(&ring.reader, INT64_MAX), CF_PACKET_NONE);
    for (int i = 0; i < 40; i++)
        put(&ring, 10, i % 10 == 3 ? CF_PACKET_FLAG_START : 0);
    /* 8 to 39 are kept. */
    CHECK_EQ(ring.writer.starts, 3);
    CHECK_EQ(cf_packet_reader_newest_start(&ring.reader), 33);
    CHECK_EQ(cf_packet_reader_oldest_start(&ring.reader, 0), 13);
    CHECK_EQ(cf_packet_reader_oldest_start(&ring.reader, 8), 13);
    CHECK_EQ(cf_packet_reader_oldest_start(&ring.reader, 4), 23);
    CHECK_EQ(cf_packet_reader_start_before(&ring.reader, 330), 33);
    CHECK_EQ(cf_packet_reader_start_before(&ring.reader, 329), 23);
    CHECK_EQ(cf_packet_reader_start_before(&ring.reader, 0), 13);
    for (int i = 0; i < 32; i++)
        put(&ring, 10, 0);
    CHECK_EQ(ring.writer.starts, 0);
    CHECK_EQ(cf_packet_reader_newest_start(&ring.reader), CF_PACKET_NONE);
    CHECK_EQ(cf_packet_reader_oldest_start(&ring.reader, 0), CF_PACKET_NONE);
    close_ring(&ring);
}

/* A larger ring has what the one before kept, at other places and under the same numbers. */
TEST(a_larger_ring_takes_over)
{
    uint32_t sizes[300];
    struct ring small, large;

    open_ring(&small, 4096, 64, 2048, 0);
    for (uint32_t i = 0; i < 300; i++) {
        sizes[i] = 1 + i * 37 % 700;
        put(&small, sizes[i], i % 5 ? 0 : CF_PACKET_FLAG_START);
    }
    open_ring(&large, 8192 + 64, 128, 2048, small.writer.oldest);
    cf_packet_writer_take_over(&large.writer, &small.writer);
    CHECK_EQ(large.writer.head, 300);
    CHECK_EQ(large.writer.oldest, small.writer.oldest);
    CHECK_EQ(large.writer.starts, small.writer.starts);
    CHECK_EQ(cf_packet_reader_newest_start(&large.reader),
             cf_packet_reader_newest_start(&small.reader));
    for (uint64_t seq = small.writer.oldest; seq < 300; seq++)
        check_packet(&large, seq, sizes[seq]);
    check_packet(&large, put(&large, 2048, 0), 2048);
    close_ring(&large);
    close_ring(&small);
}

TEST(rings_of_an_impossible_shape_are_refused)
{
    struct cf_packet_reader reader;
    struct ring ring;

    open_ring(&ring, 4096, 16, 2048, 0);
#define REFUSE(field, value)                                                                       \
    do {                                                                                           \
        __auto_type good = ring.header->field;                                                     \
        ring.header->field = (value);                                                              \
        CHECK(!cf_packet_reader_init(&reader, ring.header, ring.size, NUMBER));                    \
        ring.header->field = good;                                                                 \
    } while (0)
    REFUSE(magic, 0);
    REFUSE(number, NUMBER + 1);
    REFUSE(data_size, 0);
    REFUSE(data_size, 4095);
    REFUSE(data_size, 4096 + 64);
    REFUSE(data_size, UINT64_MAX - 63);
    REFUSE(index_size, 0);
    REFUSE(index_size, 1);
    REFUSE(index_size, 15);
    REFUSE(index_size, 32);
    REFUSE(index_size, UINT32_C(1) << 31);
    REFUSE(max_packet, 0);
    REFUSE(max_packet, 2049);
    REFUSE(max_packet, UINT32_MAX);
#undef REFUSE
    CHECK(!cf_packet_reader_init(&reader, ring.header, ring.size - 1, NUMBER));
    CHECK(!cf_packet_reader_init(&reader, ring.header, 0, NUMBER));
    CHECK(cf_packet_reader_init(&reader, ring.header, ring.size, NUMBER));
    close_ring(&ring);
}

/* A ring that contradicts itself is known as such, and nothing outside it is touched. */
TEST(nonsense_is_told)
{
    struct cf_packet_found found;
    struct cf_packet_entry *entry;
    uint64_t oldest, head;
    struct ring ring;

    open_ring(&ring, 4096, 16, 2048, 0);
    put(&ring, 100, 0);
    entry = &ring.header->index[0];
#define BROKEN(field, value)                                                                       \
    do {                                                                                           \
        __auto_type good = atomic_load(&entry->field);                                             \
        atomic_store(&entry->field, (value));                                                      \
        CHECK_EQ(cf_packet_reader_look(&ring.reader, 0, &found), CF_PACKET_BROKEN);                \
        atomic_store(&entry->field, good);                                                         \
    } while (0)
    BROKEN(size, 0);
    BROKEN(size, 2049);
    BROKEN(size, UINT32_MAX);
    BROKEN(position, 1);
    BROKEN(generation, 0);
    BROKEN(what, UINT32_C(8) << 16);
    BROKEN(what, UINT32_C(6) << 24);
    BROKEN(what, CUFRAMES_PKT_FLAG_GENERATION);
    BROKEN(duration_ns, -1);
#undef BROKEN
    /* Any position that is on a line is inside the ring. */
    atomic_store(&entry->position, UINT64_MAX - 63);
    CHECK_EQ(cf_packet_reader_look(&ring.reader, 0, &found), CF_PACKET_OK);
    {
        uint8_t bytes[104];

        CHECK(cf_packet_reader_copy(&ring.reader, 0, &found, bytes));
    }
    atomic_store(&ring.header->oldest, 5);
    CHECK(!cf_packet_reader_range(&ring.reader, &oldest, &head));
    CHECK_EQ(cf_packet_reader_look(&ring.reader, 0, &found), CF_PACKET_GONE);
    CHECK_EQ(cf_packet_reader_newest_start(&ring.reader), CF_PACKET_NONE);
    CHECK_EQ(cf_packet_reader_oldest_start(&ring.reader, 0), CF_PACKET_NONE);
    atomic_store(&ring.header->oldest, 0);
    atomic_store(&ring.header->head, UINT64_MAX);
    CHECK(cf_packet_reader_range(&ring.reader, &oldest, &head));
    CHECK_EQ(head - oldest, 16);
    CHECK_EQ(cf_packet_reader_look(&ring.reader, 0, &found), CF_PACKET_GONE);
    close_ring(&ring);
}
