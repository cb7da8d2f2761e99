/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The encoded stream beside the frames: every packet of the input's video and audio goes to the
 * channel's packet ring before it is decoded.
 *
 * The channel comes into being with the first decoded picture (channel.h), so the packets before it
 * wait in a short queue. Their numbers are known all the same, because nobody else publishes: a
 * frame carries the number of its packet.
 *
 * Main thread, but for packets_enable().
 */
#pragma once

#include <libavcodec/packet.h>

#include "channel.h"
#include "codec_parameters.h"
#include "output.h"
#include "packet_clock.h"
#include "parameter_sets.h"
#include "source.h"
#include "stamps.h"

/* Packets that may wait for the channel, and their bytes. */
#define PACKET_QUEUE_COUNT 512
#define PACKET_QUEUE_BYTES (16 << 20)

struct packet_stream {
    cuframes_stream_t description; /* its extradata is the array below */
    uint8_t extradata[CUFRAMES_MAX_EXTRADATA];
    struct parameter_sets sets;
    int av_index;
    int64_t default_duration_ns;
    bool came;   /* a packet of it, in this session */
    bool broken; /* its next packet does not follow on: one was left out */
};

struct waiting_packet {
    AVPacket *packet;
    cuframes_packet_desc_t desc;
};

struct packets {
    const struct options *options;
    struct channel *channel;
    struct packet_clock clock;
    struct packet_stream streams[CUFRAMES_MAX_STREAMS];
    uint32_t count;
    bool announced; /* the channel has the descriptions as they are */
    bool ready;     /* the channel is there: packets need not wait */
    bool sorting;   /* waits for the first sound, which tells how much of it is padding */
    struct waiting_packet queue[PACKET_QUEUE_COUNT];
    size_t queued, queued_bytes;
    uint64_t next_seq;  /* of the next packet that is taken */
    uint64_t published; /* what became of the packets, for people */
    uint64_t oversized, left_out;
};

void packets_init(struct packets *packets, const struct options *options, struct channel *channel);
void packets_fini(struct packets *packets);

/* Whether packets of this codec are worth sharing: not raw pictures. */
bool packets_worth_it(const AVCodecParameters *par);

/* A session with the input begins: which of its streams are shared. */
void packets_open(struct packets *packets, struct source *source);
/*
 * Takes a packet that was read, if its stream is shared: publishes it or puts it into the queue. Its
 * number and place in time are noted in `stamp`, which has its capture time.
 */
enum output_result packets_take(struct packets *packets, const AVPacket *packet,
                                AVRational time_base, struct stamp *stamp);

/* Whether packets wait that could be published now. */
bool packets_pending(const struct packets *packets);
/* The same at the end of the input, when no more is waited for. */
void packets_end(struct packets *packets);
/* Publishes what waits. */
enum output_result packets_flush(struct packets *packets);

/* Gives a channel that was just made its packet ring. */
int packets_enable(cuframes_publisher_t *publisher, const struct options *options);
