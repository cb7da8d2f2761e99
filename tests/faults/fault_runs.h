/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs a scenario once for every fault (interpose.h) at every place where it can happen, each time
 * in a fresh process, then once more in the same process without a fault.
 */
#pragma once

#include "harness/harness.h"

/* A piece of work that cleans up after itself, whether it fails or not. Gives its first error.
 * It uses the public API alone: the calls of libc between are the library's. */
typedef int (*scenario)(void);

/* Notes the result of a library call: a failure must be one that can be explained, and say so. The
 * first error of a scenario is kept in *first. */
void note_result(int *first, const char *what, int result);

/* How long a scenario waits for what is to come: `short_ms` with a fault, after which it may never
 * come, and without one as long as a busy machine may need. */
int scenario_wait_ms(int short_ms);

/*
 * Asserts that each run ends within `limit_s`, with an explained error or with success; that the
 * second run succeeds; and that then there is as much memory, as many descriptors, mappings and
 * threads as after two runs without a fault, and no file. Reports how many faults there were.
 */
void run_with_faults(const char *name, scenario run, unsigned limit_s);
