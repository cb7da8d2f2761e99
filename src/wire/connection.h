/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sending and receiving messages with descriptors over a connected SOCK_SEQPACKET Unix socket.
 *
 * Nothing here keeps state. Sending never blocks. Descriptors are close-on-exec from birth;
 * control data that was truncated closes what came and fails.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "wire/message.h"

/* Who is at the other end, by the kernel's word. */
struct cf_peer_credentials {
    pid_t pid; /* 0 when it is in another PID namespace */
    uid_t uid;
    gid_t gid;
};

/*
 * Sends one message with `fd_count` borrowed descriptors. WOULD_BLOCK when the socket's buffer is
 * full, DISCONNECTED when the peer is gone.
 */
int cf_connection_send(int socket, const struct cf_message *message, const int *fds,
                       size_t fd_count);

/*
 * Receives one message. `fds` has room for CF_WIRE_MAX_FDS; the caller owns the *fd_count
 * descriptors that came with a message that was received; on failure there are none. Waits until
 * `deadline_ns` (CLOCK_MONOTONIC; 0 = do not wait): TIMEOUT, or WOULD_BLOCK with 0. DISCONNECTED
 * when the peer has hung up, PROTOCOL for anything that is not a message, TOO_MANY when this
 * process could not open all descriptors that came.
 */
int cf_connection_receive(int socket, struct cf_message *message, int *fds, size_t *fd_count,
                          int64_t deadline_ns);

/* No descriptors shall come in: whoever sends one is refused by the kernel, where it can do that. What
 * connects to a listening socket inherits it. Taking a descriptor can take as long as its sender likes:
 * if it is the last one of its file, whoever takes it waits while the file is closed. */
void cf_connection_refuse_descriptors(int socket);

/* Waits until there is something to receive, the hang-up included: TIMEOUT at `deadline_ns`. */
int cf_connection_wait(int socket, int64_t deadline_ns);

/* Whether the peer has hung up. Does not wait, reads nothing. */
bool cf_connection_hung_up(int socket);

int cf_connection_credentials(int socket, struct cf_peer_credentials *credentials);

/* CUFRAMES_OK if `fd` is a connected SOCK_SEQPACKET Unix socket; else INVALID_ARG and why. */
int cf_connection_check(int fd);
