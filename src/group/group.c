/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Joining, leaving, and the barrier as one rank sees it.
 *
 * Whoever comes first under a name takes it and runs the hub; its own rank joins like any other,
 * over a socket pair. A hub that dies before the group has begun leaves the name to the next.
 */
#include "group/group.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/interrupt.h"
#include "base/point.h"
#include "base/sys.h"
#include "wire/connection.h"
#include "wire/group_message.h"
#include "wire/record.h"

#define DEFAULT_TIMEOUT_MS 30000
/* Between two looks at a name that somebody is just taking or leaving. */
#define LOOK_AGAIN_MS 5
/* Longest look at the connection while the program is asked in between. */
#define SLICE_MS 1000
/* For the hub to say who is missing. */
#define ANSWER_MS 500

static bool has_cores_for(uint32_t ranks)
{
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof(cores), &cores) == 0 && (uint32_t)CPU_COUNT(&cores) >= ranks;
}

static int group_new(const cuframes_group_config_t *config, cuframes_group_t **group)
{
    cuframes_group_t *new = cf_sys.calloc(1, sizeof(*new));

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->socket = -1;
    new->size = (uint32_t)config->size;
    new->may_spin = has_cores_for(new->size);
    if (config->name)
        snprintf(new->name, sizeof(new->name), "%s", config->name);
    *group = new;
    return CUFRAMES_OK;
}

static int send_plain(const cuframes_group_t *group, enum cf_group_message_type type)
{
    struct cf_group_message message = {.type = type};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    cf_group_message_encode(&message, bytes);
    return cf_record_send(group->socket, bytes, sizeof(bytes), NULL, 0);
}

/* Drops the connection, and the hub if this process has it. */
static void disconnect(cuframes_group_t *group)
{
    bool in_child = group->guard.fd < 0;

    cf_fork_guard_remove(&group->guard);
    if (in_child)
        group->socket = -1;
    cf_close(&group->socket);
    cf_hub_destroy(group->hub);
    group->hub = NULL;
}

void cf_group_destroy(cuframes_group_t *group)
{
    /* A hub says itself that its rank has left; who has not begun need not say anything. */
    if (group->board_map.addr && group->fork_count == cf_fork_count() && !group->hub)
        send_plain(group, CF_GROUP_LEAVE);
    disconnect(group);
    cf_map_release(&group->board_map);
    cf_map_release(&group->region);
    free(group);
}

static int use_socket(cuframes_group_t *group, int socket)
{
    group->socket = socket;
    cf_fork_guard_add(&group->guard, socket);
    return CUFRAMES_OK;
}

/* Takes the name and starts a hub with this process's connection to it. */
static int become_hub(cuframes_group_t *group, const char *dir, const char *key)
{
    struct cf_endpoint endpoint;
    int pair[2];
    int err = cf_endpoint_listen(dir, key, 0600, NULL, &endpoint);

    if (err)
        return err;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
        int errnum = errno;

        cf_endpoint_close(&endpoint);
        return cf_fail_errno(errnum, "cannot make a connection within this process");
    }
    err = cf_hub_create(group->size, &endpoint, &pair[0], 1, &group->hub);
    if (err) {
        cf_close(&pair[1]);
        return err;
    }
    return use_socket(group, pair[1]);
}

static int connect_or_become_hub(cuframes_group_t *group, const char *dir, const char *key)
{
    int socket;
    int err = cf_endpoint_connect(dir, key, &socket);

    if (err == CUFRAMES_OK)
        return use_socket(group, socket);
    if (err != CUFRAMES_ERR_NOT_FOUND)
        return err;
    return become_hub(group, dir, key);
}

static int send_join(const cuframes_group_t *group, int32_t rank)
{
    struct cf_group_message join = {.type = CF_GROUP_JOIN,
                                    .rank = rank < 0 ? CF_GROUP_RANK_ANY : (uint32_t)rank,
                                    .size = group->size};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    cf_group_message_encode(&join, bytes);
    return cf_record_send(group->socket, bytes, sizeof(bytes), NULL, 0);
}

static int map_board(cuframes_group_t *group, int fd)
{
    const struct cf_board *board;
    int err = cf_shm_attach("group memory", fd, cf_board_size(group->size), CF_SHM_PEER_WRITES,
                            &group->board_map);

    if (err)
        return err;
    board = cf_group_board(group);
    if (board->magic != CF_BOARD_MAGIC || board->size != group->size)
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the group's memory is not that of a group of %u",
                       group->size);
    return CUFRAMES_OK;
}

