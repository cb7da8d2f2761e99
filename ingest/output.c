/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishing. Three ways to a slot, in this order: the decoder wrote into one; a conversion writes
 * into one; a copy does. The last two are counted as copies.
 */
#include "output.h"

#include <libavutil/pixdesc.h>

#include "fill.h"
#include "log.h"
#include "pixfmt.h"
#include "shutdown.h"

#define NANOSECONDS           1000000000
#define SUBSCRIBER_PATIENCE_S 60

int output_init(struct output *output, const struct options *options, struct channel *channel,
                struct pictures *pictures, struct nvdec *nvdec)
{
    *output = (struct output){
        .options = options,
        .channel = channel,
        .pictures = pictures,
        .nvdec = nvdec,
    };
    output->held = av_frame_alloc();
    if (!output->held)
        return AVERROR(ENOMEM);
    filler_init(&output->filler, nvdec->gpu);
    return renditions_init(&output->renditions, options, nvdec->gpu);
}

void output_fini(struct output *output)
{
    av_frame_free(&output->held);
    filler_fini(&output->filler);
    renditions_fini(&output->renditions);
}

static bool is_key(const AVFrame *frame)
{
#ifdef AV_FRAME_FLAG_KEY
    return frame->flags & AV_FRAME_FLAG_KEY;
#else
    return frame->key_frame;
#endif
}

static uint32_t interlacing(const AVFrame *frame)
{
#ifdef AV_FRAME_FLAG_INTERLACED
    const bool interlaced = frame->flags & AV_FRAME_FLAG_INTERLACED;
    const bool top_first = frame->flags & AV_FRAME_FLAG_TOP_FIELD_FIRST;
#else
    const bool interlaced = frame->interlaced_frame, top_first = frame->top_field_first;
#endif

    return interlaced ? CUFRAMES_FRAME_INTERLACED | (top_first ? CUFRAMES_FRAME_TOP_FIELD_FIRST : 0)
                      : 0;
}

static bool is_corrupt(const AVFrame *frame)
{
    return (frame->flags & AV_FRAME_FLAG_CORRUPT) || frame->decode_error_flags;
}

static cuframes_frame_meta_t describe(const struct output *output, const AVFrame *frame,
                                      const struct stamp *stamp, int64_t pts_ns)
{
    cuframes_frame_meta_t meta = {.pts_ns = pts_ns, .color = pixfmt_frame_color(frame)};

    meta.capture_ns = stamp->capture_ns;
    meta.capture_source = stamp->source;
    meta.packet_seq = stamp->packet_seq;
    meta.flags = (is_key(frame) ? CUFRAMES_FRAME_KEY : 0) |
                 (stamp->packet_known ? CUFRAMES_FRAME_PACKET : 0) |
                 (is_corrupt(frame) ? CUFRAMES_FRAME_CORRUPT : 0) | interlacing(frame) |
                 (output->breaks != output->breaks_told ? CUFRAMES_FRAME_DISCONTINUITY : 0);
    meta.crop = (cuframes_rect_t){
        .x = (int32_t)frame->crop_left,
        .y = (int32_t)frame->crop_top,
        .width = frame->width - (int32_t)(frame->crop_left + frame->crop_right),
        .height = frame->height - (int32_t)(frame->crop_top + frame->crop_bottom),
    };
    return meta;
}

static struct stamp find_stamp(const struct output *output, const AVFrame *frame)
{
    struct stamp stamp = {.source = CUFRAMES_CLOCK_UNKNOWN, .capture_ns = CUFRAMES_NO_TIME};

    stamps_find(&output->stamps, frame, &stamp);
    return stamp;
}

enum output_result output_wait_for_subscribers(struct output *output)
{
    int64_t deadline = cuframes_now_ns() + INT64_C(1000000000) * SUBSCRIBER_PATIENCE_S;
    uint32_t wanted = (uint32_t)output->options->wait_subscribers;
    cuframes_publisher_stats_t stats = {0};

