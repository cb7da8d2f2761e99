/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames in the hands of a program. The objects are part of the subscriber: giving a frame
 * allocates nothing. A set bit of `free_frames` owns the object of its number; taking the bit
 * away takes the object.
 */
#include <string.h>

#include "base/error.h"
#include "channel/subscriber.h"

cuframes_frame_t *cf_frame_take(cuframes_subscriber_t *subscriber, const struct cf_ring_hold *hold)
{
    /* Acquire: pairs with the release in cf_frame_return(): whoever had the object before is done. */
    uint64_t bits = atomic_load_explicit(&subscriber->free_frames, memory_order_acquire);
    cuframes_frame_t *frame;
    uint64_t bit;

    if (bits == 0)
        return NULL;
    bit = bits & -bits;
    /* Other threads only set bits, so this one is still there. */
    atomic_fetch_and_explicit(&subscriber->free_frames, ~bit, memory_order_acquire);
    frame = &subscriber->frames[__builtin_ctzll(bit)];
    frame->subscriber = subscriber;
    frame->view = cf_view_ref(subscriber->view);
    frame->hold = *hold;
    frame->data = NULL;
    frame->stage = CF_NO_STAGE;
    return frame;
}

void cf_frame_return(cuframes_frame_t *frame)
{
    cuframes_subscriber_t *subscriber = frame->subscriber;
    struct cf_view *view = frame->view;
    uint64_t bit = UINT64_C(1) << (frame - subscriber->frames);

    cf_memory_put(view->memory, frame->stage);
    /* Release: pairs with the acquire in cf_frame_take(). */
    atomic_fetch_or_explicit(&subscriber->free_frames, bit, memory_order_release);
    /* Last: the view may take the subscriber with it. */
    cf_view_unref(view);
}

static const struct cf_ring_slot *shared_slot(const cuframes_frame_t *frame)
{
    return &frame->view->reader.header->slots[frame->hold.slot];
}

static bool crop_fits(const cuframes_rect_t *crop, const cuframes_layout_t *layout)
{
    return crop->x >= 0 && crop->y >= 0 && crop->width >= 1 && crop->height >= 1 &&
           crop->x <= layout->coded_width && crop->y <= layout->coded_height &&
           crop->width <= layout->coded_width - crop->x &&
           crop->height <= layout->coded_height - crop->y;
}

uint32_t cf_frames_held(const cuframes_subscriber_t *subscriber)
{
    /* Relaxed: a number. Whoever takes an object orders itself. */
    uint64_t bits = atomic_load_explicit(&subscriber->free_frames, memory_order_relaxed);

    return (uint32_t)__builtin_popcountll(~bits);
}

int cf_frame_fetch(cuframes_frame_t *frame)
{
    const struct cf_view *view = frame->view;

    return cf_memory_get(view->memory, view->slot_offset + frame->hold.slot * view->slot_stride,
                         &frame->data, &frame->stage);
}

