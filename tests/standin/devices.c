/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Initialisation, devices and what they say of themselves, names of errors.
 */
#include <stdio.h>
#include <string.h>

#include "standin.h"

/* Attributes that somebody asks for; every other is 0. */
enum attribute {
    TEXTURE_ALIGNMENT = 14,
    MULTIPROCESSOR_COUNT = 16,
    INTEGRATED = 18,
    CAN_MAP_HOST_MEMORY = 19,
    PCI_BUS_ID = 33,
    PCI_DEVICE_ID = 34,
    ASYNC_ENGINE_COUNT = 40,
    UNIFIED_ADDRESSING = 41,
    PCI_DOMAIN_ID = 50,
    COMPUTE_CAPABILITY_MAJOR = 75,
    COMPUTE_CAPABILITY_MINOR = 76,
    CAN_USE_STREAM_MEM_OPS_V1 = 92,
    CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM = 91,
    HOST_REGISTER_SUPPORTED = 99,
    VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED = 102,
    HANDLE_TYPE_DESCRIPTOR_SUPPORTED = 103,
    READ_ONLY_HOST_REGISTER_SUPPORTED = 113,
    MPS_ENABLED = 133,
};

int cuInit(unsigned flags);
int cuDriverGetVersion(int *version);
int cuDeviceGetCount(int *count);
int cuDeviceGet(int *device, int ordinal);
int cuDeviceGetName(char *name, int size, int device);
int cuDeviceGetUuid(struct uuid *uuid, int device);
int cuDeviceGetUuid_v2(struct uuid *uuid, int device);
int cuDeviceGetAttribute(int *value, int attribute, int device);
int cuDeviceTotalMem_v2(size_t *bytes, int device);
int cuDeviceGetPCIBusId(char *text, int size, int device);
int cuDeviceCanAccessPeer(int *can, int device, int peer);
int cuGetErrorName(int result, const char **text);
int cuGetErrorString(int result, const char **text);

bool is_device(int device)
{
    return device >= 0 && device < machine()->devices;
}

int device_of_uuid(const struct uuid *uuid)
{
    for (int i = 0; i < machine()->devices; i++)
        if (memcmp(uuid, &machine()->uuids[i], sizeof(*uuid)) == 0)
            return i;
    return -1;
}

bool can_reach(int device, int peer)
{
    return device == peer || machine()->peers;
}

EXPORTED int cuInit(unsigned flags)
{
    int result = enter_early("cuInit");

    if (result)
        return result;
    if (flags)
        return INVALID_VALUE;
    if (machine()->devices == 0)
        return NO_DEVICE;
    set_initialized();
    return SUCCESS;
}

EXPORTED int cuDriverGetVersion(int *version)
{
    int result = enter_early("cuDriverGetVersion");

    if (result)
        return result;
    *version = machine()->version;
    return SUCCESS;
}

EXPORTED int cuDeviceGetCount(int *count)
{
    ENTER(cuDeviceGetCount);
    *count = machine()->devices;
    return SUCCESS;
}

EXPORTED int cuDeviceGet(int *device, int ordinal)
{
    ENTER(cuDeviceGet);
    if (!is_device(ordinal))
        return INVALID_DEVICE;
    *device = ordinal;
    return SUCCESS;
}

EXPORTED int cuDeviceGetName(char *name, int size, int device)
{
    ENTER(cuDeviceGetName);
    if (!is_device(device))
        return INVALID_DEVICE;
    snprintf(name, (size_t)size, machine()->mig ? "stand-in %d MIG 1g.1gb" : "stand-in %d", device);
    return SUCCESS;
}

EXPORTED int cuDeviceGetUuid(struct uuid *uuid, int device)
{
    ENTER(cuDeviceGetUuid);
    if (!is_device(device))
        return INVALID_DEVICE;
    *uuid = machine()->uuids[device];
    /* The whole GPU's, of which the device is a part. */
    if (machine()->mig)
        uuid->bytes[0] ^= 0xff;
    return SUCCESS;
}

