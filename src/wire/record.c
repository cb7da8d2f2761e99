/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors that were received are owned by the code here until the record has been accepted;
 * whatever else happens closes them.
 */
#include "wire/record.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/sys.h"

/* Room for other control data (credentials, security labels, a pidfd) that the options of a
 * socket made elsewhere can bring along; it is ignored. */
#define FOREIGN_CONTROL 512

union control {
    struct cmsghdr alignment;
    char bytes[CMSG_SPACE(CF_RECORD_MAX_FDS * sizeof(int)) + FOREIGN_CONTROL];
};

void cf_record_close_fds(struct cf_record *record)
{
    for (size_t i = 0; i < record->fd_count; i++)
        cf_close(&record->fds[i]);
    record->fd_count = 0;
}

#define RESET "has closed the connection without reading all that was sent to it"

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

static int send_error(int errnum)
{
    switch (errnum) {
    case EAGAIN:
        return cf_fail(CUFRAMES_ERR_WOULD_BLOCK, "the peer does not read its messages");
    case EPIPE:
    case ECONNRESET:
    case ENOTCONN:
        return hung_up("has closed the connection");
    default:
        return cf_fail_errno(errnum, "cannot send a message");
    }
}

int cf_record_send(int socket, const uint8_t *bytes, size_t size, const int *fds, size_t fd_count)
{
    union control control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (fd_count > CF_RECORD_MAX_FDS)
        return cf_fail(CUFRAMES_ERR_INTERNAL, "%zu descriptors for one message", fd_count);
    if (fd_count > 0)
        attach_fds(&header, &control, fds, fd_count);
    do
        sent = cf_sys.sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? send_error(errno) : CUFRAMES_OK;
}

/* Takes over every descriptor that the kernel installed. False: more came than are allowed; the
 * rest is closed. */
static bool collect_fds(struct msghdr *header, struct cf_record *record, size_t most_fds)
{
    bool fit = true;

    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
        size_t count;

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
            continue;
        count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
            if (record->fd_count < most_fds) {
                record->fds[record->fd_count++] = fd;
            } else {
                fit = false;
                cf_close(&fd);
            }
        }
    }
    return fit;
}

static int judge(const struct cf_record *record, int flags, bool fit, size_t most_fds)
{
    if (flags & MSG_TRUNC)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the peer's message is longer than %d bytes",
                       CF_WIRE_MAX_MESSAGE);
    if (!fit)
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the peer's message came with more than %zu descriptors", most_fds);
    /* All that a record may have fits into the control data: those that are missing could not be
     * installed here. */
    if (flags & MSG_CTRUNC)
        return cf_fail(CUFRAMES_ERR_TOO_MANY,
                       "not all descriptors of the peer's message could be taken: this process has "
                       "as many open as it may (raise the limit: ulimit -n)");
    /* Also what a peer that sends an empty record gets: there is no such message. */
    if (record->size == 0)
        return hung_up("has closed the connection");
    return CUFRAMES_OK;
}

/* CUFRAMES_OK and a record, or the errno of recvmsg() in *errnum, or an error. */
static int receive_now(int socket, struct cf_record *record, size_t most_fds, int *errnum)
{
    union control control;
    struct iovec part = {.iov_base = record->bytes, .iov_len = sizeof(record->bytes)};
    struct msghdr header = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE(most_fds * sizeof(int)) + FOREIGN_CONTROL,
    };
    ssize_t size = cf_sys.recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    bool fit;
    int err;

    *errnum = size < 0 ? errno : 0;
    if (size < 0)
        return CUFRAMES_OK;
    record->size = (size_t)size;
    record->fd_count = 0;
    fit = collect_fds(&header, record, most_fds);
    err = judge(record, header.msg_flags, fit, most_fds);
    if (err)
        cf_record_close_fds(record);
    return err;
}

/* Waits for something to read; more than a signal ends it. OK, TIMEOUT or WOULD_BLOCK. */
int cf_record_wait(int socket, int64_t deadline_ns)
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

int cf_record_receive(int socket, struct cf_record *record, size_t most_fds, int64_t deadline_ns)
{
    bool reset = false;

    for (;;) {
        int errnum;
        int err = receive_now(socket, record, most_fds, &errnum);

        if (reset && (err == CUFRAMES_ERR_DISCONNECTED || errnum == EAGAIN))
            return hung_up(RESET);
        if (err || errnum == 0)
            return err;
        if (errnum == EINTR)
            continue;
        /* The peer closed with something unread. That is reported first, and once; what it had
         * sent before is still there. */
        if (errnum == ECONNRESET && !reset) {
            reset = true;
            continue;
        }
        if (errnum == ECONNRESET || errnum == ENOTCONN || errnum == EPIPE)
            return hung_up(RESET);
        if (errnum != EAGAIN)
            return cf_fail_errno(errnum, "cannot receive the peer's message");
        err = cf_record_wait(socket, deadline_ns);
        if (err)
            return err;
    }
}
