/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subcommands that need FFmpeg's libraries or SDL2. Loading those takes thirty times as long as
 * loading everything else together, which a snapshot or a look at a channel should not pay. So they
 * are a program of their own, cuframes-media, and `cuframes` becomes that program for them.
 */
#pragma once

#include "command.h"

struct media_command {
    const char *name; /* as report_name() has it */
    int (*run)(int argc, char **argv);
};

/* Becomes cuframes-media, with report_name() as the word that it looks at; returns on failure. */
int media_run(int argc, char **argv);
