/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher made by hand, whose every message and every byte of memory the input may change. It
 * has no thread: it does what the target tells it, and what it sends waits in the socket.
 */
#pragma once

#include <stdbool.h>

#include "base/shm.h"
#include "memory/kinds.h"
#include "ring/packet_writer.h"
#include "ring/writer.h"
#include "script.h"
#include "wire/streams.h"

enum { FAKE_SLOTS = 3, FAKE_STRIDE = 4096, FAKE_HOLDS = 2, FAKE_DATA_SIZE = 2048 };

/* The memory of one generation of frames. */
struct fake_frames {
    int control_fd, holds_fd;
    struct cf_map control, holds;
    struct cf_memory *frames;
    struct cf_ring_writer writer;
};

struct fake_packets {
    int ring_fd, page_fd;
    struct cf_map ring, page;
    struct cf_packet_writer writer;
    bool scribbled; /* not even its publisher can make sense of it any more */
};

struct fake_publisher {
    int socket;      /* its end of the connection; -1 = none */
    int wake_socket; /* its end of what the subscriber polls; -1 = none */
    struct fake_frames frames;
    struct fake_packets packets;
    uint32_t generation;        /* of the frames */
    uint32_t packet_generation; /* that was described last */
    uint32_t ring_number;       /* of the packet ring; 0 = there is none */
    uint64_t first_packet;      /* of the next packet ring */
};

void fake_init(struct fake_publisher *fake);
void fake_fini(struct fake_publisher *fake);

/* ATTACHED or GENERATION: memory of its own, with changes that the script tells. */
void fake_send_frames(struct fake_publisher *fake, struct script *script,
                      enum cf_message_type type);
/* The answer to one that wants no frames. */
void fake_send_frameless(const struct fake_publisher *fake, struct script *script);
/* PACKETS, or PACKET_RING: a ring of its own that takes over what the one before keeps. */
void fake_send_packets(struct fake_publisher *fake, struct script *script,
                       enum cf_message_type type);
/* STREAMS: the next packet generation, or one of any number. */
void fake_send_streams(struct fake_publisher *fake, struct script *script);
/* Anything. */
void fake_send_bytes(const struct fake_publisher *fake, struct script *script);
/* ERROR, as it is. */
void fake_send_error(const struct fake_publisher *fake, int error);

void fake_publish_frame(struct fake_publisher *fake, struct script *script);
void fake_publish_packet(struct fake_publisher *fake, struct script *script);
/* On memory that is shared. */
void fake_scribble(struct fake_publisher *fake, struct script *script);
/* Ends the ring of frames, or that of packets, or withdraws the hold page. */
void fake_end_ring(struct fake_publisher *fake, struct script *script);
