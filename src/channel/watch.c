/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A watch of a runtime directory.
 *
 * A name that appears is seen by inotify. That a publisher is gone is seen by the hang-up of a
 * connection to it, one for each channel, because a publisher that is killed leaves its name.
 * A channel that cannot be connected to is taken at its name's word: it is there until the name
 * goes. Where that is for want of something that may come back (descriptors, room in the
 * publisher's queue), the connection is tried again every second.
 *
 * All of it is behind one epoll descriptor, which is what the program polls. Events that were
 * found and not yet given are in a queue; an eventfd keeps the descriptor readable while it has
 * some. One thread at a time; in a child that forked off the watch only can be destroyed.
 *
 * Order: the connection decides. A name that appears for a channel whose connection is open says
 * nothing (its publisher was met in the directory already, or is the next one, which is found
 * when the connection hangs up). A hang-up is always followed by a look for the next publisher.
 */
#include "channel/watch.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/fork.h"
#include "base/log.h"
#include "base/sys.h"
#include "channel/query.h"
#include "wire/connection.h"
#include "wire/endpoint.h"

#define RETRY_S 1
#define SIGNS   (IN_MOVED_TO | IN_CREATE | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM)

/* A channel that has been reported as ADDED. */
struct channel {
    struct channel *next;
    char key[CUFRAMES_KEY_MAX + 1];
    int socket; /* -1 = cannot be connected to */
    struct cf_fork_guard guard;
    bool retry; /* without a connection, for a reason that passes */
};

struct queued {
    struct queued *next;
    cuframes_watch_event_t event;
};

struct cuframes_watch {
    char dir[CF_RUNTIME_DIR_SIZE];
    unsigned fork_count;
    int epoll;
    int inotify;
    int filled; /* eventfd: the queue has events, or the directory is gone */
    int timer;  /* runs while some channel is to be tried again */
    struct channel *channels;
    uint32_t count;
    struct queued *first, **end;
    bool gone;       /* the directory was removed */
    int lost_events; /* error to report once: an event could not be queued */
};

static void set_filled(cuframes_watch_t *watch)
{
    cf_event_add(watch->filled);
}

/* Whether nothing is left to tell but the end. */
static bool over(const cuframes_watch_t *watch)
{
    return watch->gone && !watch->channels;
}

static void clear_filled(cuframes_watch_t *watch)
{
    uint64_t count;
    ssize_t ignored;

    if (watch->first || watch->lost_events || over(watch))
        return;
    ignored = read(watch->filled, &count, sizeof(count));
    (void)ignored;
}

static void put_event(cuframes_watch_t *watch, cuframes_watch_event_type_t type, const char *key)
{
    struct queued *new = cf_sys.calloc(1, sizeof(*new));

    if (!new) {
        watch->lost_events = CUFRAMES_ERR_OUT_OF_MEMORY;
    } else {
        new->event.type = type;
        memcpy(new->event.key, key, sizeof(new->event.key));
        *watch->end = new;
        watch->end = &new->next;
    }
    set_filled(watch);
}

static bool take_event(cuframes_watch_t *watch, cuframes_watch_event_t *event)
{
    struct queued *taken = watch->first;

    if (!taken)
        return false;
    *event = taken->event;
    watch->first = taken->next;
    if (!watch->first) {
        watch->end = &watch->first;
        clear_filled(watch);
    }
    free(taken);
    return true;
}

static struct channel **find_channel(cuframes_watch_t *watch, const char *key)
{
    struct channel **link = &watch->channels;

    while (*link && strcmp((*link)->key, key) != 0)
        link = &(*link)->next;
    return link;
}

static int poll_add(cuframes_watch_t *watch, int fd, void *whose)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = whose};

    return cf_sys.epoll_ctl(watch->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

static void set_timer(cuframes_watch_t *watch)
{
    const struct itimerspec once = {.it_value.tv_sec = RETRY_S};

    timerfd_settime(watch->timer, 0, &once, NULL);
}

static void drop_connection(cuframes_watch_t *watch, struct channel *channel)
{
    if (channel->socket < 0)
        return;
    /* By hand: a copy in a child that is being forked off would keep it in there. */
    cf_sys.epoll_ctl(watch->epoll, EPOLL_CTL_DEL, channel->socket, NULL);
    cf_fork_guard_remove(&channel->guard);
    cf_close(&channel->socket);
}

/* A connection to the publisher of `key` that says it watches. */
static int connect_watcher(const cuframes_watch_t *watch, const char *key, int *socket)
{
    const struct cf_message message = {.type = CF_MSG_WATCH};
    int CF_CLOSE fd = -1;
    int err = cf_endpoint_connect(watch->dir, key, &fd);

    if (!err)
        err = cf_connection_send(fd, &message, NULL, 0);
    if (err == CUFRAMES_ERR_DISCONNECTED)
        return CUFRAMES_ERR_NOT_FOUND;
    if (!err)
        *socket = cf_steal_fd(&fd);
    return err;
}

/*
 * Tries to have a connection to a channel's publisher. False: there is no publisher. True: there
 * is one, or something that does not let itself be asked.
 */
static bool connect_channel(cuframes_watch_t *watch, struct channel *channel)
{
    int err = connect_watcher(watch, channel->key, &channel->socket);

    channel->retry = false;
    /* PROTOCOL: an older cuframes, which is no channel of this library. */
    if (err == CUFRAMES_ERR_NOT_FOUND || err == CUFRAMES_ERR_PROTOCOL)
        return false;
    if (!err) {
        cf_fork_guard_add(&channel->guard, channel->socket);
        if (poll_add(watch, channel->socket, channel) == 0)
            return true;
        drop_connection(watch, channel);
    }
    if (err != CUFRAMES_ERR_PERMISSION) {
        channel->retry = true;
        set_timer(watch);
    }
    return true;
}

/* Looks for a publisher of a key that is not among the channels. */
static void look_for(cuframes_watch_t *watch, const char *key)
{
    struct channel *new;

    if (watch->count == CF_MAX_KEYS) {
        cf_log(CUFRAMES_LOG_WARNING, "%s: more than %d channels, %s is not watched", watch->dir,
               CF_MAX_KEYS, key);
        return;
    }
    new = cf_sys.calloc(1, sizeof(*new));
    if (!new) {
        watch->lost_events = CUFRAMES_ERR_OUT_OF_MEMORY;
        set_filled(watch);
        return;
    }
    new->socket = -1;
    snprintf(new->key, sizeof(new->key), "%s", key);
    if (!connect_channel(watch, new)) {
        free(new);
        return;
    }
    new->next = watch->channels;
    watch->channels = new;
    watch->count++;
    put_event(watch, CUFRAMES_WATCH_ADDED, key);
}

static void remove_channel(cuframes_watch_t *watch, struct channel **link)
{
    struct channel *removed = *link;

    *link = removed->next;
    watch->count--;
    drop_connection(watch, removed);
    put_event(watch, CUFRAMES_WATCH_REMOVED, removed->key);
    free(removed);
}

/* A channel's publisher is gone; there may be the next one already. */
static void end_channel(cuframes_watch_t *watch, struct channel *channel)
{
    char key[CUFRAMES_KEY_MAX + 1];

    memcpy(key, channel->key, sizeof(key));
    remove_channel(watch, find_channel(watch, key));
    look_for(watch, key);
}

/* The publisher's side of a connection has become readable: it hangs up, or will not have us. */
static void hear_channel(cuframes_watch_t *watch, struct channel *channel)
{
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count = 0;
    int err = cf_connection_receive(channel->socket, &message, fds, &fd_count, 0);

    for (size_t i = 0; !err && i < fd_count; i++)
        cf_close(&fds[i]);
    if (err == CUFRAMES_ERR_WOULD_BLOCK)
        return;
    if (err == CUFRAMES_ERR_DISCONNECTED) {
        end_channel(watch, channel);
        return;
    }
    /* Whatever it says, it is alive: it has no room for watchers now, perhaps. */
    drop_connection(watch, channel);
    channel->retry = true;
    set_timer(watch);
}

static void retry_channels(cuframes_watch_t *watch)
{
    struct channel **link = &watch->channels;
    uint64_t expirations;
    ssize_t ignored = read(watch->timer, &expirations, sizeof(expirations));

    (void)ignored;
    while (*link) {
        if ((*link)->retry && !connect_channel(watch, *link))
            remove_channel(watch, link);
        else
            link = &(*link)->next;
    }
}

static void name_appeared(cuframes_watch_t *watch, const char *key)
{
    struct channel *known = *find_channel(watch, key);

    if (!known)
        look_for(watch, key);
    else if (known->socket < 0 || cf_connection_hung_up(known->socket))
        end_channel(watch, known);
}

/* The permissions of a name have changed: it may be possible to connect now. */
static void name_changed(cuframes_watch_t *watch, const char *key)
{
    struct channel **link = find_channel(watch, key);

    if (!*link)
        look_for(watch, key);
    else if ((*link)->socket < 0 && !connect_channel(watch, *link))
        remove_channel(watch, link);
}

static void name_disappeared(cuframes_watch_t *watch, const char *key)
{
    struct channel **link = find_channel(watch, key);

    if (*link && (*link)->socket < 0)
        remove_channel(watch, link);
}

static bool name_exists(const cuframes_watch_t *watch, const char *key)
{
    struct sockaddr_un address;
    struct stat st;

    return cf_endpoint_address(watch->dir, key, &address) == CUFRAMES_OK &&
           lstat(address.sun_path, &st) == 0;
}

/* Finds channels by reading the directory: at first, and when inotify has lost count. */
static int scan(cuframes_watch_t *watch)
{
    struct channel **link = &watch->channels;
    cuframes_key_list_t *list;
    int err;

    while (*link) {
        if ((*link)->socket < 0 && !name_exists(watch, (*link)->key))
            remove_channel(watch, link);
        else
            link = &(*link)->next;
    }
    err = cf_list(watch->dir, &list);
    if (err)
        return err;
    for (uint32_t i = 0; i < list->count; i++)
        if (!*find_channel(watch, list->keys[i]))
            look_for(watch, list->keys[i]);
    cf_key_list_free(list);
    return CUFRAMES_OK;
}

/* The directory is gone: who still has a connection is still there, nobody else can come. */
static void directory_gone(cuframes_watch_t *watch)
{
    watch->gone = true;
    scan(watch);
    if (over(watch))
        set_filled(watch);
}

static void take_sign(cuframes_watch_t *watch, const struct inotify_event *sign)
{
    char key[CUFRAMES_KEY_MAX + 1];

    if (sign->mask & IN_Q_OVERFLOW)
        scan(watch);
    else if (sign->mask & IN_IGNORED)
        directory_gone(watch);
    else if (sign->len == 0 || !cf_socket_name_key(sign->name, key))
        return;
    else if (sign->mask & (IN_MOVED_TO | IN_CREATE))
        name_appeared(watch, key);
    else if (sign->mask & IN_ATTRIB)
        name_changed(watch, key);
    else if (sign->mask & (IN_DELETE | IN_MOVED_FROM))
        name_disappeared(watch, key);
}

static void read_signs(cuframes_watch_t *watch)
{
    _Alignas(struct inotify_event) char bytes[4096];
    ssize_t size = read(watch->inotify, bytes, sizeof(bytes));
    const struct inotify_event *sign;

    for (ssize_t at = 0; at < size; at += (ssize_t)(sizeof(*sign) + sign->len)) {
        sign = (const struct inotify_event *)(bytes + at);
        take_sign(watch, sign);
    }
}

/* Handles what one descriptor has to say. False: there was nothing before the deadline. */
static bool step(cuframes_watch_t *watch, int timeout_ms)
{
    struct epoll_event event;
    void *whose;

    /* One at a time: handling one may end the channel that another names. */
    if (epoll_wait(watch->epoll, &event, 1, timeout_ms) != 1)
        return false;
    whose = event.data.ptr;
    if (whose == &watch->inotify)
        read_signs(watch);
    else if (whose == &watch->timer)
        retry_channels(watch);
    else if (whose != &watch->filled)
        hear_channel(watch, whose);
    return true;
}

static int report_end(cuframes_watch_t *watch)
{
    int lost = watch->lost_events;

    if (lost) {
        watch->lost_events = CUFRAMES_OK;
        clear_filled(watch);
        return cf_fail(lost, "out of memory: channels may have come or gone unnoticed");
    }
    return cf_fail(CUFRAMES_ERR_NOT_FOUND, "the runtime directory %s was removed", watch->dir);
}

int cf_watch_next(cuframes_watch_t *watch, cuframes_watch_event_t *event, int64_t deadline_ns)
{
    if (watch->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this watch was made before fork(): make another in the child");
    for (;;) {
        int timeout_ms = deadline_ns == 0 ? 0 : cf_poll_ms(deadline_ns, INT_MAX);

        if (take_event(watch, event))
            return CUFRAMES_OK;
        if (watch->lost_events || over(watch))
            return report_end(watch);
        if (step(watch, timeout_ms))
            continue;
        if (deadline_ns == 0)
            return CUFRAMES_ERR_WOULD_BLOCK;
        if (timeout_ms == 0)
            return cf_fail(CUFRAMES_ERR_TIMEOUT, "no channel came or went");
    }
}

int cf_watch_fd(const cuframes_watch_t *watch)
{
    return watch->epoll;
}

void cf_watch_destroy(cuframes_watch_t *watch)
{
    struct channel *channel;
    struct queued *queued;

    if (!watch)
        return;
    /* Not out of the epoll set first: in a child that is the parent's. */
    while ((channel = watch->channels) != NULL) {
        watch->channels = channel->next;
        if (watch->fork_count == cf_fork_count())
            cf_close(&channel->socket);
        cf_fork_guard_remove(&channel->guard);
        free(channel);
    }
    while ((queued = watch->first) != NULL) {
        watch->first = queued->next;
        free(queued);
    }
    cf_close(&watch->inotify);
    cf_close(&watch->filled);
    cf_close(&watch->timer);
    cf_close(&watch->epoll);
    free(watch);
}

static int open_descriptors(cuframes_watch_t *watch)
{
    watch->epoll = cf_sys.epoll_create1(EPOLL_CLOEXEC);
    if (watch->epoll < 0)
        return cf_fail_errno(errno, "cannot make an epoll descriptor");
    watch->filled = cf_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->filled < 0)
        return cf_fail_errno(errno, "cannot make an eventfd");
    watch->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (watch->timer < 0)
        return cf_fail_errno(errno, "cannot make a timer");
    watch->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->inotify < 0)
        return cf_fail_errno(errno,
                             "cannot make an inotify descriptor (the number for each user is "
                             "limited: sysctl fs.inotify.max_user_instances)");
    return CUFRAMES_OK;
}

