/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file that is being recorded. It has its final name from the start, because it can be read at any
 * time, also after a kill. When it cannot be written further it is cut back to where it was whole.
 * One thread.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "packet_writer.h"

struct recording_file {
    int fd; /* -1 = none */
    char path[PATH_MAX];
    int64_t place; /* of the next write */
    int64_t end;
    int64_t whole; /* up to here it can be read */
    int error;     /* errno of the write that failed */
};

void recording_file_init(struct recording_file *file);
/* Creates it; false with errno. With `overwrite` a file of that name is emptied, else EEXIST. */
bool recording_file_create(struct recording_file *file, const char *path, bool overwrite);
struct packet_sink recording_file_sink(struct recording_file *file);
/* Cuts off what was written since it was whole. */
void recording_file_cut(struct recording_file *file);
/* Closes it; a file without a byte in it is removed. False with errno: it may not all be there. */
bool recording_file_close(struct recording_file *file);
