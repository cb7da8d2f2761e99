/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a thread's waits ask. Each thread has its own, so nothing here is shared.
 */
#include "base/interrupt.h"

#include <cuframes/interrupt.h>

#include "base/clock.h"

#define ASK_EVERY_NS (50 * CF_NS_PER_MS)

static _Thread_local struct {
    cuframes_interrupt_check_t check;
    void *user;
    int64_t due; /* when to ask next */
} asked;

CUFRAMES_API void cuframes_set_interrupt_check(cuframes_interrupt_check_t check, void *user)
{
    asked.check = check;
    asked.user = user;
    asked.due = check ? cf_now_ns() + ASK_EVERY_NS : 0;
}

int64_t cf_interrupt_slice(int64_t deadline_ns)
{
    int64_t soon;

    if (!asked.check)
        return deadline_ns;
    soon = cf_now_ns() + ASK_EVERY_NS;
    return soon < deadline_ns ? soon : deadline_ns;
}

bool cf_interrupted(void)
{
    const int64_t now = asked.check ? cf_now_ns() : 0;

    if (!asked.check || now < asked.due)
        return false;
    asked.due = now + ASK_EVERY_NS;
    return asked.check(asked.user) != 0;
}
