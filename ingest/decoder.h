/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The decoder of one session: the processor's, or the GPU's, which is made again when it fails
 * while the channel stays. Main thread; its workers are libavcodec's.
 */
#pragma once

#include "output.h"
#include "size_watch.h"
#include "source.h"

struct decoder {
    const struct source *source;
    AVCodecContext *codec; /* NULL while the GPU's waits to be made again */
    AVFrame *frame;
    AVPacket *carried;
    AVRational time_base;
    bool on_gpu;
    struct size_watch sizes; /* for the GPU's */
    bool wait_for_key;       /* what comes before the next key frame cannot be decoded */
    int failures;            /* of the GPU's decoder since it last gave a picture */
    int64_t try_again_ns;    /* not before */
};

/* Opens the decoder of the source's video. On failure `source->error` says why. */
enum source_verdict decoder_open(struct decoder *decoder, struct source *source,
                                 struct output *output);
void decoder_close(struct decoder *decoder);

/* Decodes a packet (NULL = the end: what is still inside comes out) and publishes the frames. */
enum output_result decoder_feed(struct decoder *decoder, struct output *output,
                                const AVPacket *packet);
