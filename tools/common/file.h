/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening files for writing in directories that others may write, too, such as /tmp.
 */
#pragma once

#include <sys/types.h>

/* open(2) with O_CLOEXEC, but no path of a symbolic link of another user's (root's excepted): that
 * is reported and gives -1 with EPERM. */
int file_open(const char *path, int flags, mode_t mode);
