/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "common/packets.h"

#include <inttypes.h>
#include <stdio.h>

const char *word_of_stream_type(cuframes_stream_type_t type)
{
    return type == CUFRAMES_STREAM_VIDEO   ? "video"
           : type == CUFRAMES_STREAM_AUDIO ? "audio"
                                           : "data";
}

const char *word_of_packaging(cuframes_packaging_t packaging)
{
    return packaging == CUFRAMES_PACKAGING_ANNEX_B  ? "annexb"
           : packaging == CUFRAMES_PACKAGING_LENGTH ? "length"
                                                    : "raw";
}

const char *codec_text(const cuframes_stream_t *stream, char text[40])
{
    if (stream->codec_name[0])
        snprintf(text, 40, "%s", stream->codec_name);
    else
        snprintf(text, 40, "codec %" PRIu32, stream->codec_id);
    return text;
}

/* What follows the codec: the size of the picture, the rate of the sound. */
static void shape_text(const cuframes_stream_t *stream, char text[80])
{
    int used = 0;

    text[0] = '\0';
    if (stream->type == CUFRAMES_STREAM_VIDEO && stream->width > 0)
        used = snprintf(text, 80, " %" PRId32 "x%" PRId32, stream->width, stream->height);
    if (stream->type == CUFRAMES_STREAM_VIDEO && stream->fps_num > 0)
        snprintf(text + used, (size_t)(80 - used), ", %.2f a second",
                 (double)stream->fps_num / stream->fps_den);
    if (stream->type == CUFRAMES_STREAM_AUDIO && stream->sample_rate > 0)
        snprintf(text, 80, " %" PRId32 " Hz, %" PRId32 " channels", stream->sample_rate,
                 stream->channels);
}

const char *stream_text(const cuframes_stream_t *stream, char text[STREAM_TEXT_SIZE])
{
    char codec[40], shape[80];

    shape_text(stream, shape);
    snprintf(text, STREAM_TEXT_SIZE, "%s %s%s%s%s", word_of_stream_type(stream->type),
             codec_text(stream, codec), shape, stream->language[0] ? ", " : "", stream->language);
    return text;
}

const char *codecs_text(const cuframes_stream_t *streams, uint32_t count, char *text, size_t size)
{
    size_t used = 0;

    snprintf(text, size, "-");
    for (uint32_t i = 0; i < count && used < size; i++) {
        char codec[40];

        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? "+" : "",
                                 codec_text(&streams[i], codec));
    }
    return text;
}
