/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavcodec does the reading: its parsers tell a picture's order, and a decoder that gets the first
 * pictures tells the rate that the stream states, which libavformat mixes up with its own guess.
 */
#include "untimed.h"

#include <string.h>

#include <libavutil/avstring.h>
#include <libavutil/opt.h>

#define ASSUMED_RATE 25
/* Rates beyond are time bases in disguise. */
#define HIGHEST_RATE 300
/* Pictures that the decoder may take to find the rate. */
#define RATE_PICTURES 8

static bool has_order(enum AVCodecID id)
{
    return id == AV_CODEC_ID_H264 || id == AV_CODEC_ID_HEVC;
}

int untimed_open(struct untimed *untimed, const AVFormatContext *format, const AVStream *video)
{
    *untimed = (struct untimed){0};
    if (format->nb_streams != 1 || !video || !has_order(video->codecpar->codec_id))
        return 0;
    untimed->parser = av_parser_init(video->codecpar->codec_id);
    if (!untimed->parser)
        return 0; /* this libavcodec was built without it */
    untimed->parser->flags |= PARSER_FLAG_COMPLETE_FRAMES;
    untimed->codec = avcodec_alloc_context3(NULL);
    if (!untimed->codec || avcodec_parameters_to_context(untimed->codec, video->codecpar) < 0)
        return AVERROR(ENOMEM);
    return 0;
}

static void close_parser(struct untimed *untimed)
{
    if (untimed->parser)
        av_parser_close(untimed->parser);
    untimed->parser = NULL;
    avcodec_free_context(&untimed->codec);
}

void untimed_close(struct untimed *untimed)
{
    for (int i = untimed->given; i < untimed->count; i++)
        av_packet_free(&untimed->ahead[i]);
    untimed->count = untimed->given = 0;
    untimed->active = false;
    close_parser(untimed);
}

static bool has_time(const AVPacket *packet)
{
    return packet->pts != AV_NOPTS_VALUE || packet->dts != AV_NOPTS_VALUE;
}

bool untimed_wants_more(const struct untimed *untimed, const AVStream *video)
{
    if (!untimed->parser)
        return false;
    if (untimed->count == 0)
        return true;
    /* Without reordering the first one tells all, and a live input is not kept waiting. */
    return !has_time(untimed->ahead[0]) && video->codecpar->video_delay > 0 &&
           untimed->count < UNTIMED_AHEAD;
}

int untimed_keep(struct untimed *untimed, AVPacket *packet)
{
    AVPacket *kept = av_packet_alloc();

    if (!kept)
        return AVERROR(ENOMEM);
    av_packet_move_ref(kept, packet);
    untimed->ahead[untimed->count++] = kept;
    return 0;
}

static struct counted_picture look_into(struct untimed *untimed, const AVPacket *packet)
{
    AVCodecParserContext *parser = untimed->parser;
    uint8_t *out = NULL;
    int out_size = 0;

    parser->pict_type = AV_PICTURE_TYPE_NONE; /* the parser sets it where there is a picture */
    av_parser_parse2(parser, untimed->codec, &out, &out_size, packet->data, packet->size,
                     AV_NOPTS_VALUE, AV_NOPTS_VALUE, -1);
    return (struct counted_picture){
        .order = parser->output_picture_number,
        .known = parser->pict_type != AV_PICTURE_TYPE_NONE,
        .key = packet->flags & AV_PKT_FLAG_KEY,
        .field = parser->picture_structure == AV_PICTURE_STRUCTURE_TOP_FIELD ||
                 parser->picture_structure == AV_PICTURE_STRUCTURE_BOTTOM_FIELD,
    };
}

static bool is_believable(AVRational rate)
{
    return rate.num > 0 && rate.den > 0 && av_q2d(rate) <= HIGHEST_RATE && av_q2d(rate) >= 1;
}

/* Decodes the first pictures until the rate is known. */
static void decode_for_rate(const struct untimed *untimed, AVCodecContext *decoder, AVFrame *frame)
{
    for (int i = 0; i < untimed->count && i < RATE_PICTURES && decoder->framerate.num <= 0; i++)
        if (avcodec_send_packet(decoder, untimed->ahead[i]) >= 0)
            while (avcodec_receive_frame(decoder, frame) >= 0)
                av_frame_unref(frame);
}

