/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See cuframes_common.h. No state of its own; any thread. */
#include "cuframes_common.h"

#include <libavutil/avstring.h>
#include <libavutil/mem.h>
#include <libavutil/opt.h>
#include <libavutil/time.h>

/* Milliseconds that one wait lasts before the application is asked whether it wants to stop. */
#define SLICE_MS 100
/* An answer may take longer, for the publisher may be busy: who asks what a channel is waits twice
 * as long each time, up to this. */
#define ANSWER_SLICE_MS 1000
/* For an answer when nothing is said. */
#define ANSWER_US 1000000
/* Looking for a channel that is not there yet. */
#define LOOK_AGAIN_US 20000
/* For each channel that is listed. */
#define QUERY_MS 300

static int set_option(AVFormatContext *s, void *priv, char *pair)
{
    char *value = strchr(pair, '=');
    int ret;

    if (!value) {
        av_log(s, AV_LOG_ERROR, "\"%s\" in the URL is not option=value.\n", pair);
        return AVERROR(EINVAL);
    }
    *value++ = '\0';
    if ((ret = av_opt_set(priv, pair, value, 0)) < 0)
        av_log(s, AV_LOG_ERROR, "Option \"%s\" in the URL cannot be set to \"%s\".\n", pair, value);
    return ret;
}

static int set_options(AVFormatContext *s, void *priv, char *query)
{
    char *saved = NULL, *pair;
    int ret;

    for (pair = av_strtok(query, "&", &saved); pair; pair = av_strtok(NULL, "&", &saved))
        if ((ret = set_option(s, priv, pair)) < 0)
            return ret;
    return 0;
}

int ff_cuframes_parse_url(AVFormatContext *s, void *priv, const char *scheme, char **key)
{
    size_t length = strlen(scheme);
    const char *url = s->url;
    char *copy, *query;
    int ret = 0;

    if (!strncmp(url, scheme, length) && !strncmp(url + length, "://", 3))
        url += length + 3;
    if (!(copy = av_strdup(url)))
        return AVERROR(ENOMEM);
    if ((query = strchr(copy, '?'))) {
        *query++ = '\0';
        ret = set_options(s, priv, query);
    }
    if (ret >= 0 && cuframes_check_key(copy) != CUFRAMES_OK)
        ret = ff_cuframes_fail(s, CUFRAMES_ERR_INVALID_ARG, s->url);
    if (ret < 0)
        av_free(copy);
    else
        *key = copy;
    return ret;
}

int ff_cuframes_averror(int err)
{
    switch (err) {
    case CUFRAMES_OK:
        return 0;
    case CUFRAMES_ERR_INVALID_ARG:
    case CUFRAMES_ERR_FORMAT:
        return AVERROR(EINVAL);
    case CUFRAMES_ERR_OUT_OF_MEMORY:
        return AVERROR(ENOMEM);
    case CUFRAMES_ERR_CUDA:
        return AVERROR_EXTERNAL;
    case CUFRAMES_ERR_PROTOCOL:
        return AVERROR(EPROTO);
    case CUFRAMES_ERR_NOT_FOUND:
        return AVERROR(ENOENT);
    case CUFRAMES_ERR_TIMEOUT:
        return AVERROR(ETIMEDOUT);
    case CUFRAMES_ERR_ALREADY_EXISTS:
        return AVERROR(EEXIST);
    case CUFRAMES_ERR_DISCONNECTED:
        return AVERROR(ECONNRESET);
    case CUFRAMES_ERR_WOULD_BLOCK:
        return AVERROR(EAGAIN);
    case CUFRAMES_ERR_TOO_MANY:
        return AVERROR(EBUSY);
    case CUFRAMES_ERR_EVICTED:
        return AVERROR(ECONNABORTED);
    case CUFRAMES_ERR_PERMISSION:
        return AVERROR(EACCES);
    default:
        return AVERROR(EIO);
    }
}

int ff_cuframes_fail(void *log, int err, const char *what)
{
    av_log(log, AV_LOG_ERROR, "%s: %s\n", what, cuframes_last_error());
    return ff_cuframes_averror(err);
}

