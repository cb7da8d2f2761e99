/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Describing and allocating a generation.
 */
#include "channel/generation.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"
#include "format/format.h"

/* Frames begin at multiples of this: a page, so that a slot can be registered with a device. */
#define SLOT_ALIGNMENT 4096
/* Upper limit of a channel's frame memory: far above any real one, and every sum stays in range. */
#define MAX_FRAMES_SIZE        (UINT64_C(1) << 46)
#define DEFAULT_ACK_TIMEOUT_MS 200

static int describe_layout(const cuframes_publisher_config_t *config, cuframes_channel_info_t *info)
{
    if (!config->layout)
        return cuframes_layout_init(&info->layout, info->format, info->width, info->height, 0);
    info->layout = *config->layout;
    info->layout._reserved = 0;
    for (uint32_t i = info->layout.plane_count; i < CUFRAMES_MAX_PLANES; i++)
        info->layout.planes[i] = (cuframes_plane_layout_t){0};
    return cf_layout_check(&info->layout, info->format, info->width, info->height);
}

static int check_fraction(const char *what, int32_t num, int32_t den)
{
    if (num < 0 || den < 0 || (num == 0) != (den == 0))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "%s is %d/%d: give two positive numbers, or 0/0 for unknown", what, num,
                       den);
    return CUFRAMES_OK;
}

static int describe_slots(const cuframes_publisher_config_t *config, cuframes_channel_info_t *info)
{
    info->slots = config->ring_size ? config->ring_size : CUFRAMES_DEFAULT_SLOTS;
    if (info->slots < CUFRAMES_MIN_SLOTS || info->slots > CUFRAMES_MAX_SLOTS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%d slots: a channel has %d to %d", info->slots,
                       CUFRAMES_MIN_SLOTS, CUFRAMES_MAX_SLOTS);
    info->max_holds = config->max_holds;
    if (info->max_holds == 0)
        info->max_holds = info->slots > 2 ? info->slots - 2 : 1;
    if (info->max_holds < 1 || info->max_holds > info->slots - 1)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "max_holds is %d: a channel with %d slots can grant 1 to %d",
                       info->max_holds, info->slots, info->slots - 1);
    return CUFRAMES_OK;
}

static int describe_picture(const cuframes_publisher_config_t *config,
                            cuframes_channel_info_t *info)
{
    if (!cuframes_format_name(config->format))
        return cf_fail(CUFRAMES_ERR_FORMAT, "unknown pixel format %d", (int)config->format);
    if (config->width < 1 || config->height < 1 || config->width > CUFRAMES_MAX_DIMENSION ||
        config->height > CUFRAMES_MAX_DIMENSION)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a picture of %dx%d: each side has 1 to %d pixels",
                       config->width, config->height, CUFRAMES_MAX_DIMENSION);
    if (config->color.range > CUFRAMES_RANGE_FULL)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown colour range %u", config->color.range);
    return describe_layout(config, info);
}

int cf_generation_describe(const cuframes_publisher_config_t *config, cuframes_channel_info_t *info)
{
    int err;

    *info = (cuframes_channel_info_t){
        .format = config->format,
        .width = config->width,
        .height = config->height,
        .policy = config->policy,
        .fps_num = config->fps_num,
        .fps_den = config->fps_den,
        .sar_num = config->sar_num,
        .sar_den = config->sar_den,
        .color = config->color,
        .ack_timeout_ms = config->consumer_ack_timeout_ms ? config->consumer_ack_timeout_ms
                                                          : DEFAULT_ACK_TIMEOUT_MS,
    };
    if (config->policy != CUFRAMES_POLICY_DROP_OLDEST &&
        config->policy != CUFRAMES_POLICY_STRICT_WAIT)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown policy %d", (int)config->policy);
    if ((err = describe_slots(config, info)) != 0 ||
        (err = check_fraction("the frame rate", config->fps_num, config->fps_den)) != 0 ||
        (err = check_fraction("the pixel shape", config->sar_num, config->sar_den)) != 0 ||
        (err = describe_picture(config, info)) != 0)
        return err;
    return CUFRAMES_OK;
}