static int begin(cuframes_watch_t *watch)
{
    int errnum, err = open_descriptors(watch);

    if (err)
        return err;
    if ((errnum = poll_add(watch, watch->filled, &watch->filled)) != 0 ||
        (errnum = poll_add(watch, watch->timer, &watch->timer)) != 0 ||
        (errnum = poll_add(watch, watch->inotify, &watch->inotify)) != 0)
        return cf_fail_errno(errnum, "cannot watch a descriptor (epoll_ctl)");
    if (inotify_add_watch(watch->inotify, watch->dir, SIGNS | IN_ONLYDIR) < 0) {
        if (errno == ENOENT)
            return cf_fail(CUFRAMES_ERR_NOT_FOUND, "there is no runtime directory %s", watch->dir);
        return cf_fail_errno(errno, "cannot watch the runtime directory %s", watch->dir);
    }
    /* After inotify is at work, so that nothing comes unseen in between. */
    return scan(watch);
}

int cf_watch_create(const char *dir, cuframes_watch_t **watch)
{
    cuframes_watch_t *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->epoll = new->inotify = new->filled = new->timer = -1;
    new->end = &new->first;
    new->fork_count = cf_fork_count();
    strncpy(new->dir, dir, sizeof(new->dir) - 1);
    err = begin(new);
    if (err) {
        cf_watch_destroy(new);
        return err;
    }
    *watch = new;
    return CUFRAMES_OK;
}
