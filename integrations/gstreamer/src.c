/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframessrc.
 *
 * Threads: create() and everything it calls run in the streaming thread, which alone uses the
 * subscriber; unlock() comes from another and ends its waits through the poll set and the holds.
 * Properties and what statistics and queries read are under the object lock. Frames are given back
 * by whoever drops the last buffer over them (holds.h).
 *
 * The channel is attached by the streaming thread, not by the state change: a publisher that is
 * not there yet blocks nobody.
 */
#include "src.h"

#include "cuda_memory.h"
#include "meta.h"
#include "src_private.h"

GST_DEBUG_CATEGORY_STATIC(gst_cuframes_src_debug);
#define GST_CAT_DEFAULT gst_cuframes_src_debug

/* So long without a frame downstream is told that nothing comes. */
#define GAP_INTERVAL (500 * GST_MSECOND)
/* For frames that were given back to be free; longer than work on a GPU takes, shorter than a stop. */
#define GPU_WAIT_MS 50

G_DEFINE_TYPE_WITH_CODE(GstCuframesSrc, gst_cuframes_src, GST_TYPE_PUSH_SRC,
                        G_IMPLEMENT_INTERFACE(GST_TYPE_URI_HANDLER,
                                              gst_cuframes_src_uri_handler_init))
GST_ELEMENT_REGISTER_DEFINE_WITH_CODE(cuframessrc, "cuframessrc", GST_RANK_PRIMARY,
                                      GST_TYPE_CUFRAMES_SRC,
                                      GST_DEBUG_CATEGORY_INIT(gst_cuframes_src_debug, "cuframessrc",
                                                              0, "cuframes source"))

/* ---- attaching ---- */

static GstFlowReturn attach(GstCuframesSrc *self)
{
    cuframes_subscriber_config_t config = {
        .mode = self->mode == GST_CUFRAMES_SRC_ORDER ? CUFRAMES_MODE_STRICT_ORDER
                                                     : CUFRAMES_MODE_NEWEST_ONLY,
        .max_holds = self->max_holds,
        .max_fps = self->max_fps,
    };

    return gst_cuframes_src_attach(self, &config);
}

/* ---- caps and allocation ---- */

static GstCuframesPicture describe(GstCuframesSrc *self, const cuframes_frame_t *frame)
{
    GstCuframesPicture picture = {.format = cuframes_frame_format(frame),
                                  .cuda = cuframes_frame_memory(frame) == CUFRAMES_MEMORY_CUDA};
    cuframes_channel_info_t info;

    /* Once some are, the caps allow for it until the channel changes. */
    picture.interlaced = (cuframes_frame_flags(frame) & CUFRAMES_FRAME_INTERLACED) ||
                         (self->have_caps && self->picture.interlaced &&
                          self->generation == cuframes_frame_generation(frame));
    cuframes_frame_size(frame, &picture.width, &picture.height);
    cuframes_frame_color(frame, &picture.color);
    if (cuframes_subscriber_info(self->reader.subscriber, &info) == CUFRAMES_OK) {
        picture.fps_num = info.fps_num;
        picture.fps_den = info.fps_den;
        picture.par_num = info.sar_num;
        picture.par_den = info.sar_den;
    }
    return picture;
}

static void learn_allocation(GstCuframesSrc *self, GstQuery *query)
{
    self->downstream_knows_video_meta =
        gst_query_find_allocation_meta(query, GST_VIDEO_META_API_TYPE, NULL);
}

static void ask_for_allocation(GstCuframesSrc *self, GstCaps *caps)
{
    GstQuery *query = gst_query_new_allocation(caps, FALSE);

    self->downstream_knows_video_meta = FALSE;
    if (gst_pad_peer_query(GST_BASE_SRC_PAD(self), query))
        learn_allocation(self, query);
    gst_query_unref(query);
}

static void drop_copies(GstCuframesSrc *self)
{
    if (!self->copies)
        return;
    gst_buffer_pool_set_active(self->copies, FALSE);
    gst_clear_object(&self->copies);
}

