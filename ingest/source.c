/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavformat with a clock on it. Its interrupt callback is asked often enough in every protocol;
 * what it does not cover (resolving names) is bounded by shutdown.c.
 */
#include "source.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <libavutil/avstring.h>
#include <libavutil/parseutils.h>

#include "devices.h"
#include "log.h"
#include "shutdown.h"
#include "source_error.h"

#define SECOND_NS     INT64_C(1000000000)
#define RETRY_READ_NS (3 * 1000 * 1000)
/* What a live input may spend on finding out what it is, in FFmpeg's microseconds. */
#define LIVE_ANALYZE_US "2000000"
/* Pictures it may take to find the frame rate; the stream's parameters mostly tell. */
#define LIVE_FPS_PROBE "4"

static int interrupted(void *opaque)
{
    struct source *source = opaque;

    if (shutdown_requested())
        return 1;
    if (cuframes_now_ns() < source->deadline_ns)
        return 0;
    source->timed_out = true;
    return 1;
}

static void arm(struct source *source)
{
    source->deadline_ns =
        cuframes_now_ns() + (int64_t)(source->options->timeout_s * (double)SECOND_NS);
    source->timed_out = false;
    log_clear_detail();
}

static bool is_v4l2(const struct options *options)
{
    const char *format = options->input_format;

    if (format)
        return strstr(format, "v4l2") || strstr(format, "video4linux2");
    return av_strstart(options->input, "/dev/video", NULL);
}

bool source_name_is_live(const struct options *options)
{
    static const char *const schemes[] = {
        "rtsp:", "rtsps:", "rtspt:", "rtmp:", "rtmps:", "rtp:",  "srtp:", "udp:",
        "tcp:",  "srt:",   "mms:",   "mmsh:", "mmst:",  "rist:", NULL};

    for (int i = 0; schemes[i]; i++)
        if (av_stristart(options->input, schemes[i], NULL))
            return true;
    return is_v4l2(options);
}

/* An HTTP stream without a length is a camera (or a live playlist), with one it is a file. */
static bool is_live(const struct source *source)
{
    const AVFormatContext *format = source->format;

    if (source_name_is_live(source->options))
        return true;
    return av_stristart(source->options->input, "http", NULL) &&
           format->duration == AV_NOPTS_VALUE && !(format->pb && format->pb->seekable);
}

static enum source_verdict fail(struct source *source, int averror)
{
    if (shutdown_requested())
        return SOURCE_STOP;
    if (source->timed_out)
        averror = AVERROR(ETIMEDOUT);
    return source_explain(source->options, averror, source->error, sizeof(source->error));
}

static bool wants_sound(const struct options *options)
{
    return options->packets && !options->packet_video_only;
}

/* Options that suit the kind of input; what the user gave comes first. */
static void default_options(const struct options *options, AVDictionary **dict)
{
    static const char *const transports[] = {"tcp", "udp", NULL};
    bool rtsp = av_stristart(options->input, "rtsp", NULL);

    av_dict_copy(dict, options->input_options, 0);
    if (rtsp && transports[options->transport])
        av_dict_set(dict, "rtsp_transport", transports[options->transport], AV_DICT_DONT_OVERWRITE);
    if (rtsp) /* nothing over the network that nobody gets */
        av_dict_set(dict, "allowed_media_types", wants_sound(options) ? "video+audio" : "video",
                    AV_DICT_DONT_OVERWRITE);
    if (is_v4l2(options))
        av_dict_set(dict, "timestamps", "abs", AV_DICT_DONT_OVERWRITE);
    if (source_name_is_live(options)) {
        av_dict_set(dict, "analyzeduration", LIVE_ANALYZE_US, AV_DICT_DONT_OVERWRITE);
        av_dict_set(dict, "fpsprobesize", LIVE_FPS_PROBE, AV_DICT_DONT_OVERWRITE);
    }
}

static bool find_input_format(struct source *source, const AVInputFormat **format)
{
    const char *name = source->options->input_format;

    if (!name && is_v4l2(source->options))
        name = "v4l2";
    if (!name)
        return true;
    devices_register();
    *format = av_find_input_format(name);
    if (!*format)
        snprintf(source->error, sizeof(source->error),
                 "this FFmpeg has no input format \"%s\"; \"ffmpeg -demuxers\" and \"ffmpeg "
                 "-devices\" list what it has",
                 name);
    return *format != NULL;
}

/* An option that nothing took is a spelling mistake. */
static enum source_verdict check_leftover(struct source *source, const AVDictionary *dict)
{
    const AVDictionaryEntry *entry = NULL;

