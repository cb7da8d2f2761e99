/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Changes of size, format and slots in mid-stream: subscribers follow, held frames stay as they
 * are, the wait policy loses nothing, and nothing piles up.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "harness/resources.h"
#include "support.h"

static cuframes_publisher_config_t sized(int32_t width, int32_t height)
{
    cuframes_publisher_config_t config = small_config(NULL);

    config.width = width;
    config.height = height;
    return config;
}

static void resize(cuframes_publisher_t *publisher, int32_t width, int32_t height)
{
    cuframes_publisher_config_t config = sized(width, height);

    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
}

static void check_size(const cuframes_frame_t *frame, int32_t width, int32_t height)
{
    int32_t w, h;

    cuframes_frame_size(frame, &w, &h);
    CHECK_EQ(w, width);
    CHECK_EQ(h, height);
}

static void check_follows(int mode)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", mode);
    cuframes_channel_info_t info;
    cuframes_frame_t *old, *new;

    publish(publisher, 0);
    old = take_frame(reader);
    CHECK_EQ(cuframes_frame_generation(old), 1U);
    CHECK(cuframes_frame_flags(old) & CUFRAMES_FRAME_GENERATION);
    resize(publisher, 128, 32);
    EXPECT_NOTHING(reader);
    CHECK_EQ(publish(publisher, 1), 1U);
    new = take_frame(reader);
    CHECK_EQ(cuframes_frame_seq(new), 1U);
    CHECK_EQ(cuframes_frame_missed(new), 0U);
    CHECK_EQ(cuframes_frame_generation(new), 2U);
    CHECK(cuframes_frame_flags(new) & CUFRAMES_FRAME_GENERATION);
    CHECK(!(cuframes_frame_flags(new) & CUFRAMES_FRAME_DISCONTINUITY));
    check_size(new, 128, 32);
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_EQ(info.width, 128);
    CHECK_EQ(info.generation, 2U);
    cuframes_frame_release(new);
    publish_many(publisher, 2, 20);
    check_pattern(old);
    check_size(old, 64, 48);
    CHECK_OK(cuframes_frame_check(old));
    new = take_frame(reader);
    CHECK(!(cuframes_frame_flags(new) & CUFRAMES_FRAME_GENERATION));
    cuframes_frame_release(new);
    CHECK_EQ(subscriber_stats(reader).generations, 1U);
    CHECK_EQ(publisher_stats(publisher).generations, 2U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    check_pattern(old);
    cuframes_frame_release(old);
}

TEST(subscribers_of_both_modes_follow)
{
    check_follows(CUFRAMES_MODE_NEWEST_ONLY);
    check_follows(CUFRAMES_MODE_STRICT_ORDER);
}

