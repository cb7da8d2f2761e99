/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bulk output on a descriptor, and the end of stdout. A reader that closes its pipe ends the tool
 * without a word, as it does for cat(1); every other failure is reported.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct output {
    int fd;      /* borrowed */
    int private; /* a non-blocking way to the same pipe, our own; -1 = none */
};

enum output_result {
    OUTPUT_DONE = 0,
    OUTPUT_CLOSED,  /* the reader is gone */
    OUTPUT_STOPPED, /* a signal came while the reader did not read */
    OUTPUT_FAILED,  /* reported */
};

void output_open(struct output *output, int fd);
/* Where to write, for those who do it themselves: non-blocking if it can stall. */
int output_descriptor(const struct output *output);
void output_close(struct output *output);
/* Writes everything. Changes `parts` on the way. */
enum output_result output_write(struct output *output, struct iovec *parts, int count);

/* Whether the reader of a pipe or socket has gone; false where that cannot be known. */
bool output_is_closed(const struct output *output);

/* Flushes stdout at the end of a tool: `exit_code`, or TOOL_FAILED when it could not be written. */
int output_finish_stdout(int exit_code);
