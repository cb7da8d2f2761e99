/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is said about a frame arrives as it was said, in every format and at odd sizes; what cannot
 * be is refused and nothing is published.
 */
#include <string.h>

#include "support.h"

/* One publisher, one reader in order, one frame to look at. */
struct pair {
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
};

static struct pair make_pair(const cuframes_publisher_config_t *config)
{
    struct pair pair = {.publisher = make_publisher(config)};

    pair.reader = make_reader(config->key, CUFRAMES_MODE_STRICT_ORDER);
    return pair;
}

static void end_pair(struct pair *pair)
{
    CHECK_OK(cuframes_subscriber_destroy(pair->reader));
    CHECK_OK(cuframes_publisher_destroy(pair->publisher));
}

TEST(everything_that_is_said_arrives)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair = make_pair(&config);
    uint8_t blob[CUFRAMES_MAX_USER_DATA];
    cuframes_frame_meta_t meta = {
        .pts_ns = -123456789,
        .capture_ns = INT64_C(1700000000123456789),
        .capture_source = CUFRAMES_CLOCK_CAMERA,
        .flags = CUFRAMES_FRAME_CORRUPT | CUFRAMES_FRAME_KEY | CUFRAMES_FRAME_DISCONTINUITY |
                 CUFRAMES_FRAME_INTERLACED | CUFRAMES_FRAME_TOP_FIELD_FIRST,
        .color = {1, 9, 16, CUFRAMES_RANGE_FULL},
        .crop = {3, 5, 40, 30},
        .user_data = blob,
        .user_size = sizeof(blob),
    };
    int64_t before = cuframes_now_ns();
    cuframes_clock_source_t source = 0;
    const void *user;
    size_t user_size = 0;
    cuframes_color_t color;
    cuframes_rect_t crop;
    cuframes_frame_t *frame;
    int32_t width, height;

    for (size_t i = 0; i < sizeof(blob); i++)
        blob[i] = (uint8_t)(i * 7);
    publish_with(pair.publisher, &meta);
    frame = take_frame(pair.reader);
    CHECK_EQ(cuframes_frame_pts_ns(frame), -123456789);
    CHECK_EQ(cuframes_frame_capture_ns(frame, &source), INT64_C(1700000000123456789));
    CHECK_EQ(cuframes_frame_capture_ns(frame, NULL), INT64_C(1700000000123456789));
    CHECK_EQ(source, CUFRAMES_CLOCK_CAMERA);
    CHECK_EQ(cuframes_frame_flags(frame), meta.flags | CUFRAMES_FRAME_GENERATION);
    cuframes_frame_color(frame, &color);
    CHECK_MEM_EQ(&color, &meta.color, sizeof(color));
    cuframes_frame_crop(frame, &crop);
    CHECK_MEM_EQ(&crop, &meta.crop, sizeof(crop));
    cuframes_frame_size(frame, &width, &height);
    CHECK_EQ(width, 40);
    CHECK_EQ(height, 30);
    cuframes_frame_size(frame, NULL, NULL);
    user = cuframes_frame_user_data(frame, &user_size);
    CHECK_EQ(user_size, sizeof(blob));
    CHECK_MEM_EQ(user, blob, sizeof(blob));
    CHECK_GE(cuframes_frame_published_ns(frame), before);
    CHECK_LE(cuframes_frame_published_ns(frame), cuframes_now_ns());
    CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_HOST);
    CHECK_EQ(cuframes_frame_data_size(frame), 64U * 48U);
    CHECK(cuframes_frame_cuda_ptr(frame) == cuframes_frame_data(frame));
    cuframes_frame_release(frame);
    end_pair(&pair);
}

/* Takes the next frame and tells whether it is flagged as a discontinuity. */
static bool next_is_break(cuframes_subscriber_t *reader, int64_t pts_ns)
{
    cuframes_frame_t *frame = take_frame(reader);
    bool flagged = cuframes_frame_flags(frame) & CUFRAMES_FRAME_DISCONTINUITY;

    CHECK_EQ(cuframes_frame_pts_ns(frame), pts_ns);
    cuframes_frame_release(frame);
    return flagged;
}

