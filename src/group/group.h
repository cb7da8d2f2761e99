/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rank of a group: its connection to the hub, the board, and the memory for large exchanges.
 * One thread at a time.
 */
#pragma once

#include <cuframes/group.h>

#include "base/fork.h"
#include "base/shm.h"
#include "group/board.h"
#include "group/hub.h"
#include "wire/message.h"
#include "wire/record.h"

struct cuframes_group {
    unsigned fork_count;
    char name[CUFRAMES_GROUP_NAME_MAX + 1]; /* empty when the connection was handed down */
    uint32_t rank;
    uint32_t size;
    int socket;
    struct cf_fork_guard guard;
    char missing[CF_WIRE_TEXT_SIZE]; /* who had not come, when it gave up waiting */
    struct cf_hub *hub;              /* in the process that came first; else NULL */
    struct cf_map board_map;
    struct cf_map region; /* for exchanges that do not fit on the board; grows */
    uint32_t exchange;    /* exchanges of bytes so far; its last bit says whose turn it is */
    uint32_t round;       /* exchanges of descriptors so far */
    bool may_spin;        /* there are cores for all ranks */
    struct cf_spin spin;
};

struct cuframes_group_host {
    struct cf_hub *hub;
};

static inline struct cf_board *cf_group_board(const cuframes_group_t *group)
{
    return group->board_map.addr;
}

/* group.c */
int cf_group_create(const cuframes_group_config_t *config, cuframes_group_t **group);
int cf_group_create_from_fd(const cuframes_group_config_t *config, int fd,
                            cuframes_group_t **group);
void cf_group_destroy(cuframes_group_t *group);
int cf_group_host_create(uint32_t size, int *fds, cuframes_group_host_t **host);
void cf_group_host_destroy(cuframes_group_host_t *host);
/* The next record of the hub, as cf_record_receive(); INTERRUPTED if the program ends the wait. */
int cf_group_receive(const cuframes_group_t *group, struct cf_record *record, size_t most_fds,
                     int64_t deadline_ns);
/* The barrier of the first `ranks` ranks. */
int cf_group_barrier(cuframes_group_t *group, uint32_t ranks, int64_t deadline_ns);
/* Records why the group is broken, and returns the error for it. */
int cf_group_broken(const cuframes_group_t *group);
/* Breaks the group because this rank cannot do its part; returns `error`. */
int cf_group_fail(cuframes_group_t *group, int error);

/* exchange.c */

/* What every rank gave, readable until the next operation of the group. */
struct cf_group_bytes {
    const uint8_t *base[CUFRAMES_GROUP_MAX_RANKS];
    size_t sizes[CUFRAMES_GROUP_MAX_RANKS];
    size_t total;
};

int cf_group_exchange(cuframes_group_t *group, const void *data, size_t size,
                      struct cf_group_bytes *given, int64_t deadline_ns);
/* Gives `count` borrowed descriptors (with a root: nobody else gives any) and takes those of all
 * into `all`, which has room for `capacity`. *total is written also when they do not fit. */
int cf_group_exchange_fds(cuframes_group_t *group, uint32_t root, const int *fds, uint32_t count,
                          int *all, uint32_t capacity, uint32_t *counts, uint32_t *total,
                          int64_t deadline_ns);
