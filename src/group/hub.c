/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hub's thread: joining and deaths. Passing descriptors is in pass.c.
 *
 * Before the start a connection that goes away gives its rank back. The start sends the board to
 * all. From then on a connection that goes away breaks the group.
 */
#include "group/hub_state.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"
#include "wire/connection.h"

#define EVENTS_AT_ONCE 64
/* Connections that have not joined, and how long one may say nothing. */
#define MAX_STRANGERS 64
#define SILENCE_MS    2000
/* How long a hub that ends goes on passing what it has promised. */
#define FLUSH_MS 1000

int cf_hub_send(int socket, const struct cf_group_message *message, const int *fds, size_t fd_count)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    cf_group_message_encode(message, bytes);
    return cf_record_send(socket, bytes, sizeof(bytes), fds, fd_count);
}

static void send_error(int socket, int error, uint32_t rank, const char *text)
{
    struct cf_group_message message = {.type = CF_GROUP_ERROR, .error = error, .rank = rank};

    snprintf(message.text, sizeof(message.text), "%s", text);
    cf_hub_send(socket, &message, NULL, 0);
}

static void close_fds(int *fds, uint32_t count)
{
    for (uint32_t i = 0; fds && i < count; i++)
        cf_close(&fds[i]);
}

static void free_member(struct cf_hub *hub, struct cf_hub_member *member)
{
    struct cf_hub_member **link = &hub->members;

    while (*link != member)
        link = &(*link)->next;
    *link = member->next;
    cf_hub_drop_member(hub, member);
    if (member->joined) {
        hub->ranks[member->rank] = NULL;
        hub->joined--;
    } else {
        hub->strangers--;
    }
    cf_fork_guard_remove(&member->guard);
    cf_close(&member->socket);
    free(member);
}

void cf_hub_tell_end(struct cf_hub *hub, struct cf_hub_member *member)
{
    enum cf_board_reason reason;
    char text[CF_WIRE_TEXT_SIZE];
    int32_t culprit;

    if (!member->joined || member->passing || member->told)
        return;
    reason = cf_board_broken(cf_hub_board(hub), &culprit);
    if (culprit >= 0)
        snprintf(text, sizeof(text), "the group is broken: rank %d %s", culprit,
                 cf_board_reason_text(reason));
    else
        snprintf(text, sizeof(text), "the group is broken: its host has ended");
    send_error(member->socket,
               reason == CF_BOARD_LATE ? CUFRAMES_ERR_TIMEOUT : CUFRAMES_ERR_DISCONNECTED,
               (uint32_t)culprit, text);
    member->told = true;
}

void cf_hub_end(struct cf_hub *hub, enum cf_board_reason reason, uint32_t rank)
{
    cf_board_break(cf_hub_board(hub), hub->size, reason, rank);
    hub->ended = true;
    for (struct cf_hub_member *m = hub->members; m; m = m->next) {
        /* The process that has the hub may live on for long before it destroys the group. */
        cf_hub_drop_given(m);
        cf_hub_tell_end(hub, m);
    }
}

/* A connection is over. */
static void lose(struct cf_hub *hub, struct cf_hub_member *member, enum cf_board_reason reason)
{
    bool breaks = hub->started && member->joined;
    uint32_t rank = member->rank;

    free_member(hub, member);
    if (breaks)
        cf_hub_end(hub, reason, rank);
}

/* Says a refusal unless there are too many of them. */
static void note_refusal(struct cf_hub *hub, int socket, int error, const char *text)
{
    struct cf_peer_credentials peer = {.pid = 0, .uid = (uid_t)-1};

    if (!cf_log_limit_take(&hub->refusals, cf_now_ns()))
        return;
    cf_connection_credentials(socket, &peer);
    cf_log(error == CUFRAMES_ERR_PERMISSION ? CUFRAMES_LOG_WARNING : CUFRAMES_LOG_INFO,
           "group: refusing a connection (pid %ld, uid %ld): %s", (long)peer.pid, (long)peer.uid,
           text);
}

