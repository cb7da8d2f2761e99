/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavcodec does the parsing: its filter extract_extradata takes the parameter sets out of a key
 * frame, and its parser reads the picture's size from them.
 */
#include "parameter_sets.h"

#include <string.h>

#include <libavutil/mem.h>

/* More NAL units in one extradata than any stream has. */
#define MAX_UNITS 64

struct unit {
    const uint8_t *data;
    size_t size;
};

static bool is_looked_into(enum AVCodecID codec_id, cuframes_packaging_t packaging)
{
    if (codec_id == AV_CODEC_ID_AV1)
        return true;
    return (codec_id == AV_CODEC_ID_H264 || codec_id == AV_CODEC_ID_HEVC) &&
           packaging == CUFRAMES_PACKAGING_ANNEX_B;
}

int parameter_sets_open(struct parameter_sets *sets, const AVCodecParameters *par,
                        cuframes_packaging_t packaging)
{
    const AVBitStreamFilter *filter = av_bsf_get_by_name("extract_extradata");
    int err;

    *sets = (struct parameter_sets){0};
    if (!filter || !is_looked_into(par->codec_id, packaging))
        return 0;
    sets->packet = av_packet_alloc();
    err = sets->packet ? av_bsf_alloc(filter, &sets->extract) : AVERROR(ENOMEM);
    if (err >= 0)
        err = avcodec_parameters_copy(sets->extract->par_in, par);
    if (err >= 0)
        err = av_bsf_init(sets->extract);
    if (err < 0)
        parameter_sets_close(sets);
    return err;
}

void parameter_sets_close(struct parameter_sets *sets)
{
    av_bsf_free(&sets->extract);
    av_packet_free(&sets->packet);
}

const uint8_t *parameter_sets_find(struct parameter_sets *sets, const AVPacket *packet,
                                   size_t *size)
{
    const uint8_t *beside = av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, size);

    if (beside)
        return beside;
    if (!sets->extract || !(packet->flags & AV_PKT_FLAG_KEY))
        return NULL;
    av_packet_unref(sets->packet);
    if (av_packet_ref(sets->packet, packet) < 0 ||
        av_bsf_send_packet(sets->extract, sets->packet) < 0 ||
        av_bsf_receive_packet(sets->extract, sets->packet) < 0)
        return NULL;
    return av_packet_get_side_data(sets->packet, AV_PKT_DATA_NEW_EXTRADATA, size);
}

/* Where the next start code is, or the end. */
static const uint8_t *next_start_code(const uint8_t *at, const uint8_t *end)
{
    for (; end - at >= 3; at++)
        if (at[0] == 0 && at[1] == 0 && at[2] == 1)
            return at;
    return end;
}

static int split(const uint8_t *data, size_t size, struct unit units[MAX_UNITS])
{
    const uint8_t *end = data + size, *at = next_start_code(data, end);
    int count = 0;

    while (at < end && count < MAX_UNITS) {
        const uint8_t *begin = at + 3;
        const uint8_t *stop = next_start_code(begin, end);

        at = stop;
        while (stop > begin && stop[-1] == 0) /* of a longer start code, or padding */
            stop--;
        if (stop > begin)
            units[count++] = (struct unit){begin, (size_t)(stop - begin)};
    }
    return count;
}

static bool has(const struct unit *units, int count, const struct unit *wanted)
{
    for (int i = 0; i < count; i++)
        if (units[i].size == wanted->size && memcmp(units[i].data, wanted->data, wanted->size) == 0)
            return true;
    return false;
}

static bool all_in(const struct unit *units, int count, const struct unit *in, int in_count)
{
    for (int i = 0; i < count; i++)
        if (!has(in, in_count, &units[i]))
            return false;
    return true;
}

bool parameter_sets_equal(const uint8_t *a, size_t a_size, const uint8_t *b, size_t b_size,
                          cuframes_packaging_t packaging)
{
    struct unit a_units[MAX_UNITS], b_units[MAX_UNITS];
    int a_count, b_count;

    if (a_size == b_size && (a_size == 0 || memcmp(a, b, a_size) == 0))
        return true;
    if (packaging != CUFRAMES_PACKAGING_ANNEX_B)
        return false;
    a_count = split(a, a_size, a_units);
    b_count = split(b, b_size, b_units);
    return a_count > 0 && b_count > 0 && all_in(a_units, a_count, b_units, b_count) &&
           all_in(b_units, b_count, a_units, a_count);
}

static bool copy_extradata(AVCodecContext *codec, const uint8_t *extradata, size_t size)
{
    codec->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!codec->extradata)
        return false;
    memcpy(codec->extradata, extradata, size);
    codec->extradata_size = (int)size;
    return true;
}

bool parameter_sets_picture(enum AVCodecID codec_id, const uint8_t *extradata, size_t size,
                            const AVPacket *packet, int32_t *width, int32_t *height)
{
    AVCodecParserContext *parser = av_parser_init(codec_id);
    AVCodecContext *codec = avcodec_alloc_context3(NULL);
    uint8_t *out = NULL;
    int out_size = 0;
    bool known = false;

    if (parser && codec && copy_extradata(codec, extradata, size)) {
        codec->codec_id = codec_id;
        parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
        av_parser_parse2(parser, codec, &out, &out_size, packet->data, packet->size, packet->pts,
                         packet->dts, packet->pos);
        known = parser->width > 0 && parser->height > 0;
    }
    if (known) {
        *width = parser->width;
        *height = parser->height;
    }
    if (parser)
        av_parser_close(parser);
    avcodec_free_context(&codec);
    return known;
}
