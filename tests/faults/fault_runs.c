/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fault_runs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/peer.h"
#include "harness/resources.h"
#include "harness/runner.h"
#include "interpose.h"

/* Runs differ by a call or two, with who waits for whom. */
#define UNLIKE 1
/* Processes that run at the same time, each in a runtime directory of its own. */
#define AT_ONCE 32

struct state {
    long blocks;
    size_t descriptors, mappings, threads;
    int files;
};

/* Of two runs without a fault. */
static struct state expected;
static scenario current;
static unsigned current_limit_s;
static bool harmed;
/* For a run that fails: what was failing. */
static char fault_text[128];
static char own_directory[256];

static void look(struct state *state)
{
    struct test_resources now;

    state->blocks = interpose_live_blocks();
    test_resources_take(&now);
    state->descriptors = now.descriptor_count;
    state->mappings = now.mappings;
    state->threads = now.threads;
    test_resources_free(&now);
    state->files = test_count_files(own_directory);
}

static bool is_as_expected(void)
{
    struct state now;

    look(&now);
    return now.blocks == expected.blocks && now.descriptors == expected.descriptors &&
           now.mappings == expected.mappings && now.threads == expected.threads &&
           now.files == expected.files;
}

/* What was closed is gone a moment later where a thread of the kernel does it. */
static void check_nothing_left(void)
{
    int64_t deadline = test_deadline_ms(2000);
    struct state now;

    while (!is_as_expected())
        if (!test_pause_until(deadline)) {
            look(&now);
            FAIL("%s: left behind: %ld blocks of memory, %zd descriptors, %zd mappings, %zd "
                 "threads, %d files",
                 fault_text, now.blocks - expected.blocks,
                 (ssize_t)(now.descriptors - expected.descriptors),
                 (ssize_t)(now.mappings - expected.mappings),
                 (ssize_t)(now.threads - expected.threads), now.files - expected.files);
        }
}

void note_result(int *first, const char *what, int result)
{
    if (result >= 0)
        return;
    if (result == CUFRAMES_ERR_INTERNAL || result == CUFRAMES_ERR_INVALID_ARG ||
        strcmp(cuframes_strerror(result), "unknown error") == 0)
        FAIL("%s: %s: %s: %s", fault_text, what, cuframes_strerror(result), cuframes_last_error());
    if (!*cuframes_last_error())
        FAIL("%s: %s: %s without a sentence", fault_text, what, cuframes_strerror(result));
    if (!*first)
        *first = result;
}

int scenario_wait_ms(int short_ms)
{
    return harmed ? short_ms : test_patience_ms();
}

/* The longest time that a run without a fault may take. */
static unsigned patient_limit_s(void)
{
    return current_limit_s + (unsigned)test_patience_ms() / 1000;
}

/* A directory that is there, so that all that is made in it is made by the scenario. */
static void use_own_directory(void)
{
    snprintf(own_directory, sizeof(own_directory), "%s/%d", test_runtime_dir(), (int)getpid());
    CHECK_SYS(mkdir(own_directory, 0700));
    setenv("CUFRAMES_RUNTIME_DIR", own_directory, 1);
}

static void run_unharmed(void)
{
    int err = current();

    if (err)
        FAIL("%s: the next run without a fault: %s: %s", fault_text, cuframes_strerror(err),
             cuframes_last_error());
}

static void run_twice(struct test_peer *test, void *argument)
{
    unsigned *calls = argument;

    snprintf(fault_text, sizeof(fault_text), "without a fault");
    use_own_directory();
    alarm(2 * patient_limit_s());
    run_unharmed();
    for (unsigned i = 0; i < interpose_faults(); i++)
        calls[i] = interpose_calls(i);
    run_unharmed();
    /* Threads of a driver end when they have done what they had to. */
    usleep(100000);
    look(&expected);
    CHECK_SYS(rmdir(own_directory));
    test_say(test, (uint64_t)expected.blocks);
    test_say(test, expected.descriptors);
    test_say(test, expected.mappings);
    test_say(test, expected.threads);
    test_say(test, (uint64_t)expected.files);
    for (unsigned i = 0; i < interpose_faults(); i++)
        test_say(test, calls[i]);
}

