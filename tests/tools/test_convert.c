/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colours: known values of the standards, and every pixel of every format against the formulas in
 * floating point.
 */
#include <math.h>
#include <stdlib.h>

#include "common/convert.h"
#include "harness/harness.h"

/* One pixel of any YUV or gray format through convert_picture(). */
static void one_pixel(cuframes_format_t format, cuframes_color_t color, const uint8_t *samples,
                      uint8_t rgb[3])
{
    struct picture picture = {.format = format,
                              .width = 1,
                              .height = 1,
                              .color = color,
                              .planes = {samples, samples + 2, samples + 4},
                              .pitches = {8, 8, 8}};

    convert_picture(&picture, CONVERT_RGB, rgb, 3);
}

static void check_rgb(const uint8_t rgb[3], int r, int g, int b)
{
    if (rgb[0] != r || rgb[1] != g || rgb[2] != b)
        FAIL("%d %d %d is not %d %d %d", rgb[0], rgb[1], rgb[2], r, g, b);
}

static const cuframes_color_t bt601 = {.matrix = 6, .range = CUFRAMES_RANGE_LIMITED};
static const cuframes_color_t bt601_full = {.matrix = 5, .range = CUFRAMES_RANGE_FULL};
static const cuframes_color_t bt709 = {.matrix = 1, .range = CUFRAMES_RANGE_LIMITED};
static const cuframes_color_t bt2020 = {.matrix = 9, .range = CUFRAMES_RANGE_LIMITED};

TEST(black_white_and_beyond)
{
    uint8_t rgb[3];

    one_pixel(CUFRAMES_FORMAT_YUV420P, bt709, (uint8_t[6]){16, 0, 128, 0, 128}, rgb);
    check_rgb(rgb, 0, 0, 0);
    one_pixel(CUFRAMES_FORMAT_YUV420P, bt709, (uint8_t[6]){235, 0, 128, 0, 128}, rgb);
    check_rgb(rgb, 255, 255, 255);
    one_pixel(CUFRAMES_FORMAT_YUV420P, bt709, (uint8_t[6]){255, 0, 128, 0, 128}, rgb);
    check_rgb(rgb, 255, 255, 255);
    one_pixel(CUFRAMES_FORMAT_YUV420P, bt709, (uint8_t[6]){0, 0, 128, 0, 128}, rgb);
    check_rgb(rgb, 0, 0, 0);
    one_pixel(CUFRAMES_FORMAT_YUV420P, bt601_full, (uint8_t[6]){255, 0, 128, 0, 128}, rgb);
    check_rgb(rgb, 255, 255, 255);
}

TEST(colour_bars_of_each_matrix)
{
    uint8_t rgb[3];

    /* 100 % red as each standard writes it, rounded to 8 bits. */
    one_pixel(CUFRAMES_FORMAT_YUV444P, bt601, (uint8_t[6]){81, 0, 90, 0, 240}, rgb);
    check_rgb(rgb, 254, 0, 0);
    one_pixel(CUFRAMES_FORMAT_YUV444P, bt709, (uint8_t[6]){63, 0, 102, 0, 240}, rgb);
    check_rgb(rgb, 255, 1, 0);
    one_pixel(CUFRAMES_FORMAT_YUV444P, bt601_full, (uint8_t[6]){76, 0, 85, 0, 255}, rgb);
    check_rgb(rgb, 254, 0, 0);
}

/* The standards' formulas, without anything fixed. */
static void expected_rgb(double kr, double kb, double y, double u, double v, int rgb[3])
{
    double kg = 1 - kr - kb;
    double r = y + 2 * (1 - kr) * v;
    double b = y + 2 * (1 - kb) * u;
    double all[3] = {r, (y - kr * r - kb * b) / kg, b};

    for (int i = 0; i < 3; i++)
        rgb[i] = (int)fmin(255, fmax(0, rint(all[i] * 255)));
}

