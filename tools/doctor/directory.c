/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The runtime directory. Whether a socket can be made there is tried with a name that no key can
 * have, and which is removed again.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/un.h>
#include <unistd.h>

#include "doctor/findings.h"

static const char subject[] = "runtime directory";

static const char *why(const char *given, const char *path)
{
    const char *variable = getenv("CUFRAMES_RUNTIME_DIR");
    const char *session = getenv("XDG_RUNTIME_DIR");

    if (given)
        return "given by --runtime-dir";
    if (variable && *variable)
        return "from $CUFRAMES_RUNTIME_DIR";
    if (!strcmp(path, "/run/cuframes"))
        return "the machine's default";
    if (session && !strncmp(path, session, strlen(session)))
        return "from $XDG_RUNTIME_DIR, as /run/cuframes is not there and cannot be made";
    return "the last choice: neither /run/cuframes nor $XDG_RUNTIME_DIR can be used";
}

/* The length of a socket's path is limited by the system, and the key is part of it. */
static void examine_length(struct findings *findings, const char *path)
{
    const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;
    size_t taken = strlen(path) + strlen("/.sock");

    if (taken >= most)
        found_failure(findings, subject, "use a shorter path",
                      "its path has %zu characters: no socket's name fits into the system's %zu",
                      strlen(path), most);
    else if (taken + CUFRAMES_KEY_MAX > most)
        found_warning(findings, subject, "use a shorter path, or short keys",
                      "its path leaves room for keys of at most %zu characters", most - taken);
}

static void examine_missing(struct findings *findings, const char *path)
{
    char parent[PATH_MAX];
    char *slash;

    snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (slash && slash != parent)
        *slash = '\0';
    else
        snprintf(parent, sizeof(parent), slash ? "/" : ".");
    if (access(parent, W_OK | X_OK) == 0)
        found_ok(findings, subject, "%s is not there yet; the first publisher makes it", path);
    else
        found_failure(findings, subject,
                      "make it, owned by the user that publishes, or set $CUFRAMES_RUNTIME_DIR",
                      "%s is not there and cannot be made: %s", path, strerror(errno));
}

/* The library's own look at every step of the way: it is the same for a channel that nobody has. */
static bool examine_way(struct findings *findings, const char *path)
{
    cuframes_channel_report_t *report = NULL;
    char key[32];
    int err;

    snprintf(key, sizeof(key), "doctor-%d", (int)getpid());
    err = cuframes_query(path, key, 0, &report);
    cuframes_channel_report_free(report);
    if (err == CUFRAMES_ERR_PERMISSION)
        found_failure(
            findings, subject,
            "take the right to write there from others (or set the sticky bit: chmod +t), "
            "or use another directory",
            "%s", cuframes_last_error());
    return err != CUFRAMES_ERR_PERMISSION;
}

static bool examine_owner(struct findings *findings, const char *path, const struct stat *status)
{
    if (status->st_uid != 0 && status->st_uid != geteuid()) {
        found_failure(findings, subject,
                      "use a directory of your own or of root: its owner can replace every socket",
                      "%s belongs to user %u", path, (unsigned)status->st_uid);
        return false;
    }
    found_ok(findings, subject, "%s has mode %04o and belongs to user %u", path,
             (unsigned)status->st_mode & 07777, (unsigned)status->st_uid);
    return true;
}

/* Some file systems (network, FAT) have no sockets, and full or read-only ones no room. */
static void try_socket(struct findings *findings, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    int length =
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/.doctor.%d", path, (int)getpid());

    if (fd < 0) {
        found_failure(findings, subject, "allow AF_UNIX sockets in this sandbox",
                      "a SOCK_SEQPACKET socket cannot be made: %s", strerror(errno));
        return;
    }
    if (length >= (int)sizeof(address.sun_path))
        snprintf(address.sun_path, sizeof(address.sun_path), "%s/.d", path);
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        unlink(address.sun_path);
        found_ok(findings, subject, "sockets can be made there: this user can publish");
    } else {
        found_failure(findings, subject,
                      "use a directory on a local file system with room, such as a tmpfs",
                      "a socket cannot be made in it: %s", strerror(errno));
    }
    close(fd);
}

static void examine_access(struct findings *findings, const char *path)
{
    if (access(path, X_OK) != 0)
        found_failure(findings, subject, "give this user or its group the right to enter it",
                      "%s cannot be entered: %s", path, strerror(errno));
    else if (access(path, W_OK) != 0)
        found_warning(findings, subject,
                      "to publish as this user, let it write there or use another directory",
                      "this user can read channels in it, and cannot publish: %s", strerror(errno));
    else
        try_socket(findings, path);
}

static void examine_room(struct findings *findings, const char *path)
{
    struct statvfs room;

    if (statvfs(path, &room) == 0 && room.f_files > 0 && room.f_favail == 0)
        found_failure(findings, subject, "remove files from that file system, or use another",
                      "its file system has no room for one more name");
}

void examine_directory(struct findings *findings, const char *given)
{
    char path[PATH_MAX];
    struct stat status;
    bool trusted;

    if (given) {
        snprintf(path, sizeof(path), "%s", given);
    } else if (cuframes_runtime_dir(path, sizeof(path)) != CUFRAMES_OK) {
        found_failure(findings, subject, "correct $CUFRAMES_RUNTIME_DIR", "%s",
                      cuframes_last_error());
        return;
    }
    found_ok(findings, subject, "%s, %s", path, why(given, path));
    examine_length(findings, path);
    if (lstat(path, &status) != 0) {
        examine_missing(findings, path);
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        found_failure(findings, subject, "name a directory", "%s is not a directory", path);
        return;
    }
    trusted = examine_way(findings, path);
    trusted &= examine_owner(findings, path, &status);
    examine_room(findings, path);
    if (trusted)
        examine_access(findings, path);
}
