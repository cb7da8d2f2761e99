/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes cat --packets --to unix:PATH: each program that connects gets the stream from the newest
 * key frame on.
 *
 * One thread. Each client has a subscriber of its own, so that the channel's ring is the buffer: a
 * client that does not read is not read for, and one that the ring has overtaken is dropped. Nobody
 * waits for anybody.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "cat_packets.h"
#include "common/file.h"
#include "common/report.h"
#include "common/stop.h"

#define MAX_CLIENTS 64
#define STALL_NS    INT64_C(10000000000)
/* Packets that one client may have in a row before the others have their turn. */
#define TURN 64
/* A publisher that is stopped holds everybody up for no longer than this, and is asked again later. */
#define ANSWER_S     0.1
#define ASK_AGAIN_NS INT64_C(500000000)
/* For what is still to be sent when the channel ends. */
#define GOODBYE_NS INT64_C(2000000000)

struct client {
    int fd;
    unsigned number; /* for messages */
    struct packet_feed feed;
    uint8_t *buffer;
    size_t used, sent, capacity;
    int64_t stalled_since_ns; /* 0 = it reads */
    bool ending;              /* closed as soon as the buffer is sent */
};

struct server {
    const struct cat_packets_settings *settings;
    int listener;
    struct stat identity; /* of the socket's name */
    struct client *clients[MAX_CLIENTS];
    int count;
    unsigned accepted;
    int64_t ask_again_ns; /* when to try to attach a client after the publisher did not answer */
    bool gone;            /* the publisher is, for good */
};

static bool append(void *user, const uint8_t *data, size_t size)
{
    struct client *client = user;

    if (client->capacity - client->used < size) {
        size_t capacity = (client->used + size) * 2;
        uint8_t *larger = realloc(client->buffer, capacity);

        if (!larger)
            return false;
        client->buffer = larger;
        client->capacity = capacity;
    }
    memcpy(client->buffer + client->used, data, size);
    client->used += size;
    return true;
}

static void drop(struct server *server, int index, const char *why)
{
    struct client *client = server->clients[index];

    if (why)
        report("client %u: %s", client->number, why);
    packet_feed_close(&client->feed, false);
    close(client->fd);
    free(client->buffer);
    free(client);
    server->clients[index] = server->clients[--server->count];
}

static bool pending(const struct client *client)
{
    return client->sent < client->used;
}

/* Sends what the socket takes. False: the client is gone. */
static bool send_some(struct client *client)
{
    while (pending(client)) {
        ssize_t sent = send(client->fd, client->buffer + client->sent, client->used - client->sent,
                            MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            break;
        client->sent += (size_t)sent;
        client->stalled_since_ns = 0;
    }
    if (!pending(client)) {
        client->used = client->sent = 0;
        return true;
    }
    if (!client->stalled_since_ns)
        client->stalled_since_ns = cuframes_now_ns();
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

static bool attach_client(struct server *server, struct client *client)
{
    struct packet_sink sink = {.user = client, .write = append};
    int error;

    if (cuframes_now_ns() < server->ask_again_ns)
        return false;
    error = packet_feed_open(&client->feed, &server->settings->feed, &sink, 0, ANSWER_S);
    if (error == CUFRAMES_ERR_TIMEOUT)
        server->ask_again_ns = cuframes_now_ns() + ASK_AGAIN_NS;
    return error == CUFRAMES_OK;
}

/* Reads packets for a client. NULL, or why it is to be dropped. */
static const char *read_for(struct server *server, struct client *client)
{
    for (int i = 0; i < TURN && !pending(client); i++) {
        switch (packet_feed_step(&client->feed, 0)) {
        case PACKET_FEED_WROTE:
            send_some(client);
            break;
        case PACKET_FEED_NOTHING:
        case PACKET_FEED_STOPPED:
            return NULL;
        case PACKET_FEED_LOST:
            return "dropped: it reads too slowly";
        case PACKET_FEED_GONE:
            server->gone = true;
            client->ending = true;
            return NULL;
        case PACKET_FEED_CHANGED:
            client->ending = true; /* it may connect again */
            return NULL;
        default:
            return client->feed.error[0] ? client->feed.error : "out of memory";
        }
    }
    return NULL;
}

/* Gives a client its turn. False: it is to be dropped, `why` says why or is NULL. */
static bool serve(struct server *server, struct client *client, const char **why)
{
    *why = NULL;
    if (!send_some(client))
        return false;
    if (pending(client)) {
        if (cuframes_now_ns() - client->stalled_since_ns > STALL_NS)
            *why = "dropped: it does not read";
        return !*why;
    }
    if (client->ending)
        return false;
    if (!client->feed.subscriber && !attach_client(server, client))
        return true; /* the publisher is away: next time */
    *why = read_for(server, client);
    return !*why;
}

static void serve_all(struct server *server)
{
    for (int i = server->count - 1; i >= 0; i--) {
        const char *why;

        if (!serve(server, server->clients[i], &why))
            drop(server, i, why);
    }
}

static void accept_client(struct server *server)
{
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    struct client *client;

    if (fd < 0)
        return;
    client = server->count < MAX_CLIENTS ? calloc(1, sizeof(*client)) : NULL;
    if (!client) {
        report("a client was refused: there are %d", server->count);
        close(fd);
        return;
    }
    client->fd = fd;
    client->number = ++server->accepted;
    server->clients[server->count++] = client;
}

/* What the clients say is of no interest, but for that they hang up. */
static bool hung_up(const struct client *client)
{
    char ignored[256];
    ssize_t got = recv(client->fd, ignored, sizeof(ignored), MSG_DONTWAIT);

    return got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
}

/* Sleeps until something can be done. */
static void wait_for_work(struct server *server)
{
    struct pollfd list[1 + 2 * MAX_CLIENTS];
    nfds_t count = 0;

    list[count++] = (struct pollfd){.fd = server->listener, .events = POLLIN};
    for (int i = 0; i < server->count; i++) {
        const struct client *client = server->clients[i];
        bool busy = pending(client);

        list[count++] =
            (struct pollfd){.fd = client->fd, .events = (short)(POLLIN | (busy ? POLLOUT : 0))};
        list[count++] = (struct pollfd){.fd = client->feed.subscriber && !busy && !client->ending
                                                  ? cuframes_subscriber_fd(client->feed.subscriber)
                                                  : -1,
                                        .events = POLLIN};
    }
    poll(list, count, STOP_POLL_MS);
    for (int i = server->count - 1; i >= 0; i--)
        if ((list[1 + 2 * i].revents & (POLLIN | POLLHUP | POLLERR)) && hung_up(server->clients[i]))
            drop(server, i, NULL);
    if (list[0].revents & POLLIN)
        accept_client(server);
}

/* A name that nobody listens at any more may be taken over. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat status;
    int fd;
    bool stale;

    if (lstat(address->sun_path, &status) < 0 || !S_ISSOCK(status.st_mode))
        return false;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    stale = fd >= 0 && connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
            errno == ECONNREFUSED;
    if (fd >= 0)
        close(fd);
    return stale;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
    /* The mode from the first moment; this program has one thread. */
    mode_t mask = umask(0177);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int error = errno;

    umask(mask);
    errno = error;
    return result;
}

static int listen_at(struct server *server)
{
    const char *path = server->settings->socket_path;
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strlen(path));
    if (!file_check_links(path))
        return TOOL_FAILED;
    if (is_stale(&address))
        unlink(path);
    server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->listener < 0 || bind_private(server->listener, &address) < 0 ||
        listen(server->listener, MAX_CLIENTS) < 0 || lstat(path, &server->identity) < 0) {
        int error = errno;

        if (server->listener >= 0)
            close(server->listener);
        return report_failed("%s: %s%s", path, strerror(error),
                             error == EADDRINUSE ? "; remove it, or give another name" : "");
    }
    return TOOL_CONTINUE;
}

