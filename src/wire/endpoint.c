/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Taking a key and connecting to it.
 *
 * The new socket is bound under a temporary name, listens, and then takes the place of the old
 * name in one step (rename). So a name that exists has a listener unless its publisher died, and
 * nobody who watches the directory or connects sees anything between. All of it happens under the
 * lock, as does the removal of what a taker that was killed half-way left: its temporary socket
 * and the lock file itself.
 */
#include "wire/endpoint.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/point.h"
#include "base/sys.h"
#include "wire/connection.h"

/* Subscribers that may wait for accept(): a whole channel's worth at once, several times over. */
#define BACKLOG 1024
/* Takers hold the lock for well under a millisecond: much longer means that one is stopped. */
#define LOCK_TIMEOUT_MS 2000
#define LOCK_RETRY_NS   (2 * CF_NS_PER_MS)

/* A listening socket has its permissions by the time it listens, so the mode at birth is the
 * strictest. */
#define BIRTH_MODE 0600

#define SUFFIX_SIZE (sizeof(".sock") - 1)

/* The names of one key. All fit into an address if <key>.sock does. */
struct names {
    struct sockaddr_un socket;
    struct sockaddr_un temporary;
    char lock[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

static_assert(sizeof(".sock") == sizeof(".lock"), "the lock's name is as long as the socket's");
static_assert(sizeof(".sock") == sizeof("..tmp"), "so is the temporary one");

int cf_endpoint_address(const char *dir, const char *key, struct sockaddr_un *address)
{
    size_t room = sizeof(address->sun_path) - 1;
    struct sockaddr_un made = {.sun_family = AF_UNIX};
    int length = snprintf(made.sun_path, sizeof(made.sun_path), "%s/%s.sock", dir, key);

    if (length < 0 || (size_t)length > room)
        return cf_fail(
            CUFRAMES_ERR_INVALID_ARG,
            "the path %s/%s.sock is too long for a socket (%d bytes, at most %zu): use a "
            "runtime directory of at most %zu bytes, or a shorter key",
            dir, key, length, room, room - strlen(key) - SUFFIX_SIZE - 1);
    *address = made;
    return CUFRAMES_OK;
}

static int make_names(const char *dir, const char *key, struct names *names)
{
    int err = cf_endpoint_address(dir, key, &names->socket);

    if (err)
        return err;
    names->temporary = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(names->temporary.sun_path, sizeof(names->temporary.sun_path), "%s/.%s.tmp", dir, key);
    snprintf(names->lock, sizeof(names->lock), "%s/%s.lock", dir, key);
    return CUFRAMES_OK;
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

static int lock_error(const char *path)
{
    if (errno == ELOOP)
        return cf_fail(CUFRAMES_ERR_PERMISSION, "%s is a symbolic link: remove it", path);
    return cf_fail_errno(errno, "cannot make the lock %s", path);
}

/* One try. *lock is -1 if somebody else has the lock, or removed its name just now. */
static int try_lock(const char *path, int *lock)
{
    int CF_CLOSE fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    struct stat own, named;

    if (fd < 0)
        return lock_error(path);
    if (fstat(fd, &own) != 0 || !S_ISREG(own.st_mode))
        return cf_fail(CUFRAMES_ERR_IO, "%s is not a regular file: move it away", path);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK || errno == EINTR ? CUFRAMES_OK : lock_error(path);
    /* The one who had the lock before removed the name; a lock on a file without a name excludes
     * nobody. */
    if (lstat(path, &named) == 0 && same_file(&own, &named))
        *lock = cf_steal_fd(&fd);
    return CUFRAMES_OK;
}

static int take_lock(const char *path, int *lock)
{
    int64_t deadline = cf_deadline(LOCK_TIMEOUT_MS);
    const struct timespec pause = {.tv_nsec = LOCK_RETRY_NS};

    *lock = -1;
    for (;;) {
        int err = try_lock(path, lock);

        if (err || *lock >= 0)
            return err;
        if (cf_now_ns() >= deadline)
            return cf_fail(
                CUFRAMES_ERR_TIMEOUT,
                "another process has held the lock %s for %d ms: find it with `fuser %s` "
                "and see why it hangs",
                path, LOCK_TIMEOUT_MS, path);
        nanosleep(&pause, NULL);
    }
}

/* The name goes while the lock is held: whoever opened it before finds that out in try_lock(). */
static void drop_lock(const char *path, int *lock)
{
    unlink(path);
    cf_close(lock);
}

/* connect() follows a symbolic link. One that another user made leads where that user wants. */
static int check_link(const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || !S_ISLNK(st.st_mode) || cf_user_is_trusted(st.st_uid))
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_PERMISSION, "%s is a symbolic link of uid %u: remove it", path,
                   (unsigned)st.st_uid);
}

/* A socket that connects to nothing yet. */
static int new_socket(int *fd)
{
    *fd = cf_sys.socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return *fd < 0 ? cf_fail_errno(errno, "cannot make a socket") : CUFRAMES_OK;
}

/* 0 or the errno of connect(). */
static int connect_socket(int fd, const struct sockaddr_un *address)
{
    const struct sockaddr *generic = (const struct sockaddr *)address;
    int result;

    do
        result = cf_sys.connect(fd, generic, sizeof(*address));
    while (result != 0 && errno == EINTR);
    return result == 0 ? 0 : errno;
}

/* OK if the socket's name is free to take: not there, or nobody listens. */
static int check_free(const char *key, const struct sockaddr_un *address)
{
    const char *path = address->sun_path;
    struct stat st;
    int CF_CLOSE probe = -1;
    int err, errnum;

    if (lstat(path, &st) != 0)
        return errno == ENOENT ? CUFRAMES_OK : cf_fail_errno(errno, "cannot look at %s", path);
    if (!S_ISSOCK(st.st_mode))
        return cf_fail(CUFRAMES_ERR_IO, "%s is in the way and not a socket: move it away", path);
    err = new_socket(&probe);
    if (err)
        return err;
    errnum = connect_socket(probe, address);
    switch (errnum) {
    case ECONNREFUSED:
    case ENOENT:
        return CUFRAMES_OK;
    case 0:
    case EAGAIN:
        return cf_fail(CUFRAMES_ERR_ALREADY_EXISTS,
                       "the key \"%s\" has a publisher already (it listens on %s)", key, path);
    case EPROTOTYPE:
        return cf_fail(CUFRAMES_ERR_ALREADY_EXISTS,
                       "the key \"%s\" is in use by an older cuframes or another program: it "
                       "listens on %s with a socket of another type; stop it first",
                       key, path);
    default:
        return cf_fail_errno(
            errnum,
            "cannot find out whether the key \"%s\" has a publisher: %s belongs to "
            "uid %u",
            key, path, (unsigned)st.st_uid);
    }
}

static int bind_socket(int fd, const struct sockaddr_un *address)
{
    const char *path = address->sun_path;
    struct stat st;

    /* What a taker left that was killed half-way. Under the lock nobody uses it. */
    if (lstat(path, &st) == 0) {
        if (!S_ISSOCK(st.st_mode))
            return cf_fail(CUFRAMES_ERR_IO, "%s is in the way and not a socket: move it away",
                           path);
        if (unlink(path) != 0)
            return cf_fail_errno(errno, "cannot remove the left-over %s", path);
    }
    /* Linux gives the name the permissions of the socket, less the umask. */
    if (fchmod(fd, BIRTH_MODE) != 0)
        return cf_fail_errno(errno, "cannot set the permissions of a socket");
    if (cf_sys.bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
        return cf_fail_errno(errno, "cannot make the socket %s", path);
    return CUFRAMES_OK;
}

/* A group by name or number. */
static int find_group(const char *group, gid_t *gid)
{
    char *end;
    unsigned long number;
    struct group entry, *found = NULL;
    char CF_FREE *buffer = NULL;
    size_t size = 16384;
    int errnum;

    errno = 0;
    number = strtoul(group, &end, 10);
    if (group[0] >= '0' && group[0] <= '9' && *end == '\0' && errno == 0 && number < UINT_MAX) {
        *gid = (gid_t)number;
        return CUFRAMES_OK;
    }
    buffer = cf_sys.calloc(1, size);
    if (!buffer)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    errnum = getgrnam_r(group, &entry, buffer, size, &found);
    if (!found && errnum != 0 && errnum != ENOENT && errnum != ESRCH)
        return cf_fail_errno(errnum, "cannot look for the group \"%s\"", group);
    if (!found)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "there is no group \"%s\" for the socket", group);
    *gid = found->gr_gid;
    return CUFRAMES_OK;
}

/* Before the socket listens, so that nobody gets in who must not. */
static int set_access(const char *path, mode_t mode, const char *group)
{
    struct stat st;
    gid_t gid = 0;

    if (group) {
        int err = find_group(group, &gid);

        if (err)
            return err;
        if (lchown(path, (uid_t)-1, gid) != 0)
            return cf_fail_errno(errno,
                                 "cannot give the socket %s to group \"%s\" (this user must be a "
                                 "member of it)",
                                 path, group);
    }
    if (lstat(path, &st) == 0 && (st.st_mode & 07777) == mode)
        return CUFRAMES_OK;
    if (fchmodat(AT_FDCWD, path, mode, AT_SYMLINK_NOFOLLOW) != 0)
        return cf_fail_errno(errno, "cannot set the permissions %03o of the socket %s",
                             (unsigned)mode, path);
    return CUFRAMES_OK;
}

/* From the bound socket to the one that has the name. */
static int open_for_business(int fd, const struct names *names, mode_t mode, const char *group,
                             struct stat *st)
{
    const char *temporary = names->temporary.sun_path;
    int err = set_access(temporary, mode, group);

