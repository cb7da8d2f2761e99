/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The flag is written by the handler only. A signal that comes between a look at the flag and a
 * wait would be slept through, so waits are cut into pieces of STOP_POLL_MS.
 */
#include "common/stop.h"

#include <signal.h>
#include <stddef.h>
#include <time.h>

#include <cuframes/version.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

void stop_on_signals(void)
{
    /* No SA_RESTART: a blocking write is to end. SA_RESETHAND: the second signal kills. */
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool stop_requested(void)
{
    return stopped;
}

bool stop_sleep_until(int64_t deadline_ns)
{
    while (!stopped) {
        int64_t now = cuframes_now_ns();
        int64_t until = now + STOP_POLL_MS * INT64_C(1000000);
        struct timespec time;

        if (now >= deadline_ns)
            return true;
        if (until > deadline_ns)
            until = deadline_ns;
        time.tv_sec = until / 1000000000;
        time.tv_nsec = until % 1000000000;
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
    }
    return false;
}
