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
#include "on_demand.h"
#include "output.h"
#include "packets.h"
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
    bool decoding; /* the decoder is open */
    struct packets packets;
    struct on_demand on_demand;
    struct timeline packet_pace; /* --realtime, where frames do not set the pace */
    struct status status;
    AVPacket *packet;
    bool live;
    bool connected_once;
    uint64_t decoded_before; /* pictures of the sessions before this one */
    uint64_t packets_before; /* the same of packets */
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

/* Without a decoder. */
static void announce_packets(const struct run *run)
{
    log_line(CUFRAMES_LOG_INFO, "reading %s%s, without decoding it", run->options->input,
             run->live ? ", live" : "");
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

static enum source_verdict open_packets_only(struct run *run)
{
    if (run->packets.count == 0) {
        snprintf(run->source.error, sizeof(run->source.error),
                 "there is nothing encoded in it to share (--decode off)");
        return SOURCE_PERMANENT;
    }
    if (channel_open_packets(&run->channel))
        return SOURCE_OK;
    snprintf(run->source.error, sizeof(run->source.error), "%s", run->channel.error);
    return SOURCE_PERMANENT;
}

static enum source_verdict open_decoder(struct run *run)
{
    enum source_verdict verdict = decoder_open(&run->decoder, &run->source, &run->output);

    run->decoding = verdict == SOURCE_OK;
    return verdict;
}

static void close_decoder(struct run *run)
{
    decoder_close(&run->decoder);
    run->decoding = false;
}

/* What the session's packets are for. */
static enum source_verdict open_outputs(struct run *run)
{
    if (run->options->packets)
        packets_open(&run->packets, &run->source);
    if (run->options->when == DECODE_OFF)
        return open_packets_only(run);
    /* On demand: the first picture makes the channel, later sessions decode when asked. */
    if (run->options->when == DECODE_ON_DEMAND && run->output.counters.published > 0)
        return SOURCE_OK;
    return open_decoder(run);
}

/* The input starts over. */
static void start_over(struct run *run, enum timeline_break kind)
{
    output_break(&run->output, kind);
    packet_clock_break(&run->packets.clock, kind);
}

/* Options for files, of which a live input takes no notice. */
static void warn_of_file_options(const struct run *run)
{
    if (!run->live || run->connected_once)
        return;
    if (run->options->loop)
        log_line(CUFRAMES_LOG_WARNING, "--loop has no effect: the input is live");
    if (run->options->realtime)
        log_line(CUFRAMES_LOG_WARNING, "--realtime has no effect: the input is live");
}

static enum source_verdict open_session(struct run *run)
{
    enum source_verdict verdict = source_open(&run->source, run->options);

    if (verdict != SOURCE_OK)
        return verdict;
    run->live = run->source.live;
    run->output.paced = run->options->realtime && !run->live && run->options->when == DECODE_ALWAYS;
    stamps_reset(&run->output.stamps);
    verdict = open_outputs(run);
    if (verdict != SOURCE_OK)
        return verdict;
    warn_of_file_options(run);
    if (run->connected_once && run->live) {
        run->output.counters.reconnects++;
        start_over(run, TIMELINE_ELAPSED);
    }
    run->connected_once = true;
    run->opened_ns = cuframes_now_ns();
    run->decoded_before = run->output.counters.decoded;
    run->packets_before = run->packets.next_seq;
    run->said[0] = '\0';
    if (run->output.counters.loops == 0 && run->decoding)
        announce(run);
    else if (run->output.counters.loops == 0)
        announce_packets(run);
    return SOURCE_OK;
}

static void close_session(struct run *run)
{
    close_decoder(run);
    on_demand_forget(&run->on_demand);
    source_close(&run->source);
}

/* Whether the file that has ended was of any use. */
static bool was_of_use(const struct run *run)
{
    return run->output.counters.decoded > run->decoded_before ||
           (run->options->when != DECODE_ALWAYS && run->packets.next_seq > run->packets_before);
}

/*
 * A loop opens the file again: seeking to the start is not exact in every container, and this is.
 */
static enum session_end end_of_file(struct run *run)
{
    if (!was_of_use(run)) {
        log_line(CUFRAMES_LOG_ERROR,
                 "%s: no picture in it could be decoded: it is not a video, or damaged",
                 run->options->input);
        return SESSION_FAILED;
    }
    if (!run->options->loop)
        return SESSION_DONE;
    run->output.counters.loops++;
    start_over(run, TIMELINE_NEXT_FRAME);
    return SESSION_AGAIN;
}

static enum output_result decode(struct run *run, AVPacket *packet, const struct stamp *stamp)
{
    if (run->decoder.codec) /* the GPU's may be about to be made again */
        stamps_note(&run->output.stamps, run->decoder.codec, packet, stamp);
    return decoder_feed(&run->decoder, &run->output, packet);
}

/* Decodes from the newest key frame to now, and shows what comes out last. */
static enum output_result catch_up(struct run *run)
{
    const struct on_demand *kept = &run->on_demand;
    enum output_result result = OUTPUT_OK;

    output_hold_back(&run->output, true);
    for (size_t i = 0; i < kept->count && result == OUTPUT_OK; i++)
        result = decode(run, kept->kept[i].packet, &kept->kept[i].stamp);
    output_hold_back(&run->output, false);
    return result == OUTPUT_OK ? output_held_back(&run->output) : result;
}

static enum output_result start_decoding(struct run *run)
{
    enum source_verdict verdict;

    if (!run->on_demand.usable)
        return OUTPUT_OK; /* until the next key frame */
    if (run->output.idle) {
        log_line(CUFRAMES_LOG_INFO, "somebody reads frames: decoding, from %zu packets back",
                 run->on_demand.count - 1);
        output_resume(&run->output);
    }
    verdict = open_decoder(run);
    if (verdict != SOURCE_OK) {
        log_line(CUFRAMES_LOG_ERROR, "%s", run->source.error);
        return OUTPUT_FAILED;
    }
    return catch_up(run);
}

static enum output_result stop_decoding(struct run *run)
{
    log_line(CUFRAMES_LOG_INFO, "nobody reads frames: decoding pauses until somebody does");
    close_decoder(run);
    output_pause(&run->output);
    return OUTPUT_OK;
}

/* A packet of the video, with --decode on-demand. */
static enum output_result decode_on_demand(struct run *run, AVPacket *packet,
                                           const struct stamp *stamp)
{
    /* The decoder is closed with each session; whether there are to be frames outlasts it. */
    bool active = !run->output.idle;
    bool wanted = on_demand_wanted(&run->on_demand, &run->output, active);

    on_demand_keep(&run->on_demand, packet, stamp);
    if (!wanted)
        return active ? stop_decoding(run) : OUTPUT_OK;
    return run->decoding ? decode(run, packet, stamp) : start_decoding(run);
}

/* Packets that waited for the channel go out as soon as it is there. */
static enum output_result flush_packets(struct run *run)
{
    enum output_result result;

    if (!packets_pending(&run->packets) || !output_can_wait(&run->output))
        return OUTPUT_OK;
    result = output_wait_for_subscribers(&run->output);
    return result == OUTPUT_OK ? packets_flush(&run->packets) : result;
}

static enum output_result decode_if_wanted(struct run *run, AVPacket *packet,
                                           const struct stamp *stamp)
{
    if (!run->source.video || packet->stream_index != run->source.video->index)
        return OUTPUT_OK;
    if (run->options->when == DECODE_ALWAYS)
        return decode(run, packet, stamp);
    return run->options->when == DECODE_ON_DEMAND ? decode_on_demand(run, packet, stamp)
                                                  : OUTPUT_OK;
}

/* --realtime, where the frames do not set the pace. */
static bool pace_packets(struct run *run, const struct stamp *stamp)
{
    if (!run->options->realtime || run->live || run->options->when == DECODE_ALWAYS)
        return true;
    return timeline_pace(&run->packet_pace, stamp->dts_ns);
}

static enum output_result share_and_decode(struct run *run, AVPacket *packet)
{
    const AVStream *stream = run->source.format->streams[packet->stream_index];
    struct stamp stamp = stamps_capture(run->source.format, packet, run->live);
    enum output_result result = OUTPUT_OK;

    if (run->options->packets)
        result = packets_take(&run->packets, packet, stream->time_base, &stamp);
    if (result == OUTPUT_OK)
        result = flush_packets(run);
    if (result == OUTPUT_OK && !pace_packets(run, &stamp))
        return OUTPUT_STOP;
    if (result == OUTPUT_OK)
        result = decode_if_wanted(run, packet, &stamp);
    return result == OUTPUT_OK ? flush_packets(run) : result;
}

static enum output_result feed_packet(struct run *run)
{
    enum output_result result = share_and_decode(run, run->packet);

    av_packet_unref(run->packet);
    status_tick(&run->status, &run->output);
    return result;
}

/* What is still inside comes out. */
static enum output_result drain(struct run *run)
{
    enum output_result result = OUTPUT_OK;

    packets_end(&run->packets);
    if (run->decoding)
        result = decoder_feed(&run->decoder, &run->output, NULL);
    return result == OUTPUT_OK ? flush_packets(run) : result;
}

/* Reads until something ends. */
static enum session_end read_all(struct run *run)
{
    for (;;) {
        enum source_verdict verdict = source_read(&run->source, run->packet);
        enum output_result result;

        if (verdict == SOURCE_STOP)
            return SESSION_DONE;
        result = verdict == SOURCE_OK ? feed_packet(run) : drain(run);
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

    if (options->when == DECODE_OFF)
        return true;
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

/* Before anything is said about this machine. A live input may come later. */
static bool input_is_there(struct run *run)
{
    enum source_verdict verdict = run->live ? SOURCE_OK : source_check(&run->source, run->options);

    if (verdict == SOURCE_OK || verdict == SOURCE_STOP)
        return true;
    log_line(CUFRAMES_LOG_ERROR, "%s: %s", run->options->input, run->source.error);
    return false;
}

static bool start(struct run *run)
{
    const struct options *options = run->options;

    run->packet = av_packet_alloc();
    if (!run->packet)
        log_line(CUFRAMES_LOG_ERROR, "out of memory");
    if (!run->packet || !input_is_there(run) || !find_gpu(run))
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

    if (!run) {
        log_line(CUFRAMES_LOG_ERROR, "out of memory");
        return 1;
    }
    run->options = options;
    run->live = source_name_is_live(options);
    run->pause_ns = FIRST_PAUSE_NS;
    srandom((unsigned)cuframes_now_ns());
    if (start(run)) {
        packets_init(&run->packets, options, &run->channel);
        end = run_sessions(run);
        if (run->output.counters.decoded > 0)
            status_summary(&run->output);
        if (run->packets.published > 0)
            status_packets(&run->packets);
        on_demand_fini(&run->on_demand);
        packets_fini(&run->packets);
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
