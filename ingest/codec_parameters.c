/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * AVCodecParameters and cuframes_stream_t. FFmpeg 5.1 and later describe channels in one structure;
 * what is set here are only the fields that all supported versions have.
 */
#include "codec_parameters.h"

#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavutil/channel_layout.h>
#include <libavutil/intreadwrite.h>

#define NANOSECONDS 1000000000

static cuframes_stream_type_t type_from_av(enum AVMediaType type)
{
    switch (type) {
    case AVMEDIA_TYPE_VIDEO:
        return CUFRAMES_STREAM_VIDEO;
    case AVMEDIA_TYPE_AUDIO:
        return CUFRAMES_STREAM_AUDIO;
    default:
        return CUFRAMES_STREAM_DATA;
    }
}

/* "Unspecified" is 2 for FFmpeg and 0 here. */
static uint8_t color_number(unsigned number)
{
    return number == 2 ? 0 : (uint8_t)number;
}

static void describe_video(AVFormatContext *format, AVStream *av, cuframes_stream_t *stream)
{
    const AVCodecParameters *par = av->codecpar;
    AVRational rate = av->avg_frame_rate, sar = av->sample_aspect_ratio;

    if (rate.num <= 0 || rate.den <= 0)
        rate = av_guess_frame_rate(format, av, NULL);
    if (sar.num <= 0)
        sar = par->sample_aspect_ratio;
    stream->width = par->width;
    stream->height = par->height;
    if (rate.num > 0 && rate.den > 0) {
        stream->fps_num = rate.num;
        stream->fps_den = rate.den;
    }
    if (sar.num > 0 && sar.den > 0) {
        stream->sar_num = sar.num;
        stream->sar_den = sar.den;
    }
    stream->color = (cuframes_color_t){
        .matrix = color_number(par->color_space),
        .primaries = color_number(par->color_primaries),
        .transfer = color_number(par->color_trc),
        .range = (uint8_t)par->color_range,
    };
    stream->video_delay = par->video_delay;
}

static void describe_audio(const AVStream *av, cuframes_stream_t *stream)
{
    const AVCodecParameters *par = av->codecpar;

    stream->sample_rate = par->sample_rate;
    stream->channels = par->ch_layout.nb_channels;
    if (par->ch_layout.order == AV_CHANNEL_ORDER_NATIVE)
        stream->channel_mask = par->ch_layout.u.mask;
    stream->samples_per_packet = par->frame_size;
    stream->initial_padding = par->initial_padding;
    stream->trailing_padding = par->trailing_padding;
    stream->seek_preroll = par->seek_preroll;
    stream->block_align = par->block_align;
    stream->bits_per_sample = par->bits_per_coded_sample;
}

void stream_from_av(AVFormatContext *format, AVStream *av, cuframes_stream_t *stream)
{
    const AVCodecParameters *par = av->codecpar;
    const AVDictionaryEntry *language = av_dict_get(av->metadata, "language", NULL, 0);

    *stream = (cuframes_stream_t){
        .type = type_from_av(par->codec_type),
        .codec_id = par->codec_id,
        .codec_tag = par->codec_tag,
        .packaging =
            packaging_of(par->codec_id, par->extradata, (size_t)par->extradata_size, NULL, 0),
        .time_base_num = av->time_base.num,
        .time_base_den = av->time_base.den,
        .profile = par->profile,
        .level = par->level,
        .bit_rate = par->bit_rate,
    };
    snprintf(stream->codec_name, sizeof(stream->codec_name), "%s", avcodec_get_name(par->codec_id));
    if (language && strcmp(language->value, "und") != 0)
        snprintf(stream->language, sizeof(stream->language), "%s", language->value);
    if (stream->type == CUFRAMES_STREAM_VIDEO)
        describe_video(format, av, stream);
    else if (stream->type == CUFRAMES_STREAM_AUDIO)
        describe_audio(av, stream);
}

static bool has_nal_units(enum AVCodecID codec_id)
{
    return codec_id == AV_CODEC_ID_H264 || codec_id == AV_CODEC_ID_HEVC ||
           codec_id == AV_CODEC_ID_VVC;
}

static bool begins_with_start_code(const uint8_t *data, size_t size)
{
    return size >= 4 && (AV_RB24(data) == 1 || AV_RB32(data) == 1);
}

