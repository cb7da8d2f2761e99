/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups: what happens to the others when a rank dies, leaves or does not come.
 */
#include "harness/harness.h"

#include <stdlib.h>
#include <unistd.h>

#include "group_ranks.h"

/* All but the victim wait in an operation, say how it ended, and how long after the death. */
static void wait_for_victim(cuframes_group_t *group, struct test_peer *test,
                            const struct plan *plan)
{
    int victim = plan->number & 0xff, operation = plan->number >> 8;
    char byte = 0, all[16];
    int fd = -1, fds[16];
    int err;

    test_say(test, 1);
    if (plan->rank == victim) {
        test_hear_end(test);
        return;
    }
    if (operation == 0)
        err = cuframes_group_barrier(group, 0, TIMEOUT_MS);
    else if (operation == 1)
        err = cuframes_group_all_gather(group, &byte, 1, all, TIMEOUT_MS);
    else
        err = cuframes_group_all_gather_fds(group, &fd, 0, fds, 16, NULL, TIMEOUT_MS);
    CHECK_EQ(err, CUFRAMES_ERR_DISCONNECTED);
    CHECK_STR_HAS(cuframes_last_error(), "rank");
    CHECK_EQ(cuframes_group_broken_rank(group), victim);
    test_say(test, (uint64_t)cuframes_now_ns());
    /* Broken for good. */
    CHECK_ERR(cuframes_group_barrier(group, 0, TIMEOUT_MS), CUFRAMES_ERR_DISCONNECTED);
}

static void kill_in(int operation, int victim)
{
    struct test_peer peers[4];
    int64_t killed;

    start_ranks(peers, (struct plan){.name = "g",
                                     .size = 4,
                                     .body = wait_for_victim,
                                     .number = operation << 8 | victim});
    for (int i = 0; i < 4; i++)
        CHECK_HEAR(&peers[i], 1);
    usleep(20000); /* so that the others are in the operation, most often */
    killed = cuframes_now_ns();
    test_kill(&peers[victim]);
    for (int i = 0; i < 4; i++) {
        if (i == victim)
            continue;
        /* The promise is 100 ms; a machine that is busy may need a moment more to say so. */
        CHECK_LT((int64_t)test_hear(&peers[i]) - killed, INT64_C(2000000000));
        test_join(&peers[i]);
    }
}

TEST(a_death_ends_the_calls_of_the_others, .timeout_s = 60)
{
    for (int operation = 0; operation < 3; operation++)
        for (int victim = 0; victim < 4; victim++)
            kill_in(operation, victim);
    /* Whoever was killed may have had the hub: its socket's name is all that it left. */
    test_may_remain("g:group.sock");
}

static void keep_working(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    static char mine[5000], all[5 * 5000];
    int err = CUFRAMES_OK;

    test_say(test, 1);
    for (int i = 0; !err; i++) {
        int fd = 0, fds[5];

        if (i % 3 == 0)
            err = cuframes_group_barrier(group, 0, TIMEOUT_MS);
        else if (i % 3 == 1)
            err = cuframes_group_all_gather(group, mine, i % 2 ? 5000 : 8, all, TIMEOUT_MS);
        else
            err = cuframes_group_all_gather_fds(group, &fd, 1, fds, 5, NULL, TIMEOUT_MS);
        for (int r = 0; !err && i % 3 == 2 && r < plan->size; r++)
            close(fds[r]);
    }
    CHECK_EQ(err, CUFRAMES_ERR_DISCONNECTED);
}

/* Kills a rank at a random moment of a group that works; nobody hangs, nothing leaks, and the name
 * can be used again at once. */
TEST(ranks_can_die_at_any_step, .timeout_s = 120)
{
    struct test_peer peers[5];

    srand(1);
    for (int round = 0; round < 40; round++) {
        int victim = rand() % 5;

        start_ranks(peers, (struct plan){.name = "g", .size = 5, .body = keep_working});
        for (int i = 0; i < 5; i++)
            CHECK_HEAR(&peers[i], 1);
        usleep((useconds_t)(rand() % 5000));
        test_kill(&peers[victim]);
        for (int i = 0; i < 5; i++)
            if (i != victim)
                test_join(&peers[i]);
    }
    test_may_remain("g:group.sock");
}

