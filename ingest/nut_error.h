/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sentence behind nut_writer_error(): one for each thread, of fixed size.
 */
#pragma once

#include <cuframes/cuframes.h>

/* Records the sentence and returns `error`. */
int nut_fail(int error, const char *format, ...) CUFRAMES_PRINTF(2, 3);
