/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash matrix: a process is killed, or stopped for longer than the others' timeouts, at each
 * named point of the library, on each side, with three other subscribers (or ranks) running. The
 * others see no torn frame, no wait beyond their timeouts and no error but the one that is
 * documented; nothing is left behind, and the name can be used again.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "crowd.h"
#include "fate.h"
#include "harness/resources.h"
#include "integration/support.h"
#include "points.h"

#define FRAMES_OF_LIFE 250

/* ---- a subscriber ---- */

/* Takes frames, two at a time. The only errors are those that a stop of this process explains. */
static void read_some(cuframes_subscriber_t *reader, int count)
{
    cuframes_frame_t *frames[2] = {NULL, NULL};
    int err = CUFRAMES_OK;

    for (int i = 0; i < count && !err; i++) {
        cuframes_frame_t **frame = &frames[i % 2];

        cuframes_frame_release(*frame);
        *frame = NULL;
        err = cuframes_subscriber_next(reader, NULL, frame, 20);
        if (err == CUFRAMES_OK && cuframes_frame_check(*frame) == CUFRAMES_OK)
            cuframes_frame_pts_ns(*frame);
        if (err == CUFRAMES_ERR_TIMEOUT)
            err = CUFRAMES_OK;
    }
    cuframes_frame_release(frames[0]);
    cuframes_frame_release(frames[1]);
    if (err)
        CHECK(err == CUFRAMES_ERR_EVICTED || err == CUFRAMES_ERR_DISCONNECTED);
}

static void be_a_doomed_subscriber(struct test_peer *test, void *argument)
{
    const struct fate *fate = argument;

    (void)test;
    point_arm(fate->point, fate->nth, fate->signal);
    for (int round = 0; !atomic_load(fate->end); round++) {
        cuframes_subscriber_config_t config = {
            .key = CROWD_KEY,
            .mode = round % 2 ? CUFRAMES_MODE_STRICT_ORDER : CUFRAMES_MODE_NEWEST_ONLY,
            .connect_timeout_ms = test_patience_ms(),
            .max_holds = 2,
        };
        cuframes_subscriber_t *reader;
        int err = cuframes_subscriber_create(&config, &reader);

        /* Stopped in the middle of attaching for longer than the publisher's patience. */
        if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_DISCONNECTED)
            continue;
        CHECK_OK(err);
        read_some(reader, 6);
        CHECK_OK(cuframes_subscriber_destroy(reader));
    }
}

