/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups: meeting, and the operations. The ranks are peers (processes) of the test.
 */
#include "harness/harness.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group_ranks.h"

/* ---- the operations ---- */

/* Every rank counts; after each barrier all counters of the first ranks are at least its number,
 * and none is two ahead. */
static void count_barriers(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    uint32_t counts[MOST_RANKS];

    (void)test;
    for (uint32_t i = 0; i < (uint32_t)plan->number; i++) {
        CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
        CHECK_OK(cuframes_group_all_gather(group, &i, sizeof(i), counts, TIMEOUT_MS));
        for (int32_t r = 0; r < plan->size; r++)
            CHECK_EQ(counts[r], i);
    }
}

TEST(all_ranks_pass_every_barrier_together)
{
    run_ranks((struct plan){.name = "g", .size = 2, .body = count_barriers, .number = 2000});
    run_ranks((struct plan){.name = "g", .size = 8, .body = count_barriers, .number = 300});
}

TEST(two_hundred_and_fifty_six_ranks_meet, .timeout_s = 60)
{
    run_ranks((struct plan){.name = "g", .size = 256, .body = count_barriers, .number = 5});
}

static void subset(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    (void)test;
    for (int i = 0; i < 100; i++) {
        if (plan->rank < 2)
            CHECK_OK(cuframes_group_barrier(group, 2, TIMEOUT_MS));
        else
            CHECK_ERR_SAYS(cuframes_group_barrier(group, 2, TIMEOUT_MS), CUFRAMES_ERR_INVALID_ARG,
                           "first 2 ranks");
        CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    }
}

TEST(the_first_ranks_can_meet_alone)
{
    run_ranks((struct plan){.name = "g", .size = 4, .body = subset});
}

static uint8_t byte_of(int32_t rank, size_t i, int round)
{
    return (uint8_t)(rank * 31 + (int)(i % 251) + round);
}

/* Sizes on both sides of what fits on the board, different in every rank and round. */
static size_t bytes_of(int32_t rank, int round)
{
    static const size_t sizes[] = {0, 1, 1023, 1024, 1025, 70000, 3000000};

    return sizes[(rank + round) % 7];
}

static void exchange_sizes(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    const size_t room = 16 << 20;
    uint8_t *mine = malloc(4 << 20), *all = malloc(room);
    size_t sizes[16];

    (void)test;
    for (int round = 0; round < 14; round++) {
        size_t own = bytes_of(plan->rank, round), offset = 0;

        for (size_t i = 0; i < own; i++)
            mine[i] = byte_of(plan->rank, i, round);
        CHECK_OK(cuframes_group_all_gather_v(group, mine, own, all, room, sizes, TIMEOUT_MS));
        for (int32_t r = 0; r < plan->size; r++) {
            CHECK_EQ(sizes[r], bytes_of(r, round));
            for (size_t i = 0; i<sizes[r]; i += sizes[r]> 2048 ? 997 : 1)
                CHECK_EQ(all[offset + i], byte_of(r, i, round));
            offset += sizes[r];
        }
    }
    free(mine);
    free(all);
}

TEST(bytes_of_any_size_arrive)
{
    run_ranks((struct plan){.name = "g", .size = 5, .body = exchange_sizes});
}

static void give_sixteen_mebibytes(cuframes_group_t *group, struct test_peer *test,
                                   const struct plan *plan)
{
    const size_t size = 16 << 20;
    uint8_t *mine = malloc(size), *all = malloc(2 * size);

    (void)test;
    memset(mine, plan->rank + 1, size);
    CHECK_OK(cuframes_group_all_gather(group, mine, size, all, TIMEOUT_MS));
    CHECK_EQ(all[size - 1], 1);
    CHECK_EQ(all[2 * size - 1], 2);
    free(mine);
    free(all);
}

TEST(sixteen_mebibytes_a_rank_arrive)
{
    run_ranks((struct plan){.name = "g", .size = 2, .body = give_sixteen_mebibytes});
}