static void set_frame_duration(GstCuframesSrc *self)
{
    GstClockTime duration = GST_CLOCK_TIME_NONE;
    gboolean changed;

    if (self->picture.fps_num > 0 && self->picture.fps_den > 0)
        duration =
            gst_util_uint64_scale_int(GST_SECOND, self->picture.fps_den, self->picture.fps_num);
    GST_OBJECT_LOCK(self);
    changed = self->frame_duration != duration;
    self->frame_duration = duration;
    GST_OBJECT_UNLOCK(self);
    if (changed)
        gst_element_post_message(GST_ELEMENT(self), gst_message_new_latency(GST_OBJECT(self)));
}

/* NULL after an element error. */
static GstCaps *caps_for(GstCuframesSrc *self, const GstCuframesPicture *picture)
{
    GstCaps *caps = gst_cuframes_picture_to_caps(picture);
    GstCaps *ours = gst_pad_get_pad_template_caps(GST_BASE_SRC_PAD(self));

    if (caps && !gst_caps_can_intersect(caps, ours))
        gst_clear_caps(&caps);
    gst_caps_unref(ours);
    if (!caps)
        GST_ELEMENT_ERROR(self, STREAM, FORMAT,
                          ("The channel's pixel format %s has no name in GStreamer%s.",
                           cuframes_format_name(picture->format),
                           picture->cuda ? " for GPU memory; try memory=host" : ""),
                          (NULL));
    return caps;
}

static GstFlowReturn set_picture(GstCuframesSrc *self, const GstCuframesPicture *picture)
{
    GstCaps *caps = caps_for(self, picture);
    GstFlowReturn ret = GST_FLOW_OK;

    if (!caps)
        return GST_FLOW_NOT_NEGOTIATED;
    GST_INFO_OBJECT(self, "caps %" GST_PTR_FORMAT, caps);
    gst_video_info_from_caps(&self->info, caps);
    drop_copies(self);
    self->picture = *picture;
    self->have_caps = TRUE;
    if (gst_base_src_set_caps(GST_BASE_SRC(self), caps)) {
        set_frame_duration(self);
        ask_for_allocation(self, caps);
    } else {
        ret = gst_pad_get_last_flow_return(GST_BASE_SRC_PAD(self)) == GST_FLOW_FLUSHING
                  ? GST_FLOW_FLUSHING
                  : GST_FLOW_NOT_NEGOTIATED;
    }
    gst_caps_unref(caps);
    return ret;
}

static GstFlowReturn follow_picture(GstCuframesSrc *self, const cuframes_frame_t *frame)
{
    GstCuframesPicture picture = describe(self, frame);
    gboolean same = self->have_caps && gst_cuframes_picture_equal(&picture, &self->picture);

    if (self->have_caps && self->generation != cuframes_frame_generation(frame))
        self->discontinuity = TRUE;
    self->generation = cuframes_frame_generation(frame);
    return same ? GST_FLOW_OK : set_picture(self, &picture);
}

/* ---- buffers ---- */

static GstFlowReturn acquire_copy(GstCuframesSrc *self, GstBuffer **buffer)
{
    if (!self->copies) {
        GstCaps *caps = gst_cuframes_picture_to_caps(&self->picture);
        GstBufferPool *pool =
            self->picture.cuda
                ? gst_cuframes_cuda_library()->gst_cuda_buffer_pool_new(self->context)
                : gst_video_buffer_pool_new();
        GstStructure *config = gst_buffer_pool_get_config(pool);

        gst_buffer_pool_config_set_params(config, caps, (guint)GST_VIDEO_INFO_SIZE(&self->info), 0,
                                          0);
        gst_caps_unref(caps);
        if (!gst_buffer_pool_set_config(pool, config) || !gst_buffer_pool_set_active(pool, TRUE)) {
            gst_object_unref(pool);
            return GST_FLOW_ERROR;
        }
        self->copies = pool;
    }
    return gst_buffer_pool_acquire_buffer(self->copies, buffer, NULL);
}

static gboolean copy_in_host_memory(const GstVideoInfo *info, GstBuffer *to, GstBuffer *from)
{
    GstVideoFrame source, target;
    gboolean done;

    if (!gst_video_frame_map(&source, info, from, GST_MAP_READ))
        return FALSE;
    if (!gst_video_frame_map(&target, info, to, GST_MAP_WRITE)) {
        gst_video_frame_unmap(&source);
        return FALSE;
    }
    done = gst_video_frame_copy(&target, &source);
    gst_video_frame_unmap(&target);
    gst_video_frame_unmap(&source);
    return done;
}

