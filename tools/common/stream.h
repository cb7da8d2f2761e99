/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames as byte streams that other programs read: raw video and YUV4MPEG2 (y4m). A frame becomes
 * a list of pieces of memory; nothing here writes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include <cuframes/cuframes.h>

struct pieces {
    struct iovec *list;
    int count;
    int capacity;
    uint8_t *scratch; /* for samples that the stream wants in another order */
    size_t scratch_size;
};

void pieces_fini(struct pieces *pieces);

/*
 * The visible picture of `frame`, plane after plane without padding. The pieces point into the
 * frame and are valid while it is held. FORMAT for a frame in GPU memory; OUT_OF_MEMORY.
 */
int stream_raw(const cuframes_frame_t *frame, struct pieces *pieces);

/* Whether y4m can carry the format: all YUV and gray ones. */
bool stream_y4m_has(cuframes_format_t format);
#define STREAM_Y4M_HEADER_SIZE 160
/* The stream's first line; `info` gives frame rate and pixel shape. */
void stream_y4m_header(const cuframes_frame_t *frame, const cuframes_channel_info_t *info,
                       char header[STREAM_Y4M_HEADER_SIZE]);
/* One frame with its own line before it. Interleaved chroma is put apart into the scratch. */
int stream_y4m(const cuframes_frame_t *frame, struct pieces *pieces);
