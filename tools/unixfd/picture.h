/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where the planes of a picture are: in a slot, in a buffer, and as GStreamer expects them.
 */
#pragma once

#include "unixfd/protocol.h"

bool unixfd_picture_equal(const struct unixfd_picture *a, const struct unixfd_picture *b);

/* A picture as GStreamer lays it out where no video meta says otherwise. */
struct unixfd_plain {
    struct unixfd_video video;
    uint64_t plane_size[CUFRAMES_MAX_PLANES];
    uint64_t size;
};

void unixfd_plain(cuframes_format_t format, int32_t width, int32_t height,
                  struct unixfd_plain *plain);

/*
 * Describes in the memories of `buffer` where the planes of a picture are that lies as `there` says
 * in `size` bytes, so that a reader who knows of no video meta sees the plain picture: in one piece
 * if it lies so, else plane by plane. `offset` is added to the memories' offsets. False when its
 * rows are not the plain picture's: only a copy can be sent.
 */
bool unixfd_arrange(const struct unixfd_plain *plain, const struct unixfd_video *there,
                    uint64_t size, uint64_t offset, struct unixfd_buffer *buffer);

/*
 * The layout of the bytes of `buffer`: as its video meta says, or as GStreamer lays out pictures
 * without one. False when the planes do not fit into the buffer's memories or cannot be.
 */
bool unixfd_buffer_layout(const struct unixfd_buffer *buffer, const struct unixfd_picture *picture,
                          cuframes_layout_t *layout);