cuframes_packaging_t packaging_of(enum AVCodecID codec_id, const uint8_t *extradata, size_t size,
                                  const uint8_t *packet, size_t packet_size)
{
    if (!has_nal_units(codec_id))
        return CUFRAMES_PACKAGING_RAW;
    /* avcC and hvcC begin with a version and are longer than this. */
    if (size >= 7 && !begins_with_start_code(extradata, size))
        return CUFRAMES_PACKAGING_LENGTH;
    if (size < 4 && packet && !begins_with_start_code(packet, packet_size))
        return CUFRAMES_PACKAGING_LENGTH;
    return CUFRAMES_PACKAGING_ANNEX_B;
}

enum AVCodecID stream_codec_id(const cuframes_stream_t *stream)
{
    enum AVCodecID id = (enum AVCodecID)stream->codec_id;
    const AVCodecDescriptor *named = NULL;

    if (stream->codec_name[0] && strcmp(avcodec_get_name(id), stream->codec_name) != 0)
        named = avcodec_descriptor_get_by_name(stream->codec_name);
    return named ? named->id : id;
}

AVRational stream_time_base(const cuframes_stream_t *stream)
{
    if (stream->time_base_num > 0 && stream->time_base_den > 0)
        return (AVRational){stream->time_base_num, stream->time_base_den};
    return (AVRational){1, NANOSECONDS};
}

static void fill_video(const cuframes_stream_t *stream, AVCodecParameters *par)
{
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->width = stream->width;
    par->height = stream->height;
    if (stream->sar_num > 0 && stream->sar_den > 0)
        par->sample_aspect_ratio = (AVRational){stream->sar_num, stream->sar_den};
    par->color_space = stream->color.matrix ? stream->color.matrix : AVCOL_SPC_UNSPECIFIED;
    par->color_primaries =
        stream->color.primaries ? stream->color.primaries : AVCOL_PRI_UNSPECIFIED;
    par->color_trc = stream->color.transfer ? stream->color.transfer : AVCOL_TRC_UNSPECIFIED;
    par->color_range = (enum AVColorRange)stream->color.range; /* the same three numbers */
    par->video_delay = stream->video_delay;
}

static void fill_audio(const cuframes_stream_t *stream, AVCodecParameters *par)
{
    par->codec_type = AVMEDIA_TYPE_AUDIO;
    par->sample_rate = stream->sample_rate;
    if (stream->channel_mask)
        av_channel_layout_from_mask(&par->ch_layout, stream->channel_mask);
    if (par->ch_layout.nb_channels != stream->channels)
        av_channel_layout_default(&par->ch_layout, stream->channels);
    par->frame_size = stream->samples_per_packet;
    par->initial_padding = stream->initial_padding;
    par->trailing_padding = stream->trailing_padding;
    par->seek_preroll = stream->seek_preroll;
    par->block_align = stream->block_align;
    par->bits_per_coded_sample = stream->bits_per_sample;
}

static int copy_extradata(const cuframes_stream_t *stream, AVCodecParameters *par)
{
    if (stream->extradata_size == 0)
        return 0;
    par->extradata = av_mallocz(stream->extradata_size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!par->extradata)
        return AVERROR(ENOMEM);
    memcpy(par->extradata, stream->extradata, stream->extradata_size);
    par->extradata_size = (int)stream->extradata_size;
    return 0;
}

int stream_to_av(const cuframes_stream_t *stream, AVCodecParameters *par)
{
    par->codec_id = stream_codec_id(stream);
    if (!avcodec_descriptor_get(par->codec_id))
        return AVERROR_DECODER_NOT_FOUND;
    /* The tag is the source's container's: a muxer has tags of its own. */
    par->codec_tag = 0;
    par->profile = stream->profile;
    par->level = stream->level;
    par->bit_rate = stream->bit_rate;
    if (stream->type == CUFRAMES_STREAM_VIDEO)
        fill_video(stream, par);
    else if (stream->type == CUFRAMES_STREAM_AUDIO)
        fill_audio(stream, par);
    else
        par->codec_type = AVMEDIA_TYPE_DATA;
    return copy_extradata(stream, par);
}
