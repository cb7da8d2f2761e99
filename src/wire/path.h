/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who could change where a path leads. Files in a directory are as safe as every directory and
 * symbolic link on the way to it: whoever may rename one of these leads the path to a place of his
 * own.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

/* Another user, if there is one, to whom a directory on a path belongs. */
struct cf_path_stranger {
    bool met;
    uid_t uid;
};

/* Root, this user, or somebody who has no number in this user namespace: that one got here by a
 * directory, or a socket, that was brought in here on purpose. */
bool cf_user_is_trusted(uid_t uid);

/* PERMISSION if the directory belongs to a second stranger; remembers the first. `what` is its name
 * in that sentence. */
int cf_path_note_owner(const char *what, uid_t uid, struct cf_path_stranger *stranger);

/* Walks to the directory in which the last name of `path` is, and looks at each step: PERMISSION if
 * a symbolic link belongs to another user, or everybody may rename what is in a directory (and no
 * sticky bit keeps them from it). NOT_FOUND if there is no such directory. Notes the owners of
 * directories in *stranger. */
int cf_path_check_way(const char *path, struct cf_path_stranger *stranger);
