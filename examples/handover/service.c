/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Hands out channels over connections: for clients that share no directory with the publisher.
 *
 *   handover-service PATH           listens on PATH
 *   handover-service                serves the socket that systemd passes (socket activation), as in
 *                                   systemd-socket-activate -l PATH handover-service
 *   handover-service --connection N serves the one connection N that the parent passes
 *
 * A client says in one line what it wants, "size=640x480 fps=30 format=nv12", and gets one line
 * with what it will get, "ok size=640x480 fps=30 format=nv12", and with it one end of a socket
 * pair. The library serves the other end: that descriptor is all the client needs. What cannot be
 * is answered "no" and the reason. The frames end when the client closes the connection.
 *
 * Each client has a channel of its own here, for each may wish for another picture; a service with
 * one camera would add all of them to one publisher.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cuframes/cuframes.h>

enum { MAX_CLIENTS = 16, LINE_SIZE = 256, FIRST_PASSED_FD = 3 };

struct client {
    int connection;
    char line[LINE_SIZE];
    size_t line_size;
    cuframes_publisher_t *publisher; /* NULL until it has said what it wants */
    cuframes_publisher_config_t config;
    int64_t due_ns;
    uint64_t number;
};

static struct client clients[MAX_CLIENTS];
static int client_count;
static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

/* ---- frames ---- */

/* Rows that move by one in each frame. */
static void draw(cuframes_buffer_t *buffer, const cuframes_publisher_config_t *config, uint64_t n)
{
    const cuframes_layout_t *layout = cuframes_buffer_layout(buffer);
    uint8_t *picture = cuframes_buffer_data(buffer);

    memset(picture, 128, layout->size);
    for (int32_t y = 0; y < config->height; y++)
        memset(picture + (size_t)y * layout->planes[0].pitch, (int)(((uint64_t)y + n) % 256),
               layout->planes[0].pitch);
}

static void publish(struct client *client)
{
    cuframes_frame_meta_t meta = {.pts_ns = client->due_ns, .capture_ns = CUFRAMES_NO_TIME};
    cuframes_buffer_t *buffer;

    client->due_ns += INT64_C(1000000000) * client->config.fps_den / client->config.fps_num;
    client->number++;
    if (cuframes_publisher_acquire_buffer(client->publisher, &buffer) != CUFRAMES_OK)
        return; /* the client holds every slot: it misses this one */
    draw(buffer, &client->config, client->number);
    if (cuframes_publisher_publish_buffer(client->publisher, buffer, NULL, &meta, NULL))
        fprintf(stderr, "handover-service: %s\n", cuframes_last_error());
    cuframes_buffer_unref(buffer);
}

/* ---- what a client wants ---- */

/* Takes one word of the wish; what is not understood is refused, not passed over. */
static bool take_word(const char *word, cuframes_publisher_config_t *config, char *why, size_t size)
{
    char name[32];
    int width, height, fps;

    if (sscanf(word, "size=%dx%d", &width, &height) == 2) {
        config->width = width;
        config->height = height;
        return true;
    }
    if (sscanf(word, "fps=%d", &fps) == 1 && fps >= 1 && fps <= 240) {
        config->fps_num = fps;
        return true;
    }
    if (sscanf(word, "format=%31s", name) == 1 &&
        cuframes_format_from_name(name, &config->format) == CUFRAMES_OK)
        return true;
    snprintf(why, size, "\"%s\" cannot be had", word);
    return false;
}

/* A channel without a socket of its own, for one client. */
static bool make_channel(struct client *client, char *why, size_t size)
{
    cuframes_publisher_config_t config = {.key = "handover",
                                          .width = 640,
                                          .height = 480,
                                          .fps_num = 30,
                                          .fps_den = 1,
                                          .memory = CUFRAMES_MEMORY_HOST,
                                          .flags = CUFRAMES_PUBLISHER_NO_SOCKET};
    char *rest = client->line;

    for (char *word; (word = strtok_r(rest, " \r\n", &rest));)
        if (!take_word(word, &config, why, size))
            return false;
    if (cuframes_publisher_create(&config, &client->publisher) != CUFRAMES_OK) {
        snprintf(why, size, "%s", cuframes_last_error());
        return false;
    }
    client->config = config;
    client->due_ns = cuframes_now_ns();
    return true;
}

/* ---- the connection ---- */

