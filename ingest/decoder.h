/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder of one session. Main thread; its workers are libavcodec's.
 */
#pragma once

#include "output.h"
#include "source.h"

struct decoder {
    AVCodecContext *codec;
    AVFrame *frame;
    AVRational time_base;
};

/* Opens the decoder of the source's video. On failure `source->error` says why. */
enum source_verdict decoder_open(struct decoder *decoder, struct source *source,
                                 struct output *output);
void decoder_close(struct decoder *decoder);

/* Decodes a packet (NULL = the end: what is still inside comes out) and publishes the frames. */
enum output_result decoder_feed(struct decoder *decoder, struct output *output,
                                const AVPacket *packet);
