/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Memory by the older calls: of the device, of the host for devices, host memory of the program
 * that is registered; and what is known about a pointer.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "standin.h"

#define REGISTER_READ_ONLY 8U
#define REGISTER_KNOWN     15U

enum pointer_attribute {
    POINTER_CONTEXT = 1,
    POINTER_MEMORY_TYPE = 2,
    POINTER_DEVICE_POINTER = 3,
    POINTER_HOST_POINTER = 4,
    POINTER_IS_MANAGED = 8,
    POINTER_DEVICE_ORDINAL = 9,
    POINTER_RANGE_START = 11,
    POINTER_RANGE_SIZE = 12,
    POINTER_MAPPED = 13,
    POINTER_HANDLE_TYPES = 14,
};

int cuMemAlloc_v2(uint64_t *pointer, size_t size);
int cuMemFree_v2(uint64_t pointer);
int cuMemHostAlloc(void **pointer, size_t size, unsigned flags);
int cuMemAllocHost_v2(void **pointer, size_t size);
int cuMemFreeHost(void *pointer);
int cuMemHostRegister_v2(void *pointer, size_t size, unsigned flags);
int cuMemHostUnregister(void *pointer);
int cuMemHostGetDevicePointer_v2(uint64_t *device_pointer, void *pointer, unsigned flags);
int cuMemGetAddressRange_v2(uint64_t *start, size_t *size, uint64_t pointer);
int cuPointerGetAttribute(void *value, int attribute, uint64_t pointer);
int cuPointerGetAttributes(unsigned count, int *attributes, void **values, uint64_t pointer);

static void allow_all(struct region *region, uint8_t access)
{
    memset(region->access, access, sizeof(region->access));
}

static int alloc_device(struct context *context, size_t size, uint64_t *pointer)
{
    size_t pages = (size + 4095) & ~(size_t)4095;
    struct region *region = calloc(1, sizeof(*region));
    void *at = reserve_addresses(pages);
    void *alias = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (!region || !at || alias == MAP_FAILED || take_memory(context->device, pages)) {
        free(region);
        if (at)
            munmap(at, pages);
        if (alias != MAP_FAILED)
            munmap(alias, pages);
        return OUT_OF_MEMORY;
    }
    *region = (struct region){.kind = REGION_DEVICE,
                              .start = (uintptr_t)at,
                              .size = pages,
                              .alias = alias,
                              .device = context->device,
                              .context = context};
    region->access[context->device] = WRITE_ACCESS;
    add_region(region);
    *pointer = (uintptr_t)at;
    return SUCCESS;
}

EXPORTED int cuMemAlloc_v2(uint64_t *pointer, size_t size)
{
    struct context *context;
    int result;

    ENTER(cuMemAlloc_v2);
    if (size == 0)
        return INVALID_VALUE;
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result)
        result = alloc_device(context, size, pointer);
    pthread_mutex_unlock(&tables);
    return result;
}

static void free_region(struct region *region)
{
    remove_region(region);
    if (region->kind == REGION_DEVICE) {
        give_memory(region->device, region->size);
        munmap((void *)region->start, region->size);
    }
    if (region->kind != REGION_REGISTERED)
        munmap(region->alias, region->size);
    free(region);
}