EXPORTED int cuDeviceGetUuid_v2(struct uuid *uuid, int device)
{
    ENTER(cuDeviceGetUuid_v2);
    if (!is_device(device))
        return INVALID_DEVICE;
    *uuid = machine()->uuids[device];
    return SUCCESS;
}

static int attribute_of(int attribute, int device)
{
    switch (attribute) {
    case TEXTURE_ALIGNMENT:
        return 512;
    case PCI_BUS_ID:
        return device + 1;
    case MULTIPROCESSOR_COUNT:
        return 2;
    case COMPUTE_CAPABILITY_MAJOR:
        return 9;
    case ASYNC_ENGINE_COUNT:
    case CAN_MAP_HOST_MEMORY:
    case UNIFIED_ADDRESSING:
    case CAN_USE_STREAM_MEM_OPS_V1:
    case CAN_USE_HOST_POINTER_FOR_REGISTERED_MEM:
    case HOST_REGISTER_SUPPORTED:
        return 1;
    case READ_ONLY_HOST_REGISTER_SUPPORTED:
        return machine()->registers;
    case VIRTUAL_MEMORY_MANAGEMENT_SUPPORTED:
        return machine()->vmm;
    case HANDLE_TYPE_DESCRIPTOR_SUPPORTED:
        return machine()->descriptors;
    case MPS_ENABLED:
        return machine()->mps;
    default:
        return 0;
    }
}

EXPORTED int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    ENTER(cuDeviceGetAttribute);
    if (!is_device(device))
        return INVALID_DEVICE;
    /* An old driver does not know what came later. */
    if (attribute == MPS_ENABLED && machine()->version < 12000)
        return INVALID_VALUE;
    *value = attribute_of(attribute, device);
    return SUCCESS;
}

EXPORTED int cuDeviceTotalMem_v2(size_t *bytes, int device)
{
    ENTER(cuDeviceTotalMem_v2);
    if (!is_device(device))
        return INVALID_DEVICE;
    *bytes = machine()->memory;
    return SUCCESS;
}

EXPORTED int cuDeviceGetPCIBusId(char *text, int size, int device)
{
    ENTER(cuDeviceGetPCIBusId);
    if (!is_device(device))
        return INVALID_DEVICE;
    snprintf(text, (size_t)size, "0000:%02X:00.0", (unsigned)device + 1);
    return SUCCESS;
}

EXPORTED int cuDeviceCanAccessPeer(int *can, int device, int peer)
{
    ENTER(cuDeviceCanAccessPeer);
    if (!is_device(device) || !is_device(peer))
        return INVALID_DEVICE;
    *can = device != peer && can_reach(device, peer);
    return SUCCESS;
}

static const struct {
    int result;
    const char *name, *words;
} results[] = {
    {SUCCESS, "CUDA_SUCCESS", "no error"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {PEER_ACCESS_UNSUPPORTED, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED",
     "peer access is not supported between these two devices"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {PEER_ACCESS_ALREADY_ENABLED, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED",
     "peer access is already enabled"},
    {PEER_ACCESS_NOT_ENABLED, "CUDA_ERROR_PEER_ACCESS_NOT_ENABLED",
     "peer access has not been enabled"},
    {CONTEXT_IS_DESTROYED, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "context is destroyed"},
    {HOST_MEMORY_ALREADY_REGISTERED, "CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED",
     "part or all of the requested memory range is already mapped"},
    {HOST_MEMORY_NOT_REGISTERED, "CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED",
     "pointer does not correspond to a registered memory region"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {NOT_PERMITTED, "CUDA_ERROR_NOT_PERMITTED", "operation not permitted"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

/* As the driver: works at any time, and knows no stranger. */
static int describe(int result, bool name, const char **text)
{
    *text = NULL;
    for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++)
        if (results[i].result == result)
            *text = name ? results[i].name : results[i].words;
    return *text ? SUCCESS : INVALID_VALUE;
}

EXPORTED int cuGetErrorName(int result, const char **text)
{
    return describe(result, true, text);
}

EXPORTED int cuGetErrorString(int result, const char **text)
{
    return describe(result, false, text);
}
