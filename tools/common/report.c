/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages go out with one write each, so that lines of the library's threads and of the tool do
 * not mix.
 */
#include "common/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/terminal.h"

#define LINE_SIZE 1024

static const char *tool_name = "cuframes";
static int log_level = CUFRAMES_LOG_ERROR;

void report_set_name(const char *name)
{
    tool_name = name;
}

const char *report_name(void)
{
    return tool_name;
}

static void write_line(const char *format, va_list args)
{
    char line[LINE_SIZE];
    int length = snprintf(line, sizeof(line) - 1, "%s: ", tool_name);

    terminal_progress_clear();
    length += vsnprintf(line + length, sizeof(line) - 1 - (size_t)length, format, args);
    if ((size_t)length > sizeof(line) - 2)
        length = sizeof(line) - 2;
    line[length++] = '\n';
    if (write(STDERR_FILENO, line, (size_t)length) < 0)
        return; /* nowhere left to say it */
}

void report(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(format, args);
    va_end(args);
}

int report_failed(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(format, args);
    va_end(args);
    return TOOL_FAILED;
}

int report_usage(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    write_line(format, args);
    va_end(args);
    fprintf(stderr, "Try '%s --help'.\n", tool_name);
    return TOOL_USAGE;
}

int report_library(int error)
{
    const char *sentence = cuframes_last_error();

    return report_failed("%s", *sentence ? sentence : cuframes_strerror(error));
}

static void show_log(cuframes_log_level_t level, const char *message, void *user)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};

    (void)user;
    report("%s: %s", level <= CUFRAMES_LOG_DEBUG ? names[level] : "log", message);
}

void report_more_log(void)
{
    if (log_level < CUFRAMES_LOG_INFO)
        log_level = CUFRAMES_LOG_INFO;
    else
        log_level = CUFRAMES_LOG_DEBUG;
    cuframes_set_log_callback(show_log, NULL, (cuframes_log_level_t)log_level);
}
