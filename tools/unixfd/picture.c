/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "unixfd/picture.h"

#include <string.h>

#define ROW_ALIGNMENT 4

bool unixfd_picture_equal(const struct unixfd_picture *a, const struct unixfd_picture *b)
{
    return a->format == b->format && a->width == b->width && a->height == b->height &&
           a->fps_num == b->fps_num && a->fps_den == b->fps_den && a->sar_num == b->sar_num &&
           a->sar_den == b->sar_den && !memcmp(&a->color, &b->color, sizeof(a->color));
}

/* Rows of a multiple of 4 bytes, and an even number of them where chroma is subsampled. */
void unixfd_plain(cuframes_format_t format, int32_t width, int32_t height,
                  struct unixfd_plain *plain)
{
    const uint32_t planes = (uint32_t)cuframes_format_planes(format);
    const bool subsampled = planes > 1 && format != CUFRAMES_FORMAT_YUV444P;

    *plain = (struct unixfd_plain){.video = {.format = format,
                                             .width = (uint32_t)width,
                                             .height = (uint32_t)height,
                                             .plane_count = planes}};
    for (uint32_t i = 0; i < planes; i++) {
        uint32_t row_bytes, rows, stride;

        cuframes_format_plane_size(format, (int32_t)i, width,
                                   height + (subsampled ? height & 1 : 0), &row_bytes, &rows);
        stride = (row_bytes + ROW_ALIGNMENT - 1) / ROW_ALIGNMENT * ROW_ALIGNMENT;
        plain->video.offset[i] = plain->size;
        plain->video.stride[i] = (int32_t)stride;
        plain->plane_size[i] = (uint64_t)stride * rows;
        plain->size += plain->plane_size[i];
    }
}

static bool in_one_piece(const struct unixfd_video *plain, const struct unixfd_video *there)
{
    for (uint32_t i = 1; i < plain->plane_count; i++)
        if (there->offset[i] - there->offset[0] != plain->offset[i])
            return false;
    return true;
}

bool unixfd_arrange(const struct unixfd_plain *plain, const struct unixfd_video *there,
                    uint64_t size, uint64_t offset, struct unixfd_buffer *buffer)
{
    const uint32_t planes = plain->video.plane_count;

    for (uint32_t i = 0; i < planes; i++)
        if (there->stride[i] != plain->video.stride[i] || there->offset[i] > size ||
            plain->plane_size[i] > size - there->offset[i])
            return false;
    if (in_one_piece(&plain->video, there)) {
        buffer->memory_count = 1;
        buffer->memories[0] =
            (struct unixfd_memory){.size = plain->size, .offset = offset + there->offset[0]};
        return true;
    }
    buffer->memory_count = planes;
    for (uint32_t i = 0; i < planes; i++)
        buffer->memories[i] = (struct unixfd_memory){.size = plain->plane_size[i],
                                                     .offset = offset + there->offset[i]};
    return true;
}

static uint64_t buffer_size(const struct unixfd_buffer *buffer)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < buffer->memory_count; i++)
        if (__builtin_add_overflow(size, buffer->memories[i].size, &size))
            return 0;
    return size;
}

static bool meta_belongs(const struct unixfd_buffer *buffer, const struct unixfd_picture *picture)
{
    const struct unixfd_video *video = &buffer->video;

    return video->format == picture->format && video->width == (uint32_t)picture->width &&
           video->height == (uint32_t)picture->height &&
           video->plane_count == (uint32_t)cuframes_format_planes(picture->format);
}

bool unixfd_buffer_layout(const struct unixfd_buffer *buffer, const struct unixfd_picture *picture,
                          cuframes_layout_t *layout)
{
    cuframes_layout_t made = {.coded_width = picture->width, .coded_height = picture->height};
    struct unixfd_video video = buffer->video;
    struct unixfd_plain plain;
    uint64_t size = buffer_size(buffer);

    if (buffer->has_video && !meta_belongs(buffer, picture))
        return false;
    if (!buffer->has_video) {
        unixfd_plain(picture->format, picture->width, picture->height, &plain);
        video = plain.video;
    }
    made.plane_count = video.plane_count;
    for (uint32_t i = 0; i < video.plane_count; i++) {
        uint32_t row_bytes, rows;
        uint64_t end;

        if (cuframes_format_plane_size(picture->format, (int32_t)i, picture->width, picture->height,
                                       &row_bytes, &rows) != CUFRAMES_OK ||
            video.stride[i] < (int32_t)row_bytes ||
            __builtin_add_overflow((uint64_t)(uint32_t)video.stride[i] * rows, video.offset[i],
                                   &end) ||
            end > size)
            return false;
        made.planes[i] = (cuframes_plane_layout_t){
            .offset = video.offset[i], .pitch = (uint32_t)video.stride[i], .rows = rows};
        if (end > made.size)
            made.size = end;
    }
    *layout = made;
    return true;
}
