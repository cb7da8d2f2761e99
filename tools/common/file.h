/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening files in directories that others may write, too, such as /tmp: no symbolic link of
 * another user is followed, wherever on the path it is. Those of root and of this user are.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* open(2) with O_CLOEXEC; a link of another user is reported and gives -1 with EPERM. */
int file_open(const char *path, int flags, mode_t mode);

/* For what takes a path and no descriptor: false if there is such a link on it, which is reported.
 * Nothing need be there. */
bool file_check_links(const char *path);
