/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attaching to a channel for its packets, and waiting for them, in a way that a signal can end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

/*
 * Waits for the publisher as attach() does, and a moment more for its packets: an ingester has the
 * channel first. Errors as attach().
 */
int packet_attach(const cuframes_subscriber_config_t *config,
                  const cuframes_packet_options_t *options, double wait_s, double limit_s,
                  cuframes_subscriber_t **subscriber);

/* The next packet; deadline and errors as attach_next(). */
int packet_next(cuframes_subscriber_t *subscriber, int64_t deadline_ns, cuframes_packet_t **packet);

/* The descriptions of a packet generation's streams, with their extradata. */
struct packet_streams {
    int32_t count;
    cuframes_stream_t list[CUFRAMES_MAX_STREAMS];
    uint8_t extradata[CUFRAMES_MAX_STREAMS][CUFRAMES_MAX_EXTRADATA];
};
/* Copies those of the newest packet. */
int packet_streams_read(cuframes_subscriber_t *subscriber, struct packet_streams *streams);

/* `to` is whole without `from`. */
void packet_streams_copy(struct packet_streams *to, const struct packet_streams *from);

/* Whether they are the same but for what only an estimate changes: bit rate and frame rate. */
bool packet_streams_equal(const struct packet_streams *a, const struct packet_streams *b);

/* Index of the first video stream, -1 if there is none. */
int32_t packet_streams_video(const struct packet_streams *streams);
