/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels in GPU memory and the streams that fill and read them: what is announced when, and what comes
 * back when.
 */
#include <unistd.h>

#include "gpu_support.h"

/* ---- when ---- */

TEST(frames_are_announced_when_their_stream_is_done, .threads = true)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cf_CUstream slow, fast;

    enter_primary(0);
    slow = make_stream();
    fast = make_stream();
    slow_down(slow, 100);
    CHECK_EQ(publish_on(publisher, slow, 1), 0U);
    /* Done long before the other, and announced after it. */
    CHECK_EQ(publish_on(publisher, fast, 2), 1U);
    CHECK_EQ(publisher_stats(publisher).pending, 2U);
    CHECK_CU(driver()->cuStreamSynchronize(fast));
    EXPECT_NOTHING(reader);
    for (int64_t i = 1; i <= 2; i++) {
        cuframes_frame_t *frame = take(reader);

        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        cuframes_frame_release(frame);
    }
    WAIT_FOR(publisher_stats(publisher).pending == 0, 2000);
    full_speed();
    CHECK_CU(driver()->cuStreamDestroy_v2(slow));
    CHECK_CU(driver()->cuStreamDestroy_v2(fast));
    leave_primary(0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(frames_that_wait_for_streams_use_up_the_slots)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_buffer_t *buffer;
    cf_CUstream stream;

    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 100);
    for (int64_t i = 0; i < 4; i++)
        publish_on(publisher, stream, i);
    CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &buffer), CUFRAMES_ERR_WOULD_BLOCK,
                   "GPU work");
    full_speed();
    CHECK_EQ(publisher_stats(publisher).dropped, 1U);
    WAIT_FOR(publisher_stats(publisher).pending == 0, 10000);
    publish_on(publisher, stream, 4);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
}

TEST(the_wait_policy_waits_for_streams_too, .threads = true)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUstream stream;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = test_patience_ms();
    publisher = make_publisher(&config);
    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 50);
    for (int64_t i = 0; i < 6; i++)
        publish_on(publisher, stream, i);
    reader = make_gpu_reader(CUFRAMES_MODE_NEWEST_ONLY);
    WAIT_FOR(publisher_stats(publisher).published == 6, 10000);
    full_speed();
    cuframes_frame_release(take(reader));
    cuframes_subscriber_destroy(reader);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
}

TEST(destroy_announces_what_is_published)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cf_CUstream stream;

    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 100);
    publish_on(publisher, stream, 1);
    publish_on(publisher, stream, 2);
    cuframes_publisher_destroy(publisher);
    full_speed();
    cuframes_frame_release(take(reader));
    cuframes_frame_release(take(reader));
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
}

TEST(destroy_does_not_wait_for_ever)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cf_CUstream stream;
    int64_t began;

    enter_primary(0);
    standin("standin_delay");
    stream = make_stream();
    delay_streams(4000000);
    publish_on(publisher, stream, 1);
    began = cuframes_now_ns();
    cuframes_publisher_destroy(publisher);
    CHECK_LT(cuframes_now_ns() - began, INT64_C(3500) * 1000000);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    /* What was abandoned is freed when the stream is done. */
    CHECK_CU(driver()->cuStreamSynchronize(stream));
    delay_streams(0);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    WAIT_FOR(objects() == 0, 5000);
}

TEST(a_change_of_generation_keeps_its_place_in_the_queue, .threads = true)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUstream stream;

    /* So that the reader is given the time to follow. */
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = test_patience_ms();
    publisher = make_publisher(&config);
    reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    enter_primary(0);
    stream = make_stream();
    slow_down(stream, 30);
    CHECK_EQ(publish_on(publisher, stream, 1), 0U);
    config.ring_size = 6;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    CHECK_EQ(publish_on(publisher, stream, 2), 1U);
    /* And one in host memory behind it. */
    config.memory = CUFRAMES_MEMORY_HOST;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    CHECK_EQ(publish(publisher, 3), 2U);
    for (int64_t i = 1; i <= 3; i++) {
        cuframes_frame_t *frame = take(reader);

        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        CHECK_EQ(cuframes_frame_generation(frame), i);
        cuframes_frame_release(frame);
    }
    full_speed();
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

