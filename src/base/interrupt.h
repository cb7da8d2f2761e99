/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Waits that the program can end: see cuframes/interrupt.h. Who waits sleeps no longer than a
 * slice, then asks, without a lock that the program could want in the meantime.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* The deadline, or a sooner one at which the program of this thread wants to be asked. */
int64_t cf_interrupt_slice(int64_t deadline_ns);

/* Whether the program says that the call is to end. Asks only if it is time for that. */
bool cf_interrupted(void);

/* Records that it did, and returns the error. */
static inline int cf_fail_interrupted(void)
{
    return cf_fail(CUFRAMES_ERR_INTERRUPTED, "the program ended the wait");
}