static void say_more_refusals(struct cf_hub *hub)
{
    uint64_t more = cf_log_limit_reset(&hub->refusals);

    if (more > 0)
        cf_log(CUFRAMES_LOG_WARNING, "group: %llu more connections were refused",
               (unsigned long long)more);
}

/* Says how many refusals went unsaid, when it is time. Returns when to look again, or CF_NEVER. */
static int64_t say_refusals_when_due(struct cf_hub *hub)
{
    int64_t end = cf_log_limit_end(&hub->refusals);

    if (end > cf_now_ns())
        return end;
    say_more_refusals(hub);
    return CF_NEVER;
}

static void refuse(struct cf_hub *hub, struct cf_hub_member *member, int error, const char *text)
{
    note_refusal(hub, member->socket, error, text);
    send_error(member->socket, error, 0, text);
    lose(hub, member, CF_BOARD_NONSENSE);
}

static int make_board(struct cf_hub *hub)
{
    int err = cf_shm_create("cuframes-group", cf_board_size(hub->size), CF_SHM_PEER_WRITES,
                            &hub->board_fd, &hub->board_map);

    if (err)
        return err;
    cf_hub_board(hub)->magic = CF_BOARD_MAGIC;
    cf_hub_board(hub)->size = hub->size;
    cf_hub_board(hub)->hub_rank = CF_BOARD_NO_RANK;
    return CUFRAMES_OK;
}

/* Everybody is here: sends the board to all, in the order of their ranks. */
static void start(struct cf_hub *hub)
{
    uint32_t untold = CF_BOARD_NO_RANK;

    hub->started = true;
    for (uint32_t rank = 0; rank < hub->size; rank++) {
        struct cf_group_message message = {.type = CF_GROUP_START, .rank = rank, .size = hub->size};
        int err = cf_hub_send(hub->ranks[rank]->socket, &message, &hub->board_fd, 1);

        /* One that has gone breaks the group when that is noticed. */
        if (err && err != CUFRAMES_ERR_DISCONNECTED)
            untold = rank;
        CF_POINT("hub.started");
    }
    cf_close(&hub->board_fd);
    if (untold != CF_BOARD_NO_RANK)
        cf_hub_end(hub, CF_BOARD_FAILED, untold);
}

static bool is_of_this_user(const struct cf_hub_member *member)
{
    struct cf_peer_credentials credentials;

    if (member->trusted)
        return true;
    if (cf_connection_credentials(member->socket, &credentials) != CUFRAMES_OK)
        return false;
    /* A user of another user namespace who has no number here has the overflow number. The socket
     * file's permissions, which the kernel checks by the real identity, have let it connect. */
    return credentials.uid == geteuid() || credentials.uid == 0 || credentials.uid == 65534;
}

static int choose_rank(const struct cf_hub *hub, const struct cf_group_message *join,
                       uint32_t *rank, char *why, size_t size)
{
    if (hub->started || hub->joined == hub->size) {
        snprintf(why, size,
                 "a group of this name runs already: choose another name, or wait for "
                 "its end");
        return CUFRAMES_ERR_ALREADY_EXISTS;
    }
    if (join->size != hub->size) {
        snprintf(why, size, "this group has %u ranks, not %u: all must say the same size",
                 hub->size, join->size);
        return CUFRAMES_ERR_PROTOCOL;
    }
    *rank = join->rank;
    if (*rank == CF_GROUP_RANK_ANY)
        for (*rank = 0; hub->ranks[*rank];)
            ++*rank;
    if (hub->ranks[*rank]) {
        snprintf(why, size, "rank %u of this group is taken by another process", *rank);
        return CUFRAMES_ERR_ALREADY_EXISTS;
    }
    return CUFRAMES_OK;
}

static void join(struct cf_hub *hub, struct cf_hub_member *member,
                 const struct cf_group_message *message)
{
    char why[CF_WIRE_TEXT_SIZE];
    uint32_t rank;
    int err;

    if (!is_of_this_user(member)) {
        refuse(hub, member, CUFRAMES_ERR_PERMISSION, "the group belongs to another user");
        return;
    }
    err = choose_rank(hub, message, &rank, why, sizeof(why));
    if (err) {
        refuse(hub, member, err, why);
        return;
    }
    hub->ranks[rank] = member;
    member->joined = true;
    member->rank = rank;
    /* With a name, the one connection that this process made is its own rank's. */
    if (member->trusted && hub->endpoint.socket >= 0)
        cf_hub_board(hub)->hub_rank = rank;
    hub->strangers--;
    if (++hub->joined == hub->size)
        start(hub);
}