static void leave_after_barrier(cuframes_group_t *group, struct test_peer *test,
                                const struct plan *plan)
{
    (void)test;
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    if (plan->rank == plan->number)
        return;
    CHECK_ERR_SAYS(cuframes_group_barrier(group, 0, TIMEOUT_MS), CUFRAMES_ERR_DISCONNECTED, "rank");
}

TEST(leaving_completes_what_was_done_and_ends_the_rest)
{
    for (int leaver = 0; leaver < 3; leaver++)
        for (int round = 0; round < 10; round++)
            run_ranks((struct plan){
                .name = "g", .size = 3, .body = leave_after_barrier, .number = leaver});
}

static void be_late(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    if (plan->rank == 1) {
        CHECK_EQ(test_hear(test), (uint64_t)1);
        CHECK_ERR(cuframes_group_barrier(group, 0, TIMEOUT_MS), CUFRAMES_ERR_TIMEOUT);
        return;
    }
    CHECK_ERR_SAYS(cuframes_group_barrier(group, 0, 200), CUFRAMES_ERR_TIMEOUT, "rank 1");
    test_say(test, 1);
}

TEST(who_is_late_is_named_and_the_group_is_broken)
{
    struct test_peer peers[3];

    start_ranks(peers, (struct plan){.name = "g", .size = 3, .body = be_late});
    CHECK_HEAR(&peers[0], 1);
    CHECK_HEAR(&peers[2], 1);
    test_say(&peers[1], 1);
    join_ranks(peers, 3);
}

/* ---- a hub that is stopped for longer than every timeout ---- */

#define SHORT_MS 700

/* Rank 0 has the hub: the others join only when it is there. */
static void meet_a_stopped_hub(cuframes_group_t *group, struct test_peer *test,
                               const struct plan *plan)
{
    int fd = STDERR_FILENO, fds[3];
    int err;

    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    test_say(test, 1);
    /* Until it is stopped, or has been. */
    test_hear(test);
    err = plan->number ? cuframes_group_barrier(group, 0, SHORT_MS)
                       : cuframes_group_all_gather_fds(group, &fd, 1, fds, 3, NULL, SHORT_MS);
    CHECK_EQ(err, CUFRAMES_ERR_TIMEOUT);
    CHECK_STR_HAS(cuframes_last_error(), "rank");
    /* Broken for good, for the one that was stopped too: at once. */
    CHECK(cuframes_group_barrier(group, 0, TIMEOUT_MS) != CUFRAMES_OK);
    test_say(test, 2);
}

static void stop_hub(int operation)
{
    struct plan plan = {.name = "g", .size = 3, .body = meet_a_stopped_hub, .number = operation};
    struct test_peer peers[3];

    test_spawn(&peers[0], be_rank, &plan, NULL);
    WAIT_FOR(access(test_runtime_path("g:group.sock"), F_OK) == 0, test_patience_ms());
    for (plan.rank = 1; plan.rank < 3; plan.rank++)
        test_spawn(&peers[plan.rank], be_rank, &plan, NULL);
    for (int i = 0; i < 3; i++)
        CHECK_HEAR(&peers[i], 1);
    test_stop(&peers[0]);
    for (int i = 1; i < 3; i++)
        test_say(&peers[i], 1);
    for (int i = 1; i < 3; i++)
        CHECK_HEAR(&peers[i], 2);
    test_continue(&peers[0]);
    test_say(&peers[0], 1);
    CHECK_HEAR(&peers[0], 2);
    join_ranks(peers, 3);
}

TEST(a_stopped_hub_makes_nobody_hang_and_comes_back_to_a_broken_group, .timeout_s = 60)
{
    stop_hub(0);
    stop_hub(1);
}
