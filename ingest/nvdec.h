/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Decoding on the GPU, straight into the ring.
 *
 * The chip's own output surfaces cannot be shared with other processes, so one copy on the GPU for
 * each picture is the floor. FFmpeg's cuvid decoders make exactly one, out of the surface into a
 * frame of a pool, and give the surface back at once; here the pool's buffers are slots. So nobody
 * who reads a frame keeps the decoder from a surface, and when no slot is free the picture goes to
 * a spare buffer of this process and is dropped. (FFmpeg's other way, the nvdec hardware
 * acceleration, hands out the surfaces themselves.)
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>

#include <libavcodec/avcodec.h>

#include "channel.h"
#include "gpu.h"

/* More packets than a decoder has in work. */
#define NVDEC_NOTES 128

/*
 * What is known about a packet's picture. The chip's parser carries one time, and hands the times of
 * packets out in rising order as it shows pictures: it must be the presentation time where there is
 * one. A stream without times is numbered.
 */
struct nvdec_note {
    int64_t carried; /* AV_NOPTS_VALUE: nothing, or its picture has come */
    int64_t pts, mark;
};

struct nvdec {
    struct gpu *gpu;
    struct channel *channel;
    AVBufferRef *device; /* FFmpeg's view of the GPU */
    AVBufferRef *frames; /* pool of the present geometry */
    struct geometry geometry;
    bool direct;                       /* pictures go into slots of the channel as they are */
    int visible_width, visible_height; /* what the container says; 0 = nothing */
    gpu_pointer spare;
    size_t spare_size;
    unsigned asked; /* calls of get_format since the decoder was made */
    bool resized;   /* the decoder met pictures of another size and is of no use any more */
    int64_t packets;
    bool timed; /* some packet had a time */
    struct nvdec_note notes[NVDEC_NOTES];
    char error[256];
};

void nvdec_init(struct nvdec *nvdec, struct gpu *gpu, struct channel *channel);
/* After the last decoder is closed. */
void nvdec_fini(struct nvdec *nvdec);

/*
 * FFmpeg's decoder for this stream on the GPU, NULL (and why, in words) if there is none. A stream
 * that the chip itself cannot decode is refused later, by avcodec_open2() or in decoding.
 */
const AVCodec *nvdec_find(const AVCodecParameters *parameters, char *why, size_t size);

/* Makes `codec` decode into the pool; before avcodec_open2(). A negative AVERROR on failure. */
int nvdec_attach(struct nvdec *nvdec, AVCodecContext *codec, bool live);

/* A packet like `packet` for the decoder, to be unreferenced. */
int nvdec_note_packet(struct nvdec *nvdec, const AVCodecContext *codec, const AVPacket *packet,
                      AVPacket *carried);

/* Gives a decoded frame its time and what else the decoder cannot tell. */
void nvdec_complete(struct nvdec *nvdec, const AVCodecContext *codec, AVFrame *frame);

/* The slot that the frame is in; NULL if it is in the spare buffer. */
cuframes_buffer_t *nvdec_buffer(const AVFrame *frame);

/*
 * To be called when a frame was published, before it is unreferenced: its memory is not the pool's
 * any more. False when memory runs out.
 */
bool nvdec_renew_pool(struct nvdec *nvdec);
