/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ranks as peers of a test: each joins a group, runs a body, and leaves.
 */
#pragma once

#include "harness/harness.h"
#include "harness/peer.h"

#define TIMEOUT_MS 10000
#define MOST_RANKS 256

/* What the peers are told; they are forks, so it is read in place. */
struct plan {
    int32_t rank;
    int32_t size;
    const char *name;
    void (*body)(cuframes_group_t *group, struct test_peer *test, const struct plan *plan);
    int number; /* the body's own */
};

static inline cuframes_group_t *join(const char *name, int32_t rank, int32_t size)
{
    cuframes_group_config_t config = {
        .name = name, .rank = rank, .size = size, .timeout_ms = TIMEOUT_MS};
    cuframes_group_t *group;

    CHECK_OK(cuframes_group_create(&config, &group));
    return group;
}

static inline void be_rank(struct test_peer *test, void *argument)
{
    const struct plan *plan = argument;
    cuframes_group_t *group = join(plan->name, plan->rank, plan->size);

    plan->body(group, test, plan);
    cuframes_group_destroy(group);
}

static inline void start_ranks(struct test_peer *peers, struct plan plan)
{
    for (int32_t rank = 0; rank < plan.size; rank++) {
        plan.rank = rank;
        test_spawn(&peers[rank], be_rank, &plan, NULL);
    }
}

static inline void join_ranks(struct test_peer *peers, int32_t count)
{
    for (int32_t rank = 0; rank < count; rank++)
        test_join(&peers[rank]);
}

static inline void run_ranks(struct plan plan)
{
    static struct test_peer peers[MOST_RANKS];

    start_ranks(peers, plan);
    join_ranks(peers, plan.size);
}
