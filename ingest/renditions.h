/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The further channels of one decode (--output): each decoded picture is scaled into a slot of
 * each of them. One that nobody reads costs nothing.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/frame.h>

#include "channel.h"
#include "fill.h"
#include "options.h"
#include "timeline.h"

struct rendition {
    const struct rendition_spec *spec;
    struct options options; /* the input's, but for what its channel is like; owns nothing */
    struct channel channel;
    struct filler filler;
    struct timeline limit;
    unsigned breaks_told; /* of the pictures' breaks, those that its frames have told */
    /* Of the decoded pictures: */
    uint64_t published;
    uint64_t copied;  /* of these; a conversion counts */
    uint64_t dropped; /* no slot was free */
    uint64_t limited; /* left out for @FPS */
    uint64_t unread;  /* left out, as nobody was there to read them */
};

struct renditions {
    struct rendition *list;
    int count;
};

/* `gpu` is borrowed. */
int renditions_init(struct renditions *renditions, const struct options *options, struct gpu *gpu);
void renditions_fini(struct renditions *renditions);

/*
 * Makes those channels that are not there yet, for pictures like `frame` of `source`'s input, so
 * that subscribers find them before the first frame. False, with a line in the log, on failure.
 */
bool renditions_open(struct renditions *renditions, const AVFrame *frame,
                     const struct channel *source);

/* The fewest subscribers that one of the channels has; INT32_MAX without any channel. */
int32_t renditions_subscribers(const struct renditions *renditions);

/*
 * Publishes `frame` on every channel that has readers and is due. `meta` is the frame's for its
 * own channel; `breaks` counts the breaks before it. False, with a line in the log, on failure.
 */
bool renditions_publish(struct renditions *renditions, AVFrame *frame,
                        const cuframes_frame_meta_t *meta, unsigned breaks);
