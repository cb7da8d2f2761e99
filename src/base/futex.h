/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Futexes in memory shared between processes (so never FUTEX_PRIVATE). Waiting works on a
 * read-only mapping; waking needs none of the page's rights but the mapping itself.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>

/* Sleeps while *word == expected, until woken, `deadline_ns` (CLOCK_MONOTONIC) or a signal.
 * Returns 0, or the negative errno: -EAGAIN (the word differed), -ETIMEDOUT, -EINTR. */
int cf_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns);

/* Wakes all who wait on `word`; returns how many, or a negative errno. */
int cf_futex_wake_all(const _Atomic uint32_t *word);
