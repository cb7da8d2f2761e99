/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Muxer "cuframes": publishes a channel. One stream of raw video (rawvideo or wrapped frames,
 * which is what FFmpeg makes when nothing is asked for) becomes its frames; all others, encoded or
 * copied from an input, become its packets.
 *
 * Each picture is copied once, from FFmpeg's memory into a slot: FFmpeg has decoded it before it
 * comes here. CUDA hardware frames are copied on their GPU; what they are is known with the first of
 * them, so that makes the channel. One thread at a time, as libavformat has it.
 */
#include <inttypes.h>

#include <libavcodec/avcodec.h>
#include <libavutil/hwcontext.h>
#include <libavutil/imgutils.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/time.h>

#include "cuframes_coded.h"
#include "cuframes_common.h"
#include "cuframes_cuda.h"

/* Pitches that encoders and textures of GPUs like. */
#define GPU_ALIGNMENT 256

typedef struct Channel {
    const AVClass *class;
    /* options */
    char *runtime_dir;
    int policy;
    int ack_timeout_ms;
    int slots;
    int wait_subscribers;
    int64_t keep; /* of packets, microseconds */
    int socket_mode;
    char *socket_group;
    /* state */
    char *key;
    int video;                           /* index of the stream that becomes frames, or -1 */
    int index[CUFRAMES_MAX_STREAMS + 1]; /* of each stream among those that become packets */
    int32_t coded_count;
    cuframes_stream_t coded[CUFRAMES_MAX_STREAMS];
    uint8_t extradata[CUFRAMES_MAX_STREAMS][CUFRAMES_MAX_EXTRADATA]; /* that changed since */
    cuframes_publisher_t *publisher;
    cuframes_publisher_config_t config; /* what the channel is now */
    cuframes_layout_t layout;           /* of the slots, for GPU memory */
    uint64_t published, dropped, packets, oversized, early;
} Channel;

static int is_raw(const AVStream *st)
{
    return st->codecpar->codec_id == AV_CODEC_ID_RAWVIDEO ||
           st->codecpar->codec_id == AV_CODEC_ID_WRAPPED_AVFRAME;
}

/* Which of FFmpeg's streams becomes what. */
static int sort_streams(AVFormatContext *s)
{
    Channel *c = s->priv_data;

    c->video = -1;
    c->coded_count = 0;
    if (s->nb_streams > CUFRAMES_MAX_STREAMS + 1) {
        av_log(s, AV_LOG_ERROR, "%u streams: a channel has frames and %d encoded streams.\n",
               s->nb_streams, CUFRAMES_MAX_STREAMS);
        return AVERROR(EINVAL);
    }
    for (unsigned i = 0; i < s->nb_streams; i++) {
        if (is_raw(s->streams[i]) && c->video >= 0) {
            av_log(s, AV_LOG_ERROR,
                   "Streams %d and %u are both raw video: a channel has one; make two outputs.\n",
                   c->video, i);
            return AVERROR(EINVAL);
        }
        if (is_raw(s->streams[i]))
            c->video = (int)i;
        else if (c->coded_count < CUFRAMES_MAX_STREAMS)
            c->index[i] = c->coded_count++;
        else
            return AVERROR(EINVAL);
    }
    return 0;
}

/* Says which formats there are: the conversion is the user's to ask for. */
static int refuse_format(AVFormatContext *s, enum AVPixelFormat pix_fmt)
{
    const char *name = av_get_pix_fmt_name(pix_fmt);
    char known[256] = "";

    for (int i = 0; i < CUFRAMES_FORMAT_COUNT; i++) {
        const char *one = av_get_pix_fmt_name(ff_cuframes_pix_fmt((cuframes_format_t)i));

        if (one)
            snprintf(known + strlen(known), sizeof(known) - strlen(known), " %s", one);
    }
    av_log(s, AV_LOG_ERROR,
           "Pixel format %s cannot be shared: convert with -pix_fmt to one of%s.\n",
           name ? name : "unknown", known);
    return AVERROR(EINVAL);
}

