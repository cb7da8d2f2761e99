/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Formats: names, fourccs, plane geometry of odd and even sizes, and which layouts are refused.
 */
#include "harness/harness.h"

#include "format/format.h"

/* What the DRM headers and the formats' definitions say, written down a second time. */
static const struct expected {
    cuframes_format_t format;
    const char *name;
    char fourcc[5];
    uint32_t planes;
    uint32_t row_bytes[3], rows[3]; /* of a picture of 641x481 */
} expected[] = {
    {CUFRAMES_FORMAT_NV12, "nv12", "NV12", 2, {641, 642}, {481, 241}},
    {CUFRAMES_FORMAT_YUV420P, "yuv420p", "YU12", 3, {641, 321, 321}, {481, 241, 241}},
    {CUFRAMES_FORMAT_RGB, "rgb", "BG24", 1, {1923}, {481}},
    {CUFRAMES_FORMAT_BGR, "bgr", "RG24", 1, {1923}, {481}},
    {CUFRAMES_FORMAT_RGBA, "rgba", "AB24", 1, {2564}, {481}},
    {CUFRAMES_FORMAT_GRAYSCALE, "grayscale", "R8  ", 1, {641}, {481}},
    {CUFRAMES_FORMAT_P010, "p010", "P010", 2, {1282, 1284}, {481, 241}},
    {CUFRAMES_FORMAT_YUV444P, "yuv444p", "YU24", 3, {641, 641, 641}, {481, 481, 481}},
    {CUFRAMES_FORMAT_BGRA, "bgra", "AR24", 1, {2564}, {481}},
    {CUFRAMES_FORMAT_GRAY16, "gray16", "R16 ", 1, {1282}, {481}},
};

#define EXPECTED (sizeof(expected) / sizeof(expected[0]))

static uint32_t fourcc_of(const char *text)
{
    const uint8_t *b = (const uint8_t *)text;

    return (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 | (uint32_t)b[3] << 24;
}

TEST(every_format_has_its_name_and_fourcc)
{
    CHECK_EQ(EXPECTED, CUFRAMES_FORMAT_COUNT);
    for (size_t i = 0; i < EXPECTED; i++) {
        cuframes_format_t found = CUFRAMES_FORMAT_COUNT;

        CHECK_EQ(expected[i].format, i);
        CHECK_STR_EQ(cuframes_format_name(expected[i].format), expected[i].name);
        CHECK_OK(cuframes_format_from_name(expected[i].name, &found));
        CHECK_EQ(found, i);
        CHECK_EQ(cuframes_format_fourcc(expected[i].format), fourcc_of(expected[i].fourcc));
        found = CUFRAMES_FORMAT_COUNT;
        CHECK_OK(cuframes_format_from_fourcc(fourcc_of(expected[i].fourcc), &found));
        CHECK_EQ(found, i);
    }
}

TEST(names_are_found_in_any_case)
{
    cuframes_format_t found;

    CHECK_OK(cuframes_format_from_name("Nv12", &found));
    CHECK_EQ(found, CUFRAMES_FORMAT_NV12);
}

TEST(unknown_formats_are_refused)
{
    const cuframes_format_t strangers[] = {CUFRAMES_FORMAT_COUNT, (cuframes_format_t)-1,
                                           (cuframes_format_t)INT32_MAX};
    cuframes_format_t untouched = CUFRAMES_FORMAT_P010;
    cuframes_layout_t layout;
    uint32_t bytes, rows;

    for (size_t i = 0; i < 3; i++) {
        CHECK(!cuframes_format_name(strangers[i]));
        CHECK_EQ(cuframes_format_fourcc(strangers[i]), 0);
        CHECK_EQ(cuframes_format_planes(strangers[i]), 0);
        CHECK_EQ(cuframes_calc_frame_size(strangers[i], 64, 64, NULL, NULL), 0);
        CHECK_ERR(cuframes_layout_init(&layout, strangers[i], 64, 64, 0), CUFRAMES_ERR_FORMAT);
        CHECK_ERR(cuframes_format_plane_size(strangers[i], 0, 64, 64, &bytes, &rows),
                  CUFRAMES_ERR_FORMAT);
    }
    CHECK_ERR_SAYS(cuframes_format_from_name("nv13", &untouched), CUFRAMES_ERR_FORMAT, "nv12");
    CHECK_ERR(cuframes_format_from_name("", &untouched), CUFRAMES_ERR_FORMAT);
    CHECK_ERR(cuframes_format_from_name(NULL, &untouched), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_format_from_name("nv12", NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_format_from_fourcc(0, &untouched), CUFRAMES_ERR_FORMAT);
    CHECK_ERR(cuframes_format_from_fourcc(fourcc_of("NV12"), NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(untouched, CUFRAMES_FORMAT_P010);
}

TEST(packed_planes_follow_each_other)
{
    for (size_t i = 0; i < EXPECTED; i++) {
        const struct expected *e = &expected[i];
        cuframes_layout_t layout;
        uint64_t offset = 0;

        CHECK_OK(cuframes_layout_init(&layout, e->format, 641, 481, 0));
        CHECK_EQ(cuframes_format_planes(e->format), e->planes);
        CHECK_EQ(layout.plane_count, e->planes);
        CHECK_EQ(layout.coded_width, 641);
        CHECK_EQ(layout.coded_height, 481);
        for (uint32_t p = 0; p < e->planes; p++) {
            uint32_t row_bytes, rows;

            CHECK_EQ(layout.planes[p].offset, offset);
            CHECK_EQ(layout.planes[p].pitch, e->row_bytes[p]);
            CHECK_EQ(layout.planes[p].rows, e->rows[p]);
            offset += (uint64_t)e->row_bytes[p] * e->rows[p];
            CHECK_OK(
                cuframes_format_plane_size(e->format, (int32_t)p, 641, 481, &row_bytes, &rows));
            CHECK_EQ(row_bytes, e->row_bytes[p]);
            CHECK_EQ(rows, e->rows[p]);
        }
        CHECK_EQ(layout.size, offset);
        CHECK_OK(cf_layout_check(&layout, e->format, 641, 481));
    }
}

TEST(frame_size_is_that_of_the_packed_layout)
{
    int32_t pitch_y = -1, pitch_uv = -1;

    CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_NV12, 1920, 1080, &pitch_y, &pitch_uv),
             1920 * 1080 * 3 / 2);
    CHECK_EQ(pitch_y, 1920);
    CHECK_EQ(pitch_uv, 1920);
    CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_NV12, 3, 3, &pitch_y, &pitch_uv), 9 + 8);
    CHECK_EQ(pitch_y, 3);
    CHECK_EQ(pitch_uv, 4);
    CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_BGR, 5, 2, &pitch_y, &pitch_uv), 30);
    CHECK_EQ(pitch_y, 15);
    CHECK_EQ(pitch_uv, 0);
    CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_YUV420P, 1, 1, NULL, NULL), 3);
    CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_RGBA, CUFRAMES_MAX_DIMENSION,
                                      CUFRAMES_MAX_DIMENSION, &pitch_y, NULL),
             UINT64_C(1) << 32);
    CHECK_EQ(pitch_y, 4 * CUFRAMES_MAX_DIMENSION);
}

