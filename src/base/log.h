/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Logging through the program's callback. Nothing is formatted when nobody listens.
 */
#pragma once

#include <cuframes/log.h>

void cf_log(cuframes_log_level_t level, const char *format, ...) CUFRAMES_PRINTF(2, 3);
