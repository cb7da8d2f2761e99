/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages over records, and what can be asked of a connection.
 */
#include "wire/connection.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"
#include "wire/record.h"

/* Newer than the headers of the systems that this is built on. */
#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83
#endif

int cf_connection_send(int socket, const struct cf_message *message, const int *fds,
                       size_t fd_count)
{
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];

    return cf_record_send(socket, bytes, cf_message_encode(message, bytes), fds, fd_count);
}

int cf_connection_receive(int socket, struct cf_message *message, int *fds, size_t *fd_count,
                          int64_t deadline_ns)
{
    struct cf_record record;
    int err = cf_record_receive(socket, &record, CF_WIRE_MAX_FDS, deadline_ns);

    if (err)
        return err;
    err = cf_message_decode(record.bytes, record.size, record.fd_count, message);
    if (err) {
        cf_record_close_fds(&record);
        return err;
    }
    memcpy(fds, record.fds, record.fd_count * sizeof(int));
    *fd_count = record.fd_count;
    return CUFRAMES_OK;
}

void cf_connection_refuse_descriptors(int socket)
{
    const int none = 0;

    /* Unknown before Linux 6.16: then they come, and are closed. */
    (void)setsockopt(socket, SOL_SOCKET, SO_PASSRIGHTS, &none, sizeof(none));
}

int cf_connection_wait(int socket, int64_t deadline_ns)
{
    return cf_record_wait(socket, deadline_ns);
}

bool cf_connection_hung_up(int socket)
{
    struct pollfd poller = {.fd = socket, .events = POLLRDHUP};

    return poll(&poller, 1, 0) > 0 &&
           (poller.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)) != 0;
}

int cf_connection_credentials(int socket, struct cf_peer_credentials *credentials)
{
    struct ucred kernel;
    socklen_t size = sizeof(kernel);

    if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &kernel, &size) != 0)
        return cf_fail_errno(errno, "cannot ask who the peer is");
    *credentials =
        (struct cf_peer_credentials){.pid = kernel.pid, .uid = kernel.uid, .gid = kernel.gid};
    return CUFRAMES_OK;
}

static int get_option(int fd, int option, int *value)
{
    socklen_t size = sizeof(*value);

    return getsockopt(fd, SOL_SOCKET, option, value, &size);
}

static int get_option_error(int fd)
{
    if (errno == EBADF || errno == ENOTSOCK)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "descriptor %d is %s", fd,
                       errno == EBADF ? "not open" : "not a socket");
    return cf_fail_errno(errno, "cannot look at the descriptor %d", fd);
}

int cf_connection_check(int fd)
{
    struct sockaddr_un peer;
    socklen_t size = sizeof(peer);
    int domain, type;

    if (get_option(fd, SO_DOMAIN, &domain) != 0 || get_option(fd, SO_TYPE, &type) != 0)
        return get_option_error(fd);
    if (domain != AF_UNIX || type != SOCK_SEQPACKET)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "descriptor %d is a socket of another kind: a Unix socket of type "
                       "SOCK_SEQPACKET is needed",
                       fd);
    if (getpeername(fd, (struct sockaddr *)&peer, &size) == 0)
        return CUFRAMES_OK;
    if (errno != ENOTCONN)
        return cf_fail_errno(errno, "cannot look at the socket %d", fd);
    return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the socket %d is not connected", fd);
}