TEST(a_break_in_a_frame_that_was_missed_is_told_with_the_next_one)
{
    cuframes_publisher_config_t config = small_config("cam"), other = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_frame_meta_t broken = {.pts_ns = 1, .flags = CUFRAMES_FRAME_DISCONTINUITY};

    publish(publisher, 0);
    CHECK(!next_is_break(reader, 0));
    publish_with(publisher, &broken);
    publish(publisher, 2);
    CHECK(next_is_break(reader, 2));
    publish(publisher, 3);
    CHECK(!next_is_break(reader, 3));
    /* The count goes on in the memory of a new generation: its first frame is no break. */
    broken.pts_ns = 4;
    publish_with(publisher, &broken);
    other.width = 32;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &other));
    publish(publisher, 5);
    publish(publisher, 6);
    CHECK(next_is_break(reader, 4));
    CHECK(!next_is_break(reader, 6));
    publish(publisher, 7);
    CHECK(!next_is_break(reader, 7));
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(nothing_said_means_not_known)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair;
    cuframes_clock_source_t source = CUFRAMES_CLOCK_FILE;
    cuframes_buffer_t *buffer;
    size_t user_size = 77;
    cuframes_color_t color;
    cuframes_rect_t crop;
    cuframes_frame_t *frame;

    config.color = (cuframes_color_t){5, 6, 7, CUFRAMES_RANGE_LIMITED};
    pair = make_pair(&config);
    CHECK_OK(cuframes_publisher_acquire_buffer(pair.publisher, &buffer));
    CHECK_OK(cuframes_publisher_publish_buffer(pair.publisher, buffer, NULL, NULL, NULL));
    cuframes_buffer_unref(buffer);
    CHECK_OK(cuframes_subscriber_next(pair.reader, NULL, &frame, 1000));
    CHECK_EQ(cuframes_frame_pts_ns(frame), CUFRAMES_NO_TIME);
    CHECK_EQ(cuframes_frame_capture_ns(frame, &source), CUFRAMES_NO_TIME);
    CHECK_EQ(source, CUFRAMES_CLOCK_UNKNOWN);
    CHECK(!cuframes_frame_user_data(frame, &user_size));
    CHECK_EQ(user_size, 0U);
    cuframes_frame_color(frame, &color);
    CHECK_MEM_EQ(&color, &config.color, sizeof(color));
    cuframes_frame_crop(frame, &crop);
    CHECK_EQ(crop.x, 0);
    CHECK_EQ(crop.y, 0);
    CHECK_EQ(crop.width, 64);
    CHECK_EQ(crop.height, 48);
    cuframes_frame_release(frame);
    end_pair(&pair);
}

TEST(colour_of_a_frame_goes_before_the_channels)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_frame_meta_t meta = {.pts_ns = 1, .color = {9, 0, 16, 0}};
    struct pair pair;
    cuframes_frame_t *frame;
    cuframes_color_t color;

    config.color = (cuframes_color_t){1, 2, 3, CUFRAMES_RANGE_FULL};
    pair = make_pair(&config);
    publish_with(pair.publisher, &meta);
    frame = take_frame(pair.reader);
    cuframes_frame_color(frame, &color);
    CHECK_EQ(color.matrix, 9);
    CHECK_EQ(color.primaries, 2);
    CHECK_EQ(color.transfer, 16);
    CHECK_EQ(color.range, CUFRAMES_RANGE_FULL);
    cuframes_frame_release(frame);
    end_pair(&pair);
}

TEST(what_cannot_be_is_refused_and_not_published)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair = make_pair(&config);
    uint8_t blob[CUFRAMES_MAX_USER_DATA + 1] = {0};
    const cuframes_frame_meta_t good = {.pts_ns = 1};
    cuframes_frame_meta_t bad;
    cuframes_buffer_t *buffer;

    CHECK_OK(cuframes_publisher_acquire_buffer(pair.publisher, &buffer));
    fill_pattern(cuframes_buffer_data(buffer), 64 * 48, 1);
#define REFUSE(words, ...)                                                                         \
    do {                                                                                           \
        bad = (cuframes_frame_meta_t){.pts_ns = 1, __VA_ARGS__};                                   \
        CHECK_ERR_SAYS(                                                                            \
            cuframes_publisher_publish_buffer(pair.publisher, buffer, NULL, &bad, NULL),           \
            CUFRAMES_ERR_INVALID_ARG, words);                                                      \
    } while (0)
    REFUSE("user data", .user_data = blob, .user_size = sizeof(blob));
    REFUSE("user data", .user_data = blob, .user_size = UINT32_MAX);
    REFUSE("user data", .user_data = NULL, .user_size = 1);
    REFUSE("flags", .flags = CUFRAMES_FRAME_GENERATION);
    REFUSE("flags", .flags = 1U << 31);
    REFUSE("capture", .capture_source = (cuframes_clock_source_t)6);
    REFUSE("range", .color.range = 3);
    REFUSE("rectangle", .crop = {0, 0, 65, 48});
    REFUSE("rectangle", .crop = {0, 0, 64, 49});
    REFUSE("rectangle", .crop = {1, 0, 64, 48});
    REFUSE("rectangle", .crop = {-1, 0, 10, 10});
    REFUSE("rectangle", .crop = {0, 0, 0, 10});
    REFUSE("rectangle", .crop = {0, 0, 10, -1});
    REFUSE("rectangle", .crop = {INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX});
    REFUSE("rectangle", .crop = {0, INT32_MIN, 1, INT32_MAX});
