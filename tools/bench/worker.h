/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Helper processes of the benchmark. They are forked before their parent makes anything with the
 * library, talk with it through memory that both map, and die with it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* How long one side waits for the other before it gives the measurement up. */
#define WORKER_PATIENCE_MS 20000

struct worker {
    pid_t pid; /* 0 = none */
};

/* How a process ended that may make no system call but the one that ends it. */
enum worker_confined {
    WORKER_CONFINED_KEPT,    /* it made none */
    WORKER_CONFINED_BROKE,   /* it made one, and was killed for it */
    WORKER_CONFINED_UNKNOWN, /* this kernel does not let itself be asked */
};

/* Zeroed memory that is shared with the processes that are forked later; NULL = reported. */
void *worker_memory(size_t size);
void worker_memory_free(void *memory, size_t size);

/* Runs `run(context)` in a process of its own, whose exit code is what it returns. */
bool worker_start(struct worker *worker, int (*run)(void *context), void *context);
/* Ends it, if it still runs. No worker is fine. */
void worker_stop(struct worker *worker);

/*
 * Waits, asleep, until *word is at least `value`. False after a signal, when `worker` (may be
 * NULL) has ended, or when patience has; reported, `what` says what did not happen.
 */
bool worker_await(struct worker *worker, const _Atomic uint32_t *word, uint32_t value,
                  const char *what);

/* Waits, awake, until *word is at least `value`; false when patience has ended. Makes no system
 * call before that, so a confined process may use it. */
bool worker_spin(const _Atomic uint32_t *word, uint32_t value);

/*
 * How long a cache line takes from this core to that of a process which calls worker_echo() on the
 * same word again and again; 0 when it does not answer. The word is even in between.
 */
double worker_ping_ns(_Atomic uint32_t *ball);
void worker_echo(_Atomic uint32_t *ball);

/* In a worker: from now on any system call but exit_group kills it. Where that is not possible the
 * process ends here. */
void worker_confine(void);
/* Ends a confined process, in which everything went well. */
void worker_confined_exit(void);
/* In the parent: waits for the end of a process that confined itself. False: reported. */
bool worker_confined_result(struct worker *worker, enum worker_confined *result);
const char *worker_confined_word(enum worker_confined result);