static int is_on_gpu(const AVFrame *picture)
{
    return picture->format == AV_PIX_FMT_CUDA && picture->hw_frames_ctx;
}

static enum AVPixelFormat format_of(const AVFrame *picture)
{
    return is_on_gpu(picture) ? ((AVHWFramesContext *)picture->hw_frames_ctx->data)->sw_format
                              : picture->format;
}

static int set_picture(AVFormatContext *s, cuframes_publisher_config_t *config,
                       const AVFrame *picture)
{
    Channel *c = s->priv_data;
    int full_range, err;

    if (ff_cuframes_format(format_of(picture), &config->format, &full_range) != CUFRAMES_OK)
        return refuse_format(s, format_of(picture));
    if (full_range)
        config->color.range = CUFRAMES_RANGE_FULL;
    config->width = picture->width;
    config->height = picture->height;
    config->memory = is_on_gpu(picture) ? CUFRAMES_MEMORY_CUDA : CUFRAMES_MEMORY_HOST;
    config->layout = NULL;
    if (config->memory == CUFRAMES_MEMORY_HOST)
        return 0;
    config->flags |= CUFRAMES_PUBLISHER_CURRENT_CONTEXT;
    config->layout = &c->layout;
    err = cuframes_layout_init(&c->layout, config->format, config->width, config->height,
                               GPU_ALIGNMENT);
    return err == CUFRAMES_OK ? 0 : ff_cuframes_fail(s, err, c->key);
}

static void configure_channel(const Channel *c, cuframes_publisher_config_t *config)
{
    *config = (cuframes_publisher_config_t){
        .key = c->key,
        .ring_size = c->slots,
        .policy = c->policy,
        .consumer_ack_timeout_ms = c->ack_timeout_ms,
        .socket_mode = (uint32_t)c->socket_mode,
        .socket_group = c->socket_group,
        .runtime_dir = c->runtime_dir,
    };
}

static void configure_frames(const AVStream *st, cuframes_publisher_config_t *config)
{
    const AVCodecParameters *par = st->codecpar;

    config->color = ff_cuframes_color_to(par->color_space, par->color_primaries, par->color_trc,
                                         par->color_range);
    if (st->avg_frame_rate.num > 0 && st->avg_frame_rate.den > 0) {
        config->fps_num = st->avg_frame_rate.num;
        config->fps_den = st->avg_frame_rate.den;
    }
    if (par->sample_aspect_ratio.num > 0 && par->sample_aspect_ratio.den > 0) {
        config->sar_num = par->sample_aspect_ratio.num;
        config->sar_den = par->sample_aspect_ratio.den;
    }
}

static int set_streams(AVFormatContext *s)
{
    Channel *c = s->priv_data;
    int err = cuframes_publisher_set_streams(c->publisher, c->coded, c->coded_count);

    return err == CUFRAMES_OK ? 0 : ff_cuframes_fail(s, err, c->key);
}

static int open_packets(AVFormatContext *s)
{
    Channel *c = s->priv_data;
    cuframes_packet_ring_options_t options = {.keep_ms = (uint32_t)(c->keep / 1000)};
    int err;

    for (unsigned i = 0; i < s->nb_streams; i++)
        if ((int)i != c->video)
            ff_cuframes_stream_to(s->streams[i], &c->coded[c->index[i]]);
    err = cuframes_publisher_enable_packets(c->publisher, &options);
    return err == CUFRAMES_OK ? set_streams(s) : ff_cuframes_fail(s, err, c->key);
}

static int wait_for_subscribers(AVFormatContext *s)
{
    Channel *c = s->priv_data;

    while (cuframes_publisher_subscribers(c->publisher, NULL, 0) < c->wait_subscribers) {
        if (ff_cuframes_interrupted(s))
            return AVERROR_EXIT;
        av_usleep(10000);
    }
    return 0;
}

