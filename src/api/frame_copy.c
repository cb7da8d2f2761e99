/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A picture in host memory of the program's own, wherever the frame is.
 */
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"
#include "channel/subscriber.h"
#include "cuda/stream.h"

/* Whether the visible planes lie one behind the other from the start of the slot, as in a copy. */
static bool is_packed(const cuframes_frame_t *frame)
{
    const uint8_t *next = cuframes_frame_data(frame);
    const int32_t count = cuframes_frame_plane_count(frame);

    for (int32_t i = 0; i < count; i++) {
        cuframes_plane_t plane;

        cuframes_frame_plane(frame, i, &plane);
        if (plane.data != next || plane.pitch != plane.row_bytes)
            return false;
        next += (size_t)plane.pitch * plane.rows;
    }
    return true;
}

/* Copies the visible rows of a slot that is at `slot` in host memory. */
static void pack(const cuframes_frame_t *frame, const uint8_t *slot, uint8_t *target)
{
    const int32_t count = cuframes_frame_plane_count(frame);

    for (int32_t i = 0; i < count; i++) {
        cuframes_plane_t plane;
        const uint8_t *row;

        cuframes_frame_plane(frame, i, &plane);
        row = slot + ((const uint8_t *)plane.data - (const uint8_t *)cuframes_frame_data(frame));
        for (uint32_t y = 0; y < plane.rows; y++) {
            memcpy(target, row, plane.row_bytes);
            target += plane.row_bytes;
            row += plane.pitch;
        }
    }
}

/* From the GPU in one piece: a copy for each row would take many times as long. */
static int copy_from_gpu(const cuframes_frame_t *frame, uint8_t *target, size_t size)
{
    struct cf_cuda *cuda = frame->view->memory->cuda;
    const size_t slot_size = cuframes_frame_data_size(frame);
    uint8_t *CF_FREE slot = NULL;
    int err;

    if (is_packed(frame))
        return cf_cuda_fetch(cuda, target, cuframes_frame_data(frame), size);
    slot = cf_sys.calloc(1, slot_size);
    if (!slot)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "no memory for a copy of %zu bytes", slot_size);
    err = cf_cuda_fetch(cuda, slot, cuframes_frame_data(frame), slot_size);
    if (!err)
        pack(frame, slot, target);
    return err;
}

CUFRAMES_API int cuframes_frame_copy_to_host(const cuframes_frame_t *frame, void *target,
                                             size_t size)
{
    int32_t width, height;
    size_t needed;

    if (!frame || !target)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "frame and target must not be NULL");
    cuframes_frame_size(frame, &width, &height);
    needed = cuframes_calc_frame_size(cuframes_frame_format(frame), width, height, NULL, NULL);
    if (size < needed)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the picture takes %zu bytes (cuframes_calc_frame_size()), there is room "
                       "for %zu",
                       needed, size);
    if (cuframes_frame_memory(frame) == CUFRAMES_MEMORY_CUDA)
        return copy_from_gpu(frame, target, needed);
    pack(frame, cuframes_frame_data(frame), target);
    return CUFRAMES_OK;
}
