/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times that are counted: what encoders do that no encoder at hand does, and what damage does.
 */
#include "counted_times.h"
#include "harness/harness.h"

static const struct counted_picture pyramid[] = {
    {.order = 0, .known = true, .key = true},
    {.order = 8, .known = true},
    {.order = 4, .known = true},
    {.order = 2, .known = true},
    {.order = 6, .known = true},
};
#define PYRAMID ((int)(sizeof(pyramid) / sizeof(pyramid[0])))

static struct counted_times begin(const struct counted_picture *pictures, int count, int delay,
                                  bool fields)
{
    struct counted_times times;

    counted_times_init(&times, pictures, count, delay, fields);
    return times;
}

/* Counts a picture, whose times must be these. */
static void expect(struct counted_times *times, struct counted_picture picture, int64_t dts,
                   int64_t pts)
{
    struct counted_time time = counted_times_next(times, &picture);

    CHECK_EQ(time.dts, dts);
    CHECK_EQ(time.pts, pts);
    CHECK_EQ(time.duration, picture.field ? 1 : 2);
}

static struct counted_picture picture(int64_t order)
{
    return (struct counted_picture){.order = order, .known = true};
}

static struct counted_picture key(int64_t order)
{
    return (struct counted_picture){.order = order, .known = true, .key = true};
}

static struct counted_picture field(int64_t order)
{
    return (struct counted_picture){.order = order, .known = true, .field = true};
}

TEST(pictures_are_shown_by_their_order)
{
    struct counted_times times = begin(pyramid, PYRAMID, 2, true);

    expect(&times, key(0), -4, 0);
    expect(&times, picture(8), -2, 8);
    expect(&times, picture(4), 0, 4);
    expect(&times, picture(2), 2, 2);
    expect(&times, picture(6), 4, 6);
    /* The count starts over, time does not. */
    expect(&times, key(0), 6, 10);
    expect(&times, picture(2), 8, 12);
}

TEST(a_delay_that_the_stream_conceals_is_found_in_its_pictures)
{
    struct counted_times times = begin(pyramid, PYRAMID, 1, true);

    CHECK_EQ(times.delay, 4);
    expect(&times, key(0), -4, 0);
    expect(&times, picture(8), -2, 8);
}

TEST(orders_that_count_frames)
{
    const struct counted_picture pictures[] = {key(0), picture(4), picture(2), picture(1),
                                               picture(3)};
    struct counted_times times = begin(pictures, 5, 2, true);

    expect(&times, key(0), -4, 0);
    expect(&times, picture(4), -2, 8);
    expect(&times, picture(2), 0, 4);
    expect(&times, picture(1), 2, 2);
}

TEST(the_codec_decides_where_pictures_do_not)
{
    const struct counted_picture one = key(0);

    CHECK_EQ(begin(&one, 1, 0, true).step, 1);
    CHECK_EQ(begin(&one, 1, 0, false).step, 2);
    CHECK_EQ(begin(pyramid, PYRAMID, 2, false).step, 1);
}

TEST(two_fields_last_as_long_as_a_frame)
{
    struct counted_picture pictures[] = {key(0), field(1), field(6), field(7), field(2), field(3)};
    struct counted_times times;

    pictures[0].field = true;
    times = begin(pictures, 6, 1, true);
    expect(&times, pictures[0], -2, 0);
    expect(&times, field(1), -1, 1);
    expect(&times, field(6), 0, 6);
    expect(&times, field(7), 1, 7);
    expect(&times, field(2), 2, 2);
    expect(&times, field(3), 3, 3);
}

TEST(without_reordering_gaps_in_the_count_mean_nothing)
{
    const struct counted_picture one = key(0);
    struct counted_times times = begin(&one, 1, 0, true);

    expect(&times, key(0), 0, 0);
    expect(&times, picture(2), 2, 2);
    expect(&times, picture(100), 4, 4);
    expect(&times, picture(5000000000), 6, 6);
    expect(&times, key(0), 8, 8);
}

TEST(reordering_that_comes_later_is_followed)
{
    const struct counted_picture one = key(0);
    struct counted_times times = begin(&one, 1, 0, true);
    int64_t dts = 0, delay;

    expect(&times, key(0), 0, 0);
    for (int gop = 0; gop < 3; gop++) {
        for (int i = 1; i < PYRAMID; i++) {
            struct counted_time time = counted_times_next(&times, &pyramid[i]);

            dts += 2;
            CHECK_EQ(time.dts, dts);
            CHECK(time.pts >= time.dts);
        }
        delay = times.delay;
        CHECK(delay > 0);
        CHECK(counted_times_next(&times, &pyramid[0]).pts >= dts + delay);
        CHECK_EQ(times.delay, delay);
        dts = times.next - 2;
    }
}

TEST(missing_pictures_are_time_that_has_passed)
{
    struct counted_times times = begin(pyramid, PYRAMID, 2, true);

    expect(&times, key(0), -4, 0);
    expect(&times, picture(8), -2, 8);
    /* Four are lost before this one, and what follows it. */
    expect(&times, picture(16), 0, 16);
    expect(&times, key(0), 14, 18);
}

TEST(nonsense_is_bounded)
{
    struct counted_times times = begin(pyramid, PYRAMID, 2, true);
    int64_t before = -6;
    const int64_t orders[] = {0, 1 << 30, -(1 << 30), 7, 2147483647, -2147483647, 3};

    for (int round = 0; round < 100; round++) {
        struct counted_picture any = {
            .order = orders[round % 7], .known = round % 5 != 0, .key = round % 3 == 0};
        struct counted_time time = counted_times_next(&times, &any);

        CHECK(time.dts > before);
        CHECK(time.pts >= time.dts);
        CHECK(time.pts - time.dts < 1000);
        before = time.dts;
    }
    CHECK(before < 20000);
}
