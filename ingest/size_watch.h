/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Tells before it is decoded that a stream's pictures change their size. FFmpeg's decoders on the
 * GPU lose the pictures they still have when they learn of it themselves. Main thread.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/avcodec.h>

struct size_watch {
    AVCodecParserContext *parser; /* NULL for codecs whose parser does not tell sizes */
    AVCodecContext *context;      /* for the parser */
    int width, height;            /* 0 = not known */
};

/* False when memory runs out. */
bool size_watch_init(struct size_watch *watch, const AVCodecParameters *parameters);
void size_watch_fini(struct size_watch *watch);

/* Whether this packet's picture has another size than the last one that told. */
bool size_watch_changed(struct size_watch *watch, const AVPacket *packet);
