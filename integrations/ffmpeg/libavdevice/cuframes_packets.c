/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Demuxer "cuframes_packets": the encoded streams of a channel as its source delivered them, from
 * a key frame on. It reads no frames.
 *
 * One thread at a time, as libavformat has it. A packet's memory is the one that the library
 * copied it to, and lives until FFmpeg lets the packet go.
 */
#include <inttypes.h>

#include <libavcodec/avcodec.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/time.h>

#include "cuframes_coded.h"
#include "cuframes_common.h"

/* A channel whose streams are not described yet: how long to wait when nothing is said. */
#define DESCRIBED_US 5000000
/* A channel that is being made: how long its packets may take, and when to look again. */
#define MADE_US  500000
#define AGAIN_US 10000

enum Start { START_NEWEST, START_OLDEST };

typedef struct Packets {
    const AVClass *class;
    /* options */
    char *runtime_dir;
    char *name;
    int reconnect;
    int64_t timeout; /* microseconds, below 0 = none */
    int64_t open_timeout;
    int start;
    int64_t pre_roll;
    /* state */
    char *key;
    cuframes_subscriber_t *subscriber;
    cuframes_packet_t *first;          /* taken while opening */
    int64_t deadline;                  /* of the next packet */
    int renewed[CUFRAMES_MAX_STREAMS]; /* the stream's next packet brings its new extradata */
    uint8_t
        *told[CUFRAMES_MAX_STREAMS]; /* extradata told last in a packet; NULL: as at the start */
    size_t told_size[CUFRAMES_MAX_STREAMS];
    uint64_t given, lost;
    int strangers; /* packets of streams that were not there at the beginning */
} Packets;

static int packets_probe(const AVProbeData *probe)
{
    return probe->filename && !strncmp(probe->filename, "cuframes_packets://", 19)
               ? AVPROBE_SCORE_MAX
               : 0;
}

/* A publisher makes the channel first, and the packets of it a moment later. */
static int begin(AVFormatContext *s, const cuframes_packet_options_t *options, int64_t deadline)
{
    Packets *c = s->priv_data;
    int64_t soon = ff_cuframes_deadline(MADE_US);
    int err;

    for (;;) {
        err = cuframes_subscriber_enable_packets_from(c->subscriber, options);
        if (err == CUFRAMES_OK)
            return 0;
        if (err != CUFRAMES_ERR_NOT_FOUND || av_gettime_relative() > FFMAX(deadline, soon))
            return ff_cuframes_fail(s, err, s->url);
        if (ff_cuframes_interrupted(s))
            return AVERROR_EXIT;
        av_usleep(AGAIN_US);
    }
}

static int attach(AVFormatContext *s, int64_t deadline)
{
    Packets *c = s->priv_data;
    cuframes_subscriber_config_t config = {
        .key = c->key,
        .consumer_name = c->name,
        .flags =
            CUFRAMES_SUBSCRIBER_PACKETS_ONLY | (c->reconnect ? CUFRAMES_SUBSCRIBER_RECONNECT : 0),
        .runtime_dir = c->runtime_dir,
    };
    cuframes_packet_options_t options = {
        .start = c->start == START_OLDEST ? CUFRAMES_PACKETS_FROM_OLDEST_KEY
                                          : CUFRAMES_PACKETS_FROM_NEWEST_KEY,
    };
    int ret = ff_cuframes_attach(s, &config, c->open_timeout, deadline, &c->subscriber);

    if (ret < 0)
        return ret;
    if (c->pre_roll > 0) {
        options.start = CUFRAMES_PACKETS_FROM_PRE_ROLL;
        options.pre_roll_ms = (uint32_t)(c->pre_roll / 1000);
    }
    return begin(s, &options, c->open_timeout == 0 ? 0 : deadline);
}

/* One wait for a packet; 0 with `packet` NULL means that there was none. */
static int try_packet(AVFormatContext *s, cuframes_packet_t **packet, int32_t timeout_ms)
{
    Packets *c = s->priv_data;
    int err = cuframes_subscriber_next_packet(c->subscriber, packet, timeout_ms);

    switch (err) {
    case CUFRAMES_OK:
    case CUFRAMES_ERR_TIMEOUT:
    case CUFRAMES_ERR_WOULD_BLOCK:
        return 0;
    case CUFRAMES_ERR_PACKET_OVERRUN:
        av_log(s, AV_LOG_WARNING, "%s: %s\n", s->url, cuframes_last_error());
        return 0;
    case CUFRAMES_ERR_DISCONNECTED:
        return ff_cuframes_end(s, c->runtime_dir, c->key);
    case CUFRAMES_ERR_EVICTED:
        if (c->reconnect) {
            av_log(s, AV_LOG_WARNING, "%s: %s\n", s->url, cuframes_last_error());
            return 0;
        }
    }
    return ff_cuframes_fail(s, err, s->url);
}

