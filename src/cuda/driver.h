/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The calls of the CUDA driver that this library makes: one table, found at run time in
 * libcuda.so.1, so that one binary serves machines with and without a GPU and no toolkit is needed
 * to build it. Types, numbers and names are those of the driver API under names of our own
 * (docs.nvidia.com/cuda/cuda-driver-api). Symbols carry the version suffix that the driver exports.
 *
 * The table is filled once in a process and constant afterwards. A stand-in for the driver
 * implements exactly these symbols: CF_DRIVER_SYMBOLS declares them.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef int cf_CUresult;
typedef int cf_CUdevice;
typedef uint64_t cf_CUdeviceptr;
typedef uint64_t cf_CUmemhandle; /* CUmemGenericAllocationHandle: memory without an address */
typedef struct cf_CUctx *cf_CUcontext;
typedef struct cf_CUstr *cf_CUstream;
typedef struct cf_CUevt *cf_CUevent;

typedef struct {
    unsigned char bytes[16];
} cf_CUuuid;

typedef struct {
    int type; /* CF_CU_LOCATION_… */
    int id;
} cf_CUlocation;

typedef struct {
    int type;         /* CF_CU_ALLOCATION_PINNED */
    int handle_types; /* CF_CU_HANDLE_… */
    cf_CUlocation location;
    void *win32;
    struct {
        unsigned char compression;
        unsigned char gpu_direct_rdma;
        unsigned short usage;
        unsigned char reserved[4];
    } flags;
} cf_CUallocation;

typedef struct {
    cf_CUlocation location;
    int flags; /* CF_CU_ACCESS_… */
} cf_CUaccess;

/* Results. */
enum {
    CF_CU_SUCCESS = 0,
    CF_CU_INVALID_VALUE = 1,
    CF_CU_OUT_OF_MEMORY = 2,
    CF_CU_NOT_INITIALIZED = 3,
    CF_CU_DEINITIALIZED = 4,
    CF_CU_STUB_LIBRARY = 34,
    CF_CU_DEVICE_UNAVAILABLE = 46,
    CF_CU_NO_DEVICE = 100,
    CF_CU_INVALID_DEVICE = 101,
    CF_CU_INVALID_CONTEXT = 201,
    CF_CU_PEER_ACCESS_UNSUPPORTED = 217,
    CF_CU_OPERATING_SYSTEM = 304,
    CF_CU_INVALID_HANDLE = 400,
    CF_CU_NOT_READY = 600,
    CF_CU_ILLEGAL_ADDRESS = 700,
    CF_CU_CONTEXT_IS_DESTROYED = 709,
    CF_CU_HOST_MEMORY_ALREADY_REGISTERED = 712,
    CF_CU_LAUNCH_FAILED = 719,
    CF_CU_NOT_PERMITTED = 800,
    CF_CU_NOT_SUPPORTED = 801,
    CF_CU_SYSTEM_NOT_READY = 802,
    CF_CU_DRIVER_MISMATCH = 803,
    CF_CU_COMPAT_NOT_SUPPORTED = 804,
    CF_CU_MPS_CONNECTION_FAILED = 805,
    CF_CU_UNKNOWN = 999,
};

/* Device attributes. */
enum {
    CF_CU_ATTRIBUTE_HOST_REGISTER = 99,
    CF_CU_ATTRIBUTE_VMM = 102,                     /* virtual memory management */
    CF_CU_ATTRIBUTE_DESCRIPTORS = 103,             /* export as a POSIX descriptor */
    CF_CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER = 113, /* of memory mapped read-only */
    CF_CU_ATTRIBUTE_MPS = 133,                     /* its contexts share it through MPS */
};

enum {
    CF_CU_LOCATION_DEVICE = 1,
    CF_CU_ALLOCATION_PINNED = 1,
    CF_CU_HANDLE_DESCRIPTOR = 1,
    CF_CU_GRANULARITY_MINIMUM = 0,
    CF_CU_ACCESS_READ = 1,
    CF_CU_ACCESS_READ_WRITE = 3,
    CF_CU_STREAM_NON_BLOCKING = 1,
    CF_CU_EVENT_BLOCKING_SYNC = 1,
    CF_CU_EVENT_DISABLE_TIMING = 2,
    CF_CU_HOST_ALLOC_PORTABLE = 1,
    CF_CU_HOST_REGISTER_PORTABLE = 1,
    CF_CU_HOST_REGISTER_DEVICEMAP = 2,
    CF_CU_HOST_REGISTER_READ_ONLY = 8,
    CF_CU_WRITE_VALUE_DEFAULT = 0,
    CF_CU_POINTER_CONTEXT = 1,
    CF_CU_POINTER_MEMORY_TYPE = 2, /* CF_CU_MEMORY_TYPE_… */
    CF_CU_POINTER_DEVICE = 9,
    CF_CU_MEMORY_TYPE_DEVICE = 2,
};

