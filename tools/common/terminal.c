/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One thread draws (the tool's main thread); progress may be cleared from any thread, which at
 * worst clears a line twice.
 */
#include "common/terminal.h"

#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <cuframes/version.h>

#define PROGRESS_PERIOD_NS 200000000

static atomic_bool progress_shown;
static struct termios saved_termios;
static bool termios_saved;
static bool screen_taken;

void terminal_progress(const char *format, ...)
{
    static int64_t next_ns;
    static int is_terminal = -1;
    int64_t now = cuframes_now_ns();
    va_list args;

    if (is_terminal < 0)
        is_terminal = isatty(STDERR_FILENO);
    if (!is_terminal || now < next_ns)
        return;
    next_ns = now + PROGRESS_PERIOD_NS;
    fputs("\r", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputs("\033[K", stderr);
    atomic_store(&progress_shown, true);
}

void terminal_progress_clear(void)
{
    if (atomic_exchange(&progress_shown, false))
        fputs("\r\033[K", stderr);
}

bool terminal_on_stdout(void)
{
    return isatty(STDOUT_FILENO) == 1;
}

void terminal_size(int *columns, int *rows)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;

    *columns = known ? size.ws_col : 80;
    *rows = known ? size.ws_row : 24;
}

static void keys_one_by_one(void)
{
    struct termios now;

    if (tcgetattr(STDIN_FILENO, &saved_termios) < 0)
        return;
    termios_saved = true;
    now = saved_termios;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    now.c_cc[VMIN] = 0;
    now.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

void terminal_screen_begin(void)
{
    keys_one_by_one();
    fputs("\033[?1049h\033[?25l", stdout); /* alternate screen, no cursor */
    fflush(stdout);
    screen_taken = true;
}

void terminal_screen_end(void)
{
    if (!screen_taken)
        return;
    screen_taken = false;
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    if (termios_saved)
        tcsetattr(STDIN_FILENO, TCSANOW, &saved_termios);
}

void terminal_screen_show(const char *text)
{
    int columns, rows;

    terminal_size(&columns, &rows);
    fputs("\033[H", stdout);
    for (int row = 0; row < rows && *text; row++) {
        size_t length = strcspn(text, "\n");
        int shown = length > (size_t)columns ? columns : (int)length;

        /* The last row gets no newline, which would scroll. */
        printf("%.*s\033[K%s", shown, text, row + 1 < rows ? "\n" : "");
        text += length + (text[length] == '\n');
    }
    fputs("\033[J", stdout);
    fflush(stdout);
}

int terminal_key(int timeout_ms)
{
    struct pollfd wait = {.fd = STDIN_FILENO, .events = POLLIN};
    char key;

    if (!termios_saved) {
        poll(NULL, 0, timeout_ms);
        return -1;
    }
    if (poll(&wait, 1, timeout_ms) <= 0)
        return -1;
    return read(STDIN_FILENO, &key, 1) == 1 ? (unsigned char)key : -1;
}