/* Waits until the publisher has said what its streams are, which it may do after the channel came. */
static int wait_for_streams(AVFormatContext *s, int64_t deadline)
{
    Packets *c = s->priv_data;
    int ret;

    if (c->open_timeout == 0)
        deadline = ff_cuframes_deadline(c->timeout > 0 ? c->timeout : DESCRIBED_US);
    ret = try_packet(s, &c->first, 0);
    while (ret == 0 && !c->first && cuframes_subscriber_stream_count(c->subscriber) <= 0) {
        ret = try_packet(s, &c->first, ff_cuframes_slice(deadline));
        if (ret == 0 && !c->first)
            ret = ff_cuframes_wait_again(s, deadline, "description of the streams");
        if (ret == AVERROR(EAGAIN))
            ret = 0;
    }
    return ret;
}

static int add_streams(AVFormatContext *s)
{
    Packets *c = s->priv_data;
    int32_t count = cuframes_subscriber_stream_count(c->subscriber);

    if (count < 0)
        return ff_cuframes_fail(s, count, s->url);
    for (int32_t i = 0; i < count; i++) {
        cuframes_stream_t stream;
        AVStream *st;
        int ret, err = cuframes_subscriber_stream(c->subscriber, i, &stream);

        if (err != CUFRAMES_OK)
            return ff_cuframes_fail(s, err, s->url);
        if (!(st = avformat_new_stream(s, NULL)))
            return AVERROR(ENOMEM);
        if ((ret = ff_cuframes_stream_from(&stream, st)) < 0)
            return ret;
    }
    /* Rates and formats that are not known here are FFmpeg's to find out from packets. */
    s->max_ts_probe = 0;
    s->ctx_flags |= AVFMTCTX_UNSEEKABLE;
    return 0;
}

static int64_t in_base(int64_t ns, const AVStream *st)
{
    return ns == CUFRAMES_NO_TIME ? AV_NOPTS_VALUE
                                  : av_rescale_q(ns, CUFRAMES_NS_BASE, st->time_base);
}

static void note_start(AVFormatContext *s)
{
    Packets *c = s->priv_data;
    AVStream *st;
    int64_t capture;

    if (!c->first || cuframes_packet_stream(c->first) >= s->nb_streams)
        return;
    st = s->streams[cuframes_packet_stream(c->first)];
    st->start_time = in_base(cuframes_packet_pts(c->first), st);
    capture = cuframes_packet_capture_ns(c->first, NULL);
    if (capture != CUFRAMES_NO_TIME && st->start_time != AV_NOPTS_VALUE)
        s->start_time_realtime = (capture - cuframes_packet_pts(c->first)) / 1000;
}

static int packets_close(AVFormatContext *s)
{
    Packets *c = s->priv_data;

    if (c->given)
        av_log(s, c->lost ? AV_LOG_WARNING : AV_LOG_VERBOSE,
               "%s: %" PRIu64 " packets; %" PRIu64 " lost.\n", s->url, c->given, c->lost);
    cuframes_subscriber_release_packet(NULL, c->first);
    c->first = NULL;
    cuframes_subscriber_destroy(c->subscriber);
    c->subscriber = NULL;
    av_freep(&c->key);
    for (int i = 0; i < CUFRAMES_MAX_STREAMS; i++)
        av_freep(&c->told[i]);
    return 0;
}

static int packets_open(AVFormatContext *s)
{
    Packets *c = s->priv_data;
    int64_t deadline;
    int ret;

    if ((ret = ff_cuframes_parse_url(s, c, "cuframes_packets", &c->key)) < 0)
        return ret;
    deadline = ff_cuframes_open_deadline(c->open_timeout, c->timeout);
    if ((ret = attach(s, deadline)) < 0 || (ret = wait_for_streams(s, deadline)) < 0 ||
        (ret = add_streams(s)) < 0)
        return ret;
    note_start(s);
    c->deadline = ff_cuframes_deadline(c->timeout);
    return 0;
}

static int packets_read_header(AVFormatContext *s)
{
    int ret = packets_open(s);

    /* libavformat does not call read_close() for what was not opened. */
    if (ret < 0)
        packets_close(s);
    return ret;
}

/* The same codec goes on with other parameters, which its next packet brings; another cannot. */
static int follow_generation(AVFormatContext *s)
{
    Packets *c = s->priv_data;

    for (unsigned i = 0; i < s->nb_streams; i++) {
        AVCodecParameters *par = s->streams[i]->codecpar;
        cuframes_stream_t stream;

        if (cuframes_subscriber_stream(c->subscriber, (int32_t)i, &stream) != CUFRAMES_OK ||
            ff_cuframes_codec(&stream) != par->codec_id) {
            av_log(s, AV_LOG_ERROR,
                   "%s: stream %u is %s no longer, which FFmpeg cannot follow; open it again.\n",
                   s->url, i, avcodec_get_name(par->codec_id));
            return AVERROR_INPUT_CHANGED;
        }
        c->renewed[i] = 1;
    }
    return 0;
}

