/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Demuxer "cuframes": the frames of a channel, as wrapped frames, where they lie: pictures in host
 * memory, or CUDA hardware frames.
 *
 * Opening it decodes nothing and needs no frame: what FFmpeg would probe for is in the channel's
 * description.
 *
 * One thread at a time, as libavformat has it. Pictures live on after the demuxer is closed.
 */
#include "cuframes_common.h"
#include "cuframes_cuda.h"
#include "cuframes_picture.h"

#include <inttypes.h>

#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/time.h>

/* The longest wait for FFmpeg to give a frame back, on channels that wait for their readers. */
#define HOLD_WAIT_MS 500
/* For the first frame of a channel that runs. */
#define FIRST_US 1000000

enum Timeline { TIMELINE_START, TIMELINE_CHANNEL };

typedef struct Frames {
    const AVClass *class;
    /* options */
    char *runtime_dir;
    char *name;
    int mode;
    int reconnect;
    int64_t timeout;      /* microseconds, below 0 = none */
    int64_t open_timeout; /* likewise */
    double max_fps;
    int every;
    int max_holds;
    int memory; /* cuframes_memory_t */
    int timeline;
    char *gpu;
    /* state */
    char *key;
    cuframes_subscriber_t *subscriber;
    cuframes_channel_info_t info;
    unsigned granted;
    AVBufferRef *holds;
    AVBufferRef *device; /* FFmpeg's, if the frames are read on a GPU */
    AVBufferRef *gpu_frames;
    int running;             /* it had frames before this one came */
    int begun;               /* a frame was read: */
    int64_t offset;          /* what to take from its times, */
    int64_t last;            /* the last one's time then, */
    int64_t last_published;  /* and when it was published */
    cuframes_frame_t *first; /* taken while opening */
    int64_t deadline;        /* of the next frame */
    uint64_t given, copied, missed;
} Frames;

static int frames_probe(const AVProbeData *probe)
{
    return probe->filename && !strncmp(probe->filename, "cuframes://", 11) ? AVPROBE_SCORE_MAX : 0;
}

static int find_gpu(AVFormatContext *s, const cuframes_channel_info_t *info, int32_t *gpu)
{
    Frames *c = s->priv_data;
    char uuid[CUFRAMES_GPU_UUID_TEXT];
    int err;

    cuframes_gpu_uuid_text(info->gpu_uuid, uuid);
    if (c->gpu)
        err = cuframes_gpu_find(c->gpu, gpu);
    else
        err = cuframes_gpu_find(info->memory == CUFRAMES_MEMORY_CUDA ? uuid : "0", gpu);
    return err == CUFRAMES_OK ? 0 : ff_cuframes_fail(s, err, s->url);
}

/* Where the frames are to be read; FFmpeg's device first, as it must be. */
static int choose_memory(AVFormatContext *s, const cuframes_channel_info_t *info,
                         cuframes_subscriber_config_t *config)
{
    Frames *c = s->priv_data;
    int ret;

    config->memory =
        c->memory == CUFRAMES_MEMORY_AUTO ? info->memory : (cuframes_memory_t)c->memory;
    if (config->memory != CUFRAMES_MEMORY_CUDA) {
        /* What was asked for explicitly may cost a copy. */
        config->flags |= c->memory == CUFRAMES_MEMORY_HOST ? CUFRAMES_SUBSCRIBER_STAGED : 0;
        return 0;
    }
    if ((ret = find_gpu(s, info, &config->cuda_device)) < 0)
        return ret;
    return ff_cuframes_device(s, config->cuda_device, &c->device);
}

static int attach(AVFormatContext *s)
{
    Frames *c = s->priv_data;
    int64_t deadline = ff_cuframes_open_deadline(c->open_timeout, c->timeout);
    cuframes_channel_report_t *report = NULL;
    cuframes_subscriber_config_t config = {
        .key = c->key,
        .consumer_name = c->name,
        .mode = c->mode,
        .flags = c->reconnect ? CUFRAMES_SUBSCRIBER_RECONNECT : 0,
        .max_holds = (uint32_t)c->max_holds,
        .max_fps = (float)c->max_fps,
        .every = (uint32_t)c->every,
        .runtime_dir = c->runtime_dir,
    };
    int ret = ff_cuframes_look(s, c->runtime_dir, c->key, c->open_timeout != 0, deadline, &report);

    if (ret < 0)
        return ret;
    c->running = report->stats.newest_ns != CUFRAMES_NO_TIME;
    ret = choose_memory(s, &report->info, &config);
    cuframes_channel_report_free(report);
    return ret < 0 ? ret
                   : ff_cuframes_attach(s, &config, c->open_timeout, deadline, &c->subscriber);
}

