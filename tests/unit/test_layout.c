/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared memory is laid out as docs/protocol.md says: these numbers are those of its tables.
 */
#include "harness/harness.h"

#include "ring/layout.h"
#include "ring/packet_layout.h"
#include "wire/streams.h"

#define AT(structure, field, offset, size)                                                         \
    do {                                                                                           \
        CHECK_EQ(offsetof(struct structure, field), offset);                                       \
        CHECK_EQ(sizeof(((struct structure *)0)->field), size);                                    \
    } while (0)

TEST(control_memory_is_that_of_the_document)
{
    AT(cf_ring_header, magic, 0, 8);
    AT(cf_ring_header, slot_count, 8, 4);
    AT(cf_ring_header, generation, 12, 4);
    AT(cf_ring_header, first_seq, 16, 8);
    AT(cf_ring_header, newest, 64, 8);
    AT(cf_ring_header, wake, 72, 4);
    AT(cf_ring_header, state, 76, 4);
    AT(cf_ring_header, publisher_waits, 80, 4);
    AT(cf_ring_header, dropped, 88, 8);
    AT(cf_ring_header, index, 128, 1024);
    CHECK_EQ(offsetof(struct cf_ring_header, slots), 1152);
    CHECK_EQ(sizeof(struct cf_ring_slot), 1152);
    CHECK_EQ(cf_ring_size(1), 2 * 1152);
    CHECK_EQ(cf_ring_size(64), 65 * 1152);
}

TEST(slot_is_that_of_the_document)
{
    AT(cf_ring_slot, seq, 0, 8);
    AT(cf_ring_slot, pts_ns, 8, 8);
    AT(cf_ring_slot, capture_ns, 16, 8);
    AT(cf_ring_slot, published_ns, 24, 8);
    AT(cf_ring_slot, flags, 32, 4);
    AT(cf_ring_slot, capture_source, 36, 4);
    AT(cf_ring_slot, color, 40, 4);
    AT(cf_ring_slot, user_size, 44, 4);
    AT(cf_ring_slot, crop, 48, 16);
    AT(cf_ring_slot, discontinuities, 64, 8);
    AT(cf_ring_slot, packet_seq, 72, 8);
    AT(cf_ring_slot, user, 128, 1024);
}

TEST(hold_page_is_that_of_the_document)
{
    AT(cf_hold_page, cursor, 0, 8);
    AT(cf_hold_page, waiting, 8, 4);
    AT(cf_hold_page, ack, 12, 4);
    AT(cf_hold_page, received, 16, 8);
    AT(cf_hold_page, missed, 24, 8);
    AT(cf_hold_page, revoked, 32, 4);
    AT(cf_hold_page, releasing, 36, 4);
    AT(cf_hold_page, holds, 64, 256);
    CHECK_EQ(sizeof(struct cf_hold_page), 320);
}

TEST(packet_ring_is_that_of_the_document)
{
    AT(cf_packet_ring_header, magic, 0, 8);
    AT(cf_packet_ring_header, data_size, 8, 8);
    AT(cf_packet_ring_header, index_size, 16, 4);
    AT(cf_packet_ring_header, max_packet, 20, 4);
    AT(cf_packet_ring_header, number, 24, 4);
    AT(cf_packet_ring_header, head, 64, 8);
    AT(cf_packet_ring_header, oldest, 72, 8);
    AT(cf_packet_ring_header, newest_start, 80, 8);
    AT(cf_packet_ring_header, wake, 88, 4);
    AT(cf_packet_ring_header, state, 92, 4);
    CHECK_EQ(offsetof(struct cf_packet_ring_header, index), 128);
    AT(cf_packet_entry, position, 0, 8);
    AT(cf_packet_entry, size, 8, 4);
    AT(cf_packet_entry, generation, 12, 4);
    AT(cf_packet_entry, what, 16, 4);
    AT(cf_packet_entry, pts_ns, 24, 8);
    AT(cf_packet_entry, dts_ns, 32, 8);
    AT(cf_packet_entry, duration_ns, 40, 8);
    AT(cf_packet_entry, capture_ns, 48, 8);
    AT(cf_packet_entry, published_ns, 56, 8);
    CHECK_EQ(sizeof(struct cf_packet_entry), 64);
    CHECK_EQ(cf_packet_data_offset(16), 128 + 16 * 64);
    CHECK_EQ(cf_packet_ring_size(16, 4096), 128 + 16 * 64 + 4096);
    AT(cf_packet_page, waiting, 0, 4);
    AT(cf_packet_page, cursor, 64, 8);
    AT(cf_packet_page, received, 72, 8);
    AT(cf_packet_page, lost, 80, 8);
    CHECK_EQ(sizeof(struct cf_packet_page), 128);
}

TEST(values_are_those_of_the_document)
{
    const uint64_t magic = CF_RING_MAGIC;

    CHECK_MEM_EQ(&magic, "CUFRING5", 8);
    CHECK_EQ(magic, UINT64_C(0x35474e4952465543));
    const uint64_t packet_magic = CF_PACKET_RING_MAGIC, streams_magic = CF_STREAMS_MAGIC;

    CHECK_MEM_EQ(&packet_magic, "CUFPKTR5", 8);
    CHECK_MEM_EQ(&streams_magic, "CUFSTRM5", 8);
    CHECK_EQ(CF_PACKET_FLAG_START, 1 << 15);
    CHECK_EQ(CF_PACKETS_WAITING_FUTEX, 1);
    CHECK_EQ(CF_PACKETS_WAITING_SOCKET, 2);
    CHECK_EQ(CF_PACKET_RING_SUPERSEDED, 1);
    CHECK_EQ(CF_PACKET_RING_CLOSED, 2);
    CHECK_EQ(CF_RING_RUNNING, 0);
    CHECK_EQ(CF_RING_SUPERSEDED, 1);
    CHECK_EQ(CF_RING_CLOSED, 2);
    CHECK_EQ(CF_WAITING_FUTEX, 1);
    CHECK_EQ(CF_WAITING_SOCKET, 2);
    CHECK_EQ(cf_ref_make(5, 3), 5 << 6 | 3);
    CHECK_EQ(cf_ref_seq(cf_ref_make(CF_SEQ_LIMIT - 1, 63)), CF_SEQ_LIMIT - 1);
    CHECK_EQ(cf_ref_slot(cf_ref_make(CF_SEQ_LIMIT - 1, 63)), 63);
    CHECK_EQ(CF_SEQ_LIMIT, (UINT64_C(1) << 58) - 1);
    CHECK_NE(cf_ref_make(CF_SEQ_LIMIT - 1, 63), CF_SEQ_INVALID);
    CHECK_EQ(CF_SEQ_INVALID, UINT64_MAX);
}
