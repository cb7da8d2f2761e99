/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The others of crowd.h, for packets: readers that check every byte of every packet, and that the
 * description which the library gives with a packet is the one that it was published with.
 */
#pragma once

#include <cuframes/cuframes.h>

#include "crowd.h"

/* Packets from one description of the streams to the next. */
#define DESCRIBED_FOR 50
/* Packets from one key frame to the next. */
#define GOP_LENGTH 8

/* Starts three readers of packets: one from the newest key frame on, one from the oldest, one that
 * polls. Each follows whoever publishes the key. */
void packet_crowd_start(struct crowd *crowd);

/* Room for a few packets; with `grows`, which grows to some eighty. */
cuframes_packet_ring_options_t packet_crowd_ring(bool grows);
/* Publishes packets with the pts first, first + 1, …, one every `pause_us`, and describes the streams
 * anew every DESCRIBED_FOR packets. */
void packet_crowd_publish(cuframes_publisher_t *publisher, int64_t first, int count,
                          unsigned pause_us);
/* Publishes the packet after which the crowd goes home. */
void packet_crowd_end(cuframes_publisher_t *publisher);

/* Fails unless the packet, and its description, are as they were published. */
void packet_crowd_check(cuframes_subscriber_t *reader, const cuframes_packet_t *packet);
/* A reader of packets that is attached and has asked for them; NULL if its publisher went away
 * meanwhile, or has none yet. */
cuframes_subscriber_t *packet_crowd_join(const cuframes_subscriber_config_t *config,
                                         cuframes_packet_start_t start);