static void broadcast(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    char text[5000];

    (void)test;
    for (int32_t root = 0; root < plan->size; root++) {
        memset(text, plan->rank == root ? 'a' + root : 0, sizeof(text));
        CHECK_OK(cuframes_group_broadcast(group, root, text, sizeof(text), TIMEOUT_MS));
        CHECK_EQ(text[0], 'a' + root);
        CHECK_EQ(text[sizeof(text) - 1], 'a' + root);
    }
}

TEST(one_rank_sends_to_all)
{
    run_ranks((struct plan){.name = "g", .size = 3, .body = broadcast});
}

static void mistakes(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    char bytes[4096] = {0};
    size_t sizes[2];

    (void)test;
    /* Wrong in one rank alone would keep the others waiting: these are wrong in all. */
    CHECK_ERR(cuframes_group_barrier(group, 3, TIMEOUT_MS), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR_SAYS(cuframes_group_barrier(group, 0, 0), CUFRAMES_ERR_INVALID_ARG, "timeout of 0");
    CHECK_ERR(cuframes_group_broadcast(group, 2, bytes, 1, TIMEOUT_MS), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_group_all_gather(group, NULL, 8, bytes, TIMEOUT_MS),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(
        cuframes_group_all_gather(group, bytes, CUFRAMES_GROUP_MAX_BYTES + 1, bytes, TIMEOUT_MS),
        CUFRAMES_ERR_INVALID_ARG);
    /* Numbers that differ are told to all, and the group goes on. */
    CHECK_ERR_SAYS(
        cuframes_group_all_gather(group, bytes, 8 + (size_t)plan->rank, bytes, TIMEOUT_MS),
        CUFRAMES_ERR_INVALID_ARG, "same number");
    CHECK_ERR_SAYS(cuframes_group_all_gather_v(group, bytes, 10, bytes, 19, sizes, TIMEOUT_MS),
                   CUFRAMES_ERR_TOO_MANY, "20 bytes came");
    CHECK_EQ(sizes[1], 10);
    CHECK_EQ(cuframes_group_broken_rank(group), -1);
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
}

TEST(mistakes_do_not_break_the_group)
{
    run_ranks((struct plan){.name = "g", .size = 2, .body = mistakes});
}

/* ---- descriptors ---- */

static int open_numbered(int number)
{
    int fd = CHECK_SYS(memfd_create("numbered", MFD_CLOEXEC));

    CHECK_SYS(pwrite(fd, &number, sizeof(number), 0));
    return fd;
}

static int number_of(int fd)
{
    int number = -1;

    CHECK_EQ(pread(fd, &number, sizeof(number), 0), (ssize_t)sizeof(number));
    CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
    return number;
}

/* Rank r gives r * number descriptors. */
static void exchange_fds(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    const uint32_t own = (uint32_t)(plan->rank * plan->number);
    static int fds[CUFRAMES_GROUP_MAX_FDS], all[CUFRAMES_GROUP_MAX_FDS];
    uint32_t counts[16], seen = 0;

    (void)test;
    for (uint32_t i = 0; i < own; i++)
        fds[i] = open_numbered(plan->rank * 10000 + (int)i);
    for (int round = 0; round < 3; round++) {
        seen = 0;
        CHECK_OK(cuframes_group_all_gather_fds(group, fds, own, all, CUFRAMES_GROUP_MAX_FDS, counts,
                                               TIMEOUT_MS));
        for (int32_t r = 0; r < plan->size; r++) {
            CHECK_EQ(counts[r], (uint32_t)(r * plan->number));
            for (uint32_t i = 0; i < counts[r]; i++, seen++) {
                CHECK_EQ(number_of(all[seen]), r * 10000 + (int)i);
                close(all[seen]);
            }
        }
    }
    for (uint32_t i = 0; i < own; i++)
        close(fds[i]);
}

TEST(descriptors_of_all_ranks_arrive)
{
    run_ranks((struct plan){.name = "g", .size = 4, .body = exchange_fds, .number = 1});
    run_ranks((struct plan){.name = "g", .size = 8, .body = exchange_fds, .number = 8});
}

/* Several messages a rank. */
TEST(hundreds_of_descriptors_arrive, .timeout_s = 60)
{
    struct rlimit limit = {4096, 4096};

    CHECK_SYS(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = limit.rlim_max < 8192 ? limit.rlim_max : 8192;
    CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
    if (limit.rlim_cur < 4096)
        SKIP("at most %lu descriptors a process here", (unsigned long)limit.rlim_cur);
    run_ranks((struct plan){.name = "g", .size = 3, .body = exchange_fds, .number = 300});
}

/* One that is not open fails its call alone; the ranks then meet as if nothing had been. */
static void closed_fds(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    int fds[2] = {open_numbered(plan->rank), open_numbered(plan->rank)}, all[4];

    (void)test;
    close(fds[1]);
    CHECK_ERR_SAYS(cuframes_group_all_gather_fds(group, fds, 2, all, 4, NULL, TIMEOUT_MS),
                   CUFRAMES_ERR_INVALID_ARG, "not open");
    if (plan->rank == 0)
        CHECK_ERR_SAYS(cuframes_group_broadcast_fds(group, 0, fds, 2, TIMEOUT_MS),
                       CUFRAMES_ERR_INVALID_ARG, "not open");
    CHECK_OK(cuframes_group_all_gather_fds(group, fds, 1, all, 4, NULL, TIMEOUT_MS));
    for (int32_t r = 0; r < plan->size; r++) {
        CHECK_EQ(number_of(all[r]), r);
        close(all[r]);
    }
    close(fds[0]);
}

TEST(a_descriptor_that_is_not_open_leaves_the_group_whole)
{
    run_ranks((struct plan){.name = "g", .size = 2, .body = closed_fds});
}

static void too_many_fds(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    int fds[4], all[8];

    (void)test;
    for (int i = 0; i < 4; i++)
        fds[i] = open_numbered(plan->rank);
    CHECK_ERR_SAYS(cuframes_group_all_gather_fds(group, fds, 4, all, 7, NULL, TIMEOUT_MS),
                   CUFRAMES_ERR_TOO_MANY, "room for 7");
    /* One rank may have hardly any: it gets none, the other all. */
    if (plan->rank == 1) {
        int lowest = dup(fds[0]);
        struct rlimit limit = {(rlim_t)lowest + 3, (rlim_t)lowest + 3};

        close(lowest);
        CHECK_SYS(setrlimit(RLIMIT_NOFILE, &limit));
        CHECK_ERR_SAYS(cuframes_group_all_gather_fds(group, fds, 4, all, 8, NULL, TIMEOUT_MS),
                       CUFRAMES_ERR_TOO_MANY, "ulimit");
    } else {
        CHECK_OK(cuframes_group_all_gather_fds(group, fds, 4, all, 8, NULL, TIMEOUT_MS));
        for (int i = 0; i < 8; i++)
            close(all[i]);
    }
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    for (int i = 0; i < 4; i++)
        close(fds[i]);
}

TEST(descriptors_that_do_not_fit_are_closed)
{
    struct plan plan = {.name = "g", .size = 2, .body = too_many_fds};
    struct test_peer peers[2];

    /* Rank 0 first: its process passes the descriptors round and needs room for that. */
    test_spawn(&peers[0], be_rank, &plan, NULL);
    WAIT_FOR(access(test_runtime_path("g:group.sock"), F_OK) == 0, 5000);
    plan.rank = 1;
    test_spawn(&peers[1], be_rank, &plan, NULL);
    join_ranks(peers, 2);
}

static void broadcast_fd(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    (void)test;
    for (int32_t root = 0; root < plan->size; root++) {
        int fds[2] = {-1, -1};

        if (plan->rank == root)
            for (int i = 0; i < 2; i++)
                fds[i] = open_numbered(root + i);
        CHECK_OK(cuframes_group_broadcast_fds(group, root, fds, 2, TIMEOUT_MS));
        for (int i = 0; i < 2; i++) {
            CHECK_EQ(number_of(fds[i]), root + i);
            close(fds[i]);
        }
    }
}

TEST(one_rank_sends_descriptors_to_all)
{
    run_ranks((struct plan){.name = "g", .size = 3, .body = broadcast_fd});
}

/* ---- meeting ---- */

TEST(ranks_are_given_in_order_of_arrival)
{
    cuframes_group_t *group = join("alone", CUFRAMES_GROUP_ANY_RANK, 1);

    CHECK_EQ(cuframes_group_rank(group), 0);
    CHECK_EQ(cuframes_group_size(group), 1);
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    cuframes_group_destroy(group);
}

static void any_rank(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    uint32_t rank = (uint32_t)cuframes_group_rank(group), all[4];

    (void)test;
    (void)plan;
    CHECK_OK(cuframes_group_all_gather(group, &rank, sizeof(rank), all, TIMEOUT_MS));
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(all[i], i);
}

static void join_any(struct test_peer *test, void *argument)
{
    cuframes_group_t *group = join("any", CUFRAMES_GROUP_ANY_RANK, 4);

    any_rank(group, test, argument);
    cuframes_group_destroy(group);
}

TEST(every_rank_is_given_once)
{
    struct test_peer peers[4];

    for (int i = 0; i < 4; i++)
        test_spawn(&peers[i], join_any, NULL, NULL);
    join_ranks(peers, 4);
}

TEST(names_and_numbers_are_checked)
{
    cuframes_group_config_t config = {.name = "a/b", .size = 1};
    cuframes_group_t *group = NULL;

    CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_INVALID_ARG);
    config.name = "0123456789012345678901234567890123456789012345678901234567";
    CHECK_ERR_SAYS(cuframes_group_create(&config, &group), CUFRAMES_ERR_INVALID_ARG, "57");
    config.name = NULL;
    CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_INVALID_ARG);
    config.name = "g";
    config.size = 0;
    CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_INVALID_ARG);
    config.size = 1025;
    CHECK_ERR_SAYS(cuframes_group_create(&config, &group), CUFRAMES_ERR_INVALID_ARG, "1024");
    config.size = 2;
    config.rank = 2;
    CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ((intptr_t)group, 0);
    CHECK_OK(cuframes_group_destroy(NULL));
}

