/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber made by hand: speaks the wire protocol to a publisher, or does not, as the test
 * likes. And plain sockets for peers that speak something else.
 */
#pragma once

#include <stddef.h>

#include "base/shm.h"
#include "ring/layout.h"
#include "wire/connection.h"
#include "wire/message.h"

struct raw_client {
    int socket;
    struct cf_msg_attached attached;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;
    struct cf_map control, frames, holds;
};

/* Connects to the socket of a key in the test's runtime directory, with a socket of `type`
 * (SOCK_SEQPACKET, SOCK_STREAM); returns the descriptor, or -1 with errno. */
int raw_connect(const char *key, int type);

/* Listens on the socket of a key in the test's runtime directory with a socket of `type`. */
int raw_listen(const char *key, int type);

/* Connects, sends ATTACH and reads the answer, which must be ATTACHED; maps what came. */
void raw_attach(struct raw_client *client, const char *key, const char *name, uint32_t mode);
/* The same steps over a connected socket, which it takes over. */
void raw_attach_over(struct raw_client *client, int socket, const char *name, uint32_t mode);
void raw_detach(struct raw_client *client);

static inline const struct cf_ring_header *raw_header(const struct raw_client *client)
{
    return client->control.addr;
}

static inline struct cf_hold_page *raw_page(const struct raw_client *client)
{
    return client->holds.addr;
}

/* Sends; fails the test if the library's sender refuses. */
void raw_send(int socket, const struct cf_message *message);
/* Receives the next message within the test's patience; descriptors are closed unless `fds`. */
int raw_receive(int socket, struct cf_message *message, int *fds, size_t *fd_count);
/* Receives an ERROR message and gives its number; the text must not be empty. */
int raw_receive_error(int socket, char text[CF_WIRE_TEXT_SIZE]);
/* Waits until the other side has hung up, reading whatever comes. */
void raw_wait_hang_up(int socket);
