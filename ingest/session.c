/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sessions with the input, one after the other, over one channel. A live input that goes away is
 * tried again with growing pauses while the channel stays; subscribers simply wait. A file ends,
 * or starts again.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoder.h"
#include "log.h"
#include "output.h"
#include "shutdown.h"
#include "source.h"
#include "status.h"

#define SECOND_NS        INT64_C(1000000000)
#define FIRST_PAUSE_NS   (SECOND_NS / 2)
#define LONGEST_PAUSE_NS (10 * SECOND_NS)
/* A session that lasted so long was a good one: the pauses start over. */
#define GOOD_SESSION_NS (10 * SECOND_NS)
/* The same failure is said once a minute. */
#define REPEAT_NS (60 * SECOND_NS)

enum session_end {
    SESSION_DONE,  /* exit 0 */
    SESSION_AGAIN, /* open the file once more */
    SESSION_RETRY, /* lost: open it after a pause */
    SESSION_FAILED /* exit 1; the reason was said */
};

struct run {
    const struct options *options;
    struct gpu gpu;
    struct channel channel;
    struct pictures pictures;
    struct nvdec nvdec;
    struct output output;
    struct source source;
    struct decoder decoder;
    struct status status;
    AVPacket *packet;
    bool live;
    bool connected_once;
    uint64_t decoded_before; /* pictures of the sessions before this one */
    int64_t pause_ns;
    int64_t opened_ns;
    char said[512]; /* the newest failure that was said, and when */
    int64_t said_ns;
};

static void say_failure(struct run *run, int64_t pause_ns)
{
    int64_t now = cuframes_now_ns();
    bool repeated = strcmp(run->said, run->source.error) == 0 && now - run->said_ns < REPEAT_NS;

    log_line(repeated ? CUFRAMES_LOG_DEBUG : CUFRAMES_LOG_WARNING, "%s: %s; trying again in %.1f s",
             run->options->input, run->source.error, (double)pause_ns / 1e9);
    if (!repeated) {
        snprintf(run->said, sizeof(run->said), "%s", run->source.error);
        run->said_ns = now;
    }
}

/* Half a second, doubled each time; a fifth more or less, so that many do not come at once. */
static enum session_end pause_before_retry(struct run *run)
{
    int64_t pause;

    if (run->opened_ns && cuframes_now_ns() - run->opened_ns > GOOD_SESSION_NS)
        run->pause_ns = FIRST_PAUSE_NS;
    run->opened_ns = 0;
    pause = run->pause_ns - run->pause_ns / 5 + random() % (run->pause_ns * 2 / 5);
    say_failure(run, pause);
    run->pause_ns = FFMIN(run->pause_ns * 2, LONGEST_PAUSE_NS);
    return shutdown_sleep_until(cuframes_now_ns() + pause) ? SESSION_RETRY : SESSION_DONE;
}

/* What a failed call means for the process. */
static enum session_end give_up_or_retry(struct run *run, enum source_verdict verdict)
{
    bool hopeless = verdict == SOURCE_PERMANENT && !run->connected_once;

    if (verdict == SOURCE_STOP)
        return SESSION_DONE;
    if (!run->live || !run->options->reconnect || hopeless) {
        log_line(CUFRAMES_LOG_ERROR, "%s: %s", run->options->input, run->source.error);
        return SESSION_FAILED;
    }
    return pause_before_retry(run);
}

static enum session_end end_of_output(enum output_result result)
{
    return result == OUTPUT_STOP ? SESSION_DONE : SESSION_FAILED;
}

static void announce(const struct run *run)
{
    const AVCodecContext *codec = run->decoder.codec;
    const char *threading = codec->active_thread_type & FF_THREAD_FRAME   ? "frame"
                            : codec->active_thread_type & FF_THREAD_SLICE ? "slice"
                                                                          : "";

    if (run->decoder.on_gpu) {
        log_line(CUFRAMES_LOG_INFO, "reading %s: %s %dx%d%s, decoded by GPU %d (%s)",
                 run->options->input, avcodec_get_name(codec->codec_id), codec->width,
                 codec->height, run->live ? ", live" : "", run->gpu.index, run->gpu.name);
        return;
    }
    log_line(CUFRAMES_LOG_INFO, "reading %s: %s %dx%d%s, %d %s%sdecoding thread%s",
             run->options->input, avcodec_get_name(codec->codec_id), codec->width, codec->height,
             run->live ? ", live" : "", codec->thread_count, threading, *threading ? " " : "",
             codec->thread_count == 1 ? "" : "s");
}

static enum source_verdict open_session(struct run *run)
{
    enum source_verdict verdict = source_open(&run->source, run->options);

    if (verdict != SOURCE_OK)
        return verdict;
    run->live = run->source.live;
    run->output.paced = run->options->realtime && !run->live;
    stamps_reset(&run->output.stamps);
    verdict = decoder_open(&run->decoder, &run->source, &run->output);
    if (verdict != SOURCE_OK)
        return verdict;
    if (run->connected_once && run->live) {
        run->output.counters.reconnects++;
        output_break(&run->output, TIMELINE_ELAPSED);
    }
    run->connected_once = true;
    run->opened_ns = cuframes_now_ns();
    run->decoded_before = run->output.counters.decoded;
    run->said[0] = '\0';
    if (run->output.counters.loops == 0)
        announce(run);
    return SOURCE_OK;
}

