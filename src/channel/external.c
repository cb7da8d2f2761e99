/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffers that the program has allocated. In place they can be shared when they lie in one
 * allocation that can be exported, at equal distances, or each in an allocation of its own: then
 * they are the slots of the ring, in their order. For all others a copy on the device, in the order
 * of the program's stream, is the only way.
 */
#include "channel/external.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"
#include "channel/publisher.h"

/* What distances are multiples of, as the wire wants it. */
#define STRIDE_UNIT 16

int cf_external_new(void **buffers, uint32_t count, size_t frame_size,
                    struct cf_external **external)
{
    struct cf_external *new = cf_sys.calloc(1, sizeof(*new) + count * sizeof(*buffers));

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->frame_size = frame_size;
    new->count = count;
    memcpy(new->buffers, buffers, count * sizeof(*buffers));
    *external = new;
    return CUFRAMES_OK;
}

void cf_external_free(struct cf_external *external)
{
    free(external);
}

/* Distance between the buffers, or 0 if it is not the same for all or cannot be shared. */
static uint64_t equal_distance(const struct cf_external *external)
{
    uint64_t stride;

    if (external->count < CUFRAMES_MIN_SLOTS || external->count > CUFRAMES_MAX_SLOTS ||
        external->buffers[1] <= external->buffers[0])
        return 0;
    stride = (uint64_t)((uint8_t *)external->buffers[1] - (uint8_t *)external->buffers[0]);
    for (uint32_t i = 1; i < external->count; i++)
        if ((uint64_t)((uint8_t *)external->buffers[i] - (uint8_t *)external->buffers[i - 1]) !=
            stride)
            return 0;
    return stride % STRIDE_UNIT == 0 && stride >= external->frame_size ? stride : 0;
}

/* The slots are pieces of one allocation. */
static int share_one(const struct cf_external *external, uint64_t stride,
                     const cuframes_channel_info_t *info, struct cf_cuda *cuda,
                     cuframes_publisher_t *publisher, struct cf_generation **generation)
{
    struct cf_memory *memory;
    size_t offset;
    int err = cf_memory_adopt(cuda, external->buffers, 1, &offset, &memory);

    if (err)
        return err;
    if (offset % STRIDE_UNIT != 0 || offset > memory->size ||
        stride > (memory->size - offset) / external->count) {
        cf_memory_destroy(memory);
        return cf_fail(CUFRAMES_ERR_FORMAT, "the buffers are not all in one allocation");
    }
    return cf_generation_adopt(info, memory, offset, stride, publisher, generation);
}

/* Each slot is in an allocation of its own. */
static int share_each(const struct cf_external *external, const cuframes_channel_info_t *info,
                      struct cf_cuda *cuda, cuframes_publisher_t *publisher,
                      struct cf_generation **generation)
{
    struct cf_memory *memory;
    size_t offset, size;
    int err = cf_memory_adopt(cuda, external->buffers, external->count, &offset, &memory);

    if (err)
        return err;
    size = memory->size / external->count;
    if (offset % STRIDE_UNIT != 0 || offset > size || external->frame_size > size - offset) {
        cf_memory_destroy(memory);
        return cf_fail(CUFRAMES_ERR_FORMAT, "a buffer is not in one allocation");
    }
    err = cf_generation_adopt(info, memory, offset, size, publisher, generation);
    if (!err)
        (*generation)->slots = external->buffers;
    return err;
}

static int share_in_place(const struct cf_external *external, const cuframes_channel_info_t *info,
                          struct cf_cuda *cuda, cuframes_publisher_t *publisher,
                          struct cf_generation **generation)
{
    const uint64_t stride = equal_distance(external);
    int err = CUFRAMES_ERR_FORMAT;

    if ((uint32_t)info->slots != external->count)
        return cf_fail(CUFRAMES_ERR_FORMAT, "%u buffers: a channel has %d to %d slots",
                       external->count, CUFRAMES_MIN_SLOTS, CUFRAMES_MAX_SLOTS);
    if (stride)
        err = share_one(external, stride, info, cuda, publisher, generation);
    return err == CUFRAMES_ERR_FORMAT ? share_each(external, info, cuda, publisher, generation)
                                      : err;
}

