/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The barrier of a group, and breaking a group. tests/model/barrier.pml is the model; B1 to B8
 * name its steps.
 *
 * A barrier counts arrivals; the last one resets the count and advances the generation, which is
 * the word the others sleep on. The next round's arrivals can begin only after the generation has
 * advanced, so the reset is safe. A rank that dies is not waited for: the hub breaks the group and
 * wakes everybody; who was in a barrier that completed all the same has passed it.
 */
#include <errno.h>
#include <sched.h>

#include "base/clock.h"
#include "base/futex.h"
#include "base/point.h"
#include "group/board.h"

/* A spin that is shorter does not pay: the next one is SPIN_TRY_EVERY barriers later. */
#define SPIN_MIN_NS    1000
#define SPIN_MAX_NS    200000
#define SPIN_TRY_EVERY 64
/* Looks between two yields where there is a core for every rank. */
#define SPIN_LOOKS 4

static void wake_sleepers(struct cf_board_barrier *shared)
{
    /* B5. Pairs with the fence B6 in sleep_a_while(): either this side sees the sleeper, or the
     * sleeper sees the new generation and does not sleep. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shared->sleepers, memory_order_relaxed) != 0)
        cf_futex_wake_all(&shared->generation);
}

bool cf_board_break(struct cf_board *board, uint32_t size, enum cf_board_reason reason,
                    uint32_t rank)
{
    uint32_t whole = 0;
    /* Release: pairs with the acquire in cf_board_broken(). */
    bool first = atomic_compare_exchange_strong_explicit(
        &board->broken, &whole, (uint32_t)reason << 16 | (rank + 1), memory_order_acq_rel,
        memory_order_relaxed);

    /* Sleepers also look by themselves every CF_BARRIER_LOOK_MS: a rank that was about to sleep
     * when it looked last is late by that much at most. */
    for (uint32_t i = 0; i <= size; i++)
        wake_sleepers(&board->barriers[i]);
    return first;
}

enum cf_board_reason cf_board_broken(const struct cf_board *board, int32_t *rank)
{
    uint32_t broken = atomic_load_explicit(&board->broken, memory_order_acquire);

    *rank = (int32_t)(broken & 0xffff) - 1;
    return (enum cf_board_reason)(broken >> 16);
}

const char *cf_board_reason_text(enum cf_board_reason reason)
{
    switch (reason) {
    case CF_BOARD_DIED:
        return "died";
    case CF_BOARD_LEFT:
        return "left";
    case CF_BOARD_LATE:
        return "did not come in time";
    case CF_BOARD_FAILED:
        return "could not do its part";
    default:
        return "did what no rank does";
    }
}

static bool is_broken(const struct cf_board *board)
{
    return atomic_load_explicit(&board->broken, memory_order_acquire) != 0;
}

static bool is_over(const struct cf_barrier *b)
{
    /* B7. Acquire: pairs with the release B4: what every rank did before it came is seen. */
    return atomic_load_explicit(&b->board->barriers[b->ranks].generation, memory_order_acquire) !=
           b->generation;
}

enum cf_barrier_result cf_barrier_enter(struct cf_barrier *b, uint32_t rank)
{
    struct cf_board_barrier *shared = &b->board->barriers[b->ranks];
    struct cf_board_rank *line = cf_board_rank(b->board, b->size, rank);
    uint32_t before;

    if (is_broken(b->board))
        return CF_BARRIER_BROKEN;
    /* B1. Relaxed: it cannot advance before this rank has come. */
    b->generation = atomic_load_explicit(&shared->generation, memory_order_relaxed);
    atomic_store_explicit(&line->entered_generation, b->generation, memory_order_relaxed);
    atomic_store_explicit(&line->entered_ranks, b->ranks, memory_order_relaxed);
    /* B2. Acquire and release: the last one to come has seen what all the others did, and passes
     * it on by B4. */
    before = atomic_fetch_add_explicit(&shared->arrived, 1, memory_order_acq_rel);
    CF_POINT("barrier.arrived");
    if (before >= b->ranks) {
        cf_board_break(b->board, b->size, CF_BOARD_NONSENSE, rank);
        return CF_BARRIER_BROKEN;
    }
    if (before + 1 < b->ranks)
        return CF_BARRIER_LOOK;
    /* B3. Relaxed: released by B4. */
    atomic_store_explicit(&shared->arrived, 0, memory_order_relaxed);
    CF_POINT("barrier.reset");
    /* B4. Release: pairs with B7. */
    atomic_store_explicit(&shared->generation, b->generation + 1, memory_order_release);
    CF_POINT("barrier.released");
    wake_sleepers(shared);
    return CF_BARRIER_PASSED;
}

