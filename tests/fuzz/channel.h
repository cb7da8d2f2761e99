/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel in the target's own process, to which clients are connected without a name.
 */
#pragma once

#include <cuframes/cuframes.h>

#include "base/clock.h"
#include "script.h"

/* This end of a new connection to the publisher. */
static inline int channel_connect(cuframes_publisher_t *publisher)
{
    int ends[2];

    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    FUZZ_REQUIRE(cuframes_publisher_add_client(publisher, ends[0]) == CUFRAMES_OK);
    return ends[1];
}

/* Until the service thread has done what it was told before: it answers a question that came later,
 * and hangs up. A connection is closed there before this end learns of it. */
static inline void channel_settle(cuframes_publisher_t *publisher)
{
    const int64_t deadline = cf_now_ns() + 5 * CF_NS_PER_S;
    struct cf_message message = {.type = CF_MSG_QUERY};
    int socket = channel_connect(publisher);
    int fds[CF_WIRE_MAX_FDS];
    size_t count = 0;
    int err;

    FUZZ_REQUIRE(cf_connection_send(socket, &message, NULL, 0) == CUFRAMES_OK);
    do
        err = cf_connection_receive(socket, &message, fds, &count, deadline);
    while (!err);
    FUZZ_REQUIRE(err == CUFRAMES_ERR_DISCONNECTED);
    FUZZ_REQUIRE(message.type == CF_MSG_REPORT_SUBSCRIBERS && count == 0);
    close(socket);
}
