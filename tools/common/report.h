/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a tool says on stderr, and the exit codes that go with it. Every line starts with the name
 * of the command ("cuframes sub"), which is set once before a second thread starts.
 */
#pragma once

#include <cuframes/cuframes.h>

enum {
    TOOL_CONTINUE = -1, /* from parsers: nothing is decided yet, go on */
    TOOL_DONE = 0,
    TOOL_FAILED = 1,
    TOOL_USAGE = 2,
};

/* The name is borrowed. */
void report_set_name(const char *name);
const char *report_name(void);

/* One line on stderr. */
void report(const char *format, ...) CUFRAMES_PRINTF(1, 2);
/* The same, and "failed" as exit code. */
int report_failed(const char *format, ...) CUFRAMES_PRINTF(1, 2);
/* The same with a pointer to --help, and "wrong usage" as exit code. */
int report_usage(const char *format, ...) CUFRAMES_PRINTF(1, 2);
/* The library's own sentence for `error`, and "failed" as exit code. */
int report_library(int error);

/* Shows the library's log on stderr; each call shows more, down to debug. */
void report_more_log(void);