TEST(format_and_slots_change_too)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_config_t config = sized(63, 47);
    cuframes_frame_t *frame;

    config.format = CUFRAMES_FORMAT_NV12;
    config.ring_size = 9;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
    publish_many(publisher, 0, 9);
    for (int i = 0; i < 9; i++) {
        frame = take_frame(reader);
        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        CHECK_EQ(cuframes_frame_format(frame), CUFRAMES_FORMAT_NV12);
        check_size(frame, 63, 47);
        cuframes_frame_release(frame);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(order_reads_the_rest_of_the_old_memory_first)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    publish_many(publisher, 0, 4);
    resize(publisher, 32, 32);
    publish_many(publisher, 4, 4);
    for (int i = 0; i < 8; i++)
        expect_frame(reader, i);
    EXPECT_NOTHING(reader);
    CHECK_EQ(subscriber_stats(reader).missed, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(failed_change_leaves_the_channel_as_it_was)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_config_t bad = sized(0, 100);

    CHECK_ERR_SAYS(cuframes_publisher_reconfigure(publisher, &bad), CUFRAMES_ERR_INVALID_ARG,
                   "pixels");
    bad = sized(64, 64);
    bad.ring_size = 65;
    CHECK_ERR(cuframes_publisher_reconfigure(publisher, &bad), CUFRAMES_ERR_INVALID_ARG);
    publish(publisher, 1);
    expect_frame(reader, 1);
    CHECK_EQ(publisher_stats(publisher).generations, 1U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(buffers_of_the_old_memory_can_be_published_until_the_change)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_buffer_t *first, *second, *new;
    cuframes_frame_meta_t meta = {.pts_ns = 1};

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &first));
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &second));
    resize(publisher, 32, 32);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &new));
    CHECK_EQ(cuframes_buffer_generation(first), 1U);
    CHECK_EQ(cuframes_buffer_generation(new), 2U);
    fill_pattern(cuframes_buffer_data(first), 64 * 48, 1);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, first, NULL, &meta, NULL));
    expect_frame(reader, 1);
    meta.pts_ns = 2;
    fill_pattern(cuframes_buffer_data(new), 32 * 32, 2);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, new, NULL, &meta, NULL));
    CHECK_ERR_SAYS(cuframes_publisher_publish_buffer(publisher, second, NULL, &meta, NULL),
                   CUFRAMES_ERR_FORMAT, "generation");
    expect_frame(reader, 2);
    EXPECT_NOTHING(reader);
    memset(cuframes_buffer_data(second), 1, 64 * 48);
    cuframes_buffer_unref(first);
    cuframes_buffer_unref(second);
    cuframes_buffer_unref(new);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(change_that_is_changed_before_its_first_frame)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_buffer_t *never;
    cuframes_frame_t *frame;

    resize(publisher, 32, 32);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &never));
    resize(publisher, 16, 16);
    publish(publisher, 0);
    frame = take_frame(reader);
    check_size(frame, 16, 16);
    cuframes_frame_release(frame);
    /* Refused now that a newer one has been announced; before, see the last test. */
    CHECK_ERR(cuframes_publisher_publish_buffer(publisher, never, NULL, NULL, NULL),
              CUFRAMES_ERR_FORMAT);
    cuframes_buffer_unref(never);
    CHECK_EQ(publisher_stats(publisher).generations, 2U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(subscriber_that_comes_between_gets_the_new_memory)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    publish(publisher, 0);
    resize(publisher, 32, 32);
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    expect_frame(reader, 0);
    publish(publisher, 1);
    frame = take_frame(reader);
    CHECK_EQ(cuframes_frame_pts_ns(frame), 1);
    check_size(frame, 32, 32);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(sleeping_subscriber_wakes_for_a_change)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    struct test_peer peer;

    spawn_reader(&peer, &config);
    for (int i = 0; i < 20; i++) {
        test_say(&peer, READER_TAKE);
        resize(publisher, 32 + i, 32);
        publish(publisher, i);
        CHECK_HEAR(&peer, i);
        CHECK_EQ(order(&peer, READER_RELEASE), 0U);
    }
    test_join(&peer);
    cuframes_publisher_destroy(publisher);
}

TEST(polled_descriptor_tells_of_a_change)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;
    int64_t i = 0;
    int fd;

    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    reader = make_subscriber(&config);
    fd = cuframes_subscriber_fd(reader);
    for (int change = 0; change < 10; change++) {
        cuframes_frame_t *frame;

        EXPECT_NOTHING(reader);
        resize(publisher, 32 + change, 32);
        publish(publisher, i);
        /* The first look can find that the new memory is still on its way. */
        do
            CHECK(test_readable(fd, test_patience_ms()));
        while (cuframes_subscriber_next(reader, NULL, &frame, 0) == CUFRAMES_ERR_WOULD_BLOCK);
        CHECK_EQ(cuframes_frame_pts_ns(frame), i++);
        cuframes_frame_release(frame);
    }
    EXPECT_NOTHING(reader);
    CHECK(!test_readable(fd, 0));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

struct changing {
    cuframes_publisher_t *publisher;
    int changes, frames_each;
    atomic_bool done;
};

