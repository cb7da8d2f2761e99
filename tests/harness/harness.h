/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The test harness: `TEST(name) { … }` in any number, linked with this library, is a test program.
 *
 * Each test runs in a process of its own with a timeout, in a private runtime directory
 * ($CUFRAMES_RUNTIME_DIR, mode 0700, removed afterwards). When its body returns, the test fails
 * if it left behind a descriptor, a mapping of shared memory, a thread, a child process, or a file
 * in the runtime directory that it did not declare. What it prints is shown only if it fails.
 *
 * Assertions print file, line and values, and end the process; they work in any thread and in
 * peers (peer.h). A test that cannot run on this machine calls SKIP with the reason.
 *
 * Command line: [--list] [--threads] [PATTERN…]. A pattern is a shell pattern over the tests'
 * names; --threads leaves only those that are marked as made for the thread sanitizer. Exit
 * status: 0 all passed, 1 some failed, 77 nothing ran (all were skipped).
 */
#pragma once

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cuframes/cuframes.h>

struct test_case {
    const char *name;
    void (*run)(void);
    unsigned timeout_s; /* 0 = 20 */
    /* Runs in the test's process before what is there is noted: for a driver that, once it is
     * started, keeps descriptors and threads. */
    void (*prepare)(void);
    bool threads; /* works with threads of one process: runs under the thread sanitizer */
    const char
        *fails; /* for tests of the harness: must fail and say this; "": must hang or crash */
    struct test_case *next;
};

void test_register(struct test_case *test);

/* TEST(name) { … } or TEST(name, .timeout_s = 60, .threads = true) { … } */
#define TEST(id, ...)                                                                              \
    static void test_body_##id(void);                                                              \
    static struct test_case test_case_##id = {.name = #id, .run = test_body_##id, ##__VA_ARGS__};  \
    __attribute__((constructor)) static void test_constructor_##id(void)                           \
    {                                                                                              \
        test_register(&test_case_##id);                                                            \
    }                                                                                              \
    static void test_body_##id(void)

/* Prints the sentence and ends this process as failed. */
_Noreturn void test_fail(const char *file, int line, const char *format, ...) CUFRAMES_PRINTF(3, 4);
/* Ends this test as skipped; only in the test's own process. */
_Noreturn void test_skip(const char *format, ...) CUFRAMES_PRINTF(1, 2);

#define FAIL(...) test_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...) test_skip(__VA_ARGS__)

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL("not true: %s", #condition);                                                      \
    } while (0)

#define TEST_COMPARE(a, op, b)                                                                     \
    do {                                                                                           \
        __auto_type test_a = (a);                                                                  \
        __auto_type test_b = (b);                                                                  \
        if (!((__int128)test_a op(__int128) test_b))                                               \
            FAIL("%s %s %s: %lld (%#llx) and %lld (%#llx)", #a, #op, #b, (long long)test_a,        \
                 (unsigned long long)test_a, (long long)test_b, (unsigned long long)test_b);       \
    } while (0)

/* Whole numbers of any type; 128 bits, so that signs do not matter. */
#define CHECK_EQ(a, b) TEST_COMPARE(a, ==, b)
#define CHECK_NE(a, b) TEST_COMPARE(a, !=, b)
#define CHECK_LT(a, b) TEST_COMPARE(a, <, b)
#define CHECK_LE(a, b) TEST_COMPARE(a, <=, b)
#define CHECK_GT(a, b) TEST_COMPARE(a, >, b)
#define CHECK_GE(a, b) TEST_COMPARE(a, >=, b)

#define CHECK_STR_EQ(a, b)                                                                         \
    do {                                                                                           \
        const char *test_a = (a), *test_b = (b);                                                   \
        if (!test_a || !test_b || strcmp(test_a, test_b) != 0)                                     \
            FAIL("%s == %s: \"%s\" and \"%s\"", #a, #b, test_a ? test_a : "(null)",                \
                 test_b ? test_b : "(null)");                                                      \
    } while (0)

/* `text` contains `piece`; case does not matter. */
#define CHECK_STR_HAS(text, piece)                                                                 \
    do {                                                                                           \
        const char *test_a = (text), *test_b = (piece);                                            \
        if (!test_a || !strcasestr(test_a, test_b))                                                \
            FAIL("%s: \"%s\" does not say \"%s\"", #text, test_a ? test_a : "(null)", test_b);     \
    } while (0)

#define CHECK_MEM_EQ(a, b, size)                                                                   \
    do {                                                                                           \
        if (memcmp((a), (b), (size)) != 0)                                                         \
            FAIL("%s and %s differ in their %zu bytes", #a, #b, (size_t)(size));                   \
    } while (0)

/* A library call that must succeed. */
#define CHECK_OK(call)                                                                             \
    do {                                                                                           \
        int test_result = (call);                                                                  \
        if (test_result != CUFRAMES_OK)                                                            \
            FAIL("%s: %s (%d): %s", #call, cuframes_strerror(test_result), test_result,            \
                 cuframes_last_error());                                                           \
    } while (0)

/* A library call that must fail with `error`. */
#define CHECK_ERR(call, error)                                                                     \
    do {                                                                                           \
        int test_result = (call);                                                                  \
        if (test_result != (error))                                                                \
            FAIL("%s: %s (%d) instead of %s: \"%s\"", #call, cuframes_strerror(test_result),       \
                 test_result, #error, cuframes_last_error());                                      \
    } while (0)

/* The same, and the sentence says `words` (case does not matter). */
#define CHECK_ERR_SAYS(call, error, words)                                                         \
    do {                                                                                           \
        CHECK_ERR(call, error);                                                                    \
        CHECK_STR_HAS(cuframes_last_error(), words);                                               \
    } while (0)

/* A system call that must not return a negative number; gives what it returns. */
#define CHECK_SYS(call)                                                                            \
    ({                                                                                             \
        __auto_type test_value = (call);                                                           \
        if (test_value < 0)                                                                        \
            FAIL("%s: %m", #call);                                                                 \
        test_value;                                                                                \
    })

/* Waits until the condition holds, looking again each millisecond; fails after `timeout_ms`. */
#define WAIT_FOR(condition, timeout_ms)                                                            \
    do {                                                                                           \
        int64_t test_deadline = test_deadline_ms(timeout_ms);                                      \
        while (!(condition))                                                                       \
            if (!test_pause_until(test_deadline))                                                  \
                FAIL("not true after %d ms: %s", (int)(timeout_ms), #condition);                   \
    } while (0)

/* Timeouts are longer under sanitizers, which make everything slower. */
int64_t test_deadline_ms(int timeout_ms);
bool test_pause_until(int64_t deadline_ns);
/* For a wait that a passing test never waits out: 10 s, longer under sanitizers. */
int test_patience_ms(void);

/* How long a test that can go on for ever goes on: $CUFRAMES_TEST_SECONDS, or what it likes. */
int test_seconds(int usual);

/* Prints a line that is worth reading also when the test passes: it goes to the file that
 * $CUFRAMES_TEST_REPORT names, too. */
void test_report(const char *format, ...) CUFRAMES_PRINTF(1, 2);

/* Whether descriptor `fd` polls readable within `timeout_ms`. */
bool test_readable(int fd, int timeout_ms);

/* The runtime directory of this test. */
const char *test_runtime_dir(void);
/* "<runtime directory>/<name>"; a static buffer of the calling thread, of the newest call. */
const char *test_runtime_path(const char *name);
/* Declares that a file of this name may be left in the runtime directory. */
void test_may_remain(const char *name);
/* Number of entries in a directory. */
int test_count_files(const char *directory);
