/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in GPU memory: one allocation of the driver's virtual memory management for all slots,
 * rounded up once to the device's granularity, exported as one descriptor. The publisher maps it
 * for writing, a subscriber for reading alone: a kernel that writes to it faults.
 *
 * Memory lives as long as something refers to it: a map, or an exported descriptor, of any process.
 * So frames outlive a publisher that was killed.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"
#include "cuda/failure.h"
#include "memory/kinds.h"

struct vmm_memory {
    struct cf_memory memory;
    bool mapped; /* by us: not a program's own map */
};

static void unmap(const struct cf_driver *driver, cf_CUdeviceptr at, size_t size)
{
    driver->cuMemUnmap(at, size);
    driver->cuMemAddressFree(at, size);
}

static void vmm_destroy(struct cf_memory *memory)
{
    struct vmm_memory *vmm = (struct vmm_memory *)memory;
    struct cf_cuda *cuda = memory->cuda;

    /* These calls need no context, and so work when the context has failed or is gone. */
    if (vmm->mapped && cf_cuda_is_ours(cuda))
        unmap(cuda->driver, (cf_CUdeviceptr)(uintptr_t)memory->base, memory->size);
    cf_close(&memory->fd);
    cf_cuda_unref(cuda);
    free(vmm);
}

static const struct cf_memory_kind vmm_kind = {.destroy = vmm_destroy};

static int vmm_new(struct cf_cuda *cuda, struct vmm_memory **vmm)
{
    struct vmm_memory *new = cf_sys.calloc(1, sizeof(*new));

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->memory = (struct cf_memory){
        .kind = &vmm_kind,
        .fd = -1,
        .place = CUFRAMES_MEMORY_CUDA,
        .access = CUFRAMES_ACCESS_IN_PLACE,
        .cuda = cf_cuda_ref(cuda),
    };
    *vmm = new;
    return CUFRAMES_OK;
}

static cf_CUallocation allocation_on(cf_CUdevice device)
{
    return (cf_CUallocation){
        .type = CF_CU_ALLOCATION_PINNED,
        .handle_types = CF_CU_HANDLE_DESCRIPTOR,
        .location = {.type = CF_CU_LOCATION_DEVICE, .id = device},
    };
}

/* Rounds `size` up to what the device allocates in. */
static int round_up(const struct cf_driver *driver, cf_CUdevice device, size_t *size)
{
    const cf_CUallocation allocation = allocation_on(device);
    size_t unit = 0;
    cf_CUresult result =
        driver->cuMemGetAllocationGranularity(&unit, &allocation, CF_CU_GRANULARITY_MINIMUM);

    if (result != CF_CU_SUCCESS || unit == 0)
        return cf_cuda_failed(driver, result, "cuMemGetAllocationGranularity",
                              "cannot tell how the GPU allocates memory");
    if (__builtin_add_overflow(*size, unit - 1, size))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the frame memory is too large");
    *size = *size / unit * unit;
    return CUFRAMES_OK;
}

/* Gives the memory of `handle` an address, with `access` for the device of `cuda`. */
static int map(struct cf_cuda *cuda, cf_CUmemhandle handle, size_t size, int access,
               cf_CUdeviceptr *at)
{
    const struct cf_driver *driver = cuda->driver;
    const cf_CUaccess rights = {.location = {.type = CF_CU_LOCATION_DEVICE, .id = cuda->device},
                                .flags = access};
    const char *call = "cuMemAddressReserve";
    cf_CUdeviceptr address;
    cf_CUresult result;

    result = driver->cuMemAddressReserve(&address, size, 0, 0, 0);
    if (result != CF_CU_SUCCESS)
        goto fail;
    call = "cuMemMap";
    result = driver->cuMemMap(address, size, 0, handle, 0);
    if (result != CF_CU_SUCCESS)
        goto free_address;
    call = "cuMemSetAccess";
    result = driver->cuMemSetAccess(address, size, &rights, 1);
    if (result != CF_CU_SUCCESS)
        goto unmap;
    *at = address;
    return CUFRAMES_OK;

unmap:
    driver->cuMemUnmap(address, size);
free_address:
    driver->cuMemAddressFree(address, size);
fail:
    return cf_cuda_failed(driver, result, call, "cannot map %zu KiB of frame memory on GPU %d",
                          size >> 10, cuda->index);
}

static int export(struct cf_cuda *cuda, cf_CUmemhandle handle, int *fd)
{
    cf_CUresult result =
        cuda->driver->cuMemExportToShareableHandle(fd, handle, CF_CU_HANDLE_DESCRIPTOR, 0);

    if (result != CF_CU_SUCCESS) {
        *fd = -1;
        return cf_cuda_failed(cuda->driver, result, "cuMemExportToShareableHandle",
                              "cannot export memory of GPU %d", cuda->index);
    }
    fcntl(*fd, F_SETFD, FD_CLOEXEC);
    return CUFRAMES_OK;
}

/* In the context of `cuda`. */
static int allocate(struct cf_cuda *cuda, size_t size, struct vmm_memory *vmm)
{
    const struct cf_driver *driver = cuda->driver;
    const cf_CUallocation allocation = allocation_on(cuda->device);
    cf_CUmemhandle handle;
    cf_CUdeviceptr at;
    cf_CUresult result;
    int err = round_up(driver, cuda->device, &size);

    if (err)
        return err;
    result = driver->cuMemCreate(&handle, size, &allocation, 0);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuMemCreate",
                              "cannot reserve %zu KiB for the slots on GPU %d", size >> 10,
                              cuda->index);
    err = export(cuda, handle, &vmm->memory.fd);
    if (!err)
        err = map(cuda, handle, size, CF_CU_ACCESS_READ_WRITE, &at);
    /* The map and the descriptor keep the memory. */
    driver->cuMemRelease(handle);
    if (err)
        return err;
    vmm->mapped = true;
    vmm->memory.base = (void *)(uintptr_t)at;
    vmm->memory.size = size;
    return CUFRAMES_OK;
}

