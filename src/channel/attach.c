/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a subscriber gets a publisher, follows its generations, and loses it.
 *
 *   AWAY --connect, send ATTACH--> ATTACHING --ATTACHED--> ATTACHED --hang-up, error--> AWAY
 *
 * Each step can be resumed, so that a call which may not wait can leave the rest to the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"
#include "channel/subscriber.h"
#include "wire/connection.h"

/* Longest sleep before the runtime directory is looked at again while there is no publisher:
 * covers what inotify cannot tell (a directory that does not exist yet). */
#define LOOK_AGAIN_MS 200

void cf_attach_poll_add(const cuframes_subscriber_t *s, int fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.fd = fd};

    if (s->epoll >= 0 && fd >= 0 && cf_sys.epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        cf_log(CUFRAMES_LOG_WARNING, "%s: cannot poll a descriptor: %s", s->key, strerror(errno));
}

void cf_attach_poll_remove(const cuframes_subscriber_t *s, int fd)
{
    if (s->epoll >= 0 && fd >= 0)
        cf_sys.epoll_ctl(s->epoll, EPOLL_CTL_DEL, fd, NULL);
}

void cf_attach_lose(cuframes_subscriber_t *s)
{
    if (s->link) {
        /* A held frame can keep the link open: it must not wake the program any more. */
        cf_attach_poll_remove(s, s->link->socket);
        cf_link_unref(s->link);
        s->link = NULL;
    }
    cf_view_unref(s->next_view);
    s->next_view = NULL;
    cf_attach_poll_remove(s, s->wake_socket);
    cf_close(&s->wake_socket);
    cf_packet_source_orphan(s);
    s->state = CF_SUBSCRIBER_AWAY;
}

static bool packets_only(const cuframes_subscriber_t *s)
{
    return (s->flags & CUFRAMES_SUBSCRIBER_PACKETS_ONLY) != 0;
}

static uint32_t wanted_flags(const cuframes_subscriber_t *s)
{
    if (packets_only(s))
        return CF_ATTACH_PACKETS_ONLY;
    return s->flags & CUFRAMES_SUBSCRIBER_POLL ? CF_ATTACH_WAKE_SOCKET : 0;
}

static int ask(cuframes_subscriber_t *s)
{
    struct cf_message message = {
        .type = CF_MSG_ATTACH,
        .attach = {.mode = s->mode,
                   .max_holds = s->max_holds,
                   .flags = wanted_flags(s),
                   /* Copies, and GPUs that read host memory, are this side's business. */
                   .memory =
                       s->memory == CUFRAMES_MEMORY_HOST && !(s->flags & CUFRAMES_SUBSCRIBER_STAGED)
                           ? CUFRAMES_MEMORY_HOST
                           : CUFRAMES_MEMORY_AUTO},
    };

    memcpy(message.attach.name, s->name, sizeof(message.attach.name));
    return cf_connection_send(s->link->socket, &message, NULL, 0);
}

int cf_attach_over(cuframes_subscriber_t *s, int socket)
{
    int err;

    s->link = cf_link_new(socket);
    if (!s->link)
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    cf_attach_poll_add(s, s->link->socket);
    s->state = CF_SUBSCRIBER_ATTACHING;
    s->refused = false;
    if ((err = ask(s)) != 0)
        cf_attach_lose(s);
    CF_POINT("attach.asked");
    return err;
}

static void tell_adopted(cuframes_subscriber_t *s)
{
    struct cf_message message = {
        .type = CF_MSG_ADOPTED,
        .adopted = {.generation = s->view->info.generation, .access = s->view->memory->access}};

    cf_link_answer(s->link, &message);
}

