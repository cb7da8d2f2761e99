/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subscriber's side of a packet ring. Whatever the ring holds is a stranger's: every value is
 * read once, checked, and used from the copy. Nothing here trusts the publisher to keep the
 * protocol; one that does not costs the reader its packets and nothing else.
 */
#pragma once

#include "ring/packet_layout.h"

struct cf_packet_reader {
    const struct cf_packet_ring_header *header;
    const _Atomic uint64_t *data;
    uint64_t data_size;
    uint32_t index_size;
    uint32_t max_packet;
};

/* Where a packet is, and what is said of it; checked. */
struct cf_packet_found {
    uint64_t position;
    uint32_t size; /* 1 to max_packet */
    struct cf_packet_meta meta;
};

enum cf_packet_result {
    CF_PACKET_OK,
    CF_PACKET_NOTHING, /* not published yet */
    CF_PACKET_GONE,    /* overwritten */
    CF_PACKET_BROKEN,  /* the ring contradicts itself */
};

/* Begins to read the ring in `size` mapped bytes; false if it is not a ring of that number. */
bool cf_packet_reader_init(struct cf_packet_reader *r, const struct cf_packet_ring_header *header,
                           size_t size, uint32_t number);

/* Number of the next packet to be published. */
uint64_t cf_packet_reader_head(const struct cf_packet_reader *r);

/* Numbers of the packets that are there: *oldest up to, not including, *head. False: broken. */
bool cf_packet_reader_range(const struct cf_packet_reader *r, uint64_t *oldest, uint64_t *head);

/* Reads what is said of packet `seq`. */
enum cf_packet_result cf_packet_reader_look(const struct cf_packet_reader *r, uint64_t seq,
                                            struct cf_packet_found *found);

/* Copies the bytes of a packet that was found into `to`, which has room for its size rounded up to
 * 8 bytes. False: they were overwritten meanwhile, and what was copied is nonsense. */
bool cf_packet_reader_copy(const struct cf_packet_reader *r, uint64_t seq,
                           const struct cf_packet_found *found, void *to);

/* The newest, or the oldest kept, packet at which reading can start; CF_PACKET_NONE. */
uint64_t cf_packet_reader_newest_start(const struct cf_packet_reader *r);
/* Not among the first of `margin` parts of what is kept; 0 = anywhere. */
uint64_t cf_packet_reader_oldest_start(const struct cf_packet_reader *r, uint32_t margin);
/* The newest of them that was published at `until_ns` or before; else the oldest kept. */
uint64_t cf_packet_reader_start_before(const struct cf_packet_reader *r, int64_t until_ns);

enum cf_packet_ring_state cf_packet_reader_state(const struct cf_packet_reader *r);
/* Whether packet `wanted` or a later one is there. */
bool cf_packet_reader_has(const struct cf_packet_reader *r, uint64_t wanted);

/* Says in `page` how to be woken (CF_PACKETS_WAITING_…). False, with nothing said: there is news.
 * True: sleep on *word, or poll the wake socket, and then end the wait. */
bool cf_packet_reader_prepare_wait(const struct cf_packet_reader *r, struct cf_packet_page *page,
                                   uint32_t how, uint64_t wanted, uint32_t *word);
/* Sleeps until the word changes or the deadline; 0 or a negative errno as cf_futex_wait(). */
int cf_packet_reader_sleep(const struct cf_packet_reader *r, uint32_t word, int64_t deadline_ns);
void cf_packet_reader_end_wait(struct cf_packet_page *page);