    while (
        (entry = av_dict_get(source->options->input_options, "", entry, AV_DICT_IGNORE_SUFFIX))) {
        if (!av_dict_get(dict, entry->key, NULL, 0))
            continue;
        snprintf(source->error, sizeof(source->error),
                 "this input has no option \"%s\" (--input-option); \"ffmpeg -h demuxer=%s\" lists "
                 "its options",
                 entry->key, source->format->iformat->name);
        return SOURCE_PERMANENT;
    }
    return SOURCE_OK;
}

static enum source_verdict open_input(struct source *source)
{
    const struct options *options = source->options;
    const char *url = strcmp(options->input, "-") == 0 ? "pipe:0" : options->input;
    const AVInputFormat *input_format = NULL;
    enum source_verdict verdict;
    AVDictionary *dict = NULL;
    int err;

    if (!find_input_format(source, &input_format))
        return SOURCE_PERMANENT;
    source->format = avformat_alloc_context();
    if (!source->format)
        return fail(source, AVERROR(ENOMEM));
    source->format->interrupt_callback = (AVIOInterruptCB){interrupted, source};
    if (is_v4l2(options)) /* its blocking read does not ask the interrupt callback */
        source->format->flags |= AVFMT_FLAG_NONBLOCK;
    default_options(options, &dict);
    arm(source);
    err = avformat_open_input(&source->format, url, input_format, &dict);
    verdict = err < 0 ? fail(source, err) : check_leftover(source, dict);
    av_dict_free(&dict);
    return verdict;
}

static bool is_picture_beside(const AVStream *stream)
{
    return stream->disposition & AV_DISPOSITION_ATTACHED_PIC;
}

/* Whether a stream belongs to the video: not to another program, or to another variant of it. */
static bool in_same_program(const struct source *source, const AVStream *stream)
{
    AVProgram *program = NULL;

    if (!source->video || source->format->nb_programs == 0)
        return true;
    while ((program = av_find_program_from_stream(source->format, program, source->video->index)))
        for (unsigned i = 0; i < program->nb_stream_indexes; i++)
            if (program->stream_index[i] == (unsigned)stream->index)
                return true;
    return false;
}

/* The demuxer leaves out what is not wanted. Returns how many streams are. */
static int choose_streams(struct source *source)
{
    AVFormatContext *format = source->format;
    int wanted = 0;

    for (unsigned i = 0; i < format->nb_streams; i++) {
        AVStream *stream = format->streams[i];
        enum AVMediaType type = stream->codecpar->codec_type;
        bool want = stream == source->video ||
                    (source->options->packets && type == AVMEDIA_TYPE_VIDEO) ||
                    (wants_sound(source->options) && type == AVMEDIA_TYPE_AUDIO);

        want = want && !is_picture_beside(stream) && in_same_program(source, stream);
        stream->discard = want ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
        wanted += want;
    }
    return wanted;
}

/* There is no picture; perhaps something else that can be shared. */
static enum source_verdict no_video(struct source *source)
{
    if (av_find_best_stream(source->format, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0) < 0 ||
        source->options->when == DECODE_OFF)
        return fail(source, AVERROR_STREAM_NOT_FOUND);
    snprintf(source->error, sizeof(source->error),
             "there is no video in it, only sound; --decode off shares that as packets");
    return SOURCE_PERMANENT;
}

static enum source_verdict find_video(struct source *source)
{
    AVFormatContext *format = source->format;
    int index;
    int err;

    /* FFmpeg takes any text for a picture made of letters. */
    if (!source->options->input_format && strcmp(format->iformat->name, "tty") == 0)
        return fail(source, AVERROR_INVALIDDATA);
    arm(source);
    err = avformat_find_stream_info(format, NULL);
    if (err < 0 || source->timed_out || shutdown_requested())
        return fail(source, err);
    index = av_find_best_stream(format, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    if (index >= 0 && !is_picture_beside(format->streams[index]))
        source->video = format->streams[index];
    if (choose_streams(source) == 0 || (!source->video && source->options->when != DECODE_OFF))
        return no_video(source);
    return SOURCE_OK;
}

enum source_verdict source_check(struct source *source, const struct options *options)
{
    const char *path = options->input, *protocol = avio_find_protocol_name(path);