TEST(sizes_out_of_range_are_refused)
{
    const int32_t bad[] = {0, -1, INT32_MIN, CUFRAMES_MAX_DIMENSION + 1, 100000, INT32_MAX};
    cuframes_layout_t layout = {.size = 77};
    int32_t pitch = 77;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_ERR(cuframes_layout_init(&layout, CUFRAMES_FORMAT_NV12, bad[i], 16, 0),
                  CUFRAMES_ERR_INVALID_ARG);
        CHECK_ERR_SAYS(cuframes_layout_init(&layout, CUFRAMES_FORMAT_NV12, 16, bad[i], 0),
                       CUFRAMES_ERR_INVALID_ARG, "1 to 32768");
        CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_NV12, bad[i], 16, &pitch, &pitch), 0);
    }
    CHECK_EQ(layout.size, 77);
    CHECK_EQ(pitch, 77);
}

TEST(pitches_are_aligned)
{
    for (uint32_t alignment = 1; alignment <= 4096; alignment *= 2) {
        for (size_t i = 0; i < EXPECTED; i++) {
            cuframes_layout_t layout;

            CHECK_OK(cuframes_layout_init(&layout, expected[i].format, 641, 481, alignment));
            CHECK_OK(cf_layout_check(&layout, expected[i].format, 641, 481));
            for (uint32_t p = 0; p < layout.plane_count; p++) {
                CHECK_EQ(layout.planes[p].pitch % alignment, 0);
                CHECK_EQ(layout.planes[p].offset % alignment, 0);
                CHECK_GE(layout.planes[p].pitch, expected[i].row_bytes[p]);
                CHECK_LT(layout.planes[p].pitch, expected[i].row_bytes[p] + alignment);
            }
        }
    }
}

TEST(bad_alignments_are_refused)
{
    const uint32_t bad[] = {3, 48, 8192, UINT32_MAX, UINT32_C(1) << 31};
    cuframes_layout_t layout;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_ERR_SAYS(cuframes_layout_init(&layout, CUFRAMES_FORMAT_NV12, 64, 64, bad[i]),
                       CUFRAMES_ERR_INVALID_ARG, "power of two");
    CHECK_ERR(cuframes_layout_init(NULL, CUFRAMES_FORMAT_NV12, 64, 64, 0),
              CUFRAMES_ERR_INVALID_ARG);
}