int ff_cuframes_interrupted(AVFormatContext *s)
{
    AVIOInterruptCB *cb = &s->interrupt_callback;

    return cb->callback && cb->callback(cb->opaque);
}

int64_t ff_cuframes_deadline(int64_t duration)
{
    int64_t now = av_gettime_relative();

    return duration < 0 || duration > INT64_MAX - now ? INT64_MAX : now + duration;
}

static int32_t slice_of(int64_t deadline, int32_t longest)
{
    int64_t left = (deadline - av_gettime_relative()) / 1000;

    return (int32_t)FFMAX(FFMIN(left, longest), 1);
}

int32_t ff_cuframes_slice(int64_t deadline)
{
    return slice_of(deadline, SLICE_MS);
}

int ff_cuframes_wait_again(AVFormatContext *s, int64_t deadline, const char *what)
{
    if (ff_cuframes_interrupted(s))
        return AVERROR_EXIT;
    if (av_gettime_relative() < deadline)
        return s->flags & AVFMT_FLAG_NONBLOCK ? AVERROR(EAGAIN) : 0;
    av_log(s, AV_LOG_ERROR, "%s: no %s within the timeout.\n", s->url, what);
    return AVERROR(ETIMEDOUT);
}

int64_t ff_cuframes_open_deadline(int64_t open_timeout, int64_t timeout)
{
    if (open_timeout != 0)
        return ff_cuframes_deadline(open_timeout);
    return ff_cuframes_deadline(timeout > 0 ? FFMIN(timeout, ANSWER_US) : ANSWER_US);
}

int ff_cuframes_look(AVFormatContext *s, const char *runtime_dir, const char *key, int may_come,
                     int64_t deadline, cuframes_channel_report_t **report)
{
    int32_t slice_ms = SLICE_MS;

    for (;;) {
        int err = cuframes_query(runtime_dir, key, slice_of(deadline, slice_ms), report);

        if (err == CUFRAMES_OK)
            return 0;
        if (ff_cuframes_interrupted(s))
            return AVERROR_EXIT;
        if ((err != CUFRAMES_ERR_TIMEOUT && (err != CUFRAMES_ERR_NOT_FOUND || !may_come)) ||
            av_gettime_relative() >= deadline)
            return ff_cuframes_fail(s, err, s->url);
        if (err == CUFRAMES_ERR_TIMEOUT)
            slice_ms = FFMIN(2 * slice_ms, ANSWER_SLICE_MS);
        else
            av_usleep(LOOK_AGAIN_US);
    }
}

static int wants_to_stop(void *opaque)
{
    return ff_cuframes_interrupted(opaque);
}

int ff_cuframes_attach(AVFormatContext *s, cuframes_subscriber_config_t *config,
                       int64_t open_timeout, int64_t deadline, cuframes_subscriber_t **subscriber)
{
    int32_t left_ms = deadline == INT64_MAX ? -1 : slice_of(deadline, INT32_MAX);
    const cuframes_connect_options_t connect = {
        .stop = wants_to_stop,
        .user = s,
        .answer_timeout_ms = open_timeout == 0 ? left_ms : 0,
    };
    int err;

    config->connect = &connect;
    config->connect_timeout_ms = open_timeout == 0 ? 0 : left_ms;
    err = cuframes_subscriber_create(config, subscriber);
    config->connect = NULL;
    if (err == CUFRAMES_OK)
        return 0;
    return ff_cuframes_interrupted(s) ? AVERROR_EXIT : ff_cuframes_fail(s, err, s->url);
}

static int is_listed(const char *runtime_dir, const char *key)
{
    cuframes_key_list_t *list = NULL;
    int found = 0;

    if (cuframes_list(runtime_dir, &list) != CUFRAMES_OK)
        return 0;
    for (uint32_t i = 0; i < list->count; i++)
        found |= !strcmp(list->keys[i], key);
    cuframes_key_list_free(list);
    return found;
}

