/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs the tests one after another, each in a process of its own.
 *
 * The test's process leads a process group and is the reaper of all processes below it, so that
 * one that its test forgot is found; the runner is the reaper of what a test leaves when it is
 * killed. Output goes to a memfd and is shown if the test fails.
 */
#include "harness/runner.h"

#include <errno.h>
#include <fnmatch.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/harness.h"
#include "harness/resources.h"

#define DEFAULT_TIMEOUT_S 20

static struct test_case *first;
static struct test_case **last = &first;

struct totals {
    unsigned passed, failed, skipped;
};

void test_register(struct test_case *test)
{
    *last = test;
    last = &test->next;
}

/* Runs in the test's process. */
static _Noreturn void run_test(const struct test_case *test, const char *dir, int output)
{
    struct test_resources before;

    setpgid(0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(output, STDOUT_FILENO);
    dup2(output, STDERR_FILENO);
    close(output);
    test_set_runtime_dir(dir);
    if (test->prepare)
        test->prepare();
    test_resources_take(&before);
    test->run();
    test_children_check();
    CHECK_NO_LEAK(&before, "after the test");
    test_resources_free(&before);
    test_runtime_dir_check();
    exit(TEST_EXIT_PASSED);
}

static void print_file(const char *path)
{
    char text[256];
    FILE *file = fopen(path, "re");
    size_t n;

    if (!file)
        return;
    n = fread(text, 1, sizeof(text) - 1, file);
    text[n] = '\0';
    printf("    %s: %s%s", path, text, n > 0 && text[n - 1] == '\n' ? "" : "\n");
    fclose(file);
}

static int print_thread(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    const char *name = path + ftw->base;

    (void)st;
    if (type == FTW_D && ftw->level > 1)
        return FTW_SKIP_SUBTREE;
    if (type == FTW_F && (strcmp(name, "comm") == 0 || strcmp(name, "syscall") == 0))
        print_file(path);
    return FTW_CONTINUE;
}

/* Where the threads of a test that hangs are. */
static void print_threads(pid_t pid)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    nftw(path, print_thread, 8, FTW_PHYS | FTW_ACTIONRETVAL);
}

/* True if the process ended in time; false if it had to be killed. */
static bool wait_for_end(pid_t pid, const struct test_case *test)
{
    int timeout_s = (int)(test->timeout_s ? test->timeout_s : DEFAULT_TIMEOUT_S);
    int pidfd = CHECK_SYS(pidfd_open(pid, 0));
    struct pollfd p = {.fd = pidfd, .events = POLLIN};
    bool ended = poll(&p, 1, timeout_s * 1000 * test_slowness()) == 1;

    if (!ended && !test->fails)
        print_threads(pid);
    close(pidfd);
    return ended;
}

/* Kills what is left of the test's process group, and reaps what fell to this process. */
static void clean_up(pid_t group)
{
    int64_t deadline = test_deadline_ms(2000);
    pid_t pid;

    kill(-group, SIGCONT);
    kill(-group, SIGKILL);
    while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) >= 0 || errno == EINTR)
        if (pid == 0 && !test_pause_until(deadline))
            break;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    remove(path);
    return 0;
}

static void print_output(int output)
{
    char text[4096];
    ssize_t n;

    lseek(output, 0, SEEK_SET);
    while ((n = read(output, text, sizeof(text))) > 0)
        fwrite(text, 1, (size_t)n, stdout);
}

static void print_reason(int output)
{
    char text[256] = "";
    ssize_t n = pread(output, text, sizeof(text) - 1, 0);

    if (n > 0)
        text[strcspn(text, "\n")] = '\0';
    printf(" (%s)\n", text);
}

static bool passed(const struct test_case *test, int status, bool in_time, int output)
{
    char text[4096] = "";

    if (!test->fails)
        return in_time && WIFEXITED(status) && WEXITSTATUS(status) == TEST_EXIT_PASSED;
    if (pread(output, text, sizeof(text) - 1, 0) < 0)
        return false;
    if (*test->fails == '\0')
        return !in_time || WIFSIGNALED(status);
    return in_time && WIFEXITED(status) && strstr(text, test->fails);
}

static void print_failure(const struct test_case *test, int status, bool in_time, double seconds)
{
    if (!in_time)
        printf("FAIL %s: still running after %.0f s\n", test->name, seconds);
    else if (WIFSIGNALED(status))
        printf("FAIL %s: killed by signal %d (%s)\n", test->name, WTERMSIG(status),
               strsignal(WTERMSIG(status)));
    else
        printf("FAIL %s (%.2f s)\n", test->name, seconds);
}

static void judge(const struct test_case *test, int status, bool in_time, double seconds,
                  int output, struct totals *totals)
{
    if (passed(test, status, in_time, output)) {
        printf("pass %s (%.2f s)\n", test->name, seconds);
        totals->passed++;
    } else if (in_time && WIFEXITED(status) && WEXITSTATUS(status) == TEST_EXIT_SKIPPED) {
        printf("skip %s", test->name);
        print_reason(output);
        totals->skipped++;
    } else {
        print_output(output);
        print_failure(test, status, in_time, seconds);
        totals->failed++;
    }
    fflush(stdout);
}

static void run_one(const struct test_case *test, struct totals *totals)
{
    char dir[] = "/tmp/cuframes-test-XXXXXX";
    int output = CHECK_SYS(memfd_create("test-output", 0));
    int64_t start = cuframes_now_ns();
    int status = 0;
    bool in_time;
    pid_t pid;

    if (!mkdtemp(dir))
        FAIL("%s: %m", dir);
    fflush(NULL);
    pid = CHECK_SYS(fork());
    if (pid == 0)
        run_test(test, dir, output);
    in_time = wait_for_end(pid, test);
    if (!in_time)
        kill(pid, SIGKILL);
    CHECK_SYS(waitpid(pid, &status, 0));
    clean_up(pid);
    judge(test, status, in_time, (double)(cuframes_now_ns() - start) / 1e9, output, totals);
    close(output);
    nftw(dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static bool wanted(const struct test_case *test, bool threads_only, char **patterns)
{
    if (threads_only && !test->threads)
        return false;
    if (!*patterns)
        return true;
    for (; *patterns; patterns++)
        if (fnmatch(*patterns, test->name, 0) == 0)
            return true;
    return false;
}

int main(int argc, char **argv)
{
    struct totals totals = {0};
    bool list = false, threads_only = false;
    char **arg = argv + 1;

    for (; argc > 1 && *arg && strncmp(*arg, "--", 2) == 0; arg++) {
        list |= strcmp(*arg, "--list") == 0;
        threads_only |= strcmp(*arg, "--threads") == 0;
    }
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    signal(SIGPIPE, SIG_DFL);
    for (const struct test_case *test = first; test; test = test->next) {
        if (!wanted(test, threads_only, arg))
            continue;
        if (list)
            puts(test->name);
        else
            run_one(test, &totals);
    }
    if (list)
        return 0;
    printf("%u passed, %u failed, %u skipped\n", totals.passed, totals.failed, totals.skipped);
    if (totals.failed)
        return TEST_EXIT_FAILED;
    return totals.passed ? TEST_EXIT_PASSED : TEST_EXIT_SKIPPED;
}