/* Handles of the default streams; NULL means the legacy one in the calls of this table. */
#define CF_CU_STREAM_LEGACY     ((cf_CUstream)0x1)
#define CF_CU_STREAM_PER_THREAD ((cf_CUstream)0x2)

/*
 * X(symbol, first driver version that has it as 1000 * major + 10 * minor, arguments). All return
 * cf_CUresult.
 */
#define CF_DRIVER_REQUIRED(X)                                                                      \
    X(cuInit, 2000, (unsigned flags))                                                              \
    X(cuDriverGetVersion, 2020, (int *version))                                                    \
    X(cuGetErrorName, 6000, (cf_CUresult result, const char **name))                               \
    X(cuGetErrorString, 6000, (cf_CUresult result, const char **text))                             \
    X(cuDeviceGetCount, 2000, (int *count))                                                        \
    X(cuDeviceGet, 2000, (cf_CUdevice * device, int ordinal))                                      \
    X(cuDeviceGetName, 2000, (char *name, int size, cf_CUdevice device))                           \
    X(cuDeviceGetUuid, 9020, (cf_CUuuid * uuid, cf_CUdevice device))                               \
    X(cuDeviceTotalMem_v2, 3020, (size_t * bytes, cf_CUdevice device))                             \
    X(cuDeviceGetAttribute, 2000, (int *value, int attribute, cf_CUdevice device))                 \
    X(cuDeviceCanAccessPeer, 4000, (int *can, cf_CUdevice device, cf_CUdevice peer))               \
    X(cuDevicePrimaryCtxRetain, 7000, (cf_CUcontext * context, cf_CUdevice device))                \
    X(cuDevicePrimaryCtxRelease_v2, 11000, (cf_CUdevice device))                                   \
    X(cuCtxPushCurrent_v2, 4000, (cf_CUcontext context))                                           \
    X(cuCtxPopCurrent_v2, 4000, (cf_CUcontext * context))                                          \
    X(cuCtxGetCurrent, 4000, (cf_CUcontext * context))                                             \
    X(cuCtxGetDevice, 2000, (cf_CUdevice * device))                                                \
    X(cuStreamCreate, 2000, (cf_CUstream * stream, unsigned flags))                                \
    X(cuStreamDestroy_v2, 4000, (cf_CUstream stream))                                              \
    X(cuStreamSynchronize, 2000, (cf_CUstream stream))                                             \
    X(cuStreamGetCtx, 9020, (cf_CUstream stream, cf_CUcontext * context))                          \
    X(cuStreamWaitEvent, 3020, (cf_CUstream stream, cf_CUevent event, unsigned flags))             \
    X(cuEventCreate, 2000, (cf_CUevent * event, unsigned flags))                                   \
    X(cuEventDestroy_v2, 4000, (cf_CUevent event))                                                 \
    X(cuEventRecord, 2000, (cf_CUevent event, cf_CUstream stream))                                 \
    X(cuEventQuery, 2000, (cf_CUevent event))                                                      \
    X(cuEventSynchronize, 2000, (cf_CUevent event))                                                \
    X(cuMemAlloc_v2, 3020, (cf_CUdeviceptr * pointer, size_t size))                                \
    X(cuMemFree_v2, 3020, (cf_CUdeviceptr pointer))                                                \
    X(cuMemHostAlloc, 2020, (void **pointer, size_t size, unsigned flags))                         \
    X(cuMemFreeHost, 2000, (void *pointer))                                                        \
    X(cuMemHostRegister_v2, 6050, (void *pointer, size_t size, unsigned flags))                    \
    X(cuMemHostUnregister, 4000, (void *pointer))                                                  \
    X(cuMemHostGetDevicePointer_v2, 3020,                                                          \
      (cf_CUdeviceptr * device_pointer, void *pointer, unsigned flags))                            \
    X(cuMemcpyHtoDAsync_v2, 3020,                                                                  \
      (cf_CUdeviceptr to, const void *from, size_t size, cf_CUstream stream))                      \
    X(cuMemcpyDtoHAsync_v2, 3020,                                                                  \
      (void *to, cf_CUdeviceptr from, size_t size, cf_CUstream stream))                            \
    X(cuMemcpyDtoDAsync_v2, 3020,                                                                  \
      (cf_CUdeviceptr to, cf_CUdeviceptr from, size_t size, cf_CUstream stream))                   \
    X(cuMemGetAddressRange_v2, 3020,                                                               \
      (cf_CUdeviceptr * start, size_t * size, cf_CUdeviceptr pointer))                             \
    X(cuPointerGetAttribute, 4000, (void *value, int attribute, cf_CUdeviceptr pointer))           \
    X(cuMemGetAllocationGranularity, 10020,                                                        \
      (size_t * bytes, const cf_CUallocation *allocation, int option))                             \
    X(cuMemCreate, 10020,                                                                          \
      (cf_CUmemhandle * handle, size_t size, const cf_CUallocation *allocation,                    \
       unsigned long long flags))                                                                  \
    X(cuMemRelease, 10020, (cf_CUmemhandle handle))                                                \
    X(cuMemExportToShareableHandle, 10020,                                                         \
      (void *shareable, cf_CUmemhandle handle, int type, unsigned long long flags))                \
    X(cuMemImportFromShareableHandle, 10020, (cf_CUmemhandle * handle, void *shareable, int type)) \
    X(cuMemAddressReserve, 10020,                                                                  \
      (cf_CUdeviceptr * pointer, size_t size, size_t alignment, cf_CUdeviceptr hint,               \
       unsigned long long flags))                                                                  \
    X(cuMemAddressFree, 10020, (cf_CUdeviceptr pointer, size_t size))                              \
    X(cuMemMap, 10020,                                                                             \
      (cf_CUdeviceptr pointer, size_t size, size_t offset, cf_CUmemhandle handle,                  \
       unsigned long long flags))                                                                  \
    X(cuMemUnmap, 10020, (cf_CUdeviceptr pointer, size_t size))                                    \
    X(cuMemSetAccess, 10020,                                                                       \
      (cf_CUdeviceptr pointer, size_t size, const cf_CUaccess *access, size_t count))              \
    X(cuMemGetAllocationPropertiesFromHandle, 10020,                                               \
      (cf_CUallocation * allocation, cf_CUmemhandle handle))                                       \
    X(cuMemRetainAllocationHandle, 11000, (cf_CUmemhandle * handle, void *pointer))

