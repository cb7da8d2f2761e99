/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets in the hands of a program, and the buffers that they are made of. A packet is a copy of
 * its own: it stays valid whatever becomes of the ring, of the subscriber and of the publisher.
 * Buffers that come back are used again, because getting memory of a megabyte from the system, and
 * touching it for the first time, costs more than the copy.
 */
#pragma once

#include <cuframes/packet.h>

#include "ring/packet_reader.h"

/* Bytes of zero behind a packet's own. */
#define CF_PACKET_PADDING 64

struct cf_packet_pool;

struct cuframes_packet {
    struct cf_packet_pool *pool;
    struct cuframes_packet *next; /* while it is free */
    uint32_t class;               /* of its size */
    uint32_t size;
    uint64_t seq;
    uint64_t lost;
    uint32_t flags;
    struct cf_packet_meta meta;
    _Alignas(CF_PACKET_ALIGNMENT) uint8_t data[];
};

struct cf_packet_pool *cf_packet_pool_new(void);
/* Drops the subscriber's reference; packets that are out keep theirs. NULL is fine. */
void cf_packet_pool_unref(struct cf_packet_pool *pool);

/* A packet with room for `size` bytes, a line more and the padding, which is zeroed. NULL = out of
 * memory. */
cuframes_packet_t *cf_packet_new(struct cf_packet_pool *pool, uint32_t size);
/* Gives it back. Any thread. */
void cf_packet_free(cuframes_packet_t *packet);
