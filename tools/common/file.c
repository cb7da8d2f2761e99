/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Walks a path as the kernel would, one name at a time, with a descriptor of each directory. The
 * words of a link are walked likewise.
 */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/report.h"

/* As many as the kernel follows. */
#define MAX_LINKS 40

/* How the kernel shows a user that has no number in this user namespace. */
#define NO_NUMBER 65534

struct walk {
    const char *path;    /* as it was given */
    char rest[PATH_MAX]; /* what is to be walked */
    int dir;             /* from there */
    unsigned links;
};

/* Where every user has a number, this one is a user like any other. Unknown means that. */
static bool numbers_are_missing(void)
{
    FILE *map = fopen("/proc/self/uid_map", "re");
    unsigned first, outside, count;
    bool missing = false;

    if (!map)
        return false;
    if (fscanf(map, "%u %u %u", &first, &outside, &count) == 3)
        missing = first != 0 || count != UINT32_MAX;
    fclose(map);
    return missing;
}

static bool is_trusted(uid_t uid)
{
    return uid == 0 || uid == geteuid() || (uid == NO_NUMBER && numbers_are_missing());
}

static void close_quietly(int fd)
{
    int errnum = errno;

    close(fd);
    errno = errnum;
}

/* Links of /proc are the kernel's and need not say where they lead. */
static bool is_of_kernel(int link)
{
    struct statfs fs;

    return fstatfs(link, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* Goes to where what is left begins. */
static bool begin(struct walk *walk)
{
    int start =
        openat(walk->dir, walk->rest[0] == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (walk->dir >= 0)
        close_quietly(walk->dir);
    walk->dir = start;
    return start >= 0;
}

/* Puts the words of a link before what is left. */
static bool put_words(struct walk *walk, const char *words)
{
    char rest[PATH_MAX];
    int length = snprintf(rest, sizeof(rest), "%s%s", words, walk->rest);

    if (++walk->links > MAX_LINKS || length >= (int)sizeof(rest)) {
        errno = ELOOP;
        return false;
    }
    memcpy(walk->rest, rest, (size_t)length + 1);
    return rest[0] != '/' || begin(walk);
}

/* Takes a link into the walk, if it may be followed. */
static bool follow(struct walk *walk, int link)
{
    char words[PATH_MAX];
    struct stat status;
    ssize_t length;

    if (fstat(link, &status) != 0)
        return false;
    if (!is_trusted(status.st_uid)) {
        report("%s is a symbolic link of another user: remove it, or choose another name",
               walk->path);
        errno = EPERM;
        return false;
    }
    length = readlinkat(link, "", words, sizeof(words) - 1);
    if (length < 0)
        return false;
    words[length] = '\0';
    return put_words(walk, words);
}

/* Whether that is how the kernel refuses a link: ENOTDIR where a directory is wanted; EACCES in a
 * directory where everybody may write, if the file was to be made. */
static bool may_be_link(int errnum)
{
    return errnum == ELOOP || errnum == ENOTDIR || errnum == EACCES;
}

static bool is_link(int fd)
{
    struct stat status;

    return fd >= 0 && fstat(fd, &status) == 0 && S_ISLNK(status.st_mode);
}

/* Opens what is no link. NEXT: it was one, and is in the walk now. */
enum { NEXT = -2 };

static int open_name(struct walk *walk, const char *name, int flags, mode_t mode)
{
    int fd = openat(walk->dir, name, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    int errnum = errno;
    int link, result = -1;

    if (fd >= 0 ? !is_link(fd) : !may_be_link(errnum))
        return fd;
    /* With O_PATH it is the link that was opened. */
    link = fd >= 0 ? fd : openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    errno = errnum;
    if (is_link(link) && is_of_kernel(link))
        result = openat(walk->dir, name, flags | O_CLOEXEC, mode);
    else if (is_link(link))
        result = follow(walk, link) ? NEXT : -1;
    if (link >= 0)
        close_quietly(link);
    return result;
}

/* Opens the first name of what is left; *last says whether there are more. */
static int step(struct walk *walk, int flags, mode_t mode, bool *last)
{
    char name[PATH_MAX];
    size_t slashes = strspn(walk->rest, "/");
    size_t length = strcspn(walk->rest + slashes, "/");

    snprintf(name, sizeof(name), "%.*s", (int)length, walk->rest + slashes);
    memmove(walk->rest, walk->rest + slashes + length, strlen(walk->rest + slashes + length) + 1);
    *last = walk->rest[0] == '\0';
    return open_name(walk, length ? name : ".", *last ? flags : O_PATH | O_DIRECTORY, mode);
}

static int walk_and_open(struct walk *walk, int flags, mode_t mode)
{
    for (;;) {
        bool last = false;
        int fd = step(walk, flags, mode, &last);

        if (fd == NEXT)
            continue;
        if (fd < 0 || last)
            return fd;
        close(walk->dir);
        walk->dir = fd;
    }
}

int file_open(const char *path, int flags, mode_t mode)
{
    struct walk walk = {.path = path, .dir = AT_FDCWD};
    int fd;

    if (*path == '\0' || strlen(path) >= sizeof(walk.rest)) {
        errno = *path ? ENAMETOOLONG : ENOENT;
        return -1;
    }
    memcpy(walk.rest, path, strlen(path) + 1);
    if (!begin(&walk))
        return -1;
    fd = walk_and_open(&walk, flags, mode);
    if (walk.dir >= 0)
        close_quietly(walk.dir);
    return fd;
}

bool file_check_links(const char *path)
{
    int fd = file_open(path, O_PATH, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0 || errno != EPERM;
}
