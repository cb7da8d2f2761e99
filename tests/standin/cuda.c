/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stand-in for libcuda.so.1 on machines without a GPU, for tests only: memory that is created,
 * exported, imported and mapped by the calls of the driver's virtual memory management, over host
 * memory (memfds). Mappings have the protection that was asked for, so a write through a read-only
 * one faults, as it does on a GPU. It proves the logic of a program, nothing about a GPU.
 *
 * $STANDIN_DEVICES is the number of devices (1). Device pointers are host pointers.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define EXPORTED    __attribute__((visibility("default")))
#define MAX_DEVICES 16

/* The driver's numbers. */
enum {
    SUCCESS = 0,
    INVALID_VALUE = 1,
    OUT_OF_MEMORY = 2,
    NOT_INITIALIZED = 3,
    INVALID_CONTEXT = 201,
    INVALID_DEVICE = 101,
    INVALID_HANDLE = 400,
};

struct location {
    int type, id;
};

struct allocation {
    int type, handle_types;
    struct location location;
    void *win32;
    uint8_t flags[8];
};

struct access {
    struct location location;
    int flags;
};

struct handle {
    int fd;
    size_t size;
    unsigned refs; /* the handle's own, and one for each mapping */
};

struct mapping {
    struct mapping *next;
    uint8_t *at;
    size_t size;
    struct handle *handle;
};

#define GRANULARITY ((size_t)2 << 20)

static int initialized;
static _Thread_local void *current;
static char contexts[MAX_DEVICES];
static struct mapping *mappings;

/* The exported functions, as they are declared nowhere else. */
int cuInit(unsigned flags);
int cuGetErrorString(int result, const char **text);
int cuDeviceGetCount(int *count);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetName(char *name, int size, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuDeviceCanAccessPeer(int *can, int device, int peer);
int cuDevicePrimaryCtxRetain(void **context, int device);
int cuDevicePrimaryCtxRelease_v2(int device);
int cuCtxSetCurrent(void *context);
int cuCtxSynchronize(void);
int cuMemGetAllocationGranularity(size_t *bytes, const struct allocation *prop, int option);
int cuMemCreate(uint64_t *handle, size_t size, const struct allocation *prop,
                unsigned long long flags);
int cuMemRelease(uint64_t handle);
int cuMemExportToShareableHandle(void *shareable, uint64_t handle, int type,
                                 unsigned long long flags);
int cuMemImportFromShareableHandle(uint64_t *handle, void *shareable, int type);
int cuMemAddressReserve(uint64_t *pointer, size_t size, size_t alignment, uint64_t hint,
                        unsigned long long flags);
int cuMemAddressFree(uint64_t pointer, size_t size);
int cuMemMap(uint64_t pointer, size_t size, size_t offset, uint64_t handle,
             unsigned long long flags);
int cuMemUnmap(uint64_t pointer, size_t size);
int cuMemSetAccess(uint64_t pointer, size_t size, const struct access *access, size_t count);
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size);
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size);
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size);

static int device_count(void)
{
    const char *text = getenv("STANDIN_DEVICES");
    int count = text ? atoi(text) : 1;

    return count < 0 ? 0 : count > MAX_DEVICES ? MAX_DEVICES : count;
}

static int is_device(int device)
{
    return device >= 0 && device < device_count();
}