#undef REFUSE
    CHECK_EQ(publisher_stats(pair.publisher).published, 0U);
    EXPECT_NOTHING(pair.reader);
    CHECK_OK(cuframes_publisher_publish_buffer(pair.publisher, buffer, NULL, &good, NULL));
    cuframes_buffer_unref(buffer);
    expect_frame(pair.reader, 1);
    end_pair(&pair);
}

TEST(user_data_of_one_frame_does_not_reach_the_next)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair = make_pair(&config);
    cuframes_frame_t *frame;
    size_t size;

    for (int i = 0; i < 20; i++) {
        char text[32];
        cuframes_frame_meta_t meta = {.pts_ns = i, .user_data = text};

        meta.user_size = i % 3 == 0 ? 0 : (uint32_t)snprintf(text, sizeof(text), "frame %d", i);
        publish_with(pair.publisher, &meta);
        frame = take_frame(pair.reader);
        CHECK_EQ(cuframes_frame_user_data(frame, &size) == NULL, i % 3 == 0);
        CHECK_EQ(size, meta.user_size);
        if (size > 0)
            CHECK_MEM_EQ(cuframes_frame_user_data(frame, NULL), text, size);
        cuframes_frame_release(frame);
    }
    end_pair(&pair);
}

TEST(copies_are_counted)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair = make_pair(&config);

    for (uint32_t i = 0; i < 10; i++) {
        cuframes_frame_meta_t meta = {.pts_ns = i, .copies = i % 2};

        publish_with(pair.publisher, &meta);
    }
    CHECK_EQ(publisher_stats(pair.publisher).copied, 5U);
    end_pair(&pair);
}

/* Writes each plane row by row, and reads it back through the frame's planes. */
static void check_planes(cuframes_format_t format, int32_t width, int32_t height,
                         const cuframes_layout_t *layout)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair;
    cuframes_buffer_t *buffer;
    cuframes_frame_t *frame;
    cuframes_frame_meta_t meta = {.pts_ns = 1};

    config.format = format;
    config.width = width;
    config.height = height;
    config.layout = layout;
    pair = make_pair(&config);
    CHECK_OK(cuframes_publisher_acquire_buffer(pair.publisher, &buffer));
    for (int32_t p = 0; p < cuframes_format_planes(format); p++) {
        uint32_t pitch, row_bytes, rows;
        uint8_t *plane = cuframes_buffer_plane(buffer, p, &pitch);

        CHECK_OK(cuframes_format_plane_size(format, p, width, height, &row_bytes, &rows));
        for (uint32_t y = 0; y < rows; y++)
            for (uint32_t x = 0; x < row_bytes; x++)
                plane[y * pitch + x] = (uint8_t)(x + y * 3 + (uint32_t)p * 101);
    }
    CHECK_OK(cuframes_publisher_publish_buffer(pair.publisher, buffer, NULL, &meta, NULL));
    cuframes_buffer_unref(buffer);
    CHECK_OK(cuframes_subscriber_next(pair.reader, NULL, &frame, 1000));
    CHECK_EQ(cuframes_frame_plane_count(frame), cuframes_format_planes(format));
    for (int32_t p = 0; p < cuframes_format_planes(format); p++) {
        uint32_t row_bytes, rows;
        cuframes_plane_t plane;

        CHECK_OK(cuframes_frame_plane(frame, p, &plane));
        CHECK_OK(cuframes_format_plane_size(format, p, width, height, &row_bytes, &rows));
        CHECK_EQ(plane.row_bytes, row_bytes);
        CHECK_EQ(plane.rows, rows);
        for (uint32_t y = 0; y < rows; y++)
            for (uint32_t x = 0; x < row_bytes; x++)
                CHECK_EQ(((const uint8_t *)plane.data)[y * plane.pitch + x],
                         (uint8_t)(x + y * 3 + (uint32_t)p * 101));
    }
    cuframes_frame_release(frame);
    end_pair(&pair);
}

TEST(planes_of_every_format_and_odd_sizes)
{
    static const int32_t sizes[][2] = {{64, 48}, {63, 47}, {1, 1}, {2, 3}};

    for (int format = 0; format < CUFRAMES_FORMAT_COUNT; format++)
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            cuframes_layout_t padded;

            check_planes((cuframes_format_t)format, sizes[i][0], sizes[i][1], NULL);
            CHECK_OK(cuframes_layout_init(&padded, (cuframes_format_t)format, sizes[i][0] + 16,
                                          sizes[i][1] + 10, 64));
            check_planes((cuframes_format_t)format, sizes[i][0], sizes[i][1], &padded);
        }
}

