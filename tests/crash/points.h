/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The points of the library at which this process can be stopped or killed (src/base/point.h), as
 * the crash tests set them. What is set here is inherited by forks and meant for one of them.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/* Sends `signal` to this process when it comes to `name` for the `nth` time from now. */
void point_arm(const char *name, int nth, int signal);
/* How often this process and its forks have come to the point that was armed last. */
int point_visits(void);
/* Zeroes that, before forks are made. */
void point_reset(void);