static void close_session(struct run *run)
{
    decoder_close(&run->decoder);
    source_close(&run->source);
}

/*
 * A loop opens the file again: seeking to the start is not exact in every container, and this is.
 */
static enum session_end end_of_file(struct run *run)
{
    if (run->output.counters.decoded == run->decoded_before) {
        log_line(CUFRAMES_LOG_ERROR, "%s: no picture in it could be decoded", run->options->input);
        return SESSION_FAILED;
    }
    if (!run->options->loop)
        return SESSION_DONE;
    run->output.counters.loops++;
    output_break(&run->output, TIMELINE_NEXT_FRAME);
    return SESSION_AGAIN;
}

static enum output_result feed_packet(struct run *run)
{
    enum output_result result;

    if (run->live && run->decoder.codec)
        stamps_note(&run->output.stamps, run->source.format, run->decoder.codec, run->packet);
    result = decoder_feed(&run->decoder, &run->output, run->packet);
    av_packet_unref(run->packet);
    status_tick(&run->status, &run->output);
    return result;
}

/* Reads until something ends. */
static enum session_end read_all(struct run *run)
{
    for (;;) {
        enum source_verdict verdict = source_read(&run->source, run->packet);
        enum output_result result;

        if (verdict == SOURCE_STOP)
            return SESSION_DONE;
        result = verdict == SOURCE_OK ? feed_packet(run)
                                      : decoder_feed(&run->decoder, &run->output, NULL);
        if (result != OUTPUT_OK)
            return end_of_output(result);
        if (shutdown_requested())
            return SESSION_DONE;
        if (verdict == SOURCE_OK)
            continue;
        return verdict == SOURCE_END ? end_of_file(run) : give_up_or_retry(run, verdict);
    }
}

static enum session_end run_session(struct run *run)
{
    enum source_verdict verdict = open_session(run);
    enum session_end end;

    end = verdict == SOURCE_OK ? read_all(run) : give_up_or_retry(run, verdict);
    close_session(run);
    return end;
}

static enum session_end run_sessions(struct run *run)
{
    enum session_end end;

    do
        end = shutdown_requested() ? SESSION_DONE : run_session(run);
    while (end == SESSION_AGAIN || end == SESSION_RETRY);
    return end;
}

/* What asks for a GPU, "" if nothing must have one. */
static const char *needs_gpu(const struct options *options)
{
    if (options->decode == DECODE_NVDEC)
        return "--decode nvdec";
    if (options->memory == CUFRAMES_MEMORY_CUDA)
        return "--memory cuda";
    for (int i = 0; i < options->rendition_count; i++)
        if (options->renditions[i].memory == CUFRAMES_MEMORY_CUDA)
            return "--output with memory=cuda";
    return options->gpu && !options->gpu_if_there ? "--gpu" : "";
}

static bool find_gpu(struct run *run)
{
    const struct options *options = run->options;
    const char *needed = needs_gpu(options);

    if (!*needed && (options->decode == DECODE_CPU || options->memory == CUFRAMES_MEMORY_HOST)) {
        snprintf(run->gpu.why, sizeof(run->gpu.why), "%s",
                 options->decode == DECODE_CPU ? "--decode cpu" : "--memory host");
        return true;
    }
    if (gpu_open(&run->gpu, options->gpu))
        return true;
    if (!*needed && options->gpu)
        log_line(CUFRAMES_LOG_WARNING, "--cuda-device %s: %s", options->gpu, run->gpu.why);
    if (!*needed)
        return true;
    log_line(CUFRAMES_LOG_ERROR, "%s: %s", needed, run->gpu.why);
    return false;
}

static bool start(struct run *run)
{
    const struct options *options = run->options;

    run->packet = av_packet_alloc();
    if (!run->packet || !find_gpu(run))
        return false;
    nvdec_init(&run->nvdec, &run->gpu, &run->channel);
    return channel_init(&run->channel, options, run->gpu.index) == 0 &&
           pictures_init(&run->pictures, &run->channel) == 0 &&
           output_init(&run->output, options, &run->channel, &run->pictures, &run->nvdec) == 0;
}

int session_run(const struct options *options)
{
    struct run *run = calloc(1, sizeof(*run));
    enum session_end end = SESSION_FAILED;

    if (!run)
        return 1;
    run->options = options;
    run->live = source_name_is_live(options);
    run->pause_ns = FIRST_PAUSE_NS;
    srandom((unsigned)cuframes_now_ns());
    if (start(run)) {
        end = run_sessions(run);
        if (run->output.counters.decoded > 0)
            status_summary(&run->output);
        output_fini(&run->output);
        pictures_fini(&run->pictures);
        nvdec_fini(&run->nvdec);
        channel_fini(&run->channel);
    }
    gpu_close(&run->gpu);
    av_packet_free(&run->packet);
    free(run);
    return end == SESSION_DONE ? 0 : 1;
}
