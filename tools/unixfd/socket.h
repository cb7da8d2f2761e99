/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Stream sockets of the file system, non-blocking, and messages with descriptors over them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "unixfd/protocol.h"

/*
 * Listens on `path` with permission bits `mode`; a socket that nobody listens on is replaced.
 * -1 after a report.
 */
int unixfd_listen(const char *path, uint32_t mode);
/* Connects. -1 with errno set. */
int unixfd_connect(const char *path);

enum unixfd_sent {
    UNIXFD_SENT,
    UNIXFD_FULL, /* nothing was sent: the peer does not read */
    UNIXFD_GONE, /* the connection is of no use any more */
};

/* Sends all of `message`, with `fd` `count` times (at most CUFRAMES_MAX_PLANES), or nothing. Never
 * waits. */
enum unixfd_sent unixfd_send(int socket, const struct unixfd_message *message, int fd,
                             uint32_t count);

/* Descriptors that came with a message. */
struct unixfd_fds {
    int count;
    int fd[UNIXFD_MAX_MEMORIES];
};

/*
 * Reads what is there, at most `size` bytes. Returns how many; 0 when nothing is there now; -1
 * when the peer has gone or sends more descriptors than a buffer can have. Those that come are
 * added to `fds`, also with -1; without `fds` none are taken, and who sends them gets -1.
 */
ssize_t unixfd_receive(int socket, void *bytes, size_t size, struct unixfd_fds *fds);
void unixfd_close(struct unixfd_fds *fds);
