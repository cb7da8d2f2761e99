/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits that the program ends: for a slot under the wait policy, and in groups.
 */
#include <cuframes/interrupt.h>

#include <pthread.h>

#include "group_ranks.h"
#include "support.h"

/* Ends the wait when it is asked for the n-th time. */
struct patience {
    int questions;
    int most;
    pthread_t thread;
};

static int ask(void *user)
{
    struct patience *patience = user;

    CHECK(pthread_equal(pthread_self(), patience->thread));
    return ++patience->questions >= patience->most;
}

static void begin_with(struct patience *patience, int most)
{
    *patience = (struct patience){.most = most, .thread = pthread_self()};
    cuframes_set_interrupt_check(ask, patience);
}

/* A channel with the wait policy whose every slot is wanted by a reader that takes none. */
static cuframes_subscriber_t *fill_up(cuframes_publisher_t *publisher)
{
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    for (int i = 0; i < 4; i++)
        publish(publisher, i);
    return reader;
}

static cuframes_publisher_t *patient_publisher(int32_t ack_timeout_ms)
{
    cuframes_publisher_config_t config = small_config("cam");

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = ack_timeout_ms;
    config.ring_size = 4;
    return make_publisher(&config);
}

TEST(acquire_can_be_ended_and_called_again)
{
    cuframes_publisher_t *publisher = patient_publisher(-1);
    cuframes_subscriber_t *reader = fill_up(publisher);
    cuframes_buffer_t *buffer = NULL;
    struct patience patience;
    void *memory = NULL;

    begin_with(&patience, 3);
    CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &buffer), CUFRAMES_ERR_INTERRUPTED,
                   "ended the wait");
    CHECK(!buffer);
    CHECK_EQ(patience.questions, 3);
    begin_with(&patience, 1);
    CHECK_ERR(cuframes_publisher_acquire(publisher, &memory), CUFRAMES_ERR_INTERRUPTED);
    CHECK(!memory);
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    for (int i = 0; i < 4; i++)
        expect_frame(reader, i);
    publish(publisher, 4);
    expect_frame(reader, 4);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(who_is_asked_and_does_not_mind_waits_as_long_as_the_policy_says)
{
    cuframes_publisher_t *publisher = patient_publisher(300);
    cuframes_subscriber_t *reader = fill_up(publisher);
    struct patience patience;

    begin_with(&patience, 1000);
    publish(publisher, 4);
    CHECK_GE(patience.questions, 2);
    CHECK_EQ(publisher_stats(publisher).evicted, 1U);
    EXPECT_ERROR(reader, CUFRAMES_ERR_EVICTED);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void *wait_for_slot(void *argument)
{
    void *memory;

    CHECK_OK(cuframes_publisher_acquire(argument, &memory));
    return NULL;
}

TEST(another_thread_is_not_asked)
{
    cuframes_publisher_t *publisher = patient_publisher(300);
    cuframes_subscriber_t *reader = fill_up(publisher);
    struct patience patience;
    pthread_t thread;

    begin_with(&patience, 1);
    CHECK_EQ(pthread_create(&thread, NULL, wait_for_slot, publisher), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(patience.questions, 0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void give_up(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    struct patience patience;

    (void)test;
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    if (plan->rank == 1) {
        begin_with(&patience, 2);
        CHECK_ERR(cuframes_group_barrier(group, 2, -1), CUFRAMES_ERR_INTERRUPTED);
        CHECK_ERR_SAYS(cuframes_group_barrier(group, 2, -1), CUFRAMES_ERR_DISCONNECTED, "rank 1");
        return;
    }
    /* Rank 0 never comes to the barrier of two. */
    WAIT_FOR(cuframes_group_broken_rank(group) == 1, 5000);
    CHECK_ERR_SAYS(cuframes_group_barrier(group, 0, TIMEOUT_MS), CUFRAMES_ERR_DISCONNECTED,
                   "rank 1 could not do its part");
}

TEST(a_rank_that_is_interrupted_breaks_its_group_by_name)
{
    run_ranks((struct plan){.name = "g", .size = 3, .body = give_up});
}

TEST(joining_can_be_ended_and_tried_again)
{
    const cuframes_group_config_t config = {.name = "g", .rank = 0, .size = 2, .timeout_ms = -1};
    cuframes_group_t *group = NULL;
    struct patience patience;

    for (int i = 0; i < 3; i++) {
        begin_with(&patience, 2);
        CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_INTERRUPTED);
        CHECK_EQ(patience.questions, 2);
        CHECK(!group);
    }
}
