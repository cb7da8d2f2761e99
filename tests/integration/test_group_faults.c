/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups in a process that has run out of something: whoever waits is told, nothing leaks, and the
 * next group works.
 */
#include "harness/harness.h"

#include <unistd.h>

#include "group_ranks.h"
#include "harness/fault.h"
#include "harness/limits.h"
#include "harness/resources.h"

static void join_with_few_descriptors(struct test_peer *test, void *argument)
{
    cuframes_group_config_t config = {.name = "g", .rank = 0, .size = 8, .timeout_ms = 1500};
    cuframes_group_t *group;

    (void)argument;
    /* The hub's own, and one or two of those who join. */
    test_limit_descriptors(9);
    test_say(test, 1);
    CHECK_ERR_SAYS(cuframes_group_create(&config, &group), CUFRAMES_ERR_TIMEOUT, "missing: rank");
    test_unlimit_descriptors();
}

static void join_in_vain(struct test_peer *test, void *argument)
{
    cuframes_group_config_t config = {
        .name = "g", .rank = *(int *)argument, .size = 8, .timeout_ms = 700};
    cuframes_group_t *group;
    int64_t start = cuframes_now_ns();

    (void)test;
    CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_TIMEOUT);
    CHECK_LT(cuframes_now_ns() - start, INT64_C(5000000000));
}

TEST(a_hub_without_descriptors_lets_the_ranks_time_out)
{
    struct test_peer peers[8];

    test_spawn(&peers[0], join_with_few_descriptors, NULL, NULL);
    CHECK_HEAR(&peers[0], 1);
    WAIT_FOR(access(test_runtime_path("g:group.sock"), F_OK) == 0, 5000);
    for (int i = 1; i < 8; i++)
        test_spawn(&peers[i], join_in_vain, &i, NULL);
    for (int i = 7; i >= 0; i--)
        test_join(&peers[i]);
}

/* A group of one makes all that a group makes: name, hub, thread, board, region, descriptors. */
static int make_group(void)
{
    cuframes_group_config_t config = {.name = "g", .size = 1, .timeout_ms = TIMEOUT_MS};
    static uint8_t bytes[4096], all[4096];
    cuframes_group_t *group;
    int fd = STDERR_FILENO, got;
    int err = cuframes_group_create(&config, &group);

    if (err)
        return err;
    err = cuframes_group_all_gather(group, bytes, sizeof(bytes), all, TIMEOUT_MS);
    if (!err)
        err = cuframes_group_all_gather_fds(group, &fd, 1, &got, 1, NULL, TIMEOUT_MS);
    if (!err)
        close(got);
    cuframes_group_destroy(group);
    return err;
}

/* Fails the nth call of a kind. False: there was none. */
static bool fail_one(enum test_fault call, unsigned nth)
{
    int err;

    test_fault_arm(call, nth, 0);
    err = make_group();
    if (!test_fault_disarm()) {
        CHECK_EQ(err, CUFRAMES_OK);
        return false;
    }
    if (err == CUFRAMES_ERR_INTERNAL || err == CUFRAMES_ERR_INVALID_ARG ||
        err == CUFRAMES_ERR_TIMEOUT || (err && !*cuframes_last_error()))
        FAIL("call %u of %s failed: %s: %s", nth, test_fault_name(call), cuframes_strerror(err),
             cuframes_last_error());
    return true;
}

TEST(each_failing_system_call_is_told_and_the_next_group_works, .timeout_s = 120)
{
    struct test_resources before;
    unsigned failed = 0;

    test_fault_install();
    CHECK_OK(make_group());
    test_resources_take(&before);
    for (int call = 0; call < TEST_FAULT_COUNT; call++)
        for (unsigned nth = 1; nth < 100 && fail_one((enum test_fault)call, nth); nth++) {
            CHECK_NO_LEAK(&before, test_fault_name((enum test_fault)call));
            CHECK_OK(make_group());
            failed++;
        }
    CHECK_GT(failed, 15);
    test_resources_free(&before);
}
