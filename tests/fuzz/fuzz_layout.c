/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The check of layouts that somebody else made. Input: format, width, height, then the layout as
 * it lies in memory. A layout that passes has all coded rows inside the frame.
 */
#include <string.h>

#include <cuframes/error.h>

#include "format/format.h"
#include "fuzz.h"

struct input {
    cuframes_layout_t layout;
    int32_t format, width, height, pad;
};

static void check_plane(const struct input *in, uint32_t index)
{
    const cuframes_plane_layout_t *plane = &in->layout.planes[index];
    uint32_t row_bytes, rows;
    unsigned __int128 end;

    /* The coded size may be above what the public function takes; the visible one is not. */
    FUZZ_REQUIRE(cuframes_format_plane_size((cuframes_format_t)in->format, (int32_t)index,
                                            in->width, in->height, &row_bytes,
                                            &rows) == CUFRAMES_OK);
    end = (unsigned __int128)plane->offset + (unsigned __int128)plane->pitch * plane->rows;
    FUZZ_REQUIRE(plane->pitch >= row_bytes && plane->rows >= rows);
    FUZZ_REQUIRE(end <= in->layout.size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct input in = {.pad = 0};

    memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
    if (cf_layout_check(&in.layout, (cuframes_format_t)in.format, in.width, in.height) !=
        CUFRAMES_OK)
        return 0;
    FUZZ_REQUIRE(in.layout.coded_width >= in.width && in.layout.coded_height >= in.height);
    for (uint32_t i = 0; i < in.layout.plane_count; i++)
        check_plane(&in, i);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    struct input in = {.format = (int32_t)(index / 2), .width = 641, .height = 481};

    if (index >= 2 * CUFRAMES_FORMAT_COUNT)
        return 0;
    FUZZ_REQUIRE(cuframes_layout_init(&in.layout, (cuframes_format_t)in.format, 641, 481,
                                      index % 2 ? 256 : 0) == CUFRAMES_OK);
    memcpy(data, &in, sizeof(in));
    return sizeof(in);
}
