/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Everything that goes to standard error: messages of the ingester, the library and libav*, and
 * the status line on a terminal. Every line passes redaction. Any thread.
 */
#pragma once

#include <stdbool.h>

#include <cuframes/cuframes.h>

/* Starts reporting up to `level`; takes the log callbacks of the library and of libav*. */
void log_open(const char *progname, cuframes_log_level_t level);

/* One line; a newline is added. */
void log_line(cuframes_log_level_t level, const char *format, ...) CUFRAMES_PRINTF(2, 3);

/* Shows `text` in place of the last status line; only on a terminal. */
void log_status(const char *text);
bool log_on_terminal(void);

/* The newest error line of libav* since log_clear_detail(), "" if none: why a call failed. */
const char *log_detail(char *text, size_t size);
void log_clear_detail(void);
