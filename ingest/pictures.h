/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder's picture memory: slots of the channel where that works, so that what the decoder
 * writes is what subscribers read.
 *
 * A picture lives from get_buffer2 until the last reference of its AVBuffer is gone, which may be
 * long after it was published: the decoder goes on reading its reference pictures. Its buffer is
 * marked read-only for libavcodec, so that a decoder which paints over its last picture
 * (reget_buffer) takes another one first.
 *
 * Threads: libavcodec calls from its worker threads; picture_of() from the main thread.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <libavcodec/avcodec.h>

#include "channel.h"

/* More than slots: pictures on the heap step in when every slot is taken. */
#define MAX_PICTURES 192

struct picture {
    struct pictures *owner;
    atomic_bool used;
    cuframes_buffer_t *buffer; /* the slot; NULL for a picture on the heap */
    AVBufferRef *heap;
    bool published; /* main thread only */
};

struct pictures {
    struct channel *channel;
    pthread_mutex_t lock; /* guards heap_pool */
    AVBufferPool *heap_pool;
    size_t heap_size;
    atomic_uint next;
    atomic_int claimed, most_claimed; /* slots in the decoder's hands */
    struct picture pictures[MAX_PICTURES];
};

int pictures_init(struct pictures *pictures, struct channel *channel);
/* After the last decoder is closed. */
void pictures_fini(struct pictures *pictures);

/* Makes `codec` use these pictures; before avcodec_open2(). */
void pictures_attach(struct pictures *pictures, AVCodecContext *codec);

/* The picture behind a decoded frame, NULL if its memory is not from here. */
struct picture *picture_of(struct pictures *pictures, const AVFrame *frame);

/* Whether the frame shows its slot's planes as the channel describes them. */
bool picture_is_slot(const struct picture *picture, const AVFrame *frame);

/*
 * How many pictures `codec` may keep at once: references, reordering, and frame threads. An upper
 * bound that is not met costs a copy, not a picture.
 */
int32_t pictures_needed(const AVCodecContext *codec);
