/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame of a channel as an AVFrame: in place, with a buffer that holds the slot until FFmpeg
 * lets the last reference go, or as a copy.
 *
 * FFmpeg keeps as many frames as its queues and filters like, a subscriber may hold as many as it
 * was granted. Who reads therefore asks first whether one more can be held.
 */
#ifndef AVDEVICE_CUFRAMES_PICTURE_H
#define AVDEVICE_CUFRAMES_PICTURE_H

#include <cuframes/cuframes.h>

#include "cuframes_compat.h"

/* A count of the frames that FFmpeg holds: reference counted, for it can outlive the demuxer. */
AVBufferRef *ff_cuframes_holds_alloc(void);

/*
 * Whether a frame may stay in its slot, so that of `granted` holds one is left for the next call.
 * If not, and unless it is the calling thread that lets frames go, it waits up to `wait_ms` for
 * one. That can be in vain when FFmpeg needs more frames before it gives any back; then it waits
 * no more until one came back.
 */
int ff_cuframes_may_hold(AVBufferRef *holds, unsigned granted, int wait_ms);

/* Whether vector code that reads a little past the last row stays in mapped memory. */
int ff_cuframes_is_padded(const cuframes_frame_t *frame);

/*
 * Fills `picture` with planes that point into the slot. It consumes `frame`, also on failure. The
 * buffer is read-only for FFmpeg. A GPU frame has the frames context `gpu`, else that is NULL; its
 * hold ends when what FFmpeg has put into the GPU's default stream until then is done.
 */
int ff_cuframes_wrap(AVBufferRef *holds, cuframes_frame_t *frame, AVBufferRef *gpu,
                     AVFrame *picture);
/* Copies the planes into memory of FFmpeg's own, on the GPU for a GPU frame. It consumes `frame`,
 * also on failure. */
int ff_cuframes_copy(AVBufferRef *holds, cuframes_frame_t *frame, AVBufferRef *gpu,
                     AVFrame *picture);

/* A packet of AV_CODEC_ID_WRAPPED_AVFRAME; it consumes `picture`, also on failure. */
int ff_cuframes_packet(AVPacket *packet, AVFrame *picture);

#endif
