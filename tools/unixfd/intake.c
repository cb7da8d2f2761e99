/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unixfd/intake.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include <cuframes/cuframes.h>

/* Caps are some hundred bytes; a buffer's metas can be more. */
#define MOST_PAYLOAD (1 << 20)
/* How long a message that has begun may take. */
#define MESSAGE_LIMIT_MS 5000

void intake_open(struct intake *intake, int socket)
{
    *intake = (struct intake){.socket = socket};
}

void intake_close(struct intake *intake)
{
    unixfd_close(&intake->fds);
    free(intake->payload);
    if (intake->socket >= 0)
        close(intake->socket);
    *intake = (struct intake){.socket = -1};
}

static bool wait_readable(const struct intake *intake, int64_t deadline_ns)
{
    struct pollfd wait = {.fd = intake->socket, .events = POLLIN};
    int64_t left_ns = deadline_ns - cuframes_now_ns();

    return left_ns > 0 && poll(&wait, 1, (int)(left_ns / 1000000) + 1) > 0;
}

static bool receive_all(struct intake *intake, void *bytes, size_t size, int64_t deadline_ns)
{
    uint8_t *at = bytes;

    while (size > 0) {
        ssize_t got = unixfd_receive(intake->socket, at, size, &intake->fds);

        if (got < 0 || (got == 0 && !wait_readable(intake, deadline_ns)))
            return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

static bool make_room(struct intake *intake, size_t size)
{
    uint8_t *larger;

    if (size <= intake->payload_room)
        return true;
    larger = realloc(intake->payload, size);
    if (!larger)
        return false;
    intake->payload = larger;
    intake->payload_room = size;
    return true;
}

enum intake_result intake_next(struct intake *intake, int timeout_ms, const char **why)
{
    struct pollfd wait = {.fd = intake->socket, .events = POLLIN};
    uint8_t header[UNIXFD_HEADER_SIZE];
    int64_t deadline_ns;
    uint32_t size;

    unixfd_close(&intake->fds);
    if (poll(&wait, 1, timeout_ms) <= 0)
        return INTAKE_NOTHING;
    deadline_ns = cuframes_now_ns() + INT64_C(1000000) * MESSAGE_LIMIT_MS;
    *why = "it has closed the connection, or sends half of a message";
    if (!receive_all(intake, header, sizeof(header), deadline_ns))
        return INTAKE_LOST;
    unixfd_decode_header(header, &intake->command, &size);
    if (size > MOST_PAYLOAD || !make_room(intake, size)) {
        *why = "it announces a message that is too long";
        return INTAKE_LOST;
    }
    if (!receive_all(intake, intake->payload, size, deadline_ns))
        return INTAKE_LOST;
    intake->payload_size = size;
    return INTAKE_MESSAGE;
}