    if (err)
        return err;
    if (cf_sys.listen(fd, BACKLOG) != 0)
        return cf_fail_errno(errno, "cannot listen on %s", names->socket.sun_path);
    if (lstat(temporary, st) != 0 || rename(temporary, names->socket.sun_path) != 0)
        return cf_fail_errno(errno, "cannot put the new socket in the place of %s",
                             names->socket.sun_path);
    return CUFRAMES_OK;
}

/* The lock is held. */
static int listen_locked(const char *key, const struct names *names, mode_t mode, const char *group,
                         struct cf_endpoint *endpoint)
{
    int CF_CLOSE fd = -1;
    struct stat st;
    int err = check_free(key, &names->socket);

    if (!err)
        err = new_socket(&fd);
    if (!err)
        err = bind_socket(fd, &names->temporary);
    if (err)
        return err;
    CF_POINT("endpoint.bound");
    err = open_for_business(fd, names, mode, group, &st);
    if (err) {
        unlink(names->temporary.sun_path);
        return err;
    }
    *endpoint = (struct cf_endpoint){.socket = cf_steal_fd(&fd),
                                     .address = names->socket,
                                     .device = st.st_dev,
                                     .inode = st.st_ino};
    CF_POINT("endpoint.renamed");
    return CUFRAMES_OK;
}

int cf_endpoint_listen(const char *dir, const char *key, mode_t mode, const char *group,
                       struct cf_endpoint *endpoint)
{
    struct names names;
    int lock;
    int err;

