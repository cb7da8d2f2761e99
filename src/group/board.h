/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The memory that the ranks of a group share: the board. The hub makes it, all ranks write it, its
 * size is sealed. The ranks of a group trust one another with the group: nonsense on the board can
 * break the group, but not a process (numbers read from it are checked, none is a pointer).
 *
 * It begins with struct cf_board; behind it lie size + 1 barriers, size rank lines, and the inline
 * areas of the ranks.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CF_BOARD_MAGIC UINT64_C(0x3550554f52474643) /* "CFGROUP5" in memory order */
/* Bytes that a rank can give without further memory; two areas for each rank take turns. */
#define CF_BOARD_INLINE 1024

#define CF_BOARD_NO_RANK UINT32_MAX

/* Why a group is broken. */
enum cf_board_reason {
    CF_BOARD_WHOLE = 0,
    CF_BOARD_DIED = 1,
    CF_BOARD_LEFT = 2,
    CF_BOARD_LATE = 3,     /* did not come within somebody's timeout */
    CF_BOARD_FAILED = 4,   /* could not do its part of an operation */
    CF_BOARD_NONSENSE = 5, /* sent what no rank sends */
};

/* The barrier of the first n ranks. */
struct cf_board_barrier {
    _Atomic uint32_t generation; /* futex word: +1 when all n have arrived */
    _Atomic uint32_t arrived;    /* 0 to n */
    _Atomic uint32_t sleepers;   /* those who may be in the futex */
    uint32_t reserved[13];
};

/* What one rank writes and the others read. */
struct cf_board_rank {
    /* The barrier it entered last, for the sentence that names who is missing. */
    _Atomic uint32_t entered_ranks;
    _Atomic uint32_t entered_generation;
    /* What it gives to the exchange under way; exchanges take turns. */
    _Atomic uint64_t bytes[2];
    _Atomic uint32_t fds;
    uint32_t reserved[9];
};

struct cf_board {
    uint64_t magic;
    uint32_t size;
    uint32_t hub_rank;       /* whose process the hub is in; CF_BOARD_NO_RANK = nobody's */
    _Atomic uint32_t broken; /* 0, or reason << 16 | rank + 1 (0 = nobody in particular) */
    uint32_t reserved1[11];
    struct cf_board_barrier barriers[];
};

static_assert(sizeof(struct cf_board) == 64, "own cache line");
static_assert(sizeof(struct cf_board_barrier) == 64, "own cache line");
static_assert(sizeof(struct cf_board_rank) == 64, "own cache line");

static inline size_t cf_board_size(uint32_t size)
{
    return sizeof(struct cf_board) + (size + 1) * sizeof(struct cf_board_barrier) +
           size * (sizeof(struct cf_board_rank) + 2 * (size_t)CF_BOARD_INLINE);
}

static inline struct cf_board_rank *cf_board_rank(struct cf_board *board, uint32_t size,
                                                  uint32_t rank)
{
    return (struct cf_board_rank *)(void *)&board->barriers[size + 1] + rank;
}

/* One of the two inline areas of a rank. */
static inline uint8_t *cf_board_inline(struct cf_board *board, uint32_t size, uint32_t rank,
                                       uint32_t turn)
{
    return (uint8_t *)cf_board_rank(board, size, size) +
           (2 * (size_t)rank + (turn & 1)) * CF_BOARD_INLINE;
}

/* Breaks the group unless it is broken, and wakes everybody. `rank` is the culprit. Returns
 * whether this call did it. */
bool cf_board_break(struct cf_board *board, uint32_t size, enum cf_board_reason reason,
                    uint32_t rank);

/* The reason for which it is broken; *rank is the culprit, or -1. */
enum cf_board_reason cf_board_broken(const struct cf_board *board, int32_t *rank);

/* "died", "left" and so on. */
const char *cf_board_reason_text(enum cf_board_reason reason);

enum cf_barrier_result {
    CF_BARRIER_PASSED,
    CF_BARRIER_BROKEN, /* see cf_board_broken() */
    CF_BARRIER_LATE,   /* the deadline came; *missing is the first rank that had not */
    CF_BARRIER_LOOK,   /* time to look at the connection; call cf_barrier_wait() again */
};

/* What a rank has learned about spinning; kept between barriers, zero at first. */
struct cf_spin {
    int64_t ns;       /* that it spins next time */
    uint32_t skipped; /* barriers without a spin */
};

/* A barrier in progress. */
struct cf_barrier {
    struct cf_board *board;
    uint32_t size;
    uint32_t ranks;
    uint32_t generation; /* that it waits to be over */
    bool may_spin;       /* there is a core for every rank */
    struct cf_spin *spin;
};

/* Says that `rank` has come to the barrier of the first `ranks`. CF_BARRIER_PASSED when it was the
 * last, CF_BARRIER_BROKEN, or CF_BARRIER_LOOK: go on with cf_barrier_wait(). */
enum cf_barrier_result cf_barrier_enter(struct cf_barrier *barrier, uint32_t rank);

/* Waits for the others, until `deadline_ns` or at most CF_BARRIER_LOOK_MS. */
#define CF_BARRIER_LOOK_MS 50
enum cf_barrier_result cf_barrier_wait(struct cf_barrier *barrier, int64_t deadline_ns,
                                       uint32_t *missing);