/* Makes `view` the one that frames are taken from. */
static void use_view(cuframes_subscriber_t *s, struct cf_view *view)
{
    cf_view_unref(s->view);
    s->view = view;
    s->info = view->info;
    s->leftover = false;
    atomic_store_explicit(&s->granted, view->max_holds, memory_order_relaxed);
    atomic_store_explicit(&s->access, view->memory->access, memory_order_relaxed);
    s->next_flags |= CUFRAMES_FRAME_GENERATION;
    CF_POINT("attach.mapped");
    tell_adopted(s);
    CF_POINT("attach.adopted");
}

/* Maps the frames that come with the answer to ATTACH. */
static int take_frames(cuframes_subscriber_t *s, const struct cf_msg_attached *attached, int *fds,
                       size_t fd_count, struct cf_view **view)
{
    int wake_socket = -1;
    int err;

    if (attached->flags & CF_ATTACH_WAKE_SOCKET)
        wake_socket = cf_steal_fd(&fds[CF_FD_WAKE_SOCKET]);
    if ((err = cf_view_create(s, attached, fds, fd_count, view)) != 0) {
        cf_close(&wake_socket);
        return err;
    }
    s->wake_socket = wake_socket;
    cf_attach_poll_add(s, wake_socket);
    return CUFRAMES_OK;
}

static void begin_again(cuframes_subscriber_t *s)
{
    s->next_flags |= CUFRAMES_FRAME_DISCONTINUITY;
    atomic_fetch_add_explicit(&s->reconnects, 1, memory_order_relaxed);
}

/* The answer to ATTACH. */
static int take_attached(cuframes_subscriber_t *s, const struct cf_msg_attached *attached, int *fds,
                         size_t fd_count)
{
    bool again = s->granted_name[0] != '\0';
    struct cf_view *view = NULL;
    int err = CUFRAMES_OK;

    if (((attached->flags & CF_ATTACH_PACKETS_ONLY) != 0) != packets_only(s)) {
        for (size_t i = 0; i < fd_count; i++)
            cf_close(&fds[i]);
        return cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher answers what was not asked");
    }
    if (!packets_only(s))
        err = take_frames(s, attached, fds, fd_count, &view);
    if (err)
        return err;
    cf_attach_poll_remove(s, s->arrivals);
    cf_close(&s->arrivals);
    s->state = CF_SUBSCRIBER_ATTACHED;
    memcpy(s->granted_name, attached->name, sizeof(s->granted_name));
    /* One that was asked for stays: the same socket can have another name here. */
    if (!s->key[0])
        memcpy(s->key, attached->info.key, sizeof(s->key));
    s->wanted = attached->first_seq;
    s->any = true;
    s->due_ns = 0;
    if (again)
        begin_again(s);
    s->info = attached->info;
    s->info.pid = s->link->pid;
    if (view)
        use_view(s, view);
    return s->packets.enabled ? cf_packet_source_ask(s, true) : CUFRAMES_OK;
}

void cf_attach_follow(cuframes_subscriber_t *s)
{
    struct cf_view *view = s->next_view;

    s->next_view = NULL;
    atomic_fetch_add_explicit(&s->generations, 1, memory_order_relaxed);
    use_view(s, view);
}

static int take_message(cuframes_subscriber_t *s, const struct cf_message *message, int *fds,
                        size_t fd_count)
{
    if (message->type == CF_MSG_ERROR && message->error.error < 0) {
        s->refused = true;
        return cf_fail(message->error.error, "%s", message->error.text);
    }
    if (message->type == CF_MSG_ATTACHED && s->state == CF_SUBSCRIBER_ATTACHING)
        return take_attached(s, &message->attached, fds, fd_count);
    if (message->type == CF_MSG_GENERATION && s->state == CF_SUBSCRIBER_ATTACHED && s->view &&
        !s->next_view)
        return cf_view_create(s, &message->attached, fds, fd_count, &s->next_view);
    if (s->state == CF_SUBSCRIBER_ATTACHED &&
        (message->type == CF_MSG_PACKETS || message->type == CF_MSG_PACKET_RING ||
         message->type == CF_MSG_STREAMS))
        return cf_packet_source_take(s, message, fds, fd_count);
    for (size_t i = 0; i < fd_count; i++)
        cf_close(&fds[i]);
    return cf_fail(CUFRAMES_ERR_PROTOCOL, "the publisher sent a message out of order");
}

