/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices and contexts.
 */
#include "cuda/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fork.h"
#include "base/sys.h"
#include "cuda/failure.h"

int cf_cuda_device(const struct cf_driver *driver, int index, cf_CUdevice *device)
{
    cf_CUresult result;
    int count;

    result = driver->cuDeviceGetCount(&count);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuDeviceGetCount", "cannot count the GPUs");
    if (index < 0 || index >= count)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "there is no GPU %d: this process sees %d (CUDA_VISIBLE_DEVICES, and what "
                       "the container was given)",
                       index, count);
    result = driver->cuDeviceGet(device, index);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuDeviceGet", "cannot get GPU %d", index);
    return CUFRAMES_OK;
}

int cf_cuda_uuid(const struct cf_driver *driver, cf_CUdevice device,
                 uint8_t uuid[CUFRAMES_GPU_UUID_SIZE])
{
    cf_CUuuid read;
    cf_CUresult result;

    /* The newer call tells the instances of a GPU in MIG mode apart. */
    if (driver->cuDeviceGetUuid_v2)
        result = driver->cuDeviceGetUuid_v2(&read, device);
    else
        result = driver->cuDeviceGetUuid(&read, device);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuDeviceGetUuid", "cannot tell the GPU's UUID");
    memcpy(uuid, read.bytes, CUFRAMES_GPU_UUID_SIZE);
    return CUFRAMES_OK;
}

void cf_cuda_uuid_text(const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE],
                       char text[CUFRAMES_GPU_UUID_TEXT])
{
    char *p = text + snprintf(text, CUFRAMES_GPU_UUID_TEXT, "GPU-");

    for (int i = 0; i < CUFRAMES_GPU_UUID_SIZE; i++)
        p += sprintf(p, "%s%02x", i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "", uuid[i]);
}

int cf_cuda_find(const struct cf_driver *driver, const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE])
{
    uint8_t read[CUFRAMES_GPU_UUID_SIZE];
    cf_CUdevice device;
    int count;

    if (driver->cuDeviceGetCount(&count) != CF_CU_SUCCESS)
        return -1;
    for (int i = 0; i < count; i++)
        if (driver->cuDeviceGet(&device, i) == CF_CU_SUCCESS &&
            cf_cuda_uuid(driver, device, read) == CUFRAMES_OK &&
            memcmp(read, uuid, sizeof(read)) == 0)
            return i;
    return -1;
}

int cf_cuda_attribute(const struct cf_driver *driver, cf_CUdevice device, int attribute)
{
    int value = 0;

    return driver->cuDeviceGetAttribute(&value, attribute, device) == CF_CU_SUCCESS ? value : 0;
}

int cf_cuda_check_sharing(const struct cf_driver *driver, cf_CUdevice device, int index)
{
    if (!cf_cuda_attribute(driver, device, CF_CU_ATTRIBUTE_VMM))
        return cf_fail(CUFRAMES_ERR_CUDA,
                       "GPU %d has no virtual memory management, by which memory is shared "
                       "(attribute %d is 0): some virtual GPUs and older drivers lack it; use host "
                       "memory, or another GPU",
                       index, CF_CU_ATTRIBUTE_VMM);
    if (!cf_cuda_attribute(driver, device, CF_CU_ATTRIBUTE_DESCRIPTORS))
        return cf_fail(CUFRAMES_ERR_CUDA,
                       "GPU %d cannot export memory as a descriptor (attribute %d is 0): use host "
                       "memory, or another GPU",
                       index, CF_CU_ATTRIBUTE_DESCRIPTORS);
    return CUFRAMES_OK;
}

bool cf_cuda_peers(const struct cf_driver *driver, cf_CUdevice device, cf_CUdevice other)
{
    int can = 0;

    return driver->cuDeviceCanAccessPeer(&can, device, other) == CF_CU_SUCCESS && can;
}

static int cuda_new(const struct cf_driver *driver, int index, struct cf_cuda **cuda)
{
    struct cf_cuda *new;
    cf_CUdevice device;
    int err;

    if ((err = cf_cuda_device(driver, index, &device)) != 0)
        return err;
    new = cf_sys.calloc(1, sizeof(*new));
    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->refs = 1;
    new->fork_count = cf_fork_count();
    new->driver = driver;
    new->index = index;
    new->device = device;
    if ((err = cf_cuda_uuid(driver, device, new->uuid)) != 0) {
        free(new);
        return err;
    }
    *cuda = new;
    return CUFRAMES_OK;
}

int cf_cuda_open(int index, struct cf_cuda **cuda)
{
    const struct cf_driver *driver;
    struct cf_cuda *new;
    cf_CUresult result;
    int err;

    if ((err = cf_driver_load(&driver)) != 0 || (err = cuda_new(driver, index, &new)) != 0)
        return err;
    result = driver->cuDevicePrimaryCtxRetain(&new->context, new->device);
    if (result != CF_CU_SUCCESS) {
        err =
            cf_cuda_failed(driver, result, "cuDevicePrimaryCtxRetain", "cannot use GPU %d", index);
        free(new);
        return err;
    }
    new->primary = true;
    *cuda = new;
    return CUFRAMES_OK;
}

static int no_current_context(void)
{
    return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                   "the current context was asked for, and this thread has none: make one current "
                   "(cuCtxSetCurrent, or any call of the runtime API), or leave the flag out");
}

int cf_cuda_open_current(struct cf_cuda **cuda)
{
    const struct cf_driver *driver;
    cf_CUcontext context = NULL;
    struct cf_cuda *new;
    cf_CUdevice current, device;
    int count = 0;
    int err;

    if ((err = cf_driver_load(&driver)) != 0)
        return err;
    if (driver->cuCtxGetCurrent(&context) != CF_CU_SUCCESS || !context ||
        driver->cuCtxGetDevice(&current) != CF_CU_SUCCESS ||
        driver->cuDeviceGetCount(&count) != CF_CU_SUCCESS)
        return no_current_context();
    for (int i = 0; i < count; i++) {
        if (driver->cuDeviceGet(&device, i) != CF_CU_SUCCESS || device != current)
            continue;
        if ((err = cuda_new(driver, i, &new)) != 0)
            return err;
        new->context = context;
        *cuda = new;
        return CUFRAMES_OK;
    }
    return no_current_context();
}

struct cf_cuda *cf_cuda_ref(struct cf_cuda *cuda)
{
    atomic_fetch_add_explicit(&cuda->refs, 1, memory_order_relaxed);
    return cuda;
}

bool cf_cuda_is_ours(const struct cf_cuda *cuda)
{
    return cuda->fork_count == cf_fork_count();
}

void cf_cuda_unref(struct cf_cuda *cuda)
{
    if (!cuda || atomic_fetch_sub_explicit(&cuda->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (cuda->primary && cf_cuda_is_ours(cuda))
        cuda->driver->cuDevicePrimaryCtxRelease_v2(cuda->device);
    free(cuda);
}

int cf_cuda_enter(const struct cf_cuda *cuda)
{
    cf_CUresult result;

    if (!cf_cuda_is_ours(cuda))
        return cf_fail(CUFRAMES_ERR_CUDA, "CUDA was begun before fork() and does not work in the "
                                          "child: start it with exec");
    result = cuda->driver->cuCtxPushCurrent_v2(cuda->context);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(cuda->driver, result, "cuCtxPushCurrent", "cannot use GPU %d",
                              cuda->index);
    return CUFRAMES_OK;
}

void cf_cuda_leave(const struct cf_cuda *cuda)
{
    cf_CUcontext ours;

    cuda->driver->cuCtxPopCurrent_v2(&ours);
}
