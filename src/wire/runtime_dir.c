/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime directory: which one, and whether it can be trusted.
 *
 * Whoever can write the directory can put a socket of any name there, so it must belong to root
 * or to this user. Group members may be given the right to write: that is the administrator's
 * choice. Everybody may only where the sticky bit keeps them from each other's files.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "wire/endpoint.h"
#include "wire/path.h"

/* "/k.sock": the shortest name of a socket in the directory. */
#define SHORTEST_SOCKET (sizeof("/k.sock") - 1)
#define MAX_LENGTH      (CF_RUNTIME_DIR_SIZE - 1 - SHORTEST_SOCKET)

/* Bytes of room for a candidate before its length is judged. */
#define CANDIDATE_SIZE 4096

#define SYSTEM_DIR "/run/cuframes"

static const char *environment(const char *name)
{
    const char *value = secure_getenv(name);

    return value && value[0] != '\0' ? value : NULL;
}

/* It is there, or a publisher could make it. */
static bool system_dir_usable(void)
{
    struct stat st;

    return lstat(SYSTEM_DIR, &st) == 0 || faccessat(AT_FDCWD, "/run", W_OK | X_OK, AT_EACCESS) == 0;
}

/* Everybody can make names in /tmp: a directory of this user's name may be a trap. */
static int check_fallback(const char *path)
{
    struct stat st;

    if (lstat(path, &st) != 0 || (S_ISDIR(st.st_mode) && st.st_uid == geteuid()))
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_PERMISSION,
                   "%s is not a directory of this user (uid %u made it): remove it, or set "
                   "CUFRAMES_RUNTIME_DIR",
                   path, (unsigned)st.st_uid);
}

static int choose(const char *given, char *path, size_t size)
{
    const char *variable = environment("CUFRAMES_RUNTIME_DIR");
    const char *user_dir = environment("XDG_RUNTIME_DIR");

    if (given || variable) {
        snprintf(path, size, "%s", given ? given : variable);
        return CUFRAMES_OK;
    }
    if (system_dir_usable()) {
        snprintf(path, size, "%s", SYSTEM_DIR);
        return CUFRAMES_OK;
    }
    if (user_dir && user_dir[0] == '/') {
        snprintf(path, size, "%s/cuframes", user_dir);
        return CUFRAMES_OK;
    }
    snprintf(path, size, "/tmp/cuframes-%u", (unsigned)geteuid());
    return check_fallback(path);
}

static void strip_slashes(char *path)
{
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        path[--length] = '\0';
}

int cf_runtime_dir_resolve(const char *given, char path[CF_RUNTIME_DIR_SIZE])
{
    char candidate[CANDIDATE_SIZE];
    int err;

    if (given && given[0] == '\0')
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the runtime directory is an empty string; NULL means the default");
    err = choose(given, candidate, sizeof(candidate));
    if (err)
        return err;
    strip_slashes(candidate);
    if (strlen(candidate) > MAX_LENGTH)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the runtime directory %.200s is too long: socket paths leave room for %zu "
                       "bytes, less for keys of more than one character",
                       candidate, (size_t)MAX_LENGTH);
    memcpy(path, candidate, strlen(candidate) + 1);
    return CUFRAMES_OK;
}

static bool is_below(const char *path, const char *parent)
{
    size_t length;

    if (!parent)
        return false;
    length = strlen(parent);
    while (length > 1 && parent[length - 1] == '/')
        length--;
    return strncmp(path, parent, length) == 0 && path[length] == '/';
}

static mode_t new_mode(const char *path)
{
    bool own = is_below(path, "/tmp") || is_below(path, environment("XDG_RUNTIME_DIR"));

    return own ? 0700 : 0755;
}

static int make(const char *path)
{
    int CF_CLOSE dir = -1;

    if (mkdir(path, new_mode(path)) != 0) {
        if (errno == EEXIST)
            return CUFRAMES_OK;
        return cf_fail_errno(errno,
                             "cannot make the runtime directory %s (make it, or choose another "
                             "with CUFRAMES_RUNTIME_DIR)",
                             path);
    }
    /* The umask of a service may be stricter than what its subscribers need. */
    dir = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0 || fchmod(dir, new_mode(path)) != 0)
        return cf_fail_errno(errno, "cannot set the permissions of the runtime directory %s", path);
    return CUFRAMES_OK;
}