static void *publish_changing(void *argument)
{
    struct changing *c = argument;
    int64_t pts = 0;

    for (int change = 0; change < c->changes; change++) {
        resize(c->publisher, 16 + change % 50, 16);
        publish_many(c->publisher, pts, c->frames_each);
        pts += c->frames_each;
    }
    atomic_store(&c->done, true);
    return NULL;
}

/* The wait policy over many changes; the reader dawdles at its first frame. */
static void check_wait_over_changes(int changes, int frames_each)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct changing c = {.changes = changes, .frames_each = frames_each};
    cuframes_subscriber_t *reader;
    pthread_t thread;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    c.publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    CHECK_EQ(pthread_create(&thread, NULL, publish_changing, &c), 0);
    test_pause_until(cuframes_now_ns() + 20000000);
    for (int i = 0; i < changes * frames_each; i++)
        expect_frame(reader, i);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(subscriber_stats(reader).missed, 0U);
    CHECK_EQ(publisher_stats(c.publisher).evicted, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(c.publisher);
}

TEST(wait_loses_nothing_across_a_change, .threads = true)
{
    check_wait_over_changes(1, 50);
    check_wait_over_changes(5, 10);
}

TEST(wait_loses_nothing_when_each_frame_is_a_change, .threads = true)
{
    check_wait_over_changes(40, 1);
}

TEST(wait_evicts_one_who_does_not_follow)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *other;
    struct test_peer peer;
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = 50;
    publisher = make_publisher(&config);
    spawn_reader(&peer, &wanted);
    test_stop(&peer);
    other = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    for (int i = 0; i < 20; i++) {
        resize(publisher, 32 + i, 32);
        publish(publisher, i);
        expect_frame(other, i);
    }
    CHECK_EQ(publisher_stats(publisher).evicted, 1U);
    test_continue(&peer);
    CHECK_EQ(order(&peer, READER_ERROR), (uint64_t)-CUFRAMES_ERR_EVICTED);
    test_join(&peer);
    cuframes_subscriber_destroy(other);
    cuframes_publisher_destroy(publisher);
}

TEST(many_changes_before_a_subscriber_that_does_not_read)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *idle = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    struct test_resources before, after;
    struct test_peer peer;

    spawn_reader(&peer, &config);
    publish(publisher, 0);
    CHECK_EQ(order(&peer, READER_TAKE), 0U);
    test_stop(&peer);
    /* One change is sent and not taken: from here on nothing may grow. */
    resize(publisher, 100, 10);
    publish(publisher, 1);
    test_resources_take(&before);
    for (int i = 2; i < 102; i++) {
        resize(publisher, 100 + i, 10);
        publish(publisher, i);
    }
    CHECK_EQ(publisher_stats(publisher).subscribers, 2U);
    test_resources_take(&after);
    CHECK_LE(after.descriptor_count, before.descriptor_count + 8);
    CHECK_LE(after.mappings, before.mappings + 8);
    test_continue(&peer);
    CHECK_EQ(order(&peer, READER_CHECK), 1U);
    CHECK_EQ(order(&peer, READER_RELEASE), 0U);
    for (uint64_t taken = 0; taken != 101; taken = order(&peer, READER_TAKE))
        if (taken)
            CHECK_EQ(order(&peer, READER_RELEASE), 0U);
    CHECK_EQ(order(&peer, READER_RELEASE), 0U);
    /* It comes from the old memory by way of what was sent to it to the newest. */
    for (int64_t pts = 0; pts != 101;) {
        cuframes_frame_t *frame = take_frame(idle);

        pts = cuframes_frame_pts_ns(frame);
        cuframes_frame_release(frame);
    }
    CHECK_EQ(subscriber_stats(idle).received + subscriber_stats(idle).missed, 102U);
    test_resources_free(&before);
    test_resources_free(&after);
    test_join(&peer);
    cuframes_subscriber_destroy(idle);
    cuframes_publisher_destroy(publisher);
}

