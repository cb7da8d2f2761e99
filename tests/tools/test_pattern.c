/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * That the test pattern finds what it promises to find: any byte of a near frame, any word of a
 * far one, any byte at another place.
 */
#include <stdlib.h>

#include "common/pattern.h"
#include "harness/harness.h"

#define SIZE 10007 /* two blocks, some groups, and a tail that is no whole word */
#define SEED UINT64_C(0x123456789abcdef0)

static uint8_t frame[SIZE + 8], other[SIZE + 8];

TEST(filled_memory_is_intact)
{
    for (size_t size = 0; size < 100; size++) {
        pattern_fill(frame, size, SEED, 7);
        CHECK_EQ(pattern_verify(frame, size, SEED, 7), PATTERN_INTACT);
    }
    pattern_fill(frame, SIZE, SEED, UINT64_MAX);
    CHECK_EQ(pattern_verify(frame, SIZE, SEED, UINT64_MAX), PATTERN_INTACT);
}

TEST(unaligned_memory_holds_the_same_pattern)
{
    pattern_fill(frame, SIZE, SEED, 3);
    pattern_fill(other + 1, SIZE, SEED, 3);
    CHECK(memcmp(frame, other + 1, SIZE) == 0);
    CHECK_EQ(pattern_verify(other + 1, SIZE, SEED, 3), PATTERN_INTACT);
}

TEST(every_byte_of_a_near_frame_is_found)
{
    pattern_fill(frame, SIZE, SEED, 1000);
    for (uint64_t seq = 1001; seq < 1000 + PATTERN_MIN_MODULUS; seq++) {
        pattern_fill(other, SIZE, SEED, seq);
        for (size_t i = 0; i < SIZE; i++)
            CHECK_NE(frame[i], other[i]);
    }
}

TEST(one_foreign_byte_is_found_where_it_is)
{
    pattern_fill(frame, SIZE, SEED, 50);
    pattern_fill(other, SIZE, SEED, 49);
    for (size_t i = 0; i < SIZE; i++) {
        uint8_t own = frame[i];

        frame[i] = other[i];
        CHECK_EQ(pattern_verify(frame, SIZE, SEED, 50), i);
        frame[i] = own;
    }
}

TEST(frames_far_apart_differ_in_every_word)
{
    /* Where single moduli come round again, and where many of them do at once. */
    static const uint64_t far[] = {233, 256, 256 * 255, UINT64_C(256) * 255 * 253 * 251,
                                   UINT64_C(256) * 255 * 253 * 251 * 247 * 241 * 239};

    for (size_t i = 0; i < sizeof(far) / sizeof(far[0]); i++)
        for (uint64_t seq = 0; seq < 1000; seq++)
            CHECK_NE(pattern_base(SEED, seq), pattern_base(SEED, seq + far[i]));
}

TEST(a_moved_row_is_found)
{
    pattern_fill(frame, SIZE, SEED, 5);
    memcpy(other, frame, SIZE);
    memmove(other + 800, other + 1600, 800);
    CHECK_EQ(pattern_verify(other, SIZE, SEED, 5), 800);
}

TEST(another_run_of_the_publisher_is_found)
{
    pattern_fill(frame, SIZE, SEED, 5);
    CHECK_NE(pattern_verify(frame, SIZE, SEED + 1, 5), PATTERN_INTACT);
}

TEST(stamp_is_read_back_and_nothing_else_is)
{
    struct pattern_stamp stamp, read = {0};

    pattern_stamp_init(&stamp, SEED, 77);
    CHECK(pattern_stamp_read(&stamp, sizeof(stamp), &read));
    CHECK_EQ(read.seed, SEED);
    CHECK_EQ(read.seq, 77);
    CHECK(!pattern_stamp_read(&stamp, sizeof(stamp) - 1, &read));
    CHECK(!pattern_stamp_read(NULL, 0, &read));
    stamp.magic[0] ^= 1;
    CHECK(!pattern_stamp_read(&stamp, sizeof(stamp), &read));
}
