/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Virtual memory management: handles of device memory, address ranges, and mappings of the one into
 * the other.
 *
 * A handle is a memfd with the memory and behind it one page that says whose it is, so that a
 * process which imports it knows the device by its UUID, and refuses what is no device memory.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control.h"
#include "standin.h"

#define DESCRIPTOR_TYPE 1

struct trailer {
    char magic[16];
    struct uuid device;
    uint64_t size;
};

struct handle {
    struct handle *next;
    int fd, device, handle_types;
    size_t size;
    unsigned refs;     /* of the program; at 0 the handle is none any more */
    unsigned mappings; /* keep the memory */
    bool imported;
};

/* What cuMemAddressReserve gave out. */
struct range {
    struct range *next;
    uintptr_t start;
    size_t size;
};

static const char magic[16] = "standin memory";
static struct handle *handles;
static struct range *ranges;
static struct region *regions;
static size_t taken[MAX_DEVICES];

int cuMemGetAllocationGranularity(size_t *bytes, const struct allocation *wanted, int option);
int cuMemCreate(uint64_t *handle, size_t size, const struct allocation *wanted,
                unsigned long long flags);
int cuMemRelease(uint64_t handle);
int cuMemExportToShareableHandle(void *shareable, uint64_t handle, int type,
                                 unsigned long long flags);
int cuMemImportFromShareableHandle(uint64_t *handle, void *shareable, int type);
int cuMemRetainAllocationHandle(uint64_t *handle, void *address);
int cuMemGetAllocationPropertiesFromHandle(struct allocation *allocation, uint64_t handle);
int cuMemAddressReserve(uint64_t *pointer, size_t size, size_t alignment, uint64_t hint,
                        unsigned long long flags);
int cuMemAddressFree(uint64_t pointer, size_t size);
int cuMemMap(uint64_t pointer, size_t size, size_t offset, uint64_t handle,
             unsigned long long flags);
int cuMemUnmap(uint64_t pointer, size_t size);
int cuMemSetAccess(uint64_t pointer, size_t size, const struct access *access, size_t count);
int cuMemGetAccess(unsigned long long *flags, const struct location *location, uint64_t pointer);
int cuMemGetInfo_v2(size_t *free, size_t *total);

/* --- regions, and how much memory there is ------------------------------------------------------ */
struct region *region_of(uint64_t address)
{
    for (struct region *r = regions; r; r = r->next)
        if (address >= r->start && address - r->start < r->size)
            return r;
    return NULL;
}

void add_region(struct region *region)
{
    region->next = regions;
    regions = region;
}

void remove_region(struct region *region)
{
    for (struct region **link = &regions; *link; link = &(*link)->next)
        if (*link == region) {
            *link = region->next;
            return;
        }
}

int take_memory(int device, size_t size)
{
    if (size > machine()->memory - taken[device])
        return OUT_OF_MEMORY;
    taken[device] += size;
    return SUCCESS;
}

void give_memory(int device, size_t size)
{
    taken[device] -= size;
}

void *reserve_addresses(size_t size)
{
    void *at = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return at == MAP_FAILED ? NULL : at;
}

static int memory_of(int device, uint64_t address, size_t size, int access, bool any, void **found)
{
    struct region *region = region_of(address);

    if (!region) {
        if (!any)
            return INVALID_VALUE;
        *found = (void *)(uintptr_t)address;
        return SUCCESS;
    }
    if (size > region->size - (address - region->start))
        return INVALID_VALUE;
    if ((region->access[device] & access) != access)
        return ILLEGAL_ADDRESS;
    *found = region->alias + (address - region->start);
    return SUCCESS;
}

int device_memory(int device, uint64_t address, size_t size, int access, void **found)
{
    int result;

    pthread_mutex_lock(&tables);
    result = memory_of(device, address, size, access, false, found);
    pthread_mutex_unlock(&tables);
    return result;
}