int cf_group_receive(const cuframes_group_t *group, struct cf_record *record, size_t most_fds,
                     int64_t deadline_ns)
{
    struct pollfd poller = {.fd = group->socket, .events = POLLIN};

    do {
        const int64_t slice = cf_interrupt_slice(deadline_ns);
        const int ready = slice < deadline_ns ? poll(&poller, 1, cf_poll_ms(slice, SLICE_MS)) : 1;

        if (ready > 0 || (ready < 0 && errno != EINTR))
            return cf_record_receive(group->socket, record, most_fds, deadline_ns);
    } while (!cf_interrupted());
    return cf_fail_interrupted();
}

/* Waits for the hub's word that everybody is here. */
static int await_start(cuframes_group_t *group, int64_t deadline)
{
    struct cf_group_message message;
    struct cf_record record;
    int err = cf_group_receive(group, &record, 1, deadline);

    if (err)
        return err;
    err = cf_group_message_decode(record.bytes, record.size, record.fd_count, &message);
    if (!err && message.type == CF_GROUP_ERROR) {
        memcpy(group->missing, message.text, sizeof(group->missing));
        err = cf_fail(message.error, "%s", message.text);
    } else if (!err && (message.type != CF_GROUP_START || message.size != group->size)) {
        err = cf_fail(CUFRAMES_ERR_PROTOCOL, "the group's hub sent a message out of order");
    }
    if (!err) {
        group->rank = message.rank;
        err = map_board(group, record.fds[0]);
    }
    cf_record_close_fds(&record);
    return err;
}

/* The time is up: asks the hub who is missing, so that the error can say it. */
static int tell_timeout(cuframes_group_t *group, int32_t timeout_ms)
{
    int err = send_plain(group, CF_GROUP_ASK);

    if (!err)
        err = await_start(group, cf_deadline(ANSWER_MS));
    /* The last one came in the last moment. */
    if (!err)
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_TIMEOUT, "not all %u ranks of the group %s came within %d ms%s%s",
                   group->size, group->name, timeout_ms,
                   err == CUFRAMES_ERR_TIMEOUT ? "; missing: rank " : "",
                   err == CUFRAMES_ERR_TIMEOUT ? group->missing : "");
}

/* Tries once to join; DISCONNECTED and ALREADY_EXISTS of the name mean: try again. */
static int join_once(cuframes_group_t *group, const cuframes_group_config_t *config,
                     const char *dir, const char *key, int64_t deadline, bool *again)
{
    int err = connect_or_become_hub(group, dir, key);

    /* Somebody else took the name between the two looks, or too many connect at once. */
    *again = err == CUFRAMES_ERR_ALREADY_EXISTS || err == CUFRAMES_ERR_WOULD_BLOCK;
    if (err)
        return err;
    CF_POINT("group.connected");
    err = send_join(group, config->rank);
    CF_POINT("group.joined");
    if (!err)
        err = await_start(group, deadline);
    /* The hub went before the group began, and the name is free for another; or it closed the
     * connection to make room before it heard the JOIN. */
    *again = err == CUFRAMES_ERR_DISCONNECTED || err == CUFRAMES_ERR_WOULD_BLOCK;
    return err;
}

static int32_t timeout_of(const cuframes_group_config_t *config)
{
    return config->timeout_ms ? config->timeout_ms : DEFAULT_TIMEOUT_MS;
}

/* The time is up between two tries: the last one's error is about that try alone. */
static int tell_no_group(const cuframes_group_t *group, int32_t timeout_ms)
{
    char last[CF_WIRE_TEXT_SIZE];

    snprintf(last, sizeof(last), "%s", cuframes_last_error());
    return cf_fail(CUFRAMES_ERR_TIMEOUT, "the group %s did not begin within %d ms: %s", group->name,
                   timeout_ms, last);
}