/* The region of this kind that starts here. Waits for the work of its context, as freeing does. */
static int end_region(uint64_t start, enum region_kind kind, int otherwise)
{
    struct context *context;
    struct region *region;
    int result;

    pthread_mutex_lock(&tables);
    result = current_context(&context);
    region = region_of(start);
    if (!result && (!region || region->kind != kind || region->start != start))
        result = otherwise;
    if (!result) {
        if (region->context && region->context->alive)
            wait_for_context(region->context);
        free_region(region);
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemFree_v2(uint64_t pointer)
{
    ENTER(cuMemFree_v2);
    return pointer ? end_region(pointer, REGION_DEVICE, INVALID_VALUE) : SUCCESS;
}

static int alloc_host(size_t size, void **pointer)
{
    size_t pages = (size + 4095) & ~(size_t)4095;
    struct context *context;
    struct region *region;
    void *at;
    int result = current_context(&context);

    if (result)
        return result;
    region = calloc(1, sizeof(*region));
    at = mmap(NULL, pages, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!region || at == MAP_FAILED) {
        free(region);
        return OUT_OF_MEMORY;
    }
    *region = (struct region){.kind = REGION_PINNED,
                              .start = (uintptr_t)at,
                              .size = pages,
                              .alias = at,
                              .device = context->device,
                              .context = context};
    allow_all(region, WRITE_ACCESS);
    add_region(region);
    *pointer = at;
    return SUCCESS;
}

EXPORTED int cuMemHostAlloc(void **pointer, size_t size, unsigned flags)
{
    int result;

    ENTER(cuMemHostAlloc);
    if (size == 0 || flags & ~7U)
        return INVALID_VALUE;
    pthread_mutex_lock(&tables);
    result = alloc_host(size, pointer);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemAllocHost_v2(void **pointer, size_t size)
{
    ENTER(cuMemAllocHost_v2);
    return cuMemHostAlloc(pointer, size, 0);
}

EXPORTED int cuMemFreeHost(void *pointer)
{
    ENTER(cuMemFreeHost);
    return end_region((uintptr_t)pointer, REGION_PINNED, INVALID_VALUE);
}

/* Pinning for a device that may write needs pages that this process may write. */
static bool can_pin(void *pointer, size_t size, unsigned flags)
{
    uintptr_t start = (uintptr_t)pointer & ~(uintptr_t)4095;
    size_t whole = (((uintptr_t)pointer + size + 4095) & ~(uintptr_t)4095) - start;

    return madvise((void *)start, whole,
                   flags & REGISTER_READ_ONLY ? MADV_POPULATE_READ : MADV_POPULATE_WRITE) == 0;
}

static int register_memory(void *pointer, size_t size, unsigned flags)
{
    struct context *context;
    struct region *region;
    int result = current_context(&context);

    if (result)
        return result;
    if (flags & REGISTER_READ_ONLY && !machine()->registers)
        return NOT_SUPPORTED;
    if (region_of((uintptr_t)pointer) || region_of((uintptr_t)pointer + size - 1))
        return HOST_MEMORY_ALREADY_REGISTERED;
    if (!can_pin(pointer, size, flags))
        return INVALID_VALUE;
    region = calloc(1, sizeof(*region));
    if (!region)
        return OUT_OF_MEMORY;
    *region = (struct region){.kind = REGION_REGISTERED,
                              .start = (uintptr_t)pointer,
                              .size = size,
                              .alias = pointer,
                              .device = context->device,
                              .context = context};
    allow_all(region, flags & REGISTER_READ_ONLY ? READ_ACCESS : WRITE_ACCESS);
    add_region(region);
    return SUCCESS;
}

EXPORTED int cuMemHostRegister_v2(void *pointer, size_t size, unsigned flags)
{
    int result;

    ENTER(cuMemHostRegister_v2);
    if (!pointer || !size || flags & ~REGISTER_KNOWN)
        return INVALID_VALUE;
    pthread_mutex_lock(&tables);
    result = register_memory(pointer, size, flags);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemHostUnregister(void *pointer)
{
    ENTER(cuMemHostUnregister);
    return end_region((uintptr_t)pointer, REGION_REGISTERED, HOST_MEMORY_NOT_REGISTERED);
}

EXPORTED int cuMemHostGetDevicePointer_v2(uint64_t *device_pointer, void *pointer, unsigned flags)
{
    struct context *context;
    struct region *region;
    int result;

    ENTER(cuMemHostGetDevicePointer_v2);
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    region = region_of((uintptr_t)pointer);
    if (!result && (flags || !region || region->kind < REGION_PINNED))
        result = INVALID_VALUE;
    if (!result)
        *device_pointer = (uintptr_t)pointer;
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemGetAddressRange_v2(uint64_t *start, size_t *size, uint64_t pointer)
{
    struct context *context;
    struct region *region;
    int result;

    ENTER(cuMemGetAddressRange_v2);
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    region = region_of(pointer);
    if (!result && !region)
        result = NOT_FOUND;
    if (!result) {
        if (start)
            *start = region->start;
        if (size)
            *size = region->size;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

/* Locked. The values have the sizes that the driver documents. */
static int attribute_of(const struct region *r, int attribute, uint64_t pointer, void *value)
{
    bool host = r->kind >= REGION_PINNED;

    switch (attribute) {
    case POINTER_CONTEXT:
        /* Memory that was mapped belongs to no context. */
        if (!r->context)
            return INVALID_VALUE;
        *(struct context **)value = r->context;
        return SUCCESS;
    case POINTER_MEMORY_TYPE:
        *(unsigned *)value = host ? 1 : 2;
        return SUCCESS;
    case POINTER_DEVICE_POINTER:
        *(uint64_t *)value = pointer;
        return SUCCESS;
    case POINTER_HOST_POINTER:
        *(uint64_t *)value = pointer;
        return host ? SUCCESS : INVALID_VALUE;
    case POINTER_IS_MANAGED:
        *(unsigned char *)value = 0;
        return SUCCESS;
    case POINTER_DEVICE_ORDINAL:
        *(int *)value = r->device;
        return SUCCESS;
    case POINTER_RANGE_START:
        *(uint64_t *)value = r->start;
        return SUCCESS;
    case POINTER_RANGE_SIZE:
        *(size_t *)value = r->size;
        return SUCCESS;
    case POINTER_MAPPED:
        *(unsigned char *)value = 1;
        return SUCCESS;
    case POINTER_HANDLE_TYPES:
        *(uint64_t *)value = r->handle ? 1 : 0;
        return SUCCESS;
    default:
        return NOT_SUPPORTED;
    }
}

EXPORTED int cuPointerGetAttribute(void *value, int attribute, uint64_t pointer)
{
    struct region *region;
    int result = INVALID_VALUE;

    ENTER(cuPointerGetAttribute);
    pthread_mutex_lock(&tables);
    region = region_of(pointer);
    if (region)
        result = attribute_of(region, attribute, pointer, value);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuPointerGetAttributes(unsigned count, int *attributes, void **values,
                                    uint64_t pointer)
{
    struct region *region;

    ENTER(cuPointerGetAttributes);
    pthread_mutex_lock(&tables);
    region = region_of(pointer);
    for (unsigned i = 0; i < count; i++)
        if (!region || attribute_of(region, attributes[i], pointer, values[i]) != SUCCESS)
            memset(values[i], 0, 4);
    pthread_mutex_unlock(&tables);
    return SUCCESS;
}