static void check_near(const uint8_t rgb[3], const int expected[3], int y, int u, int v)
{
    for (int i = 0; i < 3; i++)
        if (abs(rgb[i] - expected[i]) > 1)
            FAIL("Y %d U %d V %d: %d %d %d is not near %d %d %d", y, u, v, rgb[0], rgb[1], rgb[2],
                 expected[0], expected[1], expected[2]);
}

static void check_all(cuframes_color_t color, double kr, double kb)
{
    for (int y = 0; y < 256; y += 5) {
        for (int u = 0; u < 256; u += 5) {
            for (int v = 0; v < 256; v += 5) {
                bool full = color.range == CUFRAMES_RANGE_FULL;
                uint8_t rgb[3];
                int expected[3];

                one_pixel(CUFRAMES_FORMAT_YUV444P, color,
                          (uint8_t[6]){(uint8_t)y, 0, (uint8_t)u, 0, (uint8_t)v}, rgb);
                expected_rgb(kr, kb, full ? y / 255. : (y - 16) / 219.,
                             (u - 128) / (full ? 255. : 224.), (v - 128) / (full ? 255. : 224.),
                             expected);
                check_near(rgb, expected, y, u, v);
            }
        }
    }
}

TEST(matrices_match_the_formulas)
{
    check_all(bt601, 0.299, 0.114);
    check_all(bt601_full, 0.299, 0.114);
    check_all(bt709, 0.2126, 0.0722);
    check_all(bt2020, 0.2627, 0.0593);
    check_all((cuframes_color_t){.matrix = 1, .range = CUFRAMES_RANGE_FULL}, 0.2126, 0.0722);
}

TEST(ten_bits_match_the_formulas)
{
    for (int y = 0; y < 1024; y += 7) {
        for (int v = 0; v < 1024; v += 31) {
            uint8_t samples[6] = {(uint8_t)(y << 6), (uint8_t)(y >> 2), 0, 0x80,
                                  (uint8_t)(v << 6), (uint8_t)(v >> 2)};
            uint8_t rgb[3];
            int expected[3];

            one_pixel(CUFRAMES_FORMAT_P010, bt2020, samples, rgb);
            expected_rgb(0.2627, 0.0593, (y - 64) / 876., 0, (v - 512) / 896., expected);
            check_near(rgb, expected, y, 512, v);
        }
    }
}

TEST(matrix_that_is_not_named_follows_the_size)
{
    static uint8_t luma[1280], chroma[1280];
    struct picture picture = {.format = CUFRAMES_FORMAT_NV12,
                              .width = 1280,
                              .height = 1,
                              .planes = {luma, chroma},
                              .pitches = {1280, 1280}};
    static uint8_t rgb[1280 * 3];
    uint8_t small[3], large[3];

    memset(luma, 100, sizeof(luma));
    memset(chroma, 200, sizeof(chroma));
    one_pixel(CUFRAMES_FORMAT_YUV444P, bt709, (uint8_t[6]){100, 0, 200, 0, 200}, large);
    one_pixel(CUFRAMES_FORMAT_YUV444P, bt601, (uint8_t[6]){100, 0, 200, 0, 200}, small);
    CHECK(memcmp(small, large, 3) != 0);
    convert_picture(&picture, CONVERT_RGB, rgb, sizeof(rgb));
    CHECK(memcmp(rgb, large, 3) == 0);
    picture.width = 640;
    convert_picture(&picture, CONVERT_RGB, rgb, sizeof(rgb));
    CHECK(memcmp(rgb, small, 3) == 0);
}

TEST(gray_is_full_range_unless_it_says_otherwise)
{
    uint8_t rgb[3];

    one_pixel(CUFRAMES_FORMAT_GRAYSCALE, (cuframes_color_t){0}, (uint8_t[6]){255}, rgb);
    check_rgb(rgb, 255, 255, 255);
    one_pixel(CUFRAMES_FORMAT_GRAYSCALE, (cuframes_color_t){0}, (uint8_t[6]){100}, rgb);
    check_rgb(rgb, 100, 100, 100);
    one_pixel(CUFRAMES_FORMAT_GRAYSCALE, bt709, (uint8_t[6]){235}, rgb);
    check_rgb(rgb, 255, 255, 255);
    one_pixel(CUFRAMES_FORMAT_GRAY16, (cuframes_color_t){0}, (uint8_t[6]){0xff, 0xff}, rgb);
    check_rgb(rgb, 255, 255, 255);
    one_pixel(CUFRAMES_FORMAT_GRAY16, (cuframes_color_t){0}, (uint8_t[6]){0x00, 0x80}, rgb);
    check_rgb(rgb, 128, 128, 128);
}