int ff_cuframes_end(AVFormatContext *s, const char *runtime_dir, const char *key)
{
    cuframes_channel_report_t *report = NULL;
    int err = cuframes_query(runtime_dir, key, QUERY_MS, &report);

    cuframes_channel_report_free(report);
    /* Who closes a channel removes its name; the name of who died stays. */
    if (err == CUFRAMES_ERR_NOT_FOUND && is_listed(runtime_dir, key)) {
        av_log(s, AV_LOG_ERROR, "%s: the publisher died.\n", s->url);
        return AVERROR(ECONNRESET);
    }
    av_log(s, AV_LOG_VERBOSE, "%s: the publisher closed the channel.\n", s->url);
    return AVERROR_EOF;
}

static const struct {
    cuframes_format_t format;
    enum AVPixelFormat pix_fmt;
    int full_range;
} formats[] = {
    {CUFRAMES_FORMAT_NV12, AV_PIX_FMT_NV12, 0},
    {CUFRAMES_FORMAT_YUV420P, AV_PIX_FMT_YUV420P, 0},
    {CUFRAMES_FORMAT_YUV420P, AV_PIX_FMT_YUVJ420P, 1},
    {CUFRAMES_FORMAT_RGB, AV_PIX_FMT_RGB24, 0},
    {CUFRAMES_FORMAT_BGR, AV_PIX_FMT_BGR24, 0},
    {CUFRAMES_FORMAT_RGBA, AV_PIX_FMT_RGBA, 0},
    {CUFRAMES_FORMAT_GRAYSCALE, AV_PIX_FMT_GRAY8, 0},
    {CUFRAMES_FORMAT_P010, AV_PIX_FMT_P010LE, 0},
    {CUFRAMES_FORMAT_YUV444P, AV_PIX_FMT_YUV444P, 0},
    {CUFRAMES_FORMAT_YUV444P, AV_PIX_FMT_YUVJ444P, 1},
    {CUFRAMES_FORMAT_BGRA, AV_PIX_FMT_BGRA, 0},
    {CUFRAMES_FORMAT_GRAY16, AV_PIX_FMT_GRAY16LE, 0},
};

enum AVPixelFormat ff_cuframes_pix_fmt(cuframes_format_t format)
{
    for (size_t i = 0; i < FF_ARRAY_ELEMS(formats); i++)
        if (formats[i].format == format)
            return formats[i].pix_fmt;
    return AV_PIX_FMT_NONE;
}

int ff_cuframes_format(enum AVPixelFormat pix_fmt, cuframes_format_t *format, int *full_range)
{
    for (size_t i = 0; i < FF_ARRAY_ELEMS(formats); i++)
        if (formats[i].pix_fmt == pix_fmt) {
            *format = formats[i].format;
            *full_range = formats[i].full_range;
            return CUFRAMES_OK;
        }
    return CUFRAMES_ERR_FORMAT;
}

static int is_rgb(cuframes_format_t format)
{
    return format == CUFRAMES_FORMAT_RGB || format == CUFRAMES_FORMAT_BGR ||
           format == CUFRAMES_FORMAT_RGBA || format == CUFRAMES_FORMAT_BGRA;
}

CuframesColor ff_cuframes_color_from(const cuframes_color_t *color, cuframes_format_t format)
{
    CuframesColor result = {AVCOL_SPC_UNSPECIFIED, AVCOL_PRI_UNSPECIFIED, AVCOL_TRC_UNSPECIFIED,
                            AVCOL_RANGE_UNSPECIFIED};

    /* 0 is "not said" for the library, and a code point of its own for FFmpeg. */
    if (is_rgb(format))
        result.space = AVCOL_SPC_RGB;
    else if (color->matrix)
        result.space = (enum AVColorSpace)color->matrix;
    if (color->primaries)
        result.primaries = (enum AVColorPrimaries)color->primaries;
    if (color->transfer)
        result.trc = (enum AVColorTransferCharacteristic)color->transfer;
    if (color->range == CUFRAMES_RANGE_LIMITED)
        result.range = AVCOL_RANGE_MPEG;
    else if (color->range == CUFRAMES_RANGE_FULL)
        result.range = AVCOL_RANGE_JPEG;
    return result;
}

/* FFmpeg has code points of its own above those of H.273. */
static uint8_t code_point(int value)
{
    return value == AVCOL_SPC_UNSPECIFIED || value < 0 || value > UINT8_MAX ? 0 : (uint8_t)value;
}

