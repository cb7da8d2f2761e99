/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tools do with a terminal: a line of progress on stderr, and a full-screen display on
 * stdout. Where stderr or stdout is no terminal nothing of this is written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <cuframes/base.h>

/* Shows one line on stderr over the one before, at most some times a second. */
void terminal_progress(const char *format, ...) CUFRAMES_PRINTF(1, 2);
/* Takes the line away, before other output. */
void terminal_progress_clear(void);

bool terminal_on_stdout(void);
/* Columns and rows of the terminal on stdout; 80 x 24 if it does not say. */
void terminal_size(int *columns, int *rows);

/* Takes the whole screen and single keys; terminal_screen_end() puts everything back. */
void terminal_screen_begin(void);
void terminal_screen_end(void);
/* Replaces what is on the screen, cutting lines that are too long and rows that are too many. */
void terminal_screen_show(const char *text);
/* Waits up to timeout_ms for a key; its code, or -1. */
int terminal_key(int timeout_ms);