int cf_attach_listen(cuframes_subscriber_t *s, int64_t deadline_ns)
{
    struct cf_link *link;
    int err = cf_attach_hear(s, 0);

    if (err != CUFRAMES_ERR_WOULD_BLOCK || deadline_ns == 0)
        return err;
    link = cf_link_ref(s->link);
    pthread_mutex_unlock(&s->lock);
    err = cf_connection_wait(link->socket, deadline_ns);
    pthread_mutex_lock(&s->lock);
    if (!err && s->link == link)
        err = cf_attach_hear(s, 0);
    cf_link_unref(link);
    /* Another thread was first. */
    return err == CUFRAMES_ERR_WOULD_BLOCK ? CUFRAMES_OK : err;
}

int cf_attach_hear(cuframes_subscriber_t *s, int64_t deadline_ns)
{
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count = 0;
    int err = cf_connection_receive(s->link->socket, &message, fds, &fd_count, deadline_ns);

    if (err)
        return err;
    return take_message(s, &message, fds, fd_count);
}

bool cf_attach_watch(cuframes_subscriber_t *s)
{
    if (s->arrivals >= 0)
        return false;
    s->arrivals = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (s->arrivals < 0)
        return false;
    if (inotify_add_watch(s->arrivals, s->dir, IN_MOVED_TO | IN_CREATE) < 0) {
        cf_close(&s->arrivals);
        return false;
    }
    cf_attach_poll_add(s, s->arrivals);
    return true;
}

void cf_attach_await(cuframes_subscriber_t *s, int64_t deadline_ns)
{
    struct pollfd p = {.events = POLLIN};
    int CF_CLOSE copy = -1;

    /* A publisher that came before the watch is not told by it. */
    if (cf_attach_watch(s))
        return;
    /* Another thread may attach, and close it, meanwhile. Without inotify (or a directory to watch)
     * this is a plain sleep. */
    copy = s->arrivals < 0 ? -1 : fcntl(s->arrivals, F_DUPFD_CLOEXEC, 0);
    p.fd = copy;
    pthread_mutex_unlock(&s->lock);
    poll(&p, 1, cf_poll_ms(deadline_ns, LOOK_AGAIN_MS));
    pthread_mutex_lock(&s->lock);
}

static void forget_arrivals(cuframes_subscriber_t *s)
{
    char events[1024];

    while (s->arrivals >= 0 && read(s->arrivals, events, sizeof(events)) > 0)
        ;
}

static int connect_to_publisher(cuframes_subscriber_t *s)
{
    int socket;
    int err;

    forget_arrivals(s);
    err = cf_endpoint_connect(s->dir, s->key, &socket);
    return err ? err : cf_attach_over(s, socket);
}

int cf_attach(cuframes_subscriber_t *s, int64_t deadline_ns)
{
    int err = CUFRAMES_OK;

    if (s->state == CF_SUBSCRIBER_AWAY)
        err = connect_to_publisher(s);
    /* Too many wait to be let in: as if there were nobody yet. */
    s->crowded = err == CUFRAMES_ERR_WOULD_BLOCK;
    if (s->crowded)
        return CUFRAMES_ERR_NOT_FOUND;
    while (!err && s->state == CF_SUBSCRIBER_ATTACHING)
        err = cf_attach_listen(s, deadline_ns);
    if (!err && s->state == CF_SUBSCRIBER_AWAY)
        return cf_fail(CUFRAMES_ERR_DISCONNECTED, "the publisher of %s is gone", s->key);
    if (err && err != CUFRAMES_ERR_WOULD_BLOCK && err != CUFRAMES_ERR_TIMEOUT)
        cf_attach_lose(s);
    return err;
}