static void channel_close(AVFormatContext *s)
{
    Channel *c = s->priv_data;

    cuframes_publisher_destroy(c->publisher);
    c->publisher = NULL;
    av_freep(&c->key);
}

/* Makes the channel, or a new generation of it; GPU memory in the context of the pictures. */
static int make(AVFormatContext *s, const cuframes_publisher_config_t *config,
                const AVFrame *picture)
{
    Channel *c = s->priv_data;
    int on_gpu = picture && is_on_gpu(picture), ret, err;

    if (on_gpu && (ret = ff_cuframes_enter(s, ff_cuframes_context_of(picture))) < 0)
        return ret;
    err = c->publisher ? cuframes_publisher_reconfigure(c->publisher, config)
                       : cuframes_publisher_create(config, &c->publisher);
    if (on_gpu)
        ff_cuframes_leave();
    return err == CUFRAMES_OK ? 0 : ff_cuframes_fail(s, err, c->key);
}

static int begin(AVFormatContext *s, const AVFrame *picture)
{
    Channel *c = s->priv_data;
    int ret = make(s, &c->config, picture);

    if (ret >= 0 && c->coded_count > 0)
        ret = open_packets(s);
    return ret < 0 ? ret : wait_for_subscribers(s);
}

static int channel_open(AVFormatContext *s)
{
    Channel *c = s->priv_data;
    AVFrame picture = {0};
    int ret;

    if ((ret = ff_cuframes_parse_url(s, c, "cuframes", &c->key)) < 0 || (ret = sort_streams(s)) < 0)
        return ret;
    configure_channel(c, &c->config);
    if (c->video < 0) {
        c->config.flags = CUFRAMES_PUBLISHER_PACKETS_ONLY;
        return begin(s, NULL);
    }
    configure_frames(s->streams[c->video], &c->config);
    picture.format = s->streams[c->video]->codecpar->format;
    picture.width = s->streams[c->video]->codecpar->width;
    picture.height = s->streams[c->video]->codecpar->height;
    if (picture.format == AV_PIX_FMT_CUDA)
        return 0;
    ret = set_picture(s, &c->config, &picture);
    return ret < 0 ? ret : begin(s, NULL);
}

/* The picture changes in mid-stream: the channel does too, and its readers follow. */
static int follow(AVFormatContext *s, const AVFrame *picture)
{
    Channel *c = s->priv_data;
    cuframes_publisher_config_t config = c->config;
    int ret = set_picture(s, &config, picture);

    if (ret < 0)
        return ret;
    if (c->publisher && config.format == c->config.format && config.width == c->config.width &&
        config.height == c->config.height && config.memory == c->config.memory)
        return 0;
    if (!c->publisher) {
        c->config = config;
        return begin(s, picture);
    }
    if ((ret = make(s, &config, picture)) >= 0)
        c->config = config;
    return ret;
}

/* A view of the picture in a packet; it owns nothing. */
static int view_packet(AVFormatContext *s, const AVPacket *packet, AVFrame *view)
{
    const AVCodecParameters *par = s->streams[packet->stream_index]->codecpar;
    int size;

    if (par->codec_id == AV_CODEC_ID_WRAPPED_AVFRAME) {
        const AVFrame *wrapped = (const AVFrame *)packet->data;

        if (packet->size < (int)sizeof(*wrapped) || !wrapped->data[0]) {
            av_log(s, AV_LOG_ERROR, "A wrapped frame without a picture.\n");
            return AVERROR_INVALIDDATA;
        }
        *view = *wrapped;
        return 0;
    }
    view->format = par->format;
    view->width = par->width;
    view->height = par->height;
    view->color_range = par->color_range;
    size = av_image_fill_arrays(view->data, view->linesize, packet->data, par->format, par->width,
                                par->height, 1);
    if (size < 0 || size > packet->size) {
        av_log(s, AV_LOG_ERROR, "A raw picture of %d bytes where %d are needed.\n", packet->size,
               size);
        return AVERROR_INVALIDDATA;
    }
    return 0;
}