TEST(planes_that_do_not_exist_are_refused)
{
    uint32_t bytes = 77, rows = 77;

    CHECK_ERR_SAYS(cuframes_format_plane_size(CUFRAMES_FORMAT_NV12, 2, 64, 64, &bytes, &rows),
                   CUFRAMES_ERR_INVALID_ARG, "2 planes");
    CHECK_ERR(cuframes_format_plane_size(CUFRAMES_FORMAT_NV12, -1, 64, 64, &bytes, &rows),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(bytes, 77);
    CHECK_EQ(rows, 77);
    CHECK_OK(cuframes_format_plane_size(CUFRAMES_FORMAT_NV12, 1, 64, 64, NULL, NULL));
}

static cuframes_layout_t padded(cuframes_format_t format)
{
    cuframes_layout_t layout;

    CHECK_OK(cuframes_layout_init(&layout, format, 704, 528, 64));
    return layout;
}

TEST(padding_and_side_by_side_planes_are_fine)
{
    cuframes_layout_t layout = padded(CUFRAMES_FORMAT_YUV420P);

    CHECK_OK(cf_layout_check(&layout, CUFRAMES_FORMAT_YUV420P, 641, 481));
    /* Cb and Cr in the same rows, as some decoders have them. */
    layout.planes[1].pitch = layout.planes[2].pitch = 704;
    layout.planes[2].offset = layout.planes[1].offset + 352;
    layout.size = layout.planes[2].offset + 704 * 264;
    CHECK_OK(cf_layout_check(&layout, CUFRAMES_FORMAT_YUV420P, 641, 481));
}

/* A good layout in which `change` was made is refused in these words. */
#define CHECK_REFUSED(format, change, words)                                                       \
    do {                                                                                           \
        cuframes_layout_t l = padded(format);                                                      \
        change;                                                                                    \
        CHECK_ERR_SAYS(cf_layout_check(&l, format, 641, 481), CUFRAMES_ERR_FORMAT, words);         \
    } while (0)

TEST(layouts_that_do_not_fit_are_refused)
{
    const cuframes_format_t nv12 = CUFRAMES_FORMAT_NV12;

    CHECK_REFUSED(nv12, l.coded_width = 640, "coded size");
    CHECK_REFUSED(nv12, l.coded_height = 480, "coded size");
    CHECK_REFUSED(nv12, l.coded_width = INT32_MIN, "coded size");
    CHECK_REFUSED(nv12, l.coded_width = CF_MAX_CODED_DIMENSION + 1, "coded size");
    CHECK_REFUSED(nv12, l.coded_height = INT32_MAX, "coded size");
    CHECK_REFUSED(nv12, l.plane_count = 1, "1 planes");
    CHECK_REFUSED(nv12, l.plane_count = 3, "3 planes");
    CHECK_REFUSED(nv12, l.plane_count = UINT32_MAX, "planes");
    CHECK_REFUSED(nv12, l.planes[0].pitch = 703, "plane 0");
    CHECK_REFUSED(nv12, l.planes[1].pitch = 702, "plane 1");
    CHECK_REFUSED(nv12, l.planes[0].rows = 527, "plane 0");
    CHECK_REFUSED(nv12, l.planes[1].rows = 263, "plane 1");
    CHECK_REFUSED(nv12, l.size--, "plane 1");
    CHECK_REFUSED(nv12, l.size = 0, "plane 0");
    CHECK_REFUSED(nv12, l.size = CF_MAX_FRAME_SIZE + 1, "limit");
    CHECK_REFUSED(nv12, l.planes[1].offset++, "plane 1");
    CHECK_REFUSED(nv12, l.planes[1].offset = UINT64_MAX, "plane 1");
    CHECK_REFUSED(nv12, l.planes[0].pitch = l.planes[0].rows = UINT32_MAX, "plane 0");
    CHECK_REFUSED(nv12, l.planes[2].rows = 1, "plane 2");
    CHECK_REFUSED(nv12, l.planes[3].offset = 1, "plane 3");
    CHECK_REFUSED(nv12, l._reserved = 1, "reserved");
    CHECK_REFUSED(CUFRAMES_FORMAT_P010, (l.planes[0].pitch++, l.size += 4096), "multiples");
    CHECK_REFUSED(CUFRAMES_FORMAT_GRAY16, (l.planes[0].offset++, l.size += 4096), "multiples");
}

TEST(layout_of_no_picture_is_refused)
{
    cuframes_layout_t l = padded(CUFRAMES_FORMAT_NV12);

    CHECK_ERR(cf_layout_check(&l, CUFRAMES_FORMAT_COUNT, 641, 481), CUFRAMES_ERR_FORMAT);
    CHECK_ERR(cf_layout_check(&l, CUFRAMES_FORMAT_NV12, 0, 481), CUFRAMES_ERR_FORMAT);
    CHECK_ERR(cf_layout_check(&l, CUFRAMES_FORMAT_NV12, 641, -1), CUFRAMES_ERR_FORMAT);
}
