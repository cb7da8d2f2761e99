/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ending cleanly on SIGINT, SIGTERM and SIGHUP: the signal sets a flag, the tool's loop sees it,
 * says what it did and leaves. A second signal ends the process at once.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* How long a tool may wait in one call before it looks at the flag again. */
#define STOP_POLL_MS 100

void stop_on_signals(void);
bool stop_requested(void);
/* Sleeps until cuframes_now_ns() reaches `deadline_ns` or a signal comes; false on a signal. */
bool stop_sleep_until(int64_t deadline_ns);
