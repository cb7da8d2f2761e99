/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One record at a time over a connected socket. Descriptors that were received are owned by the
 * code here until the record has been accepted as a message; whatever else happens closes them.
 */
#include "wire/connection.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"

/* Room for other control data (credentials, security labels, a pidfd) that the options of a
 * socket made elsewhere can bring along; it is ignored. */
#define FOREIGN_CONTROL 512

union control {
    struct cmsghdr alignment;
    char bytes[CMSG_SPACE(CF_WIRE_MAX_FDS * sizeof(int)) + FOREIGN_CONTROL];
};

/* A record as it came. */
struct record {
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size;
    int flags; /* of struct msghdr */
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;
    bool flooded; /* more descriptors came than any message has; the rest is closed */
};

static void close_all(struct record *record)
{
    for (size_t i = 0; i < record->fd_count; i++)
        cf_close(&record->fds[i]);
    record->fd_count = 0;
}

static int hung_up(const char *how)
{
    return cf_fail(CUFRAMES_ERR_DISCONNECTED, "the peer %s", how);
}

static void attach_fds(struct msghdr *header, union control *control, const int *fds,
                       size_t fd_count)
{
    struct cmsghdr *cmsg;

    memset(control, 0, sizeof(*control));
    header->msg_control = control->bytes;
    header->msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
    cmsg = CMSG_FIRSTHDR(header);
    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
    memcpy(CMSG_DATA(cmsg), fds, fd_count * sizeof(int));
}

static int send_error(int errnum, const struct cf_message *message)
{
    switch (errnum) {
    case EAGAIN:
        return cf_fail(CUFRAMES_ERR_WOULD_BLOCK, "the peer does not read its messages");
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return hung_up("has closed the connection");
    default:
        return cf_fail_errno(errnum, "cannot send a message of type %d", (int)message->type);
    }
}

int cf_connection_send(int socket, const struct cf_message *message, const int *fds,
                       size_t fd_count)
{
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    union control control;
    struct iovec part = {.iov_base = bytes, .iov_len = cf_message_encode(message, bytes)};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (fd_count > CF_WIRE_MAX_FDS)
        return cf_fail(CUFRAMES_ERR_INTERNAL, "%zu descriptors for one message", fd_count);
    if (fd_count > 0)
        attach_fds(&header, &control, fds, fd_count);
    do
        sent = cf_sys.sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? send_error(errno, message) : CUFRAMES_OK;
}

/* Takes over every descriptor that the kernel installed. */
static void collect_fds(struct msghdr *header, struct record *record)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
        size_t count;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (record->fd_count < CF_WIRE_MAX_FDS) {
                record->fds[record->fd_count++] = fd;
            } else {
                record->flooded = true;
                cf_close(&fd);
            }
        }
    }
}

/* 0, or the errno of recvmsg(). */
static int receive_record(int socket, struct record *record)
{
    union control control;
    struct iovec part = {.iov_base = record->bytes, .iov_len = sizeof(record->bytes)};
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof(control.bytes)};
    ssize_t size = cf_sys.recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    if (size < 0)
        return errno;
    record->size = (size_t)size;
    record->flags = header.msg_flags;
    record->fd_count = 0;
    record->flooded = false;
    collect_fds(&header, record);
    return 0;
}

static int judge_record(const struct record *record, struct cf_message *message)
{
    if (record->flags & MSG_TRUNC)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message is longer than %d bytes",
                       CF_WIRE_MAX_MESSAGE);
    if (record->flooded)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's message came with more than %d descriptors", CF_WIRE_MAX_FDS);
    /* All that a message can have fits into the control data: those that are missing could not be
     * installed here. */
    if (record->flags & MSG_CTRUNC)
        return cf_fail(CUFRAMES_ERR_TOO_MANY,
                       "not all descriptors of the peer's message could be taken: this process has "
                       "as many open as it may (raise the limit: ulimit -n)");
    /* Also what a peer that sends an empty record gets: there is no such message. */
    if (record->size == 0)
        return hung_up("has closed the connection");
    return cf_message_decode(record->bytes, record->size, record->fd_count, message);
}

/* Waits for something to read; more than a signal ends it. OK, TIMEOUT or WOULD_BLOCK. */
static int wait_readable(int socket, int64_t deadline_ns)
{
    struct pollfd poller = {.fd = socket, .events = POLLIN};

    /* Not an error worth a sentence: it is how a caller asks whether there is anything. */
    if (deadline_ns == 0)
        return CUFRAMES_ERR_WOULD_BLOCK;
    for (;;) {
        int left = cf_poll_ms(deadline_ns, 60000);
        int ready = poll(&poller, 1, left);

        if (ready > 0)
            return CUFRAMES_OK;
        if (ready < 0 && errno != EINTR)
            return cf_fail_errno(errno, "cannot wait for the peer's message");
        if (left == 0)
            return cf_fail(CUFRAMES_ERR_TIMEOUT, "the peer did not answer in time");
    }
}

int cf_connection_receive(int socket, struct cf_message *message, int *fds, size_t *fd_count,
                          int64_t deadline_ns)
{
    struct record record;
    int err, errnum;

    while ((errnum = receive_record(socket, &record)) != 0) {
        if (errnum == EINTR)
            continue;
        if (errnum == ECONNRESET || errnum == ENOTCONN || errnum == EPIPE)
            return hung_up("has closed the connection without reading all that was sent to it");
        if (errnum != EAGAIN)
            return cf_fail_errno(errnum, "cannot receive the peer's message");
        err = wait_readable(socket, deadline_ns);
        if (err)
            return err;
    }
    err = judge_record(&record, message);
    if (err) {
        close_all(&record);
        return err;
    }
    memcpy(fds, record.fds, record.fd_count * sizeof(int));
    *fd_count = record.fd_count;
    return CUFRAMES_OK;
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

int cf_connection_check(int fd)
{
    struct sockaddr_un peer;
    socklen_t size = sizeof(peer);
    int domain, type;

    if (get_option(fd, SO_DOMAIN, &domain) != 0 || get_option(fd, SO_TYPE, &type) != 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "descriptor %d is %s", fd,
                       errno == EBADF ? "not open" : "not a socket");
    if (domain != AF_UNIX || type != SOCK_SEQPACKET)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "descriptor %d is a socket of another kind: a Unix socket of type "
                       "SOCK_SEQPACKET is needed",
                       fd);
    if (getpeername(fd, (struct sockaddr *)&peer, &size) != 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the socket %d is not connected", fd);
    return CUFRAMES_OK;
}
