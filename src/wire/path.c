/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a path as the kernel would, one name at a time, with a descriptor of each directory: what
 * is looked at is what the next step begins from. Links are read and their words walked likewise.
 *
 * What was looked at stays so for whoever uses the path afterwards, because only those who are
 * trusted could change it. That is why a walk is enough and the descriptor need not be kept.
 */
#include "wire/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"

/* As many as the kernel follows. */
#define MAX_LINKS 40

/* How the kernel shows a user that has no number in this user namespace. */
#define NO_NUMBER 65534

struct walk {
    const char *path;    /* as it was given, for sentences */
    char at[PATH_MAX];   /* the directory that was reached */
    char rest[PATH_MAX]; /* what is to be walked from there */
    int dir;
    unsigned links;
    struct cf_path_stranger *stranger;
};

/* Where every user has a number, this one is a user like any other. Unknown means that. */
static bool numbers_are_missing(void)
{
    int CF_CLOSE fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
    char text[128];
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    unsigned first, outside, count;

    if (length < 0)
        return false;
    text[length] = '\0';
    return sscanf(text, "%u %u %u", &first, &outside, &count) != 3 || first != 0 ||
           count != UINT_MAX;
}

bool cf_user_is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid() || (uid == NO_NUMBER && numbers_are_missing());
}

int cf_path_note_owner(const char *what, uid_t uid, struct cf_path_stranger *stranger)
{
    if (cf_user_is_trusted(uid) || (stranger->met && stranger->uid == uid))
        return CUFRAMES_OK;
    if (stranger->met)
        return cf_fail(CUFRAMES_ERR_PERMISSION,
                       "%s belongs to uid %u, and a directory above it to uid %u: use a directory "
                       "of root or of your own",
                       what, (unsigned)uid, (unsigned)stranger->uid);
    *stranger = (struct cf_path_stranger){.met = true, .uid = uid};
    return CUFRAMES_OK;
}

static int walk_error(const struct walk *walk, const char *name)
{
    if (errno == ENOENT || errno == ENOTDIR)
        return cf_fail(CUFRAMES_ERR_NOT_FOUND, "on the way to %s there is no directory %s/%s",
                       walk->path, walk->at, name);
    return cf_fail_errno(errno, "cannot look at %s/%s, which is on the way to %s", walk->at, name,
                         walk->path);
}

/* Makes the directory the one that was reached. Consumes the descriptor. */
static int enter(struct walk *walk, int fd)
{
    struct stat st;

    cf_close(&walk->dir);
    walk->dir = fd;
    if (fstat(fd, &st) != 0)
        return walk_error(walk, ".");
    if ((st.st_mode & S_IWOTH) && !(st.st_mode & S_ISVTX))
        return cf_fail(CUFRAMES_ERR_PERMISSION,
                       "everybody can replace what is in the directory %s/, which leads to %s: "
                       "chmod o-w it, or chmod +t it",
                       walk->at, walk->path);
    return cf_path_note_owner(*walk->at ? walk->at : "/", st.st_uid, walk->stranger);
}

/* Takes the first name from what is left to walk. */
static bool next_name(struct walk *walk, char name[PATH_MAX])
{
    char *rest = walk->rest + strspn(walk->rest, "/");
    size_t length = strcspn(rest, "/");

    if (length == 0)
        return false;
    memcpy(name, rest, length);
    name[length] = '\0';
    memmove(walk->rest, rest + length, strlen(rest + length) + 1);
    return true;
}

/* Puts the words of a link before what is left. */
static int put_words(struct walk *walk, const char *name, const char *words)
{
    char rest[PATH_MAX];

    if (++walk->links > MAX_LINKS ||
        snprintf(rest, sizeof(rest), "%s/%s", words, walk->rest) >= (int)sizeof(rest)) {
        errno = ELOOP;
        return walk_error(walk, name);
    }
    memcpy(walk->rest, rest, strlen(rest) + 1);
    return CUFRAMES_OK;
}

static int begin(struct walk *walk)
{
    bool absolute = walk->rest[0] == '/';
    int fd = open(absolute ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    snprintf(walk->at, sizeof(walk->at), "%s", absolute ? "" : ".");
    return fd < 0 ? walk_error(walk, "") : enter(walk, fd);
}

/* A directory, one step down or up. */
static int descend(struct walk *walk, const char *name, int fd)
{
    size_t length = strlen(walk->at);

    if (snprintf(walk->at + length, sizeof(walk->at) - length, "/%s", name) >=
        (int)(sizeof(walk->at) - length)) {
        cf_close(&fd);
        errno = ENAMETOOLONG;
        return walk_error(walk, name);
    }
    return enter(walk, fd);
}

/* Links of /proc are made by the kernel and need not say where they lead; they go where the owner of
 * the directory they are in says, and that one was looked at. */
static bool is_of_kernel(int link)
{
    struct statfs fs;

    return fstatfs(link, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static int follow_kernel(struct walk *walk, const char *name)
{
    int fd = openat(walk->dir, name, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd < 0 ? walk_error(walk, name) : descend(walk, name, fd);
}

static int follow(struct walk *walk, const char *name, int link)
{
    char words[PATH_MAX];
    struct stat st;
    ssize_t length;
    int err;

    if (fstat(link, &st) != 0)
        return walk_error(walk, name);
    if (S_ISLNK(st.st_mode) && is_of_kernel(link))
        return follow_kernel(walk, name);
    if (S_ISLNK(st.st_mode) && !cf_user_is_trusted(st.st_uid))
        return cf_fail(CUFRAMES_ERR_PERMISSION,
                       "%s/%s, on the way to %s, is a symbolic link of uid %u: name the directory "
                       "that is meant",
                       walk->at, name, walk->path, (unsigned)st.st_uid);
    /* What is no link is no directory either, and readlinkat() says so: ENOENT. */
    length = readlinkat(link, "", words, sizeof(words) - 1);
    if (length <= 0)
        return walk_error(walk, name);
    words[length] = '\0';
    err = put_words(walk, name, words);
    return err || words[0] != '/' ? err : begin(walk);
}

static int step(struct walk *walk, const char *name)
{
    int fd = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC);
    int CF_CLOSE link = -1;

    if (fd >= 0)
        return descend(walk, name, fd);
    if (errno != ENOTDIR && errno != ELOOP)
        return walk_error(walk, name);
    link = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    return link < 0 ? walk_error(walk, name) : follow(walk, name, link);
}

/* The directory part of a path without a slash at its end. */
static int begin_way(struct walk *walk)
{
    const char *last = strrchr(walk->path, '/');
    size_t length = last ? (size_t)(last - walk->path) + 1 : 0;

    if (length >= sizeof(walk->rest)) {
        errno = ENAMETOOLONG;
        return walk_error(walk, "");
    }
    memcpy(walk->rest, walk->path, length);
    walk->rest[length] = '\0';
    return begin(walk);
}

int cf_path_check_way(const char *path, struct cf_path_stranger *stranger)
{
    struct walk walk = {.path = path, .dir = -1, .stranger = stranger};
    char name[PATH_MAX];
    int err = begin_way(&walk);

    while (!err && next_name(&walk, name))
        err = step(&walk, name);
    cf_close(&walk.dir);
    return err;
}
