/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Failing, skipping, waiting, and the test's runtime directory.
 */
#include <dirent.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "harness/harness.h"
#include "harness/runner.h"

#if defined(__SANITIZE_THREAD__)
#define SLOWNESS 6
#elif defined(__SANITIZE_ADDRESS__)
#define SLOWNESS 3
#else
#define SLOWNESS 1
#endif

#define MOST_REMAINING 16

static char runtime_dir[96];
static char remaining[MOST_REMAINING][128];
static size_t remaining_count;

_Noreturn void test_fail(const char *file, int line, const char *format, ...)
{
    char text[2048];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
    fflush(NULL);
    _exit(TEST_EXIT_FAILED);
}

_Noreturn void test_skip(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    fflush(NULL);
    _exit(TEST_EXIT_SKIPPED);
}

int test_slowness(void)
{
    return SLOWNESS;
}

int test_patience_ms(void)
{
    return 10000 * SLOWNESS;
}

int test_seconds(int usual)
{
    const char *wanted = getenv("CUFRAMES_TEST_SECONDS");

    return wanted && atoi(wanted) > 0 ? atoi(wanted) : usual;
}

void test_report(const char *format, ...)
{
    const char *path = getenv("CUFRAMES_TEST_REPORT");
    FILE *file = path ? fopen(path, "ae") : NULL;
    va_list args;

    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    if (!file)
        return;
    va_start(args, format);
    vfprintf(file, format, args);
    va_end(args);
    fclose(file);
}

int64_t test_deadline_ms(int timeout_ms)
{
    return cuframes_now_ns() + (int64_t)timeout_ms * SLOWNESS * 1000000;
}

bool test_pause_until(int64_t deadline_ns)
{
    if (cuframes_now_ns() >= deadline_ns)
        return false;
    poll(NULL, 0, 1);
    return true;
}

bool test_readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    return CHECK_SYS(poll(&p, 1, timeout_ms)) == 1;
}

void test_set_runtime_dir(const char *path)
{
    snprintf(runtime_dir, sizeof(runtime_dir), "%s", path);
    setenv("CUFRAMES_RUNTIME_DIR", path, 1);
}

const char *test_runtime_dir(void)
{
    return runtime_dir;
}

const char *test_runtime_path(const char *name)
{
    static _Thread_local char path[512];

    snprintf(path, sizeof(path), "%s/%s", runtime_dir, name);
    return path;
}

void test_may_remain(const char *name)
{
    if (remaining_count == MOST_REMAINING)
        FAIL("a test may declare %d files", MOST_REMAINING);
    snprintf(remaining[remaining_count++], sizeof(remaining[0]), "%s", name);
}

static bool may_remain(const char *name)
{
    for (size_t i = 0; i < remaining_count; i++)
        if (strcmp(remaining[i], name) == 0)
            return true;
    return false;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void test_runtime_dir_check(void)
{
    DIR *dir = opendir(runtime_dir);
    struct dirent *entry;

    if (!dir)
        FAIL("%s: %m", runtime_dir);
    while ((entry = readdir(dir)))
        if (!is_dots(entry->d_name) && !may_remain(entry->d_name))
            FAIL("left in the runtime directory: %s", entry->d_name);
    closedir(dir);
}

int test_count_files(const char *directory)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    int count = 0;

    if (!dir)
        FAIL("%s: %m", directory);
    while ((entry = readdir(dir)))
        count += !is_dots(entry->d_name);
    closedir(dir);
    return count;
}
