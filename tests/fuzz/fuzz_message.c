/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder of the wire protocol. First byte: how many descriptors came; the rest: the record.
 * What decodes must encode to the same bytes, and a description that passes must add up.
 */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "unit/wire_samples.h"

static bool inside(uint64_t offset, uint64_t bytes, uint64_t size)
{
    return offset <= size && bytes <= size - offset;
}

/* What a subscriber relies on once the description has been accepted, computed another way. */
static void check_description(const struct cf_msg_attached *a)
{
    const cuframes_layout_t *layout = &a->info.layout;

    if (a->flags & CF_ATTACH_PACKETS_ONLY) {
        FUZZ_REQUIRE(a->memory_count == 0 && a->frames_size == 0);
        return; /* no frames, of which all else speaks */
    }
    FUZZ_REQUIRE(a->info.slots >= CUFRAMES_MIN_SLOTS && a->info.slots <= CUFRAMES_MAX_SLOTS);
    FUZZ_REQUIRE(layout->plane_count == (uint32_t)cuframes_format_planes(a->info.format));
    for (int32_t slot = 0; slot < a->info.slots; slot++)
        FUZZ_REQUIRE(
            inside(a->slot_offset + (uint64_t)slot * a->slot_stride, layout->size, a->frames_size));
    FUZZ_REQUIRE(a->memory_count == 1 || a->memory_count == (uint32_t)a->info.slots);
    for (uint32_t i = 0; i < layout->plane_count; i++) {
        const cuframes_plane_layout_t *plane = &layout->planes[i];
        uint32_t row_bytes, rows;

        FUZZ_REQUIRE(cuframes_format_plane_size(a->info.format, (int32_t)i, a->info.width,
                                                a->info.height, &row_bytes, &rows) == CUFRAMES_OK);
        FUZZ_REQUIRE(plane->pitch >= row_bytes && plane->rows >= rows);
        FUZZ_REQUIRE(
            inside(plane->offset, (uint64_t)(rows - 1) * plane->pitch + row_bytes, layout->size));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t again[CF_WIRE_MAX_MESSAGE];
    struct cf_message message;

    if (size == 0 || cf_message_decode(data + 1, size - 1, data[0], &message) != CUFRAMES_OK)
        return 0;
    FUZZ_REQUIRE(cf_message_encode(&message, again) == size - 1);
    FUZZ_REQUIRE(memcmp(again, data + 1, size - 1) == 0);
    if (message.type == CF_MSG_ATTACHED || message.type == CF_MSG_GENERATION)
        check_description(&message.attached);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    struct cf_message message;

    if (index >= WIRE_SAMPLES)
        return 0;
    data[0] = (uint8_t)wire_sample(wire_sample_types[index], &message);
    return 1 + cf_message_encode(&message, data + 1);
}