static void nothing_to_free(void *opaque, uint8_t *data)
{
    (void)opaque, (void)data;
}

/* FFmpeg copies from one picture on a GPU to another, in the order of its stream. */
static int fill_on_gpu(cuframes_buffer_t *buffer, const Channel *c, const AVFrame *view)
{
    AVFrame *slot = av_frame_alloc();
    int ret = AVERROR(ENOMEM);

    if (!slot)
        return ret;
    slot->format = AV_PIX_FMT_CUDA;
    slot->width = view->width;
    slot->height = view->height;
    slot->hw_frames_ctx = av_buffer_ref(view->hw_frames_ctx);
    slot->buf[0] =
        av_buffer_create(cuframes_buffer_data(buffer), c->layout.size, nothing_to_free, NULL, 0);
    for (int32_t i = 0; i < cuframes_format_planes(c->config.format); i++) {
        uint32_t pitch;

        slot->data[i] = cuframes_buffer_plane(buffer, i, &pitch);
        slot->linesize[i] = (int)pitch;
    }
    if (slot->hw_frames_ctx && slot->buf[0])
        ret = av_hwframe_transfer_data(slot, view, 0);
    av_frame_free(&slot);
    return ret;
}

static void fill_on_host(cuframes_buffer_t *buffer, const Channel *c, const AVFrame *view)
{
    for (int32_t i = 0; i < cuframes_format_planes(c->config.format); i++) {
        uint32_t pitch, row_bytes, rows;
        uint8_t *plane = cuframes_buffer_plane(buffer, i, &pitch);

        if (plane && cuframes_format_plane_size(c->config.format, i, view->width, view->height,
                                                &row_bytes, &rows) == CUFRAMES_OK)
            av_image_copy_plane(plane, (int)pitch, view->data[i], view->linesize[i], (int)row_bytes,
                                (int)rows);
    }
}

static cuframes_frame_meta_t meta_of(const AVFormatContext *s, const AVPacket *packet,
                                     const AVFrame *view)
{
    cuframes_frame_meta_t meta = {.pts_ns = CUFRAMES_NO_TIME, .copies = 1};

    if (packet->pts != AV_NOPTS_VALUE)
        meta.pts_ns = av_rescale_q(packet->pts, s->streams[packet->stream_index]->time_base,
                                   CUFRAMES_NS_BASE);
    if (s->streams[packet->stream_index]->codecpar->codec_id == AV_CODEC_ID_WRAPPED_AVFRAME) {
        meta.color = ff_cuframes_color_to(view->colorspace, view->color_primaries, view->color_trc,
                                          view->color_range);
        if (cuframes_is_key(view))
            meta.flags |= CUFRAMES_FRAME_KEY;
        if (view->flags & AV_FRAME_FLAG_CORRUPT)
            meta.flags |= CUFRAMES_FRAME_CORRUPT;
    }
    return meta;
}

static int publish(AVFormatContext *s, const AVPacket *packet, const AVFrame *view)
{
    Channel *c = s->priv_data;
    cuframes_frame_meta_t meta = meta_of(s, packet, view);
    cuframes_buffer_t *buffer = NULL;
    void *stream = is_on_gpu(view) ? ff_cuframes_stream_of(view) : NULL;
    int err = cuframes_publisher_acquire_buffer(c->publisher, &buffer), ret = 0;

    if (err == CUFRAMES_ERR_WOULD_BLOCK) {
        c->dropped++; /* every slot is held; the channel counts it too */
        return 0;
    }
    if (err == CUFRAMES_OK && is_on_gpu(view))
        ret = fill_on_gpu(buffer, c, view);
    else if (err == CUFRAMES_OK)
        fill_on_host(buffer, c, view);
    if (err == CUFRAMES_OK && ret >= 0)
        err = cuframes_publisher_publish_buffer(c->publisher, buffer, stream, &meta, NULL);
    cuframes_buffer_unref(buffer);
    if (ret < 0)
        return ret;
    if (err != CUFRAMES_OK)
        return ff_cuframes_fail(s, err, c->key);
    c->published++;
    return 0;
}

