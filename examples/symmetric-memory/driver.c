/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

const char *driver_load(struct driver *driver)
{
    static const struct {
        const char *symbol;
        size_t offset;
    } table[] = {
        {"cuInit", offsetof(struct driver, init)},
        {"cuGetErrorString", offsetof(struct driver, error_string)},
        {"cuDeviceGetCount", offsetof(struct driver, device_count)},
        {"cuDeviceGet", offsetof(struct driver, device_get)},
        {"cuDeviceGetName", offsetof(struct driver, device_name)},
        {"cuDeviceGetAttribute", offsetof(struct driver, device_attribute)},
        {"cuDeviceCanAccessPeer", offsetof(struct driver, can_access_peer)},
        {"cuDevicePrimaryCtxRetain", offsetof(struct driver, context_retain)},
        {"cuDevicePrimaryCtxRelease_v2", offsetof(struct driver, context_release)},
        {"cuCtxSetCurrent", offsetof(struct driver, context_set)},
        {"cuCtxSynchronize", offsetof(struct driver, synchronize)},
        {"cuMemGetAllocationGranularity", offsetof(struct driver, granularity)},
        {"cuMemCreate", offsetof(struct driver, create)},
        {"cuMemRelease", offsetof(struct driver, release)},
        {"cuMemExportToShareableHandle", offsetof(struct driver, export_handle)},
        {"cuMemImportFromShareableHandle", offsetof(struct driver, import_handle)},
        {"cuMemAddressReserve", offsetof(struct driver, reserve)},
        {"cuMemAddressFree", offsetof(struct driver, free_reserved)},
        {"cuMemMap", offsetof(struct driver, map)},
        {"cuMemUnmap", offsetof(struct driver, unmap)},
        {"cuMemSetAccess", offsetof(struct driver, set_access)},
        {"cuMemcpyHtoD_v2", offsetof(struct driver, to_device)},
        {"cuMemcpyDtoH_v2", offsetof(struct driver, to_host)},
        {"cuMemcpyDtoD_v2", offsetof(struct driver, on_device)},
    };
    static char missing[128];
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return "libcuda.so.1: this machine (or container) has no NVIDIA driver";
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        void *symbol = dlsym(library, table[i].symbol);

        if (!symbol) {
            snprintf(missing, sizeof(missing), "%s: the driver is too old", table[i].symbol);
            return missing;
        }
        memcpy((char *)driver + table[i].offset, &symbol, sizeof(symbol));
    }
    return NULL;
}