/* What the channel is now: it can differ after a change of generation, and after a reconnect. */
static int update_channel(AVFormatContext *s)
{
    Frames *c = s->priv_data;
    cuframes_subscriber_stats_t stats;
    int err = cuframes_subscriber_info(c->subscriber, &c->info);

    if (err == CUFRAMES_OK)
        err = cuframes_subscriber_stats(c->subscriber, &stats);
    if (err != CUFRAMES_OK)
        return ff_cuframes_fail(s, err, s->url);
    c->granted = stats.max_holds;
    if (!c->device)
        return 0;
    return ff_cuframes_frames_context(c->device, c->info.format, &c->info.layout, &c->gpu_frames);
}

/* FFmpeg looks at frames until it knows all that is set here. */
static int add_stream(AVFormatContext *s)
{
    Frames *c = s->priv_data;
    const cuframes_channel_info_t *info = &c->info;
    CuframesColor color = ff_cuframes_color_from(&info->color, info->format);
    AVStream *st = avformat_new_stream(s, NULL);
    AVCodecParameters *par;

    if (!st)
        return AVERROR(ENOMEM);
    avpriv_set_pts_info(st, 64, 1, 1000000000);
    par = st->codecpar;
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = AV_CODEC_ID_WRAPPED_AVFRAME;
    par->format = c->device ? AV_PIX_FMT_CUDA : ff_cuframes_pix_fmt(info->format);
    par->width = info->width;
    par->height = info->height;
    par->color_space = color.space;
    par->color_primaries = color.primaries;
    par->color_trc = color.trc;
    par->color_range = color.range;
    par->sample_aspect_ratio = st->sample_aspect_ratio =
        (AVRational){info->sar_num, info->sar_den ? info->sar_den : 1};
    if (info->fps_num > 0 && info->fps_den > 0)
        st->avg_frame_rate = st->r_frame_rate = (AVRational){info->fps_num, info->fps_den};
    if (par->format == AV_PIX_FMT_NONE) {
        av_log(s, AV_LOG_ERROR, "%s: this FFmpeg has no pixel format for the channel's.\n", s->url);
        return AVERROR(ENOSYS);
    }
    /* No frame is to be read to guess a frame rate or a first time stamp. */
    s->fps_probe_size = 0;
    s->max_ts_probe = 0;
    s->ctx_flags |= AVFMTCTX_UNSEEKABLE;
    return 0;
}

static int64_t time_of(const cuframes_frame_t *frame)
{
    int64_t pts = cuframes_frame_pts_ns(frame);

    return pts == CUFRAMES_NO_TIME ? cuframes_frame_published_ns(frame) : pts;
}

/*
 * The time that FFmpeg sees. FFmpeg 5.1 takes the start of a stream from the times of packets, but
 * not from those of frames that are wrapped in them: so they begin at zero here. They go on over a
 * publisher that came back and began anew, by as much as the frames were apart.
 */
static int64_t stamp(Frames *c, const cuframes_frame_t *frame)
{
    int64_t time = time_of(frame), published = cuframes_frame_published_ns(frame);

    if (c->timeline == TIMELINE_CHANNEL)
        return time;
    if (!c->begun)
        c->offset = time;
    else if (time - c->offset <= c->last &&
             cuframes_frame_flags(frame) & CUFRAMES_FRAME_DISCONTINUITY)
        c->offset = time - c->last - (published - c->last_published);
    c->begun = 1;
    c->last = time - c->offset;
    c->last_published = published;
    return c->last;
}

/*
 * With the channel's own times, the first one is the start, which FFmpeg must know before it reads.
 * The next frame of a channel that runs comes within a frame's time.
 */
static int take_first(AVFormatContext *s)
{
    Frames *c = s->priv_data;
    int64_t deadline = ff_cuframes_deadline(c->running ? FIRST_US : 0);
    int err;

    do {
        err = cuframes_subscriber_next(c->subscriber, NULL, &c->first, ff_cuframes_slice(deadline));
    } while (err == CUFRAMES_ERR_TIMEOUT && av_gettime_relative() < deadline &&
             !ff_cuframes_interrupted(s));
    if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_DISCONNECTED)
        return 0;
    if (err != CUFRAMES_OK)
        return ff_cuframes_fail(s, err, s->url);
    s->streams[0]->start_time = time_of(c->first);
    return 0;
}

