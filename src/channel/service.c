/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publisher's service thread: accepts connections, attaches subscribers, answers questions,
 * sends new generations, and frees at once what a closed connection held.
 *
 * A client's life: NEW when accepted; its first message makes it a SUBSCRIBER or a WATCHER, or is
 * a question that is answered and ends it. Every message to a client is small and bounded in
 * number (a subscriber is sent one generation at a time and says when it has mapped it), so a
 * full socket means a client that does not follow the protocol, and closes it.
 */
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
#include "channel/publisher.h"

#define EVENTS_AT_ONCE 32

void cf_service_kick(cuframes_publisher_t *publisher)
{
    cf_event_add(publisher->kick);
}

static void free_client(cuframes_publisher_t *publisher, struct cf_client *client)
{
    struct cf_client **link = &publisher->all_clients;

    while (*link != client)
        link = &(*link)->next;
    *link = client->next;
    if (client->role != CF_CLIENT_SUBSCRIBER)
        publisher->visitors--;
    cf_fork_guard_remove(&client->guard);
    cf_close(&client->socket);
    cf_close(&client->wake_socket);
    cf_close(&client->peer_socket);
    cf_packets_free_client(client);
    free(client);
}

/* Ends a connection that is over, and frees what it held. */
static void close_client(cuframes_publisher_t *publisher, struct cf_client *client)
{
    pthread_mutex_lock(&publisher->lock);
    /* A publisher that stops, or has failed, writes no slot any more: what is held stays protected, and what was
     * announced can still be read. */
    cf_clients_detach(publisher, client,
                      publisher->stopping || publisher->failed ? CUFRAMES_OK
                                                               : CUFRAMES_ERR_DISCONNECTED);
    pthread_mutex_unlock(&publisher->lock);
    free_client(publisher, client);
}

static void send_error(int socket, int error, const char *text)
{
    struct cf_message message = {.type = CF_MSG_ERROR, .error = {.error = error}};

    snprintf(message.error.text, sizeof(message.error.text), "%s", text);
    cf_connection_send(socket, &message, NULL, 0);
}

/* Counts a refusal, and says it unless there are too many of them. */
static void note_refusal(cuframes_publisher_t *publisher, const struct cf_peer_credentials *peer,
                         int error, const char *text)
{
    /* Whoever tries what it may not do is of interest to others than who looks for a mistake. */
    cuframes_log_level_t level =
        error == CUFRAMES_ERR_PERMISSION ? CUFRAMES_LOG_WARNING : CUFRAMES_LOG_INFO;

    pthread_mutex_lock(&publisher->lock);
    publisher->stats.refused++;
    pthread_mutex_unlock(&publisher->lock);
    if (!cf_log_limit_take(&publisher->refusals, cf_now_ns()))
        return;
    cf_log(level, "%s: refusing a connection (pid %ld, uid %ld): %s", publisher->key,
           (long)peer->pid, (long)peer->uid, text);
}

static void say_more_refusals(cuframes_publisher_t *publisher)
{
    uint64_t more = cf_log_limit_reset(&publisher->refusals);

    if (more > 0)
        cf_log(CUFRAMES_LOG_WARNING, "%s: %llu more connections were refused", publisher->key,
               (unsigned long long)more);
}

/* Says how many refusals went unsaid, when it is time. Returns when to look again, or CF_NEVER. */
static int64_t say_refusals_when_due(cuframes_publisher_t *publisher)
{
    int64_t end = cf_log_limit_end(&publisher->refusals);

    if (end > cf_now_ns())
        return end;
    say_more_refusals(publisher);
    return CF_NEVER;
}

/* Refuses or drops a client: tells it why, then closes. */
static void refuse(cuframes_publisher_t *publisher, struct cf_client *client, int error,
                   const char *text)
{
    note_refusal(publisher, &client->credentials, error, text);
    send_error(client->socket, error, text);
    close_client(publisher, client);
}

/*
 * Sends a subscriber the current generation, with the page that waits for it. Returns an error
 * when the connection is of no more use.
 */
