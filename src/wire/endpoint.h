/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names: the runtime directory, the socket of a key in it, listening there and connecting to it.
 *
 * A key belongs to the process that listens on its socket. Taking a key is done under a lock on
 * <key>.lock (flock: it works across PID namespaces and vanishes with its owner), which is held
 * only while a socket that has no listener is replaced by one that listens; the lock file is
 * removed again. So a process that dies leaves the socket's name and nothing else, and the next
 * publisher takes that over.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/un.h>

#include <cuframes/base.h>

#include "wire/path.h"

/* CUFRAMES_OK, or INVALID_ARG with the reason. NULL is refused. */
int cf_key_check(const char *key);

/* A consumer name: 1 to 63 printable ASCII characters, no space. */
int cf_name_check(const char *name);

/* Most bytes of a runtime directory's path, NUL included. */
#define CF_RUNTIME_DIR_SIZE (sizeof(((struct sockaddr_un *)0)->sun_path))

/* The runtime directory as a caller gave it, or (NULL) the default. INVALID_ARG if it is too long
 * for the sockets in it: the message says how long it may be. Makes nothing. */
int cf_runtime_dir_resolve(const char *given, char path[CF_RUNTIME_DIR_SIZE]);

/* Makes the directory (0700 below /tmp and $XDG_RUNTIME_DIR, 0755 else) unless it is there, and
 * checks that it is a directory that belongs to root or this user, is not a symbolic link, and
 * cannot be written by others (sticky directories excepted); and the same of each directory above
 * it, where links of root and of this user are followed. PERMISSION or IO, and what to do. */
int cf_runtime_dir_ensure(const char *path);

/* The same look without the owners, who are noted; NOT_FOUND if it is not there. */
int cf_runtime_dir_look(const char *path, struct cf_path_stranger *stranger);

/* Whether a socket in the directory `path`, whose owners are noted in *stranger and behind which is
 * the user `publisher`, can be trusted to be what it is named: PERMISSION if somebody else may have
 * put it there. */
int cf_runtime_dir_trust(const char *path, const struct cf_path_stranger *stranger,
                         uid_t publisher);

/* "<dir>/<key>.sock" as an address. The key has been checked. */
int cf_endpoint_address(const char *dir, const char *key, struct sockaddr_un *address);

/* A listening socket. */
struct cf_endpoint {
    int socket; /* non-blocking, close-on-exec */
    struct sockaddr_un address;
    dev_t device; /* identity of the socket file, to remove no other */
    ino_t inode;
};

/* Takes the key: ALREADY_EXISTS if it has a live publisher. `mode` are the socket's permission
 * bits; `group` a name or number, or NULL. */
int cf_endpoint_listen(const char *dir, const char *key, mode_t mode, const char *group,
                       struct cf_endpoint *endpoint);

/* Closes, and removes the name if it is still this socket's. Safe on a closed endpoint. */
void cf_endpoint_close(struct cf_endpoint *endpoint);

/* Connects (non-blocking, close-on-exec) to the publisher of a key. NOT_FOUND if nobody listens,
 * PERMISSION, PROTOCOL if the socket is not SOCK_SEQPACKET (an older cuframes). */
int cf_endpoint_connect(const char *dir, const char *key, int *socket);

/* Whoever listens there did not answer in time. Returns TIMEOUT, with the sentence. */
int cf_endpoint_silent(const char *key);