static int frames_close(AVFormatContext *s)
{
    Frames *c = s->priv_data;

    if (c->given)
        av_log(s, c->copied || c->missed ? AV_LOG_INFO : AV_LOG_VERBOSE,
               "%s: %" PRIu64 " frames, %" PRIu64 " of them copied; %" PRIu64 " missed.\n", s->url,
               c->given, c->copied, c->missed);
    cuframes_frame_release(c->first);
    c->first = NULL;
    cuframes_subscriber_destroy(c->subscriber);
    c->subscriber = NULL;
    av_buffer_unref(&c->holds);
    av_buffer_unref(&c->gpu_frames);
    av_buffer_unref(&c->device);
    av_freep(&c->key);
    return 0;
}

static int frames_open(AVFormatContext *s)
{
    Frames *c = s->priv_data;
    int ret;

    if (!(c->holds = ff_cuframes_holds_alloc()))
        return AVERROR(ENOMEM);
    if ((ret = ff_cuframes_parse_url(s, c, "cuframes", &c->key)) < 0 || (ret = attach(s)) < 0 ||
        (ret = update_channel(s)) < 0 || (ret = add_stream(s)) < 0)
        return ret;
    c->deadline = ff_cuframes_deadline(c->timeout);
    if (c->timeline == TIMELINE_CHANNEL)
        return take_first(s);
    s->streams[0]->start_time = 0;
    return 0;
}

static int frames_read_header(AVFormatContext *s)
{
    int ret = frames_open(s);

    /* libavformat does not call read_close() for what was not opened. */
    if (ret < 0)
        frames_close(s);
    return ret;
}

static int next_frame(AVFormatContext *s, cuframes_frame_t **frame)
{
    Frames *c = s->priv_data;
    int ret = 0;

    if (c->first) {
        *frame = c->first;
        c->first = NULL;
        return 0;
    }
    while (ret == 0) {
        int err =
            cuframes_subscriber_next(c->subscriber, NULL, frame, ff_cuframes_slice(c->deadline));

        if (err == CUFRAMES_OK)
            return 0;
        if (err == CUFRAMES_ERR_DISCONNECTED)
            return ff_cuframes_end(s, c->runtime_dir, c->key);
        if (err == CUFRAMES_ERR_EVICTED && c->reconnect)
            av_log(s, AV_LOG_WARNING, "%s: %s\n", s->url, cuframes_last_error());
        else if (err == CUFRAMES_ERR_TIMEOUT || err == CUFRAMES_ERR_WOULD_BLOCK)
            ret = ff_cuframes_wait_again(s, c->deadline, "frame");
        else
            ret = ff_cuframes_fail(s, err, s->url);
    }
    return ret;
}

static int may_stay(AVFormatContext *s, const cuframes_frame_t *frame)
{
    Frames *c = s->priv_data;
    cuframes_rect_t crop;
    int wait_ms = 0;

    cuframes_frame_crop(frame, &crop);
    /* Encoders of the GPU count the rows to the second plane from the first row that they get. */
    if (c->device ? crop.x || crop.y : !ff_cuframes_is_padded(frame))
        return 0;
    /* A publisher that waits loses nothing meanwhile, as long as it is not kept waiting for long. */
    if (c->info.policy == CUFRAMES_POLICY_STRICT_WAIT)
        wait_ms = c->info.ack_timeout_ms < 0 ? HOLD_WAIT_MS
                                             : FFMIN(HOLD_WAIT_MS, c->info.ack_timeout_ms / 4);
    return ff_cuframes_may_hold(c->holds, c->granted, wait_ms);
}

