/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/futex.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdbool.h>
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

/* Linux before 5.16, and sandboxes that do not know the call, refuse. */
static bool wait_many(const struct cf_futex_look *looks, uint32_t count, int64_t deadline_ns)
{
    struct futex_waitv waiters[CF_FUTEX_MAX_LOOKS] = {0};
    struct timespec until = {.tv_sec = deadline_ns / CF_NS_PER_S,
                             .tv_nsec = deadline_ns % CF_NS_PER_S};

    for (uint32_t i = 0; i < count; i++)
        waiters[i] = (struct futex_waitv){
            .val = looks[i].seen, .uaddr = (uintptr_t)looks[i].word, .flags = FUTEX_32};
    if (syscall(SYS_futex_waitv, waiters, count, 0, deadline_ns == CF_NEVER ? NULL : &until,
                CLOCK_MONOTONIC) >= 0)
        return true;
    return errno != ENOSYS && errno != EPERM;
}

void cf_futex_wait_any(const struct cf_futex_look *looks, uint32_t count, int64_t deadline_ns)
{
    int64_t look_again;

    if (count == 1) {
        cf_futex_wait(looks[0].word, looks[0].seen, deadline_ns);
        return;
    }
    if (count <= CF_FUTEX_MAX_LOOKS && wait_many(looks, count, deadline_ns))
        return;
    look_again = cf_now_ns() + CF_NS_PER_MS;
    cf_futex_wait(looks[0].word, looks[0].seen,
                  deadline_ns < look_again ? deadline_ns : look_again);
}
