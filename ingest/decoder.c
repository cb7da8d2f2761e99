/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavcodec: threads, its view of time, and frames to the output as soon as they come.
 */
#include "decoder.h"

#include <stdio.h>

#include <libavutil/cpu.h>

#include "log.h"
#include "shutdown.h"

/* As many as libavcodec takes by itself. */
#define MAX_AUTO_THREADS 16
#define MAX_FAILURES     256
/* So often in a row, then the processor decodes (--decode auto). */
#define MOST_GPU_FAILURES 3
#define FIRST_PAUSE_NS    (INT64_C(1000000000) / 2)
#define LONGEST_PAUSE_NS  (INT64_C(1000000000) * 10)

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

static int configure(struct decoder *decoder, const struct source *source, struct output *output)
{
    AVCodecContext *codec = decoder->codec;
    int err = avcodec_parameters_to_context(codec, source->video->codecpar);

    if (err < 0)
        return err;
    stamps_attach(codec);
    if (decoder->on_gpu)
        return nvdec_attach(output->nvdec, codec, source->live || output->paced);
    codec->pkt_timebase = source->video->time_base;
    codec->apply_cropping = 0; /* the slot has the whole picture, the crop is told beside it */
    choose_threads(codec, source, output->options);
    pictures_attach(output->pictures, codec);
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

/* Makes libavcodec's decoder. A negative AVERROR on failure. */
static int open_codec(struct decoder *decoder, struct output *output, const AVCodec *kind,
                      bool on_gpu)
{
    int err;

    decoder->on_gpu = on_gpu;
    decoder->codec = avcodec_alloc_context3(kind);
    err = decoder->codec ? configure(decoder, decoder->source, output) : AVERROR(ENOMEM);
    if (err >= 0)
        err = avcodec_open2(decoder->codec, kind, NULL);
    if (err < 0)
        avcodec_free_context(&decoder->codec);
    return err;
}

/* Why the last call failed: libav*'s own line where there is one. */
static const char *reason(int averror, char *text, size_t size)
{
    log_detail(text, size);
    if (!*text)
        av_strerror(averror, text, size);
    return text;
}

static bool open_on_gpu(struct decoder *decoder, struct output *output, char *why, size_t size)
{
    const AVCodec *kind;
    int err;

    if (!output->nvdec->gpu->open) {
        snprintf(why, size, "%s", output->nvdec->gpu->why);
        return false;
    }
    kind = nvdec_find(decoder->source->video->codecpar, why, size);
    if (!kind)
        return false;
    log_clear_detail();
    err = open_codec(decoder, output, kind, true);
    if (err < 0)
        reason(err, why, size);
    return err >= 0;
}

static enum source_verdict open_on_cpu(struct decoder *decoder, struct output *output, char *why,
                                       size_t size)
{
    enum AVCodecID id = decoder->source->video->codecpar->codec_id;
    const AVCodec *kind = avcodec_find_decoder(id);
    int err;

    if (!kind) {
        snprintf(why, size, "this FFmpeg has no decoder for %s", avcodec_get_name(id));
        return SOURCE_PERMANENT;
    }
    err = open_codec(decoder, output, kind, false);
    if (err < 0) {
        snprintf(why, size, "cannot start the decoder %s: %s", kind->name, av_err2str(err));
        return SOURCE_PERMANENT;
    }
    return SOURCE_OK;
}

static enum source_verdict open_any(struct decoder *decoder, struct source *source,
                                    struct output *output)
{
    enum decode wanted = output->options->decode;
    bool host = wanted == DECODE_AUTO && output->options->memory == CUFRAMES_MEMORY_HOST;
    char why[512] = "--memory host";

    if (wanted != DECODE_CPU && !host && open_on_gpu(decoder, output, why, sizeof(why)))
        return SOURCE_OK;
    if (wanted == DECODE_NVDEC) {
        snprintf(source->error, sizeof(source->error), "--decode nvdec: %s", why);
        return SOURCE_PERMANENT;
    }
    if (wanted == DECODE_AUTO && output->counters.decoded == 0)
        log_line(CUFRAMES_LOG_INFO, "the processor decodes, not a GPU: %s", why);
    return open_on_cpu(decoder, output, source->error, sizeof(source->error));
}

enum source_verdict decoder_open(struct decoder *decoder, struct source *source,
                                 struct output *output)
{
    enum source_verdict verdict = SOURCE_PERMANENT;

    *decoder = (struct decoder){
        .source = source,
        .time_base = source->video->time_base,
        .frame = av_frame_alloc(),
        .carried = av_packet_alloc(),
    };
    describe_channel(output->channel, source, &output->timeline);
    if (decoder->frame && decoder->carried &&
        size_watch_init(&decoder->sizes, source->video->codecpar))
        verdict = open_any(decoder, source, output);
    else
        snprintf(source->error, sizeof(source->error), "out of memory");
    if (verdict != SOURCE_OK)
        decoder_close(decoder);
    return verdict;
}

void decoder_close(struct decoder *decoder)
{
    avcodec_free_context(&decoder->codec);
    size_watch_fini(&decoder->sizes);
    av_frame_free(&decoder->frame);
    av_packet_free(&decoder->carried);
}

static enum output_result channel_failed(const struct output *output)
{
    log_line(CUFRAMES_LOG_ERROR, "%s", output->channel->error);
    return OUTPUT_FAILED;
}

static enum output_result publish(struct decoder *decoder, struct output *output)
{
    enum output_result result;

    if (decoder->on_gpu) {
        nvdec_complete(output->nvdec, decoder->codec, decoder->frame);
        decoder->failures = 0;
    }
    result = output_frame(output, decoder->frame, decoder->time_base);
    av_frame_unref(decoder->frame);
    return result;
}

/* Publishes every frame that is ready. `failure` is set, else left alone, to what went wrong. */
static enum output_result drain(struct decoder *decoder, struct output *output, int *failure)
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
            *failure = err;
            continue;
        }
        result = publish(decoder, output);
        if (result != OUTPUT_OK)
            return result;
    }
    return OUTPUT_OK;
}