static void describe_picture(Frames *c, const cuframes_frame_t *frame, AVFrame *picture)
{
    cuframes_clock_source_t source;
    cuframes_color_t own;
    CuframesColor color;
    int64_t capture = cuframes_frame_capture_ns(frame, &source);
    uint64_t missed = cuframes_frame_missed(frame);

    cuframes_frame_size(frame, &picture->width, &picture->height);
    picture->format = ff_cuframes_pix_fmt(cuframes_frame_format(frame));
    cuframes_frame_color(frame, &own);
    color = ff_cuframes_color_from(&own, cuframes_frame_format(frame));
    picture->colorspace = color.space;
    picture->color_primaries = color.primaries;
    picture->color_trc = color.trc;
    picture->color_range = color.range;
    picture->sample_aspect_ratio =
        (AVRational){c->info.sar_num, c->info.sar_den ? c->info.sar_den : 1};
    picture->pts = stamp(c, frame);
    if (c->info.fps_num > 0 && c->info.fps_den > 0)
        cuframes_set_duration(picture, av_rescale(1000000000, c->info.fps_den, c->info.fps_num));
    if (cuframes_frame_flags(frame) & CUFRAMES_FRAME_KEY)
        cuframes_set_key(picture);
    if (cuframes_frame_flags(frame) & CUFRAMES_FRAME_CORRUPT)
        picture->flags |= AV_FRAME_FLAG_CORRUPT;
    /* Shown by ffprobe -show_frames. */
    av_dict_set_int(&picture->metadata, "cuframes.seq", (int64_t)cuframes_frame_seq(frame), 0);
    if (missed)
        av_dict_set_int(&picture->metadata, "cuframes.missed", (int64_t)missed, 0);
    if (capture != CUFRAMES_NO_TIME)
        av_dict_set_int(&picture->metadata, "cuframes.capture_ns", capture, 0);
}

static void say_copied(AVFormatContext *s)
{
    Frames *c = s->priv_data;

    if (c->copied++ == 0)
        av_log(s, AV_LOG_WARNING,
               "%s: copying frames from here on where FFmpeg keeps more of them than the %u that "
               "may stay in the channel; holds=N asks for more.\n",
               s->url, c->granted ? c->granted - 1 : 0);
}

static int make_picture(AVFormatContext *s, cuframes_frame_t *frame, AVFrame *picture)
{
    Frames *c = s->priv_data;

    if ((cuframes_frame_memory(frame) == CUFRAMES_MEMORY_CUDA) != (c->device != NULL)) {
        av_log(s, AV_LOG_ERROR, "%s: the frames have moved to other memory; open it again.\n",
               s->url);
        cuframes_frame_release(frame);
        return AVERROR_INPUT_CHANGED;
    }
    describe_picture(c, frame, picture);
    if (may_stay(s, frame))
        return ff_cuframes_wrap(c->holds, frame, c->gpu_frames, picture);
    say_copied(s);
    av_dict_set_int(&picture->metadata, "cuframes.copied", 1, 0);
    return ff_cuframes_copy(c->holds, frame, c->gpu_frames, picture);
}

static int frames_read_packet(AVFormatContext *s, AVPacket *packet)
{
    Frames *c = s->priv_data;
    cuframes_frame_t *frame = NULL;
    AVFrame *picture;
    int ret = next_frame(s, &frame);

    if (ret < 0)
        return ret;
    if (cuframes_frame_flags(frame) & (CUFRAMES_FRAME_GENERATION | CUFRAMES_FRAME_DISCONTINUITY))
        ret = update_channel(s);
    c->missed += cuframes_frame_missed(frame);
    c->deadline = ff_cuframes_deadline(c->timeout);
    if (ret < 0 || !(picture = av_frame_alloc())) {
        cuframes_frame_release(frame);
        return ret < 0 ? ret : AVERROR(ENOMEM);
    }
    if ((ret = make_picture(s, frame, picture)) < 0) {
        av_frame_free(&picture);
        return ret;
    }
    c->given++;
    if (c->info.fps_num > 0 && c->info.fps_den > 0)
        packet->duration = av_rescale(1000000000, c->info.fps_den, c->info.fps_num);
    return ff_cuframes_packet(packet, picture);
}

static int frames_device_list(AVFormatContext *s, AVDeviceInfoList *list)
{
    Frames *c = s->priv_data;

    return ff_cuframes_list(s, c->runtime_dir, 0, list);
}

