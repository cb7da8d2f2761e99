/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CUDA driver as the tests use it, a real one or the stand-in: found at run time, with types
 * and numbers of the driver's interface under names of our own. The library has its own table
 * (src/cuda/driver.h); that this one does not share it is on purpose.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    CU_SUCCESS = 0,
    CU_INVALID_VALUE = 1,
    CU_OUT_OF_MEMORY = 2,
    CU_NOT_INITIALIZED = 3,
    CU_INVALID_CONTEXT = 201,
    CU_INVALID_HANDLE = 400,
    CU_NOT_READY = 600,
    CU_ILLEGAL_ADDRESS = 700,
    CU_CONTEXT_IS_DESTROYED = 709,
    CU_LAUNCH_FAILED = 719,
    CU_NOT_PERMITTED = 800,
    CU_NOT_SUPPORTED = 801,
    CU_UNKNOWN = 999,
};

enum {
    CU_ATTRIBUTE_MULTIPROCESSORS = 16,
    CU_ATTRIBUTE_VMM = 102,
    CU_ATTRIBUTE_DESCRIPTORS = 103,
    CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER = 113,
    CU_ATTRIBUTE_MPS = 133,
};

enum {
    CU_STREAM_NON_BLOCKING = 1,
    CU_EVENT_DISABLE_TIMING = 2,
    CU_REGISTER_DEVICEMAP = 2,
    CU_REGISTER_READ_ONLY = 8,
    CU_ACCESS_READ = 1,
    CU_ACCESS_WRITE = 3,
};

typedef int cu_result;
typedef int cu_device;
typedef uint64_t cu_pointer;
typedef uint64_t cu_handle;
typedef struct cu_context_st *cu_context;
typedef struct cu_stream_st *cu_stream;
typedef struct cu_event_st *cu_event;
typedef struct cu_module_st *cu_module;
typedef struct cu_function_st *cu_function;
typedef uint64_t cu_texture;

struct cu_location {
    int type, id;
};

struct cu_allocation {
    int type, handle_types;
    struct cu_location location;
    void *win32;
    uint8_t flags[8];
};

struct cu_access {
    struct cu_location location;
    int flags;
};

struct cu_uuid {
    uint8_t bytes[16];
};

/* What a texture is made of: rows of bytes in memory. */
struct cu_resource {
    int type; /* 3 = pitched */
    uint64_t pointer;
    int format; /* 1 = unsigned 8 bits */
    unsigned channels;
    size_t width, height, pitch;
    uint8_t unused[88];
    unsigned flags;
};

struct cu_texture_options {
    int address_mode[3];
    int filter_mode;
    unsigned flags; /* 1 = texels are whole numbers */
    unsigned anisotropy;
    int mipmap_filter;
    float mipmap_bias, mipmap_min, mipmap_max, border[4];
    int unused[12];
};