cuframes_color_t ff_cuframes_color_to(enum AVColorSpace space, enum AVColorPrimaries primaries,
                                      enum AVColorTransferCharacteristic trc,
                                      enum AVColorRange range)
{
    cuframes_color_t color = {
        .matrix = code_point((int)space),
        .primaries = code_point((int)primaries),
        .transfer = code_point((int)trc),
    };

    if (range == AVCOL_RANGE_MPEG)
        color.range = CUFRAMES_RANGE_LIMITED;
    else if (range == AVCOL_RANGE_JPEG)
        color.range = CUFRAMES_RANGE_FULL;
    return color;
}

static void list_codecs(const cuframes_channel_report_t *report, char *codecs, size_t size)
{
    codecs[0] = '\0';
    for (uint32_t i = 0; i < report->stream_count; i++)
        av_strlcatf(codecs, size, "%s%.*s", i ? ", " : "",
                    (int)sizeof(report->streams[i].codec_name), report->streams[i].codec_name);
}

static char *describe_frames(const cuframes_channel_report_t *report)
{
    const cuframes_channel_info_t *info = &report->info;
    const char *format = cuframes_format_name(info->format);

    return av_asprintf("%dx%d %s in %s memory, %.2f fps, %u subscribers", info->width, info->height,
                       format ? format : "unknown format",
                       info->memory == CUFRAMES_MEMORY_CUDA ? "GPU" : "host", report->stats.fps,
                       report->subscriber_count);
}

static char *describe_packets(const cuframes_channel_report_t *report)
{
    char codecs[256];

    list_codecs(report, codecs, sizeof(codecs));
    return av_asprintf("%s, %u subscribers", codecs, report->subscriber_count);
}

static enum AVMediaType media_type(const cuframes_channel_report_t *report, int packets)
{
    for (uint32_t i = 0; packets && i < report->stream_count; i++)
        if (report->streams[i].type == CUFRAMES_STREAM_VIDEO)
            return AVMEDIA_TYPE_VIDEO;
    return packets ? AVMEDIA_TYPE_AUDIO : AVMEDIA_TYPE_VIDEO;
}

static void free_device(AVDeviceInfo *device)
{
    if (!device)
        return;
    av_freep(&device->device_name);
    av_freep(&device->device_description);
    av_freep(&device->media_types);
    av_free(device);
}

static int add_device(AVDeviceInfoList *list, int packets, const char *key,
                      const cuframes_channel_report_t *report)
{
    AVDeviceInfo *device = av_mallocz(sizeof(*device));

    if (device) {
        device->device_name =
            av_asprintf("%s://%s", packets ? "cuframes_packets" : "cuframes", key);
        device->device_description = packets ? describe_packets(report) : describe_frames(report);
        device->media_types = av_malloc(sizeof(*device->media_types));
    }
    if (!device || !device->device_name || !device->device_description || !device->media_types ||
        av_dynarray_add_nofree(&list->devices, &list->nb_devices, device) < 0) {
        free_device(device);
        return AVERROR(ENOMEM);
    }
    device->media_types[0] = media_type(report, packets);
    device->nb_media_types = 1;
    return 0;
}

static int has_frames(const cuframes_channel_report_t *report)
{
    return !(report->info.notes & CUFRAMES_CHANNEL_PACKETS_ONLY);
}

int ff_cuframes_list(AVFormatContext *s, const char *runtime_dir, int packets,
                     AVDeviceInfoList *list)
{
    cuframes_key_list_t *keys = NULL;
    int err = cuframes_list(runtime_dir, &keys), ret = 0;

    if (err != CUFRAMES_OK)
        return ff_cuframes_fail(s, err, "Cannot list channels");
    for (uint32_t i = 0; i < keys->count && ret >= 0; i++) {
        cuframes_channel_report_t *report = NULL;

        /* Whose publisher died, or does not answer, is no source. */
        if (cuframes_query(runtime_dir, keys->keys[i], QUERY_MS, &report) != CUFRAMES_OK)
            continue;
        if (packets ? report->stream_count > 0 : has_frames(report) || report->stream_count > 0)
            ret = add_device(list, packets || !has_frames(report), keys->keys[i], report);
        cuframes_channel_report_free(report);
    }
    cuframes_key_list_free(keys);
    return ret;
}