/* An encoder or a demuxer has new parameters for a stream: so has the channel. */
static int follow_extradata(AVFormatContext *s, const AVPacket *packet, int index)
{
    Channel *c = s->priv_data;
    size_t size = 0;
    const uint8_t *data = av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, &size);

    if (!data || size > CUFRAMES_MAX_EXTRADATA ||
        (size == c->coded[index].extradata_size && !memcmp(data, c->coded[index].extradata, size)))
        return 0;
    memcpy(c->extradata[index], data, size);
    c->coded[index].extradata = c->extradata[index];
    c->coded[index].extradata_size = (uint32_t)size;
    return set_streams(s);
}

static int64_t in_ns(int64_t time, const AVStream *st)
{
    return time == AV_NOPTS_VALUE ? CUFRAMES_NO_TIME
                                  : av_rescale_q(time, st->time_base, CUFRAMES_NS_BASE);
}

static int send_packet(AVFormatContext *s, const AVPacket *packet)
{
    Channel *c = s->priv_data;
    const AVStream *st = s->streams[packet->stream_index];
    int index = c->index[packet->stream_index], ret, err;
    cuframes_packet_desc_t desc = {
        .data = packet->data,
        .size = (size_t)packet->size,
        .pts_ns = in_ns(packet->pts, st),
        .dts_ns = in_ns(packet->dts, st),
        .duration_ns = av_rescale_q(packet->duration, st->time_base, CUFRAMES_NS_BASE),
        .stream = (uint32_t)index,
    };

    if (packet->size == 0) /* side data alone */
        return 0;
    if (!c->publisher) { /* until the first picture of a GPU makes it */
        c->early++;
        return 0;
    }
    if (packet->flags & AV_PKT_FLAG_KEY)
        desc.flags |= CUFRAMES_PKT_FLAG_KEY;
    if (packet->flags & AV_PKT_FLAG_CORRUPT)
        desc.flags |= CUFRAMES_PKT_FLAG_CORRUPT;
    if ((ret = follow_extradata(s, packet, index)) < 0)
        return ret;
    err = cuframes_publisher_send_packet(c->publisher, &desc, NULL);
    if (err == CUFRAMES_ERR_PACKET_OVERSIZED) {
        if (c->oversized++ == 0)
            av_log(s, AV_LOG_WARNING, "%s: %s\n", c->key, cuframes_last_error());
        return 0;
    }
    if (err != CUFRAMES_OK)
        return ff_cuframes_fail(s, err, c->key);
    c->packets++;
    return 0;
}

static int channel_write_header(AVFormatContext *s)
{
    int ret = channel_open(s);

    if (ret < 0)
        channel_close(s);
    return ret;
}

static int channel_write_packet(AVFormatContext *s, AVPacket *packet)
{
    Channel *c = s->priv_data;
    AVFrame view = {0};
    int ret;

    if (packet->stream_index != c->video)
        return send_packet(s, packet);
    ret = view_packet(s, packet, &view);
    if (ret >= 0)
        ret = follow(s, &view);
    return ret < 0 ? ret : publish(s, packet, &view);
}

static int channel_write_trailer(AVFormatContext *s)
{
    Channel *c = s->priv_data;

    if (c->early)
        av_log(s, AV_LOG_WARNING,
               "%s: %" PRIu64 " packets came before the first picture and were left out.\n", c->key,
               c->early);
    av_log(s, c->dropped || c->oversized ? AV_LOG_WARNING : AV_LOG_VERBOSE,
           "%s: %" PRIu64 " frames published, %" PRIu64 " dropped; %" PRIu64
           " packets published, %" PRIu64 " too large.\n",
           c->key, c->published, c->dropped, c->packets, c->oversized);
    return 0;
}

/* Nothing is gained by holding frames of one stream back for those of another. */
static int channel_interleave(AVFormatContext *s, AVPacket *packet, int flush, int has_packet)
{
    (void)s, (void)packet, (void)flush;
    return has_packet;
}

