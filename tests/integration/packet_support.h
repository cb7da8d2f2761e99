/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of packets share: channels with packets, packets whose every byte follows from
 * their number, and readers.
 */
#pragma once

#include "support.h"

#define VIDEO 0
#define AUDIO 1

/* A video and an audio stream; `variant` changes the extradata. */
void describe_streams(cuframes_publisher_t *publisher, uint8_t variant);
/* A channel of packets alone with those streams; `options` may be NULL. */
cuframes_publisher_t *make_packet_publisher(const char *key,
                                            const cuframes_packet_ring_options_t *options);
/* A subscriber of packets alone; `options` may be NULL. */
cuframes_subscriber_t *make_packet_reader(const char *key, uint32_t flags,
                                          const cuframes_packet_options_t *options);

/* Publishes a packet of `size` bytes that follow from its number, which must be the next. */
uint64_t send_packet(cuframes_publisher_t *publisher, uint32_t stream, uint32_t size,
                     uint32_t flags);
/* Publishes `gops` groups of a key frame, `length` - 1 other pictures, and a packet of sound after
 * each picture. */
void send_gops(cuframes_publisher_t *publisher, int gops, int length, uint32_t size);

/* The next packet, which must come, with its bytes checked. */
cuframes_packet_t *take_packet(cuframes_subscriber_t *subscriber);
void check_packet(const cuframes_packet_t *packet);
/* The same, its number and flags checked, and released. */
void expect_packet(cuframes_subscriber_t *subscriber, uint64_t seq, uint32_t flags);
#define EXPECT_NO_PACKET(subscriber)                                                               \
    do {                                                                                           \
        cuframes_packet_t *test_packet = NULL;                                                     \
        CHECK_ERR(cuframes_subscriber_next_packet(subscriber, &test_packet, 0),                    \
                  CUFRAMES_ERR_WOULD_BLOCK);                                                       \
        CHECK(!test_packet);                                                                       \
    } while (0)
#define EXPECT_PACKET_ERROR(subscriber, error)                                                     \
    do {                                                                                           \
        cuframes_packet_t *test_packet = NULL;                                                     \
        CHECK_ERR(cuframes_subscriber_next_packet(subscriber, &test_packet, test_patience_ms()),   \
                  error);                                                                          \
        CHECK(!test_packet);                                                                       \
    } while (0)
