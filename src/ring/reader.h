/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subscriber's side of a frame ring: finding a frame, holding it, letting it go, and telling
 * the publisher that it waits.
 *
 * No sockets, no mapping, no locks. The control memory is read-only and may be hostile: every
 * slot number that comes out of it is checked. One thread at a time calls the functions that look
 * for frames; cf_reader_let_go() may be called from any thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "ring/layout.h"

struct cf_ring_reader {
    const struct cf_ring_header *header;
    struct cf_hold_page *page;
    uint32_t slot_count;
    bool notify_publisher; /* wait policy: the publisher may sleep for this subscriber */
};

/* A frame that is held. */
struct cf_ring_hold {
    uint64_t seq;
    uint32_t slot;
};

enum cf_hold_result {
    CF_HOLD_OK = 0,
    CF_HOLD_NOTHING, /* no such frame yet */
    CF_HOLD_BROKEN,  /* the ring says things that cannot be */
};

/* Checks a ring of `size` mapped bytes against what the publisher described. */
bool cf_reader_init(struct cf_ring_reader *r, const struct cf_ring_header *header, size_t size,
                    struct cf_hold_page *page, uint32_t slot_count, uint32_t generation);

/* Sequence number of the newest frame, or CF_SEQ_INVALID. */
uint64_t cf_reader_newest(const struct cf_ring_reader *r);

enum cf_ring_state cf_reader_state(const struct cf_ring_reader *r);

/* Holds the newest frame if its sequence number is at least `wanted`. */
enum cf_hold_result cf_reader_hold_newest(struct cf_ring_reader *r, uint64_t wanted,
                                          struct cf_ring_hold *held);

/* Holds the frame `wanted`, or the oldest one after it that is still there. */
enum cf_hold_result cf_reader_hold_next(struct cf_ring_reader *r, uint64_t wanted,
                                        struct cf_ring_hold *held);

/* In-order subscribers: says that every frame before `wanted` is done with or held. */
void cf_reader_advance(struct cf_ring_reader *r, uint64_t wanted);

/* 0, or the (negative) error with which the publisher has withdrawn this subscriber's protection.
 * Covers every read that the caller made before. Any thread. */
int cf_reader_revoked(const struct cf_ring_reader *r);

/* Before and after a GPU clears a hold word of this page by itself: a publisher that waits for this
 * subscriber looks again without being told. Any thread. */
void cf_reader_begin_release(struct cf_ring_reader *r);
void cf_reader_end_release(struct cf_ring_reader *r);

/* Ends a hold. Any thread. */
void cf_reader_let_go(struct cf_ring_reader *r, uint32_t slot);

/*
 * Announces that this subscriber is about to sleep (`how`: CF_WAITING_…) until there is a frame
 * `wanted` or later. False: there is one already, or the ring has ended; do not sleep. True: sleep
 * with cf_reader_sleep(r, *word, …) or on the wake socket; then call cf_reader_end_wait().
 */
bool cf_reader_prepare_wait(struct cf_ring_reader *r, uint32_t how, uint64_t wanted,
                            uint32_t *word);
/* Sleeps until woken, `deadline_ns`, or a signal; 0 or a negative errno as cf_futex_wait(). */
int cf_reader_sleep(struct cf_ring_reader *r, uint32_t word, int64_t deadline_ns);
void cf_reader_end_wait(struct cf_ring_reader *r);
