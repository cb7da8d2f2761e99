/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libcuda, opened at run time. Types and numbers are those of its API.
 */
#include "gpu.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBRARY "libcuda.so.1"

enum {
    SCHEDULE_BLOCKING_SYNC = 4,
    MEMORY_HOST = 1,
    MEMORY_DEVICE = 2,
};

/* CUDA_MEMCPY2D */
struct gpu_copy {
    size_t from_x, from_y;
    int from_type;
    const void *from_host;
    gpu_pointer from_device;
    void *from_array;
    size_t from_pitch;
    size_t to_x, to_y;
    int to_type;
    void *to_host;
    gpu_pointer to_device;
    void *to_array;
    size_t to_pitch;
    size_t row_bytes, rows;
};

static bool find_symbols(struct gpu *gpu)
{
    struct gpu_driver *driver = &gpu->driver;
    const struct {
        const char *name;
        void *place;
        bool needed;
    } symbols[] = {
        {"cuInit", &driver->init, true},
        {"cuGetErrorString", &driver->error_string, true},
        {"cuDeviceGet", &driver->device, true},
        {"cuDevicePrimaryCtxSetFlags_v2", &driver->set_primary_flags, false},
        {"cuDevicePrimaryCtxRetain", &driver->retain_primary, true},
        {"cuDevicePrimaryCtxRelease_v2", &driver->release_primary, true},
        {"cuCtxPushCurrent_v2", &driver->push, true},
        {"cuCtxPopCurrent_v2", &driver->pop, true},
        {"cuMemAlloc_v2", &driver->allocate, true},
        {"cuMemFree_v2", &driver->free, true},
        {"cuMemcpy2DAsync_v2", &driver->copy_2d, true},
        {"cuStreamSynchronize", &driver->synchronize, true},
        {"cuModuleLoadData", &driver->load_module, true},
        {"cuModuleUnload", &driver->unload_module, true},
        {"cuModuleGetFunction", &driver->function, true},
        {"cuLaunchKernel", &driver->launch, true},
    };

    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *symbol = dlsym(gpu->library, symbols[i].name);

        if (!symbol && symbols[i].needed) {
            snprintf(gpu->why, sizeof(gpu->why), "%s has no %s: install a newer NVIDIA driver",
                     LIBRARY, symbols[i].name);
            return false;
        }
        memcpy(symbols[i].place, &symbol, sizeof(symbol));
    }
    return true;
}

bool gpu_succeeded(struct gpu *gpu, int result, const char *call)
{
    const char *text = NULL;

    if (result == 0)
        return true;
    gpu->driver.error_string(result, &text);
    snprintf(gpu->error, sizeof(gpu->error), "%s: %s (CUDA error %d)", call,
             text ? text : "unknown", result);
    return false;
}

static bool open_library(struct gpu *gpu)
{
    const char *other = getenv("CUFRAMES_LIBCUDA"); /* the library looks at it too */

    gpu->library = dlopen(other ? other : LIBRARY, RTLD_NOW);
    if (!gpu->library)
        snprintf(gpu->why, sizeof(gpu->why), "%s", dlerror());
    return gpu->library != NULL;
}

/*
 * Waiting for the GPU shall not cost a processor. The flag holds for this process alone, and a
 * driver that does not take it waits in its own way.
 */
static void prefer_sleeping(struct gpu *gpu)
{
    if (gpu->driver.set_primary_flags)
        gpu->driver.set_primary_flags(gpu->device, SCHEDULE_BLOCKING_SYNC);
}

static bool open_context(struct gpu *gpu)
{
    if (!gpu_succeeded(gpu, gpu->driver.init(0), "cuInit") ||
        !gpu_succeeded(gpu, gpu->driver.device(&gpu->device, gpu->index), "cuDeviceGet"))
        return false;
    prefer_sleeping(gpu);
    return gpu_succeeded(gpu, gpu->driver.retain_primary(&gpu->context, gpu->device),
                         "cuDevicePrimaryCtxRetain");
}

static bool find_device(struct gpu *gpu, const char *name)
{
    cuframes_gpu_info_t info;

    if (cuframes_gpu_find(name ? name : "0", &gpu->index) || cuframes_gpu_info(gpu->index, &info)) {
        snprintf(gpu->why, sizeof(gpu->why), "%s", cuframes_last_error());
        return false;
    }
    if (!(info.flags & CUFRAMES_GPU_SHARES)) {
        snprintf(gpu->why, sizeof(gpu->why),
                 "the memory of GPU %d (%s) cannot be shared; \"cuframes doctor\" says why",
                 gpu->index, info.name);
        return false;
    }
    memcpy(gpu->name, info.name, sizeof(gpu->name));
    return true;
}

bool gpu_open(struct gpu *gpu, const char *name)
{
    *gpu = (struct gpu){0};
    if (!find_device(gpu, name) || !open_library(gpu) || !find_symbols(gpu)) {
        gpu_close(gpu);
        return false;
    }
    if (!open_context(gpu)) {
        snprintf(gpu->why, sizeof(gpu->why), "%s", gpu->error);
        gpu_close(gpu);
        return false;
    }
    gpu->open = true;
    return true;
}

void gpu_close(struct gpu *gpu)
{
    if (gpu->context) {
        if (gpu_enter(gpu)) {
            if (gpu->scratch)
                gpu->driver.free(gpu->scratch);
            if (gpu->module)
                gpu->driver.unload_module(gpu->module);
            gpu_leave(gpu);
        }
        gpu->driver.release_primary(gpu->device);
    }
    if (gpu->library)
        dlclose(gpu->library);
    gpu->library = gpu->context = gpu->module = NULL;
    gpu->scratch = 0;
    gpu->scratch_size = 0;
    gpu->open = false;
}

bool gpu_enter(struct gpu *gpu)
{
    return gpu_succeeded(gpu, gpu->driver.push(gpu->context), "cuCtxPushCurrent");
}

void gpu_leave(struct gpu *gpu)
{
    void *context;

    gpu->driver.pop(&context);
}

gpu_pointer gpu_scratch(struct gpu *gpu, size_t size)
{
    if (gpu->scratch_size >= size)
        return gpu->scratch;
    if (!gpu_enter(gpu))
        return 0;
    /* Work that still reads the old memory ends first: cuMemFree waits for it. */
    if (gpu->scratch)
        gpu->driver.free(gpu->scratch);
    gpu->scratch_size = 0;
    if (!gpu_succeeded(gpu, gpu->driver.allocate(&gpu->scratch, size), "cuMemAlloc"))
        gpu->scratch = 0;
    else
        gpu->scratch_size = size;
    gpu_leave(gpu);
    return gpu->scratch;
}

bool gpu_download(struct gpu *gpu, void *to, size_t to_pitch, gpu_pointer from, size_t from_pitch,
                  size_t row_bytes, size_t rows)
{
    struct gpu_copy copy = {
        .from_type = MEMORY_DEVICE,
        .from_device = from,
        .from_pitch = from_pitch,
        .to_type = MEMORY_HOST,
        .to_host = to,
        .to_pitch = to_pitch,
        .row_bytes = row_bytes,
        .rows = rows,
    };
    bool ok;

    if (!gpu_enter(gpu))
        return false;
    ok = gpu_succeeded(gpu, gpu->driver.copy_2d(&copy, NULL), "cuMemcpy2DAsync") &&
         gpu_succeeded(gpu, gpu->driver.synchronize(NULL), "cuStreamSynchronize");
    gpu_leave(gpu);
    return ok;
}
