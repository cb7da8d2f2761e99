/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups in a process that has run out of something: whoever waits is told, nothing leaks, and the
 * next group works.
 */
#include "harness/harness.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "group_ranks.h"
#include "harness/fault.h"
#include "harness/limits.h"
#include "harness/resources.h"

#define RANKS 8

static void *raise_limit(void *argument)
{
    test_hear(argument);
    test_unlimit_descriptors();
    return NULL;
}

/* Hosts the group, for a while without room for more than a rank or two. */
static void host_with_few_descriptors(struct test_peer *test, void *argument)
{
    cuframes_group_config_t config = {
        .name = "g", .rank = 0, .size = RANKS, .timeout_ms = test_patience_ms()};
    cuframes_group_t *group;
    pthread_t helper;

    (void)argument;
    test_limit_descriptors(10);
    CHECK_EQ(pthread_create(&helper, NULL, raise_limit, test), 0);
    CHECK_OK(cuframes_group_create(&config, &group));
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    pthread_join(helper, NULL);
    CHECK_OK(cuframes_group_destroy(group));
}

struct guest {
    int32_t rank;
    atomic_uint *refusals;
};

/* Comes again when it is refused. */
static void join_until_let_in(struct test_peer *test, void *argument)
{
    const struct guest *guest = argument;
    cuframes_group_config_t config = {
        .name = "g", .rank = guest->rank, .size = RANKS, .timeout_ms = test_patience_ms()};
    cuframes_group_t *group;
    int err;

    (void)test;
    while ((err = cuframes_group_create(&config, &group)) == CUFRAMES_ERR_TOO_MANY) {
        CHECK_STR_HAS(cuframes_last_error(), "hosts the group is out of descriptors");
        atomic_fetch_add(guest->refusals, 1);
        usleep(20000);
    }
    CHECK_OK(err);
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    CHECK_OK(cuframes_group_destroy(group));
}

TEST(a_hub_without_descriptors_refuses_by_name_and_takes_all_when_it_has_some, .timeout_s = 60)
{
    struct guest guest = {
        .refusals = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)};
    struct test_peer host, guests[RANKS - 1];

    test_spawn(&host, host_with_few_descriptors, NULL, NULL);
    WAIT_FOR(access(test_runtime_path("g:group.sock"), F_OK) == 0, 5000);
    for (guest.rank = 1; guest.rank < RANKS; guest.rank++)
        test_spawn(&guests[guest.rank - 1], join_until_let_in, &guest, NULL);
    WAIT_FOR(atomic_load(guest.refusals) > 20, test_patience_ms());
    test_say(&host, 1);
    for (int i = 0; i < RANKS - 1; i++)
        test_join(&guests[i]);
    test_join(&host);
    munmap(guest.refusals, 4096);
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