/* How it is afterwards, and how many calls of each fault the first run makes. */
static void learn_expected(unsigned *calls)
{
    struct test_peer peer;

    test_spawn(&peer, run_twice, calls, NULL);
    expected.blocks = (long)test_hear(&peer);
    expected.descriptors = test_hear(&peer);
    expected.mappings = test_hear(&peer);
    expected.threads = test_hear(&peer);
    expected.files = (int)test_hear(&peer);
    for (unsigned i = 0; i < interpose_faults(); i++)
        calls[i] = (unsigned)test_hear(&peer);
    test_join(&peer);
}

struct fault {
    unsigned number, nth;
};

/* Says 1 if the fault happened, 2 if it also was an error. */
static void run_faulty(struct test_peer *test, void *argument)
{
    const struct fault *fault = argument;
    bool happened;
    int err;

    use_own_directory();
    alarm(current_limit_s * (unsigned)test_slowness());
    harmed = true;
    interpose_arm(fault->number, fault->nth);
    err = current();
    happened = interpose_disarm();
    harmed = false;
    alarm(patient_limit_s());
    if (happened) {
        run_unharmed();
        check_nothing_left();
    } else if (err) {
        /* Without the fault that was to come, only the short waits can have been the reason. */
        run_unharmed();
    }
    CHECK_SYS(rmdir(own_directory));
    test_say(test, (happened ? 1U : 0U) + (happened && err ? 1U : 0U));
}

static void describe(const struct fault *fault)
{
    snprintf(fault_text, sizeof(fault_text), "call %u of %s fails with %s", fault->nth,
             interpose_call(fault->number), strerrorname_np(interpose_errno(fault->number)));
}

static void start(struct test_peer *peer, const struct fault *fault)
{
    describe(fault);
    test_spawn(peer, run_faulty, (void *)(uintptr_t)fault, NULL);
}

static uint64_t finish(struct test_peer *peer, const struct fault *fault)
{
    uint64_t word;

    if (!test_hear_or_end(peer, &word)) {
        int status = test_join_status(peer);

        describe(fault);
        FAIL("%s: the process ended with status %#x (a signal: %d)", fault_text, status,
             status & 0x7f);
    }
    test_join(peer);
    return word;
}

/* The processes that run, oldest first. */
struct running {
    struct test_peer peers[AT_ONCE];
    struct fault faults[AT_ONCE];
    unsigned first, count;
    unsigned happened, errors;
};

static void finish_oldest(struct running *running)
{
    unsigned at = running->first % AT_ONCE;
    uint64_t word = finish(&running->peers[at], &running->faults[at]);

    running->happened += word > 0;
    running->errors += word == 2;
    running->first++;
    running->count--;
}

/* Several at once, because most of the time is spent in waits. */
static void start_next(struct running *running, struct fault fault)
{
    unsigned at;

    if (running->count == AT_ONCE)
        finish_oldest(running);
    at = (running->first + running->count++) % AT_ONCE;
    running->faults[at] = fault;
    start(&running->peers[at], &running->faults[at]);
}

void run_with_faults(const char *name, scenario run, unsigned limit_s)
{
    unsigned *calls = calloc(interpose_faults(), sizeof(*calls));
    struct running running = {0};

    current = run;
    current_limit_s = limit_s;
    learn_expected(calls);
    for (unsigned number = 0; number < interpose_faults(); number++)
        for (unsigned nth = 1; nth <= calls[number] + UNLIKE; nth++)
            start_next(&running, (struct fault){.number = number, .nth = nth});
    while (running.count > 0)
        finish_oldest(&running);
    free(calls);
    CHECK_GT(running.happened, 30U);
    CHECK_GT(running.errors, 5U);
    test_report("%s: %u faults, %u told as errors, the others made up for; 0 leaks\n", name,
                running.happened, running.errors);
}
