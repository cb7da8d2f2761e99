/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes group: runs a program as the ranks of a group.
 *
 * By itself it starts all of them, and is the group's host: each gets its connection handed down.
 * Under a launcher that has started one of it for each rank (or with --rank) it runs one, which
 * meets the others by name.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "common/options.h"
#include "common/stop.h"
#include "group/ranks.h"

/* How long a rank may take to end after SIGTERM. */
#define END_NS (5 * INT64_C(1000000000))

struct settings {
    struct rank_settings ranks;
    int rank; /* -1 = all */
};

enum { ID_NAME = 1, ID_SIZE, ID_RANK, ID_NO_PREFIX };

static const struct option_row rows[] = {
    {ID_NAME, "name", "NAME", "the group's name, 1 to 57 of A-Z a-z 0-9 _ -"},
    {ID_SIZE, "size", "N", "how many ranks; not needed under a launcher that says it"},
    {ID_RANK, "rank", "R",
     "run only this rank, the others are started elsewhere; not needed\n"
     "under torchrun, Slurm and MPI, which say it in the environment"},
    {ID_NO_PREFIX, "no-prefix", NULL, "do not put \"[rank] \" before each line of output"},
    {0},
};

static const struct usage usage = {
    .synopsis = "--name NAME --size N [options] -- PROGRAM [ARGUMENTS]",
    .about = "Runs PROGRAM as the ranks of a group: each finds its rank in the environment\n"
             "(CUFRAMES_GROUP_NAME, _RANK, _SIZE, and LOCAL_RANK, LOCAL_WORLD_SIZE). When one\n"
             "fails, the others are ended. Exit code 1 if any failed.",
    .rows = rows,
};

/* Where launchers say which process of this host this is, and of how many. */
static const char *const launchers[][2] = {
    {"LOCAL_RANK", "LOCAL_WORLD_SIZE"},                           /* torchrun */
    {"OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"}, /* Open MPI */
    {"MPI_LOCALRANKID", "MPI_LOCALNRANKS"},                       /* MPICH, Intel MPI */
    {"SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"},                   /* Slurm */
};

static bool read_number(const char *variable, int *number)
{
    const char *text = getenv(variable);
    char *end;
    long value;

    if (!text || !*text)
        return false;
    value = strtol(text, &end, 10);
    if (*end || value < 0 || value > CUFRAMES_GROUP_MAX_RANKS)
        return false;
    *number = (int)value;
    return true;
}

/* Under a launcher: its rank, and its size unless one was given. */
static void ask_launcher(struct settings *s)
{
    for (size_t i = 0; i < sizeof(launchers) / sizeof(launchers[0]); i++) {
        int rank, size;

        if (!read_number(launchers[i][0], &rank))
            continue;
        if (s->ranks.size == 0 && read_number(launchers[i][1], &size))
            s->ranks.size = size;
        s->rank = rank;
        return;
    }
}

static int check(struct settings *s, const struct options *o)
{
    if (s->rank < 0)
        ask_launcher(s);
    if (!s->ranks.name)
        return report_usage("--name is missing");
    if (!options_check_key(s->ranks.name))
        return TOOL_USAGE;
    if (strlen(s->ranks.name) > CUFRAMES_GROUP_NAME_MAX)
        return report_usage("a group's name has at most %d characters", CUFRAMES_GROUP_NAME_MAX);
    if (s->ranks.size == 0)
        return report_usage("--size is missing");
    if (s->rank >= s->ranks.size)
        return report_usage("there is no rank %d in a group of %d", s->rank, s->ranks.size);
    s->ranks.program = options_rest(o);
    if (!*s->ranks.program)
        return report_usage("a program to run is missing, after \"--\"");
    s->ranks.runtime_dir = o->runtime_dir;
    return TOOL_CONTINUE;
}

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    switch (id) {
    case ID_NAME:
        s->ranks.name = o->value;
        return true;
    case ID_SIZE:
        return options_int(o, 1, CUFRAMES_GROUP_MAX_RANKS, &s->ranks.size);
    case ID_RANK:
        return options_int(o, 0, CUFRAMES_GROUP_MAX_RANKS - 1, &s->rank);
    default:
        s->ranks.prefix = false;
        return true;
    }
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    return check(s, &o);
}

/* ---- running ---- */

struct run {
    const struct settings *settings;
    struct rank_process *processes;
    int count;   /* started */
    int running; /* not yet reaped */
    int failed;
    bool ending;        /* the others have been told to end */
    int64_t kill_at_ns; /* when those that have not are killed */
};

static void end_all(struct run *run)
{
    if (run->ending)
        return;
    run->ending = true;
    run->kill_at_ns = cuframes_now_ns() + END_NS;
    for (int i = 0; i < run->count; i++)
        rank_signal(&run->processes[i], SIGTERM);
}

