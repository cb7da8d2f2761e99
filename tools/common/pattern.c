/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Four words at a time in the compiler's vector type. A block of 4 KiB is compared without a
 * branch; only a block that differs is searched for the first byte.
 */
#include "common/pattern.h"

#include <string.h>

#define PLACE_STEP  UINT64_C(0x9e3779b97f4a7c15)
#define LANES       4
#define GROUP_BYTES (LANES * sizeof(uint64_t))
#define BLOCK_BYTES 4096

/* In memory: aligned as bytes are, and allowed to alias anything. */
typedef uint64_t lanes __attribute__((vector_size(GROUP_BYTES)));
typedef uint64_t memory_lanes __attribute__((vector_size(GROUP_BYTES), aligned(1), may_alias));

static const char stamp_magic[8] = {'C', 'U', 'F', 'R', 'T', 'E', 'S', 'T'};

void pattern_stamp_init(struct pattern_stamp *stamp, uint64_t seed, uint64_t seq)
{
    memcpy(stamp->magic, stamp_magic, sizeof(stamp_magic));
    stamp->seed = seed;
    stamp->seq = seq;
}

bool pattern_stamp_read(const void *data, size_t size, struct pattern_stamp *stamp)
{
    if (!data || size != sizeof(*stamp) || memcmp(data, stamp_magic, sizeof(stamp_magic)) != 0)
        return false;
    memcpy(stamp, data, sizeof(*stamp));
    return true;
}

uint64_t pattern_base(uint64_t seed, uint64_t seq)
{
    static const unsigned moduli[8] = {256, 255, 253, 251, 247, 241, 239, PATTERN_MIN_MODULUS};
    uint64_t base = 0;

    for (int k = 0; k < 8; k++)
        base |= (seq % moduli[k]) << (8 * k);
    return base ^ seed;
}

/* Each lane's own term at `offset`. By pointer: how vectors are returned depends on the target. */
static void places_at(size_t offset, lanes *places)
{
    uint64_t index = offset / sizeof(uint64_t);

    for (int k = 0; k < LANES; k++)
        (*places)[k] = (index + (uint64_t)k) * PLACE_STEP;
}

/* Bytes from `offset` on, one by one; for tails and for finding the place of a difference. */
static uint8_t byte_at(uint64_t base, size_t offset)
{
    uint64_t word = base ^ (offset / 8 * PLACE_STEP);

    return (uint8_t)(word >> (8 * (offset % 8)));
}

void pattern_fill(void *data, size_t size, uint64_t seed, uint64_t seq)
{
    uint64_t base = pattern_base(seed, seq);
    unsigned char *bytes = data;
    size_t offset = 0;
    lanes places;

    places_at(0, &places);
    for (; offset + GROUP_BYTES <= size; offset += GROUP_BYTES) {
        *(memory_lanes *)(bytes + offset) = base ^ places;
        places += LANES * PLACE_STEP;
    }
    for (; offset < size; offset++)
        bytes[offset] = byte_at(base, offset);
}

static bool block_differs(const unsigned char *bytes, uint64_t base, size_t offset)
{
    lanes difference = {0};
    lanes places;

    places_at(offset, &places);
    for (size_t i = 0; i < BLOCK_BYTES; i += GROUP_BYTES) {
        difference |= *(const memory_lanes *)(bytes + offset + i) ^ base ^ places;
        places += LANES * PLACE_STEP;
    }
    return (difference[0] | difference[1] | difference[2] | difference[3]) != 0;
}

size_t pattern_verify(const void *data, size_t size, uint64_t seed, uint64_t seq)
{
    uint64_t base = pattern_base(seed, seq);
    const unsigned char *bytes = data;
    size_t offset = 0;

    while (offset + BLOCK_BYTES <= size && !block_differs(bytes, base, offset))
        offset += BLOCK_BYTES;
    for (; offset < size; offset++)
        if (bytes[offset] != byte_at(base, offset))
            return offset;
    return PATTERN_INTACT;
}