static int send_generation(cuframes_publisher_t *publisher, struct cf_client *client,
                           enum cf_message_type type)
{
    struct cf_message message = {.type = type};
    struct cf_msg_attached *body = &message.attached;
    struct cf_generation *generation;
    struct cf_page *page;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count = CF_FD_WAKE_SOCKET;
    int err;

    pthread_mutex_lock(&publisher->lock);
    if (!client->attached) {
        pthread_mutex_unlock(&publisher->lock);
        return CUFRAMES_OK;
    }
    generation = cf_generation_ref(publisher->current);
    body->info = cf_publisher_read_info(publisher);
    page = cf_page_ref(client->page);
    body->first_seq = atomic_load_explicit(&cf_page_holds(page)->cursor, memory_order_relaxed);
    pthread_mutex_unlock(&publisher->lock);

    memcpy(body->name, client->name, sizeof(body->name));
    /* A generation with fewer slots grants less; a later one with more grants it again. */
    body->max_holds = client->max_holds;
    if (body->max_holds > (uint32_t)generation->info.max_holds)
        body->max_holds = (uint32_t)generation->info.max_holds;
    body->control_size = generation->control.size;
    body->frames_size = cf_generation_frames_size(generation);
    body->slot_offset = generation->slot_offset;
    body->slot_stride = generation->slot_stride;
    fds[CF_FD_CONTROL] = generation->control_fd;
    fds[CF_FD_FRAMES] = generation->memory->fd;
    fds[CF_FD_HOLDS] = page->fd;
    if (client->peer_socket >= 0) {
        body->flags = CF_ATTACH_WAKE_SOCKET;
        fds[fd_count++] = client->peer_socket;
    }
    body->memory_count = 1 + generation->memory->more_count;
    for (uint32_t i = 0; i < generation->memory->more_count; i++)
        fds[fd_count++] = generation->memory->more_fds[i];
    CF_POINT("service.attached");
    err = cf_connection_send(client->socket, &message, fds, fd_count);
    CF_POINT("service.sent");
    cf_close(&client->peer_socket);
    client->adopting = true;
    pthread_mutex_lock(&publisher->lock);
    cf_close(&page->fd);
    cf_wait_progress(publisher);
    pthread_mutex_unlock(&publisher->lock);
    cf_page_unref(page);
    cf_generation_unref(generation);
    return err;
}

/* The answer to one that wants no frames. */
static int send_attached_frameless(cuframes_publisher_t *publisher, const struct cf_client *client)
{
    struct cf_message message = {.type = CF_MSG_ATTACHED, .attached.flags = CF_ATTACH_PACKETS_ONLY};

    pthread_mutex_lock(&publisher->lock);
    message.attached.info = cf_publisher_read_info(publisher);
    pthread_mutex_unlock(&publisher->lock);
    memcpy(message.attached.name, client->name, sizeof(message.attached.name));
    return cf_connection_send(client->socket, &message, NULL, 0);
}

static int send_attached(cuframes_publisher_t *publisher, struct cf_client *client)
{
    return client->packets_only ? send_attached_frameless(publisher, client)
                                : send_generation(publisher, client, CF_MSG_ATTACHED);
}

static void attach(cuframes_publisher_t *publisher, struct cf_client *client,
                   const struct cf_msg_attach *wanted)
{
    char why[CF_WIRE_TEXT_SIZE];
    int err;

    if ((wanted->flags & CF_ATTACH_WAKE_SOCKET) && !(wanted->flags & CF_ATTACH_PACKETS_ONLY) &&
        cf_wake_socket_make(&client->wake_socket, &client->peer_socket) != CUFRAMES_OK) {
        refuse(publisher, client, CUFRAMES_ERR_TOO_MANY, cuframes_last_error());
        return;
    }
    pthread_mutex_lock(&publisher->lock);
    err = cf_client_admit(publisher, client, wanted, why, sizeof(why));
    pthread_mutex_unlock(&publisher->lock);
    if (err) {
        refuse(publisher, client, err, why);
        return;
    }
    client->role = CF_CLIENT_SUBSCRIBER;
    publisher->visitors--;
    if (send_attached(publisher, client) != CUFRAMES_OK)
        close_client(publisher, client);
    else
        cf_log(CUFRAMES_LOG_INFO, "%s: %s attached (pid %ld)", publisher->key, client->name,
               (long)client->credentials.pid);
}

