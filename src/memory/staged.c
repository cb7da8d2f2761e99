/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Copies of a peer's frames, for those who cannot read them where they are and have said that they
 * take copies. As many stages as frames can be in use at once; a set bit of `free` owns the stage
 * of its number.
 *
 *   GPU memory, read by the CPU        device -> pinned host memory
 *   GPU memory, read by a GPU that     device -> pinned host memory -> device
 *   has no access to it
 *   host memory, read by a GPU that    host -> device
 *   cannot register it
 */
#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/point.h"
#include "base/sys.h"
#include "cuda/failure.h"
#include "cuda/stream.h"
#include "memory/kinds.h"

static_assert(CUFRAMES_MAX_SLOTS <= 64, "one bit for each stage");

/* Stages begin at multiples of this, as slots do. */
#define STAGE_ALIGNMENT 4096

struct staged_memory {
    struct cf_memory memory;
    struct cf_memory *from;
    size_t frame_size, stride;
    uint8_t *pinned;       /* stages in host memory; NULL = none needed */
    cf_CUdeviceptr device; /* stages in device memory; 0 = none needed */
    cf_CUstream out, in;   /* of the device that has the frames, of the one that reads; or NULL */
    _Atomic uint64_t free;
};

static void free_stages(struct staged_memory *staged)
{
    struct cf_cuda *from = staged->from->cuda, *to = staged->memory.cuda;

    if (from && cf_cuda_is_ours(from) && cf_cuda_enter(from) == CUFRAMES_OK) {
        if (staged->pinned)
            from->driver->cuMemFreeHost(staged->pinned);
        if (staged->out)
            from->driver->cuStreamDestroy_v2(staged->out);
        cf_cuda_leave(from);
    }
    if (to && cf_cuda_is_ours(to) && cf_cuda_enter(to) == CUFRAMES_OK) {
        if (staged->device)
            to->driver->cuMemFree_v2(staged->device);
        if (staged->in)
            to->driver->cuStreamDestroy_v2(staged->in);
        cf_cuda_leave(to);
    }
}

static void staged_destroy(struct cf_memory *memory)
{
    struct staged_memory *staged = (struct staged_memory *)memory;

    free_stages(staged);
    cf_memory_destroy(staged->from);
    cf_cuda_unref(memory->cuda);
    free(staged);
}

static int copy_frame(struct staged_memory *staged, const uint8_t *frame, size_t at)
{
    struct cf_cuda *from = staged->from->cuda, *to = staged->memory.cuda;
    uint8_t *device = (uint8_t *)(uintptr_t)staged->device + at;
    int err;

    if (from) {
        if ((err = cf_cuda_copy_out(from, staged->out, staged->pinned + at, frame,
                                    staged->frame_size)) != 0 ||
            (err = cf_cuda_finish(from, staged->out)) != 0)
            return err;
        frame = staged->pinned + at;
    }
    if (!to)
        return CUFRAMES_OK;
    if ((err = cf_cuda_copy_in(to, staged->in, device, frame, staged->frame_size)) != 0)
        return err;
    return cf_cuda_finish(to, staged->in);
}

static int staged_get(struct cf_memory *memory, size_t offset, const void **data, uint32_t *stage)
{
    struct staged_memory *staged = (struct staged_memory *)memory;
    /* Acquire: pairs with the release in staged_put(): whoever had the stage before is done. */
    uint64_t bits = atomic_load_explicit(&staged->free, memory_order_acquire);
    uint32_t number;
    int err;

    if (bits == 0)
        return cf_fail(CUFRAMES_ERR_TOO_MANY, "every stage is in use: release frames");
    number = (uint32_t)__builtin_ctzll(bits);
    err = copy_frame(staged, (const uint8_t *)staged->from->base + offset, number * staged->stride);
    if (err)
        return err;
    CF_POINT("staged.copied");
    /* Other threads only set bits, so this one is still there. */
    atomic_fetch_and_explicit(&staged->free, ~(UINT64_C(1) << number), memory_order_acquire);
    *data = staged->device ? (uint8_t *)(uintptr_t)staged->device + number * staged->stride
                           : staged->pinned + number * staged->stride;
    *stage = number;
    return CUFRAMES_OK;
}

