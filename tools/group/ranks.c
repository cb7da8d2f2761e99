/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "group/ranks.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/report.h"

#define MOST_VARIABLES 7

/* A rank's environment. Made before the fork: the hub is a thread of this process, and what it does
 * at that moment, allocating for instance, the child must not need. */
struct environment {
    char **list; /* for exec: this process's own variables, then the texts; ends with NULL */
    char *texts[MOST_VARIABLES];
    size_t count;
};

/* Out of memory is seen at the end. */
__attribute__((format(printf, 2, 3))) static void add(struct environment *e, const char *format,
                                                      ...)
{
    va_list args;

    va_start(args, format);
    if (vasprintf(&e->texts[e->count], format, args) < 0)
        e->texts[e->count] = NULL;
    e->count++;
    va_end(args);
}

static void free_environment(struct environment *e)
{
    for (size_t i = 0; i < e->count; i++)
        free(e->texts[i]);
    free(e->list);
}

static bool is_replaced(const struct environment *e, const char *variable)
{
    for (size_t i = 0; i < e->count; i++) {
        size_t name = (size_t)(strchr(e->texts[i], '=') + 1 - e->texts[i]);

        if (strncmp(variable, e->texts[i], name) == 0)
            return true;
    }
    return false;
}

static bool make_list(struct environment *e)
{
    size_t own = 0, n = 0;

    for (size_t i = 0; i < e->count; i++)
        if (!e->texts[i])
            return false;
    while (environ[own])
        own++;
    e->list = calloc(own + e->count + 1, sizeof(*e->list));
    if (!e->list)
        return false;
    for (size_t i = 0; i < own; i++)
        if (!is_replaced(e, environ[i]))
            e->list[n++] = environ[i];
    memcpy(e->list + n, e->texts, e->count * sizeof(e->texts[0]));
    return true;
}

static bool make_environment(struct environment *e, int32_t rank,
                             const struct rank_settings *settings, int connection)
{
    *e = (struct environment){.count = 0};
    add(e, "CUFRAMES_GROUP_NAME=%s", settings->name);
    add(e, "CUFRAMES_GROUP_RANK=%d", rank);
    add(e, "CUFRAMES_GROUP_SIZE=%d", settings->size);
    if (connection >= 0)
        add(e, "CUFRAMES_GROUP_FD=%d", connection);
    if (settings->runtime_dir)
        add(e, "CUFRAMES_RUNTIME_DIR=%s", settings->runtime_dir);
    /* The names that programs know from other launchers. */
    add(e, "LOCAL_RANK=%d", rank);
    add(e, "LOCAL_WORLD_SIZE=%d", settings->size);
    if (make_list(e))
        return true;
    report("cannot start rank %d: out of memory", rank);
    free_environment(e);
    return false;
}

/* In the child. Returns only if the program cannot be run. */
static void become(const struct rank_settings *settings, const struct environment *environment,
                   int connection, int out, int err, pid_t parent)
{
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    if (connection >= 0)
        fcntl(connection, F_SETFD, 0);
    execvpe(settings->program[0], settings->program, environment->list);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", settings->program[0], strerror(errno));
}

static bool start_with_pipes(struct rank_process *process, const struct rank_settings *settings,
                             int connection, const int *out, const int *err)
{
    const pid_t parent = getpid();
    struct environment environment;

    if (!make_environment(&environment, process->rank, settings, connection))
        return false;
    process->pid = fork();
    if (process->pid < 0) {
        report("cannot start rank %d: %s", process->rank, strerror(errno));
        free_environment(&environment);
        return false;
    }
    if (process->pid == 0) {
        become(settings, &environment, connection, out[1], err[1], parent);
        _exit(127);
    }
    free_environment(&environment);
    /* In both, so that a signal to the group finds it whoever comes first. */
    setpgid(process->pid, process->pid);
    process->pidfd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) {
        report("cannot watch rank %d: %s", process->rank, strerror(errno));
        kill(process->pid, SIGKILL);
        waitpid(process->pid, NULL, 0);
        return false;
    }
    process->streams[0] = (struct rank_stream){.from = out[0], .to = STDOUT_FILENO};
    process->streams[1] = (struct rank_stream){.from = err[0], .to = STDERR_FILENO};
    return true;
}

bool rank_start(struct rank_process *process, int32_t rank, const struct rank_settings *settings,
                int connection)
{
    int out[2], err[2];
    bool started;

    *process = (struct rank_process){.rank = rank, .pidfd = -1};
    if (pipe2(out, O_CLOEXEC) != 0) {
        report("cannot make a pipe for rank %d: %s", rank, strerror(errno));
        return false;
    }
    if (pipe2(err, O_CLOEXEC) != 0) {
        report("cannot make a pipe for rank %d: %s", rank, strerror(errno));
        close(out[0]);
        close(out[1]);
        return false;
    }
    started = start_with_pipes(process, settings, connection, out, err);
    close(out[1]);
    close(err[1]);
    if (!started) {
        close(out[0]);
        close(err[0]);
    }
    return started;
}

/* Writes a line whole. What cannot be written is lost: the program matters more than its words. */
static void put_line(struct rank_stream *stream, int32_t rank, bool prefix, size_t length)
{
    char head[32];
    char end[] = "\n";
    struct iovec parts[3] = {
        {.iov_base = head, .iov_len = 0},
        {.iov_base = stream->line, .iov_len = length},
        {.iov_base = end, .iov_len = 1},
    };
    ssize_t ignored;

    if (prefix)
        parts[0].iov_len = (size_t)snprintf(head, sizeof(head), "[%d] ", rank);
    ignored = writev(stream->to, parts, 3);
    (void)ignored;
}

/* Passes on the whole lines, and everything when the line is full or the stream has ended. */
static void put_lines(struct rank_stream *stream, int32_t rank, bool prefix, bool everything)
{
    char *newline;

    while ((newline = memchr(stream->line, '\n', stream->length)) != NULL) {
        size_t length = (size_t)(newline - stream->line);

        put_line(stream, rank, prefix, length);
        stream->length -= (uint32_t)length + 1;
        memmove(stream->line, newline + 1, stream->length);
    }
    if (stream->length == sizeof(stream->line) || (everything && stream->length > 0)) {
        put_line(stream, rank, prefix, stream->length);
        stream->length = 0;
    }
}

bool rank_stream_pass(struct rank_stream *stream, int32_t rank, bool prefix)
{
    ssize_t n =
        read(stream->from, stream->line + stream->length, sizeof(stream->line) - stream->length);

    if (n < 0 && errno == EINTR)
        return true;
    if (n > 0)
        stream->length += (uint32_t)n;
    put_lines(stream, rank, prefix, n <= 0);
    if (n > 0)
        return true;
    close(stream->from);
    stream->from = -1;
    return false;
}

bool rank_reap(struct rank_process *process)
{
    if (process->pidfd < 0 || waitpid(process->pid, &process->status, WNOHANG) != process->pid)
        return false;
    close(process->pidfd);
    process->pidfd = -1;
    return true;
}

void rank_signal(const struct rank_process *process, int number)
{
    if (process->pidfd >= 0)
        kill(-process->pid, number);
}