    while (!output->subscribers_came) {
        cuframes_publisher_stats(output->channel->publisher, &stats);
        output->subscribers_came =
            FFMIN((int32_t)stats.subscribers, renditions_subscribers(&output->renditions)) >=
            (int32_t)wanted;
        if (output->subscribers_came)
            break;
        if (cuframes_now_ns() > deadline) {
            log_line(CUFRAMES_LOG_ERROR,
                     "fewer than %u subscribers came to a channel within %d s (--wait-subscribers)",
                     wanted, SUBSCRIBER_PATIENCE_S);
            return OUTPUT_FAILED;
        }
        if (!shutdown_sleep_until(cuframes_now_ns() + 5 * 1000 * 1000))
            return OUTPUT_STOP;
    }
    return OUTPUT_OK;
}

bool output_can_wait(const struct output *output)
{
    if (output->options->wait_subscribers == 0 || output->subscribers_came)
        return true;
    for (int i = 0; i < output->renditions.count; i++)
        if (!output->renditions.list[i].channel.publisher)
            return false;
    return true;
}

static enum output_result publish(struct output *output, cuframes_buffer_t *buffer,
                                  const cuframes_frame_meta_t *meta)
{
    enum output_result waited = output_wait_for_subscribers(output);
    int err;

    if (waited != OUTPUT_OK)
        return waited;
    err = cuframes_publisher_publish_buffer(output->channel->publisher, buffer, NULL, meta, NULL);
    if (err == CUFRAMES_ERR_FORMAT) {
        output->counters.dropped++; /* of a generation that has gone by */
        return OUTPUT_OK;
    }
    if (err) {
        log_line(CUFRAMES_LOG_ERROR, "%s", cuframes_last_error());
        return OUTPUT_FAILED;
    }
    output->breaks_told = output->breaks;
    output->counters.published++;
    output->counters.copied += meta->copies != 0;
    output->counters.corrupt += (meta->flags & CUFRAMES_FRAME_CORRUPT) != 0;
    return OUTPUT_OK;
}

/* Says once why this stream costs a copy for each frame. */
static void explain_copy(struct output *output, const AVFrame *frame, const char *why)
{
    if (!output->copy_explained)
        log_line(CUFRAMES_LOG_INFO, "each picture is copied once: %s (%s)", why,
                 av_get_pix_fmt_name(pixfmt_of_frame(frame)));
    output->copy_explained = true;
}

/* A slot for a picture that is not in one yet. */
static int claim_for(struct output *output, const AVFrame *frame, const struct conversion *to,
                     bool converted, cuframes_buffer_t **buffer)
{
    /* The decoder has slots: the channel's geometry is its affair. */
    if (!converted && atomic_load(&output->pictures->claimed) > 0)
        return channel_claim_same(output->channel, to->width, to->height, to->format, buffer);
    return fill_claim(output->channel, frame, to, converted, output->options->memory, buffer);
}

static enum output_result no_slot(struct output *output, int err)
{
    if (atomic_load(&output->channel->failed)) {
        log_line(CUFRAMES_LOG_ERROR, "%s", output->channel->error);
        return OUTPUT_FAILED;
    }
    if (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TOO_MANY ||
        err == CUFRAMES_ERR_FORMAT) {
        output->counters.dropped++;
        return OUTPUT_OK;
    }
    log_line(CUFRAMES_LOG_ERROR, "%s", cuframes_last_error());
    return OUTPUT_FAILED;
}

static enum output_result publish_written(struct output *output, AVFrame *frame,
                                          cuframes_frame_meta_t *meta)
{
    cuframes_buffer_t *buffer = NULL;
    enum output_result result;
    struct conversion to;
    bool convert;
    int err;

    av_frame_apply_cropping(frame, AV_FRAME_CROP_UNALIGNED);
    convert = fill_conversion(output->options, frame, &to);
    err = claim_for(output, frame, &to, convert, &buffer);
    if (err)
        return no_slot(output, err);
    if (convert)
        explain_copy(output, frame, "it is converted into its slot");
    else if (frame->format == AV_PIX_FMT_CUDA)
        explain_copy(output, frame, "it is decoded on the GPU and shared in host memory");
    else if (output->options->memory == CUFRAMES_MEMORY_CUDA)
        explain_copy(output, frame, "it is decoded by the processor and shared in GPU memory");
    else if (atomic_load(&output->pictures->claimed) == 0)
        explain_copy(output, frame, "the decoder has picture memory of its own");
    result = OUTPUT_FAILED;
    if (fill_buffer(&output->filler, frame, &to, convert, output->channel, buffer, meta))
        result = publish(output, buffer, meta);
    cuframes_buffer_unref(buffer);
    return result;
}