#define OFFSET(field) offsetof(Frames, field)
#define FLAGS         (AV_OPT_FLAG_DECODING_PARAM | AV_OPT_FLAG_VIDEO_PARAM)
/* clang-format off */
static const AVOption frames_options[] = {
    {"mode", "which frames to read", OFFSET(mode), AV_OPT_TYPE_INT,
     {.i64 = CUFRAMES_MODE_STRICT_ORDER}, 0, 1, FLAGS, "mode"},
    {"order", "every frame", 0, AV_OPT_TYPE_CONST, {.i64 = CUFRAMES_MODE_STRICT_ORDER}, 0, 0,
     FLAGS, "mode"},
    {"newest", "the newest frame, leaving out what is older", 0, AV_OPT_TYPE_CONST,
     {.i64 = CUFRAMES_MODE_NEWEST_ONLY}, 0, 0, FLAGS, "mode"},
    {"reconnect", "wait for the next publisher when this one goes", OFFSET(reconnect),
     AV_OPT_TYPE_BOOL, {.i64 = 0}, 0, 1, FLAGS, NULL},
    {"timeout", "longest wait for a frame, below 0 = for ever", OFFSET(timeout),
     AV_OPT_TYPE_DURATION, {.i64 = -1}, INT64_MIN, INT64_MAX, FLAGS, NULL},
    {"open_timeout", "longest wait for the channel, 0 = it must be there, below 0 = for ever", OFFSET(open_timeout),
     AV_OPT_TYPE_DURATION, {.i64 = 0}, INT64_MIN, INT64_MAX, FLAGS, NULL},
    {"max_fps", "most frames a second, 0 = all", OFFSET(max_fps), AV_OPT_TYPE_DOUBLE, {.dbl = 0},
     0, 1000, FLAGS, NULL},
    {"every", "read every n-th frame", OFFSET(every), AV_OPT_TYPE_INT, {.i64 = 1}, 1, INT_MAX,
     FLAGS, NULL},
    {"holds", "frames to hold at once, 0 = as many as are granted, at most 4", OFFSET(max_holds),
     AV_OPT_TYPE_INT, {.i64 = 0}, 0, CUFRAMES_MAX_SLOTS, FLAGS, NULL},
    {"timeline", "where times begin", OFFSET(timeline), AV_OPT_TYPE_INT, {.i64 = TIMELINE_START},
     0, 1, FLAGS, "timeline"},
    {"start", "at zero, with the first frame", 0, AV_OPT_TYPE_CONST, {.i64 = TIMELINE_START}, 0, 0,
     FLAGS, "timeline"},
    {"channel", "as the channel has them", 0, AV_OPT_TYPE_CONST, {.i64 = TIMELINE_CHANNEL}, 0, 0,
     FLAGS, "timeline"},
    {"memory", "what shall read the frames", OFFSET(memory), AV_OPT_TYPE_INT,
     {.i64 = CUFRAMES_MEMORY_AUTO}, 0, 2, FLAGS, "memory"},
    {"auto", "where they are", 0, AV_OPT_TYPE_CONST, {.i64 = CUFRAMES_MEMORY_AUTO}, 0, 0, FLAGS,
     "memory"},
    {"host", "the CPU: frames in GPU memory are copied", 0, AV_OPT_TYPE_CONST,
     {.i64 = CUFRAMES_MEMORY_HOST}, 0, 0, FLAGS, "memory"},
    {"cuda", "a GPU: frames in host memory too", 0, AV_OPT_TYPE_CONST,
     {.i64 = CUFRAMES_MEMORY_CUDA}, 0, 0, FLAGS, "memory"},
    {"gpu", "the GPU that reads them: number or UUID; the one that has them if not said",
     OFFSET(gpu), AV_OPT_TYPE_STRING, {.str = NULL}, 0, 0, FLAGS, NULL},
    {"name", "name of this reader, as the publisher shows it", OFFSET(name), AV_OPT_TYPE_STRING,
     {.str = NULL}, 0, 0, FLAGS, NULL},
    {"runtime_dir", "where the channels are", OFFSET(runtime_dir), AV_OPT_TYPE_STRING,
     {.str = NULL}, 0, 0, FLAGS, NULL},
    {NULL},
};
/* clang-format on */

static const AVClass frames_class = {
    .class_name = "cuframes indev",
    .item_name = av_default_item_name,
    .option = frames_options,
    .version = LIBAVUTIL_VERSION_INT,
    .category = AV_CLASS_CATEGORY_DEVICE_VIDEO_INPUT,
};

extern const CuframesInputFormat ff_cuframes_demuxer;
const CuframesInputFormat ff_cuframes_demuxer = {
    .CUFRAMES_PUBLIC(name) = "cuframes",
    .CUFRAMES_PUBLIC(long_name) = "cuframes: shared decoded frames",
    .CUFRAMES_PUBLIC(flags) =
        AVFMT_NOFILE | AVFMT_TS_DISCONT | AVFMT_NOBINSEARCH | AVFMT_NOGENSEARCH,
    .CUFRAMES_PUBLIC(priv_class) = &frames_class,
    .priv_data_size = sizeof(Frames),
    .read_probe = frames_probe,
    .read_header = frames_read_header,
    .read_packet = frames_read_packet,
    .read_close = frames_close,
    .get_device_list = frames_device_list,
};