/* A subscriber has mapped what it was sent; by now there may be something newer. */
static void adopted(cuframes_publisher_t *publisher, struct cf_client *client,
                    const struct cf_msg_adopted *adopted)
{
    bool pending;

    client->adopting = false;
    pthread_mutex_lock(&publisher->lock);
    client->access = (cuframes_access_t)adopted->access;
    pending = client->attached && client->page->fd >= 0;
    pthread_mutex_unlock(&publisher->lock);
    if (pending && send_generation(publisher, client, CF_MSG_GENERATION) != CUFRAMES_OK)
        close_client(publisher, client);
}

/* Answers a question, and ends the connection. */
static void report(cuframes_publisher_t *publisher, struct cf_client *client)
{
    int err = cf_report_send(publisher, client);

    if (err)
        refuse(publisher, client, err, cuframes_last_error());
    else
        close_client(publisher, client);
}

static void enable_packets(cuframes_publisher_t *publisher, struct cf_client *client,
                           uint32_t flags)
{
    int err = cf_packets_attach(publisher, client, flags);

    if (err)
        refuse(publisher, client, err, cuframes_last_error());
}

static void packets_adopted(cuframes_publisher_t *publisher, struct cf_client *client)
{
    if (cf_packets_adopted(publisher, client) != CUFRAMES_OK)
        close_client(publisher, client);
}

static void take_message(cuframes_publisher_t *publisher, struct cf_client *client,
                         const struct cf_message *message)
{
    if (client->role == CF_CLIENT_NEW && message->type == CF_MSG_ATTACH)
        attach(publisher, client, &message->attach);
    else if (client->role == CF_CLIENT_NEW && message->type == CF_MSG_QUERY)
        report(publisher, client);
    else if (client->role == CF_CLIENT_NEW && message->type == CF_MSG_WATCH)
        client->role = CF_CLIENT_WATCHER;
    else if (client->role == CF_CLIENT_SUBSCRIBER && message->type == CF_MSG_ADOPTED &&
             client->adopting)
        adopted(publisher, client, &message->adopted);
    else if (client->role == CF_CLIENT_SUBSCRIBER && message->type == CF_MSG_PACKETS_ENABLE &&
             !client->packets.asked)
        enable_packets(publisher, client, message->packets_enable.flags);
    else if (client->role == CF_CLIENT_SUBSCRIBER && message->type == CF_MSG_PACKETS_ADOPTED &&
             client->packets.busy)
        packets_adopted(publisher, client);
    else
        refuse(publisher, client, CUFRAMES_ERR_PROTOCOL, "message out of order");
}

static void hear_client(cuframes_publisher_t *publisher, struct cf_client *client)
{
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count = 0;
    int err = cf_connection_receive(client->socket, &message, fds, &fd_count, 0);

    /* No message to a publisher carries descriptors; the decoder has refused those that do. */
    if (err == CUFRAMES_ERR_WOULD_BLOCK)
        return;
    if (err == CUFRAMES_ERR_DISCONNECTED)
        close_client(publisher, client);
    else if (err ||
             (client->role == CF_CLIENT_NEW && (err = cf_admission_check(publisher, client)) != 0))
        refuse(publisher, client, err, cuframes_last_error());
    else
        take_message(publisher, client, &message);
}

/* Makes room for a visitor by closing the one that has been silent for longest. */
static void limit_visitors(cuframes_publisher_t *publisher)
{
    struct cf_client *oldest = NULL;

    if (publisher->visitors < CF_MAX_VISITORS)
        return;
    /* The list has the newest first. Silent ones go before watchers. */
    for (struct cf_client *c = publisher->all_clients; c; c = c->next)
        if (c->role == CF_CLIENT_NEW ||
            (c->role == CF_CLIENT_WATCHER && (!oldest || oldest->role == CF_CLIENT_WATCHER)))
            oldest = c;
    if (oldest)
        refuse(publisher, oldest, CUFRAMES_ERR_TOO_MANY,
               "too many connections that are not subscribers");
}

