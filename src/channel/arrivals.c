/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How many connections are taken in a while. Each costs the service thread some microseconds, which a
 * flood of them would take from those who read; beyond the limit they wait in the kernel's queue.
 * Runs on the service thread.
 */
#include <sys/epoll.h>

#include "base/log.h"
#include "base/sys.h"
#include "channel/publisher.h"

/* At once, and from then on so many each so often. */
#define MOST     512
#define STEP     20
#define EVERY_NS (2 * CF_NS_PER_MS)

void cf_arrivals_init(cuframes_publisher_t *publisher)
{
    cf_rate_limit_init(&publisher->arrivals, MOST, STEP, EVERY_NS);
}

static void watch(cuframes_publisher_t *publisher, bool on)
{
    struct epoll_event event = {.events = on ? EPOLLIN : 0, .data.ptr = &publisher->endpoint};
    const int result =
        cf_sys.epoll_ctl(publisher->epoll, EPOLL_CTL_MOD, publisher->endpoint.socket, &event);

    /* Where it cannot be watched again it is tried again. */
    publisher->crowded = !on || result != 0;
}

bool cf_arrivals_may(cuframes_publisher_t *publisher)
{
    const int64_t now = cf_now_ns();

    if (cf_rate_limit_may(&publisher->arrivals, now))
        return true;
    watch(publisher, false);
    if (cf_log_limit_take(&publisher->crowds, now))
        cf_log(CUFRAMES_LOG_WARNING, "%s: more than %d connections a second: some have to wait",
               publisher->key, (int)(STEP * CF_NS_PER_S / EVERY_NS));
    return false;
}

int64_t cf_arrivals_due(cuframes_publisher_t *publisher)
{
    const int64_t now = cf_now_ns(), due = cf_rate_limit_next(&publisher->arrivals);

    if (cf_log_limit_end(&publisher->crowds) <= now)
        cf_log_limit_reset(&publisher->crowds);
    if (!publisher->crowded || publisher->endpoint.socket < 0)
        return CF_NEVER;
    if (due > now)
        return due;
    watch(publisher, true);
    return publisher->crowded ? now + EVERY_NS : CF_NEVER;
}
