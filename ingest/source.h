/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The input: opening it, reading packets of its streams, and saying what is wrong in words
 * that help. Every call ends within the timeout or when the process shall end. One thread.
 */
#pragma once

#include <stdbool.h>

#include <libavformat/avformat.h>

#include "options.h"
#include "untimed.h"

/* What failed, and whether trying again can help. */
enum source_verdict {
    SOURCE_OK,
    SOURCE_END,       /* a file has ended */
    SOURCE_LOST,      /* try again later */
    SOURCE_PERMANENT, /* the same call would fail again */
    SOURCE_STOP       /* the process shall end */
};

struct source {
    const struct options *options;
    AVFormatContext *format;
    AVStream *video; /* what is decoded; NULL only with --decode off */
    bool live;
    struct untimed untimed; /* gives packets times where the input has none */
    bool rate_said;         /* and where they come from was said */
    int64_t deadline_ns;
    bool timed_out;
    char error[512]; /* one line without a password that says what failed */
};

/* Whether an input of this name is live, as far as the name tells. */
bool source_name_is_live(const struct options *options);

/* Looks whether a file is there, before anything else is tried; other inputs show it when opened. */
enum source_verdict source_check(struct source *source, const struct options *options);

enum source_verdict source_open(struct source *source, const struct options *options);
void source_close(struct source *source);

/* The next packet of the video, and of what else is shared. */
enum source_verdict source_read(struct source *source, AVPacket *packet);
