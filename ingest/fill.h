/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Slots that this program fills itself, by a conversion or a copy of a decoded picture. One thread
 * for each converter.
 */
#pragma once

#include <stdbool.h>

#include <libavutil/frame.h>

#include "channel.h"
#include "convert.h"

/*
 * A slot for a picture like `to`, in a channel whose slots no decoder writes: the channel's
 * geometry follows. Errors as channel_claim().
 */
int fill_claim(struct channel *channel, const AVFrame *frame, const struct conversion *to,
               bool converted, cuframes_buffer_t **buffer);

/*
 * Writes the picture (its cropping applied) into the slot, straight away, and says in `meta` what
 * became of it. A negative AVERROR on failure.
 */
int fill_buffer(struct converter *converter, const AVFrame *frame, const struct conversion *to,
                bool converted, cuframes_buffer_t *buffer, cuframes_frame_meta_t *meta);