#define OFFSET(field) offsetof(Channel, field)
#define FLAGS         AV_OPT_FLAG_ENCODING_PARAM
/* clang-format off */
static const AVOption channel_options[] = {
    {"policy", "what to do when readers are slow", OFFSET(policy), AV_OPT_TYPE_INT,
     {.i64 = CUFRAMES_POLICY_DROP_OLDEST}, 0, 1, FLAGS, "policy"},
    {"drop", "go on without them", 0, AV_OPT_TYPE_CONST, {.i64 = CUFRAMES_POLICY_DROP_OLDEST}, 0,
     0, FLAGS, "policy"},
    {"wait", "wait for those that read in order", 0, AV_OPT_TYPE_CONST,
     {.i64 = CUFRAMES_POLICY_STRICT_WAIT}, 0, 0, FLAGS, "policy"},
    {"ack_timeout", "longest wait for a reader in milliseconds, 0 = 200, below 0 = for ever",
     OFFSET(ack_timeout_ms), AV_OPT_TYPE_INT, {.i64 = 0}, INT_MIN, INT_MAX, FLAGS, NULL},
    {"slots", "frames that the channel has room for, 0 = 8", OFFSET(slots), AV_OPT_TYPE_INT,
     {.i64 = 0}, 0, CUFRAMES_MAX_SLOTS, FLAGS, NULL},
    {"wait_subscribers", "begin when so many readers are there", OFFSET(wait_subscribers),
     AV_OPT_TYPE_INT, {.i64 = 0}, 0, CUFRAMES_MAX_SUBSCRIBERS, FLAGS, NULL},
    {"keep", "how much of the encoded streams to keep for those who come late", OFFSET(keep),
     AV_OPT_TYPE_DURATION, {.i64 = 5000000}, 0, INT64_C(3600000000), FLAGS, NULL},
    {"socket_mode", "permission bits of the channel's socket, 0 = 0600", OFFSET(socket_mode),
     AV_OPT_TYPE_INT, {.i64 = 0}, 0, 0777, FLAGS, NULL},
    {"socket_group", "group of the channel's socket", OFFSET(socket_group), AV_OPT_TYPE_STRING,
     {.str = NULL}, 0, 0, FLAGS, NULL},
    {"runtime_dir", "where the channels are", OFFSET(runtime_dir), AV_OPT_TYPE_STRING,
     {.str = NULL}, 0, 0, FLAGS, NULL},
    {NULL},
};
/* clang-format on */

static const AVClass channel_class = {
    .class_name = "cuframes outdev",
    .item_name = av_default_item_name,
    .option = channel_options,
    .version = LIBAVUTIL_VERSION_INT,
    .category = AV_CLASS_CATEGORY_DEVICE_VIDEO_OUTPUT,
};

extern const CuframesOutputFormat ff_cuframes_muxer;
const CuframesOutputFormat ff_cuframes_muxer = {
    .CUFRAMES_PUBLIC(name) = "cuframes",
    .CUFRAMES_PUBLIC(long_name) = "cuframes: share frames and encoded streams",
    .CUFRAMES_PUBLIC(video_codec) = AV_CODEC_ID_WRAPPED_AVFRAME,
    .CUFRAMES_PUBLIC(audio_codec) = AV_CODEC_ID_NONE,
    .CUFRAMES_PUBLIC(flags) = AVFMT_NOFILE | AVFMT_VARIABLE_FPS | AVFMT_TS_NONSTRICT |
                              AVFMT_TS_NEGATIVE | AVFMT_GLOBALHEADER,
    .CUFRAMES_PUBLIC(priv_class) = &channel_class,
    .priv_data_size = sizeof(Channel),
    .write_header = channel_write_header,
    .write_packet = channel_write_packet,
    .write_trailer = channel_write_trailer,
    .interleave_packet = channel_interleave,
    .deinit = channel_close,
};
