/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One generation of a channel on the publisher's side: its control memory, its frame memory, the
 * ring's writer, and the buffers that the publishing program holds.
 *
 * A generation lives while it is the channel's current or prepared one, or while a buffer of it
 * is referenced. The reference count is atomic; everything else is under the channel's lock.
 */
#pragma once

#include <cuframes/publisher.h>

#include "base/shm.h"
#include "memory/memory.h"
#include "ring/writer.h"

struct cf_generation;

struct cuframes_buffer {
    struct cf_generation *generation;
    uint32_t slot;
    atomic_uint refs;
    bool published;
};

struct cf_generation {
    atomic_uint refs;
    cuframes_channel_info_t info; /* without pid */
    uint64_t slot_stride, slot_offset;
    struct cf_map control;
    int control_fd;
    struct cf_memory *memory;
    void *const *slots; /* where the slots are, if not one behind the other; the program's */
    struct cf_ring_writer writer;
    cuframes_publisher_t *publisher; /* outlives the generation's buffers: each holds a reference */
    struct cuframes_buffer buffers[CUFRAMES_MAX_SLOTS];
};

/* Turns a configuration into a description, with every default filled in and every value checked.
 * The key, the number of the generation and where its memory is are left empty. */
int cf_generation_describe(const cuframes_publisher_config_t *config,
                           cuframes_channel_info_t *info);

/* Allocates a generation of that description at `place`, with one reference. */
int cf_generation_create(const cuframes_channel_info_t *info, const struct cf_memory_place *place,
                         cuframes_publisher_t *publisher, struct cf_generation **generation);

/* The same over memory that there is (consumed, also on failure). */
int cf_generation_adopt(const cuframes_channel_info_t *info, struct cf_memory *memory,
                        uint64_t slot_offset, uint64_t slot_stride, cuframes_publisher_t *publisher,
                        struct cf_generation **generation);

/* Bytes of frame memory that a subscriber is to map. */
uint64_t cf_generation_frames_size(const struct cf_generation *generation);

struct cf_generation *cf_generation_ref(struct cf_generation *generation);
/* NULL is fine. */
void cf_generation_unref(struct cf_generation *generation);

/* Start of a slot's frame. */
void *cf_generation_slot(const struct cf_generation *generation, uint32_t slot);
