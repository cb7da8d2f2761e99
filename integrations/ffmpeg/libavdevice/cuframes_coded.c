/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See cuframes_coded.h. No state of its own; any thread. */
#include "cuframes_coded.h"

#include <string.h>

#include <libavcodec/avcodec.h>
#include <libavcodec/codec_desc.h>
#include <libavutil/avstring.h>
#include <libavutil/mem.h>

#include "cuframes_common.h"

enum AVCodecID ff_cuframes_codec(const cuframes_stream_t *stream)
{
    char name[sizeof(stream->codec_name) + 1] = "";
    const AVCodecDescriptor *descriptor;

    memcpy(name, stream->codec_name, sizeof(stream->codec_name));
    descriptor = avcodec_descriptor_get_by_name(name);
    return descriptor ? descriptor->id : (enum AVCodecID)stream->codec_id;
}

/*
 * FFmpeg decodes pictures to learn their format unless it is told. What the common profiles are
 * coded in is known; a decoder finds out by itself if it was not so.
 */
static enum AVPixelFormat usual_format(enum AVCodecID codec, int profile)
{
    if (codec == AV_CODEC_ID_H264)
        switch (profile & 0xff) { /* without the flags of constrained profiles */
        case 66:                  /* baseline */
        case 77:                  /* main */
        case 88:                  /* extended */
        case 100:                 /* high */
            return AV_PIX_FMT_YUV420P;
        }
    if (codec == AV_CODEC_ID_HEVC && profile == 1) /* main */
        return AV_PIX_FMT_YUV420P;
    if (codec == AV_CODEC_ID_HEVC && profile == 2) /* main 10 */
        return AV_PIX_FMT_YUV420P10;
    return AV_PIX_FMT_NONE;
}

static void fill_video(const cuframes_stream_t *stream, AVStream *st)
{
    AVCodecParameters *par = st->codecpar;
    CuframesColor color = ff_cuframes_color_from(&stream->color, CUFRAMES_FORMAT_YUV420P);

    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->width = stream->width;
    par->height = stream->height;
    par->format = usual_format(par->codec_id, par->profile);
    par->color_space = color.space;
    par->color_primaries = color.primaries;
    par->color_trc = color.trc;
    par->color_range = color.range;
    par->video_delay = stream->video_delay;
    if (stream->sar_num > 0 && stream->sar_den > 0)
        par->sample_aspect_ratio = st->sample_aspect_ratio =
            (AVRational){stream->sar_num, stream->sar_den};
    if (stream->fps_num > 0 && stream->fps_den > 0)
        st->avg_frame_rate = st->r_frame_rate = (AVRational){stream->fps_num, stream->fps_den};
}

static void fill_audio(const cuframes_stream_t *stream, AVCodecParameters *par)
{
    par->codec_type = AVMEDIA_TYPE_AUDIO;
    par->sample_rate = stream->sample_rate;
    if (!stream->channel_mask ||
        av_channel_layout_from_mask(&par->ch_layout, stream->channel_mask) < 0)
        par->ch_layout =
            (AVChannelLayout){.order = AV_CHANNEL_ORDER_UNSPEC, .nb_channels = stream->channels};
    par->frame_size = stream->samples_per_packet;
    par->initial_padding = stream->initial_padding;
    par->trailing_padding = stream->trailing_padding;
    par->seek_preroll = stream->seek_preroll;
    par->block_align = stream->block_align;
    par->bits_per_coded_sample = stream->bits_per_sample;
}

static int fill_extradata(const cuframes_stream_t *stream, AVCodecParameters *par)
{
    if (!stream->extradata_size)
        return 0;
    par->extradata = av_mallocz(stream->extradata_size + AV_INPUT_BUFFER_PADDING_SIZE);
    if (!par->extradata)
        return AVERROR(ENOMEM);
    memcpy(par->extradata, stream->extradata, stream->extradata_size);
    par->extradata_size = (int)stream->extradata_size;
    return 0;
}