TEST(subscriber_with_all_holds_in_old_memory_goes_on_after_a_release)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *held[2], *more;

    publish_many(publisher, 0, 2);
    held[0] = take_frame(reader);
    held[1] = take_frame(reader);
    resize(publisher, 32, 32);
    publish(publisher, 2);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &more, 0), CUFRAMES_ERR_TOO_MANY);
    cuframes_frame_release(held[0]);
    expect_frame(reader, 2);
    check_pattern(held[1]);
    cuframes_frame_release(held[1]);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void change_slots(cuframes_publisher_t *publisher, int32_t slots)
{
    cuframes_publisher_config_t config = small_config(NULL);

    config.ring_size = slots;
    CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
}

/* Fewer slots, fewer holds: nobody holds more than the channel grants now. More come back. */
TEST(grant_follows_the_number_of_slots)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wish = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *first, *second = NULL;

    config.ring_size = 8;
    publisher = make_publisher(&config);
    wish.max_holds = 6;
    reader = make_subscriber(&wish);
    CHECK_EQ(subscriber_stats(reader).max_holds, 6U);
    change_slots(publisher, 3);
    publish_many(publisher, 0, 2);
    first = take_frame(reader);
    CHECK_EQ(subscriber_stats(reader).max_holds, 1U);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &second, 0), CUFRAMES_ERR_TOO_MANY);
    cuframes_frame_release(first);
    expect_frame(reader, 1);
    change_slots(publisher, 8);
    publish_many(publisher, 2, 2);
    first = take_frame(reader);
    second = take_frame(reader);
    CHECK_EQ(subscriber_stats(reader).max_holds, 6U);
    cuframes_frame_release(first);
    cuframes_frame_release(second);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(buffer_of_a_change_that_was_changed_again_can_be_published)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    const cuframes_frame_meta_t meta = {.pts_ns = 1};
    cuframes_buffer_t *first, *late;
    cuframes_frame_t *frame;

    publish(publisher, 0);
    expect_frame(reader, 0);
    resize(publisher, 32, 32);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &first));
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &late));
    resize(publisher, 40, 40);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, first, NULL, &meta, NULL));
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
    CHECK_EQ(cuframes_frame_pts_ns(frame), 1);
    CHECK_EQ(cuframes_frame_generation(frame), 2U);
    cuframes_frame_release(frame);
    publish(publisher, 2);
    expect_frame(reader, 2);
    CHECK_ERR(cuframes_publisher_publish_buffer(publisher, late, NULL, NULL, NULL),
              CUFRAMES_ERR_FORMAT);
    cuframes_buffer_unref(first);
    cuframes_buffer_unref(late);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* Reads to the channel's end; returns how many frames came. */
static void *count_frames(void *argument)
{
    cuframes_subscriber_t *reader = argument;
    uintptr_t count = 0;
    cuframes_frame_t *frame;
    int error;

    while ((error = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms())) == 0) {
        count++;
        cuframes_frame_release(frame);
    }
    CHECK_EQ(error, CUFRAMES_ERR_DISCONNECTED);
    return (void *)count;
}

TEST(wait_loses_nothing_when_the_channel_closes_after_a_change, .threads = true)
{
    for (int round = 0; round < 100; round++) {
        cuframes_publisher_config_t config = small_config("cam");
        cuframes_publisher_t *publisher;
        cuframes_subscriber_t *reader;
        pthread_t thread;
        void *count;

        config.policy = CUFRAMES_POLICY_STRICT_WAIT;
        config.consumer_ack_timeout_ms = -1;
        publisher = make_publisher(&config);
        reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
        CHECK_EQ(pthread_create(&thread, NULL, count_frames, reader), 0);
        publish(publisher, 0);
        resize(publisher, 128, 32);
        publish(publisher, 1);
        resize(publisher, 32, 32);
        publish(publisher, 2);
        CHECK_OK(cuframes_publisher_destroy(publisher));
        CHECK_EQ(pthread_join(thread, &count), 0);
        CHECK_EQ((uintptr_t)count, 3U);
        CHECK_OK(cuframes_subscriber_destroy(reader));
    }
}