    *source = (struct source){.options = options};
    if (options->input_format || !protocol || strcmp(protocol, "file") != 0 ||
        strcmp(path, "-") == 0)
        return SOURCE_OK;
    av_strstart(path, "file:", &path);
    return access(path, R_OK) == 0 ? SOURCE_OK : fail(source, AVERROR(errno));
}

void source_close(struct source *source)
{
    /* Saying goodbye to a camera that is gone must not take longer than the way there. */
    source->deadline_ns = cuframes_now_ns() + SECOND_NS / 2;
    untimed_close(&source->untimed);
    avformat_close_input(&source->format);
    source->video = NULL;
}

static enum source_verdict read_failed(struct source *source, int averror)
{
    if (shutdown_requested())
        return SOURCE_STOP;
    if (source->timed_out) {
        snprintf(source->error, sizeof(source->error), "no data for %g s",
                 source->options->timeout_s);
        return SOURCE_LOST;
    }
    if (averror == AVERROR_EOF) {
        snprintf(source->error, sizeof(source->error), "the other side closed the connection");
        /* FFmpeg calls it an end when a camera vanishes. */
        return source->live ? SOURCE_LOST : SOURCE_END;
    }
    return fail(source, averror);
}

static enum source_verdict read_packet(struct source *source, AVPacket *packet)
{
    /* The packet before was what a parser had left: nothing has come since. */
    if (source->timed_out)
        return read_failed(source, AVERROR_EXIT);
    arm(source);
    for (;;) {
        int err = av_read_frame(source->format, packet);

        if (err == AVERROR(EAGAIN) && !interrupted(source)) {
            shutdown_sleep_until(cuframes_now_ns() + RETRY_READ_NS);
            continue;
        }
        if (err < 0)
            return read_failed(source, err);
        if (source->format->streams[packet->stream_index]->discard != AVDISCARD_ALL)
            return SOURCE_OK;
        av_packet_unref(packet);
        if (interrupted(source))
            return read_failed(source, AVERROR_EXIT);
    }
}

/* What the user says about the rate of a raw stream, 0/1 if nothing. */
static AVRational rate_given(const struct options *options)
{
    const AVDictionaryEntry *given = av_dict_get(options->input_options, "framerate", NULL, 0);
    AVRational rate = {0, 1};

    if (given)
        av_parse_video_rate(&rate, given->value);
    return rate;
}

/* What FFmpeg counts a raw stream's times with. */
static AVRational rate_assumed(const struct source *source)
{
    const AVRational given = rate_given(source->options);

    if (given.num > 0)
        return given;
    /* One picture alone has no average. */
    return source->video->avg_frame_rate.num > 0 ? source->video->avg_frame_rate
                                                 : source->video->r_frame_rate;
}

/* Times that are made up are no secret; said once for each input. */
static void say_rate(struct source *source)
{
    const struct untimed *untimed = &source->untimed;
    const bool by_demuxer = source->video && untimed_by_demuxer(source->format, source->video);
    const bool given = rate_given(source->options).num > 0;
    double rate;

    if ((!untimed->active && !by_demuxer) || source->rate_said)
        return;
    source->rate_said = true;
    rate = av_q2d(untimed->active ? untimed->rate : rate_assumed(source));
    if (untimed->active ? untimed->guessed : !given)
        log_line(CUFRAMES_LOG_WARNING,
                 "the stream has no times and does not say its frame rate: they are counted as if "
                 "it were %g pictures a second; --input-option framerate=N says what it is",
                 rate);
    else
        log_line(CUFRAMES_LOG_INFO,
                 "the stream has no times: they are counted at %g pictures a second", rate);
}

/* Reads what it takes to give times to a stream that has none. A failure after the first packet is
 * left to the next read, which meets it again. */
static enum source_verdict look_ahead(struct source *source)
{
    struct untimed *untimed = &source->untimed;
    AVPacket *packet = av_packet_alloc();
    enum source_verdict verdict = SOURCE_OK;
    int err = packet ? untimed_open(untimed, source->format, source->video) : AVERROR(ENOMEM);

    while (err >= 0 && verdict == SOURCE_OK && untimed_wants_more(untimed, source->video)) {
        verdict = read_packet(source, packet);
        if (verdict == SOURCE_OK)
            err = untimed_keep(untimed, packet);
    }
    av_packet_free(&packet);
    if (err < 0)
        return fail(source, err);
    if (verdict != SOURCE_OK && untimed->count == 0)
        return verdict == SOURCE_END ? SOURCE_OK : verdict;
    untimed_begin(untimed, source->video, rate_given(source->options));
    say_rate(source);
    return SOURCE_OK;
}

enum source_verdict source_open(struct source *source, const struct options *options)
{
    enum source_verdict verdict;

    *source = (struct source){.options = options, .rate_said = source->rate_said};
    verdict = open_input(source);
    if (verdict == SOURCE_OK)
        verdict = find_video(source);
    if (verdict == SOURCE_OK) {
        source->live = is_live(source);
        verdict = look_ahead(source);
    }
    if (verdict != SOURCE_OK)
        source_close(source);
    return verdict;
}

enum source_verdict source_read(struct source *source, AVPacket *packet)
{
    enum source_verdict verdict = SOURCE_OK;

    if (!untimed_take(&source->untimed, packet))
        verdict = read_packet(source, packet);
    if (verdict == SOURCE_OK)
        untimed_stamp(&source->untimed, packet);
    return verdict;
}