static GstFlowReturn copy_out(GstCuframesSrc *self, GstBuffer **buffer)
{
    GstBuffer *copy;
    GstFlowReturn ret = acquire_copy(self, &copy);

    if (ret != GST_FLOW_OK)
        return ret;
    if (!(self->picture.cuda ? gst_cuframes_cuda_copy(self->context, &self->info, copy, *buffer)
                             : copy_in_host_memory(&self->info, copy, *buffer))) {
        gst_buffer_unref(copy);
        GST_ELEMENT_ERROR(self, RESOURCE, READ, ("A frame could not be copied."), (NULL));
        return GST_FLOW_ERROR;
    }
    gst_buffer_unref(*buffer);
    *buffer = copy;
    GST_OBJECT_LOCK(self);
    self->copied++;
    GST_OBJECT_UNLOCK(self);
    return GST_FLOW_OK;
}

static guint granted_holds(GstCuframesSrc *self)
{
    cuframes_subscriber_stats_t stats = {0};

    cuframes_subscriber_stats(self->reader.subscriber, &stats);
    return MAX(stats.max_holds, 1);
}

static void say_copying(GstCuframesSrc *self, const gchar *why)
{
    if (self->said_copy)
        return;
    self->said_copy = TRUE;
    GST_ELEMENT_WARNING(self, RESOURCE, NO_SPACE_LEFT, ("Frames are copied: %s", why),
                        ("stats/copied counts them; see max-holds and when-full"));
}

/* The last hold is kept for taking frames out of the channel. */
static gboolean must_copy(GstCuframesSrc *self, const cuframes_frame_t *frame)
{
    /* GStreamer's CUDA memory never lies as a picture without the meta would. */
    if (!self->downstream_knows_video_meta && !self->picture.cuda &&
        !gst_cuframes_frame_is_plain(frame, &self->info)) {
        say_copying(self, "the elements behind take no GstVideoMeta, and the channel's rows are "
                          "padded in a way that they would not expect.");
        return TRUE;
    }
    if (self->when_full == GST_CUFRAMES_SRC_COPY &&
        gst_cuframes_holds_count(self->holds) + 1 >= granted_holds(self)) {
        say_copying(self, "the pipeline keeps as many buffers as this reader may hold frames.");
        return TRUE;
    }
    return FALSE;
}

static gint64 monotonic_ns(void)
{
    return cuframes_now_ns();
}

/* From CLOCK_MONOTONIC to the pipeline's running time, not below 0. */
static GstClockTime running_time(GstCuframesSrc *self, gint64 place)
{
    GstClock *clock = gst_element_get_clock(GST_ELEMENT(self));
    gint64 base = (gint64)gst_element_get_base_time(GST_ELEMENT(self));
    gint64 time;

    if (!clock)
        return GST_CLOCK_TIME_NONE;
    time = place + ((gint64)gst_clock_get_time(clock) - monotonic_ns()) - base;
    gst_object_unref(clock);
    return time > 0 ? (GstClockTime)time : 0;
}

static void stamp(GstCuframesSrc *self, GstBuffer *buffer, const cuframes_frame_t *frame)
{
    guint32 flags = cuframes_frame_flags(frame);
    gint64 place;
    GstClockTime pts;

    if ((flags & CUFRAMES_FRAME_DISCONTINUITY) || self->discontinuity)
        gst_cuframes_timeline_reset(&self->timeline);
    place = gst_cuframes_timeline_place(&self->timeline, cuframes_frame_pts_ns(frame),
                                        cuframes_frame_published_ns(frame));
    pts = running_time(self, place);
    if (GST_CLOCK_TIME_IS_VALID(pts) && GST_CLOCK_TIME_IS_VALID(self->position) &&
        pts <= self->position)
        pts = self->position + 1;
    self->position = pts;
    GST_BUFFER_PTS(buffer) = pts;
    GST_BUFFER_DTS(buffer) = GST_CLOCK_TIME_NONE;
    GST_BUFFER_DURATION(buffer) = self->frame_duration;
    GST_BUFFER_OFFSET(buffer) = cuframes_frame_seq(frame);
    GST_BUFFER_OFFSET_END(buffer) = cuframes_frame_seq(frame) + 1;
    if (self->discontinuity ||
        (flags & (CUFRAMES_FRAME_DISCONTINUITY | CUFRAMES_FRAME_GENERATION)) ||
        cuframes_frame_missed(frame) > 0)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_DISCONT | GST_BUFFER_FLAG_RESYNC);
    if (flags & CUFRAMES_FRAME_CORRUPT)
        GST_BUFFER_FLAG_SET(buffer, GST_BUFFER_FLAG_CORRUPTED);
    if (flags & CUFRAMES_FRAME_INTERLACED)
        GST_BUFFER_FLAG_SET(
            buffer, GST_VIDEO_BUFFER_FLAG_INTERLACED |
                        (flags & CUFRAMES_FRAME_TOP_FIELD_FIRST ? GST_VIDEO_BUFFER_FLAG_TFF : 0));
    self->discontinuity = FALSE;
    gst_cuframes_meta_attach(buffer, frame);
}

