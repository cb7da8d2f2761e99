/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Quantiles of the histogram: right within its stated error, for small and for huge values.
 */
#include "common/histogram.h"
#include "harness/harness.h"

static struct histogram histogram;

static void check_near(uint64_t value, uint64_t expected)
{
    uint64_t error = value > expected ? value - expected : expected - value;

    if (error > expected / 100)
        FAIL("%" PRIu64 " is not within 1 %% of %" PRIu64, value, expected);
}

TEST(empty_histogram_has_no_quantiles)
{
    CHECK_EQ(histogram_quantile(&histogram, 0.5), 0);
}

TEST(quantiles_are_within_one_percent)
{
    for (uint64_t i = 1; i <= 100000; i++)
        histogram_add(&histogram, i * 37);
    check_near(histogram_quantile(&histogram, 0.5), 50000 * 37);
    check_near(histogram_quantile(&histogram, 0.99), 99000 * 37);
    CHECK_EQ(histogram.max, 100000 * 37);
    CHECK_EQ(histogram_quantile(&histogram, 1.0), 100000 * 37);
}

TEST(every_value_falls_near_itself)
{
    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t value = (UINT64_C(1) << bit) | (UINT64_C(1) << bit) / 3;

        histogram = (struct histogram){0};
        histogram_add(&histogram, value);
        check_near(histogram_quantile(&histogram, 0.5), value);
    }
}

TEST(one_slow_frame_shows_in_the_maximum_only)
{
    for (int i = 0; i < 1000; i++)
        histogram_add(&histogram, 100);
    histogram_add(&histogram, UINT64_MAX);
    check_near(histogram_quantile(&histogram, 0.99), 100);
    CHECK_EQ(histogram.max, UINT64_MAX);
}
