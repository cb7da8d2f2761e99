/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publisher's side of a frame ring: which slot may be written, and announcing frames.
 *
 * No sockets, no memory mapping, no locks and no waiting in here. The owner (src/channel) makes
 * sure that one thread at a time calls these functions, and that the peers' pages stay mapped.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ring/layout.h"

/* A subscriber as the ring sees it. */
struct cf_ring_peer {
    struct cf_hold_page *page;
    int wake_socket; /* -1 = has none; sent to when the peer waits with CF_WAITING_SOCKET */
    bool in_order;   /* its cursor counts under the wait policy */
};

struct cf_ring_peers {
    uint32_t count;
    struct cf_ring_peer peers[CUFRAMES_MAX_SUBSCRIBERS];
};

/* Links of one slot in the order list; an index of the slot table or CF_NO_SLOT. */
#define CF_NO_SLOT UINT32_MAX

/* What the publisher knows of a slot and need not read back from shared memory. */
struct cf_writer_slot {
    uint64_t seq;        /* CF_SEQ_INVALID unless published */
    uint32_t refs;       /* the publisher's own claims: acquired, or still read by a decoder */
    uint32_t next, prev; /* order list of published slots, oldest first */
};

struct cf_ring_writer {
    struct cf_ring_header *header;
    uint32_t slot_count;
    uint32_t newest; /* slot of the newest frame, CF_NO_SLOT before the first */
    uint64_t next_seq;
    uint64_t discontinuities;  /* frames so far that were one */
    uint32_t oldest, youngest; /* ends of the order list */
    struct cf_writer_slot slots[CUFRAMES_MAX_SLOTS];
};

/* What is said about a frame as it is published. The shape of struct cf_ring_slot, checked. */
struct cf_ring_meta {
    int64_t pts_ns;
    int64_t capture_ns;
    int64_t published_ns;
    uint32_t flags;
    uint32_t capture_source;
    uint8_t color[4];
    uint32_t user_size;
    int32_t crop[4];
    uint64_t packet_seq;
    const void *user;
};

/* Initialises `header` (cf_ring_size(slot_count) zeroed bytes) and the writer over it. The first
 * sequence number is 0 unless one of the next two says otherwise, before the memory is shared. */
void cf_writer_init(struct cf_ring_writer *w, struct cf_ring_header *header, uint32_t slot_count,
                    uint32_t generation);
void cf_writer_start(struct cf_ring_writer *w, uint64_t first_seq);
/* Goes on where another generation's ring ended: sequence numbers, discontinuities. */
void cf_writer_follow(struct cf_ring_writer *w, const struct cf_ring_writer *previous);

/* Why cf_writer_acquire() found nothing. */
struct cf_ring_blocker {
    uint32_t slot; /* that it could not have; CF_NO_SLOT if the publisher has them all */
    uint32_t peer; /* index of one subscriber in the way of it */
    bool late;     /* that subscriber is in order and has yet to take the slot's frame */
};

/*
 * Finds a slot that may be written, claims it (refs = 1) and returns its number: one that never
 * held a frame, else the oldest frame that nobody needs. CF_NO_SLOT if there is none, with the
 * reason in *blocker: the oldest frame that somebody is late for, else the oldest that is held.
 * With `wait_for_order`, frames that an in-order peer has yet to take (is late for) are needed.
 */
uint32_t cf_writer_acquire(struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                           bool wait_for_order, struct cf_ring_blocker *blocker);

/* Claims that very slot, if nobody needs it and it is not the newest frame. */
bool cf_writer_claim(struct cf_ring_writer *w, const struct cf_ring_peers *peers, uint32_t slot,
                     bool wait_for_order);

/*
 * For each slot that only peers are in the way of: the slot and the first of them. Returns how
 * many there are; 0 also when some slot is in nobody's way by now. Until one of these peers lets
 * something go, cf_writer_acquire() finds nothing.
 */
uint32_t cf_writer_blockers(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                            bool wait_for_order,
                            struct cf_ring_blocker blockers[CUFRAMES_MAX_SLOTS]);

/* Whether peer `index` is in the way of taking `slot`. */
bool cf_writer_blocks(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                      uint32_t index, uint32_t slot, bool wait_for_order);

/* Whether peer `index` is in order and has yet to take the frame of `slot`. */
bool cf_writer_late(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                    uint32_t index, uint32_t slot);

/* One claim more or less. The last one of an unpublished slot makes it free. */
void cf_writer_ref(struct cf_ring_writer *w, uint32_t slot);
void cf_writer_unref(struct cf_ring_writer *w, uint32_t slot);

/* Announces an acquired, unpublished slot as the next frame, wakes who waits, and returns its
 * sequence number. The frame's memory must be complete before. */
uint64_t cf_writer_publish(struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                           uint32_t slot, const struct cf_ring_meta *meta);

/* Ends the ring with `state` and wakes everybody. */
void cf_writer_end(struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                   enum cf_ring_state state);

/* Says in the header whether the publisher is about to sleep for its peers (see layout.h). Who wants
 * to sleep says so first, reads the peers' ack words, calls cf_writer_acquire() or
 * cf_writer_blockers() once more, and sleeps on the words of all that are in the way. */
void cf_writer_set_waiting(struct cf_ring_writer *w, bool waits);

/* Tells a peer that its page no longer counts, before the caller takes it out of the set; wakes a
 * publisher thread that sleeps for it. `error` is a cuframes error number. */
void cf_hold_page_revoke(struct cf_hold_page *page, int error);

/* Number of slots that `page` holds now. */
uint32_t cf_hold_page_count(const struct cf_hold_page *page, uint32_t slot_count);

/*
 * How many slots a page held all through three looks at it; *restless: the looks differed. While
 * the publisher publishes and reclaims nothing, an honest subscriber never has more here than it
 * holds at once. Its words change by letting go (of a frame that it cannot find again), by one
 * hold that meets a slot in the moment of its reclaim (after which it finds what it looks for), and
 * by holds that stay. A word that was set in the first look by such a passing hold is a staying one
 * if it is set in the second; so what is set in all three was held together between the second and
 * the third.
 */
uint32_t cf_hold_page_claims(const struct cf_hold_page *page, uint32_t slot_count, bool *restless);
