/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

int cf_futex_wait(const _Atomic uint32_t *word, uint32_t expected, int64_t deadline_ns)
{
    struct timespec until = {.tv_sec = deadline_ns / CF_NS_PER_S,
                             .tv_nsec = deadline_ns % CF_NS_PER_S};

    /* FUTEX_WAIT_BITSET takes an absolute time, so a signal cannot stretch the wait. */
    if (syscall(SYS_futex, word, FUTEX_WAIT_BITSET, expected,
                deadline_ns == CF_NEVER ? NULL : &until, NULL, FUTEX_BITSET_MATCH_ANY) == 0)
        return 0;
    return -errno;
}

int cf_futex_wake_all(const _Atomic uint32_t *word)
{
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);

    return woken >= 0 ? (int)woken : -errno;
}
