/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages that a unixfdsink sends, with their descriptors, one after the other from a socket.
 */
#pragma once

#include <stdbool.h>

#include "unixfd/socket.h"

struct intake {
    int socket; /* owned; -1 = none */
    uint32_t command;
    uint8_t *payload; /* owned */
    size_t payload_size, payload_room;
    struct unixfd_fds fds; /* owned */
};

enum intake_result {
    INTAKE_MESSAGE,
    INTAKE_NOTHING, /* none has begun within the time */
    INTAKE_LOST,    /* the peer has gone, or what it sends is none of the protocol's */
};

/* Takes the socket. */
void intake_open(struct intake *intake, int socket);
void intake_close(struct intake *intake);
/*
 * The next message, into intake's own fields, which are good until the next call. Waits `timeout_ms`
 * for it to begin; once begun it must end soon. `why` is written with LOST.
 */
enum intake_result intake_next(struct intake *intake, int timeout_ms, const char **why);
