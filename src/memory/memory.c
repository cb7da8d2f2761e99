/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of memory kinds.
 */
#include "memory/memory.h"

#include "base/error.h"

int cf_memory_kind_find(cuframes_memory_t kind, const struct cf_memory_kind **found)
{
    switch (kind) {
    case CUFRAMES_MEMORY_AUTO:
    case CUFRAMES_MEMORY_HOST:
        *found = &cf_memory_host;
        return CUFRAMES_OK;
    case CUFRAMES_MEMORY_CUDA:
        return cf_fail(CUFRAMES_ERR_CUDA, "this version of cuframes has no GPU memory; "
                                          "use host memory (CUFRAMES_MEMORY_HOST or AUTO)");
    default:
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown kind of memory %d", (int)kind);
    }
}

void cf_memory_destroy(struct cf_memory *memory)
{
    if (memory)
        memory->kind->destroy(memory);
}
