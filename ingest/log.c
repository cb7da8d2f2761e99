/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One lock, one stream. libav* says a line in pieces, so they are collected until the newline;
 * what it says is shown on the debug level only, because one lost packet makes it say a hundred
 * lines. Its newest error is kept: it tells why a call failed better than the call's number.
 */
#include "log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavutil/log.h>

#include "redact.h"

#define LINE_SIZE 2048

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *program = "cuframes ingest";
static cuframes_log_level_t max_level = CUFRAMES_LOG_INFO;
static bool terminal;
static bool status_shown;

static char av_line[LINE_SIZE];
static int av_prefix = 1;
static char detail[256];

static const char *level_word(cuframes_log_level_t level)
{
    switch (level) {
    case CUFRAMES_LOG_ERROR:
        return "error: ";
    case CUFRAMES_LOG_WARNING:
        return "warning: ";
    default:
        return "";
    }
}

/* Under the lock. */
static void print_line(cuframes_log_level_t level, const char *line)
{
    char clean[LINE_SIZE + 256];

    redact_line(line, clean, sizeof(clean));
    if (status_shown)
        fputs("\r\033[K", stderr);
    status_shown = false;
    fprintf(stderr, "%s: %s%s\n", program, level_word(level), clean);
    fflush(stderr);
}

void log_line(cuframes_log_level_t level, const char *format, ...)
{
    char line[LINE_SIZE];
    va_list args;

    if (level > max_level)
        return;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    pthread_mutex_lock(&lock);
    print_line(level, line);
    pthread_mutex_unlock(&lock);
}

void log_status(const char *text)
{
    if (!terminal)
        return;
    pthread_mutex_lock(&lock);
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    status_shown = true;
    pthread_mutex_unlock(&lock);
}

bool log_on_terminal(void)
{
    return terminal;
}

static void on_library_message(cuframes_log_level_t level, const char *message, void *user)
{
    (void)user;
    log_line(level, "%s", message);
}

/* A line without the name and address of the object that says it. */
static const char *without_speaker(const char *line)
{
    const char *end = line[0] == '[' ? strstr(line, "] ") : NULL;

    return end ? end + 2 : line;
}

/* Under the lock: a whole line of libav* has come together. */
static void take_av_line(int av_level)
{
    if (av_level <= AV_LOG_ERROR)
        snprintf(detail, sizeof(detail), "%.*s", (int)sizeof(detail) - 1, without_speaker(av_line));
    if (max_level == CUFRAMES_LOG_DEBUG)
        print_line(CUFRAMES_LOG_DEBUG, av_line);
}

static void on_av_message(void *context, int av_level, const char *format, va_list args)
{
    size_t used, length;

    if (av_level > AV_LOG_VERBOSE || (av_level > AV_LOG_ERROR && max_level < CUFRAMES_LOG_DEBUG))
        return;
    pthread_mutex_lock(&lock);
    used = strlen(av_line);
    av_log_format_line2(context, av_level, format, args, av_line + used, (int)(LINE_SIZE - used),
                        &av_prefix);
    length = strlen(av_line);
    if (av_prefix || length == LINE_SIZE - 1) {
        while (length > 0 && (av_line[length - 1] == '\n' || av_line[length - 1] == '\r'))
            av_line[--length] = '\0';
        if (length > 0)
            take_av_line(av_level);
        av_line[0] = '\0';
    }
    pthread_mutex_unlock(&lock);
}

void log_open(const char *progname, cuframes_log_level_t level)
{
    program = progname;
    max_level = level;
    terminal = isatty(STDERR_FILENO);
    av_log_set_level(AV_LOG_VERBOSE);
    av_log_set_callback(on_av_message);
    cuframes_set_log_callback(on_library_message, NULL, level);
}

const char *log_detail(char *text, size_t size)
{
    pthread_mutex_lock(&lock);
    snprintf(text, size, "%s", detail);
    pthread_mutex_unlock(&lock);
    return text;
}

void log_clear_detail(void)
{
    pthread_mutex_lock(&lock);
    detail[0] = '\0';
    pthread_mutex_unlock(&lock);
}
