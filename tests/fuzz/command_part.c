/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One subcommand for fuzz_command.c, compiled once for each: COMMAND_SOURCE is its file, with its own
 * parser, and PARSE and USAGE are what that is to be called.
 */
#include COMMAND_SOURCE

#include "command.h"

#ifndef SETTINGS
#define SETTINGS struct settings
#endif

const struct usage *const USAGE = &usage;

int PARSE(int argc, char **argv)
{
    SETTINGS settings = defaults;

#ifdef WITH_NAMES
    {
        struct record_names names;

        return parse(argc, argv, &settings, &names);
    }
#else
    return parse(argc, argv, &settings);
#endif
}