/* ---- connections ---- */

/* Answers a member that has waited long enough. Names the first eight. */
static void tell_missing(struct cf_hub *hub, struct cf_hub_member *member)
{
    char text[CF_WIRE_TEXT_SIZE] = "";
    uint32_t missing = 0, first = 0;
    size_t length = 0;

    for (uint32_t rank = 0; rank < hub->size; rank++) {
        if (hub->ranks[rank])
            continue;
        if (missing == 0)
            first = rank;
        if (missing++ < 8)
            length += (size_t)snprintf(text + length, sizeof(text) - length, "%s%u",
                                       missing == 1 ? "" : ", ", rank);
    }
    if (missing > 8)
        snprintf(text + length, sizeof(text) - length, " and %u more", missing - 8);
    send_error(member->socket, CUFRAMES_ERR_TIMEOUT, first, text);
}

static void take_message(struct cf_hub *hub, struct cf_hub_member *member, struct cf_record *record,
                         const struct cf_group_message *message)
{
    if (message->type == CF_GROUP_GIVE && member->joined && hub->started && !hub->ended) {
        cf_hub_give(hub, member, record, message);
        return;
    }
    cf_record_close_fds(record);
    if (message->type == CF_GROUP_JOIN && !member->joined)
        join(hub, member, message);
    else if (message->type == CF_GROUP_ASK && member->joined && !hub->started)
        tell_missing(hub, member);
    else if (message->type == CF_GROUP_ASK && member->joined)
        return; /* the start is on its way */
    else if (message->type == CF_GROUP_LEAVE && member->joined)
        lose(hub, member, CF_BOARD_LEFT);
    else if (!hub->ended)
        refuse(hub, member, CUFRAMES_ERR_PROTOCOL, "message out of order");
}

static void hear(struct cf_hub *hub, struct cf_hub_member *member)
{
    struct cf_group_message message;
    struct cf_record record;
    int err = cf_record_receive(member->socket, &record, CF_RECORD_MAX_FDS, 0);

    if (err == CUFRAMES_ERR_WOULD_BLOCK)
        return;
    if (!err) {
        err = cf_group_message_decode(record.bytes, record.size, record.fd_count, &message);
        if (err)
            cf_record_close_fds(&record);
    }
    if (!err)
        take_message(hub, member, &record, &message);
    else if (err == CUFRAMES_ERR_DISCONNECTED)
        lose(hub, member, CF_BOARD_DIED);
    else if (err == CUFRAMES_ERR_TOO_MANY && hub->started && member->joined)
        /* It is this process that cannot take them. */
        cf_hub_end(hub, CF_BOARD_FAILED, cf_hub_board(hub)->hub_rank);
    else
        refuse(hub, member, err, cuframes_last_error());
}

/* Closes the stranger that is silent for longest. */
static void limit_strangers(struct cf_hub *hub)
{
    struct cf_hub_member *oldest = NULL;

    if (hub->strangers < MAX_STRANGERS + hub->size)
        return;
    for (struct cf_hub_member *m = hub->members; m; m = m->next)
        if (!m->joined)
            oldest = m;
    if (oldest)
        /* It may be one that was about to: the error tells it to come again. */
        refuse(hub, oldest, CUFRAMES_ERR_WOULD_BLOCK, "too many connections that do not join");
}

