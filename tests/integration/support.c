/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support.h"

#include <stdlib.h>

#include "harness/resources.h"

#define MOST_KEPT 64

cuframes_publisher_config_t small_config(const char *key)
{
    return (cuframes_publisher_config_t){
        .key = key,
        .width = 64,
        .height = 48,
        .format = CUFRAMES_FORMAT_GRAYSCALE,
        .ring_size = 4,
        .memory = CUFRAMES_MEMORY_HOST,
    };
}

cuframes_publisher_t *make_publisher(const cuframes_publisher_config_t *config)
{
    cuframes_publisher_t *publisher = NULL;

    CHECK_OK(cuframes_publisher_create(config, &publisher));
    CHECK(publisher);
    return publisher;
}

cuframes_publisher_t *make_small_publisher(const char *key)
{
    cuframes_publisher_config_t config = small_config(key);

    return make_publisher(&config);
}

cuframes_subscriber_config_t reader_config(const char *key, int mode)
{
    return (cuframes_subscriber_config_t){.key = key, .mode = mode};
}

cuframes_subscriber_t *make_subscriber(const cuframes_subscriber_config_t *config)
{
    cuframes_subscriber_t *subscriber = NULL;

    CHECK_OK(cuframes_subscriber_create(config, &subscriber));
    CHECK(subscriber);
    return subscriber;
}

cuframes_subscriber_t *make_reader(const char *key, int mode)
{
    cuframes_subscriber_config_t config = reader_config(key, mode);

    return make_subscriber(&config);
}

void settle_pages(void)
{
    WAIT_FOR(test_count_descriptors("cuframes-holds") == 0, 2000);
}

static uint64_t pattern_word(int64_t stamp, size_t index)
{
    return (uint64_t)stamp * UINT64_C(0x9e3779b97f4a7c15) + index;
}

void fill_pattern(void *memory, size_t size, int64_t stamp)
{
    uint8_t *bytes = memory;

    for (size_t i = 0; i * 8 + 8 <= size; i++) {
        uint64_t word = pattern_word(stamp, i);

        memcpy(bytes + i * 8, &word, 8);
    }
}

bool pattern_fits(const void *memory, size_t size, int64_t stamp)
{
    const uint8_t *bytes = memory;

    for (size_t i = 0; i * 8 + 8 <= size; i++) {
        uint64_t word = pattern_word(stamp, i);

        if (memcmp(bytes + i * 8, &word, 8) != 0)
            return false;
    }
    return true;
}

uint64_t publish_with(cuframes_publisher_t *publisher, const cuframes_frame_meta_t *meta)
{
    cuframes_buffer_t *buffer = NULL;
    uint64_t seq = UINT64_MAX;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    fill_pattern(cuframes_buffer_data(buffer), cuframes_buffer_layout(buffer)->size, meta->pts_ns);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, meta, &seq));
    cuframes_buffer_unref(buffer);
    return seq;
}

uint64_t publish(cuframes_publisher_t *publisher, int64_t pts_ns)
{
    cuframes_frame_meta_t meta = {.pts_ns = pts_ns};

    return publish_with(publisher, &meta);
}

void publish_many(cuframes_publisher_t *publisher, int64_t first, int count)
{
    for (int i = 0; i < count; i++)
        publish(publisher, first + i);
}

void check_pattern(const cuframes_frame_t *frame)
{
    if (!pattern_fits(cuframes_frame_data(frame), cuframes_frame_data_size(frame),
                      cuframes_frame_pts_ns(frame)))
        FAIL("frame %" PRIu64 " has bytes of another frame", cuframes_frame_seq(frame));
}

cuframes_frame_t *take_frame(cuframes_subscriber_t *subscriber)
{
    cuframes_frame_t *frame = NULL;

    CHECK_OK(cuframes_subscriber_next(subscriber, NULL, &frame, test_patience_ms()));
    CHECK(frame);
    check_pattern(frame);
    return frame;
}

void expect_frame(cuframes_subscriber_t *subscriber, int64_t pts_ns)
{
    cuframes_frame_t *frame = take_frame(subscriber);

    CHECK_EQ(cuframes_frame_pts_ns(frame), pts_ns);
    CHECK_OK(cuframes_subscriber_release(subscriber, frame));
}

cuframes_publisher_stats_t publisher_stats(cuframes_publisher_t *publisher)
{
    cuframes_publisher_stats_t stats;

    CHECK_OK(cuframes_publisher_stats(publisher, &stats));
    return stats;
}

cuframes_subscriber_stats_t subscriber_stats(cuframes_subscriber_t *subscriber)
{
    cuframes_subscriber_stats_t stats;

    CHECK_OK(cuframes_subscriber_stats(subscriber, &stats));
    return stats;
}

struct kept {
    cuframes_frame_t *frames[MOST_KEPT];
    unsigned count;
};

static void release_oldest(struct kept *kept)
{
    CHECK_GT(kept->count, 0U);
    CHECK_OK(cuframes_frame_release(kept->frames[0]));
    memmove(kept->frames, kept->frames + 1, --kept->count * sizeof(kept->frames[0]));
}

static int take_until_error(cuframes_subscriber_t *subscriber)
{
    for (;;) {
        cuframes_frame_t *frame;
        int err = cuframes_subscriber_next(subscriber, NULL, &frame, test_patience_ms());

        if (err)
            return err;
        check_pattern(frame);
        cuframes_frame_release(frame);
    }
}

static void obey(struct test_peer *test, cuframes_subscriber_t *subscriber)
{
    struct kept kept = {0};
    uint64_t word;

    while (test_hear_or_end(test, &word)) {
        switch (word) {
        case READER_TAKE:
            kept.frames[kept.count] = take_frame(subscriber);
            test_say(test, (uint64_t)cuframes_frame_pts_ns(kept.frames[kept.count++]));
            break;
        case READER_RELEASE:
            release_oldest(&kept);
            test_say(test, kept.count);
            break;
        case READER_CHECK:
            for (unsigned i = 0; i < kept.count; i++)
                check_pattern(kept.frames[i]);
            test_say(test, kept.count);
            break;
        case READER_ERROR:
            test_say(test, (uint64_t)-take_until_error(subscriber));
            break;
        default:
            FAIL("unknown order");
        }
    }
    while (kept.count > 0)
        release_oldest(&kept);
}

static void run_reader(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *subscriber = make_subscriber(argument);

    test_say(test, 0);
    obey(test, subscriber);
    CHECK_OK(cuframes_subscriber_destroy(subscriber));
}

void spawn_reader(struct test_peer *peer, const cuframes_subscriber_config_t *config)
{
    cuframes_subscriber_config_t copy = *config;

    test_spawn(peer, run_reader, &copy, NULL);
    CHECK_HEAR(peer, 0);
}

uint64_t order(struct test_peer *peer, enum reader_order what)
{
    test_say(peer, what);
    return test_hear(peer);
}

static void run_publisher(struct test_peer *test, void *argument)
{
    cuframes_publisher_t *publisher = make_publisher(argument);
    uint64_t pts;

    test_say(test, 0);
    while (test_hear_or_end(test, &pts))
        test_say(test, publish(publisher, (int64_t)pts));
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

void spawn_publisher(struct test_peer *peer, const cuframes_publisher_config_t *config)
{
    cuframes_publisher_config_t copy = *config;

    test_spawn(peer, run_publisher, &copy, NULL);
    CHECK_HEAR(peer, 0);
}