int cf_frame_read(cuframes_frame_t *frame)
{
    const volatile struct cf_ring_slot *slot = shared_slot(frame);
    const uint32_t source = slot->capture_source;

    frame->pts_ns = slot->pts_ns;
    frame->capture_ns = slot->capture_ns;
    frame->published_ns = slot->published_ns;
    frame->flags = slot->flags & CF_FRAME_FLAGS;
    frame->discontinuities = slot->discontinuities;
    frame->packet_seq = slot->packet_seq;
    frame->user_size = slot->user_size;
    frame->color =
        (cuframes_color_t){slot->color[0], slot->color[1], slot->color[2], slot->color[3]};
    frame->crop = (cuframes_rect_t){slot->crop[0], slot->crop[1], slot->crop[2], slot->crop[3]};
    if (source > CUFRAMES_CLOCK_FILE || frame->color.range > CUFRAMES_RANGE_FULL ||
        frame->user_size > CUFRAMES_MAX_USER_DATA ||
        !crop_fits(&frame->crop, &frame->view->info.layout))
        return cf_fail(CUFRAMES_ERR_PROTOCOL,
                       "the publisher describes frame %llu in a way that cannot be",
                       (unsigned long long)frame->hold.seq);
    frame->capture_source = (cuframes_clock_source_t)source;
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_frame_release(cuframes_frame_t *frame)
{
    if (!frame)
        return CUFRAMES_OK;
    /* A process that forked off has a copy of the frame, but the hold is its parent's. */
    if (frame->subscriber->fork_count == cf_fork_count())
        cf_reader_let_go(&frame->view->reader, frame->hold.slot);
    cf_frame_return(frame);
    return CUFRAMES_OK;
}

CUFRAMES_API const void *cuframes_frame_data(const cuframes_frame_t *frame)
{
    return frame->data;
}

CUFRAMES_API void *cuframes_frame_cuda_ptr(const cuframes_frame_t *frame)
{
    return (void *)(uintptr_t)cuframes_frame_data(frame);
}

CUFRAMES_API size_t cuframes_frame_data_size(const cuframes_frame_t *frame)
{
    return frame->view->info.layout.size;
}

CUFRAMES_API cuframes_memory_t cuframes_frame_memory(const cuframes_frame_t *frame)
{
    return frame->view->memory->place;
}

CUFRAMES_API cuframes_format_t cuframes_frame_format(const cuframes_frame_t *frame)
{
    return frame->view->info.format;
}

CUFRAMES_API void cuframes_frame_size(const cuframes_frame_t *frame, int32_t *width,
                                      int32_t *height)
{
    if (width)
        *width = frame->crop.width;
    if (height)
        *height = frame->crop.height;
}

CUFRAMES_API int32_t cuframes_frame_pitch_y(const cuframes_frame_t *frame)
{
    return (int32_t)frame->view->info.layout.planes[0].pitch;
}

CUFRAMES_API int32_t cuframes_frame_pitch_uv(const cuframes_frame_t *frame)
{
    return (int32_t)frame->view->info.layout.planes[1].pitch;
}

CUFRAMES_API int32_t cuframes_frame_plane_count(const cuframes_frame_t *frame)
{
    return (int32_t)frame->view->info.layout.plane_count;
}

/* Bytes and rows of a plane before the visible picture. A crop that begins between two chroma
 * samples begins on the first of them. */
static void plane_origin(const cuframes_frame_t *frame, int32_t index, uint32_t *bytes,
                         uint32_t *rows)
{
    const cuframes_format_t format = frame->view->info.format;
    uint32_t bytes1, bytes2, rows1, rows2, unused;
    int32_t x = frame->crop.x, y = frame->crop.y;

    /* In a subsampled plane one pixel takes as much as two. */
    cuframes_format_plane_size(format, index, 1, 1, &bytes1, &rows1);
    cuframes_format_plane_size(format, index, 2, 2, &bytes2, &rows2);
    if (bytes1 == bytes2)
        x &= ~1;
    if (rows1 == rows2)
        y &= ~1;
    *bytes = *rows = 0;
    if (x > 0)
        cuframes_format_plane_size(format, index, x, 1, bytes, &unused);
    if (y > 0)
        cuframes_format_plane_size(format, index, 1, y, &unused, rows);
}

CUFRAMES_API int cuframes_frame_plane(const cuframes_frame_t *frame, int32_t index,
                                      cuframes_plane_t *plane)
{
    const cuframes_channel_info_t *info = &frame->view->info;
    cuframes_plane_t visible;
    uint32_t bytes, rows;

    if (index < 0 || (uint32_t)index >= info->layout.plane_count || !plane)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "no plane %d in a frame of %u", index,
                       info->layout.plane_count);
    cuframes_format_plane_size(info->format, index, frame->crop.width, frame->crop.height,
                               &visible.row_bytes, &visible.rows);
    plane_origin(frame, index, &bytes, &rows);
    visible.pitch = info->layout.planes[index].pitch;
    visible.data = (const uint8_t *)cuframes_frame_data(frame) + info->layout.planes[index].offset +
                   (size_t)rows * visible.pitch + bytes;
    *plane = visible;
    return CUFRAMES_OK;
}

CUFRAMES_API const cuframes_layout_t *cuframes_frame_layout(const cuframes_frame_t *frame)
{
    return &frame->view->info.layout;
}

CUFRAMES_API void cuframes_frame_crop(const cuframes_frame_t *frame, cuframes_rect_t *crop)
{
    *crop = frame->crop;
}

CUFRAMES_API uint64_t cuframes_frame_seq(const cuframes_frame_t *frame)
{
    return frame->hold.seq;
}

CUFRAMES_API uint64_t cuframes_frame_missed(const cuframes_frame_t *frame)
{
    return frame->missed;
}

CUFRAMES_API int64_t cuframes_frame_pts_ns(const cuframes_frame_t *frame)
{
    return frame->pts_ns;
}

CUFRAMES_API int64_t cuframes_frame_published_ns(const cuframes_frame_t *frame)
{
    return frame->published_ns;
}

CUFRAMES_API int64_t cuframes_frame_capture_ns(const cuframes_frame_t *frame,
                                               cuframes_clock_source_t *source)
{
    if (source)
        *source = frame->capture_source;
    return frame->capture_source == CUFRAMES_CLOCK_UNKNOWN ? CUFRAMES_NO_TIME : frame->capture_ns;
}

CUFRAMES_API uint32_t cuframes_frame_flags(const cuframes_frame_t *frame)
{
    return frame->flags;
}

CUFRAMES_API int cuframes_frame_packet_seq(const cuframes_frame_t *frame, uint64_t *seq)
{
    if (!(frame->flags & CUFRAMES_FRAME_PACKET))
        return cf_fail(CUFRAMES_ERR_NOT_FOUND,
                       "the publisher does not say from which packet frame %llu was decoded",
                       (unsigned long long)frame->hold.seq);
    *seq = frame->packet_seq;
    return CUFRAMES_OK;
}

CUFRAMES_API void cuframes_frame_color(const cuframes_frame_t *frame, cuframes_color_t *color)
{
    *color = frame->color;
}

CUFRAMES_API uint32_t cuframes_frame_generation(const cuframes_frame_t *frame)
{
    return frame->view->info.generation;
}

CUFRAMES_API const void *cuframes_frame_user_data(const cuframes_frame_t *frame, size_t *size)
{
    if (size)
        *size = frame->user_size;
    return frame->user_size > 0 ? shared_slot(frame)->user : NULL;
}

CUFRAMES_API int cuframes_frame_check(const cuframes_frame_t *frame)
{
    int err = cf_reader_revoked(&frame->view->reader);

    if (err == CUFRAMES_ERR_EVICTED)
        return cf_fail(err, "the publisher no longer protects this frame: it evicted this "
                            "subscriber, which had kept it waiting too long");
    if (err)
        return cf_fail(err, "the publisher no longer protects this frame: its connection to this "
                            "subscriber has ended");
    return CUFRAMES_OK;
}