static void check_rgb_format(cuframes_format_t format, const uint8_t *pixel)
{
    struct picture picture = {
        .format = format, .width = 1, .height = 1, .planes = {pixel}, .pitches = {4}};
    uint8_t rgb[3], bgrx[4];

    convert_picture(&picture, CONVERT_RGB, rgb, 3);
    check_rgb(rgb, 10, 20, 30);
    convert_picture(&picture, CONVERT_BGRX, bgrx, 4);
    CHECK(memcmp(bgrx, (uint8_t[]){30, 20, 10, 255}, 4) == 0);
}

TEST(rgb_formats_are_only_reordered)
{
    check_rgb_format(CUFRAMES_FORMAT_RGB, (uint8_t[]){10, 20, 30});
    check_rgb_format(CUFRAMES_FORMAT_BGR, (uint8_t[]){30, 20, 10});
    check_rgb_format(CUFRAMES_FORMAT_RGBA, (uint8_t[]){10, 20, 30, 7});
    check_rgb_format(CUFRAMES_FORMAT_BGRA, (uint8_t[]){30, 20, 10, 7});
}

/*
 * A picture whose sizes are odd and larger than one chunk, with a colour of its own in each chroma
 * sample: each pixel must be that of its place, in the planar and the interleaved form.
 */
#define ODD_WIDTH  517
#define ODD_HEIGHT 5
#define HALF_WIDTH ((ODD_WIDTH + 1) / 2)

TEST(odd_sizes_take_chroma_from_the_right_place)
{
    static uint8_t luma[ODD_WIDTH * ODD_HEIGHT], u[HALF_WIDTH * 3], v[HALF_WIDTH * 3];
    static uint8_t uv[HALF_WIDTH * 2 * 3];
    static uint8_t planar[ODD_WIDTH * ODD_HEIGHT * 3], interleaved[sizeof(planar)];
    struct picture picture = {.format = CUFRAMES_FORMAT_YUV420P,
                              .width = ODD_WIDTH,
                              .height = ODD_HEIGHT,
                              .color = bt709,
                              .planes = {luma, u, v},
                              .pitches = {ODD_WIDTH, HALF_WIDTH, HALF_WIDTH}};

    for (int i = 0; i < HALF_WIDTH * 3; i++) {
        u[i] = uv[2 * i] = (uint8_t)(i * 7);
        v[i] = uv[2 * i + 1] = (uint8_t)(i * 13);
    }
    for (size_t i = 0; i < sizeof(luma); i++)
        luma[i] = (uint8_t)(i * 3);
    convert_picture(&picture, CONVERT_RGB, planar, ODD_WIDTH * 3);
    picture.format = CUFRAMES_FORMAT_NV12;
    picture.planes[1] = uv;
    picture.pitches[1] = HALF_WIDTH * 2;
    convert_picture(&picture, CONVERT_RGB, interleaved, ODD_WIDTH * 3);
    CHECK(memcmp(planar, interleaved, sizeof(planar)) == 0);
    for (int y = 0; y < ODD_HEIGHT; y++) {
        for (int x = 0; x < ODD_WIDTH; x++) {
            int c = y / 2 * HALF_WIDTH + x / 2;
            uint8_t rgb[3];

            one_pixel(CUFRAMES_FORMAT_YUV444P, bt709,
                      (uint8_t[6]){luma[y * ODD_WIDTH + x], 0, u[c], 0, v[c]}, rgb);
            CHECK(memcmp(rgb, planar + (y * ODD_WIDTH + x) * 3, 3) == 0);
        }
    }
}
