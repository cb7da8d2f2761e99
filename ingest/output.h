/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a decoded frame to a published one. Main thread.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/frame.h>

#include "channel.h"
#include "fill.h"
#include "nvdec.h"
#include "pictures.h"
#include "renditions.h"
#include "stamps.h"
#include "timeline.h"

/* What happened so far; for people, and for the summary at the end. */
struct counters {
    uint64_t decoded;   /* pictures that came out of the decoder */
    uint64_t published; /* of these, frames of the channel */
    uint64_t copied;    /* of these, copied or converted into their slot */
    uint64_t dropped;   /* no slot was free */
    uint64_t limited;   /* left out for --fps */
    uint64_t corrupt;   /* published, though the decoder saw damage */
    uint64_t errors;    /* packets that could not be decoded */
    uint64_t reconnects;
    uint64_t loops;
};

struct output {
    const struct options *options;
    struct channel *channel;
    struct pictures *pictures;
    struct nvdec *nvdec;
    struct filler filler;
    struct renditions renditions;
    struct timeline timeline;
    struct stamps stamps;
    struct counters counters;
    bool paced; /* play at the pictures' own speed */
    /* How often a picture did not follow the one before, and how many of these frames have told. */
    unsigned breaks, breaks_told;
    bool holds_back; /* keeps the newest picture here instead of publishing it */
    bool idle;       /* on demand, and nobody asks */
    AVFrame *held;
    AVRational held_time_base;
    bool subscribers_came;
    bool copy_explained;
};

/* What became of the process's work. */
enum output_result {
    OUTPUT_OK,
    OUTPUT_STOP,  /* asked to end */
    OUTPUT_FAILED /* said why */
};

int output_init(struct output *output, const struct options *options, struct channel *channel,
                struct pictures *pictures, struct nvdec *nvdec);
void output_fini(struct output *output);

/* The next picture does not follow the last one. */
void output_break(struct output *output, enum timeline_break kind);

/* --wait-subscribers: once the channel is there, before its first frame or packet. */
enum output_result output_wait_for_subscribers(struct output *output);
/* Whether that can be fulfilled: every channel is there, or nobody is waited for. */
bool output_can_wait(const struct output *output);

/* While it holds back, pictures are not published; output_held_back() publishes the newest of them. */
void output_hold_back(struct output *output, bool hold_back);
enum output_result output_held_back(struct output *output);

/* No pictures come until output_resume(); the next one does not follow the last. */
void output_pause(struct output *output);
void output_resume(struct output *output);

/* Publishes a frame, unless it is left out. `time_base` is that of its time stamps. */
enum output_result output_frame(struct output *output, AVFrame *frame, AVRational time_base);