static int frames_size(const cuframes_channel_info_t *info, uint64_t *stride, uint64_t *size)
{
    if (info->layout.size > MAX_FRAMES_SIZE)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a frame of %llu bytes is too large",
                       (unsigned long long)info->layout.size);
    *stride = (info->layout.size + SLOT_ALIGNMENT - 1) / SLOT_ALIGNMENT * SLOT_ALIGNMENT;
    *size = *stride * (uint64_t)info->slots;
    if (*size > MAX_FRAMES_SIZE)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%d slots of %llu bytes are too large",
                       info->slots, (unsigned long long)info->layout.size);
    return CUFRAMES_OK;
}

/* A generation without memory for frames. */
static int generation_new(const cuframes_channel_info_t *info, cuframes_publisher_t *publisher,
                          struct cf_generation **generation)
{
    struct cf_generation *new = cf_sys.calloc(1, sizeof(*new));

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->refs = 1;
    new->info = *info;
    new->publisher = publisher;
    new->control_fd = -1;
    for (uint32_t i = 0; i < CUFRAMES_MAX_SLOTS; i++) {
        new->buffers[i].generation = new;
        new->buffers[i].slot = i;
    }
    *generation = new;
    return CUFRAMES_OK;
}

/* Says where the memory is, and makes the ring. Gives the generation up on failure. */
static int complete(struct cf_generation *new, struct cf_generation **generation)
{
    cuframes_channel_info_t *info = &new->info;
    int err;

    info->memory = new->memory->place;
    if (new->memory->cuda)
        memcpy(info->gpu_uuid, new->memory->cuda->uuid, sizeof(info->gpu_uuid));
    err = cf_shm_create("cuframes-control", cf_ring_size((uint32_t)info->slots),
                        CF_SHM_MAKER_WRITES, &new->control_fd, &new->control);
    if (err) {
        cf_generation_unref(new);
        return err;
    }
    cf_writer_init(&new->writer, new->control.addr, (uint32_t)info->slots, info->generation);
    *generation = new;
    return CUFRAMES_OK;
}

int cf_generation_create(const cuframes_channel_info_t *info, const struct cf_memory_place *place,
                         cuframes_publisher_t *publisher, struct cf_generation **generation)
{
    struct cf_generation *new;
    uint64_t size = 0;
    int err = generation_new(info, publisher, &new);

    if (err)
        return err;
    if ((err = frames_size(info, &new->slot_stride, &size)) != 0 ||
        (err = cf_memory_create(place, size, &new->memory)) != 0) {
        cf_generation_unref(new);
        return err;
    }
    new->info.notes = place->notes;
    return complete(new, generation);
}

int cf_generation_adopt(const cuframes_channel_info_t *info, struct cf_memory *memory,
                        uint64_t slot_offset, uint64_t slot_stride, cuframes_publisher_t *publisher,
                        struct cf_generation **generation)
{
    struct cf_generation *new;
    int err = generation_new(info, publisher, &new);

    if (err) {
        cf_memory_destroy(memory);
        return err;
    }
    new->memory = memory;
    new->slot_offset = slot_offset;
    new->slot_stride = slot_stride;
    return complete(new, generation);
}

uint64_t cf_generation_frames_size(const struct cf_generation *generation)
{
    if (generation->memory->place == CUFRAMES_MEMORY_CUDA)
        return generation->memory->size;
    return generation->slot_stride * (uint64_t)generation->info.slots;
}

struct cf_generation *cf_generation_ref(struct cf_generation *generation)
{
    atomic_fetch_add_explicit(&generation->refs, 1, memory_order_relaxed);
    return generation;
}

void cf_generation_unref(struct cf_generation *generation)
{
    /* Acquire and release: the last one sees what all the others did. */
    if (!generation || atomic_fetch_sub_explicit(&generation->refs, 1, memory_order_acq_rel) != 1)
        return;
    cf_memory_destroy(generation->memory);
    cf_map_release(&generation->control);
    cf_close(&generation->control_fd);
    free(generation);
}

void *cf_generation_slot(const struct cf_generation *generation, uint32_t slot)
{
    if (generation->slots)
        return generation->slots[slot];
    return (uint8_t *)generation->memory->base + generation->slot_offset +
           slot * generation->slot_stride;
}