/* A picture that was decoded on the GPU. */
static enum output_result publish_surface(struct output *output, AVFrame *frame,
                                          cuframes_frame_meta_t *meta)
{
    cuframes_buffer_t *buffer = nvdec_buffer(frame);

    if (buffer)
        return publish(output, buffer, meta);
    if (!output->nvdec->direct)
        return publish_written(output, frame, meta);
    output->counters.dropped++;
    return OUTPUT_OK;
}

static enum output_result publish_picture(struct output *output, AVFrame *frame,
                                          cuframes_frame_meta_t *meta)
{
    struct picture *picture;

    if (frame->format == AV_PIX_FMT_CUDA)
        return publish_surface(output, frame, meta);
    picture = picture_of(output->pictures, frame);
    if (picture && !picture->published && picture_is_slot(picture, frame)) {
        picture->published = true;
        return publish(output, picture->buffer, meta);
    }
    return publish_written(output, frame, meta);
}

void output_break(struct output *output, enum timeline_break kind)
{
    output->breaks++;
    timeline_break(&output->timeline, kind);
}

/* The frame's time on the channel's time line. */
static int64_t place_in_time(struct output *output, const AVFrame *frame, const struct stamp *stamp,
                             AVRational time_base)
{
    int64_t ts = frame->best_effort_timestamp;
    int64_t pts_ns = CUFRAMES_NO_TIME;
    bool jumped = false;

    if (ts != AV_NOPTS_VALUE)
        pts_ns = av_rescale_q(ts, time_base, (AVRational){1, NANOSECONDS});
    if (stamp->placed && pts_ns != CUFRAMES_NO_TIME)
        pts_ns = timeline_follow(&output->timeline, pts_ns, stamp->offset_ns, &jumped);
    else
        pts_ns = timeline_map(&output->timeline, pts_ns, &jumped);
    output->breaks += jumped;
    return pts_ns;
}

void output_hold_back(struct output *output, bool hold_back)
{
    output->holds_back = hold_back;
}

void output_pause(struct output *output)
{
    output->idle = true;
    cuframes_publisher_pause(output->channel->publisher);
    for (int i = 0; i < output->renditions.count; i++)
        if (output->renditions.list[i].channel.publisher)
            cuframes_publisher_pause(output->renditions.list[i].channel.publisher);
}

void output_resume(struct output *output)
{
    output->idle = false;
    output_break(output, TIMELINE_ELAPSED);
}

static enum output_result hold(struct output *output, AVFrame *frame, AVRational time_base)
{
    av_frame_unref(output->held);
    av_frame_move_ref(output->held, frame);
    output->held_time_base = time_base;
    return OUTPUT_OK;
}

static enum output_result show(struct output *output, AVFrame *frame, AVRational time_base)
{
    struct stamp stamp = find_stamp(output, frame);
    int64_t pts_ns = place_in_time(output, frame, &stamp, time_base);
    bool keep = timeline_keep(&output->timeline, pts_ns, output->options->max_fps);
    enum output_result result = OUTPUT_OK;
    cuframes_frame_meta_t meta;

    output->counters.limited += !keep;
    if (!keep && output->renditions.count == 0)
        return OUTPUT_OK;
    if (output->paced && !timeline_pace(&output->timeline, pts_ns))
        return OUTPUT_STOP;
    meta = describe(output, frame, &stamp, pts_ns);
    if (!renditions_open(&output->renditions, frame, output->channel))
        return OUTPUT_FAILED;
    if (keep)
        result = publish_picture(output, frame, &meta);
    if (result == OUTPUT_OK &&
        !renditions_publish(&output->renditions, frame, &meta, output->breaks))
        result = OUTPUT_FAILED;
    if (frame->format == AV_PIX_FMT_CUDA && !nvdec_renew_pool(output->nvdec))
        result = OUTPUT_FAILED;
    return result;
}

enum output_result output_held_back(struct output *output)
{
    enum output_result result = OUTPUT_OK;

    if (output->held->buf[0])
        result = show(output, output->held, output->held_time_base);
    av_frame_unref(output->held);
    return result;
}

enum output_result output_frame(struct output *output, AVFrame *frame, AVRational time_base)
{
    output->counters.decoded++;
    return output->holds_back ? hold(output, frame, time_base) : show(output, frame, time_base);
}