static enum output_result decode(struct decoder *decoder, struct output *output,
                                 const AVPacket *packet, int *failure)
{
    int err = avcodec_send_packet(decoder->codec, packet);

    if (err < 0 && err != AVERROR(EAGAIN) && err != AVERROR_EOF) {
        output->counters.errors++;
        *failure = err;
    }
    return drain(decoder, output, failure);
}

/* --- the GPU's decoder and its failures ------------------------------------------------------ */

static int64_t pause_after(int failures)
{
    int64_t pause = FIRST_PAUSE_NS;

    if (failures <= 1)
        return 0;
    for (int i = 2; i < failures && pause < LONGEST_PAUSE_NS; i++)
        pause *= 2;
    return FFMIN(pause, LONGEST_PAUSE_NS);
}

static enum output_result fall_to_cpu(struct decoder *decoder, struct output *output,
                                      const char *why)
{
    char error[256];

    log_line(CUFRAMES_LOG_WARNING,
             "the processor decodes from here on: the GPU failed %d times, %s", decoder->failures,
             why);
    if (open_on_cpu(decoder, output, error, sizeof(error)) == SOURCE_OK)
        return OUTPUT_OK;
    log_line(CUFRAMES_LOG_ERROR, "%s", error);
    return OUTPUT_FAILED;
}

/* The GPU's decoder is of no use any more: it is made again, or the processor takes over. */
static enum output_result give_up_codec(struct decoder *decoder, struct output *output,
                                        const char *why)
{
    int64_t pause;

    avcodec_free_context(&decoder->codec);
    decoder->wait_for_key = true;
    output->breaks++;
    decoder->failures++;
    if (output->options->decode == DECODE_AUTO && decoder->failures >= MOST_GPU_FAILURES)
        return fall_to_cpu(decoder, output, why);
    pause = pause_after(decoder->failures);
    decoder->try_again_ns = cuframes_now_ns() + pause;
    log_line(CUFRAMES_LOG_WARNING, "GPU %d: decoding failed: %s; a new decoder comes in %.1f s",
             output->nvdec->gpu->index, why, (double)pause / 1e9);
    return OUTPUT_OK;
}