TEST(who_does_not_come_is_named)
{
    cuframes_group_config_t config = {.name = "g", .rank = 1, .size = 3, .timeout_ms = 200};
    cuframes_group_t *group;

    CHECK_ERR_SAYS(cuframes_group_create(&config, &group), CUFRAMES_ERR_TIMEOUT, "rank 0, 2");
    /* The name is free again at once. */
    cuframes_group_destroy(join("g", 0, 1));
}

static void stay(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    (void)group;
    (void)plan;
    test_say(test, 1);
    test_hear_end(test);
}

TEST(a_name_in_use_is_refused)
{
    cuframes_group_config_t config = {.name = "g", .rank = 0, .size = 2, .timeout_ms = 500};
    struct test_peer peers[2];
    cuframes_group_t *group;

    start_ranks(peers, (struct plan){.name = "g", .size = 2, .body = stay});
    CHECK_HEAR(&peers[0], 1);
    CHECK_HEAR(&peers[1], 1);
    CHECK_ERR_SAYS(cuframes_group_create(&config, &group), CUFRAMES_ERR_ALREADY_EXISTS,
                   "runs already");
    /* Another name is another group. */
    cuframes_group_destroy(join("other", 0, 1));
    join_ranks(peers, 2);
}

static void join_late(struct test_peer *test, void *argument)
{
    const struct plan *plan = argument;
    cuframes_group_config_t config = {
        .name = "g", .rank = plan->rank, .size = plan->size, .timeout_ms = 3000};
    cuframes_group_t *group;

    CHECK_ERR(cuframes_group_create(&config, &group), plan->number);
    test_say(test, 1);
}

