/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/report.h"

/* Where others may make names only their owners can change them, so this does not change between
 * the look and the use. */
static bool is_foreign(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISLNK(status.st_mode) && status.st_uid != 0 &&
           status.st_uid != geteuid();
}

int file_open(const char *path, int flags, mode_t mode)
{
    int fd = open(path, flags | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd >= 0 || errno != ELOOP)
        return fd;
    if (!is_foreign(path))
        return open(path, flags | O_CLOEXEC, mode);
    report("%s is a symbolic link of another user: remove it, or choose another name", path);
    errno = EPERM;
    return -1;
}