int any_memory(int device, uint64_t address, size_t size, int access, void **found)
{
    int result;

    pthread_mutex_lock(&tables);
    result = memory_of(device, address, size, access, true, found);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemGetInfo_v2(size_t *free_bytes, size_t *total)
{
    struct context *context;
    int result;

    ENTER(cuMemGetInfo_v2);
    pthread_mutex_lock(&tables);
    result = current_context(&context);
    if (!result) {
        *total = machine()->memory;
        *free_bytes = machine()->memory - taken[context->device];
    }
    pthread_mutex_unlock(&tables);
    return result;
}

/* --- handles ------------------------------------------------------------------------------------ */
static struct handle *find_handle(uint64_t value)
{
    for (struct handle *h = handles; h; h = h->next)
        if ((uintptr_t)h == value && h->refs > 0)
            return h;
    return NULL;
}

static void settle_handle(struct handle *handle)
{
    if (handle->refs || handle->mappings)
        return;
    for (struct handle **link = &handles; *link; link = &(*link)->next)
        if (*link == handle) {
            *link = handle->next;
            break;
        }
    if (!handle->imported)
        give_memory(handle->device, handle->size);
    close(handle->fd);
    free(handle);
}

/* Consumes the descriptor, also on failure. */
static int add_handle(struct handle made, uint64_t *handle)
{
    struct handle *new = malloc(sizeof(*new));

    if (!new) {
        close(made.fd);
        return OUT_OF_MEMORY;
    }
    *new = made;
    new->refs = 1;
    new->next = handles;
    handles = new;
    *handle = (uintptr_t) new;
    return SUCCESS;
}

static int make_memory(size_t size, int device)
{
    struct trailer trailer = {.device = machine()->uuids[device], .size = size};
    int fd = memfd_create("standin-device-memory", MFD_CLOEXEC);

    memcpy(trailer.magic, magic, sizeof(magic));
    if (fd < 0)
        return -1;
    if (ftruncate(fd, (off_t)(size + 4096)) != 0 ||
        pwrite(fd, &trailer, sizeof(trailer), (off_t)size) != (ssize_t)sizeof(trailer)) {
        close(fd);
        return -1;
    }
    return fd;
}

/* False unless the descriptor is of memory that make_memory() made, in whichever process. */
static bool read_trailer(int fd, struct trailer *trailer)
{
    struct stat st;

    return fstat(fd, &st) == 0 && st.st_size > 4096 &&
           pread(fd, trailer, sizeof(*trailer), st.st_size - 4096) == (ssize_t)sizeof(*trailer) &&
           memcmp(trailer->magic, magic, sizeof(magic)) == 0 &&
           trailer->size == (uint64_t)st.st_size - 4096;
}

static int check_wanted(const struct allocation *wanted)
{
    if (!machine()->vmm)
        return NOT_SUPPORTED;
    if (wanted->type != 1 || wanted->location.type != 1)
        return INVALID_VALUE;
    if (!is_device(wanted->location.id))
        return INVALID_DEVICE;
    if (wanted->handle_types & ~DESCRIPTOR_TYPE)
        return NOT_SUPPORTED;
    return wanted->handle_types && !machine()->descriptors ? NOT_SUPPORTED : SUCCESS;
}

EXPORTED int cuMemGetAllocationGranularity(size_t *bytes, const struct allocation *wanted,
                                           int option)
{
    int result;

    ENTER(cuMemGetAllocationGranularity);
    result = check_wanted(wanted);
    if (result || option < 0 || option > 1)
        return result ? result : INVALID_VALUE;
    *bytes = GRANULARITY;
    return SUCCESS;
}

EXPORTED int cuMemCreate(uint64_t *handle, size_t size, const struct allocation *wanted,
                         unsigned long long flags)
{
    int device = wanted->location.id, result, fd;

    ENTER(cuMemCreate);
    result = check_wanted(wanted);
    if (result)
        return result;
    if (flags || size == 0 || size % GRANULARITY)
        return INVALID_VALUE;
    pthread_mutex_lock(&tables);
    result = take_memory(device, size);
    if (!result) {
        fd = make_memory(size, device);
        result = fd < 0 ? OUT_OF_MEMORY
                        : add_handle((struct handle){.fd = fd,
                                                     .device = device,
                                                     .handle_types = wanted->handle_types,
                                                     .size = size},
                                     handle);
        if (result)
            give_memory(device, size);
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemRelease(uint64_t value)
{
    struct handle *handle;

    ENTER(cuMemRelease);
    pthread_mutex_lock(&tables);
    handle = find_handle(value);
    if (handle) {
        handle->refs--;
        settle_handle(handle);
    }
    pthread_mutex_unlock(&tables);
    return handle ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuMemExportToShareableHandle(void *shareable, uint64_t value, int type,
                                          unsigned long long flags)
{
    struct handle *handle;
    int result = INVALID_VALUE, fd;

    ENTER(cuMemExportToShareableHandle);
    pthread_mutex_lock(&tables);
    handle = find_handle(value);
    if (handle && type == DESCRIPTOR_TYPE && !flags && (handle->handle_types & type)) {
        fd = dup(handle->fd);
        result = fd < 0 ? UNKNOWN : SUCCESS;
        if (!result)
            *(int *)shareable = fd;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemImportFromShareableHandle(uint64_t *handle, void *shareable, int type)
{
    int fd = (int)(intptr_t)shareable, device, result;
    struct trailer trailer;

    ENTER(cuMemImportFromShareableHandle);
    if (type != DESCRIPTOR_TYPE || !read_trailer(fd, &trailer))
        return INVALID_VALUE;
    device = device_of_uuid(&trailer.device);
    if (device < 0)
        return INVALID_DEVICE;
    fd = dup(fd);
    if (fd < 0)
        return UNKNOWN;
    pthread_mutex_lock(&tables);
    result = add_handle((struct handle){.fd = fd,
                                        .device = device,
                                        .handle_types = DESCRIPTOR_TYPE,
                                        .size = trailer.size,
                                        .imported = true},
                        handle);
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemRetainAllocationHandle(uint64_t *handle, void *address)
{
    struct region *region;

    ENTER(cuMemRetainAllocationHandle);
    pthread_mutex_lock(&tables);
    region = region_of((uintptr_t)address);
    if (region && !region->handle)
        region = NULL;
    if (region) {
        region->handle->refs++;
        *handle = (uintptr_t)region->handle;
    }
    pthread_mutex_unlock(&tables);
    return region ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuMemGetAllocationPropertiesFromHandle(struct allocation *allocation, uint64_t value)
{
    struct handle *handle;

    ENTER(cuMemGetAllocationPropertiesFromHandle);
    pthread_mutex_lock(&tables);
    handle = find_handle(value);
    if (handle)
        *allocation = (struct allocation){
            .type = 1, .handle_types = handle->handle_types, .location = {1, handle->device}};
    pthread_mutex_unlock(&tables);
    return handle ? SUCCESS : INVALID_VALUE;
}

/* --- address ranges and mappings ---------------------------------------------------------------- */
EXPORTED int cuMemAddressReserve(uint64_t *pointer, size_t size, size_t alignment, uint64_t hint,
                                 unsigned long long flags)
{
    struct range *range;
    void *at;

    ENTER(cuMemAddressReserve);
    (void)hint;
    if (flags || size == 0 || size % GRANULARITY || (alignment & (alignment - 1)))
        return INVALID_VALUE;
    range = malloc(sizeof(*range));
    at = range ? reserve_addresses(size) : NULL;
    if (!at) {
        free(range);
        return OUT_OF_MEMORY;
    }
    pthread_mutex_lock(&tables);
    *range = (struct range){ranges, (uintptr_t)at, size};
    ranges = range;
    pthread_mutex_unlock(&tables);
    *pointer = (uintptr_t)at;
    return SUCCESS;
}

static bool has_mapping(uintptr_t start, size_t size)
{
    for (struct region *r = regions; r; r = r->next)
        if (r->handle && r->start < start + size && start < r->start + r->size)
            return true;
    return false;
}

EXPORTED int cuMemAddressFree(uint64_t pointer, size_t size)
{
    int result = INVALID_VALUE;

    ENTER(cuMemAddressFree);
    pthread_mutex_lock(&tables);
    for (struct range **link = &ranges; *link; link = &(*link)->next) {
        struct range *range = *link;

        if (range->start != pointer || range->size != size || has_mapping(pointer, size))
            continue;
        *link = range->next;
        munmap((void *)range->start, size);
        free(range);
        result = SUCCESS;
        break;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

static bool is_reserved(uintptr_t start, size_t size)
{
    for (const struct range *r = ranges; r; r = r->next)
        if (start >= r->start && size <= r->size && start - r->start <= r->size - size)
            return true;
    return false;
}

static int map(uintptr_t start, size_t size, size_t offset, struct handle *handle)
{
    struct region *region = calloc(1, sizeof(*region));
    void *alias;

    if (!region)
        return OUT_OF_MEMORY;
    alias = mmap(NULL, size, PROT_NONE, MAP_SHARED, handle->fd, (off_t)offset);
    if (alias == MAP_FAILED) {
        free(region);
        return OUT_OF_MEMORY;
    }
    *region = (struct region){.kind = REGION_MAPPED,
                              .start = start,
                              .size = size,
                              .alias = alias,
                              .device = handle->device,
                              .handle = handle};
    handle->mappings++;
    add_region(region);
    return SUCCESS;
}

EXPORTED int cuMemMap(uint64_t pointer, size_t size, size_t offset, uint64_t value,
                      unsigned long long flags)
{
    struct handle *handle;
    int result = INVALID_VALUE;

    ENTER(cuMemMap);
    pthread_mutex_lock(&tables);
    handle = find_handle(value);
    if (handle && !flags && size && size % GRANULARITY == 0 && offset == 0 &&
        size <= handle->size && is_reserved(pointer, size) && !has_mapping(pointer, size))
        result = map(pointer, size, offset, handle);
    pthread_mutex_unlock(&tables);
    return result;
}

static void unmap(struct region *region)
{
    remove_region(region);
    munmap(region->alias, region->size);
    region->handle->mappings--;
    settle_handle(region->handle);
    free(region);
}

EXPORTED int cuMemUnmap(uint64_t pointer, size_t size)
{
    struct region *region;
    int result = INVALID_VALUE;

    ENTER(cuMemUnmap);
    pthread_mutex_lock(&tables);
    region = region_of(pointer);
    if (region && region->handle && region->start == pointer && region->size == size) {
        unmap(region);
        result = SUCCESS;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

static int check_access(const struct region *region, const struct access *access, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (access[i].location.type != 1 || !is_device(access[i].location.id) ||
            !can_reach(access[i].location.id, region->device))
            return INVALID_DEVICE;
        if (access[i].flags != 0 && access[i].flags != READ_ACCESS &&
            access[i].flags != WRITE_ACCESS)
            return INVALID_VALUE;
    }
    return SUCCESS;
}

/* What the devices may do, the alias may do; so a check that were missing here would show. */
static void protect(struct region *region)
{
    int protection = PROT_NONE;

    for (int i = 0; i < MAX_DEVICES; i++)
        protection |= region->access[i] == WRITE_ACCESS  ? PROT_READ | PROT_WRITE
                      : region->access[i] == READ_ACCESS ? PROT_READ
                                                         : PROT_NONE;
    mprotect(region->alias, region->size, protection);
}

EXPORTED int cuMemSetAccess(uint64_t pointer, size_t size, const struct access *access,
                            size_t count)
{
    struct region *region;
    int result = INVALID_VALUE;

    ENTER(cuMemSetAccess);
    pthread_mutex_lock(&tables);
    region = region_of(pointer);
    if (region && region->handle && region->start == pointer && region->size == size)
        result = check_access(region, access, count);
    if (!result) {
        for (size_t i = 0; i < count; i++)
            region->access[access[i].location.id] = (uint8_t)access[i].flags;
        protect(region);
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED int cuMemGetAccess(unsigned long long *flags, const struct location *location,
                            uint64_t pointer)
{
    struct region *region;
    int result = INVALID_VALUE;

    ENTER(cuMemGetAccess);
    pthread_mutex_lock(&tables);
    region = region_of(pointer);
    if (region && location->type == 1 && is_device(location->id)) {
        *flags = region->access[location->id];
        result = SUCCESS;
    }
    pthread_mutex_unlock(&tables);
    return result;
}

EXPORTED unsigned standin_objects(void)
{
    unsigned count = 0;

    pthread_mutex_lock(&tables);
    for (const struct handle *h = handles; h; h = h->next)
        count++;
    for (const struct range *r = ranges; r; r = r->next)
        count++;
    for (const struct region *r = regions; r; r = r->next)
        count++;
    count += count_stream_objects();
    pthread_mutex_unlock(&tables);
    return count;
}
