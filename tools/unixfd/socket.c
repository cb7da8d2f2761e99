/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unixfd/socket.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/file.h"
#include "common/report.h"

#define BACKLOG 16

static bool address_of(const char *path, struct sockaddr_un *address)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(address->sun_path)) {
        errno = ENAMETOOLONG;
        return false;
    }
    memcpy(address->sun_path, path, strlen(path) + 1);
    return true;
}

static int connect_to(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int saved;

    if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0)
        return fd;
    saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

int unixfd_connect(const char *path)
{
    struct sockaddr_un address;

    return address_of(path, &address) ? connect_to(&address) : -1;
}

/* Removes a socket that nobody listens on. */
static bool remove_stale(const char *path, const struct sockaddr_un *address)
{
    struct stat info;
    int fd;

    if (lstat(path, &info) < 0 || !S_ISSOCK(info.st_mode))
        return false;
    fd = connect_to(address);
    if (fd >= 0) {
        close(fd);
        return false;
    }
    return errno == ECONNREFUSED && unlink(path) == 0;
}

static int bind_with_mode(int fd, const struct sockaddr_un *address, uint32_t mode)
{
    mode_t before = umask(0777 & ~(mode_t)mode);
    int result = bind(fd, (const struct sockaddr *)address, sizeof(*address));
    int saved = errno;

    umask(before);
    errno = saved;
    return result;
}

int unixfd_listen(const char *path, uint32_t mode)
{
    struct sockaddr_un address;
    int fd;

    if (!address_of(path, &address)) {
        report("%s: %s", path, strerror(errno));
        return -1;
    }
    if (!file_check_links(path))
        return -1;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 &&
        (bind_with_mode(fd, &address, mode) == 0 ||
         (errno == EADDRINUSE && remove_stale(path, &address) &&
          bind_with_mode(fd, &address, mode) == 0)) &&
        listen(fd, BACKLOG) == 0)
        return fd;
    if (errno == EADDRINUSE)
        report("%s is there already, and in use or no socket: give another path", path);
    else
        report("cannot listen on %s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

enum unixfd_sent unixfd_send(int socket, const struct unixfd_message *message, int fd,
                             uint32_t count)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * CUFRAMES_MAX_PLANES)];
    } control = {0};
    struct iovec part = {.iov_base = (void *)(uintptr_t)message->bytes, .iov_len = message->size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};
    ssize_t sent;

    if (count > 0) {
        header.msg_control = control.space;
        header.msg_controllen = CMSG_SPACE(sizeof(fd) * count);
        control.header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd) * count),
                                          .cmsg_level = SOL_SOCKET,
                                          .cmsg_type = SCM_RIGHTS};
    }
    for (uint32_t i = 0; i < count; i++)
        memcpy(CMSG_DATA(&control.header) + i * sizeof(fd), &fd, sizeof(fd));
    do {
        sent = sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)message->size)
        return UNIXFD_SENT;
    /* ETOOMANYREFS: too many descriptors are on their way to peers that do not read. */
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS))
        return UNIXFD_FULL;
    return UNIXFD_GONE;
}

/* Of one control message. False: there are more than fit. */
static bool take_rights(const struct cmsghdr *rights, struct unixfd_fds *fds)
{
    const unsigned char *data = CMSG_DATA(rights);
    size_t count = (rights->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    bool fits = true;

    for (size_t i = 0; i < count; i++) {
        int fd;

        memcpy(&fd, data + i * sizeof(fd), sizeof(fd));
        if (fds->count < UNIXFD_MAX_MEMORIES) {
            fds->fd[fds->count++] = fd;
        } else {
            close(fd);
            fits = false;
        }
    }
    return fits;
}

static bool take_descriptors(struct msghdr *header, struct unixfd_fds *fds)
{
    bool fits = true;

    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c && fds; c = CMSG_NXTHDR(header, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            fits = take_rights(c, fds) && fits;
    return fits;
}

ssize_t unixfd_receive(int socket, void *bytes, size_t size, struct unixfd_fds *fds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int) * UNIXFD_MAX_MEMORIES)];
    } control;
    struct iovec part = {.iov_base = bytes, .iov_len = size};
    /* Without room for control data the kernel closes descriptors that come. */
    struct msghdr header = {.msg_iov = &part,
                            .msg_iovlen = 1,
                            .msg_control = fds ? control.space : NULL,
                            .msg_controllen = fds ? sizeof(control.space) : 0};
    ssize_t got;

    do {
        got = recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EAGAIN ? 0 : -1;
    if (!take_descriptors(&header, fds) || got == 0 || (header.msg_flags & MSG_CTRUNC))
        return -1;
    return got;
}

void unixfd_close(struct unixfd_fds *fds)
{
    for (int i = 0; i < fds->count; i++)
        close(fds->fd[i]);
    fds->count = 0;
}
