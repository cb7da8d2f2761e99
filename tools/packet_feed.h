/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A channel's packets as one container stream, for one reader: a subscriber and a muxer. One
 * thread.
 */
#pragma once

#include <cuframes/cuframes.h>

#include "common/packet_attach.h"
#include "packet_writer.h"

struct packet_feed_settings {
    cuframes_subscriber_config_t config;
    enum packet_format format;
};

enum packet_feed_result {
    PACKET_FEED_WROTE,   /* or used a packet up */
    PACKET_FEED_NOTHING, /* nothing came in time */
    PACKET_FEED_LOST,    /* packets were overwritten before they were read; it goes on */
    PACKET_FEED_STOPPED, /* a signal came */
    PACKET_FEED_GONE,    /* the publisher is */
    PACKET_FEED_CHANGED, /* the streams have, which the container cannot express */
    PACKET_FEED_CLOSED,  /* the sink takes no more */
    PACKET_FEED_FAILED,  /* `error` has the sentence */
};

struct packet_feed {
    const struct packet_feed_settings *settings;
    cuframes_subscriber_t *subscriber; /* NULL = not attached */
    struct packet_sink sink;
    struct packet_writer *writer;
    struct packet_streams streams;
    bool wait_said; /* that parameters are waited for */
    uint64_t lost;
    char error[512];
};

/* Attaches, waiting as packet_attach() does: an error of that. */
int packet_feed_open(struct packet_feed *feed, const struct packet_feed_settings *settings,
                     const struct packet_sink *sink, double wait_s, double limit_s);
/* Writes the next packet into the sink. Deadline as for packet_next(). */
enum packet_feed_result packet_feed_step(struct packet_feed *feed, int64_t deadline_ns);
/* Ends the container if `whole`, and detaches. Safe on a feed that is all zeros. */
void packet_feed_close(struct packet_feed *feed, bool whole);