/* Consumes the frame. */
static GstFlowReturn deliver(GstCuframesSrc *self, cuframes_frame_t *frame, GstBuffer **out)
{
    GstFlowReturn ret = follow_picture(self, frame);
    gboolean copy;
    GstBuffer *buffer;

    if (ret != GST_FLOW_OK) {
        cuframes_frame_release(frame);
        return ret;
    }
    copy = must_copy(self, frame);
    buffer = gst_cuframes_holds_wrap(self->holds, frame, &self->info, self->context);
    if (!buffer) {
        GST_ELEMENT_ERROR(self, STREAM, FORMAT, ("A frame of 2 GiB and more is too large."),
                          (NULL));
        return GST_FLOW_ERROR;
    }
    /* The frame stays held for as long as the wrapping buffer lives. */
    if (copy) {
        GstBuffer *held = gst_buffer_ref(buffer);

        ret = copy_out(self, &buffer);
        if (ret == GST_FLOW_OK)
            stamp(self, buffer, frame);
        gst_buffer_unref(held);
    } else {
        stamp(self, buffer, frame);
    }
    if (ret != GST_FLOW_OK) {
        gst_buffer_unref(buffer);
        return ret;
    }
    GST_OBJECT_LOCK(self);
    self->delivered++;
    self->in_gpu_memory = self->picture.cuda;
    GST_OBJECT_UNLOCK(self);
    gst_cuframes_src_say_staged(self);
    *out = buffer;
    return GST_FLOW_OK;
}

/* ---- waiting ---- */

/* Tells downstream that nothing came for a while, so that others need not wait for it. */
static void push_gap(GstCuframesSrc *self)
{
    GstClockTime now = running_time(self, monotonic_ns() - (gint64)GAP_INTERVAL);

    if (!GST_CLOCK_TIME_IS_VALID(now) || !GST_CLOCK_TIME_IS_VALID(self->position) ||
        now <= self->position + 1)
        return;
    gst_pad_push_event(GST_BASE_SRC_PAD(self),
                       gst_event_new_gap(self->position + 1, now - self->position - 1));
    self->position = now;
}

static GstFlowReturn no_frame_in_time(GstCuframesSrc *self)
{
    gint64 waited_us = g_get_monotonic_time() - self->newest_frame_us;

    if (self->frame_timeout_ms > 0 && waited_us >= (gint64)self->frame_timeout_ms * 1000) {
        GST_ELEMENT_ERROR(self, RESOURCE, READ,
                          ("No frame came for %u ms.", self->frame_timeout_ms), (NULL));
        return GST_FLOW_ERROR;
    }
    push_gap(self);
    return GST_FLOW_OK;
}

static GstFlowReturn wait_for_frame(GstCuframesSrc *self)
{
    GstClockTime timeout = GAP_INTERVAL;

    if (self->frame_timeout_ms > 0)
        timeout = MIN(timeout, self->frame_timeout_ms * GST_MSECOND);
    switch (gst_cuframes_reader_wait(&self->reader, timeout)) {
    case GST_CUFRAMES_READER_FLUSHING:
        return GST_FLOW_FLUSHING;
    case GST_CUFRAMES_READER_TIMEOUT:
        return no_frame_in_time(self);
    default:
        return GST_FLOW_OK;
    }
}

