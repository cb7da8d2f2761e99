/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The test pattern: every 8 bytes of a frame's memory are a function of the frame's sequence
 * number and of their place, so that any byte of another frame, and any byte at another place, is
 * found. Pure functions over memory; any thread.
 *
 * Word i of frame `seq` is base(seed, seq) ^ (i * an odd constant). Byte k of the base steps
 * through the residues of `seq` modulo m[k], eight moduli without a common factor, the smallest
 * of them PATTERN_MIN_MODULUS. So two frames less than PATTERN_MIN_MODULUS apart, which is more
 * than a channel has slots, differ in every single byte, and all frames of a channel that ever
 * will be differ in every word.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATTERN_MIN_MODULUS 233

/*
 * What a test source attaches to each frame as user data. All little-endian. The seed differs for
 * each run of a publisher, so that frames of an earlier run are found as well.
 */
struct pattern_stamp {
    char magic[8];
    uint64_t seed;
    uint64_t seq;
};

void pattern_stamp_init(struct pattern_stamp *stamp, uint64_t seed, uint64_t seq);
/* Whether `data` is a stamp; it is copied out if so. */
bool pattern_stamp_read(const void *data, size_t size, struct pattern_stamp *stamp);

uint64_t pattern_base(uint64_t seed, uint64_t seq);

/* `size` need not be a multiple of 8; `data` need not be aligned. */
void pattern_fill(void *data, size_t size, uint64_t seed, uint64_t seq);

#define PATTERN_INTACT SIZE_MAX
/* Offset of the first byte that is not the frame's, PATTERN_INTACT if there is none. */
size_t pattern_verify(const void *data, size_t size, uint64_t seed, uint64_t seq);
