/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What packet_writer_error() tells. Any thread, each its own.
 */
#pragma once

#include <cuframes/base.h>

/* Notes the sentence and returns `error`. */
int packet_writer_fail(int error, const char *format, ...) CUFRAMES_PRINTF(2, 3);