/* clang-format off */
#define GPU_CALLS(X) \
    X(cuInit, (unsigned flags)) \
    X(cuDriverGetVersion, (int *version)) \
    X(cuGetErrorName, (cu_result result, const char **name)) \
    X(cuDeviceGetCount, (int *count)) \
    X(cuDeviceGet, (cu_device *device, int ordinal)) \
    X(cuDeviceGetName, (char *name, int size, cu_device device)) \
    X(cuDeviceGetUuid, (struct cu_uuid *uuid, cu_device device)) \
    X(cuDeviceGetAttribute, (int *value, int attribute, cu_device device)) \
    X(cuDeviceCanAccessPeer, (int *can, cu_device device, cu_device peer)) \
    X(cuDevicePrimaryCtxRetain, (cu_context *context, cu_device device)) \
    X(cuDevicePrimaryCtxRelease_v2, (cu_device device)) \
    X(cuCtxCreate_v2, (cu_context *context, unsigned flags, cu_device device)) \
    X(cuCtxDestroy_v2, (cu_context context)) \
    X(cuCtxSetCurrent, (cu_context context)) \
    X(cuCtxGetCurrent, (cu_context *context)) \
    X(cuCtxPushCurrent_v2, (cu_context context)) \
    X(cuCtxPopCurrent_v2, (cu_context *context)) \
    X(cuCtxSynchronize, (void)) \
    X(cuStreamCreate, (cu_stream *stream, unsigned flags)) \
    X(cuStreamDestroy_v2, (cu_stream stream)) \
    X(cuStreamSynchronize, (cu_stream stream)) \
    X(cuStreamQuery, (cu_stream stream)) \
    X(cuStreamWaitEvent, (cu_stream stream, cu_event event, unsigned flags)) \
    X(cuStreamWriteValue32_v2, (cu_stream stream, cu_pointer at, uint32_t value, unsigned flags)) \
    X(cuStreamWaitValue32_v2, (cu_stream stream, cu_pointer at, uint32_t value, unsigned flags)) \
    X(cuLaunchHostFunc, (cu_stream stream, void (*function)(void *), void *user)) \
    X(cuEventCreate, (cu_event *event, unsigned flags)) \
    X(cuEventDestroy_v2, (cu_event event)) \
    X(cuEventRecord, (cu_event event, cu_stream stream)) \
    X(cuEventQuery, (cu_event event)) \
    X(cuEventSynchronize, (cu_event event)) \
    X(cuMemAlloc_v2, (cu_pointer *pointer, size_t size)) \
    X(cuMemFree_v2, (cu_pointer pointer)) \
    X(cuMemHostAlloc, (void **pointer, size_t size, unsigned flags)) \
    X(cuMemFreeHost, (void *pointer)) \
    X(cuMemHostRegister_v2, (void *pointer, size_t size, unsigned flags)) \
    X(cuMemHostUnregister, (void *pointer)) \
    X(cuMemHostGetDevicePointer_v2, (cu_pointer *to, void *pointer, unsigned flags)) \
    X(cuMemcpyHtoD_v2, (cu_pointer to, const void *from, size_t size)) \
    X(cuMemcpyDtoH_v2, (void *to, cu_pointer from, size_t size)) \
    X(cuMemcpyDtoD_v2, (cu_pointer to, cu_pointer from, size_t size)) \
    X(cuMemcpyHtoDAsync_v2, (cu_pointer to, const void *from, size_t size, cu_stream stream)) \
    X(cuMemcpyDtoHAsync_v2, (void *to, cu_pointer from, size_t size, cu_stream stream)) \
    X(cuMemcpyDtoDAsync_v2, (cu_pointer to, cu_pointer from, size_t size, cu_stream stream)) \
    X(cuMemsetD8_v2, (cu_pointer to, unsigned char value, size_t count)) \
    X(cuMemGetInfo_v2, (size_t *available, size_t *total)) \
    X(cuMemGetAllocationGranularity, (size_t *bytes, const struct cu_allocation *wanted, int option)) \
    X(cuMemCreate, (cu_handle *handle, size_t size, const struct cu_allocation *wanted, unsigned long long flags)) \
    X(cuMemRelease, (cu_handle handle)) \
    X(cuMemExportToShareableHandle, (void *shareable, cu_handle handle, int type, unsigned long long flags)) \
    X(cuMemImportFromShareableHandle, (cu_handle *handle, void *shareable, int type)) \
    X(cuMemAddressReserve, (cu_pointer *pointer, size_t size, size_t alignment, cu_pointer hint, unsigned long long flags)) \
    X(cuMemAddressFree, (cu_pointer pointer, size_t size)) \
    X(cuMemMap, (cu_pointer pointer, size_t size, size_t offset, cu_handle handle, unsigned long long flags)) \
    X(cuMemUnmap, (cu_pointer pointer, size_t size)) \
    X(cuMemSetAccess, (cu_pointer pointer, size_t size, const struct cu_access *access, size_t count)) \
    X(cuMemRetainAllocationHandle, (cu_handle *handle, void *pointer)) \
    X(cuMemGetAllocationPropertiesFromHandle, (struct cu_allocation *allocation, cu_handle handle)) \
    X(cuModuleLoadData, (cu_module *module, const void *image)) \
    X(cuModuleUnload, (cu_module module)) \
    X(cuModuleGetFunction, (cu_function *function, cu_module module, const char *name)) \
    X(cuLaunchKernel, (cu_function function, unsigned grid_x, unsigned grid_y, unsigned grid_z, \
                       unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared, \
                       cu_stream stream, void **parameters, void **extra))

/* Not in every driver: NULL where they are missing. */
#define GPU_OPTIONAL_CALLS(X) \
    X(cuTexObjectCreate, (cu_texture *texture, const struct cu_resource *resource, \
                          const struct cu_texture_options *options, const void *view)) \
    X(cuTexObjectDestroy, (cu_texture texture))

#define GPU_FIELD(name, arguments) cu_result (*name) arguments;
struct gpu {
    GPU_CALLS(GPU_FIELD)
    GPU_OPTIONAL_CALLS(GPU_FIELD)
};
#undef GPU_FIELD
/* clang-format on */

/* Filled by gpu_load(). */
extern struct gpu gpu;

/* Loads libcuda.so.1 ($CUFRAMES_LIBCUDA instead, as the library does). NULL, or what is missing. */
const char *gpu_load(void);

/* Faults on demand: NULL with a real driver. Loads the driver. */
struct standin {
    void (*fail)(const char *call, unsigned nth, int result);
    void (*lose)(int result);
    void (*delay)(unsigned microseconds);
    unsigned (*calls)(const char *call);
    unsigned (*objects)(void);
};
const struct standin *gpu_standin(void);