/*
 * What is live, or played at its speed, goes on meanwhile and is lost; a file waits. False if there
 * is still time.
 */
static bool waits_well(const struct decoder *decoder, const struct output *output,
                       enum output_result *result)
{
    if (decoder->source->live || output->paced)
        return cuframes_now_ns() >= decoder->try_again_ns;
    if (!shutdown_sleep_until(decoder->try_again_ns))
        *result = OUTPUT_STOP;
    return *result == OUTPUT_OK;
}

/* True with a decoder; else this packet is lost, and `result` says whether to go on. */
static bool make_codec(struct decoder *decoder, struct output *output, enum output_result *result)
{
    char why[256];

    *result = OUTPUT_OK;
    if (decoder->codec)
        return true;
    if (!waits_well(decoder, output, result))
        return false;
    if (open_on_gpu(decoder, output, why, sizeof(why)))
        return true;
    *result = give_up_codec(decoder, output, why);
    return *result == OUTPUT_OK && decoder->codec;
}

static bool is_gpu_failure(int err)
{
    return err < 0 && err != AVERROR_INVALIDDATA; /* that one is the stream's */
}

/* One packet through the GPU's decoder; `failure` as for drain(). */
static enum output_result decode_on_gpu(struct decoder *decoder, struct output *output,
                                        const AVPacket *packet, int *failure)
{
    enum output_result result;

    if (!packet)
        return decode(decoder, output, NULL, failure);
    if (nvdec_note_packet(output->nvdec, decoder->codec, packet, decoder->carried) < 0)
        return OUTPUT_OK;
    result = decode(decoder, output, decoder->carried, failure);
    av_packet_unref(decoder->carried);
    return result;
}

/* Pictures of another size come: those still in the decoder come out, and it is made again. */
static enum output_result change_size(struct decoder *decoder, struct output *output)
{
    enum output_result result;
    char why[256];
    int failure = 0;

    result = decode_on_gpu(decoder, output, NULL, &failure);
    avcodec_free_context(&decoder->codec);
    if (result != OUTPUT_OK || open_on_gpu(decoder, output, why, sizeof(why)))
        return result;
    return give_up_codec(decoder, output, why);
}

static enum output_result feed_gpu(struct decoder *decoder, struct output *output,
                                   const AVPacket *packet)
{
    enum output_result result;
    char why[256];
    int failure = 0;

    log_clear_detail();
    result = decode_on_gpu(decoder, output, packet, &failure);
    if (result == OUTPUT_OK && is_gpu_failure(failure) && output->nvdec->resized) {
        /* The size was not foreseen: the same packet once more, for a decoder that fits. */
        result = change_size(decoder, output);
        failure = 0;
        if (result == OUTPUT_OK && decoder->codec && decoder->on_gpu)
            result = decode_on_gpu(decoder, output, packet, &failure);
    }
    if (result != OUTPUT_OK || !is_gpu_failure(failure))
        return result;
    return give_up_codec(decoder, output, reason(failure, why, sizeof(why)));
}

enum output_result decoder_feed(struct decoder *decoder, struct output *output,
                                const AVPacket *packet)
{
    enum output_result result;
    int failure = 0;

    if (!make_codec(decoder, output, &result)) {
        output->counters.errors++;
        return result;
    }
    if (decoder->wait_for_key && packet && !(packet->flags & AV_PKT_FLAG_KEY)) {
        output->counters.errors++;
        return OUTPUT_OK;
    }
    decoder->wait_for_key = false;
    if (packet && decoder->on_gpu && size_watch_changed(&decoder->sizes, packet)) {
        result = change_size(decoder, output);
        if (result != OUTPUT_OK || !decoder->codec)
            return result;
    }
    if (decoder->on_gpu)
        return feed_gpu(decoder, output, packet);
    return decode(decoder, output, packet, &failure);
}
