/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels in GPU memory, for tests: frames whose every word follows from their time stamp, written
 * and checked by kernels.
 */
#pragma once

#include "support.h"

/* 256x128 in grey with four slots on GPU 0: frames of 32 KiB. */
cuframes_publisher_config_t gpu_config(const char *key);

/* One who works on a GPU: a context, kernels and a stream, for this thread. */
struct gpu_worker {
    int device;
    struct gpu_kernels kernels;
    cu_stream stream;
};
void gpu_worker_init(struct gpu_worker *worker, int device);
void gpu_worker_fini(struct gpu_worker *worker);
/* The same after its context has failed: what can be given back is. */
void gpu_worker_abandon(struct gpu_worker *worker);

/* Fills a slot by a kernel and publishes it, both on the worker's stream; gives the sequence
 * number. Waits while every slot is held. */
uint64_t gpu_publish(struct gpu_worker *worker, cuframes_publisher_t *publisher, int64_t pts_ns);
/* The same, giving what publish returns. */
int gpu_try_publish(struct gpu_worker *worker, cuframes_publisher_t *publisher, int64_t pts_ns,
                    uint64_t *seq);
/* The next frame, which must come; its contents are not looked at. */
cuframes_frame_t *gpu_next(cuframes_subscriber_t *subscriber);
/* Words of a frame in GPU memory that are not those of its time stamp. */
uint32_t gpu_wrong_in_frame(struct gpu_worker *worker, const cuframes_frame_t *frame);
/* Word i of a frame is its time stamp times this, and i. */
#define MULTIPLIER UINT64_C(0x9e3779b97f4a7c15)
/* The same for one in host memory. */
bool host_frame_fits(const cuframes_frame_t *frame);
/* Takes the next frame, checks its words and its pts, and releases it. */
void gpu_expect(struct gpu_worker *worker, cuframes_subscriber_t *subscriber, int64_t pts_ns);

/* For subscribers: a config with its key and mode, on GPU 0. */
cuframes_subscriber_config_t gpu_reader_config(const char *key, int mode);
cuframes_subscriber_t *gpu_make_reader(const char *key, int mode);

/* How many frames a long test passes: $CUFRAMES_TEST_FRAMES, or what it likes. */
int gpu_frames(int usual);
