/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots that this program fills itself, by a conversion or a copy of a decoded picture, from and to
 * host and GPU memory. One thread for each filler.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/frame.h>

#include "channel.h"
#include "convert.h"
#include "gpu.h"

struct filler {
    struct gpu *gpu; /* for pictures in GPU memory; not owned */
    struct converter converter;
    uint8_t *upload; /* a picture on its way to the GPU */
    size_t upload_size;
};

void filler_init(struct filler *filler, struct gpu *gpu);
void filler_fini(struct filler *filler);

/* What a channel with these options has of a decoded picture; true if that takes a conversion. */
bool fill_conversion(const struct options *options, const AVFrame *frame, struct conversion *to);

/*
 * A slot for a picture like `to` in memory of this kind (AUTO: where the picture is), in a channel
 * whose slots no decoder writes: the channel's geometry follows. Errors as channel_claim().
 */
int fill_claim(struct channel *channel, const AVFrame *frame, const struct conversion *to,
               bool converted, cuframes_memory_t memory, cuframes_buffer_t **buffer);

/*
 * Writes the picture (its cropping applied) into the slot and says in `meta` what became of it.
 * What is written in GPU memory is complete when the legacy default stream has come so far. False,
 * with a line in the log, on failure.
 */
bool fill_buffer(struct filler *filler, const AVFrame *frame, const struct conversion *to,
                 bool converted, const struct channel *channel, cuframes_buffer_t *buffer,
                 cuframes_frame_meta_t *meta);