TEST(another_size_or_a_taken_rank_is_refused)
{
    struct plan plan = {.name = "g", .size = 2, .rank = 0, .body = stay};
    struct test_peer first, wrong, second;

    test_spawn(&first, be_rank, &plan, NULL);
    WAIT_FOR(access(test_runtime_path("g:group.sock"), F_OK) == 0, 5000);
    plan = (struct plan){.rank = 1, .size = 3, .number = CUFRAMES_ERR_PROTOCOL};
    test_spawn(&wrong, join_late, &plan, NULL);
    CHECK_HEAR(&wrong, 1);
    test_join(&wrong);
    WAIT_FOR(access(test_runtime_path("g:group.sock"), F_OK) == 0, 5000);
    plan = (struct plan){.rank = 0, .size = 2, .number = CUFRAMES_ERR_ALREADY_EXISTS};
    test_spawn(&wrong, join_late, &plan, NULL);
    CHECK_HEAR(&wrong, 1);
    test_join(&wrong);
    /* The group comes about all the same. */
    plan = (struct plan){.name = "g", .size = 2, .rank = 1, .body = stay};
    test_spawn(&second, be_rank, &plan, NULL);
    CHECK_HEAR(&first, 1);
    CHECK_HEAR(&second, 1);
    test_join(&second);
    test_join(&first);
}