static bool send_line(int connection, const char *line, int fd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {.header = {.cmsg_len = CMSG_LEN(sizeof(fd)),
                            .cmsg_level = SOL_SOCKET,
                            .cmsg_type = SCM_RIGHTS}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)line, .iov_len = strlen(line)};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd >= 0) {
        memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
        header.msg_control = control.space;
        header.msg_controllen = sizeof(control.space);
    }
    return sendmsg(connection, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)part.iov_len;
}

/* Gives the client its end of a pair, of which the library serves the other. */
static bool hand_over(struct client *client)
{
    const cuframes_publisher_config_t *config = &client->config;
    char line[LINE_SIZE];
    int pair[2];
    bool sent;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    if (cuframes_publisher_add_client(client->publisher, pair[0]) != CUFRAMES_OK) {
        close(pair[1]);
        return false;
    }
    snprintf(line, sizeof(line), "ok size=%dx%d fps=%d format=%s\n", config->width, config->height,
             config->fps_num, cuframes_format_name(config->format));
    sent = send_line(client->connection, line, pair[1]);
    close(pair[1]);
    return sent;
}

/* False: the client is done with. */
static bool read_wish(struct client *client)
{
    char why[LINE_SIZE], answer[LINE_SIZE + 8];
    ssize_t got = recv(client->connection, client->line + client->line_size,
                       sizeof(client->line) - 1 - client->line_size, MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got <= 0 || client->publisher) /* gone, or it speaks again */
        return false;
    client->line_size += (size_t)got;
    client->line[client->line_size] = '\0';
    if (!strchr(client->line, '\n'))
        return client->line_size < sizeof(client->line) - 1;
    if (make_channel(client, why, sizeof(why)))
        return hand_over(client);
    snprintf(answer, sizeof(answer), "no %s\n", why);
    send_line(client->connection, answer, -1);
    return false;
}

static void add_client(int connection)
{
    if (connection < 0)
        return;
    if (client_count == MAX_CLIENTS) {
        send_line(connection, "no place for more clients\n", -1);
        close(connection);
        return;
    }
    clients[client_count++] = (struct client){.connection = connection};
}

static void remove_client(int index)
{
    cuframes_publisher_destroy(clients[index].publisher);
    close(clients[index].connection);
    clients[index] = clients[--client_count];
}

/* ---- the loop ---- */

/* Milliseconds until the next frame of anybody is due. */
static int time_left(void)
{
    int64_t now = cuframes_now_ns(), next = now + INT64_C(100000000);

    for (int i = 0; i < client_count; i++)
        if (clients[i].publisher && clients[i].due_ns < next)
            next = clients[i].due_ns;
    return next <= now ? 0 : (int)((next - now) / 1000000) + 1;
}

/* `listener` is -1 when there is one connection alone, with which the service ends. */
static void serve(int listener)
{
    struct pollfd polls[MAX_CLIENTS + 1];

    while (!stopped && (listener >= 0 || client_count > 0)) {
        int count = client_count;

        for (int i = 0; i < count; i++)
            polls[i] = (struct pollfd){.fd = clients[i].connection, .events = POLLIN};
        polls[count] = (struct pollfd){.fd = listener, .events = POLLIN};
        poll(polls, (nfds_t)count + 1, time_left());
        for (int i = 0; i < count; i++)
            if (clients[i].publisher && clients[i].due_ns <= cuframes_now_ns())
                publish(&clients[i]);
        for (int i = count; i-- > 0;)
            if (polls[i].revents && !read_wish(&clients[i]))
                remove_client(i);
        if (polls[count].revents)
            add_client(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    }
    while (client_count > 0)
        remove_client(0);
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    unlink(path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(fd, MAX_CLIENTS) < 0) {
        perror(path);
        exit(1);
    }
    return fd;
}

/* The socket that systemd passes: the variables are meant for this process, and there is one. */
static int activated_socket(void)
{
    const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");

    if (!pid || !count || strtol(pid, NULL, 10) != getpid() || strcmp(count, "1") != 0)
        return -1;
    return FIRST_PASSED_FD;
}

int main(int argc, char **argv)
{
    int listener = -1;

    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    if (argc == 3 && !strcmp(argv[1], "--connection"))
        add_client((int)strtol(argv[2], NULL, 10));
    else if (argc == 2)
        listener = listen_on(argv[1]);
    else if (argc == 1)
        listener = activated_socket();
    if (listener < 0 && client_count == 0) {
        fprintf(stderr, "usage: handover-service PATH | --connection N; or by socket activation\n");
        return 2;
    }
    serve(listener);
    return 0;
}
