/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals. The handler sets a flag, wakes the sleeper through an eventfd and starts a timer; the
 * kernel gives a process's signal to its first thread where that does not block it, so a read from
 * a pipe there ends with EINTR.
 */
#include "shutdown.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <cuframes/cuframes.h>

#define NANOSECONDS 1000000000
#define PATIENCE_NS (800 * 1000 * 1000)

static atomic_bool requested;
static int wake_fd = -1;
static timer_t patience;

static void on_stop(int signum)
{
    const struct itimerspec soon = {.it_value = {.tv_nsec = PATIENCE_NS}};
    const uint64_t one = 1;
    int saved = errno;
    ssize_t ignored;

    (void)signum;
    atomic_store_explicit(&requested, true, memory_order_relaxed);
    ignored = write(wake_fd, &one, sizeof(one));
    (void)ignored;
    timer_settime(patience, 0, &soon, NULL);
    errno = saved;
}

static void on_patience_gone(int signum)
{
    (void)signum;
    _exit(0);
}

int shutdown_install(void)
{
    struct sigaction stop = {.sa_handler = on_stop, .sa_flags = (int)SA_RESETHAND};
    struct sigaction end = {.sa_handler = on_patience_gone};
    struct sigevent alarm = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0 || timer_create(CLOCK_MONOTONIC, &alarm, &patience) < 0)
        return -errno;
    sigaction(SIGALRM, &end, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGHUP, &stop, NULL);
    signal(SIGPIPE, SIG_IGN);
    return 0;
}

bool shutdown_requested(void)
{
    return atomic_load_explicit(&requested, memory_order_relaxed);
}

bool shutdown_sleep_until(int64_t when_ns)
{
    struct pollfd wake = {.fd = wake_fd, .events = POLLIN};

    while (!shutdown_requested()) {
        int64_t left = when_ns - cuframes_now_ns();
        struct timespec timeout = {.tv_sec = left / NANOSECONDS, .tv_nsec = left % NANOSECONDS};

        if (left <= 0)
            return true;
        ppoll(&wake, 1, &timeout, NULL);
    }
    return false;
}