/* Takes a connected socket into the service; consumes it. */
static void add_connection(cuframes_publisher_t *publisher, int socket, bool handed_in)
{
    struct cf_client *client = cf_sys.calloc(1, sizeof(*client));
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP};

    if (!client) {
        send_error(socket, CUFRAMES_ERR_OUT_OF_MEMORY, "the publisher is out of memory");
        cf_fork_guard_forget(socket);
        cf_close(&socket);
        return;
    }
    limit_visitors(publisher);
    cf_connection_refuse_descriptors(socket);
    client->socket = socket;
    client->wake_socket = client->peer_socket = -1;
    client->packets.wake_socket = client->packets.peer_socket = -1;
    client->accepted_ns = cf_now_ns();
    client->handed_in = handed_in;
    cf_connection_credentials(socket, &client->credentials);
    cf_fork_guard_add(&client->guard, socket);
    client->next = publisher->all_clients;
    publisher->all_clients = client;
    publisher->visitors++;
    CF_POINT("service.accepted");
    event.data.ptr = client;
    if (cf_sys.epoll_ctl(publisher->epoll, EPOLL_CTL_ADD, socket, &event) != 0)
        refuse(publisher, client, CUFRAMES_ERR_IO, "the publisher cannot watch the connection");
}

/* Any descriptor will do: one that needs no file, which a bare container may not have. */
static int spare_descriptor(const cuframes_publisher_t *publisher)
{
    return fcntl(publisher->kick, F_DUPFD_CLOEXEC, 0);
}

/* Out of descriptors: gives up the spare one to take the connection and say so, because a
 * connection that is left waiting would keep the listening socket readable for ever. */
