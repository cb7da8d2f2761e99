/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The unixfd messages: what is encoded decodes to the same, nothing that is cut or changed makes
 * the decoder read beyond it, and planes are sent as they lie where that is right.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/harness.h"
#include "unixfd/picture.h"
#include "unixfd/protocol.h"

static struct unixfd_buffer example(void)
{
    return (struct unixfd_buffer){
        .id = 77,
        .pts = 1,
        .dts = UNIXFD_NO_TIME,
        .duration = 3,
        .offset = 4,
        .offset_end = 5,
        .flags = UNIXFD_FLAG_DISCONT,
        .memory_count = 2,
        .memories = {{100, 200}, {300, 400}},
        .has_video = true,
        .video = {.format = CUFRAMES_FORMAT_NV12,
                  .width = 64,
                  .height = 48,
                  .plane_count = 2,
                  .offset = {0, 3072},
                  .stride = {64, 64}},
        .has_capture = true,
        .capture_ns = UINT64_C(1700000000000000000),
    };
}

/* The payload in memory of its own, so that a sanitizer sees each byte read beyond it. */
static bool decode_exactly(const uint8_t *payload, size_t size, struct unixfd_buffer *buffer)
{
    uint8_t *copy = malloc(size + !size);
    bool good;

    CHECK(copy);
    memcpy(copy, payload, size);
    good = unixfd_decode_buffer(copy, size, buffer);
    free(copy);
    return good;
}

TEST(a_buffer_comes_back)
{
    struct unixfd_buffer sent = example(), got;
    struct unixfd_message message;
    uint32_t command, size;

    unixfd_encode_buffer(&message, &sent);
    unixfd_decode_header(message.bytes, &command, &size);
    CHECK_EQ(command, UNIXFD_NEW_BUFFER);
    CHECK_EQ(size + UNIXFD_HEADER_SIZE, message.size);
    CHECK(decode_exactly(message.bytes + UNIXFD_HEADER_SIZE, size, &got));
    CHECK_EQ(got.id, 77U);
    CHECK_EQ(got.pts, 1U);
    CHECK_EQ(got.flags, UNIXFD_FLAG_DISCONT);
    CHECK_EQ(got.memory_count, 2U);
    CHECK_EQ(got.memories[1].size, 300U);
    CHECK_EQ(got.memories[1].offset, 400U);
    CHECK(got.has_video);
    CHECK_MEM_EQ(&got.video, &sent.video, sizeof(got.video));
    CHECK(got.has_capture);
    CHECK_EQ(got.capture_ns, sent.capture_ns);
}

TEST(a_cut_buffer_is_refused)
{
    struct unixfd_buffer sent = example(), got;
    struct unixfd_message message;

    unixfd_encode_buffer(&message, &sent);
    for (size_t size = 0; size < message.size - UNIXFD_HEADER_SIZE; size++)
        CHECK(!decode_exactly(message.bytes + UNIXFD_HEADER_SIZE, size, &got));
}

TEST(changed_buffers_are_survived)
{
    struct unixfd_buffer sent = example(), got;
    struct unixfd_picture picture = {.format = CUFRAMES_FORMAT_NV12, .width = 64, .height = 48};
    struct unixfd_message message;
    cuframes_layout_t layout;

    srand(1);
    for (int i = 0; i < 200000; i++) {
        unixfd_encode_buffer(&message, &sent);
        for (int k = 0; k < 1 + i % 4; k++)
            message
                .bytes[UNIXFD_HEADER_SIZE + (size_t)rand() % (message.size - UNIXFD_HEADER_SIZE)] =
                (uint8_t)rand();
        if (!decode_exactly(message.bytes + UNIXFD_HEADER_SIZE, message.size - UNIXFD_HEADER_SIZE,
                            &got))
            continue;
        CHECK_LE(got.memory_count, UNIXFD_MAX_MEMORIES);
        CHECK_LE(got.video.plane_count, CUFRAMES_MAX_PLANES);
        unixfd_buffer_layout(&got, &picture, &layout);
    }
}

