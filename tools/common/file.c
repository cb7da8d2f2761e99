/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/report.h"

/* What stands at the end of a path. Where others may make names only their owners can change them, so
 * this does not change between the look and the use. */
enum end { END_OTHER, END_LINK, END_FOREIGN_LINK };

static enum end end_of(const char *path)
{
    struct stat status;

    if (lstat(path, &status) != 0 || !S_ISLNK(status.st_mode))
        return END_OTHER;
    return status.st_uid == 0 || status.st_uid == geteuid() ? END_LINK : END_FOREIGN_LINK;
}

/* Whether that is how the kernel refuses a link; EACCES: in a directory where everybody may write, if
 * the file was to be made. */
static bool may_be_link(int errnum)
{
    return errnum == ELOOP || errnum == EACCES;
}

int file_open(const char *path, int flags, mode_t mode)
{
    int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC, mode);
    int errnum = errno;
    enum end end = fd < 0 && may_be_link(errnum) ? end_of(path) : END_OTHER;

    if (end == END_LINK)
        return open(path, flags | O_CLOEXEC, mode);
    if (end == END_FOREIGN_LINK) {
        report("%s is a symbolic link of another user: remove it, or choose another name", path);
        errnum = EPERM;
    }
    errno = errnum;
    return fd;
}
