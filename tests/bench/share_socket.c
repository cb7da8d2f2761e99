/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pictures through a Unix stream socket: drawn into the writer's memory, sent, received into
 * the reader's. ENDPOINT is the socket's path, on which the writer listens.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "share.h"

#define WAIT_MS 20000

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        share_fail(path);
    }
    strcpy(address.sun_path, path);
    return address;
}

static int accept_reader(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd;

    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(listener, 1) != 0 || (fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) < 0)
        share_fail(path);
    close(listener);
    unlink(path);
    return fd;
}

static int connect_to_writer(const char *path)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    for (int i = 0; fd >= 0 && i < WAIT_MS; i++) {
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
            return fd;
        nanosleep(&pause, NULL);
    }
    share_fail(path);
}

static void send_picture(int fd, const uint8_t *memory)
{
    size_t sent = 0;

    while (sent < SHARE_SIZE) {
        ssize_t n = send(fd, memory + sent, SHARE_SIZE - sent, MSG_NOSIGNAL);

        if (n < 0 && errno != EINTR)
            share_fail("send");
        sent += n > 0 ? (size_t)n : 0;
    }
}

static void receive_picture(int fd, uint8_t *memory)
{
    size_t received = 0;

    while (received < SHARE_SIZE) {
        ssize_t n = recv(fd, memory + received, SHARE_SIZE - received, MSG_WAITALL);

        if (n == 0 || (n < 0 && errno != EINTR))
            share_fail("receive");
        received += n > 0 ? (size_t)n : 0;
    }
}

int main(int argc, char **argv)
{
    uint8_t *memory = malloc(SHARE_SIZE);
    struct share share;
    int fd;

    share_init(&share, argc, argv);
    if (!memory)
        share_fail("no memory for a picture");
    fd = share.write ? accept_reader(share.endpoint) : connect_to_writer(share.endpoint);
    while (!share_is_done(&share)) {
        if (share.write) {
            share_pace(&share);
            share_draw(&share, memory);
            send_picture(fd, memory);
        } else {
            receive_picture(fd, memory);
            share_read(&share, memory);
        }
    }
    share_finish(&share);
    close(fd);
    free(memory);
    return 0;
}
