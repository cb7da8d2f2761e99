/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Peers that use a GPU: publishers and readers that do what the test tells them. The test's own
 * process never starts the driver.
 */
#pragma once

#include "channel.h"

struct gpu_publisher_peer {
    struct test_peer peer;
    cuframes_publisher_config_t config;
};

struct gpu_reader_peer {
    struct test_peer peer;
    cuframes_subscriber_config_t config;
    int device; /* that it works on */
};

/* Starts them, and hears that they are there. `options` may be NULL. A publisher publishes a frame
 * with the pts of each word that it is told, waits until it is announced and answers with how many
 * slots are held then. */
void gpu_spawn_publisher(struct gpu_publisher_peer *peer, const struct test_spawn_options *options);
void gpu_spawn_reader(struct gpu_reader_peer *peer, const struct test_spawn_options *options);

/* What a reader is told. */
enum gpu_order {
    GPU_TAKE = 1, /* takes the next frame, keeps it and says its pts */
    GPU_CHECK,    /* says how many words of the kept frame are wrong, found by a kernel */
    GPU_RELEASE,  /* releases it and says 0 */
    GPU_LINGER,   /* starts a kernel that reads the kept frame for two seconds, says 0 */
    GPU_POKE,     /* writes into the kept frame by a kernel, says the driver's error */
    GPU_ACCESS,   /* says its cuframes_access_t */
    GPU_ERROR,    /* waits for an error of next() and says it as a positive number */
};
uint64_t gpu_order(struct gpu_reader_peer *peer, enum gpu_order what);
/* Publishes, and gives how many slots are held. */
uint64_t gpu_order_frame(struct gpu_publisher_peer *peer, int64_t pts_ns);
