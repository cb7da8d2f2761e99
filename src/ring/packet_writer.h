/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publisher's side of a packet ring. No sockets but wake sockets, no locks and no waiting in
 * here: the owner (src/channel) makes sure that one thread at a time calls these functions.
 */
#pragma once

#include <cuframes/base.h>

#include "ring/packet_layout.h"

struct cf_packet_writer {
    struct cf_packet_ring_header *header;
    _Atomic uint64_t *data;
    uint64_t data_size;
    uint32_t index_size;
    /* The header's words of the same names; the publisher need not read them back. */
    uint64_t head;
    uint64_t oldest;
    uint64_t end;    /* position behind the newest packet */
    uint64_t starts; /* how many of the kept packets reading can start at */
};

/* A subscriber as the ring sees it. */
struct cf_packet_peer {
    struct cf_packet_page *page;
    int wake_socket; /* -1 = has none; sent to when the peer waits with CF_PACKETS_WAITING_SOCKET */
};

struct cf_packet_peers {
    uint32_t count;
    struct cf_packet_peer peers[CUFRAMES_MAX_SUBSCRIBERS];
};

/* Initialises `header` (cf_packet_ring_size() zeroed bytes of a shape that is in order) and the
 * writer over it. The first packet will have the number `first`. */
void cf_packet_writer_init(struct cf_packet_writer *w, struct cf_packet_ring_header *header,
                           uint64_t data_size, uint32_t index_size, uint32_t max_packet,
                           uint32_t number, uint64_t first);

/* Number of the oldest packet that stays when one of `size` bytes is added; at most `head`. */
uint64_t cf_packet_writer_oldest_beside(const struct cf_packet_writer *w, uint32_t size);

/* Gives up the packets before `oldest`. */
void cf_packet_writer_forget(struct cf_packet_writer *w, uint64_t oldest);

/* Adds a packet of 1 to max_packet bytes and returns its number. Wakes nobody. */
uint64_t cf_packet_writer_put(struct cf_packet_writer *w, const void *data, uint32_t size,
                              const struct cf_packet_meta *meta);

/* Adds the packets that `from` keeps, from its `oldest` on, under their numbers. Must fit. */
void cf_packet_writer_take_over(struct cf_packet_writer *w, const struct cf_packet_writer *from);

/* Position of the first byte of a packet that is kept. */
uint64_t cf_packet_writer_position(const struct cf_packet_writer *w, uint64_t seq);
/* Position of the first byte of a packet that is kept. */
uint64_t cf_packet_writer_position(const struct cf_packet_writer *w, uint64_t seq);
/* What was said of a packet that is kept. */
struct cf_packet_meta cf_packet_writer_meta(const struct cf_packet_writer *w, uint64_t seq);

/* Wakes every peer that said it waits. */
void cf_packet_writer_wake(struct cf_packet_writer *w, const struct cf_packet_peers *peers);

/* Ends the ring with `state` and wakes everybody. */
void cf_packet_writer_end(struct cf_packet_writer *w, const struct cf_packet_peers *peers,
                          enum cf_packet_ring_state state);
