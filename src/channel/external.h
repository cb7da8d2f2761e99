/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel over the program's own device buffers. Where the driver can export them, the slots are
 * these buffers; else each frame is copied into a slot of the library's.
 */
#pragma once

#include <stdbool.h>

#include <cuframes/publisher.h>

#include "memory/memory.h"

struct cf_generation;

struct cf_external {
    size_t frame_size;
    bool in_place;
    uint32_t count;
    void *buffers[];
};

int cf_external_new(void **buffers, uint32_t count, size_t frame_size,
                    struct cf_external **external);
/* NULL is fine. The buffers stay the program's. */
void cf_external_free(struct cf_external *external);

/* The channel's generation: over the buffers, or beside them. */
int cf_external_generation(struct cf_external *external, const cuframes_channel_info_t *info,
                           const struct cf_memory_place *place, cuframes_publisher_t *publisher,
                           struct cf_generation **generation);

/* Announces one of the buffers when `stream` is done. */
int cf_external_publish(cuframes_publisher_t *publisher, void *buffer, void *stream,
                        const cuframes_frame_meta_t *meta);
