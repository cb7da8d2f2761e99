/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher that means harm. Without a plot it is honest, and readers understand it: one channel of
 * frames (NV12, 64x48) and packets (H.264). A plot spoils one thing that it says or shares, or does
 * something else at one moment of the conversation.
 *
 * Each connection has a process of its own, and in it a struct visit with memory of its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/shm.h"
#include "ring/packet_writer.h"
#include "ring/writer.h"
#include "wire/message.h"
#include "wire/streams.h"

#define SLOTS       4
#define SLOT_STRIDE 8192
#define DATA_SIZE   16384
#define INDEX_SIZE  16
#define MAX_PACKET  4096
/* As many as the kernel lets pass in one message. */
#define MOST_FDS 253

/* Who comes across it: what is asked of the publisher. */
enum {
    FRAMES = 1,
    PACKETS = 2,
    QUERIES = 4,
    ANYTHING = FRAMES | PACKETS | QUERIES,
};

/* What a plot spoils, or when it acts. The types of messages are places, too. */
enum place {
    AT_ACCEPT = 100, /* before anything was said */
    AT_MESSAGE,      /* every message, encoded */
    AT_TICK,         /* again and again, while frames and packets flow */
    IN_CONTROL,      /* control memory, before it is sent */
    IN_CONTROL_LATER,
    IN_RING, /* the packet ring */
    IN_RING_LATER,
    IN_PARAMETERS, /* of the streams */
};

struct visit;

struct plot {
    const char *name;
    int readers;     /* whom it concerns */
    bool refused;    /* they must give up by themselves, with a reason */
    int where;       /* enum place, or enum cf_message_type */
    uint32_t offset; /* in the message or the memory */
    uint32_t width;  /* bytes of the value; 0 = `act` */
    uint64_t value;
    void (*act)(struct visit *visit);
};

struct visit {
    const struct plot *plot;
    int socket;
    unsigned ticks;
    bool silent; /* goes on listening, says nothing more */

    /* What is to be sent: a plot may change all of it. */
    uint8_t bytes[2 * CF_WIRE_MAX_MESSAGE];
    size_t size;
    int fds[MOST_FDS];
    size_t fd_count;

    /* Frames. */
    bool has_frames;
    uint32_t generation;
    cuframes_format_t format;
    int32_t width, height;
    struct cf_map control, frames, holds;
    struct cf_ring_writer writer;

    /* Packets. */
    bool has_packets;
    uint32_t ring_number, packet_generation;
    struct cf_map ring, page;
    struct cf_packet_writer packets;
};

/* The plots of each file; each table ends with a NULL name. */
extern const struct plot message_plots[];
extern const struct plot frame_plots[];
extern const struct plot packet_plots[];

/* publisher.c, for plots. They end the process when something cannot be done. */
void send_bytes(struct visit *visit);
/* Sends a new generation of visit->format, width and height. */
void send_generation(struct visit *visit);
/* The descriptions of packet_generation, and a ring of ring_number. */
void send_streams(struct visit *visit);
void send_ring(struct visit *visit);
/* A memfd with these seals. */
int make_memory(unsigned flags, size_t size, int seals);
/* Replaces a descriptor that is to be sent. */
void replace_fd(struct visit *visit, size_t index, int fd);
uint32_t random_word(void);
_Noreturn void give_up(const char *what);