static void kill_late(struct run *run)
{
    if (!run->ending || cuframes_now_ns() < run->kill_at_ns)
        return;
    for (int i = 0; i < run->count; i++)
        rank_signal(&run->processes[i], SIGKILL);
    run->kill_at_ns = INT64_MAX;
}

/* Says how a rank failed; those that were told to end have not. */
static void judge(struct run *run, const struct rank_process *process)
{
    if (WIFEXITED(process->status) && WEXITSTATUS(process->status) == 0)
        return;
    if (run->ending)
        return;
    run->failed++;
    if (WIFSIGNALED(process->status))
        report("rank %d was killed by signal %d (%s); ending the others", process->rank,
               WTERMSIG(process->status), strsignal(WTERMSIG(process->status)));
    else
        report("rank %d failed with exit code %d; ending the others", process->rank,
               WEXITSTATUS(process->status));
    end_all(run);
}

/* Waits for output or an end, at most until there is something else to do. */
static void wait_for_events(struct run *run, struct pollfd *polls)
{
    int n = 0;

    for (int i = 0; i < run->count; i++) {
        const struct rank_process *process = &run->processes[i];

        polls[n++] = (struct pollfd){.fd = process->streams[0].from, .events = POLLIN};
        polls[n++] = (struct pollfd){.fd = process->streams[1].from, .events = POLLIN};
        polls[n++] = (struct pollfd){.fd = process->pidfd, .events = POLLIN};
    }
    if (poll(polls, (nfds_t)n, STOP_POLL_MS) < 0)
        memset(polls, 0, (size_t)n * sizeof(*polls));
}

static void handle_events(struct run *run, const struct pollfd *polls)
{
    for (int i = 0; i < run->count; i++) {
        struct rank_process *process = &run->processes[i];

        for (int k = 0; k < 2; k++)
            if (polls[3 * i + k].revents && process->streams[k].from >= 0)
                rank_stream_pass(&process->streams[k], process->rank, run->settings->ranks.prefix);
        if (polls[3 * i + 2].revents && rank_reap(process)) {
            run->running--;
            judge(run, process);
        }
    }
}

/* What the ranks still had to say when they ended. A child of theirs that lives on and keeps a
 * pipe open is not waited for. */
static void drain(struct run *run)
{
    for (int i = 0; i < run->count; i++)
        for (int k = 0; k < 2; k++) {
            struct rank_stream *stream = &run->processes[i].streams[k];
            struct pollfd p = {.fd = stream->from, .events = POLLIN};

            while (stream->from >= 0 && poll(&p, 1, 0) > 0)
                rank_stream_pass(stream, run->processes[i].rank, run->settings->ranks.prefix);
            if (stream->from >= 0)
                close(stream->from);
        }
}

static int watch(struct run *run)
{
    struct pollfd *polls = calloc((size_t)run->count * 3, sizeof(*polls));

    if (!polls) {
        end_all(run);
        run->kill_at_ns = 0;
        kill_late(run);
        return report_failed("out of memory");
    }
    while (run->running > 0) {
        wait_for_events(run, polls);
        handle_events(run, polls);
        if (stop_requested() && !run->ending) {
            report("stopping");
            run->failed++;
            end_all(run);
        }
        kill_late(run);
    }
    drain(run);
    free(polls);
    return run->failed ? TOOL_FAILED : TOOL_DONE;
}

/* Starts the ranks `first` to first + count - 1. */
static int run_ranks(const struct settings *s, int32_t first, int count, int *connections)
{
    struct run run = {.settings = s, .processes = calloc((size_t)count, sizeof(*run.processes))};
    int result;

    if (!run.processes)
        return report_failed("out of memory");
    for (; run.count < count; run.count++) {
        int connection = connections ? connections[run.count] : -1;

        if (!rank_start(&run.processes[run.count], first + run.count, &s->ranks, connection)) {
            run.failed++;
            break;
        }
        run.running++;
    }
    /* From here on only the ranks have them: one that ends is seen to end. */
    for (int i = 0; connections && i < count; i++)
        close(connections[i]);
    if (run.failed)
        end_all(&run);
    result = watch(&run);
    free(run.processes);
    return result;
}

static int run_all(const struct settings *s)
{
    int *connections = calloc((size_t)s->ranks.size, sizeof(*connections));
    cuframes_group_host_t *host;
    int result;
    int err;

    if (!connections)
        return report_failed("out of memory");
    err = cuframes_group_host_create(s->ranks.size, connections, &host);
    if (err) {
        free(connections);
        return report_library(err);
    }
    result = run_ranks(s, 0, s->ranks.size, connections);
    cuframes_group_host_destroy(host);
    free(connections);
    return result;
}

/* Before any option. */
static const struct settings defaults = {.ranks.prefix = true, .rank = -1};

int command_group(int argc, char **argv)
{
    struct settings s = defaults;
    int result = parse(argc, argv, &s);

    if (result != TOOL_CONTINUE)
        return result;
    stop_on_signals();
    return s.rank < 0 ? run_all(&s) : run_ranks(&s, s.rank, 1, NULL);
}
