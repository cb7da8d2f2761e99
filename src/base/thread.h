/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Threads of the library.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Starts a thread with every signal blocked: signals are the program's business. `name` has at most
 * 15 characters. */
int cf_thread_start(pthread_t *thread, const char *name, void *(*run)(void *), void *arg);

/* A condition variable on the clock of every deadline (CLOCK_MONOTONIC). */
void cf_condition_init(pthread_cond_t *condition);
/* Waits for it until `deadline_ns`; 0 or ETIMEDOUT. */
int cf_condition_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t deadline_ns);

/* Whether this thread may run on so many cores that one which spins for a moment keeps nobody from
 * working. */
bool cf_thread_may_spin(void);
