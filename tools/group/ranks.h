/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The processes of `cuframes group`: started with their rank in the environment, each in a process
 * group of its own, their output passed on line by line.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One stream of a process: a pipe, and the line that is not yet whole. */
struct rank_stream {
    int from; /* the pipe; -1 = ended */
    int to;   /* 1 or 2 */
    uint32_t length;
    char line[4096];
};

struct rank_process {
    int32_t rank;
    pid_t pid;
    int pidfd;  /* readable when it has ended; -1 = has ended and is reaped */
    int status; /* as waitpid() gives it */
    struct rank_stream streams[2];
};

/* What a rank is told in its environment. */
struct rank_settings {
    const char *name;
    int32_t size;
    const char *runtime_dir; /* NULL = the default */
    char **program;          /* ends with NULL */
    bool prefix;             /* "[rank] " before each line */
};

/* Starts one. `connection` (-1 = none) is the descriptor it inherits, and stays the caller's.
 * False: reported. */
bool rank_start(struct rank_process *process, int32_t rank, const struct rank_settings *settings,
                int connection);

/* Passes on what a stream has; false when it has ended. */
bool rank_stream_pass(struct rank_stream *stream, int32_t rank, bool prefix);

/* Reaps it if it has ended. */
bool rank_reap(struct rank_process *process);

/* Signals its whole process group. */
void rank_signal(const struct rank_process *process, int number);
