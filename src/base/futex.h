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

/* A word and what it was when last looked at. */
struct cf_futex_look {
    const _Atomic uint32_t *word;
    uint32_t seen;
};

/* Most words to wait for at once. */
#define CF_FUTEX_MAX_LOOKS 128

/* Sleeps while none of the words has changed, until one of them is woken, `deadline_ns` or a
 * signal. Can wake for no reason: where the kernel cannot wait for several words it looks at the
 * first one and returns after a millisecond. */
void cf_futex_wait_any(const struct cf_futex_look *looks, uint32_t count, int64_t deadline_ns);
