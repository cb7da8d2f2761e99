/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where time begins in a container: with what is heard or seen first. Sound may be read after the
 * picture that it precedes, so the first packets are kept until every stream has begun. One thread.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/packet.h>

#include <cuframes/cuframes.h>

#include "packet_clock.h"

/* Most packets that are kept, and the time of them. */
#define PACKET_START_COUNT 256
#define PACKET_START_NS    INT64_C(1000000000)

struct packet_start {
    AVPacket *kept[PACKET_START_COUNT]; /* with the times of the caller */
    int count;
    uint32_t waited_for; /* bit i: stream i has not begun */
    bool decided;
    int64_t first_ns;  /* of the first packet kept */
    int64_t origin_ns; /* what becomes 0 */
};

/* `streams`: bit i for each stream that there is. */
void packet_start_init(struct packet_start *start, uint32_t streams);
void packet_start_fini(struct packet_start *start);

/* Notes a packet; `padding_ns` of it, if it is its stream's first, is neither heard nor seen. */
void packet_start_note(struct packet_start *start, uint32_t stream,
                       const struct packet_times *times, int64_t padding_ns);
/* Keeps it, with a reference of its own; false if there is no memory. */
bool packet_start_keep(struct packet_start *start, const AVPacket *packet);
/* What was noted is all there is. */
void packet_start_decide(struct packet_start *start);
