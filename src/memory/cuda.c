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
#include "base/point.h"
#include "base/sys.h"
#include "cuda/failure.h"
#include "memory/kinds.h"

struct vmm_memory {
    struct cf_memory memory;
    uint32_t
        parts; /* mapped by us, one behind the other, of the same size; 0 = the program's map */
};

/* Takes `mapped` of `parts` maps back, and the address. */
static void unmap(const struct cf_driver *driver, cf_CUdeviceptr at, size_t size, uint32_t parts,
                  uint32_t mapped)
{
    const size_t part = size / parts;

    for (uint32_t i = 0; i < mapped; i++)
        driver->cuMemUnmap(at + i * part, part);
    driver->cuMemAddressFree(at, size);
}

static void vmm_destroy(struct cf_memory *memory)
{
    struct vmm_memory *vmm = (struct vmm_memory *)memory;
    struct cf_cuda *cuda = memory->cuda;

    if (vmm->parts > 0 && cf_cuda_is_ours(cuda) && cf_cuda_enter(cuda) == CUFRAMES_OK) {
        unmap(cuda->driver, (cf_CUdeviceptr)(uintptr_t)memory->base, memory->size, vmm->parts,
              vmm->parts);
        cf_cuda_leave(cuda);
    }
    cf_close(&memory->fd);
    for (uint32_t i = 0; i < memory->more_count; i++)
        cf_close(&memory->more_fds[i]);
    free(memory->more_fds);
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

/* Gives memories of the same size one address range, with `access` for the device of `cuda`. */
static int map(struct cf_cuda *cuda, const cf_CUmemhandle *handles, uint32_t count, size_t size,
               int access, cf_CUdeviceptr *at)
{
    const struct cf_driver *driver = cuda->driver;
    const cf_CUaccess rights = {.location = {.type = CF_CU_LOCATION_DEVICE, .id = cuda->device},
                                .flags = access};
    const size_t part = size / count;
    const char *call = "cuMemAddressReserve";
    cf_CUdeviceptr address = 0;
    uint32_t mapped = 0;
    cf_CUresult result = driver->cuMemAddressReserve(&address, size, 0, 0, 0);

    if (result == CF_CU_SUCCESS)
        call = "cuMemMap";
    while (result == CF_CU_SUCCESS && mapped < count) {
        result = driver->cuMemMap(address + mapped * part, part, 0, handles[mapped], 0);
        if (result == CF_CU_SUCCESS)
            mapped++;
    }
    if (result == CF_CU_SUCCESS)
        call = "cuMemSetAccess";
    for (uint32_t i = 0; result == CF_CU_SUCCESS && i < count; i++)
        result = driver->cuMemSetAccess(address + i * part, part, &rights, 1);
    if (result == CF_CU_SUCCESS) {
        *at = address;
        return CUFRAMES_OK;
    }
    if (address)
        unmap(driver, address, size, count, mapped);
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
    CF_POINT("gpu_memory.allocated");
    err = export(cuda, handle, &vmm->memory.fd);
    CF_POINT("gpu_memory.exported");
    if (!err)
        err = map(cuda, &handle, 1, size, CF_CU_ACCESS_READ_WRITE, &at);
    /* The map and the descriptor keep the memory. */
    driver->cuMemRelease(handle);
    if (err)
        return err;
    CF_POINT("gpu_memory.mapped");
    vmm->parts = 1;
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

/* A program's own map of an allocation. */
struct own_map {
    cf_CUdeviceptr start;
    size_t size;
    int fd; /* exported; owned */
};

/* In the context of `cuda`. */
static int export_own(struct cf_cuda *cuda, void *pointer, struct own_map *own)
{
    const struct cf_driver *driver = cuda->driver;
    cf_CUallocation allocation;
    cf_CUmemhandle handle;
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
    else if (driver->cuMemGetAddressRange_v2(&own->start, &own->size,
                                             (cf_CUdeviceptr)(uintptr_t)pointer) != CF_CU_SUCCESS)
        err = cf_fail(CUFRAMES_ERR_FORMAT, "the driver does not tell where the memory begins");
    else if (export(cuda, handle, &own->fd) != CUFRAMES_OK)
        err = CUFRAMES_ERR_FORMAT;
    driver->cuMemRelease(handle);
    return err;
}

/* In the context of `cuda`. */
static int adopt(struct cf_cuda *cuda, void *const *pointers, uint32_t count, size_t *offset,
                 struct vmm_memory *vmm)
{
    struct cf_memory *memory = &vmm->memory;
    struct own_map first = {.fd = -1}, own;
    int err = export_own(cuda, pointers[0], &first);

    if (err)
        return err;
    memory->fd = first.fd;
    memory->base = (void *)(uintptr_t)first.start;
    memory->size = first.size * count;
    *offset = (uintptr_t)pointers[0] - first.start;
    if (count == 1)
        return CUFRAMES_OK;
    memory->more_fds = cf_sys.calloc(count - 1, sizeof(*memory->more_fds));
    if (!memory->more_fds)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    for (uint32_t i = 1; i < count; i++) {
        if ((err = export_own(cuda, pointers[i], &own)) != 0)
            return err;
        memory->more_fds[memory->more_count++] = own.fd;
        if (own.size != first.size || (uintptr_t)pointers[i] - own.start != *offset)
            return cf_fail(CUFRAMES_ERR_FORMAT,
                           "the buffers are neither at equal distances in one allocation, nor each "
                           "at the same place of an allocation of its own, all of one size");
    }
    return CUFRAMES_OK;
}

int cf_vmm_adopt(struct cf_cuda *cuda, void *const *pointers, uint32_t count, size_t *offset,
                 struct cf_memory **memory)
{
    struct vmm_memory *vmm;
    int err;

    if ((err = vmm_new(cuda, &vmm)) != 0)
        return err;
    if ((err = cf_cuda_enter(cuda)) == 0) {
        err = adopt(cuda, pointers, count, offset, vmm);
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

static int import_one(struct cf_cuda *reader, cf_CUdevice owner, int fd, cf_CUmemhandle *handle)
{
    const struct cf_driver *driver = reader->driver;
    cf_CUresult result = driver->cuMemImportFromShareableHandle(handle, (void *)(intptr_t)fd,
                                                                CF_CU_HANDLE_DESCRIPTOR);
    int err;

    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuMemImportFromShareableHandle",
                              "cannot import the publisher's memory (both must use the same "
                              "driver, and in MIG mode the same instance)");
    err = check_import(driver, *handle, owner);
    if (err)
        driver->cuMemRelease(*handle);
    return err;
}

/* In the context of `reader`. */
static int import(struct cf_cuda *reader, cf_CUdevice owner, const struct cf_memory_source *source,
                  struct vmm_memory *vmm)
{
    const struct cf_driver *driver = reader->driver;
    cf_CUmemhandle handles[CUFRAMES_MAX_SLOTS];
    size_t part = source->size / source->fd_count;
    uint32_t count = 0;
    cf_CUdeviceptr at;
    int err = round_up(driver, owner, &part);

    if (!err && source->fd_count > 1 && part * source->fd_count != source->size)
        err = cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher's memory is not of a size that the GPU "
                                             "allocates");
    while (!err && count < source->fd_count) {
        err = import_one(reader, owner, source->fds[count], &handles[count]);
        if (!err)
            count++;
    }
    CF_POINT("gpu_memory.imported");
    /* A descriptor with less memory than the peer says fails here. */
    if (!err)
        err = map(reader, handles, count, part * count, CF_CU_ACCESS_READ, &at);
    /* The map keeps the memory. */
    for (uint32_t i = 0; i < count; i++)
        driver->cuMemRelease(handles[i]);
    if (err)
        return err;
    CF_POINT("gpu_memory.import_mapped");
    vmm->parts = count;
    vmm->memory.base = (void *)(uintptr_t)at;
    vmm->memory.size = part * count;
    return CUFRAMES_OK;
}

int cf_vmm_import(struct cf_cuda *reader, cf_CUdevice owner, const struct cf_memory_source *source,
                  struct cf_memory **memory)
{
    struct vmm_memory *vmm;
    int err;

    if ((err = vmm_new(reader, &vmm)) != 0)
        return err;
    if (owner != reader->device)
        vmm->memory.access = CUFRAMES_ACCESS_PEER;
    if ((err = cf_cuda_enter(reader)) == 0) {
        err = import(reader, owner, source, vmm);
        cf_cuda_leave(reader);
    }
    if (err) {
        vmm_destroy(&vmm->memory);
        return err;
    }
    *memory = &vmm->memory;
    return CUFRAMES_OK;
}
