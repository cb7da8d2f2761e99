/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in host memory: one sealed memfd, written by the publisher's map alone.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/shm.h"
#include "base/sys.h"
#include "memory/kinds.h"

struct host_memory {
    struct cf_memory memory;
    struct cf_map map;
};

static void host_destroy(struct cf_memory *memory)
{
    struct host_memory *host = (struct host_memory *)memory;

    cf_map_release(&host->map);
    cf_close(&memory->fd);
    free(host);
}

static const struct cf_memory_kind host_kind = {.destroy = host_destroy};

static int host_new(struct host_memory **host)
{
    struct host_memory *new = cf_sys.calloc(1, sizeof(*new));

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->memory = (struct cf_memory){
        .kind = &host_kind,
        .fd = -1,
        .place = CUFRAMES_MEMORY_HOST,
        .access = CUFRAMES_ACCESS_IN_PLACE,
    };
    *host = new;
    return CUFRAMES_OK;
}

static void host_ready(struct host_memory *host, struct cf_memory **memory)
{
    host->memory.base = host->map.addr;
    host->memory.size = host->map.size;
    *memory = &host->memory;
}

int cf_host_create(size_t size, struct cf_memory **memory)
{
    struct host_memory *host;
    int err = host_new(&host);

    if (err)
        return err;
    err = cf_shm_create("cuframes-frames", size, CF_SHM_MAKER_WRITES, &host->memory.fd, &host->map);
    if (err) {
        free(host);
        return err;
    }
    host_ready(host, memory);
    return CUFRAMES_OK;
}

int cf_host_import(int fd, size_t size, struct cf_memory **memory)
{
    struct host_memory *host;
    int err = host_new(&host);

    if (err)
        return err;
    err = cf_shm_attach("frame memory", fd, size, CF_SHM_MAKER_WRITES, &host->map);
    if (err) {
        free(host);
        return err;
    }
    host_ready(host, memory);
    return CUFRAMES_OK;
}
