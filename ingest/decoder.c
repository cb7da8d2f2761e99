/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavcodec: threads, its view of time, and frames to the output as soon as they come.
 */
#include "decoder.h"

#include <stdio.h>

#include <libavutil/cpu.h>

#include "log.h"

/* As many as libavcodec takes by itself. */
#define MAX_AUTO_THREADS 16
#define MAX_FAILURES     256

static int automatic_threads(void)
{
    int cpus = av_cpu_count();

    return cpus > 1 ? FFMIN(cpus + 1, MAX_AUTO_THREADS) : 1;
}

/*
 * A frame thread delays the pictures by one frame and keeps slots. For a live input the delay is
 * worse than the work, so its automatic choice is threads within a picture.
 */
static void choose_threads(AVCodecContext *codec, const struct source *source,
                           const struct options *options)
{
    int asked = options->threads ? options->threads : automatic_threads();
    int slots_left = CUFRAMES_MAX_SLOTS - options->slots - pictures_needed(codec);
    int most = FFMAX(slots_left / 2, 1);

    codec->thread_type = FF_THREAD_FRAME | FF_THREAD_SLICE;
    if (source->live && options->threads == 0)
        codec->thread_type = FF_THREAD_SLICE;
    codec->thread_count = asked;
    if ((codec->thread_type & FF_THREAD_FRAME) && asked > most) {
        codec->thread_count = most;
        log_line(options->threads ? CUFRAMES_LOG_WARNING : CUFRAMES_LOG_INFO,
                 "%d decoding threads, not %d: each keeps two of the %d slots that a channel can "
                 "have, and %d are for subscribers (--slots)",
                 most, asked, CUFRAMES_MAX_SLOTS, options->slots);
    }
}

static int configure(struct decoder *decoder, struct source *source, struct output *output)
{
    AVCodecContext *codec = decoder->codec;
    int err = avcodec_parameters_to_context(codec, source->video->codecpar);

    if (err < 0)
        return err;
    codec->pkt_timebase = source->video->time_base;
    codec->apply_cropping = 0; /* the slot has the whole picture, the crop is told beside it */
    choose_threads(codec, source, output->options);
    pictures_attach(output->pictures, codec);
    stamps_attach(codec);
    return 0;
}

static void describe_channel(struct channel *channel, const struct source *source,
                             struct timeline *timeline)
{
    AVStream *video = source->video;
    AVRational rate = av_guess_frame_rate(source->format, video, NULL);
    bool known = rate.num > 0 && rate.den > 0;

    pthread_mutex_lock(&channel->lock);
    channel->fps_num = known ? rate.num : 0;
    channel->fps_den = known ? rate.den : 0;
    channel->stream_sar_num = video->sample_aspect_ratio.num;
    channel->stream_sar_den = video->sample_aspect_ratio.den;
    pthread_mutex_unlock(&channel->lock);
    timeline->frame_ns = known ? av_rescale(INT64_C(1000000000), rate.den, rate.num) : 0;
}

enum source_verdict decoder_open(struct decoder *decoder, struct source *source,
                                 struct output *output)
{
    const AVCodec *kind = avcodec_find_decoder(source->video->codecpar->codec_id);
    int err;

    *decoder = (struct decoder){.time_base = source->video->time_base};
    if (!kind) {
        snprintf(source->error, sizeof(source->error), "this FFmpeg has no decoder for %s",
                 avcodec_get_name(source->video->codecpar->codec_id));
        return SOURCE_PERMANENT;
    }
    decoder->codec = avcodec_alloc_context3(kind);
    decoder->frame = av_frame_alloc();
    err = decoder->codec && decoder->frame ? configure(decoder, source, output) : AVERROR(ENOMEM);
    if (err >= 0)
        err = avcodec_open2(decoder->codec, kind, NULL);
    if (err < 0) {
        snprintf(source->error, sizeof(source->error), "cannot start the decoder %s: %s",
                 kind->name, av_err2str(err));
        decoder_close(decoder);
        return SOURCE_PERMANENT;
    }
    describe_channel(output->channel, source, &output->timeline);
    return SOURCE_OK;
}

void decoder_close(struct decoder *decoder)
{
    avcodec_free_context(&decoder->codec);
    av_frame_free(&decoder->frame);
}

static enum output_result channel_failed(const struct output *output)
{
    log_line(CUFRAMES_LOG_ERROR, "%s", output->channel->error);
    return OUTPUT_FAILED;
}

/* Publishes every frame that is ready. */
static enum output_result drain(struct decoder *decoder, struct output *output)
{
    /* Every failure uses up a packet; the bound is for a decoder that does not keep to that. */
    for (int failures = 0; failures < MAX_FAILURES;) {
        enum output_result result;
        int err = avcodec_receive_frame(decoder->codec, decoder->frame);

        if (atomic_load(&output->channel->failed))
            return channel_failed(output);
        if (err == AVERROR(EAGAIN) || err == AVERROR_EOF)
            return OUTPUT_OK;
        if (err < 0) {
            output->counters.errors++;
            failures++;
            continue;
        }
        result = output_frame(output, decoder->frame, decoder->time_base);
        av_frame_unref(decoder->frame);
        if (result != OUTPUT_OK)
            return result;
    }
    return OUTPUT_OK;
}

enum output_result decoder_feed(struct decoder *decoder, struct output *output,
                                const AVPacket *packet)
{
    int err = avcodec_send_packet(decoder->codec, packet);

    if (err < 0 && err != AVERROR(EAGAIN) && err != AVERROR_EOF)
        output->counters.errors++;
    return drain(decoder, output);
}
