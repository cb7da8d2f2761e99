/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Geometry and contents of slots that hold converted or copied pictures.
 */
#include "fill.h"

#include "pixfmt.h"

/* A pixel changes its shape with the picture's. */
static void keep_shape(const struct channel *channel, const AVFrame *frame,
                       struct geometry *geometry)
{
    AVRational sar = {channel->stream_sar_num, channel->stream_sar_den};

    if (sar.num <= 0)
        sar = frame->sample_aspect_ratio;
    if (sar.num <= 0 || sar.den <= 0)
        return;
    av_reduce(&geometry->sar_num, &geometry->sar_den,
              (int64_t)sar.num * frame->width * geometry->height,
              (int64_t)sar.den * frame->height * geometry->width, INT32_MAX);
}

int fill_claim(struct channel *channel, const AVFrame *frame, const struct conversion *to,
               bool converted, cuframes_buffer_t **buffer)
{
    struct geometry geometry = {.width = to->width, .height = to->height, .format = to->format};
    int err = channel_plain_layout(&geometry.layout, to->format, to->width, to->height);

    if (err)
        return err;
    geometry.decoder_slots = 1; /* the one that is being written */
    geometry.color = converted ? converter_color(frame, to->format) : pixfmt_frame_color(frame);
    keep_shape(channel, frame, &geometry);
    return channel_claim(channel, &geometry, buffer);
}

int fill_buffer(struct converter *converter, const AVFrame *frame, const struct conversion *to,
                bool converted, cuframes_buffer_t *buffer, cuframes_frame_meta_t *meta)
{
    meta->copies = 1;
    meta->crop = (cuframes_rect_t){.width = to->width, .height = to->height};
    if (!converted) {
        copy_picture(frame, buffer);
        return 0;
    }
    meta->color = converter_color(frame, to->format);
    return converter_run(converter, frame, to, buffer);
}