/* Consumes the socket. */
static int add_connection(struct cf_hub *hub, int socket, bool trusted)
{
    struct cf_hub_member *member = cf_sys.calloc(1, sizeof(*member));
    struct epoll_event event = {.events = EPOLLIN};

    if (!member) {
        cf_fork_guard_forget(socket);
        cf_close(&socket);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    limit_strangers(hub);
    member->socket = socket;
    member->trusted = trusted;
    member->since_ns = cf_now_ns();
    cf_fork_guard_add(&member->guard, socket);
    member->next = hub->members;
    hub->members = member;
    hub->strangers++;
    event.data.ptr = member;
    if (cf_sys.epoll_ctl(hub->epoll, EPOLL_CTL_ADD, socket, &event) != 0) {
        int errnum = errno;

        free_member(hub, member);
        return cf_fail_errno(errnum, "cannot watch a connection");
    }
    return CUFRAMES_OK;
}

/* Any descriptor will do: one that needs no file, which a bare container may not have. */
static int spare_descriptor(const struct cf_hub *hub)
{
    return fcntl(hub->kick, F_DUPFD_CLOEXEC, 0);
}

/* Out of descriptors: gives up the spare one to take the connection and say so, because a
 * connection that is left waiting would keep the listening socket readable for ever. */
static void refuse_for_lack_of_descriptors(struct cf_hub *hub)
{
    int CF_CLOSE socket = -1;

    cf_close(&hub->spare_fd);
    socket = cf_sys.accept4(hub->endpoint.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket >= 0) {
        if (cf_log_limit_take(&hub->refusals, cf_now_ns()))
            cf_log(CUFRAMES_LOG_WARNING, "group: out of descriptors, a rank could not join");
        send_error(socket, CUFRAMES_ERR_TOO_MANY, 0,
                   "the process that hosts the group is out of descriptors (raise its limit: "
                   "ulimit -n)");
    }
    cf_close(&socket);
    hub->spare_fd = spare_descriptor(hub);
}

static void accept_connections(struct cf_hub *hub)
{
    for (int i = 0; i < EVENTS_AT_ONCE; i++) {
        struct cf_fork_guard newborn;
        int socket = cf_fork_guard_accept(&newborn, hub->endpoint.socket);

        if (socket >= 0) {
            add_connection(hub, socket, false);
        } else if (errno == EMFILE || errno == ENFILE) {
            refuse_for_lack_of_descriptors(hub);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* Closes those who connected and do not join. A connection of this process may take its time. */
static int64_t close_silent(struct cf_hub *hub)
{
    const int64_t now = cf_now_ns();
    int64_t next = CF_NEVER;
    struct cf_hub_member *following;

    for (struct cf_hub_member *m = hub->members; m; m = following) {
        int64_t until = m->since_ns + SILENCE_MS * CF_NS_PER_MS;

        following = m->next;
        if (m->joined || m->trusted)
            continue;
        if (until <= now)
            refuse(hub, m, CUFRAMES_ERR_TIMEOUT, "connected, and did not join");
        else if (until < next)
            next = until;
    }
    return next;
}

static bool is_member(const struct cf_hub *hub, const void *candidate)
{
    for (const struct cf_hub_member *m = hub->members; m; m = m->next)
        if (m == candidate)
            return true;
    return false;
}

static void handle(struct cf_hub *hub, const struct epoll_event *event)
{
    struct cf_hub_member *member = event->data.ptr;

    if (event->data.ptr == &hub->kick || !is_member(hub, member)) {
        if (event->data.ptr == &hub->endpoint)
            accept_connections(hub);
        return;
    }
    if (event->events & EPOLLOUT)
        cf_hub_pass_on(hub, member);
    if (event->events & ~(uint32_t)EPOLLOUT)
        hear(hub, member);
}

static void *serve(void *arg)
{
    struct cf_hub *hub = arg;
    struct epoll_event events[EVENTS_AT_ONCE];
    int64_t flush_until = 0;

    for (;;) {
        int64_t silent = close_silent(hub);
        int64_t unsaid = say_refusals_when_due(hub);
        int64_t deadline = silent < unsaid ? silent : unsaid;
        int n;

        if (atomic_load_explicit(&hub->stopping, memory_order_acquire)) {
            if (!flush_until)
                flush_until = cf_now_ns() + FLUSH_MS * CF_NS_PER_MS;
            if (hub->passing == 0 || cf_now_ns() >= flush_until)
                break;
            deadline = flush_until;
        }
        n = epoll_wait(hub->epoll, events, EVENTS_AT_ONCE,
                       deadline == CF_NEVER ? -1 : cf_poll_ms(deadline, SILENCE_MS));
        for (int i = 0; i < n; i++)
            handle(hub, &events[i]);
        if (flush_until) {
            /* The kick has been heard; it would wake this loop for ever. */
            cf_sys.epoll_ctl(hub->epoll, EPOLL_CTL_DEL, hub->kick, NULL);
        }
    }
    say_more_refusals(hub);
    return NULL;
}

static int watch(struct cf_hub *hub, int fd, void *whose)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = whose};

    if (cf_sys.epoll_ctl(hub->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return cf_fail_errno(errno, "cannot watch a descriptor (epoll_ctl)");
    return CUFRAMES_OK;
}

static int open_descriptors(struct cf_hub *hub)
{
    int err;

    hub->epoll = cf_sys.epoll_create1(EPOLL_CLOEXEC);
    if (hub->epoll < 0)
        return cf_fail_errno(errno, "cannot make the group's epoll descriptor");
    hub->kick = cf_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (hub->kick < 0)
        return cf_fail_errno(errno, "cannot make the group's eventfd");
    hub->spare_fd = spare_descriptor(hub);
    if (hub->spare_fd < 0)
        return cf_fail_errno(errno, "cannot set a descriptor aside");
    err = watch(hub, hub->kick, &hub->kick);
    if (!err && hub->endpoint.socket >= 0)
        err = watch(hub, hub->endpoint.socket, &hub->endpoint);
    return err;
}

static int start_thread(struct cf_hub *hub)
{
    sigset_t all, before;
    int errnum;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&hub->thread, NULL, serve, hub);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum)
        return cf_fail_errno(errnum, "cannot start the group's thread");
    pthread_setname_np(hub->thread, "cuframes-hub");
    return CUFRAMES_OK;
}

static void hub_free(struct cf_hub *hub)
{
    while (hub->members)
        free_member(hub, hub->members);
    cf_fork_guard_remove(&hub->endpoint_guard);
    cf_endpoint_close(&hub->endpoint);
    cf_map_release(&hub->board_map);
    cf_close(&hub->board_fd);
    cf_close(&hub->epoll);
    cf_close(&hub->kick);
    cf_close(&hub->spare_fd);
    free(hub);
}

int cf_hub_create(uint32_t size, struct cf_endpoint *endpoint, int *fds, uint32_t fd_count,
                  struct cf_hub **hub)
{
    struct cf_hub *new = cf_sys.calloc(1, sizeof(*new));
    uint32_t taken = 0;
    int err;

    if (!new) {
        if (endpoint)
            cf_endpoint_close(endpoint);
        close_fds(fds, fd_count);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    new->size = size;
    new->epoll = new->kick = new->spare_fd = new->board_fd = new->endpoint.socket = -1;
    if (endpoint) {
        new->endpoint = *endpoint;
        endpoint->socket = -1;
        cf_fork_guard_add(&new->endpoint_guard, new->endpoint.socket);
    }
    err = open_descriptors(new);
    while (!err && taken < fd_count)
        err = add_connection(new, fds[taken++], true);
    close_fds(fds + taken, fd_count - taken);
    if (!err)
        err = make_board(new);
    new->fork_count = cf_fork_count();
    if (!err)
        err = start_thread(new);
    if (err) {
        hub_free(new);
        return err;
    }
    *hub = new;
    return CUFRAMES_OK;
}

/* A process that forked off: its copies of the sockets are closed, its thread does not run. */
static void hub_abandon(struct cf_hub *hub)
{
    hub->endpoint.socket = -1;
    for (struct cf_hub_member *m = hub->members; m; m = m->next)
        m->socket = -1;
    hub_free(hub);
}

void cf_hub_destroy(struct cf_hub *hub)
{
    if (!hub)
        return;
    if (hub->fork_count != cf_fork_count()) {
        hub_abandon(hub);
        return;
    }
    atomic_store_explicit(&hub->stopping, true, memory_order_release);
    cf_event_add(hub->kick);
    pthread_join(hub->thread, NULL);
    if (hub->started && !hub->ended)
        cf_hub_end(hub, CF_BOARD_LEFT, cf_hub_board(hub)->hub_rank);
    hub_free(hub);
}