static void refuse_for_lack_of_descriptors(cuframes_publisher_t *publisher)
{
    static const char why[] = "the publisher is out of descriptors (raise its limit: ulimit -n)";
    struct cf_peer_credentials peer = {.pid = 0, .uid = (uid_t)-1};
    int CF_CLOSE socket = -1;

    cf_close(&publisher->spare_fd);
    socket = cf_sys.accept4(publisher->endpoint.socket, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (socket >= 0) {
        cf_connection_credentials(socket, &peer);
        send_error(socket, CUFRAMES_ERR_TOO_MANY, why);
    }
    cf_close(&socket);
    publisher->spare_fd = spare_descriptor(publisher);
    note_refusal(publisher, &peer, CUFRAMES_ERR_TOO_MANY, why);
}

static void accept_connections(cuframes_publisher_t *publisher)
{
    /* A bounded number at a time, so that those who are attached are heard too. */
    for (int i = 0; i < EVENTS_AT_ONCE && cf_arrivals_may(publisher); i++) {
        struct cf_fork_guard newborn;
        int socket = cf_fork_guard_accept(&newborn, publisher->endpoint.socket);

        if (socket >= 0) {
            cf_rate_limit_count(&publisher->arrivals);
            add_connection(publisher, socket, false);
        } else if (errno == EMFILE || errno == ENFILE) {
            cf_rate_limit_count(&publisher->arrivals);
            refuse_for_lack_of_descriptors(publisher);
        } else if (errno != EINTR && errno != ECONNABORTED) {
            return;
        }
    }
}

/* Closes those who connected and say nothing. Returns when to look again, or CF_NEVER. */
static int64_t close_silent(cuframes_publisher_t *publisher)
{
    const int64_t now = cf_now_ns();
    int64_t next = CF_NEVER;
    struct cf_client *following;

    for (struct cf_client *c = publisher->all_clients; c; c = following) {
        int64_t until = c->accepted_ns + CF_SILENCE_MS * CF_NS_PER_MS;

        following = c->next;
        if (c->role != CF_CLIENT_NEW)
            continue;
        if (until <= now)
            refuse(publisher, c, CUFRAMES_ERR_TIMEOUT, "connected, and said nothing");
        else if (until < next)
            next = until;
    }
    return next;
}

/* A channel that has failed: nobody finds it any more, and everybody is told why. */
static void close_failed(cuframes_publisher_t *publisher)
{
    struct cf_client *following;
    char why[sizeof(publisher->failure)];
    int failed;

    pthread_mutex_lock(&publisher->lock);
    failed = publisher->failed;
    memcpy(why, publisher->failure, sizeof(why));
    pthread_mutex_unlock(&publisher->lock);
    if (!failed)
        return;
    cf_publisher_close_endpoint(publisher);
    for (struct cf_client *c = publisher->all_clients; c; c = following) {
        following = c->next;
        send_error(c->socket, failed, why);
        close_client(publisher, c);
    }
}

static const char *dismissal(int error)
{
    switch (error) {
    case CUFRAMES_ERR_EVICTED:
        return "evicted: it kept the publisher waiting longer than its policy allows; release "
               "frames sooner, or give the publisher a longer consumer_ack_timeout_ms";
    case CUFRAMES_ERR_PROTOCOL:
        return "this subscriber claims more frames than it was granted";
    default:
        return "the publisher has no memory for this subscriber";
    }
}

/* Does what the program's threads left: connections handed in, dismissals, new generations. */
static void do_left_work(cuframes_publisher_t *publisher)
{
    struct cf_client *following;
    uint64_t count;
    uint32_t added;
    int *fds;

    while (read(publisher->kick, &count, sizeof(count)) > 0)
        ;
    pthread_mutex_lock(&publisher->lock);
    fds = publisher->added_fds;
    added = publisher->added_count;
    publisher->added_fds = NULL;
    publisher->added_count = 0;
    pthread_mutex_unlock(&publisher->lock);
    for (uint32_t i = 0; i < added; i++)
        add_connection(publisher, fds[i], true);
    free(fds);

    close_failed(publisher);
    for (struct cf_client *c = publisher->all_clients; c; c = following) {
        bool pending;
        int dismissed;

        following = c->next;
        pthread_mutex_lock(&publisher->lock);
        dismissed = c->dismissed;
        pending = c->attached && c->page->fd >= 0 && !c->adopting;
        pthread_mutex_unlock(&publisher->lock);
        if (dismissed) {
            send_error(c->socket, dismissed, dismissal(dismissed));
            close_client(publisher, c);
        } else if ((pending && send_generation(publisher, c, CF_MSG_GENERATION) != CUFRAMES_OK) ||
                   cf_packets_serve(publisher, c) != CUFRAMES_OK) {
            close_client(publisher, c);
        }
    }
}

/* Whether a client that an event names still exists: an earlier event of the same batch may have
 * ended it. */
static bool is_client(const cuframes_publisher_t *publisher, const void *candidate)
{
    for (const struct cf_client *c = publisher->all_clients; c; c = c->next)
        if (c == candidate)
            return true;
    return false;
}

static bool stopping(cuframes_publisher_t *publisher)
{
    bool stop;

    pthread_mutex_lock(&publisher->lock);
    stop = publisher->stopping;
    pthread_mutex_unlock(&publisher->lock);
    return stop;
}

static int64_t earliest(int64_t a, int64_t b, int64_t c)
{
    if (b < a)
        a = b;
    return c < a ? c : a;
}

static void *serve(void *arg)
{
    cuframes_publisher_t *publisher = arg;
    struct epoll_event events[EVENTS_AT_ONCE];

    while (!stopping(publisher)) {
        int64_t silent = close_silent(publisher);
        int64_t unsaid = say_refusals_when_due(publisher);
        int64_t crowded = cf_arrivals_due(publisher);
        int64_t deadline = earliest(silent, unsaid, crowded);
        int timeout = deadline == CF_NEVER ? -1 : cf_poll_ms(deadline, CF_SILENCE_MS);
        int n = epoll_wait(publisher->epoll, events, EVENTS_AT_ONCE, timeout);

        for (int i = 0; i < n; i++) {
            void *whose = events[i].data.ptr;

            if (whose == &publisher->kick)
                do_left_work(publisher);
            else if (whose == &publisher->endpoint)
                accept_connections(publisher);
            else if (is_client(publisher, whose))
                hear_client(publisher, whose);
        }
    }
    say_more_refusals(publisher);
    return NULL;
}

static int watch(cuframes_publisher_t *publisher, int fd, void *whose)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = whose};

    if (cf_sys.epoll_ctl(publisher->epoll, EPOLL_CTL_ADD, fd, &event) != 0)
        return cf_fail_errno(errno, "cannot watch a descriptor (epoll_ctl)");
    return CUFRAMES_OK;
}