static int join_by_name(cuframes_group_t *group, const cuframes_group_config_t *config)
{
    const int64_t deadline = cf_deadline(timeout_of(config));
    char dir[CF_RUNTIME_DIR_SIZE];
    char key[CUFRAMES_KEY_MAX + 1];
    bool again;
    int err;

    /* A colon is in no key, so groups and channels do not meet. */
    snprintf(key, sizeof(key), "%s:group", config->name);
    if ((err = cf_runtime_dir_resolve(config->runtime_dir, dir)) != 0 ||
        (err = cf_runtime_dir_ensure(dir)) != 0)
        return err;
    for (;;) {
        err = join_once(group, config, dir, key, deadline, &again);
        if (!err)
            return CUFRAMES_OK;
        if (err == CUFRAMES_ERR_TIMEOUT)
            return tell_timeout(group, timeout_of(config));
        if (!again)
            return err;
        if (cf_now_ns() >= deadline)
            return tell_no_group(group, timeout_of(config));
        if (cf_interrupted())
            return cf_fail_interrupted();
        disconnect(group);
        poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

int cf_group_create(const cuframes_group_config_t *config, cuframes_group_t **group)
{
    cuframes_group_t *new;
    int err;

    if ((err = group_new(config, &new)) != 0)
        return err;
    if ((err = join_by_name(new, config)) != 0) {
        cf_group_destroy(new);
        return err;
    }
    new->fork_count = cf_fork_count();
    *group = new;
    return CUFRAMES_OK;
}

int cf_group_create_from_fd(const cuframes_group_config_t *config, int fd, cuframes_group_t **group)
{
    int CF_CLOSE socket = fd;
    cuframes_group_t *new;
    int err;

    if ((err = cf_connection_check(socket)) != 0 || (err = group_new(config, &new)) != 0)
        return err;
    use_socket(new, cf_steal_fd(&socket));
    if ((err = send_join(new, config->rank)) == 0)
        err = await_start(new, cf_deadline(timeout_of(config)));
    if (err == CUFRAMES_ERR_TIMEOUT)
        err = tell_timeout(new, timeout_of(config));
    if (err) {
        cf_group_destroy(new);
        return err;
    }
    new->fork_count = cf_fork_count();
    *group = new;
    return CUFRAMES_OK;
}

int cf_group_host_create(uint32_t size, int *fds, cuframes_group_host_t **host)
{
    cuframes_group_host_t *new = cf_sys.calloc(1, sizeof(*new));
    int *CF_FREE ends = cf_sys.calloc(size, 2 * sizeof(*ends));
    uint32_t made = 0;
    int err = CUFRAMES_OK;

    if (!new || !ends) {
        free(new);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    for (; made < size; made++) {
        int pair[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
            err = cf_fail_errno(errno, "cannot make a connection for rank %u", made);
            break;
        }
        ends[made] = pair[0];
        ends[size + made] = pair[1];
    }
    if (!err) {
        err = cf_hub_create(size, NULL, ends, size, &new->hub);
    } else {
        for (uint32_t i = 0; i < made; i++)
            cf_close(&ends[i]);
    }
    if (err) {
        for (uint32_t i = 0; i < made; i++)
            cf_close(&ends[size + i]);
        free(new);
        return err;
    }
    memcpy(fds, ends + size, size * sizeof(*fds));
    *host = new;
    return CUFRAMES_OK;
}

void cf_group_host_destroy(cuframes_group_host_t *host)
{
    cf_hub_destroy(host->hub);
    free(host);
}

int cf_group_broken(const cuframes_group_t *group)
{
    int32_t rank;
    enum cf_board_reason reason = cf_board_broken(cf_group_board(group), &rank);

    if (rank < 0)
        return cf_fail(CUFRAMES_ERR_DISCONNECTED, "the group is broken: its host has ended");
    return cf_fail(reason == CF_BOARD_LATE ? CUFRAMES_ERR_TIMEOUT : CUFRAMES_ERR_DISCONNECTED,
                   "the group is broken: rank %d %s", rank, cf_board_reason_text(reason));
}

int cf_group_fail(cuframes_group_t *group, int error)
{
    cf_board_break(cf_group_board(group), group->size, CF_BOARD_FAILED, group->rank);
    return error;
}

/* Notices a hub that died: nobody else would say so. */
static void look_at_hub(cuframes_group_t *group)
{
    struct cf_board *board = cf_group_board(group);

    if (cf_connection_hung_up(group->socket))
        cf_board_break(board, group->size, CF_BOARD_DIED, board->hub_rank);
}

int cf_group_barrier(cuframes_group_t *group, uint32_t ranks, int64_t deadline_ns)
{
    struct cf_barrier barrier = {
        .board = cf_group_board(group),
        .size = group->size,
        .ranks = ranks,
        .may_spin = group->may_spin,
        .spin = &group->spin,
    };
    enum cf_barrier_result result = cf_barrier_enter(&barrier, group->rank);
    uint32_t missing = 0;

    while (result == CF_BARRIER_LOOK) {
        result = cf_barrier_wait(&barrier, deadline_ns, &missing);
        if (result == CF_BARRIER_LOOK)
            look_at_hub(group);
        if (result == CF_BARRIER_LOOK && cf_interrupted())
            return cf_group_fail(group, cf_fail_interrupted());
    }
    if (result == CF_BARRIER_PASSED)
        return CUFRAMES_OK;
    if (result == CF_BARRIER_LATE)
        cf_board_break(cf_group_board(group), group->size, CF_BOARD_LATE, missing);
    return cf_group_broken(group);
}
