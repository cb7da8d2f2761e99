/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared-memory layout of a packet ring, protocol 5. docs/protocol.md describes the same bytes
 * in prose; docs/memory-model.md explains the order of the accesses.
 *
 * Two kinds of memory:
 * - the ring, written by the publisher alone: struct cf_packet_ring_header, an index with one
 *   struct cf_packet_entry for each packet, and the bytes of the packets;
 * - a packet page for each subscriber that reads packets, written by it: struct cf_packet_page.
 *   The publisher treats every value in it as hostile.
 *
 * Readers copy a packet while the publisher may be overwriting it, and look afterwards whether it
 * was. So everything that changes is a lock-free C11 atomic, the bytes of the packets too: they
 * are words of 64 bits.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/frame.h>
#include <cuframes/packet.h>

/* "CUFPKTR5" in memory order on a little-endian machine. */
#define CF_PACKET_RING_MAGIC UINT64_C(0x3552544b50465543)

/* Number of no packet. */
#define CF_PACKET_NONE UINT64_MAX
/* Packets begin at multiples of this in the byte ring. */
#define CF_PACKET_ALIGNMENT 64
/* Limits of one ring, which keep every sum in range. */
#define CF_PACKET_MAX_INDEX     (UINT32_C(1) << 20)
#define CF_PACKET_MAX_DATA_SIZE (UINT64_C(1) << 32)

/* What a publisher can say of a packet; GENERATION is made by the subscriber. */
#define CF_PACKET_FLAGS                                                                            \
    ((uint32_t)(CUFRAMES_PKT_FLAG_KEY | CUFRAMES_PKT_FLAG_CORRUPT |                                \
                CUFRAMES_PKT_FLAG_DISCONTINUITY | CUFRAMES_PKT_FLAG_LAST_IN_AU))
/* Reading can start here: a key frame of the first video stream, or any packet where there is no
 * video. In the ring only. */
#define CF_PACKET_FLAG_START (UINT32_C(1) << 15)

static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics without locks");

/* What is said of one packet. */
struct cf_packet_meta {
    int64_t pts_ns;
    int64_t dts_ns;
    int64_t duration_ns;
    int64_t capture_ns;
    int64_t published_ns;
    uint32_t generation; /* packet generation */
    uint16_t flags;      /* CUFRAMES_PKT_FLAG_… and CF_PACKET_FLAG_START */
    uint8_t stream;
    uint8_t capture_source;
};

struct cf_packet_entry {
    _Atomic uint64_t position; /* of its first byte, counted from the ring's first one */
    _Atomic uint32_t size;
    _Atomic uint32_t generation;
    _Atomic uint32_t what; /* flags, stream << 16, capture source << 24 */
    uint32_t reserved;
    _Atomic int64_t pts_ns;
    _Atomic int64_t dts_ns;
    _Atomic int64_t duration_ns;
    _Atomic int64_t capture_ns;
    _Atomic int64_t published_ns;
};

static_assert(sizeof(struct cf_packet_entry) == 64, "one cache line");
static_assert(offsetof(struct cf_packet_entry, pts_ns) == 24, "layout");

/* What has become of a ring. Only ever goes up. */
enum cf_packet_ring_state {
    CF_PACKET_RING_RUNNING = 0,
    CF_PACKET_RING_SUPERSEDED =
        1,                     /* a larger one has the packets that follow, and the last of these */
    CF_PACKET_RING_CLOSED = 2, /* the publisher has closed the channel */
};

struct cf_packet_ring_header {
    /* Written before the memory is shared, constant afterwards. */
    uint64_t magic;
    uint64_t data_size;  /* bytes, a multiple of CF_PACKET_ALIGNMENT */
    uint32_t index_size; /* entries, a power of two */
    uint32_t max_packet; /* bytes, at most half of data_size */
    uint32_t number;     /* of the ring: 1 for the channel's first, +1 for each larger one */
    uint8_t reserved0[36];

    /* The line that readers read. Packets `oldest` to `head` - 1 are there. */
    _Atomic uint64_t head;
    _Atomic uint64_t oldest;
    _Atomic uint64_t newest_start; /* newest packet at which reading can start, or CF_PACKET_NONE */
    _Atomic uint32_t wake;         /* futex word: +1 for each packet and each change of `state` */
    _Atomic uint32_t state;        /* enum cf_packet_ring_state */
    uint8_t reserved1[32];

    /* Packet n has the entry n modulo index_size. The bytes follow the index. */
    struct cf_packet_entry index[];
};

static_assert(offsetof(struct cf_packet_ring_header, head) == 64, "own cache line");
static_assert(offsetof(struct cf_packet_ring_header, index) == 128, "layout");

/* Where the bytes begin, and bytes of memory in all. */
static inline size_t cf_packet_data_offset(uint32_t index_size)
{
    return sizeof(struct cf_packet_ring_header) + index_size * sizeof(struct cf_packet_entry);
}

static inline size_t cf_packet_ring_size(uint32_t index_size, uint64_t data_size)
{
    return cf_packet_data_offset(index_size) + (size_t)data_size;
}

/* Bytes that a packet takes in the ring. */
static inline uint64_t cf_packet_room(uint32_t size)
{
    return ((uint64_t)size + CF_PACKET_ALIGNMENT - 1) / CF_PACKET_ALIGNMENT * CF_PACKET_ALIGNMENT;
}

/* Whether a ring can have this shape. */
static inline bool cf_packet_shape_ok(uint64_t data_size, uint32_t index_size, uint32_t max_packet)
{
    return data_size >= 2 * CF_PACKET_ALIGNMENT && data_size <= CF_PACKET_MAX_DATA_SIZE &&
           data_size % CF_PACKET_ALIGNMENT == 0 && index_size >= 2 &&
           index_size <= CF_PACKET_MAX_INDEX && (index_size & (index_size - 1)) == 0 &&
           max_packet >= 1 && cf_packet_room(max_packet) <= data_size / 2;
}

/* How a subscriber wants to be woken; bits of cf_packet_page.waiting. */
enum {
    CF_PACKETS_WAITING_FUTEX = 1,
    CF_PACKETS_WAITING_SOCKET = 2,
};

struct cf_packet_page {
    /* The line that the publisher reads with each packet. What changes with each packet is not in
     * it, so that a reader which does not wait leaves it in the publisher's cache. */
    _Atomic uint32_t waiting; /* CF_PACKETS_WAITING_… */
    uint8_t reserved0[60];

    /* For display. */
    _Atomic uint64_t cursor; /* number of the packet it wants next */
    _Atomic uint64_t received;
    _Atomic uint64_t lost;
    uint8_t reserved1[40];
};

static_assert(offsetof(struct cf_packet_page, cursor) == 64, "own cache line");
static_assert(sizeof(struct cf_packet_page) == 128, "two cache lines");
