/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavcodec's parser over key frames: only they can begin another size.
 */
#include "size_watch.h"

bool size_watch_init(struct size_watch *watch, const AVCodecParameters *parameters)
{
    *watch = (struct size_watch){.parser = av_parser_init((int)parameters->codec_id)};
    if (!watch->parser)
        return true;
    watch->parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
    watch->context = avcodec_alloc_context3(NULL);
    if (watch->context && avcodec_parameters_to_context(watch->context, parameters) >= 0)
        return true;
    size_watch_fini(watch);
    return false;
}

void size_watch_fini(struct size_watch *watch)
{
    av_parser_close(watch->parser);
    avcodec_free_context(&watch->context);
    *watch = (struct size_watch){0};
}

bool size_watch_changed(struct size_watch *watch, const AVPacket *packet)
{
    int width, height;
    uint8_t *data;
    int size;
    bool changed;

    if (!watch->parser || !(packet->flags & AV_PKT_FLAG_KEY))
        return false;
    av_parser_parse2(watch->parser, watch->context, &data, &size, packet->data, packet->size,
                     packet->pts, packet->dts, packet->pos);
    width = watch->parser->width;
    height = watch->parser->height;
    if (width <= 0 || height <= 0)
        return false;
    changed = watch->width > 0 && (watch->width != width || watch->height != height);
    watch->width = width;
    watch->height = height;
    return changed;
}
