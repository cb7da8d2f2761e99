/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rendition is a channel with a filler. What differs from the input's own channel is in a
 * copy of the options, so that channels and conversions need not know which kind they serve.
 */
#include "renditions.h"

#include <stdlib.h>

#include "log.h"

static struct options own_options(const struct options *options, const struct rendition_spec *spec)
{
    struct options own = *options;

    own.key = spec->key;
    own.width = spec->width;
    own.height = spec->height;
    own.format_given = spec->format_given;
    own.format = spec->format;
    own.max_fps = spec->max_fps;
    return own;
}

int renditions_init(struct renditions *renditions, const struct options *options, struct gpu *gpu)
{
    *renditions = (struct renditions){0};
    if (options->rendition_count == 0)
        return 0;
    renditions->list = calloc((size_t)options->rendition_count, sizeof(*renditions->list));
    if (!renditions->list)
        return -1;
    for (int i = 0; i < options->rendition_count; i++) {
        struct rendition *r = &renditions->list[i];

        r->spec = &options->renditions[i];
        r->options = own_options(options, r->spec);
        filler_init(&r->filler, gpu);
        if (channel_init(&r->channel, &r->options, gpu->index)) {
            renditions_fini(renditions);
            return -1;
        }
        renditions->count++;
    }
    return 0;
}

void renditions_fini(struct renditions *renditions)
{
    for (int i = 0; i < renditions->count; i++) {
        filler_fini(&renditions->list[i].filler);
        channel_fini(&renditions->list[i].channel);
    }
    free(renditions->list);
    *renditions = (struct renditions){0};
}

/* The nominal rate: the input's, or what is left of it. */
static void choose_rate(struct rendition *r, const struct channel *source)
{
    AVRational rate = {source->fps_num, source->fps_den};

    if (r->spec->max_fps > 0 && (rate.num <= 0 || av_q2d(rate) > r->spec->max_fps))
        rate = av_d2q(r->spec->max_fps, 1000000);
    r->channel.fps_num = rate.num;
    r->channel.fps_den = rate.den;
    r->channel.stream_sar_num = source->stream_sar_num;
    r->channel.stream_sar_den = source->stream_sar_den;
}

static bool failed(const struct rendition *r)
{
    const char *why = atomic_load(&r->channel.failed) ? r->channel.error : cuframes_last_error();

    log_line(CUFRAMES_LOG_ERROR, "--output %s: %s", r->spec->name, why);
    return false;
}

static int claim(struct rendition *r, const AVFrame *frame, struct conversion *to, bool *convert,
                 cuframes_buffer_t **buffer)
{
    *convert = fill_conversion(&r->options, frame, to);
    return fill_claim(&r->channel, frame, to, *convert, r->spec->memory, buffer);
}

bool renditions_open(struct renditions *renditions, const AVFrame *frame,
                     const struct channel *source)
{
    for (int i = 0; i < renditions->count; i++) {
        struct rendition *r = &renditions->list[i];
        cuframes_buffer_t *buffer = NULL;
        struct conversion to;
        bool convert;

        choose_rate(r, source);
        if (r->channel.publisher)
            continue;
        if (claim(r, frame, &to, &convert, &buffer))
            return failed(r);
        cuframes_buffer_unref(buffer);
    }
    return true;
}

static int32_t subscribers(const struct rendition *r)
{
    cuframes_publisher_stats_t stats = {0};

    if (r->channel.publisher)
        cuframes_publisher_stats(r->channel.publisher, &stats);
    return (int32_t)stats.subscribers;
}

int32_t renditions_subscribers(const struct renditions *renditions)
{
    int32_t fewest = INT32_MAX;

    for (int i = 0; i < renditions->count; i++)
        fewest = FFMIN(fewest, subscribers(&renditions->list[i]));
    return fewest;
}

static bool announce(struct rendition *r, cuframes_buffer_t *buffer, cuframes_frame_meta_t *meta,
                     unsigned breaks)
{
    int err;

    meta->flags &= ~(uint32_t)CUFRAMES_FRAME_DISCONTINUITY;
    if (breaks != r->breaks_told)
        meta->flags |= CUFRAMES_FRAME_DISCONTINUITY;
    err = cuframes_publisher_publish_buffer(r->channel.publisher, buffer, NULL, meta, NULL);
    if (err)
        return failed(r);
    r->breaks_told = breaks;
    r->published++;
    r->copied += meta->copies != 0;
    return true;
}

static bool is_transient(int err)
{
    return err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TOO_MANY;
}

static bool publish(struct rendition *r, const AVFrame *frame, cuframes_frame_meta_t meta,
                    unsigned breaks)
{
    cuframes_buffer_t *buffer = NULL;
    struct conversion to;
    bool convert, ok;
    int err = claim(r, frame, &to, &convert, &buffer);

    if (err && is_transient(err) && !atomic_load(&r->channel.failed)) {
        r->dropped++;
        return true;
    }
    if (err)
        return failed(r);
    ok = fill_buffer(&r->filler, frame, &to, convert, &r->channel, buffer, &meta) &&
         announce(r, buffer, &meta, breaks);
    cuframes_buffer_unref(buffer);
    return ok;
}

bool renditions_publish(struct renditions *renditions, AVFrame *frame,
                        const cuframes_frame_meta_t *meta, unsigned breaks)
{
    if (renditions->count > 0)
        av_frame_apply_cropping(frame, AV_FRAME_CROP_UNALIGNED);
    for (int i = 0; i < renditions->count; i++) {
        struct rendition *r = &renditions->list[i];

        if (!timeline_keep(&r->limit, meta->pts_ns, r->spec->max_fps))
            r->limited++;
        else if (subscribers(r) == 0)
            r->unread++;
        else if (!publish(r, frame, *meta, breaks))
            return false;
    }
    return true;
}
