/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kinds of memory, for memory.c alone.
 */
#pragma once

#include "memory/memory.h"

struct cf_memory_kind {
    void (*destroy)(struct cf_memory *memory);
    /* As cf_memory_get() and cf_memory_put(); NULL where frames are read in place. */
    int (*get)(struct cf_memory *memory, size_t offset, const void **data, uint32_t *stage);
    void (*put)(struct cf_memory *memory, uint32_t stage);
};

/* host.c: one sealed memfd. */
int cf_host_create(size_t size, struct cf_memory **memory);
int cf_host_import(int fd, size_t size, struct cf_memory **memory);

/* cuda.c: one allocation of the driver's virtual memory management. */
int cf_vmm_create(struct cf_cuda *cuda, size_t size, struct cf_memory **memory);
int cf_vmm_adopt(struct cf_cuda *cuda, void *const *pointers, uint32_t count, size_t *offset,
                 struct cf_memory **memory);
/* Maps memory that is on the device `owner` for reading by `reader`. */
int cf_vmm_import(struct cf_cuda *reader, cf_CUdevice owner, const struct cf_memory_source *source,
                  struct cf_memory **memory);

/* registered.c: host memory that a GPU reads in place. NOT_FOUND stands for a device that cannot. */
int cf_registered_import(struct cf_cuda *cuda, int fd, size_t size, struct cf_memory **memory);

/* staged.c: copies of `from`'s frames (consumed, also on failure) in host memory, or in that of
 * `to` unless it is NULL. */
int cf_staged_create(struct cf_memory *from, struct cf_cuda *to, size_t frame_size, uint32_t frames,
                     struct cf_memory **memory);
