/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A write to a pipe that nobody reads blocks, and a signal just before it would be slept through.
 * So a pipe is opened once more with O_NONBLOCK, through /proc/self/fd: that makes a new file
 * description, and the flag does not reach the other processes that share ours.
 */
#include "common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/report.h"
#include "common/stop.h"

#define PIPE_BYTES (1 << 20)

static int open_again(int fd)
{
    struct stat status;
    char path[32];

    if (fstat(fd, &status) < 0 || !S_ISFIFO(status.st_mode))
        return -1;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
}

void output_open(struct output *output, int fd)
{
    output->fd = fd;
    output->private = open_again(fd);
    /* A default pipe takes 64 KiB: fewer wake-ups with more. Refused by the limit for unprivileged
     * users, then it stays as it is. */
    if (output->private >= 0)
        fcntl(output->private, F_SETPIPE_SZ, PIPE_BYTES);
}

int output_descriptor(const struct output *output)
{
    return output->private >= 0 ? output->private : output->fd;
}

void output_close(struct output *output)
{
    if (output->private >= 0)
        close(output->private);
    output->private = -1;
}

static void skip_written(struct iovec **parts, int *count, size_t written)
{
    while (*count > 0 && written >= (*parts)->iov_len) {
        written -= (*parts)->iov_len;
        (*parts)++;
        (*count)--;
    }
    if (*count > 0) {
        (*parts)->iov_base = (char *)(*parts)->iov_base + written;
        (*parts)->iov_len -= written;
    }
}

static enum output_result wait_writable(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};

    poll(&wait, 1, STOP_POLL_MS);
    return stop_requested() ? OUTPUT_STOPPED : OUTPUT_DONE;
}

enum output_result output_write(struct output *output, struct iovec *parts, int count)
{
    int fd = output_descriptor(output);

    while (count > 0) {
        ssize_t written = writev(fd, parts, count < IOV_MAX ? count : IOV_MAX);

        if (written >= 0) {
            skip_written(&parts, &count, (size_t)written);
        } else if (errno == EPIPE) {
            return OUTPUT_CLOSED;
        } else if (errno == EAGAIN || errno == EINTR) {
            if (wait_writable(fd) == OUTPUT_STOPPED)
                return OUTPUT_STOPPED;
        } else {
            report("cannot write the output: %s", strerror(errno));
            return OUTPUT_FAILED;
        }
    }
    return OUTPUT_DONE;
}

bool output_is_closed(const struct output *output)
{
    struct pollfd look = {.fd = output->fd, .events = 0};

    return poll(&look, 1, 0) == 1 && (look.revents & (POLLERR | POLLHUP)) != 0;
}

int output_finish_stdout(int exit_code)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);

    if (!failed)
        return exit_code;
    if (errno != EPIPE)
        report("cannot write the output: %s", strerror(errno));
    return exit_code == TOOL_DONE ? TOOL_FAILED : exit_code;
}