/* The rate that the stream itself states, or 0/1. */
static AVRational stated_rate(const struct untimed *untimed, const AVStream *video)
{
    const AVCodec *kind = avcodec_find_decoder(video->codecpar->codec_id);
    AVCodecContext *decoder = kind ? avcodec_alloc_context3(kind) : NULL;
    AVFrame *frame = av_frame_alloc();
    AVRational rate = {0, 1};

    if (decoder && frame && avcodec_parameters_to_context(decoder, video->codecpar) >= 0) {
        decoder->framerate = rate;
        decoder->thread_count = 1;
        if (avcodec_open2(decoder, kind, NULL) >= 0) {
            decode_for_rate(untimed, decoder, frame);
            rate = decoder->framerate;
        }
    }
    av_frame_free(&frame);
    avcodec_free_context(&decoder);
    return rate;
}

static AVRational choose_rate(struct untimed *untimed, const AVStream *video, AVRational rate)
{
    if (!is_believable(rate))
        rate = stated_rate(untimed, video);
    untimed->guessed = !is_believable(rate);
    return untimed->guessed ? (AVRational){ASSUMED_RATE, 1} : rate;
}

static void learn(struct untimed *untimed, const AVStream *video)
{
    struct counted_picture pictures[UNTIMED_AHEAD];

    for (int i = 0; i < untimed->count; i++)
        pictures[i] = look_into(untimed, untimed->ahead[i]);
    counted_times_init(&untimed->times, pictures, untimed->count, video->codecpar->video_delay,
                       video->codecpar->codec_id == AV_CODEC_ID_H264);
}

void untimed_begin(struct untimed *untimed, AVStream *video, AVRational rate)
{
    untimed->active = untimed->count > 0 && !has_time(untimed->ahead[0]);
    if (!untimed->active) {
        close_parser(untimed);
        return;
    }
    untimed->rate = choose_rate(untimed, video, rate);
    untimed->ticks = video->time_base;
    video->avg_frame_rate = video->r_frame_rate = untimed->rate;
    learn(untimed, video);
}

/* Whether no stream of a codec says how fast it is to be shown, or FFmpeg does not heed it. */
static bool is_rateless(const AVInputFormat *format, enum AVCodecID id)
{
    const AVCodecDescriptor *codec = avcodec_descriptor_get(id);
    const size_t length = strlen(format->name), suffix = strlen("_pipe");

    /* Pictures in files: not all of their codecs are marked as such. */
    if (av_strstart(format->name, "image2", NULL) ||
        (length > suffix && strcmp(format->name + length - suffix, "_pipe") == 0))
        return true;
    return id == AV_CODEC_ID_AV1 || (codec && codec->props & AV_CODEC_PROP_INTRA_ONLY);
}

bool untimed_by_demuxer(const AVFormatContext *format, const AVStream *video)
{
    const AVClass *options = format->iformat->priv_class;

    /* A device has the option too, and tells times. */
    return options && options->category != AV_CLASS_CATEGORY_DEVICE_VIDEO_INPUT &&
           av_opt_find(&options, "framerate", NULL, 0, AV_OPT_SEARCH_FAKE_OBJ) &&
           is_rateless(format->iformat, video->codecpar->codec_id);
}

bool untimed_take(struct untimed *untimed, AVPacket *packet)
{
    if (untimed->given == untimed->count)
        return false;
    av_packet_move_ref(packet, untimed->ahead[untimed->given]);
    av_packet_free(&untimed->ahead[untimed->given++]);
    return true;
}

static int64_t to_ticks(const struct untimed *untimed, int64_t halves)
{
    return av_rescale_q(halves, (AVRational){untimed->rate.den, 2 * untimed->rate.num},
                        untimed->ticks);
}

void untimed_stamp(struct untimed *untimed, AVPacket *packet)
{
    struct counted_picture picture;
    struct counted_time time;

    if (!untimed->active)
        return;
    picture = look_into(untimed, packet);
    time = counted_times_next(&untimed->times, &picture);
    packet->pts = to_ticks(untimed, time.pts);
    packet->dts = to_ticks(untimed, time.dts);
    packet->duration = to_ticks(untimed, time.dts + time.duration) - packet->dts;
}
