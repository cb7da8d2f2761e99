/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packets of a publisher: packets_publish.c is the program's side, packets_serve.c what the
 * service thread sends to subscribers.
 *
 * Locks: `writing` is held by the thread that publishes a packet or changes the streams, also while
 * bytes are copied. The publisher's `lock` is taken inside it, for table work and announcements
 * only, so that a large packet delays neither frames nor the service thread. What both may change
 * is changed under both locks and may be read under either.
 */
#pragma once

#include <pthread.h>

#include <cuframes/packet.h>

#include "base/shm.h"
#include "ring/packet_writer.h"
#include "wire/streams.h"

/* Packet generations whose packets are kept at the same time. One more ends the oldest. */
#define CF_MAX_PACKET_GENERATIONS 16

struct cf_client;
struct cf_page;

/* The memory of one ring, or the parameters of one generation. */
struct cf_packet_memory {
    atomic_uint refs;
    struct cf_map map; /* of a ring */
    int fd;
};

struct cf_packet_generation {
    uint32_t number;
    uint32_t size;      /* bytes of its parameters */
    uint64_t first_seq; /* number of its first packet */
    struct cf_packet_memory *parameters;
};

struct cf_packets {
    pthread_mutex_t writing;

    /* Constant: the options with every default filled in, sizes rounded. */
    cuframes_packet_ring_options_t options;

    /* Under `writing` alone. */
    struct cf_packet_writer writer;
    bool growth_failed; /* has been logged, and is not tried again */

    /* Under both. */
    struct cf_packet_memory *ring;
    uint32_t ring_number;
    uint32_t last_generation;
    uint32_t generation_count;
    struct cf_packet_generation generations[CF_MAX_PACKET_GENERATIONS]; /* oldest first */
    uint32_t stream_count;
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS];
    uint8_t extradata[CUFRAMES_MAX_STREAMS][CUFRAMES_MAX_EXTRADATA];
    int32_t first_video; /* index, -1 = there is none */
};

/* packets_publish.c */
int cf_packets_enable(cuframes_publisher_t *publisher,
                      const cuframes_packet_ring_options_t *options);
int cf_packets_set_streams(cuframes_publisher_t *publisher, const cuframes_stream_t *streams,
                           uint32_t count);
int cf_packets_set_extradata(cuframes_publisher_t *publisher, const void *extradata, size_t size);
int cf_packets_send(cuframes_publisher_t *publisher, const cuframes_packet_desc_t *packet,
                    uint64_t *seq);
/* Says that no packet will follow; under the lock. No packets is fine. */
void cf_packets_end(cuframes_publisher_t *publisher);
/* NULL is fine. */
void cf_packets_free(struct cf_packets *packets);
struct cf_packet_memory *cf_packet_memory_ref(struct cf_packet_memory *memory);
/* NULL is fine. */
void cf_packet_memory_unref(struct cf_packet_memory *memory);

/* packets_grow.c: under `writing`. */

/* Makes a larger ring if one more packet of `size` bytes would take away what keep_ms promises. */
void cf_packets_make_room(cuframes_publisher_t *publisher, uint32_t size, int64_t now_ns);
/* Allocates a ring and begins to write it. */
int cf_packets_new_ring(uint64_t data_size, uint32_t index_size, uint32_t max_packet,
                        uint32_t number, uint64_t first, struct cf_packet_memory **memory,
                        struct cf_packet_writer *writer);

/* packets_serve.c: the service thread's, not under the lock unless it says so. */

/* What a publisher knows of a subscriber's packets. The service thread's, but for what is under the
 * lock. */
struct cf_packet_client {
    bool listed; /* is in the table of those who read packets; under the lock */
    bool served; /* its question has been answered; under the lock */
    bool asked;
    bool busy;           /* has not yet said that it has taken what it was sent last */
    uint32_t ring;       /* it was sent last; 0 = none */
    uint32_t generation; /* it was sent last; 0 = none */
    struct cf_page *page;
    int wake_socket; /* this side's end of what it polls; -1 = none */
    int peer_socket; /* the other end, until it has been sent */
};

/* A subscriber asks for packets. An error when the connection is of no more use. */
int cf_packets_attach(cuframes_publisher_t *publisher, struct cf_client *client, uint32_t flags);
/* Sends it the next thing that it has to know, if there is one and it has taken the last. */
int cf_packets_serve(cuframes_publisher_t *publisher, struct cf_client *client);
/* It has taken what it was sent last. As cf_packets_serve(). */
int cf_packets_adopted(cuframes_publisher_t *publisher, struct cf_client *client);
/* Sends all that it has to know to read the ring to its end, before its connection is closed. */
void cf_packets_flush(cuframes_publisher_t *publisher, struct cf_client *client);
struct cf_packet_page *cf_packets_page(const struct cf_client *client);
/* Puts it into the table of those who read packets; under the lock. */
void cf_packets_list_client(cuframes_publisher_t *publisher, struct cf_client *client);
/* Takes it out of the tables; under the lock. */
void cf_packets_detach(cuframes_publisher_t *publisher, struct cf_client *client);
/* Frees what only it had. */
void cf_packets_free_client(struct cf_client *client);
