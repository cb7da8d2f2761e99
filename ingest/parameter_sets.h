/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Parameter sets that change in mid-stream. A camera that changes its picture says so inside the
 * stream (Annex B) or beside it (new extradata from the demuxer). One thread.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/bsf.h>

#include <cuframes/cuframes.h>

struct parameter_sets {
    AVBSFContext *extract; /* NULL = this codec or packaging has none in the stream */
    AVPacket *packet;
};

/* For a stream of these parameters. Only H.264, HEVC and AV1 are looked into. */
int parameter_sets_open(struct parameter_sets *sets, const AVCodecParameters *par,
                        cuframes_packaging_t packaging);
void parameter_sets_close(struct parameter_sets *sets);

/*
 * The parameters that `packet` brings, NULL if it brings none. They are in the packet, or in `sets`
 * until the next call.
 */
const uint8_t *parameter_sets_find(struct parameter_sets *sets, const AVPacket *packet,
                                   size_t *size);

/* Whether two extradata say the same: byte for byte, or the same NAL units in any order. */
bool parameter_sets_equal(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                          cuframes_packaging_t packaging);

/* Visible size of the pictures that begin with `packet`, a key frame, under this extradata; false
 * if that cannot be told. */
bool parameter_sets_picture(enum AVCodecID codec_id, const uint8_t *extradata, size_t size,
                            const AVPacket *packet, int32_t *width, int32_t *height);
