/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets on a subscriber's side. A source is what one attachment to a publisher gives: its ring,
 * a page to be woken by, and the descriptions of the packet generations.
 *
 * Threads: the messages that make and change a source are taken by whichever thread listens, under
 * the subscriber's lock; it only adds (`next_source`, `next_ring`, to the end of `streams`). The
 * thread that reads packets moves on to what was added, and takes away, under the lock. All else
 * is that thread's alone, so that giving a packet takes no lock.
 */
#pragma once

#include <cuframes/packet.h>

#include "base/shm.h"
#include "ring/packet_reader.h"
#include "wire/message.h"

struct cf_packet_pool;

/* Descriptions that are kept for packets to come: while there are as many, the publisher is not
 * told to send more. What it sends unasked as it closes may come on top. */
#define CF_STREAMS_LISTED   32
#define CF_STREAMS_UNLISTED 32

/* One ring, mapped. */
struct cf_packet_view {
    struct cf_map map;
    struct cf_packet_reader reader;
};

/* One packet generation: a copy of this process's own, checked. */
struct cf_packet_streams {
    struct cf_packet_streams *next;
    uint32_t generation;
    uint32_t count;
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS];
    uint8_t bytes[]; /* that the extradata points into */
};

struct cf_packet_source {
    uint32_t newest_generation; /* when it was made; 0 = none yet */
    struct cf_map page;
    struct cf_packet_view *ring;
    /* Under the lock. */
    int wake_socket; /* -1 = none */
    struct cf_packet_view *next_ring;
    struct cf_packet_streams *streams; /* oldest first */
    uint32_t streams_count;
    bool owes_answer; /* the publisher waits to hear that the newest of them was taken */
};

/* The part of a subscriber that is about packets. */
struct cf_subscriber_packets {
    cuframes_packet_options_t options;

    /* Under the lock. */
    bool asked;    /* PACKETS may come */
    bool answered; /* and has come */
    bool enabled;
    struct cf_packet_source *next_source;

    /* The reading thread's. */
    struct cf_packet_source *source;
    const struct cf_packet_streams *current; /* of the newest packet given; NULL before */
    struct cf_packet_pool *pool;
    bool skipping;    /* to the next packet at which reading can start */
    bool overrun;     /* since an overrun, which began at `overrun_from` */
    uint32_t missing; /* generation whose description has not come yet; 0 = none */
    uint32_t flags;   /* for the next packet */
    uint64_t wanted;  /* number of the packet it looks for next */
    uint64_t overrun_from;
    uint64_t lost; /* to tell with the next packet */
    _Atomic uint64_t received, total_lost;
};

/* packet_source.c */

/* Asks for packets over the connection that has just been made. */
int cf_packet_source_ask(cuframes_subscriber_t *subscriber, bool wait);
/* Takes PACKETS, PACKET_RING or STREAMS; consumes the descriptors. Under the lock. */
int cf_packet_source_take(cuframes_subscriber_t *subscriber, const struct cf_message *message,
                          int *fds, size_t fd_count);
/* The connection is lost: nothing wakes any more; what the ring has can still be read. */
void cf_packet_source_orphan(cuframes_subscriber_t *subscriber);
/* Nothing of the source can be trusted: forgets it. Under the lock. */
void cf_packet_source_drop(cuframes_subscriber_t *subscriber);
/* Goes on with `next_source`, with `next_ring`. Under the lock. */
void cf_packet_source_follow(cuframes_subscriber_t *subscriber);
void cf_packet_source_follow_ring(struct cf_packet_source *source);
/* The description of a generation; NULL if it has not come. Under the lock. */
const struct cf_packet_streams *cf_packet_source_find(const struct cf_packet_source *source,
                                                      uint32_t generation);
/* Whether it will not come any more: descriptions come in order, and one whose packets are all
 * overwritten is left out. Under the lock. */
bool cf_packet_source_lacks(const struct cf_packet_source *source, uint32_t generation);
/* Makes it the current one and forgets those before it. Under the lock. */
void cf_packet_source_use(cuframes_subscriber_t *subscriber,
                          const struct cf_packet_streams *streams);
void cf_packets_fini(cuframes_subscriber_t *subscriber);

/* packets_read.c */
int cf_packets_read_enable(cuframes_subscriber_t *subscriber,
                           const cuframes_packet_options_t *options);
/* Finds where to begin in a source that reading goes over to. */
void cf_packets_begin(cuframes_subscriber_t *subscriber);
int cf_packets_next(cuframes_subscriber_t *subscriber, cuframes_packet_t **packet,
                    int32_t timeout_ms);
/* The descriptions that stream() and stream_count() tell of; NO_CODEC_PARAMS if there are none. */
int cf_packets_streams(cuframes_subscriber_t *subscriber, const struct cf_packet_streams **streams);