static void staged_put(struct cf_memory *memory, uint32_t stage)
{
    struct staged_memory *staged = (struct staged_memory *)memory;

    atomic_fetch_or_explicit(&staged->free, UINT64_C(1) << stage, memory_order_release);
}

static const struct cf_memory_kind staged_kind = {
    .destroy = staged_destroy,
    .get = staged_get,
    .put = staged_put,
};

static int allocate_pinned(struct staged_memory *staged, size_t size)
{
    struct cf_cuda *cuda = staged->from->cuda;
    const char *call = "cuMemHostAlloc";
    cf_CUresult result;
    void *pinned;
    int err = cf_cuda_enter(cuda);

    if (err)
        return err;
    result = cuda->driver->cuMemHostAlloc(&pinned, size, CF_CU_HOST_ALLOC_PORTABLE);
    if (result == CF_CU_SUCCESS) {
        staged->pinned = pinned;
        call = "cuStreamCreate";
        result = cuda->driver->cuStreamCreate(&staged->out, CF_CU_STREAM_NON_BLOCKING);
    }
    cf_cuda_leave(cuda);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(cuda->driver, result, call,
                              "cannot prepare %zu KiB of pinned memory for copies", size >> 10);
    return CUFRAMES_OK;
}

static int allocate_device(struct staged_memory *staged, size_t size)
{
    struct cf_cuda *cuda = staged->memory.cuda;
    const char *call = "cuMemAlloc";
    cf_CUresult result;
    int err = cf_cuda_enter(cuda);

    if (err)
        return err;
    result = cuda->driver->cuMemAlloc_v2(&staged->device, size);
    if (result == CF_CU_SUCCESS) {
        call = "cuStreamCreate";
        result = cuda->driver->cuStreamCreate(&staged->in, CF_CU_STREAM_NON_BLOCKING);
    } else {
        staged->device = 0;
    }
    cf_cuda_leave(cuda);
    if (result != CF_CU_SUCCESS)
        return cf_cuda_failed(cuda->driver, result, call,
                              "cannot prepare %zu KiB on GPU %d for copies", size >> 10,
                              cuda->index);
    return CUFRAMES_OK;
}

int cf_staged_create(struct cf_memory *from, struct cf_cuda *to, size_t frame_size, uint32_t frames,
                     struct cf_memory **memory)
{
    struct staged_memory *new = cf_sys.calloc(1, sizeof(*new));
    int err = CUFRAMES_OK;
    size_t size;

    if (!new) {
        cf_memory_destroy(from);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    new->from = from;
    new->frame_size = frame_size;
    new->stride = (frame_size + STAGE_ALIGNMENT - 1) / STAGE_ALIGNMENT *STAGE_ALIGNMENT;
    new->free = frames >= 64 ? UINT64_MAX : (UINT64_C(1) << frames) - 1;
    new->memory = (struct cf_memory){
        .kind = &staged_kind,
        .fd = -1,
        .place = to ? CUFRAMES_MEMORY_CUDA : CUFRAMES_MEMORY_HOST,
        .access = CUFRAMES_ACCESS_STAGED,
        .cuda = to ? cf_cuda_ref(to) : NULL,
    };
    if (__builtin_mul_overflow(new->stride, (size_t)frames, &size))
        err = cf_fail(CUFRAMES_ERR_INVALID_ARG, "copies of %zu bytes are too large", frame_size);
    if (!err && from->cuda)
        err = allocate_pinned(new, size);
    if (!err && to)
        err = allocate_device(new, size);
    if (err) {
        staged_destroy(&new->memory);
        return err;
    }
    *memory = &new->memory;
    return CUFRAMES_OK;
}
