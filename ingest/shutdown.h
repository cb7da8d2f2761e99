/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ending on SIGINT, SIGTERM and SIGHUP, and sleeping in a way that ends with them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Installs the handlers. The first signal asks for an end; should the process hang in a call that
 * does not look (a name server that does not answer), it is ended 0.8 s later, still with exit
 * code 0. A second signal kills at once. Returns 0 or a negative errno.
 */
int shutdown_install(void);

/* Whether the process was asked to end. Any thread. */
bool shutdown_requested(void);

/* Sleeps until CLOCK_MONOTONIC reaches `when_ns`; false if the process was asked to end. */
bool shutdown_sleep_until(int64_t when_ns);