int ff_cuframes_stream_from(const cuframes_stream_t *stream, AVStream *st)
{
    AVCodecParameters *par = st->codecpar;
    char language[sizeof(stream->language) + 1] = "";

    if (stream->time_base_num > 0 && stream->time_base_den > 0)
        avpriv_set_pts_info(st, 64, (unsigned)stream->time_base_num,
                            (unsigned)stream->time_base_den);
    else
        avpriv_set_pts_info(st, 64, 1, 1000000000);
    par->codec_id = ff_cuframes_codec(stream);
    par->codec_tag = stream->codec_tag;
    par->profile = stream->profile;
    par->level = stream->level;
    par->bit_rate = stream->bit_rate;
    if (stream->type == CUFRAMES_STREAM_VIDEO)
        fill_video(stream, st);
    else if (stream->type == CUFRAMES_STREAM_AUDIO)
        fill_audio(stream, par);
    else
        par->codec_type = AVMEDIA_TYPE_DATA;
    memcpy(language, stream->language, sizeof(stream->language));
    if (language[0])
        av_dict_set(&st->metadata, "language", language, 0);
    return fill_extradata(stream, par);
}

static cuframes_packaging_t packaging_of(const AVCodecParameters *par)
{
    if (par->codec_id != AV_CODEC_ID_H264 && par->codec_id != AV_CODEC_ID_HEVC)
        return CUFRAMES_PACKAGING_RAW;
    /* avcC and hvcC begin with their version, 1; start codes with 0. */
    return par->extradata_size > 0 && par->extradata[0] == 1 ? CUFRAMES_PACKAGING_LENGTH
                                                             : CUFRAMES_PACKAGING_ANNEX_B;
}

static void describe_video(const AVStream *st, cuframes_stream_t *stream)
{
    const AVCodecParameters *par = st->codecpar;

    stream->type = CUFRAMES_STREAM_VIDEO;
    stream->width = par->width;
    stream->height = par->height;
    stream->color = ff_cuframes_color_to(par->color_space, par->color_primaries, par->color_trc,
                                         par->color_range);
    stream->video_delay = par->video_delay;
    stream->sar_num = par->sample_aspect_ratio.num;
    stream->sar_den = par->sample_aspect_ratio.den;
    stream->fps_num = st->avg_frame_rate.num;
    stream->fps_den = st->avg_frame_rate.den;
}

static void describe_audio(const AVCodecParameters *par, cuframes_stream_t *stream)
{
    stream->type = CUFRAMES_STREAM_AUDIO;
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

void ff_cuframes_stream_to(const AVStream *st, cuframes_stream_t *stream)
{
    const AVCodecParameters *par = st->codecpar;
    const AVDictionaryEntry *language = av_dict_get(st->metadata, "language", NULL, 0);

    *stream = (cuframes_stream_t){
        .type = CUFRAMES_STREAM_DATA,
        .codec_id = (uint32_t)par->codec_id,
        .codec_tag = par->codec_tag,
        .packaging = packaging_of(par),
        .time_base_num = st->time_base.num,
        .time_base_den = st->time_base.den,
        .profile = par->profile,
        .level = par->level,
        .bit_rate = par->bit_rate,
        .extradata = par->extradata,
        .extradata_size = (uint32_t)par->extradata_size,
    };
    av_strlcpy(stream->codec_name, avcodec_get_name(par->codec_id), sizeof(stream->codec_name));
    /* FFmpeg's name for "the file does not say". */
    if (language && strcmp(language->value, "und") != 0)
        av_strlcpy(stream->language, language->value, sizeof(stream->language));
    if (par->codec_type == AVMEDIA_TYPE_VIDEO)
        describe_video(st, stream);
    else if (par->codec_type == AVMEDIA_TYPE_AUDIO)
        describe_audio(par, stream);
}
