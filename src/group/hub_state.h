/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inside of a hub, shared by hub.c (joining, deaths) and pass.c (descriptors). Everything in it
 * is the hub's thread's alone once that runs, but for `stopping`.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include <cuframes/group.h>

#include "base/fork.h"
#include "base/log_limit.h"
#include "base/shm.h"
#include "group/board.h"
#include "group/hub.h"
#include "wire/group_message.h"
#include "wire/record.h"

struct cf_hub_member {
    struct cf_hub_member *next;
    int socket;
    struct cf_fork_guard guard;
    int64_t since_ns;
    bool trusted; /* its connection was made by this process */
    bool joined;
    uint32_t rank;
    /* The round being gathered. */
    uint32_t given, total;
    bool gave;
    int *fds;
    /* The round being passed. */
    uint32_t passed;
    bool passing;
    bool wants_out; /* is registered for EPOLLOUT */
    bool told;      /* was sent the end */
};

struct cf_hub {
    unsigned fork_count;
    uint32_t size;
    struct cf_endpoint endpoint;
    struct cf_fork_guard endpoint_guard;
    int epoll;
    int kick;
    int spare_fd; /* given up to refuse a connection when there are no others */
    pthread_t thread;
    atomic_bool stopping;

    /* The thread's alone. */
    struct cf_hub_member *members;
    struct cf_hub_member *ranks[CUFRAMES_GROUP_MAX_RANKS]; /* those who joined */
    uint32_t strangers;
    struct cf_log_limit refusals;
    uint32_t joined;
    bool started;
    bool ended; /* broken, and everybody is being told */
    struct cf_map board_map;
    int board_fd;
    /* gather */
    uint32_t round;
    uint32_t root;
    uint32_t gave;
    uint32_t gathered;
    /* pass */
    int *pass;
    uint32_t pass_total;
    uint32_t pass_round;
    uint32_t passing;
};

static inline struct cf_board *cf_hub_board(const struct cf_hub *hub)
{
    return hub->board_map.addr;
}

/* hub.c */

int cf_hub_send(int socket, const struct cf_group_message *message, const int *fds,
                size_t fd_count);
/* Breaks the group and tells everybody. */
void cf_hub_end(struct cf_hub *hub, enum cf_board_reason reason, uint32_t rank);
/* Tells one member that the group has ended, once it has what was promised to it. */
void cf_hub_tell_end(struct cf_hub *hub, struct cf_hub_member *member);

/* pass.c */

/* A member gives descriptors; consumes those of the record. */
void cf_hub_give(struct cf_hub *hub, struct cf_hub_member *member, struct cf_record *record,
                 const struct cf_group_message *message);
/* Sends a member what its socket takes of the round that is passed. */
void cf_hub_pass_on(struct cf_hub *hub, struct cf_hub_member *member);
/* Closes what a member gave for a round that will not be passed. */
void cf_hub_drop_given(struct cf_hub_member *member);
/* Forgets what a member gave and what it was to take. */
void cf_hub_drop_member(struct cf_hub *hub, struct cf_hub_member *member);
