/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory for frames: one allocation for all slots of a generation, shared by one descriptor.
 *
 * One interface for every kind of memory; a kind is a table of functions in a file of its own. The
 * publisher creates, a subscriber imports. Neither knows of rings or sockets.
 */
#pragma once

#include <stddef.h>

#include <cuframes/frame.h>
#include <cuframes/stats.h>

struct cf_memory;

/* A kind of memory. Each function returns CUFRAMES_OK or a negative error. */
struct cf_memory_kind {
    cuframes_memory_t kind;
    /* Allocates at least `size` bytes, all of it now, writable here and exportable. */
    int (*create)(size_t size, struct cf_memory **memory);
    /* Maps what a peer exported, for reading. Borrows fd; checks what the descriptor is. */
    int (*import)(int fd, size_t size, struct cf_memory **memory);
    void (*destroy)(struct cf_memory *memory);
};

/* The common part of every kind's own structure. */
struct cf_memory {
    const struct cf_memory_kind *kind;
    void *base;               /* host or device pointer */
    size_t size;              /* bytes mapped */
    int fd;                   /* the exported descriptor, owned; -1 in an import */
    cuframes_access_t access; /* how an import reads what the peer exported */
};

/* The kind that CUFRAMES_MEMORY_AUTO means on this machine, or `kind` itself. Fails when this
 * machine cannot have that kind of memory, and says why. */
int cf_memory_kind_find(cuframes_memory_t kind, const struct cf_memory_kind **found);

/* NULL is fine. */
void cf_memory_destroy(struct cf_memory *memory);

extern const struct cf_memory_kind cf_memory_host;
