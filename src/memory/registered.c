/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in host memory that a GPU reads where they are: the map of the peer's memfd, registered
 * with the driver for reading.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/point.h"
#include "base/sys.h"
#include "cuda/stream.h"
#include "memory/kinds.h"

struct registered_memory {
    struct cf_memory memory;
    struct cf_memory *host;
};

static void registered_destroy(struct cf_memory *memory)
{
    struct registered_memory *registered = (struct registered_memory *)memory;

    if (memory->base)
        cf_cuda_unmap_host(memory->cuda, registered->host->base);
    cf_memory_destroy(registered->host);
    cf_cuda_unref(memory->cuda);
    free(registered);
}

static const struct cf_memory_kind registered_kind = {.destroy = registered_destroy};

int cf_registered_import(struct cf_cuda *cuda, int fd, size_t size, struct cf_memory **memory)
{
    struct registered_memory *new;
    cf_CUdeviceptr at;
    int err;

    if (!cf_cuda_attribute(cuda->driver, cuda->device, CF_CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER))
        return cf_fail(CUFRAMES_ERR_NOT_FOUND,
                       "GPU %d cannot read host memory that is mapped read-only (attribute %d is "
                       "0)",
                       cuda->index, CF_CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER);
    new = cf_sys.calloc(1, sizeof(*new));
    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->memory = (struct cf_memory){
        .kind = &registered_kind,
        .fd = -1,
        .place = CUFRAMES_MEMORY_CUDA,
        .access = CUFRAMES_ACCESS_REGISTERED,
        .cuda = cf_cuda_ref(cuda),
    };
    if ((err = cf_host_import(fd, size, &new->host)) != 0 ||
        (err = cf_cuda_map_host(cuda, new->host->base, new->host->size,
                                CF_CU_HOST_REGISTER_READ_ONLY, &at)) != 0) {
        registered_destroy(&new->memory);
        return err;
    }
    CF_POINT("gpu_memory.registered");
    new->memory.base = (void *)(uintptr_t)at;
    new->memory.size = new->host->size;
    *memory = &new->memory;
    return CUFRAMES_OK;
}