static GstFlowReturn wait_for_hold(GstCuframesSrc *self)
{
    if (!gst_cuframes_holds_wait(self->holds, granted_holds(self),
                                 GST_TIME_AS_USECONDS(GAP_INTERVAL)) &&
        !self->said_wait) {
        self->said_wait = TRUE;
        GST_ELEMENT_WARNING(self, RESOURCE, NO_SPACE_LEFT,
                            ("The pipeline keeps every frame that this reader may hold; waiting "
                             "until it lets go of one."),
                            ("when-full=copy copies instead; see max-holds"));
    }
    /* Also says whether the wait was interrupted. */
    return gst_cuframes_reader_wait(&self->reader, 0) == GST_CUFRAMES_READER_FLUSHING
               ? GST_FLOW_FLUSHING
               : GST_FLOW_OK;
}

/*
 * Frames that were given back behind work on the GPU count as held until that is done, and the
 * descriptor does not tell when it is: the library waits for that, and not for long.
 */
static int next_of_library(GstCuframesSrc *self, cuframes_frame_t **frame)
{
    cuframes_subscriber_t *subscriber = self->reader.subscriber;
    int error = cuframes_subscriber_next(subscriber, NULL, frame, 0);
    cuframes_subscriber_stats_t stats;

    if (error != CUFRAMES_ERR_WOULD_BLOCK || !self->context ||
        cuframes_subscriber_stats(subscriber, &stats) != CUFRAMES_OK ||
        stats.held < MAX(stats.max_holds, 1))
        return error;
    error = cuframes_subscriber_next(subscriber, NULL, frame, GPU_WAIT_MS);
    return error == CUFRAMES_ERR_TIMEOUT ? CUFRAMES_ERR_TOO_MANY : error;
}

static GstFlowReturn next_frame(GstCuframesSrc *self, cuframes_frame_t **frame)
{
    GstFlowReturn ret = GST_FLOW_OK;

    while (ret == GST_FLOW_OK) {
        int error = next_of_library(self, frame);

        if (error == CUFRAMES_OK) {
            self->newest_frame_us = g_get_monotonic_time();
            return GST_FLOW_OK;
        }
        if (error == CUFRAMES_ERR_WOULD_BLOCK)
            ret = wait_for_frame(self);
        else if (error == CUFRAMES_ERR_TOO_MANY)
            ret = wait_for_hold(self);
        else
            ret = gst_cuframes_reader_ended(&self->reader, error);
    }
    return ret;
}

static GstFlowReturn gst_cuframes_src_create(GstPushSrc *push, GstBuffer **out)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(push);
    GstFlowReturn ret = self->reader.subscriber ? GST_FLOW_OK : attach(self);
    cuframes_frame_t *frame;

    if (ret == GST_FLOW_OK)
        ret = next_frame(self, &frame);
    if (ret == GST_FLOW_OK)
        ret = deliver(self, frame, out);
    return ret;
}

/* ---- base class ---- */

static gboolean gst_cuframes_src_start(GstBaseSrc *base)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(base);

    if (!gst_cuframes_reader_check(&self->reader))
        return FALSE;
    self->holds = gst_cuframes_holds_new();
    gst_cuframes_timeline_init(&self->timeline);
    self->have_caps = FALSE;
    self->discontinuity = TRUE;
    self->said_copy = self->said_wait = self->said_staged = FALSE;
    self->position = GST_CLOCK_TIME_NONE;
    self->newest_frame_us = g_get_monotonic_time();
    GST_OBJECT_LOCK(self);
    self->copied = self->delivered = 0;
    self->in_gpu_memory = FALSE;
    GST_OBJECT_UNLOCK(self);
    return TRUE;
}

static gboolean gst_cuframes_src_stop(GstBaseSrc *base)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(base);

    gst_cuframes_reader_detach(&self->reader);
    drop_copies(self);
    gst_clear_object(&self->context);
    gst_cuframes_cuda_forget(&self->cuda);
    gst_cuframes_holds_unref(self->holds);
    self->holds = NULL;
    return TRUE;
}

static gboolean gst_cuframes_src_unlock(GstBaseSrc *base)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(base);

    if (gst_cuframes_reader_is_pausing(&self->reader))
        return TRUE;
    gst_cuframes_reader_set_flushing(&self->reader, TRUE);
    gst_cuframes_holds_interrupt(self->holds, TRUE);
    return TRUE;
}

