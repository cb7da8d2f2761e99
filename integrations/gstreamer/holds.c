/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holds.h"

#include "cuda_memory.h"

struct GstCuframesHolds {
    gatomicrefcount refs;
    GMutex lock;
    GCond changed;
    guint count;
    gboolean interrupted;
};

/* One frame that is out; freed with its memory. */
struct held {
    GstCuframesHolds *holds;
    cuframes_frame_t *frame;
};

GstCuframesHolds *gst_cuframes_holds_new(void)
{
    GstCuframesHolds *holds = g_new0(GstCuframesHolds, 1);

    g_atomic_ref_count_init(&holds->refs);
    g_mutex_init(&holds->lock);
    g_cond_init(&holds->changed);
    return holds;
}

void gst_cuframes_holds_unref(GstCuframesHolds *holds)
{
    if (!holds || !g_atomic_ref_count_dec(&holds->refs))
        return;
    g_mutex_clear(&holds->lock);
    g_cond_clear(&holds->changed);
    g_free(holds);
}

guint gst_cuframes_holds_count(GstCuframesHolds *holds)
{
    guint count;

    g_mutex_lock(&holds->lock);
    count = holds->count;
    g_mutex_unlock(&holds->lock);
    return count;
}

gboolean gst_cuframes_holds_wait(GstCuframesHolds *holds, guint limit, gint64 timeout_us)
{
    gint64 deadline = g_get_monotonic_time() + timeout_us;
    gboolean free;

    g_mutex_lock(&holds->lock);
    while (holds->count >= limit && !holds->interrupted) {
        if (timeout_us < 0)
            g_cond_wait(&holds->changed, &holds->lock);
        else if (!g_cond_wait_until(&holds->changed, &holds->lock, deadline))
            break;
    }
    free = holds->count < limit && !holds->interrupted;
    g_mutex_unlock(&holds->lock);
    return free;
}

void gst_cuframes_holds_interrupt(GstCuframesHolds *holds, gboolean on)
{
    if (!holds)
        return;
    g_mutex_lock(&holds->lock);
    holds->interrupted = on;
    g_cond_broadcast(&holds->changed);
    g_mutex_unlock(&holds->lock);
}

static void give_back(gpointer data)
{
    struct held *held = data;
    GstCuframesHolds *holds = held->holds;

    /* Behind the context's NULL stream: elements may have let go of what their streams still read. */
    if (cuframes_frame_release_stream(held->frame, NULL) != CUFRAMES_OK)
        cuframes_frame_release(held->frame);
    g_free(held);
    g_mutex_lock(&holds->lock);
    holds->count--;
    g_cond_broadcast(&holds->changed);
    g_mutex_unlock(&holds->lock);
    gst_cuframes_holds_unref(holds);
}

static struct held *hold(GstCuframesHolds *holds, cuframes_frame_t *frame)
{
    struct held *held = g_new(struct held, 1);

    g_atomic_ref_count_inc(&holds->refs);
    *held = (struct held){.holds = holds, .frame = frame};
    g_mutex_lock(&holds->lock);
    holds->count++;
    g_mutex_unlock(&holds->lock);
    return held;
}

/* Owns what is held. */
static GstMemory *hold_memory(struct held *held, const GstVideoInfo *placed,
                              GstCudaContext *context)
{
    gpointer data = (gpointer)cuframes_frame_data(held->frame);
    gsize size = cuframes_frame_data_size(held->frame);
    GstMemory *memory;

    if (cuframes_frame_memory(held->frame) != CUFRAMES_MEMORY_CUDA)
        return gst_memory_new_wrapped(GST_MEMORY_FLAG_READONLY, data, size, 0, size, held,
                                      give_back);
    memory = gst_cuframes_cuda_wrap(context, placed, (guint64)(guintptr)data, size,
                                    GST_MEMORY_FLAG_READONLY, held, give_back);
    if (!memory)
        give_back(held);
    return memory;
}

static guint plane_places(const cuframes_frame_t *frame, gsize *offsets, gint *strides)
{
    const guint8 *start = cuframes_frame_data(frame);
    guint count = (guint)cuframes_frame_plane_count(frame);

    for (guint i = 0; i < count; i++) {
        cuframes_plane_t plane;

        cuframes_frame_plane(frame, (gint)i, &plane);
        offsets[i] = (gsize)((const guint8 *)plane.data - start);
        strides[i] = (gint)plane.pitch;
    }
    return count;
}

gboolean gst_cuframes_frame_is_plain(const cuframes_frame_t *frame, const GstVideoInfo *info)
{
    gsize offsets[GST_VIDEO_MAX_PLANES];
    gint strides[GST_VIDEO_MAX_PLANES];
    guint count = plane_places(frame, offsets, strides);

    for (guint i = 0; i < count; i++)
        if (offsets[i] != GST_VIDEO_INFO_PLANE_OFFSET(info, i) ||
            strides[i] != GST_VIDEO_INFO_PLANE_STRIDE(info, i))
            return FALSE;
    return cuframes_frame_data_size(frame) == GST_VIDEO_INFO_SIZE(info);
}

GstBuffer *gst_cuframes_holds_wrap(GstCuframesHolds *holds, cuframes_frame_t *frame,
                                   const GstVideoInfo *info, GstCudaContext *context)
{
    GstVideoInfo placed = *info;
    guint count = plane_places(frame, placed.offset, placed.stride);
    GstMemory *memory = hold_memory(hold(holds, frame), &placed, context);
    GstBuffer *buffer;

    if (!memory)
        return NULL;
    buffer = gst_buffer_new();
    gst_buffer_append_memory(buffer, memory);
    gst_buffer_add_video_meta_full(buffer, GST_VIDEO_FRAME_FLAG_NONE, GST_VIDEO_INFO_FORMAT(info),
                                   (guint)GST_VIDEO_INFO_WIDTH(info),
                                   (guint)GST_VIDEO_INFO_HEIGHT(info), count, placed.offset,
                                   placed.stride);
    return buffer;
}
