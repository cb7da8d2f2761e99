/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gpu gpu;

static void *library;

static bool find(const char *name, void *field)
{
    void *symbol = dlsym(library, name);

    memcpy(field, &symbol, sizeof(symbol));
    return symbol != NULL;
}

const char *gpu_load(void)
{
    const char *path = getenv("CUFRAMES_LIBCUDA");
    static char missing[128];

    if (library)
        return missing[0] ? missing : NULL;
    library = dlopen(path && *path ? path : "libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return "this machine has no CUDA driver (libcuda.so.1)";
    missing[0] = '\0';
#define FIND(name, arguments)                                                                      \
    if (!find(#name, &gpu.name))                                                                   \
        snprintf(missing, sizeof(missing), "the CUDA driver has no %s", #name);
#define FIND_OPTIONAL(name, arguments) find(#name, &gpu.name);
    GPU_CALLS(FIND)
    GPU_OPTIONAL_CALLS(FIND_OPTIONAL)
    return missing[0] ? missing : NULL;
}

const struct standin *gpu_standin(void)
{
    static struct standin standin;

    if (gpu_load() || !find("standin_fail", &standin.fail))
        return NULL;
    find("standin_lose", &standin.lose);
    find("standin_delay", &standin.delay);
    find("standin_calls", &standin.calls);
    find("standin_objects", &standin.objects);
    return &standin;
}
