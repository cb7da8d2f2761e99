/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of the CUDA driver that this example needs, found at run time in libcuda.so.1: no
 * toolkit is needed to build it. Types and numbers are those of the driver API
 * (docs.nvidia.com/cuda/cuda-driver-api, "Virtual Memory Management"), under names of our own.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef int driver_result; /* 0 = success */
typedef int driver_device;
typedef uint64_t driver_pointer; /* device memory */
typedef uint64_t driver_handle;  /* an allocation without an address */
typedef struct driver_context *driver_context;

enum {
    DRIVER_SUPPORTS_VMM = 102,         /* device attribute: virtual memory management */
    DRIVER_SUPPORTS_DESCRIPTORS = 103, /* device attribute: export as a POSIX descriptor */
    DRIVER_ALLOCATION_PINNED = 1,
    DRIVER_HANDLE_DESCRIPTOR = 1,
    DRIVER_LOCATION_DEVICE = 1,
    DRIVER_GRANULARITY_RECOMMENDED = 1,
    DRIVER_ACCESS_READ = 1,
    DRIVER_ACCESS_READ_WRITE = 3,
};

struct driver_location {
    int type;
    int id;
};

struct driver_allocation {
    int type;
    int handle_types;
    struct driver_location location;
    void *win32;
    uint8_t flags[8];
};

struct driver_access {
    struct driver_location location;
    int flags;
};

struct driver {
    driver_result (*init)(unsigned flags);
    driver_result (*error_string)(driver_result result, const char **text);
    driver_result (*device_count)(int *count);
    driver_result (*device_get)(driver_device *device, int ordinal);
    driver_result (*device_name)(char *name, int size, driver_device device);
    driver_result (*device_attribute)(int *value, int attribute, driver_device device);
    driver_result (*can_access_peer)(int *can, driver_device device, driver_device peer);
    driver_result (*context_retain)(driver_context *context, driver_device device);
    driver_result (*context_release)(driver_device device);
    driver_result (*context_set)(driver_context context);
    driver_result (*synchronize)(void);
    driver_result (*granularity)(size_t *bytes, const struct driver_allocation *allocation,
                                 int option);
    driver_result (*create)(driver_handle *handle, size_t size,
                            const struct driver_allocation *allocation, unsigned long long flags);
    driver_result (*release)(driver_handle handle);
    driver_result (*export_handle)(void *shareable, driver_handle handle, int type,
                                   unsigned long long flags);
    driver_result (*import_handle)(driver_handle *handle, void *shareable, int type);
    driver_result (*reserve)(driver_pointer *pointer, size_t size, size_t alignment,
                             driver_pointer hint, unsigned long long flags);
    driver_result (*free_reserved)(driver_pointer pointer, size_t size);
    driver_result (*map)(driver_pointer pointer, size_t size, size_t offset, driver_handle handle,
                         unsigned long long flags);
    driver_result (*unmap)(driver_pointer pointer, size_t size);
    driver_result (*set_access)(driver_pointer pointer, size_t size,
                                const struct driver_access *access, size_t count);
    driver_result (*to_device)(driver_pointer to, const void *from, size_t size);
    driver_result (*to_host)(void *to, driver_pointer from, size_t size);
    driver_result (*on_device)(driver_pointer to, driver_pointer from, size_t size);
};

/* Loads the driver. Returns NULL, or what is missing. */
const char *driver_load(struct driver *driver);