TEST(caps_come_back)
{
    static const cuframes_color_t colors[] = {{0}, {1, 1, 1, 1}, {9, 9, 16, 2}, {5, 5, 6, 1}};
    const char *why;

    for (int32_t format = 0; format < CUFRAMES_FORMAT_COUNT; format++) {
        struct unixfd_picture sent = {.format = (cuframes_format_t)format,
                                      .width = 1920,
                                      .height = 1080,
                                      .fps_num = 30000,
                                      .fps_den = 1001,
                                      .sar_num = 4,
                                      .sar_den = 3,
                                      .color = colors[format % 4]};
        struct unixfd_picture got;
        char text[512];

        if (unixfd_format_number(sent.format) == 0)
            continue;
        unixfd_caps_text(&sent, text, sizeof(text));
        CHECK_OK(unixfd_caps_parse(text, &got, &why));
        if (format % 4 == 0 || !strstr(text, ":1:")) /* RGB has no matrix to say */
            CHECK_MEM_EQ(&got.color.range, &sent.color.range, 1);
        got.color = sent.color;
        CHECK_MEM_EQ(&got, &sent, sizeof(got));
    }
}

TEST(caps_of_other_writers)
{
    struct unixfd_picture got;
    const char *why;

    CHECK_OK(unixfd_caps_parse("video/x-raw, width=320, height=240, format=NV12", &got, &why));
    CHECK_EQ(got.width, 320);
    CHECK_EQ(got.fps_num, 0);
    CHECK_OK(unixfd_caps_parse("video/x-raw(memory:SystemMemory), format=(string)\"RGB\", "
                               "width=(int)3, height=(int)5, colorimetry=(string)bt709",
                               &got, &why));
    CHECK_EQ(got.color.matrix, 1);
    CHECK_EQ(got.color.range, CUFRAMES_RANGE_LIMITED);
    CHECK_EQ(unixfd_caps_parse("", &got, &why), CUFRAMES_ERR_FORMAT);
    CHECK_EQ(unixfd_caps_parse("video/x-raw", &got, &why), CUFRAMES_ERR_FORMAT);
    CHECK_EQ(unixfd_caps_parse("video/x-raw, format=(string", &got, &why), CUFRAMES_ERR_FORMAT);
    CHECK_EQ(unixfd_caps_parse("video/x-raw, format=NV12, width=-4, height=4", &got, &why),
             CUFRAMES_ERR_FORMAT);
}

TEST(planes_are_sent_as_they_lie)
{
    struct unixfd_plain plain;
    struct unixfd_buffer buffer = {0};
    struct unixfd_video there;

    unixfd_plain(CUFRAMES_FORMAT_NV12, 64, 48, &plain);
    CHECK_EQ(plain.size, 64U * 72U);
    there = plain.video;
    CHECK(unixfd_arrange(&plain, &there, plain.size, 4096, &buffer));
    CHECK_EQ(buffer.memory_count, 1U);
    CHECK_EQ(buffer.memories[0].size, plain.size);
    CHECK_EQ(buffer.memories[0].offset, 4096U);
    /* Rows of padding between the planes: a memory for each. */
    there.offset[1] += UINT64_C(64) * 8;
    CHECK(unixfd_arrange(&plain, &there, plain.size + UINT64_C(64) * 8, 4096, &buffer));
    CHECK_EQ(buffer.memory_count, 2U);
    CHECK_EQ(buffer.memories[0].size, 64U * 48U);
    CHECK_EQ(buffer.memories[1].size, 64U * 24U);
    CHECK_EQ(buffer.memories[1].offset, 4096U + 64U * 56U);
    /* Not beyond the slot; and rows of another length cannot be sent. */
    CHECK(!unixfd_arrange(&plain, &there, plain.size, 4096, &buffer));
    there.stride[0] = there.stride[1] = 80;
    CHECK(!unixfd_arrange(&plain, &there, UINT64_C(1) << 30, 4096, &buffer));
}

TEST(gstreamers_sizes)
{
    struct unixfd_plain plain;

    /* As gst_video_info_set_format() gives them. */
    unixfd_plain(CUFRAMES_FORMAT_NV12, 67, 51, &plain);
    CHECK_EQ(plain.video.stride[0], 68);
    CHECK_EQ(plain.video.offset[1], 68U * 52U);
    CHECK_EQ(plain.size, 68U * 78U);
    unixfd_plain(CUFRAMES_FORMAT_YUV420P, 67, 51, &plain);
    CHECK_EQ(plain.video.stride[1], 36);
    CHECK_EQ(plain.video.offset[2], 68U * 52U + 36U * 26U);
    unixfd_plain(CUFRAMES_FORMAT_RGB, 67, 51, &plain);
    CHECK_EQ(plain.size, 204U * 51U);
    unixfd_plain(CUFRAMES_FORMAT_YUV444P, 67, 51, &plain);
    CHECK_EQ(plain.video.offset[2], 2U * 68U * 51U);
}
