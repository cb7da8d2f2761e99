/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness/resources.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"

static void take_descriptors(struct test_resources *r)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;

    if (!dir)
        FAIL("/proc/self/fd: %m");
    while ((entry = readdir(dir))) {
        struct test_descriptor d = {.fd = atoi(entry->d_name)};

        if (!isdigit((unsigned char)entry->d_name[0]) || d.fd == dirfd(dir))
            continue;
        if (readlinkat(dirfd(dir), entry->d_name, d.target, sizeof(d.target) - 1) < 0)
            continue;
        r->descriptors = realloc(r->descriptors, (r->descriptor_count + 1) * sizeof(d));
        r->descriptors[r->descriptor_count++] = d;
    }
    closedir(dir);
}

static size_t count_mappings(bool print)
{
    FILE *maps = fopen("/proc/self/maps", "re");
    char line[512];
    size_t count = 0;

    if (!maps)
        FAIL("/proc/self/maps: %m");
    while (fgets(line, sizeof(line), maps)) {
        if (!strstr(line, "/memfd:"))
            continue;
        count++;
        if (print)
            fprintf(stderr, "  mapping %s", line);
    }
    fclose(maps);
    return count;
}

static size_t count_threads(void)
{
    return (size_t)test_count_files("/proc/self/task");
}

#if defined(__SANITIZE_THREAD__)
static void *do_nothing(void *argument)
{
    return argument;
}

/* The thread sanitizer starts one of its own with the first thread of a forked process. */
static void settle_threads(void)
{
    static bool settled;
    pthread_t thread;

    if (!settled && pthread_create(&thread, NULL, do_nothing, NULL) == 0)
        pthread_join(thread, NULL);
    settled = true;
}
#else
static void settle_threads(void)
{
}
#endif

void test_resources_take(struct test_resources *resources)
{
    settle_threads();
    *resources = (struct test_resources){0};
    take_descriptors(resources);
    resources->mappings = count_mappings(false);
    resources->threads = count_threads();
}

void test_resources_free(struct test_resources *resources)
{
    free(resources->descriptors);
    *resources = (struct test_resources){0};
}

static size_t count_target(const struct test_resources *r, const char *target)
{
    size_t count = 0;

    for (size_t i = 0; i < r->descriptor_count; i++)
        count += strcmp(r->descriptors[i].target, target) == 0;
    return count;
}

/* Prints what is in `now` more often than in `before`. Numbers do not matter: what was closed and
 * opened again is no leak. */
static unsigned report_descriptors(const struct test_resources *before,
                                   const struct test_resources *now, const char *word)
{
    unsigned differences = 0;

    for (size_t i = 0; i < now->descriptor_count; i++) {
        const struct test_descriptor *d = &now->descriptors[i];

        if (count_target(now, d->target) <= count_target(before, d->target))
            continue;
        fprintf(stderr, "  %s descriptor %d: %s\n", word, d->fd, d->target);
        differences++;
    }
    return differences;
}

void test_resources_check(const char *file, int line, const struct test_resources *before,
                          const char *when)
{
    int64_t deadline = test_deadline_ms(2000);
    struct test_resources now;
    unsigned leaks;

    while (count_threads() > before->threads && test_pause_until(deadline))
        ;
    test_resources_take(&now);
    leaks = report_descriptors(before, &now, "leaked") + report_descriptors(&now, before, "lost");
    if (now.mappings > before->mappings) {
        count_mappings(true);
        leaks++;
    }
    if (now.threads > before->threads) {
        fprintf(stderr, "  %zu threads, %zu before\n", now.threads, before->threads);
        leaks++;
    }
    test_resources_free(&now);
    if (leaks)
        test_fail(file, line, "leak %s", when);
}

size_t test_count_descriptors(const char *piece)
{
    struct test_resources now = {0};
    size_t count = 0;

    take_descriptors(&now);
    for (size_t i = 0; i < now.descriptor_count; i++)
        count += strstr(now.descriptors[i].target, piece) != NULL;
    test_resources_free(&now);
    return count;
}

void test_children_check(void)
{
    int status;
    pid_t pid = waitpid(-1, &status, WNOHANG | __WALL);

    if (pid == 0)
        FAIL("a child process still runs");
    if (pid > 0)
        FAIL("child process %d ended (status %#x) and nobody waited for it", (int)pid,
             (unsigned)status);
    if (errno != ECHILD)
        FAIL("waitpid: %m");
}