/* Whether the buffers are memory of a GPU. */
static int check_buffers(const struct cf_external *external, struct cf_cuda *cuda)
{
    unsigned type = 0;
    int err = cf_cuda_enter(cuda);

    if (err)
        return err;
    for (uint32_t i = 0; !err && i < external->count; i++)
        if (cuda->driver->cuPointerGetAttribute(&type, CF_CU_POINTER_MEMORY_TYPE,
                                                (cf_CUdeviceptr)(uintptr_t)external->buffers[i]) !=
                CF_CU_SUCCESS ||
            type != CF_CU_MEMORY_TYPE_DEVICE)
            err = cf_fail(CUFRAMES_ERR_INVALID_ARG, "pointer %u is not GPU memory", i);
    cf_cuda_leave(cuda);
    return err;
}

int cf_external_generation(struct cf_external *external, const cuframes_channel_info_t *info,
                           const struct cf_memory_place *place, cuframes_publisher_t *publisher,
                           struct cf_generation **generation)
{
    int err;

    if (external->frame_size < info->layout.size)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a buffer has %zu bytes, a frame of this size and format %llu",
                       external->frame_size, (unsigned long long)info->layout.size);
    if ((err = check_buffers(external, place->cuda)) != 0)
        return err;
    err = share_in_place(external, info, place->cuda, publisher, generation);
    external->in_place = err == CUFRAMES_OK;
    if (err != CUFRAMES_ERR_FORMAT)
        return err;
    cf_log(CUFRAMES_LOG_WARNING,
           "%s: the program's buffers cannot be shared in place, so each frame is copied once on "
           "the GPU: %s",
           info->key, cuframes_last_error());
    return cf_generation_create(info, place, publisher, generation);
}

static int find_buffer(const struct cf_external *external, const void *buffer, uint32_t *index)
{
    for (uint32_t i = 0; i < external->count; i++) {
        if (external->buffers[i] == buffer) {
            *index = i;
            return CUFRAMES_OK;
        }
    }
    return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                   "this is none of the buffers that the channel was made with");
}

/* The buffer of the ring that the program's buffer is: the one that it acquired, or else that slot
 * if nobody reads it. */
static int take_slot(cuframes_publisher_t *publisher, uint32_t slot, cuframes_buffer_t **buffer)
{
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&publisher->lock);
    if (publisher->plain && publisher->plain->slot == slot) {
        *buffer = publisher->plain;
        publisher->plain = NULL;
    } else {
        err = cf_publisher_acquire_slot(publisher, slot, buffer);
    }
    pthread_mutex_unlock(&publisher->lock);
    return err;
}

static int copy_to_slot(cuframes_publisher_t *publisher, const void *from, void *stream,
                        cuframes_buffer_t **buffer)
{
    cuframes_buffer_t *slot;
    int err = cf_publisher_acquire(publisher, &slot);

    if (err)
        return err;
    err = cf_cuda_copy_on(slot->generation->memory->cuda, stream, cuframes_buffer_data(slot), from,
                          slot->generation->info.layout.size);
    if (err) {
        cf_buffer_unref(slot);
        return err;
    }
    CF_POINT("external.copied");
    *buffer = slot;
    return CUFRAMES_OK;
}

int cf_external_publish(cuframes_publisher_t *publisher, void *buffer, void *stream,
                        const cuframes_frame_meta_t *meta)
{
    const struct cf_external *external = publisher->external;
    cuframes_frame_meta_t shown = *meta;
    cuframes_buffer_t *slot;
    uint32_t index;
    int err;

    if (!external)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this channel has slots of its own: use cuframes_publisher_acquire() and "
                       "cuframes_publisher_publish()");
    if ((err = find_buffer(external, buffer, &index)) != 0)
        return err;
    if (external->in_place) {
        err = take_slot(publisher, index, &slot);
    } else {
        err = copy_to_slot(publisher, buffer, stream, &slot);
        shown.copies = 1;
    }
    if (err)
        return err;
    err = cf_publisher_publish(publisher, slot, stream, &shown, NULL);
    cf_buffer_unref(slot);
    return err;
}
