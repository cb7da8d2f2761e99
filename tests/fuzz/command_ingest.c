/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ingester's command line for fuzz_command.c. What it would say is not said.
 */
#include "ingest/log.h"
#include "ingest/options.h"
#include "ingest/redact.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "fuzz.h"

int parse_ingest(int argc, char **argv)
{
    struct options options;
    char line[256];
    int exit_code = -1;

    if (options_parse(&options, argc, argv, "cuframes ingest", &exit_code)) {
        FUZZ_REQUIRE(options.key && options.input);
        FUZZ_REQUIRE(cuframes_check_key(options.key) == CUFRAMES_OK);
        FUZZ_REQUIRE(options.user_count <= CUFRAMES_MAX_ALLOWED_USERS);
        redact_line(options.input, line, sizeof(line));
        exit_code = -1;
    }
    options_fini(&options);
    return exit_code;
}

void log_open(const char *progname, cuframes_log_level_t level)
{
    (void)progname;
    (void)level;
}

/* Formats, as the real one does. */
void log_line(cuframes_log_level_t level, const char *format, ...)
{
    char line[512], clean[512];
    va_list args;

    (void)level;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    redact_line(line, clean, sizeof(clean));
}

void log_status(const char *text)
{
    (void)text;
}

bool log_on_terminal(void)
{
    return false;
}

const char *log_detail(char *text, size_t size)
{
    if (size > 0)
        text[0] = '\0';
    return text;
}

void log_clear_detail(void)
{
}