static int next_packet(AVFormatContext *s, cuframes_packet_t **packet)
{
    Packets *c = s->priv_data;
    int ret = 0;

    *packet = c->first;
    c->first = NULL;
    while (!*packet && ret == 0) {
        ret = try_packet(s, packet, ff_cuframes_slice(c->deadline));
        if (!*packet && ret == 0)
            ret = ff_cuframes_wait_again(s, c->deadline, "packet");
    }
    if (ret < 0)
        return ret;
    c->deadline = ff_cuframes_deadline(c->timeout);
    c->lost += cuframes_packet_lost(*packet);
    /* The first packet of all has this flag too: its streams are those that were read. */
    if ((cuframes_packet_flags(*packet) & CUFRAMES_PKT_FLAG_GENERATION) && c->given)
        ret = follow_generation(s);
    if (ret < 0)
        cuframes_subscriber_release_packet(NULL, *packet);
    return ret;
}

static int is_wanted(AVFormatContext *s, const cuframes_packet_t *packet)
{
    Packets *c = s->priv_data;
    uint32_t index = cuframes_packet_stream(packet);

    if (index < s->nb_streams)
        return s->streams[index]->discard < AVDISCARD_ALL;
    if (c->strangers++ == 0)
        av_log(s, AV_LOG_WARNING,
               "%s: leaving out stream %u, which was not there when this began.\n", s->url, index);
    return 0;
}

static void release_packet(void *opaque, uint8_t *data)
{
    (void)data;
    cuframes_subscriber_release_packet(NULL, opaque);
}

/* Whether a stream's extradata is what was told of it last. A publisher that comes back begins a new
 * generation, most often with the same. */
static int is_told(const AVFormatContext *s, int index, const cuframes_stream_t *stream)
{
    const Packets *c = s->priv_data;
    const AVCodecParameters *par = s->streams[index]->codecpar;
    const uint8_t *told = c->told[index] ? c->told[index] : par->extradata;
    size_t size = c->told[index] ? c->told_size[index] : (size_t)par->extradata_size;

    return size == stream->extradata_size && (size == 0 || !memcmp(told, stream->extradata, size));
}

static int add_extradata(AVFormatContext *s, AVPacket *out)
{
    Packets *c = s->priv_data;
    cuframes_stream_t stream;
    uint8_t *data;

    if (!c->renewed[out->stream_index])
        return 0;
    c->renewed[out->stream_index] = 0;
    if (cuframes_subscriber_stream(c->subscriber, out->stream_index, &stream) != CUFRAMES_OK ||
        !stream.extradata_size || is_told(s, out->stream_index, &stream))
        return 0;
    av_freep(&c->told[out->stream_index]);
    c->told[out->stream_index] = av_memdup(stream.extradata, stream.extradata_size);
    c->told_size[out->stream_index] = stream.extradata_size;
    if (!c->told[out->stream_index])
        return AVERROR(ENOMEM);
    data = av_packet_new_side_data(out, AV_PKT_DATA_NEW_EXTRADATA, stream.extradata_size);
    if (!data)
        return AVERROR(ENOMEM);
    memcpy(data, stream.extradata, stream.extradata_size);
    return 0;
}

/* The time at which it was taken, for muxers that write such times. */
static int add_capture_time(const cuframes_packet_t *packet, AVPacket *out)
{
    int64_t capture = cuframes_packet_capture_ns(packet, NULL);
    AVProducerReferenceTime *reference;

    if (capture == CUFRAMES_NO_TIME)
        return 0;
    reference = (AVProducerReferenceTime *)av_packet_new_side_data(out, AV_PKT_DATA_PRFT,
                                                                   sizeof(*reference));
    if (!reference)
        return AVERROR(ENOMEM);
    *reference = (AVProducerReferenceTime){.wallclock = capture / 1000};
    return 0;
}

