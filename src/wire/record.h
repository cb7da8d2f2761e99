/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One record at a time over a connected SOCK_SEQPACKET Unix socket: bytes, and descriptors beside
 * them. What the bytes mean is for others (message.h, group_message.h).
 *
 * Nothing here keeps state. Sending never blocks. Descriptors are close-on-exec from birth; those
 * of a record that is refused are closed.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "wire/message.h"

/* Most descriptors that the kernel sends with one record (SCM_MAX_FD). */
#define CF_RECORD_MAX_FDS 253

struct cf_record {
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size; /* at least 1 */
    int fds[CF_RECORD_MAX_FDS];
    size_t fd_count;
};

/*
 * Sends one record with `fd_count` borrowed descriptors. WOULD_BLOCK when the socket's buffer is
 * full, DISCONNECTED when the peer is gone.
 */
int cf_record_send(int socket, const uint8_t *bytes, size_t size, const int *fds, size_t fd_count);

/*
 * Receives one record of at most `most_fds` descriptors, which the caller then owns. Waits until
 * `deadline_ns` (CLOCK_MONOTONIC; 0 = do not wait): TIMEOUT, or WOULD_BLOCK with 0. DISCONNECTED
 * when the peer has hung up, PROTOCOL for a record that is too long or was cut short.
 */
int cf_record_receive(int socket, struct cf_record *record, size_t most_fds, int64_t deadline_ns);

/* Waits for something to read. OK, TIMEOUT, or WOULD_BLOCK with a deadline of 0. */
int cf_record_wait(int socket, int64_t deadline_ns);

/* Closes the descriptors that are still in the record. */
void cf_record_close_fds(struct cf_record *record);