static gboolean gst_cuframes_src_unlock_stop(GstBaseSrc *base)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(base);

    gst_cuframes_reader_set_flushing(&self->reader, FALSE);
    gst_cuframes_holds_interrupt(self->holds, FALSE);
    return TRUE;
}

/* Caps are known with the first frame, and set then. */
static gboolean gst_cuframes_src_negotiate(GstBaseSrc *base)
{
    return TRUE;
}

/* The slots are the memory: pools from downstream are of no use. */
static gboolean gst_cuframes_src_decide_allocation(GstBaseSrc *base, GstQuery *query)
{
    learn_allocation(GST_CUFRAMES_SRC(base), query);
    while (gst_query_get_n_allocation_pools(query) > 0)
        gst_query_remove_nth_allocation_pool(query, 0);
    return TRUE;
}

static gboolean answer_latency(GstCuframesSrc *self, GstQuery *query)
{
    GstClockTime min = 0, max = GST_CLOCK_TIME_NONE;

    GST_OBJECT_LOCK(self);
    /* A frame can be late against its time stamp by what its publisher does; one frame's duration
     * is what a sink is to allow for that. Frames wait in the channel's slots, not here. */
    if (GST_CLOCK_TIME_IS_VALID(self->frame_duration))
        min = self->frame_duration;
    GST_OBJECT_UNLOCK(self);
    gst_query_set_latency(query, TRUE, min, max);
    return TRUE;
}

static gboolean gst_cuframes_src_query(GstBaseSrc *base, GstQuery *query)
{
    if (GST_QUERY_TYPE(query) == GST_QUERY_LATENCY)
        return answer_latency(GST_CUFRAMES_SRC(base), query);
    if (GST_QUERY_TYPE(query) == GST_QUERY_CONTEXT &&
        gst_cuframes_cuda_query(&GST_CUFRAMES_SRC(base)->cuda, query))
        return TRUE;
    return GST_BASE_SRC_CLASS(gst_cuframes_src_parent_class)->query(base, query);
}

static void gst_cuframes_src_set_context(GstElement *element, GstContext *context)
{
    gst_cuframes_cuda_set_context(&GST_CUFRAMES_SRC(element)->cuda, context);
    GST_ELEMENT_CLASS(gst_cuframes_src_parent_class)->set_context(element, context);
}

static void gst_cuframes_src_finalize(GObject *object)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(object);

    gst_cuframes_reader_clear(&self->reader);
    gst_cuframes_cuda_clear(&self->cuda);
    G_OBJECT_CLASS(gst_cuframes_src_parent_class)->finalize(object);
}

static void gst_cuframes_src_init(GstCuframesSrc *self)
{
    self->frame_duration = GST_CLOCK_TIME_NONE;
    gst_cuframes_reader_init(&self->reader, GST_ELEMENT(self));
    gst_cuframes_cuda_init(&self->cuda, GST_ELEMENT(self));
    gst_base_src_set_live(GST_BASE_SRC(self), TRUE);
    gst_base_src_set_format(GST_BASE_SRC(self), GST_FORMAT_TIME);
}

static void gst_cuframes_src_class_init(GstCuframesSrcClass *class)
{
    GObjectClass *object = G_OBJECT_CLASS(class);
    GstElementClass *element = GST_ELEMENT_CLASS(class);
    GstBaseSrcClass *base = GST_BASE_SRC_CLASS(class);
    GstCaps *caps = gst_cuframes_template_caps();

    object->finalize = gst_cuframes_src_finalize;
    gst_cuframes_src_install_properties(object);
    gst_element_class_set_static_metadata(
        element, "cuframes source", "Source/Video",
        "Reads video frames that another process publishes, without a copy", "cuframes");
    gst_element_class_add_pad_template(
        element, gst_pad_template_new("src", GST_PAD_SRC, GST_PAD_ALWAYS, caps));
    gst_caps_unref(caps);
    element->set_context = gst_cuframes_src_set_context;
    base->start = gst_cuframes_src_start;
    base->stop = gst_cuframes_src_stop;
    base->unlock = gst_cuframes_src_unlock;
    base->unlock_stop = gst_cuframes_src_unlock_stop;
    base->negotiate = gst_cuframes_src_negotiate;
    base->decide_allocation = gst_cuframes_src_decide_allocation;
    base->query = gst_cuframes_src_query;
    GST_PUSH_SRC_CLASS(class)->create = gst_cuframes_src_create;
}
