/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of gpu.h.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include <cuframes/gpu.h>

#include "base/error.h"
#include "cuda/device.h"
#include "cuda/failure.h"

CUFRAMES_API int cuframes_gpu_count(void)
{
    const struct cf_driver *driver;
    cf_CUresult result;
    int count, err;

    if ((err = cf_driver_load(&driver)) != 0)
        return err;
    result = driver->cuDeviceGetCount(&count);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(driver, result, "cuDeviceGetCount", "cannot count the GPUs");
    return count;
}

static uint32_t abilities(const struct cf_driver *driver, cf_CUdevice device)
{
    static const struct {
        int attribute;
        uint32_t flag;
    } table[] = {
        {CF_CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER, CUFRAMES_GPU_READS_HOST},
        {CF_CU_ATTRIBUTE_VMM, CUFRAMES_GPU_VMM},
        {CF_CU_ATTRIBUTE_DESCRIPTORS, CUFRAMES_GPU_DESCRIPTORS},
        {CF_CU_ATTRIBUTE_MPS, CUFRAMES_GPU_MPS},
    };
    const uint32_t sharing = CUFRAMES_GPU_VMM | CUFRAMES_GPU_DESCRIPTORS;
    uint32_t flags = 0;

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (cf_cuda_attribute(driver, device, table[i].attribute))
            flags |= table[i].flag;
    if ((flags & sharing) == sharing)
        flags |= CUFRAMES_GPU_SHARES;
    return flags;
}

CUFRAMES_API int cuframes_gpu_info(int32_t index, cuframes_gpu_info_t *info)
{
    cuframes_gpu_info_t read = {.index = index};
    const struct cf_driver *driver;
    cf_CUdevice device;
    size_t size = 0;
    int err;

    if (!info)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "info must not be NULL");
    if ((err = cf_driver_load(&driver)) != 0 ||
        (err = cf_cuda_device(driver, index, &device)) != 0 ||
        (err = cf_cuda_uuid(driver, device, read.uuid)) != 0)
        return err;
    /* What cannot be told stays empty. */
    if (driver->cuDeviceGetName(read.name, sizeof(read.name), device) != CF_CU_SUCCESS)
        read.name[0] = '\0';
    if (driver->cuDeviceTotalMem_v2(&size, device) == CF_CU_SUCCESS)
        read.memory_size = size;
    driver->cuDriverGetVersion(&read.driver_version);
    read.flags = abilities(driver, device);
    /* The driver has no other way to say so: "NVIDIA H200 MIG 1g.18gb". */
    if (strstr(read.name, " MIG "))
        read.flags |= CUFRAMES_GPU_MIG;
    *info = read;
    return CUFRAMES_OK;
}

CUFRAMES_API void cuframes_gpu_uuid_text(const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE], char *text)
{
    cf_cuda_uuid_text(uuid, text);
}

/* The hexadecimal part of a UUID's text. */
static const char *without_prefix(const char *name)
{
    if (strncmp(name, "GPU-", 4) == 0 || strncmp(name, "MIG-", 4) == 0)
        return name + 4;
    return NULL;
}

static int find_uuid(const char *name, const char *beginning, int32_t *index)
{
    int count = cuframes_gpu_count();
    int32_t found = -1;

    if (count < 0)
        return count;
    for (int i = 0; i < count; i++) {
        cuframes_gpu_info_t info;
        char text[CUFRAMES_GPU_UUID_TEXT];
        int err = cuframes_gpu_info(i, &info);

        if (err)
            return err;
        cf_cuda_uuid_text(info.uuid, text);
        if (strncasecmp(without_prefix(text), beginning, strlen(beginning)) != 0)
            continue;
        if (found >= 0)
            return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%s is the beginning of more than one GPU",
                           name);
        found = i;
    }
    if (found < 0)
        return cf_fail(CUFRAMES_ERR_NOT_FOUND,
                       "this process does not see the GPU %s: see nvidia-smi -L, "
                       "CUDA_VISIBLE_DEVICES, and what the container was given",
                       name);
    *index = found;
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_gpu_find(const char *name, int32_t *index)
{
    const char *beginning;
    cuframes_gpu_info_t info;
    char *end;
    long number;
    int err;

    if (!name || !index)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "name and index must not be NULL");
    beginning = without_prefix(name);
    if (beginning && *beginning)
        return find_uuid(name, beginning, index);
    number = strtol(name, &end, 10);
    if (!isdigit((unsigned char)*name) || *end || number > INT32_MAX)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "\"%s\" is no GPU: give a number, or a UUID as nvidia-smi -L shows it",
                       name);
    err = cuframes_gpu_info((int32_t)number, &info);
    if (err)
        return err == CUFRAMES_ERR_INVALID_ARG ? CUFRAMES_ERR_NOT_FOUND : err;
    *index = (int32_t)number;
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_gpu_can_read(int32_t reader, int32_t owner)
{
    const struct cf_driver *driver;
    cf_CUdevice reading, owning;
    int err;

    if ((err = cf_driver_load(&driver)) != 0 ||
        (err = cf_cuda_device(driver, reader, &reading)) != 0 ||
        (err = cf_cuda_device(driver, owner, &owning)) != 0)
        return err;
    return reading == owning || cf_cuda_peers(driver, reading, owning);
}