static void subscriber_case(const char *point, int nth, int signal)
{
    cuframes_policy_t policy = nth == 1 ? CUFRAMES_POLICY_DROP_OLDEST : CUFRAMES_POLICY_STRICT_WAIT;
    cuframes_publisher_config_t config = crowd_channel(policy);
    cuframes_publisher_t *publisher;
    struct test_resources before;
    struct crowd crowd;
    struct test_peer victim;
    struct fate fate = {.point = point, .nth = nth, .signal = signal};
    int64_t pts = 0;

    point_reset();
    /* Before this process has a second thread: gcc 12's address sanitizer does not survive a fork
     * while another thread allocates. */
    crowd_start(&crowd, policy == CUFRAMES_POLICY_STRICT_WAIT);
    publisher = make_publisher(&config);
    fate.end = &crowd.board->end;
    crowd_wait(&crowd);
    settle_pages();
    test_resources_take(&before);
    test_spawn(&victim, be_a_doomed_subscriber, &fate, NULL);
    while (!has_met_fate(&victim, signal)) {
        crowd_publish(publisher, pts++, 1, 200);
        if (pts > 50000)
            FAIL("no subscriber comes to the point %s", point);
    }
    if (signal == SIGSTOP) {
        int64_t until = cuframes_now_ns() + STOPPED_MS * INT64_C(1000000);

        for (; cuframes_now_ns() < until; pts++)
            crowd_publish(publisher, pts, 1, 1000);
    }
    bury(&victim, &fate);
    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    settle_pages();
    /* A connection that was cut off before it said anything is closed a moment later. */
    WAIT_FOR(test_count_descriptors("") <= before.descriptor_count + 1, test_patience_ms());
    crowd_publish(publisher, pts, 20, 200);
    CHECK_NO_LEAK(&before, point);
    test_resources_free(&before);
    publish(publisher, CROWD_END);
    crowd_finish(&crowd);
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

static void all_subscriber_points(int signal)
{
    for (EACH_POINT(point, SUBSCRIBER))
        for (int nth = 1; nth <= 2; nth++)
            subscriber_case(point->name, nth, signal);
}

TEST(subscriber_killed_at_every_point, .timeout_s = 120)
{
    all_subscriber_points(SIGKILL);
}

TEST(subscriber_stopped_at_every_point, .timeout_s = 120)
{
    all_subscriber_points(SIGSTOP);
}

/* ---- a publisher ---- */

static void be_a_doomed_publisher(struct test_peer *test, void *argument)
{
    const struct fate *fate = argument;
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    cuframes_publisher_t *publisher;

    (void)test;
    point_arm(fate->point, fate->nth, fate->signal);
    publisher = make_publisher(&config);
    WAIT_FOR(publisher_stats(publisher).subscribers == CROWD, test_patience_ms());
    for (int i = 0; i < FRAMES_OF_LIFE; i++) {
        if (i % 50 == 49) {
            config.width ^= 64;
            CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
        }
        crowd_publish(publisher, i, 1, 200);
    }
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

/* While its owner is stopped the name is not to be had. */
static void expect_key_taken(void)
{
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    cuframes_publisher_t *publisher = NULL;

    CHECK_ERR(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_ALREADY_EXISTS);
}

static void publisher_case(const char *point, int nth, int signal)
{
    cuframes_publisher_config_t config = crowd_channel(CUFRAMES_POLICY_DROP_OLDEST);
    cuframes_publisher_t *next;
    struct crowd crowd;
    struct test_peer victim;
    struct fate fate = {.point = point, .nth = nth, .signal = signal};

    point_reset();
    crowd_start(&crowd, false);
    fate.end = &crowd.board->end;
    test_spawn(&victim, be_a_doomed_publisher, &fate, NULL);
    WAIT_FOR(has_met_fate(&victim, signal), test_patience_ms());
    if (signal == SIGSTOP) {
        expect_key_taken();
        usleep(STOPPED_MS * 1000);
    }
    bury(&victim, &fate);
    next = make_publisher(&config);
    WAIT_FOR(publisher_stats(next).subscribers == CROWD, test_patience_ms());
    crowd_publish(next, 0, 20, 200);
    publish(next, CROWD_END);
    crowd_finish(&crowd);
    CHECK_EQ(publisher_stats(next).slots_held, 0U);
    CHECK_OK(cuframes_publisher_destroy(next));
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

TEST(publisher_killed_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, PUBLISHER)) {
        publisher_case(point->name, 1, SIGKILL);
        if (point->when == RUN)
            publisher_case(point->name, 3, SIGKILL);
    }
}

TEST(publisher_stopped_at_every_point, .timeout_s = 120)
{
    for (EACH_POINT(point, PUBLISHER))
        if (point->when == RUN)
            publisher_case(point->name, 2, SIGSTOP);
}

/* ---- a rank of a group ---- */

#define RANKS        4
#define OPERATION_MS 1500

struct doomed_rank {
    struct fate fate;
    int rank;
};

/* One of each kind of operation. Rank 0 comes late, so that the others fall asleep. */
static int work(cuframes_group_t *group, int rank)
{
    int fds[RANKS], mine = STDERR_FILENO;
    uint32_t counts[RANKS];
    char all[RANKS];
    int err;

    if (rank == 0)
        usleep(5000);
    err = cuframes_group_barrier(group, 0, OPERATION_MS);
    if (!err)
        err = cuframes_group_all_gather(group, "x", 1, all, OPERATION_MS);
    if (err)
        return err;
    err = cuframes_group_all_gather_fds(group, &mine, 1, fds, RANKS, counts, OPERATION_MS);
    for (int i = 0; i < RANKS && !err; i++)
        close(fds[i]);
    return err;
}

static void be_a_rank(struct test_peer *test, void *argument)
{
    const struct doomed_rank *me = argument;
    cuframes_group_config_t config = {
        .name = "g", .rank = me->rank, .size = RANKS, .timeout_ms = OPERATION_MS};
    struct test_resources before;
    cuframes_group_t *group = NULL;
    int err;

    (void)test;
    test_resources_take(&before);
    if (me->fate.point)
        point_arm(me->fate.point, me->fate.nth, me->fate.signal);
    err = cuframes_group_create(&config, &group);
    for (int i = 0; i < 20 && !err; i++)
        err = work(group, me->rank);
    if (err && err != CUFRAMES_ERR_DISCONNECTED && err != CUFRAMES_ERR_TIMEOUT)
        FAIL("rank %d: %s: %s", me->rank, cuframes_strerror(err), cuframes_last_error());
    cuframes_group_destroy(group);
    CHECK_NO_LEAK(&before, "after a group");
    test_resources_free(&before);
    test_say(test, (uint64_t)-err);
}

static void start_group(struct test_peer *peers, const struct fate *fate)
{
    for (int rank = 0; rank < RANKS; rank++) {
        struct doomed_rank plan = {.rank = rank};

        if (fate)
            plan.fate = *fate;
        test_spawn(&peers[rank], be_a_rank, &plan, NULL);
    }
}

/* Whichever rank comes to the point for the nth time dies; the others are told. */
static void rank_case(const char *point, int nth, int signal)
{
    const struct fate fate = {.point = point, .nth = nth, .signal = signal};
    struct test_peer peers[RANKS];
    int victim = -1;

    point_reset();
    start_group(peers, &fate);
    WAIT_FOR(point_visits() >= nth, test_patience_ms());
    for (int64_t until = test_deadline_ms(test_patience_ms()); victim < 0;) {
        for (int i = 0; i < RANKS && victim < 0; i++) {
            siginfo_t info = {0};

            CHECK_SYS(
                waitid(P_PID, (id_t)peers[i].pid, &info, WEXITED | WSTOPPED | WNOWAIT | WNOHANG));
            if (info.si_pid && info.si_code != CLD_EXITED)
                victim = i;
        }
        if (victim < 0 && !test_pause_until(until))
            FAIL("nobody was stopped at %s", point);
    }
    for (int i = 0; i < RANKS; i++) {
        if (i == victim)
            continue;
        CHECK_NE(test_hear(&peers[i]), 0U);
        test_join(&peers[i]);
    }
    if (signal == SIGSTOP) {
        test_continue(&peers[victim]);
        CHECK_NE(test_hear(&peers[victim]), 0U);
        test_join(&peers[victim]);
    } else {
        int status = test_join_status(&peers[victim]);

        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    }
    /* The name can be used again. */
    start_group(peers, NULL);
    for (int i = 0; i < RANKS; i++) {
        CHECK_HEAR(&peers[i], 0);
        test_join(&peers[i]);
    }
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    printf("%s, visit %d, %s: all well\n", point, nth, strsignal(signal));
}

TEST(rank_killed_at_every_point, .timeout_s = 180)
{
    for (EACH_POINT(point, RANK))
        for (int nth = 1; nth <= 3; nth += 2)
            rank_case(point->name, nth, SIGKILL);
}

TEST(rank_stopped_at_every_point, .timeout_s = 180)
{
    for (EACH_POINT(point, RANK))
        rank_case(point->name, 2, SIGSTOP);
}
