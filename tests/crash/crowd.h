/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The others: subscribers that read and check every frame of a channel while somebody dies beside
 * them, and what they have seen.
 */
#pragma once

#include <stdatomic.h>

#include "harness/harness.h"
#include "harness/peer.h"

#define CROWD_KEY "cam"
/* Time stamp of the frame after which the crowd goes home. */
#define CROWD_END (INT64_C(1) << 40)
#define CROWD     3

/* In memory that is shared with forks. */
struct crowd_board {
    atomic_ullong verified;  /* frames whose every byte was right */
    atomic_llong longest_ns; /* longest wait for a frame by one who was attached */
    atomic_int attached;     /* of the crowd, at least once */
    atomic_bool end;         /* victims that live on are to come to an end */
};

struct crowd {
    struct crowd_board *board;
    struct test_peer peers[CROWD];
};

/* Where the crowd reads from, and how a frame is looked at. Zero is the processor. */
struct crowd_eyes {
    uint32_t memory[CROWD];
    uint32_t flags[CROWD];
    /* In the process of a member; NULL = check_pattern(). */
    void (*check[CROWD])(const cuframes_frame_t *frame);
};

/* Starts the crowd: one reads the newest, one reads in order, one polls. Each follows whoever
 * publishes the key, holds the frame before while it takes the next, and checks both. With
 * `complete`, the one in order must get every frame of a publisher. */
void crowd_start(struct crowd *crowd, bool complete);
/* The same with other eyes, which stay the caller's. */
void crowd_start_with(struct crowd *crowd, bool complete, const struct crowd_eyes *eyes);
/* Waits until all are attached to somebody for the first time. */
void crowd_wait(const struct crowd *crowd);
/* All have seen the last frame, and went home content. */
void crowd_finish(struct crowd *crowd);

/* A channel for it: frames of 12 KiB, eight slots, two holds each. */
cuframes_publisher_config_t crowd_channel(cuframes_policy_t policy);
/* Publishes `count` frames with the pts first, first + 1, …, one every `pause_us`; one that finds no
 * slot is left out. */
void crowd_publish(cuframes_publisher_t *publisher, int64_t first, int count, unsigned pause_us);