/* How long to spin now. Where it does not pay, because the cores have other work or the others come
 * late, it is tried now and then only. */
static int64_t spin_budget(struct cf_barrier *b)
{
    if (b->spin->ns >= SPIN_MIN_NS)
        return b->spin->ns;
    if (b->spin->skipped++ % SPIN_TRY_EVERY != 0)
        return 0;
    return b->spin->ns = SPIN_MAX_NS;
}

/* Spins, for as long as that has paid lately. Between looks it gives its core to whoever can use it:
 * where ranks share a core, the one that is waited for runs at once, with no sleep and no wake. */
static bool spin(struct cf_barrier *b)
{
    const int looks = b->may_spin ? SPIN_LOOKS : 1;
    const int64_t budget = spin_budget(b);
    int64_t until;

    if (budget == 0)
        return false;
    until = cf_now_ns() + budget;
    do {
        for (int i = 0; i < looks; i++) {
            if (is_over(b)) {
                b->spin->ns = budget * 2 < SPIN_MAX_NS ? budget * 2 : SPIN_MAX_NS;
                return true;
            }
#if defined(__x86_64__) || defined(__i386__)
            if (b->may_spin)
                __builtin_ia32_pause();
#endif
        }
        sched_yield();
    } while (cf_now_ns() < until);
    /* Several in vain are given up; a lone one, for a rank that was late once, is not. */
    b->spin->ns = budget / 4;
    return false;
}

/* Sleeps until woken or `deadline`. */
static void sleep_a_while(struct cf_barrier *b, int64_t deadline)
{
    struct cf_board_barrier *shared = &b->board->barriers[b->ranks];

    atomic_fetch_add_explicit(&shared->sleepers, 1, memory_order_relaxed);
    /* B6. Pairs with B5 in wake_sleepers(). */
    atomic_thread_fence(memory_order_seq_cst);
    CF_POINT("barrier.asleep");
    if (!is_over(b) && !is_broken(b->board))
        cf_futex_wait(&shared->generation, b->generation, deadline); /* B8 */
    atomic_fetch_sub_explicit(&shared->sleepers, 1, memory_order_relaxed);
}

/* The first rank that has not come to this barrier; b->ranks if all have. */
static uint32_t find_missing(const struct cf_barrier *b)
{
    for (uint32_t r = 0; r < b->ranks; r++) {
        const struct cf_board_rank *line = cf_board_rank(b->board, b->size, r);

        if (atomic_load_explicit(&line->entered_ranks, memory_order_relaxed) != b->ranks ||
            atomic_load_explicit(&line->entered_generation, memory_order_relaxed) != b->generation)
            return r;
    }
    return b->ranks;
}

enum cf_barrier_result cf_barrier_wait(struct cf_barrier *b, int64_t deadline_ns, uint32_t *missing)
{
    const int64_t late =
        deadline_ns < CF_NEVER - CF_NS_PER_S ? deadline_ns + CF_NS_PER_S : CF_NEVER;
    int64_t look;

    if (spin(b))
        return CF_BARRIER_PASSED;
    look = cf_now_ns() + CF_BARRIER_LOOK_MS * CF_NS_PER_MS;
    for (;;) {
        bool broken;
        int64_t now;

        sleep_a_while(b, deadline_ns < look ? deadline_ns : look);
        /* In this order: a rank that passed the barrier and then left broke the group after the
         * barrier was over, so who sees the one sees the other. */
        broken = is_broken(b->board);
        if (is_over(b))
            return CF_BARRIER_PASSED;
        if (broken)
            return CF_BARRIER_BROKEN;
        now = cf_now_ns();
        if (now >= deadline_ns) {
            *missing = find_missing(b);
            if (*missing < b->ranks)
                return CF_BARRIER_LATE;
            /* All are here: the last one is about to say so. It may have been stopped, though. */
            if (now >= late) {
                *missing = 0;
                return CF_BARRIER_LATE;
            }
            sched_yield();
        }
        if (now >= look)
            return CF_BARRIER_LOOK;
    }
}
