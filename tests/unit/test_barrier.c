/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The barrier of groups over one board in one process, so that the thread sanitizer sees both
 * sides of every access (ranks of a group map the board at addresses of their own, which it takes
 * for different memory).
 */
#include "harness/harness.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "group/board.h"

#define RANKS    4
#define BARRIERS 3000

struct rank {
    pthread_t thread;
    struct cf_board *board;
    uint32_t number;
    uint32_t plain[2]; /* written before a barrier, read by all after it */
    struct rank *all;
    enum cf_barrier_result last;
};

static struct cf_board *new_board(void)
{
    struct cf_board *board = aligned_alloc(64, (cf_board_size(RANKS) + 63) / 64 * 64);

    memset(board, 0, cf_board_size(RANKS));
    board->magic = CF_BOARD_MAGIC;
    board->size = RANKS;
    return board;
}

static enum cf_barrier_result meet(struct cf_board *board, uint32_t ranks, uint32_t rank,
                                   int64_t deadline, uint32_t *missing)
{
    struct cf_spin spin = {0};
    struct cf_barrier barrier = {.board = board, .size = RANKS, .ranks = ranks, .spin = &spin};
    enum cf_barrier_result result;

    result = cf_barrier_enter(&barrier, rank);
    while (result == CF_BARRIER_LOOK)
        result = cf_barrier_wait(&barrier, deadline, missing);
    return result;
}

static void *be_rank(void *argument)
{
    struct rank *self = argument;
    uint32_t missing;

    for (uint32_t i = 0; i < BARRIERS; i++) {
        self->plain[i % 2] = i;
        CHECK_EQ(meet(self->board, RANKS, self->number, CF_NEVER, &missing), CF_BARRIER_PASSED);
        for (uint32_t r = 0; r < RANKS; r++)
            CHECK_EQ(self->all[r].plain[i % 2], i);
    }
    return NULL;
}

static void *wait_for_ever(void *argument)
{
    struct rank *self = argument;
    uint32_t missing;

    self->last = meet(self->board, RANKS, self->number, CF_NEVER, &missing);
    return NULL;
}

static void start(struct rank *ranks, uint32_t count, struct cf_board *board, void *(*body)(void *))
{
    for (uint32_t r = 0; r < count; r++) {
        ranks[r] = (struct rank){.board = board, .number = r, .all = ranks};
        CHECK_EQ(pthread_create(&ranks[r].thread, NULL, body, &ranks[r]), 0);
    }
}

TEST(a_barrier_orders_plain_memory, .threads = true, .timeout_s = 120)
{
    struct cf_board *board = new_board();
    struct rank ranks[RANKS];

    start(ranks, RANKS, board, be_rank);
    for (uint32_t r = 0; r < RANKS; r++)
        pthread_join(ranks[r].thread, NULL);
    free(board);
}

TEST(breaking_wakes_those_who_wait, .threads = true)
{
    struct cf_board *board = new_board();
    struct rank ranks[RANKS - 1];
    int32_t culprit;

    start(ranks, RANKS - 1, board, wait_for_ever);
    WAIT_FOR(atomic_load(&board->barriers[RANKS].arrived) == RANKS - 1, 5000);
    CHECK_EQ(cf_board_break(board, RANKS, CF_BOARD_DIED, RANKS - 1), true);
    CHECK_EQ(cf_board_break(board, RANKS, CF_BOARD_LEFT, 0), false);
    for (uint32_t r = 0; r < RANKS - 1; r++) {
        pthread_join(ranks[r].thread, NULL);
        CHECK_EQ(ranks[r].last, CF_BARRIER_BROKEN);
    }
    CHECK_EQ(cf_board_broken(board, &culprit), CF_BOARD_DIED);
    CHECK_EQ(culprit, RANKS - 1);
    free(board);
}

TEST(who_has_not_come_is_named)
{
    struct cf_board *board = new_board();
    uint32_t missing = 99;

    CHECK_EQ(meet(board, RANKS, 0, cf_now_ns() + 20 * CF_NS_PER_MS, &missing), CF_BARRIER_LATE);
    CHECK_EQ(missing, 1);
    free(board);
}

TEST(more_arrivals_than_ranks_break_the_group)
{
    struct cf_board *board = new_board();
    uint32_t missing;
    int32_t culprit;

    atomic_store(&board->barriers[RANKS].arrived, RANKS + 7);
    CHECK_EQ(meet(board, RANKS, 2, CF_NEVER, &missing), CF_BARRIER_BROKEN);
    CHECK_EQ(cf_board_broken(board, &culprit), CF_BOARD_NONSENSE);
    free(board);
}
