/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Names of the files of a recording, made from what the user gave:
 *   clip.mp4              that; further files clip-2.mp4, clip-3.mp4...; in segments from
 *                         clip-00001.mp4 on
 *   clip-%d.mp4, %03d     numbers from 1 on
 *   %Y-%m-%d/%H%M%S.mp4   the date, as strftime(3) writes it
 * Names that are taken are passed over, so that no file is written over. One thread.
 */
#pragma once

#include <stdbool.h>

#include "record/file.h"

enum name_kind { NAME_PLAIN, NAME_NUMBERED, NAME_DATED };

struct record_names {
    const char *pattern;
    bool segments, overwrite;
    enum name_kind kind;
    int number; /* of the newest file, 0 = none yet */
};

/* False: the pattern is not one of these, and `why` says so. */
bool record_names_init(struct record_names *names, const char *pattern, bool segments,
                       bool overwrite, const char **why);

/* Whether the first file's name is settled and taken: then there is nothing to record into. */
bool record_names_taken(const struct record_names *names);

/* Whether that name is one of a pipe or a socket, which no recording can be written into. */
bool record_names_stream(const struct record_names *names);

/* Creates the next file; false with errno, and the name that was tried in file->path. */
bool record_names_create(struct record_names *names, struct recording_file *file);