static void close_listener(struct server *server)
{
    const char *path = server->settings->socket_path;
    struct stat now;

    close(server->listener);
    /* Not the one of somebody who came after us. */
    if (lstat(path, &now) == 0 && now.st_ino == server->identity.st_ino &&
        now.st_dev == server->identity.st_dev)
        unlink(path);
}

/* Whether the publisher answers no more, while no client is there to notice. */
static bool publisher_is_gone(const struct server *server)
{
    const cuframes_subscriber_config_t *config = &server->settings->feed.config;
    cuframes_channel_report_t *channel = NULL;
    int error =
        cuframes_query(config->runtime_dir, config->key, (int32_t)(ANSWER_S * 1000), &channel);

    cuframes_channel_report_free(channel);
    return error == CUFRAMES_ERR_NOT_FOUND;
}

static void serve_until(struct server *server, int64_t deadline_ns)
{
    int64_t look_ns = 0;
    bool lasts = (server->settings->feed.config.flags & CUFRAMES_SUBSCRIBER_RECONNECT) != 0;

    while (!stop_requested() && !server->gone && cuframes_now_ns() < deadline_ns) {
        serve_all(server);
        wait_for_work(server);
        if (lasts || cuframes_now_ns() < look_ns)
            continue;
        look_ns = cuframes_now_ns() + INT64_C(500000000);
        server->gone = server->count == 0 && publisher_is_gone(server);
    }
}

/* Sends what the clients are still to get. */
static void say_goodbye(struct server *server)
{
    int64_t deadline_ns = cuframes_now_ns() + GOODBYE_NS;

    while (server->count > 0 && !stop_requested() && cuframes_now_ns() < deadline_ns) {
        serve_all(server);
        if (server->count > 0)
            wait_for_work(server);
    }
    while (server->count > 0)
        drop(server, server->count - 1, NULL);
}

/* That the channel is there, has packets, and has what the format needs. */
static int check_channel(const struct cat_packets_settings *s)
{
    static struct packet_feed feed; /* large */
    static struct client nobody;    /* the same */
    struct packet_sink sink = {.user = &nobody, .write = append};
    enum packet_feed_result result = PACKET_FEED_WROTE;
    int64_t deadline_ns = cuframes_now_ns() + (int64_t)(s->wait_s * 1e9);
    int error = packet_feed_open(&feed, &s->feed, &sink, s->wait_s, s->seconds);
    int rc = TOOL_CONTINUE;

    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error)
        return report_library(error);
    while (result == PACKET_FEED_WROTE && !feed.writer)
        result = packet_feed_step(&feed, deadline_ns);
    if (result == PACKET_FEED_FAILED)
        rc = report_failed("%s", feed.error);
    packet_feed_close(&feed, false);
    free(nobody.buffer);
    return rc;
}

int packet_server_run(const struct cat_packets_settings *s)
{
    static struct server server; /* large: the list of clients */
    int rc = check_channel(s);

    server.settings = s;
    if (rc == TOOL_CONTINUE)
        rc = listen_at(&server);
    if (rc != TOOL_CONTINUE)
        return rc;
    serve_until(&server,
                s->seconds > 0 ? cuframes_now_ns() + (int64_t)(s->seconds * 1e9) : INT64_MAX);
    say_goodbye(&server);
    close_listener(&server);
    if (server.gone)
        report("the publisher has gone");
    return TOOL_DONE;
}