int cf_vmm_create(struct cf_cuda *cuda, size_t size, struct cf_memory **memory)
{
    struct vmm_memory *vmm;
    int err;

    if ((err = vmm_new(cuda, &vmm)) != 0)
        return err;
    if ((err = cf_cuda_enter(cuda)) == 0) {
        err = allocate(cuda, size, vmm);
        cf_cuda_leave(cuda);
    }
    if (err) {
        vmm_destroy(&vmm->memory);
        return err;
    }
    *memory = &vmm->memory;
    return CUFRAMES_OK;
}

/* In the context of `cuda`. */
static int adopt(struct cf_cuda *cuda, void *pointer, size_t *offset, struct vmm_memory *vmm)
{
    const struct cf_driver *driver = cuda->driver;
    cf_CUallocation allocation;
    cf_CUdeviceptr start;
    cf_CUmemhandle handle;
    size_t size;
    int err = CUFRAMES_OK;

    if (driver->cuMemRetainAllocationHandle(&handle, pointer) != CF_CU_SUCCESS)
        return cf_fail(CUFRAMES_ERR_FORMAT, "the memory was not made by cuMemCreate()");
    if (driver->cuMemGetAllocationPropertiesFromHandle(&allocation, handle) != CF_CU_SUCCESS ||
        !(allocation.handle_types & CF_CU_HANDLE_DESCRIPTOR))
        err = cf_fail(CUFRAMES_ERR_FORMAT,
                      "the memory was made without CU_MEM_HANDLE_TYPE_POSIX_FILE_DESCRIPTOR");
    else if (allocation.location.type != CF_CU_LOCATION_DEVICE ||
             allocation.location.id != cuda->device)
        err = cf_fail(CUFRAMES_ERR_FORMAT, "the memory is not on GPU %d", cuda->index);
    else if (driver->cuMemGetAddressRange_v2(&start, &size, (cf_CUdeviceptr)(uintptr_t)pointer) !=
             CF_CU_SUCCESS)
        err = cf_fail(CUFRAMES_ERR_FORMAT, "the driver does not tell where the memory begins");
    else if (export(cuda, handle, &vmm->memory.fd) != CUFRAMES_OK)
        err = CUFRAMES_ERR_FORMAT;
    driver->cuMemRelease(handle);
    if (err)
        return err;
    vmm->memory.base = (void *)(uintptr_t)start;
    vmm->memory.size = size;
    *offset = (uintptr_t)pointer - start;
    return CUFRAMES_OK;
}

int cf_vmm_adopt(struct cf_cuda *cuda, void *pointer, size_t *offset, struct cf_memory **memory)
{
    struct vmm_memory *vmm;
    int err;

    if ((err = vmm_new(cuda, &vmm)) != 0)
        return err;
    if ((err = cf_cuda_enter(cuda)) == 0) {
        err = adopt(cuda, pointer, offset, vmm);
        cf_cuda_leave(cuda);
    }
    if (err) {
        vmm_destroy(&vmm->memory);
        return err;
    }
    *memory = &vmm->memory;
    return CUFRAMES_OK;
}

/* Whether what was imported is memory of the device that the peer says it is on. */
static int check_import(const struct cf_driver *driver, cf_CUmemhandle handle, cf_CUdevice owner)
{
    cf_CUallocation allocation;
    cf_CUresult result = driver->cuMemGetAllocationPropertiesFromHandle(&allocation, handle);

    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuMemGetAllocationPropertiesFromHandle",
                              "cannot tell what the publisher's memory is");
    if (allocation.location.type != CF_CU_LOCATION_DEVICE || allocation.location.id != owner)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the publisher's memory is not on the GPU that it names");
    return CUFRAMES_OK;
}

/* In the context of `reader`. */
static int import(struct cf_cuda *reader, cf_CUdevice owner, int fd, size_t size,
                  struct vmm_memory *vmm)
{
    const struct cf_driver *driver = reader->driver;
    cf_CUmemhandle handle;
    cf_CUdeviceptr at;
    cf_CUresult result;
    int err = round_up(driver, owner, &size);

    if (err)
        return err;
    result = driver->cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd,
                                                    CF_CU_HANDLE_DESCRIPTOR);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuMemImportFromShareableHandle",
                              "cannot import the publisher's memory (both must use the same "
                              "driver, and in MIG mode the same instance)");
    err = check_import(driver, handle, owner);
    /* A descriptor with less memory than the peer says fails here. */
    if (!err)
        err = map(reader, handle, size, CF_CU_ACCESS_READ, &at);
    driver->cuMemRelease(handle);
    if (err)
        return err;
    vmm->mapped = true;
    vmm->memory.base = (void *)(uintptr_t)at;
    vmm->memory.size = size;
    return CUFRAMES_OK;
}

int cf_vmm_import(struct cf_cuda *reader, cf_CUdevice owner, int fd, size_t size,
                  struct cf_memory **memory)
{
    struct vmm_memory *vmm;
    int err;

    if ((err = vmm_new(reader, &vmm)) != 0)
        return err;
    if (owner != reader->device)
        vmm->memory.access = CUFRAMES_ACCESS_PEER;
    if ((err = cf_cuda_enter(reader)) == 0) {
        err = import(reader, owner, fd, size, vmm);
        cf_cuda_leave(reader);
    }
    if (err) {
        vmm_destroy(&vmm->memory);
        return err;
    }
    *memory = &vmm->memory;
    return CUFRAMES_OK;
}
