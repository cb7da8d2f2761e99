/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame ring in plain memory of one process: a writer, its peers' pages, and a reader for each.
 */
#pragma once

#include <stdlib.h>

#include "harness/harness.h"
#include "ring/reader.h"
#include "ring/writer.h"

struct ring {
    struct cf_ring_writer writer;
    struct cf_ring_peers peers;
    struct cf_ring_reader readers[CUFRAMES_MAX_SUBSCRIBERS];
    struct cf_ring_header *header;
    struct cf_hold_page *pages;
    size_t size;
};

enum { RING_GENERATION = 7 };

static inline void *ring_memory(size_t size)
{
    size_t rounded = (size + 4095) / 4096 * 4096;
    void *memory = aligned_alloc(4096, rounded);

    CHECK(memory);
    memset(memory, 0, rounded);
    return memory;
}

/* Pages are made for the most subscribers, so that tests can add some. */
static inline struct ring *ring_new(uint32_t slots, uint32_t peers)
{
    struct ring *ring = ring_memory(sizeof(*ring));

    ring->size = cf_ring_size(slots);
    ring->header = ring_memory(ring->size);
    ring->pages = ring_memory(CUFRAMES_MAX_SUBSCRIBERS * sizeof(*ring->pages));
    cf_writer_init(&ring->writer, ring->header, slots, RING_GENERATION);
    ring->peers.count = peers;
    for (uint32_t i = 0; i < peers; i++) {
        ring->peers.peers[i] = (struct cf_ring_peer){.page = &ring->pages[i], .wake_socket = -1};
        CHECK(cf_reader_init(&ring->readers[i], ring->header, ring->size, &ring->pages[i], slots,
                             RING_GENERATION));
    }
    return ring;
}

static inline void ring_free(struct ring *ring)
{
    free(ring->header);
    free(ring->pages);
    free(ring);
}

static inline uint32_t ring_acquire(struct ring *ring)
{
    struct cf_ring_blocker blocker;

    return cf_writer_acquire(&ring->writer, &ring->peers, false, &blocker);
}

static inline uint64_t ring_announce(struct ring *ring, uint32_t slot)
{
    struct cf_ring_meta meta = {.pts_ns = (int64_t)ring->writer.next_seq};
    uint64_t seq = cf_writer_publish(&ring->writer, &ring->peers, slot, &meta);

    cf_writer_unref(&ring->writer, slot);
    return seq;
}

/* Publishes one frame; there must be a slot for it. Gives the slot. */
static inline uint32_t ring_publish(struct ring *ring)
{
    uint32_t slot = ring_acquire(ring);

    CHECK_NE(slot, CF_NO_SLOT);
    ring_announce(ring, slot);
    return slot;
}

static inline void ring_publish_many(struct ring *ring, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        ring_publish(ring);
}

/* Holds the newest frame, which must be `seq`. Gives the slot. */
static inline uint32_t ring_hold_newest(struct ring *ring, uint32_t reader, uint64_t seq)
{
    struct cf_ring_hold held;

    CHECK_EQ(cf_reader_hold_newest(&ring->readers[reader], seq, &held), CF_HOLD_OK);
    CHECK_EQ(held.seq, seq);
    return held.slot;
}