static int check_kind(const char *path, const struct stat *st)
{
    if (S_ISLNK(st->st_mode))
        return cf_fail(CUFRAMES_ERR_PERMISSION,
                       "the runtime directory %s is a symbolic link: name the directory itself",
                       path);
    if (!S_ISDIR(st->st_mode))
        return cf_fail(CUFRAMES_ERR_IO, "the runtime directory %s is not a directory", path);
    if ((st->st_mode & S_IWOTH) && !(st->st_mode & S_ISVTX))
        return cf_fail(CUFRAMES_ERR_PERMISSION,
                       "everybody can replace what is in the runtime directory %s: chmod o-w it, "
                       "or chmod +t it",
                       path);
    return CUFRAMES_OK;
}

static int check_owners(const char *path, const struct cf_path_stranger *stranger)
{
    if (!stranger->met)
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_PERMISSION,
                   "the runtime directory %s, or one above it, belongs to uid %u, neither to root "
                   "nor to this user (uid %u): use a directory of your own",
                   path, (unsigned)stranger->uid, (unsigned)geteuid());
}

int cf_runtime_dir_look(const char *path, struct cf_path_stranger *stranger)
{
    struct cf_path_stranger met = {.met = false};
    struct stat st;
    int err = cf_path_check_way(path, &met);

    if (err)
        return err;
    if (lstat(path, &st) != 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return cf_fail(CUFRAMES_ERR_NOT_FOUND, "there is no runtime directory %s", path);
        return cf_fail_errno(errno, "cannot look at the runtime directory %s", path);
    }
    if ((err = check_kind(path, &st)) != 0 ||
        (err = cf_path_note_owner(path, st.st_uid, &met)) != 0)
        return err;
    *stranger = met;
    return CUFRAMES_OK;
}

/* Before anything is made at the end of it. Where there is no way mkdir() says so. */
static int check_way(const char *path)
{
    struct cf_path_stranger stranger = {.met = false};
    int err = cf_path_check_way(path, &stranger);

    return err && err != CUFRAMES_ERR_NOT_FOUND ? err : check_owners(path, &stranger);
}

static int check_writable(const char *path)
{
    struct stat st;

    if (faccessat(AT_FDCWD, path, W_OK | X_OK, AT_EACCESS) == 0)
        return CUFRAMES_OK;
    if (errno != EACCES || lstat(path, &st) != 0)
        return cf_fail_errno(errno,
                             "cannot make files in the runtime directory %s (choose another with "
                             "CUFRAMES_RUNTIME_DIR)",
                             path);
    return cf_fail(CUFRAMES_ERR_PERMISSION,
                   "this user cannot make files in the runtime directory %s (uid %u owns it): "
                   "change its permissions, or choose another with CUFRAMES_RUNTIME_DIR",
                   path, (unsigned)st.st_uid);
}

int cf_runtime_dir_ensure(const char *path)
{
    struct cf_path_stranger stranger = {.met = false};
    int err;

    if ((err = check_way(path)) != 0 || (err = make(path)) != 0 ||
        (err = cf_runtime_dir_look(path, &stranger)) != 0 ||
        (err = check_owners(path, &stranger)) != 0)
        return err;
    return check_writable(path);
}

int cf_runtime_dir_trust(const char *path, const struct cf_path_stranger *stranger, uid_t publisher)
{
    /* Who may write a directory of root or of this user is for them to say. Another user's is that
     * user's alone to publish in. */
    if (!stranger->met || cf_user_is_trusted(publisher) || publisher == stranger->uid)
        return CUFRAMES_OK;
    return cf_fail(CUFRAMES_ERR_PERMISSION,
                   "the runtime directory %s, or one above it, belongs to uid %u, and uid %u "
                   "publishes in it: use a directory of root or of your own",
                   path, (unsigned)stranger->uid, (unsigned)publisher);
}