EXPORTED int cuInit(unsigned flags)
{
    initialized = 1;
    return flags == 0 ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuGetErrorString(int result, const char **text)
{
    *text = result == SUCCESS          ? "no error"
            : result == OUT_OF_MEMORY  ? "out of memory"
            : result == INVALID_HANDLE ? "invalid resource handle"
                                       : "invalid argument";
    return SUCCESS;
}

EXPORTED int cuDeviceGetCount(int *count)
{
    *count = device_count();
    return initialized ? SUCCESS : NOT_INITIALIZED;
}

EXPORTED int cuDeviceGet(int *device, int ordinal)
{
    if (!initialized)
        return NOT_INITIALIZED;
    *device = ordinal;
    return is_device(ordinal) ? SUCCESS : INVALID_DEVICE;
}

EXPORTED int cuDeviceGetName(char *name, int size, int device)
{
    snprintf(name, (size_t)size, "stand-in %d", device);
    return is_device(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORTED int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    /* Virtual memory management, and handles that are POSIX descriptors. */
    *value = attribute == 102 || attribute == 103;
    return is_device(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORTED int cuDeviceCanAccessPeer(int *can, int device, int peer)
{
    *can = device != peer;
    return is_device(device) && is_device(peer) ? SUCCESS : INVALID_DEVICE;
}

EXPORTED int cuDevicePrimaryCtxRetain(void **context, int device)
{
    if (!is_device(device))
        return INVALID_DEVICE;
    *context = &contexts[device];
    return SUCCESS;
}

EXPORTED int cuDevicePrimaryCtxRelease_v2(int device)
{
    return is_device(device) ? SUCCESS : INVALID_DEVICE;
}

EXPORTED int cuCtxSetCurrent(void *context)
{
    current = context;
    return SUCCESS;
}

EXPORTED int cuCtxSynchronize(void)
{
    return current ? SUCCESS : INVALID_CONTEXT;
}

EXPORTED int cuMemGetAllocationGranularity(size_t *bytes, const struct allocation *prop, int option)
{
    (void)option;
    *bytes = GRANULARITY;
    return is_device(prop->location.id) ? SUCCESS : INVALID_DEVICE;
}

static int new_handle(uint64_t *handle, int fd, size_t size)
{
    struct handle *new = malloc(sizeof(*new));

    if (!new) {
        close(fd);
        return OUT_OF_MEMORY;
    }
    *new = (struct handle){.fd = fd, .size = size, .refs = 1};
    *handle = (uintptr_t) new;
    return SUCCESS;
}

static void drop_handle(struct handle *handle)
{
    if (--handle->refs > 0)
        return;
    close(handle->fd);
    free(handle);
}

EXPORTED int cuMemCreate(uint64_t *handle, size_t size, const struct allocation *prop,
                         unsigned long long flags)
{
    int fd;

    if (flags || size == 0 || size % GRANULARITY || prop->type != 1 || prop->location.type != 1)
        return INVALID_VALUE;
    if (!is_device(prop->location.id))
        return INVALID_DEVICE;
    fd = memfd_create("standin-device-memory", MFD_CLOEXEC);
    if (fd < 0)
        return OUT_OF_MEMORY;
    if (ftruncate(fd, (off_t)size) != 0) {
        close(fd);
        return OUT_OF_MEMORY;
    }
    return new_handle(handle, fd, size);
}

EXPORTED int cuMemRelease(uint64_t handle)
{
    drop_handle((struct handle *)(uintptr_t)handle);
    return SUCCESS;
}

EXPORTED int cuMemExportToShareableHandle(void *shareable, uint64_t handle, int type,
                                          unsigned long long flags)
{
    int fd;

    if (type != 1 || flags)
        return INVALID_VALUE;
    fd = dup(((struct handle *)(uintptr_t)handle)->fd);
    if (fd < 0)
        return OUT_OF_MEMORY;
    *(int *)shareable = fd;
    return SUCCESS;
}

EXPORTED int cuMemImportFromShareableHandle(uint64_t *handle, void *shareable, int type)
{
    int fd = (int)(intptr_t)shareable;
    struct stat st;

    if (type != 1 || fstat(fd, &st) != 0)
        return INVALID_VALUE;
    fd = dup(fd);
    return fd < 0 ? OUT_OF_MEMORY : new_handle(handle, fd, (size_t)st.st_size);
}

EXPORTED int cuMemAddressReserve(uint64_t *pointer, size_t size, size_t alignment, uint64_t hint,
                                 unsigned long long flags)
{
    void *at;

    (void)alignment;
    (void)hint;
    if (flags || size == 0 || size % GRANULARITY)
        return INVALID_VALUE;
    at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return OUT_OF_MEMORY;
    *pointer = (uintptr_t)at;
    return SUCCESS;
}

EXPORTED int cuMemAddressFree(uint64_t pointer, size_t size)
{
    return munmap((void *)(uintptr_t)pointer, size) == 0 ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuMemMap(uint64_t pointer, size_t size, size_t offset, uint64_t handle,
                      unsigned long long flags)
{
    struct handle *memory = (struct handle *)(uintptr_t)handle;
    struct mapping *mapping;

    if (flags || offset + size > memory->size)
        return INVALID_VALUE;
    mapping = malloc(sizeof(*mapping));
    if (!mapping)
        return OUT_OF_MEMORY;
    if (mmap((void *)(uintptr_t)pointer, size, PROT_NONE, MAP_SHARED | MAP_FIXED, memory->fd,
             (off_t)offset) == MAP_FAILED) {
        free(mapping);
        return OUT_OF_MEMORY;
    }
    memory->refs++;
    *mapping = (struct mapping){mappings, (uint8_t *)(uintptr_t)pointer, size, memory};
    mappings = mapping;
    return SUCCESS;
}

EXPORTED int cuMemUnmap(uint64_t pointer, size_t size)
{
    for (struct mapping **link = &mappings; *link; link = &(*link)->next) {
        struct mapping *mapping = *link;

        if (mapping->at != (uint8_t *)(uintptr_t)pointer || mapping->size != size)
            continue;
        mmap(mapping->at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
             -1, 0);
        *link = mapping->next;
        drop_handle(mapping->handle);
        free(mapping);
        return SUCCESS;
    }
    return INVALID_VALUE;
}

EXPORTED int cuMemSetAccess(uint64_t pointer, size_t size, const struct access *access,
                            size_t count)
{
    int protection = PROT_NONE;

    for (size_t i = 0; i < count; i++) {
        if (!is_device(access[i].location.id))
            return INVALID_DEVICE;
        protection |= access[i].flags == 3   ? PROT_READ | PROT_WRITE
                      : access[i].flags == 1 ? PROT_READ
                                             : PROT_NONE;
    }
    return mprotect((void *)(uintptr_t)pointer, size, protection) == 0 ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size)
{
    memcpy((void *)(uintptr_t)to, from, size);
    return current ? SUCCESS : INVALID_CONTEXT;
}

EXPORTED int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size)
{
    memcpy(to, (const void *)(uintptr_t)from, size);
    return current ? SUCCESS : INVALID_CONTEXT;
}

EXPORTED int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size)
{
    memcpy((void *)(uintptr_t)to, (const void *)(uintptr_t)from, size);
    return current ? SUCCESS : INVALID_CONTEXT;
}