    if (mode & ~(mode_t)0777)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "socket permissions %#o: only 0777 may be set",
                       (unsigned)mode);
    err = make_names(dir, key, &names);
    if (!err)
        err = take_lock(names.lock, &lock);
    if (err)
        return err;
    CF_POINT("endpoint.locked");
    err = listen_locked(key, &names, mode, group, endpoint);
    drop_lock(names.lock, &lock);
    return err;
}

void cf_endpoint_close(struct cf_endpoint *endpoint)
{
    struct stat st;

    if (endpoint->socket < 0)
        return;
    /* Before the socket is closed: as long as it listens, nobody takes the name over, so it
     * cannot change hands between the look and the removal. */
    if (lstat(endpoint->address.sun_path, &st) == 0 && st.st_dev == endpoint->device &&
        st.st_ino == endpoint->inode)
        unlink(endpoint->address.sun_path);
    CF_POINT("endpoint.removed");
    cf_close(&endpoint->socket);
}

static int connect_error(int errnum, const char *key, const char *path)
{
    switch (errnum) {
    case ENOENT:
    case ENOTDIR:
        return cf_fail(CUFRAMES_ERR_NOT_FOUND, "the key \"%s\" has no publisher: there is no %s",
                       key, path);
    case ECONNREFUSED:
        return cf_fail(CUFRAMES_ERR_NOT_FOUND,
                       "the key \"%s\" has no publisher: the one that made %s is gone", key, path);
    case EAGAIN:
        return cf_fail(CUFRAMES_ERR_WOULD_BLOCK,
                       "the publisher of the key \"%s\" does not answer: too many wait for it",
                       key);
    case EPROTOTYPE:
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "%s is not a socket of this protocol: the publisher of the key \"%s\" is an "
                       "older cuframes; update it",
                       path, key);
    default:
        return cf_fail_errno(errnum,
                             "cannot connect to %s (the socket's permissions are its publisher's "
                             "choice: socket_mode and socket_group)",
                             path);
    }
}

int cf_endpoint_silent(const char *key)
{
    if (!*key)
        return cf_fail(CUFRAMES_ERR_TIMEOUT,
                       "the publisher at the other end of the connection does not answer: it is "
                       "stopped, or very busy");
    return cf_fail(CUFRAMES_ERR_TIMEOUT,
                   "the publisher of the key \"%s\" does not answer: it is stopped, or very busy",
                   key);
}

/* Connects to whoever has the name, unless the way there can be another user's doing. */
static int connect_by_name(const char *dir, const char *key, const struct sockaddr_un *address,
                           struct cf_path_stranger *stranger, int *socket)
{
    int CF_CLOSE fd = -1;
    int errnum;
    int err = cf_runtime_dir_look(dir, stranger);

    if (err == CUFRAMES_ERR_NOT_FOUND)
        return connect_error(ENOENT, key, address->sun_path);
    if (err || (err = check_link(address->sun_path)) != 0 || (err = new_socket(&fd)) != 0)
        return err;
    errnum = connect_socket(fd, address);
    if (errnum)
        return connect_error(errnum, key, address->sun_path);
    *socket = cf_steal_fd(&fd);
    return CUFRAMES_OK;
}

int cf_endpoint_connect(const char *dir, const char *key, int *socket)
{
    struct cf_peer_credentials publisher;
    struct cf_path_stranger stranger = {.met = false};
    struct sockaddr_un address;
    int CF_CLOSE fd = -1;
    int err = cf_endpoint_address(dir, key, &address);

    if (!err)
        err = connect_by_name(dir, key, &address, &stranger, &fd);
    if (err)
        return err;
    CF_POINT("endpoint.connected");
    if ((err = cf_connection_credentials(fd, &publisher)) != 0 ||
        (err = cf_runtime_dir_trust(dir, &stranger, publisher.uid)) != 0)
        return err;
    *socket = cf_steal_fd(&fd);
    return CUFRAMES_OK;
}
