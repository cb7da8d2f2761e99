/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the public API share: small channels, frames whose every byte follows from
 * their time stamp, and peers that read.
 */
#pragma once

#include "harness/harness.h"
#include "harness/peer.h"

/* 64x48 in grey with four slots: frames of 3 KiB. */
cuframes_publisher_config_t small_config(const char *key);
cuframes_publisher_t *make_publisher(const cuframes_publisher_config_t *config);
cuframes_publisher_t *make_small_publisher(const char *key);

/* A subscriber of the channel that is there. */
cuframes_subscriber_config_t reader_config(const char *key, int mode);
cuframes_subscriber_t *make_subscriber(const cuframes_subscriber_config_t *config);
cuframes_subscriber_t *make_reader(const char *key, int mode);

/* Waits until a publisher of this process has closed its descriptors of the hold pages that it has
 * sent, which it does a moment afterwards: for tests that compare descriptors. */
void settle_pages(void);

/* Fills memory with a pattern in which every 8 bytes follow from `stamp` and their place. */
void fill_pattern(void *memory, size_t size, int64_t stamp);
bool pattern_fits(const void *memory, size_t size, int64_t stamp);

/* Publishes a frame with the pattern of `pts_ns`, and gives its sequence number. */
uint64_t publish(cuframes_publisher_t *publisher, int64_t pts_ns);
/* The same with more to say; meta->pts_ns counts. */
uint64_t publish_with(cuframes_publisher_t *publisher, const cuframes_frame_meta_t *meta);
/* Publishes frames with the pts first, first + 1, … */
void publish_many(cuframes_publisher_t *publisher, int64_t first, int count);

/* The next frame, which must come, with its pattern checked. */
cuframes_frame_t *take_frame(cuframes_subscriber_t *subscriber);
/* The same, its pts checked, and released at once. */
void expect_frame(cuframes_subscriber_t *subscriber, int64_t pts_ns);
/* There is no frame now. */
#define EXPECT_NOTHING(subscriber)                                                                 \
    do {                                                                                           \
        cuframes_frame_t *test_frame = NULL;                                                       \
        CHECK_ERR(cuframes_subscriber_next(subscriber, NULL, &test_frame, 0),                      \
                  CUFRAMES_ERR_WOULD_BLOCK);                                                       \
        CHECK(!test_frame);                                                                        \
    } while (0)
/* Within the test's patience, next says `error` instead of giving a frame. */
#define EXPECT_ERROR(subscriber, error)                                                            \
    do {                                                                                           \
        cuframes_frame_t *test_frame = NULL;                                                       \
        CHECK_ERR(cuframes_subscriber_next(subscriber, NULL, &test_frame, test_patience_ms()),     \
                  error);                                                                          \
    } while (0)
void check_pattern(const cuframes_frame_t *frame);

cuframes_publisher_stats_t publisher_stats(cuframes_publisher_t *publisher);
cuframes_subscriber_stats_t subscriber_stats(cuframes_subscriber_t *subscriber);

/* A process that subscribes as `config` says and does what it is told: */
enum reader_order {
    READER_TAKE = 1, /* takes a frame, keeps it, and says its pts */
    READER_RELEASE,  /* releases the oldest frame that it keeps, and says how many are left */
    READER_CHECK,    /* checks the patterns of what it keeps, and says how many frames that are */
    READER_ERROR,    /* takes until there is an error, and says the error as a positive number */
};
/* It says 0 once it is attached. */
void spawn_reader(struct test_peer *peer, const cuframes_subscriber_config_t *config);
uint64_t order(struct test_peer *peer, enum reader_order what);

/* A process that publishes on `key` what it is told: a word is the pts of the next frame, answered
 * with the sequence number. It says 0 once the channel is there. It ends with the test's channel to it. */
void spawn_publisher(struct test_peer *peer, const cuframes_publisher_config_t *config);
