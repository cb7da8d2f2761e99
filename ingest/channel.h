/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel that the pictures go to. It comes into being with the first geometry and then lives
 * as long as the process, through reconnects and changes of size.
 *
 * Threads: every function from any thread; decoder threads ask for slots while the main thread
 * publishes.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <cuframes/cuframes.h>

#include "options.h"

/* What a channel's pictures are like. */
struct geometry {
    int32_t width, height; /* visible */
    cuframes_format_t format;
    cuframes_memory_t memory; /* HOST or CUDA */
    cuframes_layout_t layout;
    int32_t sar_num, sar_den;
    cuframes_color_t color;
    int32_t decoder_slots; /* slots that the decoder may keep for itself */
};

struct channel {
    const struct options *options;
    int32_t gpu;                     /* the GPU of frames in GPU memory, as CUDA numbers it */
    pthread_mutex_t lock;            /* guards geometry and the step from it to a slot */
    cuframes_publisher_t *publisher; /* NULL before the first geometry; never changes after */
    struct geometry geometry;
    int32_t fps_num, fps_den; /* of the input */
    int32_t stream_sar_num, stream_sar_den;
    bool with_packets;  /* the publisher gets a packet ring; set before there can be one */
    atomic_bool failed; /* `error` says why no channel could be made */
    char error[512];
};

int channel_init(struct channel *channel, const struct options *options, int32_t gpu);
void channel_fini(struct channel *channel);

/* Makes a channel without frames (--decode off). False: `error` says why. */
bool channel_open_packets(struct channel *channel);

/*
 * Gives a slot of the geometry `wanted`, making the channel or a new generation of it where the
 * present geometry is another. Errors as cuframes_publisher_acquire_buffer(); when the channel
 * cannot be made, `failed` is set as well.
 */
int channel_claim(struct channel *channel, const struct geometry *wanted,
                  cuframes_buffer_t **buffer);

/*
 * Gives a slot of the present geometry if its visible size and format are these, else
 * CUFRAMES_ERR_FORMAT.
 */
int channel_claim_same(struct channel *channel, int32_t width, int32_t height,
                       cuframes_format_t format, cuframes_buffer_t **buffer);

/* A layout of the library for pictures that are copied or converted. */
int channel_plain_layout(cuframes_layout_t *layout, cuframes_format_t format, int32_t width,
                         int32_t height);
