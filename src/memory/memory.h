/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for frames: one allocation for all slots of a generation, shared by one descriptor.
 *
 * The publisher chooses a place and creates; a subscriber imports, in the best way that gives it
 * what it wants, and is told why when there is none. Each kind is a file of its own (kinds.h).
 * Nothing here knows of rings or sockets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/frame.h>
#include <cuframes/stats.h>

#include "cuda/device.h"

struct cf_memory_kind;

/* The common part of every kind's own structure. */
struct cf_memory {
    const struct cf_memory_kind *kind;
    void *base;    /* host or device pointer; NULL if frames are copied out of it */
    size_t size;   /* bytes mapped */
    int fd;        /* the exported descriptor, owned; -1 in an import */
    int *more_fds; /* with `fd`, one for each slot; NULL = `fd` is of all slots */
    uint32_t more_count;
    cuframes_memory_t place;  /* HOST or CUDA: what pointers to frames are */
    cuframes_access_t access; /* how an import reads what the peer exported */
    struct cf_cuda *cuda;     /* the GPU that writes or reads it; NULL = none */
};

/* Where a publisher's memory is to be. */
struct cf_memory_place {
    cuframes_memory_t memory; /* HOST or CUDA */
    struct cf_cuda *cuda;     /* owned; NULL for the host */
    uint32_t notes;           /* CUFRAMES_CHANNEL_… */
};

/*
 * Finds the place that is wanted: on the GPU with index `device`, or, unless `current` is NULL, on
 * that one. AUTO is the GPU if there is one that can share its memory, else the host; a GPU that
 * is left aside is logged and noted. CUDA and why, if CUDA was wanted and cannot be had.
 */
int cf_memory_choose(cuframes_memory_t wanted, int32_t device, struct cf_cuda *current,
                     struct cf_memory_place *place);
void cf_memory_place_fini(struct cf_memory_place *place);

/* Allocates at least `size` bytes, all of it now, writable here and exportable. */
int cf_memory_create(const struct cf_memory_place *place, size_t size, struct cf_memory **memory);

/*
 * Shares what the program has allocated itself: the allocation of each of the pointers, `*offset`
 * bytes behind its start. With more than one, offset and size must be the same for all. FORMAT, with
 * the reason, if that is not so, or the driver cannot export them.
 */
int cf_memory_adopt(struct cf_cuda *cuda, void *const *pointers, uint32_t count, size_t *offset,
                    struct cf_memory **memory);

/* What a peer exported. */
struct cf_memory_source {
    cuframes_memory_t memory;
    const uint8_t *gpu_uuid;
    const int *fds; /* borrowed; of `fd_count` memories of the same size, one behind the other */
    uint32_t fd_count;
    size_t size;       /* of all */
    size_t frame_size; /* bytes of one frame, and */
    uint32_t frames;   /* how many can be in use at once: for copies */
};

/* How a subscriber wants to read. */
struct cf_memory_reader {
    cuframes_memory_t wanted;
    int32_t device;          /* index, or CUFRAMES_GPU_OF_FRAMES */
    struct cf_cuda *current; /* instead of `device`, if not NULL */
    bool staged;             /* may be given copies */
};

/* Maps what a peer exported, for reading; checks what the descriptor is. */
int cf_memory_import(const struct cf_memory_source *source, const struct cf_memory_reader *reader,
                     struct cf_memory **memory);

/* No stage is used: the frame is read where it is. */
#define CF_NO_STAGE UINT32_MAX

/*
 * Makes the frame `offset` bytes into the memory readable: `*data`, complete on return. With staged
 * access a copy is made to a stage of its own, to be given back with cf_memory_put() by any thread.
 * One thread at a time.
 */
int cf_memory_get(struct cf_memory *memory, size_t offset, const void **data, uint32_t *stage);
void cf_memory_put(struct cf_memory *memory, uint32_t stage);

/* NULL is fine. In a process that forked off, what is the GPU's is left alone. */
void cf_memory_destroy(struct cf_memory *memory);