static int open_descriptors(cuframes_publisher_t *publisher)
{
    int err;

    cf_arrivals_init(publisher);
    publisher->epoll = cf_sys.epoll_create1(EPOLL_CLOEXEC);
    if (publisher->epoll < 0)
        return cf_fail_errno(errno, "cannot make the service thread's epoll descriptor");
    publisher->kick = cf_sys.eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (publisher->kick < 0)
        return cf_fail_errno(errno, "cannot make the service thread's eventfd");
    publisher->spare_fd = spare_descriptor(publisher);
    if (publisher->spare_fd < 0)
        return cf_fail_errno(errno, "cannot set a descriptor aside");
    err = watch(publisher, publisher->kick, &publisher->kick);
    if (!err && publisher->endpoint.socket >= 0) {
        cf_connection_refuse_descriptors(publisher->endpoint.socket);
        err = watch(publisher, publisher->endpoint.socket, &publisher->endpoint);
    }
    return err;
}

static void close_descriptors(cuframes_publisher_t *publisher)
{
    cf_close(&publisher->epoll);
    cf_close(&publisher->kick);
    cf_close(&publisher->spare_fd);
}

/* Starts the thread with every signal blocked: signals are the program's business. */
static int start_thread(cuframes_publisher_t *publisher)
{
    sigset_t all, before;
    int errnum;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    errnum = pthread_create(&publisher->service, NULL, serve, publisher);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (errnum)
        return cf_fail_errno(errnum, "cannot start the service thread");
    pthread_setname_np(publisher->service, "cuframes-serve");
    publisher->service_runs = true;
    return CUFRAMES_OK;
}

int cf_service_start(cuframes_publisher_t *publisher)
{
    int err = open_descriptors(publisher);

    if (!err)
        err = start_thread(publisher);
    if (err)
        close_descriptors(publisher);
    return err;
}

void cf_service_stop(cuframes_publisher_t *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->stopping = true;
    pthread_mutex_unlock(&publisher->lock);
    cf_service_kick(publisher);
    pthread_join(publisher->service, NULL);
    publisher->service_runs = false;
}

void cf_service_close(cuframes_publisher_t *publisher)
{
    for (struct cf_client *c = publisher->all_clients; c; c = c->next)
        cf_packets_flush(publisher, c);
    while (publisher->all_clients)
        close_client(publisher, publisher->all_clients);
    for (uint32_t i = 0; i < publisher->added_count; i++)
        cf_close(&publisher->added_fds[i]);
    publisher->added_count = 0;
    close_descriptors(publisher);
}

void cf_service_abandon(cuframes_publisher_t *publisher)
{
    struct cf_client *client;

    while ((client = publisher->all_clients) != NULL) {
        publisher->all_clients = client->next;
        cf_fork_guard_remove(&client->guard);
        cf_close(&client->wake_socket);
        cf_close(&client->peer_socket);
        cf_page_unref(client->page);
        cf_packets_free_client(client);
        free(client);
    }
    close_descriptors(publisher);
}

int cf_publisher_add_client(cuframes_publisher_t *publisher, int fd)
{
    int CF_CLOSE socket = fd;
    int *grown;
    int flags, err;

    if ((err = cf_connection_check(socket)) != 0)
        return err;
    flags = fcntl(socket, F_GETFL);
    if (flags < 0 || fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0 ||
        fcntl(socket, F_SETFD, FD_CLOEXEC) != 0)
        return cf_fail_errno(errno, "cannot set up the connection");
    pthread_mutex_lock(&publisher->lock);
    grown = realloc(publisher->added_fds, (publisher->added_count + 1) * sizeof(*grown));
    if (grown) {
        publisher->added_fds = grown;
        grown[publisher->added_count++] = cf_steal_fd(&socket);
    }
    pthread_mutex_unlock(&publisher->lock);
    if (!grown)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    cf_service_kick(publisher);
    return CUFRAMES_OK;
}