TEST(packed_layout_is_the_one_that_programs_assume)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct pair pair;
    cuframes_frame_t *frame;
    int32_t pitch_y, pitch_uv;
    cuframes_plane_t plane;

    config.format = CUFRAMES_FORMAT_NV12;
    pair = make_pair(&config);
    publish(pair.publisher, 0);
    frame = take_frame(pair.reader);
    CHECK_EQ(cuframes_calc_frame_size(CUFRAMES_FORMAT_NV12, 64, 48, &pitch_y, &pitch_uv),
             cuframes_frame_data_size(frame));
    CHECK_EQ(cuframes_frame_pitch_y(frame), pitch_y);
    CHECK_EQ(cuframes_frame_pitch_uv(frame), pitch_uv);
    CHECK_OK(cuframes_frame_plane(frame, 1, &plane));
    CHECK(plane.data == (const uint8_t *)cuframes_frame_data(frame) + pitch_y * 48);
    CHECK_ERR(cuframes_frame_plane(frame, 2, &plane), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_frame_plane(frame, -1, &plane), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_frame_plane(frame, 0, NULL), CUFRAMES_ERR_INVALID_ARG);
    cuframes_frame_release(frame);
    end_pair(&pair);
}

TEST(crop_moves_the_planes)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_frame_meta_t meta = {.pts_ns = 4, .crop = {8, 6, 33, 21}};
    struct pair pair;
    const uint8_t *data;
    cuframes_frame_t *frame;
    cuframes_plane_t plane;

    config.format = CUFRAMES_FORMAT_NV12;
    pair = make_pair(&config);
    publish_with(pair.publisher, &meta);
    frame = take_frame(pair.reader);
    data = cuframes_frame_data(frame);
    CHECK_OK(cuframes_frame_plane(frame, 0, &plane));
    CHECK_EQ((const uint8_t *)plane.data - data, 6 * 64 + 8);
    CHECK_EQ(plane.row_bytes, 33U);
    CHECK_EQ(plane.rows, 21U);
    CHECK_OK(cuframes_frame_plane(frame, 1, &plane));
    CHECK_EQ((const uint8_t *)plane.data - data, 64 * 48 + 3 * 64 + 8);
    CHECK_EQ(plane.row_bytes, 34U);
    CHECK_EQ(plane.rows, 11U);
    cuframes_frame_release(frame);
    end_pair(&pair);
}

TEST(a_picture_is_copied_as_it_is_seen)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_frame_meta_t meta = {.crop = {.x = 4, .y = 2, .width = 8, .height = 6}};
    uint8_t picture[8 * 6 * 3 / 2 + 1];
    cuframes_layout_t layout;
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_buffer_t *buffer;
    cuframes_frame_t *frame;
    uint8_t *luma, *chroma;

    config.format = CUFRAMES_FORMAT_NV12;
    CHECK_OK(cuframes_layout_init(&layout, config.format, config.width, config.height, 128));
    config.layout = &layout;
    publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    luma = cuframes_buffer_plane(buffer, 0, NULL);
    chroma = cuframes_buffer_plane(buffer, 1, NULL);
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 12; x++) {
            luma[y * layout.planes[0].pitch + x] = (uint8_t)(16 * y + x);
            chroma[y / 2 * layout.planes[1].pitch + x] = (uint8_t)(16 * y / 2 + x + 100);
        }
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
    cuframes_buffer_unref(buffer);
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
    memset(picture, 0xee, sizeof(picture));
    CHECK_ERR_SAYS(cuframes_frame_copy_to_host(frame, picture, 71), CUFRAMES_ERR_INVALID_ARG,
                   "72 bytes");
    CHECK_ERR(cuframes_frame_copy_to_host(frame, NULL, 72), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_frame_copy_to_host(NULL, picture, 72), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(picture[0], 0xee);
    CHECK_OK(cuframes_frame_copy_to_host(frame, picture, sizeof(picture)));
    for (size_t y = 0; y < 6; y++)
        for (size_t x = 0; x < 8; x++)
            CHECK_EQ(picture[y * 8 + x], 16 * (y + 2) + x + 4);
    for (size_t y = 0; y < 3; y++)
        for (size_t x = 0; x < 8; x++)
            CHECK_EQ(picture[48 + y * 8 + x], (16 * (2 * y + 3)) / 2 + x + 4 + 100);
    CHECK_EQ(picture[72], 0xee);
    CHECK_OK(cuframes_frame_release(frame));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}