/* Consumes `packet`, also on failure. */
static int wrap_packet(AVFormatContext *s, cuframes_packet_t *packet, AVPacket *out)
{
    size_t size = cuframes_packet_size(packet);
    const AVStream *st = s->streams[cuframes_packet_stream(packet)];
    uint32_t flags = cuframes_packet_flags(packet);
    int ret;

    /* The library has the zeroes that decoders want behind the data. */
    out->buf = av_buffer_create((uint8_t *)cuframes_packet_data(packet),
                                size + AV_INPUT_BUFFER_PADDING_SIZE, release_packet, packet,
                                AV_BUFFER_FLAG_READONLY);
    if (!out->buf) {
        cuframes_subscriber_release_packet(NULL, packet);
        return AVERROR(ENOMEM);
    }
    out->data = out->buf->data;
    out->size = (int)size;
    out->stream_index = st->index;
    out->pts = in_base(cuframes_packet_pts(packet), st);
    out->dts = in_base(cuframes_packet_dts(packet), st);
    out->duration = av_rescale_q(cuframes_packet_duration(packet), CUFRAMES_NS_BASE, st->time_base);
    if (flags & CUFRAMES_PKT_FLAG_KEY)
        out->flags |= AV_PKT_FLAG_KEY;
    if (flags & CUFRAMES_PKT_FLAG_CORRUPT)
        out->flags |= AV_PKT_FLAG_CORRUPT;
    if ((ret = add_extradata(s, out)) < 0 || (ret = add_capture_time(packet, out)) < 0)
        av_packet_unref(out);
    return ret;
}

static int packets_read_packet(AVFormatContext *s, AVPacket *out)
{
    Packets *c = s->priv_data;
    cuframes_packet_t *packet = NULL;
    int ret;

    while ((ret = next_packet(s, &packet)) >= 0 && !is_wanted(s, packet))
        cuframes_subscriber_release_packet(NULL, packet);
    if (ret < 0 || (ret = wrap_packet(s, packet, out)) < 0)
        return ret;
    c->given++;
    return 0;
}

static int packets_device_list(AVFormatContext *s, AVDeviceInfoList *list)
{
    Packets *c = s->priv_data;

    return ff_cuframes_list(s, c->runtime_dir, 1, list);
}

#define OFFSET(field) offsetof(Packets, field)
#define FLAGS         AV_OPT_FLAG_DECODING_PARAM
/* clang-format off */
static const AVOption packets_options[] = {
    {"start", "which key frame to begin with", OFFSET(start), AV_OPT_TYPE_INT,
     {.i64 = START_NEWEST}, 0, 1, FLAGS, "start"},
    {"newest", "the newest: nothing old", 0, AV_OPT_TYPE_CONST, {.i64 = START_NEWEST}, 0, 0, FLAGS,
     "start"},
    {"oldest", "the oldest that the channel keeps", 0, AV_OPT_TYPE_CONST, {.i64 = START_OLDEST}, 0,
     0, FLAGS, "start"},
    {"pre_roll", "begin with a key frame that is at least so old", OFFSET(pre_roll),
     AV_OPT_TYPE_DURATION, {.i64 = 0}, 0, INT64_C(3600000000), FLAGS, NULL},
    {"reconnect", "wait for the next publisher when this one goes", OFFSET(reconnect),
     AV_OPT_TYPE_BOOL, {.i64 = 0}, 0, 1, FLAGS, NULL},
    {"timeout", "longest wait for a packet, below 0 = for ever", OFFSET(timeout),
     AV_OPT_TYPE_DURATION, {.i64 = -1}, INT64_MIN, INT64_MAX, FLAGS, NULL},
    {"open_timeout", "longest wait for the channel, 0 = it must be there, below 0 = for ever", OFFSET(open_timeout),
     AV_OPT_TYPE_DURATION, {.i64 = 0}, INT64_MIN, INT64_MAX, FLAGS, NULL},
    {"name", "name of this reader, as the publisher shows it", OFFSET(name), AV_OPT_TYPE_STRING,
     {.str = NULL}, 0, 0, FLAGS, NULL},
    {"runtime_dir", "where the channels are", OFFSET(runtime_dir), AV_OPT_TYPE_STRING,
     {.str = NULL}, 0, 0, FLAGS, NULL},
    {NULL},
};
/* clang-format on */

static const AVClass packets_class = {
    .class_name = "cuframes_packets indev",
    .item_name = av_default_item_name,
    .option = packets_options,
    .version = LIBAVUTIL_VERSION_INT,
    .category = AV_CLASS_CATEGORY_DEVICE_VIDEO_INPUT,
};

extern const CuframesInputFormat ff_cuframes_packets_demuxer;
const CuframesInputFormat ff_cuframes_packets_demuxer = {
    .CUFRAMES_PUBLIC(name) = "cuframes_packets",
    .CUFRAMES_PUBLIC(long_name) = "cuframes: shared encoded streams",
    .CUFRAMES_PUBLIC(flags) =
        AVFMT_NOFILE | AVFMT_TS_DISCONT | AVFMT_NOBINSEARCH | AVFMT_NOGENSEARCH,
    .CUFRAMES_PUBLIC(priv_class) = &packets_class,
    .priv_data_size = sizeof(Packets),
    .read_probe = packets_probe,
    .read_header = packets_read_header,
    .read_packet = packets_read_packet,
    .read_close = packets_close,
    .get_device_list = packets_device_list,
};
