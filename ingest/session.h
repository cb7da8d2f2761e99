/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the first connection to the last frame.
 */
#pragma once

#include "options.h"

/* Runs until the input ends or the process shall end; the exit code. */
int session_run(const struct options *options);