/* ---- giving back ---- */

/* A frame released behind slow work is held until then, and the reader may not take more than it was
 * granted meanwhile. */
static void release_behind_work(void)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame, *next = NULL;
    cf_CUstream stream;
    int64_t began;
    void *bytes;

    config.ring_size = 3;
    publisher = make_publisher(&config);
    reading.max_holds = 1;
    reader = make_subscriber(&reading);
    enter_primary(0);
    stream = make_stream();
    CHECK_CU(driver()->cuMemHostAlloc(&bytes, SIZE, 0));
    publish_stamp(publisher, 1);
    publish_stamp(publisher, 2);
    frame = take(reader);
    began = cuframes_now_ns();
    slow_down(stream, 150);
    CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
        bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), SIZE, stream));
    CHECK_OK(cuframes_frame_release_stream(frame, stream));
    CHECK_LT(cuframes_now_ns() - began, INT64_C(100) * 1000000);
    CHECK_EQ(publisher_stats(publisher).slots_held, 1U);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &next, 0), CUFRAMES_ERR_WOULD_BLOCK);
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &next, test_patience_ms()));
    full_speed();
    check_frame(next);
    CHECK_GE(cuframes_now_ns() - began, INT64_C(100) * 1000000);
    CHECK(pattern_fits(bytes, SIZE, 1));
    CHECK_CU(driver()->cuMemFreeHost(bytes));
    CHECK_OK(cuframes_frame_release_stream(next, stream));
    cuframes_subscriber_destroy(reader);
    WAIT_FOR(publisher_stats(publisher).slots_held == 0, 2000);
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(streams_give_frames_back, .threads = true)
{
    driver();
    release_behind_work();
    if (standin_function("standin_calls"))
        CHECK_EQ(calls("cuStreamWriteValue32_v2"), 2U);
}

TEST(a_thread_gives_frames_back_where_streams_cannot, .threads = true)
{
    driver();
    fail_call("cuStreamWriteValue32_v2", 1, CF_CU_NOT_SUPPORTED);
    fail_call("cuStreamWriteValue32_v2", 2, CF_CU_NOT_SUPPORTED);
    release_behind_work();
}

TEST(a_publisher_that_waits_sees_what_a_stream_gives_back, .threads = true)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cf_CUstream stream;
    void *bytes;

    config.ring_size = 2;
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = test_patience_ms();
    publisher = make_publisher(&config);
    reader = make_subscriber(&reading);
    enter_primary(0);
    stream = make_stream();
    CHECK_CU(driver()->cuMemHostAlloc(&bytes, SIZE, 0));
    for (int64_t i = 0; i < 20; i++) {
        cuframes_frame_t *frame;

        /* Waits, from the third frame on, for what the stream still reads. */
        publish_stamp(publisher, i);
        frame = take(reader);
        slow_down(stream, 5);
        CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
            bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), SIZE, stream));
        CHECK_OK(cuframes_frame_release_stream(frame, stream));
        usleep(1000);
        full_speed();
    }
    CHECK_EQ(publisher_stats(publisher).evicted, 0U);
    cuframes_subscriber_destroy(reader);
    CHECK_CU(driver()->cuMemFreeHost(bytes));
    CHECK_CU(driver()->cuStreamDestroy_v2(stream));
    leave_primary(0);
    cuframes_publisher_destroy(publisher);
}

TEST(frames_are_given_back_after_their_subscriber)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;

    publish_stamp(publisher, 1);
    frame = take(reader);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    check_frame(frame);
    CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    CHECK_EQ(objects(), 0U);
}