/* ---- handed down, and other rooms ---- */

static void be_hosted(struct test_peer *test, void *argument)
{
    const struct plan *plan = argument;
    cuframes_group_config_t config = {
        .rank = CUFRAMES_GROUP_ANY_RANK, .size = plan->size, .timeout_ms = TIMEOUT_MS};
    cuframes_group_t *group;

    CHECK_OK(cuframes_group_create_from_fd(&config, plan->number, &group));
    any_rank(group, test, plan);
    cuframes_group_destroy(group);
}

TEST(a_parent_can_hand_connections_down)
{
    cuframes_group_host_t *host;
    struct test_peer peers[4];
    int fds[4];

    CHECK_OK(cuframes_group_host_create(4, fds, &host));
    for (int i = 0; i < 4; i++) {
        struct plan plan = {.size = 4, .number = fds[i]};
        struct test_spawn_options options = {.keep_fd = fds[i]};

        test_spawn(&peers[i], be_hosted, &plan, &options);
        close(fds[i]);
    }
    join_ranks(peers, 4);
    cuframes_group_host_destroy(host);
}

TEST(a_thousand_groups_leave_nothing, .timeout_s = 120)
{
    for (int i = 0; i < 1000; i++) {
        cuframes_group_t *group = join("g", 0, 1);
        char byte = 1, back = 0;

        CHECK_OK(cuframes_group_all_gather(group, &byte, 1, &back, TIMEOUT_MS));
        CHECK_EQ(back, 1);
        cuframes_group_destroy(group);
    }
}

TEST(a_child_must_not_use_its_parents_group)
{
    cuframes_group_t *group = join("g", 0, 1);
    pid_t child = CHECK_SYS(fork());
    int status;

    if (child == 0) {
        CHECK_ERR_SAYS(cuframes_group_barrier(group, 0, 100), CUFRAMES_ERR_INVALID_ARG, "fork");
        cuframes_group_destroy(group);
        _exit(0);
    }
    CHECK_SYS(waitpid(child, &status, 0));
    CHECK_EQ(status, 0);
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    cuframes_group_destroy(group);
}

/* ---- threads of one process, for the thread sanitizer ---- */

struct thread_rank {
    pthread_t thread;
    int32_t rank;
    uint32_t plain[4]; /* written before a barrier, read by the others after it */
    struct thread_rank *all;
};

static void *be_thread(void *argument)
{
    struct thread_rank *self = argument;
    cuframes_group_t *group = join("threads", self->rank, 3);

    for (uint32_t i = 0; i < 500; i++) {
        self->plain[i % 2] = i;
        CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
        for (int r = 0; r < 3; r++)
            CHECK_EQ(self->all[r].plain[i % 2], i);
    }
    cuframes_group_destroy(group);
    return NULL;
}

/* Not for the thread sanitizer: each rank has the barrier mapped at an address of its own, which it
 * takes for different memory. */
TEST(a_barrier_orders_plain_memory)
{
    struct thread_rank ranks[3];

    for (int r = 0; r < 3; r++) {
        ranks[r] = (struct thread_rank){.rank = r, .all = ranks};
        CHECK_EQ(pthread_create(&ranks[r].thread, NULL, be_thread, &ranks[r]), 0);
    }
    for (int r = 0; r < 3; r++)
        pthread_join(ranks[r].thread, NULL);
}
