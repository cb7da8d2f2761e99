/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shared memory that is passed by descriptor: memfds with seals.
 *
 * A read-only descriptor protects nothing (it can be opened again for writing through
 * /proc/self/fd), a seal does. The maker maps first and seals afterwards: F_SEAL_FUTURE_WRITE
 * leaves the maker's own writable map alive and refuses every later one.
 */
#pragma once

#include <stddef.h>

/* A mapping. `addr` is NULL when there is none. */
struct cf_map {
    void *addr;
    size_t size;
};

enum cf_shm_writer {
    CF_SHM_MAKER_WRITES,  /* sealed SHRINK, GROW, FUTURE_WRITE, SEAL: peers can only read */
    CF_SHM_PEER_WRITES,   /* sealed SHRINK, GROW, SEAL: peers can write, the size stands */
    CF_SHM_NOBODY_WRITES, /* sealed WRITE as well, see cf_shm_create_constant() */
};

/*
 * Makes `size` bytes (rounded up to pages) of zeroed memory, all of it reserved now, maps it
 * (writable for CF_SHM_MAKER_WRITES, else also writable so that the maker can initialise it) and
 * seals it. The caller owns *fd and *map; both are written on success only.
 */
int cf_shm_create(const char *name, size_t size, enum cf_shm_writer writer, int *fd,
                  struct cf_map *map);

/*
 * Makes shared memory that begins with `size` bytes and that nobody can change any more, not even
 * its maker. The caller owns *fd, which is written on success only.
 */
int cf_shm_create_constant(const char *name, const void *bytes, size_t size, int *fd);

/*
 * Maps a descriptor that a peer sent, after checking that it carries the seals of `writer` and
 * has at least `size` bytes. Writable for CF_SHM_PEER_WRITES, else read-only.
 * Borrows fd. PROTOCOL if the check fails: in doubt, refuse.
 */
int cf_shm_attach(const char *what, int fd, size_t size, enum cf_shm_writer writer,
                  struct cf_map *map);

/* Unmaps and clears. An empty map is fine. */
void cf_map_release(struct cf_map *map);

size_t cf_page_round(size_t size);
