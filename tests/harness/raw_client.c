/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "harness/raw_client.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "harness/harness.h"

static void key_address(const char *key, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    CHECK_LT(snprintf(address->sun_path, sizeof(address->sun_path), "%s/%s.sock",
                      test_runtime_dir(), key),
             (int)sizeof(address->sun_path));
}

int raw_connect(const char *key, int type)
{
    int CF_CLOSE fd = CHECK_SYS(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    struct sockaddr_un address;

    key_address(key, &address);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0)
        return -1;
    return cf_steal_fd(&fd);
}

int raw_listen(const char *key, int type)
{
    int fd = CHECK_SYS(socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
    struct sockaddr_un address;

    key_address(key, &address);
    CHECK_SYS(bind(fd, (struct sockaddr *)&address, sizeof(address)));
    CHECK_SYS(listen(fd, 8));
    return fd;
}

void raw_send(int socket, const struct cf_message *message)
{
    CHECK_OK(cf_connection_send(socket, message, NULL, 0));
}

int raw_receive(int socket, struct cf_message *message, int *fds, size_t *fd_count)
{
    int own[CF_WIRE_MAX_FDS];
    size_t own_count = 0;
    int64_t deadline = cf_deadline(test_patience_ms());
    int err = cf_connection_receive(socket, message, fds ? fds : own, fds ? fd_count : &own_count,
                                    deadline);

    for (size_t i = 0; i < own_count; i++)
        close(own[i]);
    return err;
}

int raw_receive_error(int socket, char text[CF_WIRE_TEXT_SIZE])
{
    struct cf_message message;

    CHECK_OK(raw_receive(socket, &message, NULL, NULL));
    CHECK_EQ(message.type, CF_MSG_ERROR);
    CHECK(message.error.text[0] != '\0');
    if (text)
        memcpy(text, message.error.text, CF_WIRE_TEXT_SIZE);
    return message.error.error;
}

void raw_attach_over(struct raw_client *client, int socket, const char *name, uint32_t mode)
{
    struct cf_message message = {.type = CF_MSG_ATTACH, .attach = {.mode = mode}};

    *client = (struct raw_client){.socket = socket};
    snprintf(message.attach.name, sizeof(message.attach.name), "%s", name);
    raw_send(socket, &message);
    CHECK_OK(raw_receive(socket, &message, client->fds, &client->fd_count));
    CHECK_EQ(message.type, CF_MSG_ATTACHED);
    CHECK_GE(client->fd_count, 3U);
    client->attached = message.attached;
    CHECK_OK(cf_shm_attach("control memory", client->fds[CF_FD_CONTROL],
                           message.attached.control_size, CF_SHM_MAKER_WRITES, &client->control));
    CHECK_OK(cf_shm_attach("frame memory", client->fds[CF_FD_FRAMES], message.attached.frames_size,
                           CF_SHM_MAKER_WRITES, &client->frames));
    CHECK_OK(cf_shm_attach("hold page", client->fds[CF_FD_HOLDS], sizeof(struct cf_hold_page),
                           CF_SHM_PEER_WRITES, &client->holds));
}

void raw_attach(struct raw_client *client, const char *key, const char *name, uint32_t mode)
{
    raw_attach_over(client, CHECK_SYS(raw_connect(key, SOCK_SEQPACKET)), name, mode);
}

void raw_detach(struct raw_client *client)
{
    cf_map_release(&client->control);
    cf_map_release(&client->frames);
    cf_map_release(&client->holds);
    for (size_t i = 0; i < client->fd_count; i++)
        close(client->fds[i]);
    cf_close(&client->socket);
    client->fd_count = 0;
}

void raw_wait_hang_up(int socket)
{
    int64_t deadline = test_deadline_ms(10000);
    struct cf_message message;
    int err;

    do {
        int fds[CF_WIRE_MAX_FDS];
        size_t count = 0;

        err = cf_connection_receive(socket, &message, fds, &count, deadline);
        for (size_t i = 0; i < count; i++)
            close(fds[i]);
    } while (err == CUFRAMES_OK);
    CHECK_EQ(err, CUFRAMES_ERR_DISCONNECTED);
}
