/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The shared-memory layout of a frame ring, protocol 5. docs/protocol.md describes the same bytes
 * in prose; docs/memory-model.md explains the order of the accesses.
 *
 * Two kinds of memory:
 * - the control memory, one for each generation of a channel, written by the publisher alone:
 *   struct cf_ring_header, then one struct cf_ring_slot for each slot;
 * - a hold page for each subscriber and generation, written by that subscriber (and, in the word
 *   `revoked`, by the publisher): struct cf_hold_page. The publisher treats every value in it as
 *   hostile.
 *
 * Values are in the byte order of the host: both sides run on one machine. All shared words that
 * are read while they are written are lock-free C11 atomics.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/base.h>
#include <cuframes/frame.h>

#define CF_CACHE_LINE 64

/* "CUFRING5" in memory order on a little-endian machine. */
#define CF_RING_MAGIC UINT64_C(0x35474e4952465543)

/* Sequence number of a slot that holds no frame, and value of `newest` before the first. */
#define CF_SEQ_INVALID UINT64_MAX
/* Bits of a reference (a sequence number and its slot in one word) that number the slot. */
#define CF_REF_SLOT_BITS 6
/* Sequence numbers stay below this: 58 bits, 9 million years at 1000 frames a second. The last one
 * of 58 bits is left out, because its reference with slot 63 would be CF_SEQ_INVALID. */
#define CF_SEQ_LIMIT ((UINT64_C(1) << (64 - CF_REF_SLOT_BITS)) - 1)
/* Entries of the index that finds the slot of a sequence number; a power of two. */
#define CF_INDEX_SIZE 128

static_assert(CUFRAMES_MAX_SLOTS <= 1 << CF_REF_SLOT_BITS, "a reference can name every slot");
static_assert(CF_INDEX_SIZE >= CUFRAMES_MAX_SLOTS, "the newest frames all have an index entry");
static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "atomics without locks");

static inline uint64_t cf_ref_make(uint64_t seq, uint32_t slot)
{
    return seq << CF_REF_SLOT_BITS | slot;
}

static inline uint64_t cf_ref_seq(uint64_t ref)
{
    return ref >> CF_REF_SLOT_BITS;
}

static inline uint32_t cf_ref_slot(uint64_t ref)
{
    return (uint32_t)(ref & ((1U << CF_REF_SLOT_BITS) - 1));
}

/* What has become of a ring. Only ever goes up. */
enum cf_ring_state {
    CF_RING_RUNNING = 0,
    CF_RING_SUPERSEDED = 1, /* a newer generation exists; no frame will be added here */
    CF_RING_CLOSED = 2,     /* the publisher has closed the channel */
};

/* What a publisher can say of a frame; the other flags are made by the subscriber. */
#define CF_FRAME_FLAGS                                                                             \
    ((uint32_t)(CUFRAMES_FRAME_DISCONTINUITY | CUFRAMES_FRAME_CORRUPT | CUFRAMES_FRAME_KEY |       \
                CUFRAMES_FRAME_PACKET | CUFRAMES_FRAME_INTERLACED |                                \
                CUFRAMES_FRAME_TOP_FIELD_FIRST))

/* One slot's frame. Everything but `seq` is plain data under the hold protocol: the publisher
 * writes it only while `seq` is invalid and nobody holds the slot. */
struct cf_ring_slot {
    _Atomic uint64_t seq; /* CF_SEQ_INVALID or the sequence number of the frame */
    int64_t pts_ns;
    int64_t capture_ns;
    int64_t published_ns;
    uint32_t flags;
    uint32_t capture_source;
    uint8_t color[4]; /* matrix, primaries, transfer, range */
    uint32_t user_size;
    int32_t crop[4]; /* x, y, width, height */
    /* How many frames of the channel had CUFRAMES_FRAME_DISCONTINUITY, this one included. A
     * subscriber that missed such a frame learns of it from the next one. */
    uint64_t discontinuities;
    uint64_t packet_seq; /* with CUFRAMES_FRAME_PACKET: packet that it was decoded from */
    uint8_t reserved[48];
    uint8_t user[CUFRAMES_MAX_USER_DATA];
};

static_assert(sizeof(struct cf_ring_slot) == 128 + CUFRAMES_MAX_USER_DATA, "no hidden padding");
static_assert(offsetof(struct cf_ring_slot, crop) == 48, "layout");
static_assert(offsetof(struct cf_ring_slot, discontinuities) == 64, "layout");
static_assert(offsetof(struct cf_ring_slot, user) == 128, "layout");

struct cf_ring_header {
    /* Written before the memory is shared, constant afterwards. */
    uint64_t magic;
    uint32_t slot_count;
    uint32_t generation;
    uint64_t first_seq; /* sequence number of the generation's first frame */
    uint8_t reserved0[40];

    /* The line that a polling subscriber reads. */
    _Atomic uint64_t newest; /* reference of the newest frame, or CF_SEQ_INVALID */
    _Atomic uint32_t wake;   /* futex word: +1 for each frame and each change of `state` */
    _Atomic uint32_t state;  /* enum cf_ring_state */
    /* Not 0: the publisher sleeps until a subscriber lets go, see cf_reader_let_go(). */
    _Atomic uint32_t publisher_waits;
    uint32_t reserved1;
    _Atomic uint64_t dropped; /* frames that found no free slot; for display */
    uint8_t reserved2[32];

    /* Reference of the newest frame whose sequence number is i modulo CF_INDEX_SIZE. A hint: what
     * it says is true only if the slot's `seq` agrees under a hold. */
    _Atomic uint64_t index[CF_INDEX_SIZE];

    struct cf_ring_slot slots[];
};

static_assert(offsetof(struct cf_ring_header, newest) == CF_CACHE_LINE, "own cache line");
static_assert(offsetof(struct cf_ring_header, index) == 2 * CF_CACHE_LINE, "layout");
static_assert(offsetof(struct cf_ring_header, slots) == 2 * CF_CACHE_LINE + 8 * CF_INDEX_SIZE,
              "layout");

/* Bytes of control memory for a ring of `slots` slots. */
static inline size_t cf_ring_size(uint32_t slots)
{
    return sizeof(struct cf_ring_header) + slots * sizeof(struct cf_ring_slot);
}

/* How a subscriber wants to be woken; bits of cf_hold_page.waiting. */
enum {
    CF_WAITING_FUTEX = 1,
    CF_WAITING_SOCKET = 2,
};

struct cf_hold_page {
    _Atomic uint64_t cursor;  /* strict order: the sequence number it wants next */
    _Atomic uint32_t waiting; /* CF_WAITING_… */
    _Atomic uint32_t ack; /* futex word the publisher sleeps on: +1 when it lets go of a frame */
    _Atomic uint64_t received;
    _Atomic uint64_t missed;
    /* Written by the publisher: not 0 (a cuframes error number, positive) once it no longer heeds
     * this page. Holds placed or kept from then on protect nothing. */
    _Atomic uint32_t revoked;
    /* Not 0 while the subscriber leaves it to a GPU to clear hold words, which the GPU does without
     * touching `ack`: a publisher that waits for this subscriber looks again by itself. */
    _Atomic uint32_t releasing;
    uint8_t reserved[24];
    /* One word for each slot, not 0 while the subscriber holds it. Words, not bits, so that a GPU
     * can clear one with a stream-ordered write and several holds do not contend. */
    _Atomic uint32_t holds[CUFRAMES_MAX_SLOTS];
};

static_assert(offsetof(struct cf_hold_page, holds) == CF_CACHE_LINE, "own cache lines");
static_assert(sizeof(struct cf_hold_page) <= 4096, "one page");
