/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The limit on what strangers can cause: how often within any time, at most and at least.
 */
#include "base/rate_limit.h"
#include "harness/harness.h"

#define EVERY INT64_C(1000)

/* How often it may be done at a moment. */
static uint32_t drain(struct cf_rate_limit *limit, int64_t now)
{
    uint32_t count = 0;

    for (; cf_rate_limit_may(limit, now); count++)
        cf_rate_limit_count(limit);
    return count;
}

static struct cf_rate_limit make(int64_t start)
{
    struct cf_rate_limit limit;

    cf_rate_limit_init(&limit, 25, 10, EVERY);
    limit.refilled_ns = start;
    return limit;
}

TEST(so_many_at_once_and_no_more_before_the_refill)
{
    struct cf_rate_limit limit = make(500);

    CHECK_EQ(drain(&limit, 500), 25U);
    CHECK_EQ(drain(&limit, 500 + EVERY - 1), 0U);
    CHECK_EQ(cf_rate_limit_next(&limit), 500 + EVERY);
    CHECK_EQ(drain(&limit, 500 + EVERY), 10U);
    CHECK_EQ(cf_rate_limit_next(&limit), 500 + 2 * EVERY);
}

TEST(asking_does_not_use_it_up)
{
    struct cf_rate_limit limit = make(500);

    for (int i = 0; i < 100; i++)
        CHECK(cf_rate_limit_may(&limit, 500));
    CHECK_EQ(drain(&limit, 500), 25U);
}

TEST(time_that_passed_unused_gives_no_more_than_at_once)
{
    struct cf_rate_limit limit = make(500);

    CHECK_EQ(drain(&limit, 500), 25U);
    CHECK_EQ(drain(&limit, 500 + 2 * EVERY + 1), 20U);
    CHECK_EQ(drain(&limit, 500 + 5 * EVERY), 25U);
    /* Years. */
    CHECK_EQ(drain(&limit, INT64_MAX / 2), 25U);
}

TEST(rest_of_a_period_is_not_lost)
{
    struct cf_rate_limit limit = make(500);
    uint32_t count = drain(&limit, 500);

    for (int64_t now = 500; now <= 500 + 100 * EVERY; now += 7 * EVERY / 10)
        count += drain(&limit, now);
    CHECK_EQ(count, 25U + 99 * 10);
}