/* What is done without where it is missing. */
#define CF_DRIVER_OPTIONAL(X)                                                                      \
    X(cuDeviceGetUuid_v2, 11040, (cf_CUuuid * uuid, cf_CUdevice device))                           \
    X(cuStreamWriteValue32_v2, 11070,                                                              \
      (cf_CUstream stream, cf_CUdeviceptr address, uint32_t value, unsigned flags))

#define CF_DRIVER_SYMBOLS(X)                                                                       \
    CF_DRIVER_REQUIRED(X)                                                                          \
    CF_DRIVER_OPTIONAL(X)

/* clang-format off */
/* NOLINTNEXTLINE(bugprone-macro-parentheses) */
#define CF_DRIVER_FIELD(symbol, version, arguments) cf_CUresult (*symbol) arguments;
struct cf_driver {
    CF_DRIVER_SYMBOLS(CF_DRIVER_FIELD)
};
#undef CF_DRIVER_FIELD
/* clang-format on */

/*
 * Loads the driver and initialises it, once in a process; further calls give the same answer. CUDA,
 * with a sentence that says what this machine or container lacks. After fork() the driver does not
 * work in the child: CUDA, which says so. TOO_MANY if it could not be opened for want of descriptors
 * or memory: then the next call tries again. Any thread.
 */
int cf_driver_load(const struct cf_driver **driver);

/* Whether the last failure of cf_driver_load() means that there is no GPU here at all (no driver
 * library, or no device), and not that one is there and cannot be used. */
int cf_driver_absent(void);
