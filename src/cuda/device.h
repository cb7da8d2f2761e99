/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A GPU in use: its device, and the context that this library's calls are made in.
 *
 * Who needs a context enters it and leaves it again in the same function; the caller's current
 * context is as it was before. A context is the device's primary one, which the runtime API and
 * most programs use, or the one that was current when the program asked for that.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <cuframes/gpu.h>

#include "cuda/driver.h"

struct cf_cuda {
    atomic_uint refs;
    unsigned fork_count;
    const struct cf_driver *driver;
    int index;
    cf_CUdevice device;
    cf_CUcontext context;
    bool primary; /* the context is retained */
    uint8_t uuid[CUFRAMES_GPU_UUID_SIZE];
};

/* Opens the device with that index in its primary context. */
int cf_cuda_open(int index, struct cf_cuda **cuda);
/* Opens the device of the calling thread's current context, in that context. */
int cf_cuda_open_current(struct cf_cuda **cuda);
struct cf_cuda *cf_cuda_ref(struct cf_cuda *cuda);
/* NULL is fine. In a process that forked off nothing of the driver's is touched. */
void cf_cuda_unref(struct cf_cuda *cuda);

/* Makes the context the calling thread's current one, and restores what was. Each enter that
 * succeeded has its leave. */
int cf_cuda_enter(const struct cf_cuda *cuda);
void cf_cuda_leave(const struct cf_cuda *cuda);
/* Whether this process may call the driver for it: it was opened here, not before a fork(). */
bool cf_cuda_is_ours(const struct cf_cuda *cuda);

/* Index of the device with that UUID, or -1 when this process sees none. */
int cf_cuda_find(const struct cf_driver *driver, const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE]);
/* The device with that index: INVALID_ARG if there is none. */
int cf_cuda_device(const struct cf_driver *driver, int index, cf_CUdevice *device);
int cf_cuda_uuid(const struct cf_driver *driver, cf_CUdevice device,
                 uint8_t uuid[CUFRAMES_GPU_UUID_SIZE]);
/* "GPU-01234567-89ab-…" into `text`. */
void cf_cuda_uuid_text(const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE],
                       char text[CUFRAMES_GPU_UUID_TEXT]);
/* An attribute of the device; 0 when the driver does not know it. */
int cf_cuda_attribute(const struct cf_driver *driver, cf_CUdevice device, int attribute);
/* Whether channels can be in this device's memory; CUDA and why not. */
int cf_cuda_check_sharing(const struct cf_driver *driver, cf_CUdevice device, int index);
/* Whether `device` can read the memory of `other`. */
bool cf_cuda_peers(const struct cf_driver *driver, cf_CUdevice device, cf_CUdevice other);
