/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A program as it was written for the 0.4 line: the names, values and habits of that line, and
 * nothing that came later. It must compile unchanged, and run on a machine without a GPU.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cuframes/cuframes.h>

#define WIDTH  64
#define HEIGHT 48
#define FRAMES 20

#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

struct seen {
    pthread_mutex_t lock;
    int frames;
    int wrong;
};

static void fill(unsigned char *slot, int pitch_y, int pitch_uv, int n)
{
    memset(slot, n, (size_t)pitch_y * HEIGHT);
    memset(slot + pitch_y * HEIGHT, 128 + n, (size_t)pitch_uv * HEIGHT / 2);
}

/* The layout that these programs assume: the second plane at pitch_y * height. */
static int right(const cuframes_frame_t *frame)
{
    const unsigned char *start = cuframes_frame_cuda_ptr(frame);
    int32_t width = 0, height = 0;
    cuframes_frame_size(frame, &width, &height);
    int32_t pitch_y = cuframes_frame_pitch_y(frame);
    int32_t pitch_uv = cuframes_frame_pitch_uv(frame);
    int n = (int)cuframes_frame_seq(frame);
    return width == WIDTH && height == HEIGHT &&
           cuframes_frame_format(frame) == CUFRAMES_FORMAT_NV12 &&
           cuframes_frame_pts_ns(frame) == n * INT64_C(40000000) && start[0] == n &&
           start[pitch_y * height - 1] == n && start[pitch_y * height] == 128 + n &&
           start[pitch_y * height + pitch_uv * height / 2 - 1] == 128 + n;
}

static void on_frame(const cuframes_frame_t *frame, void *user)
{
    struct seen *seen = user;
    pthread_mutex_lock(&seen->lock);
    seen->frames++;
    seen->wrong += !right(frame);
    pthread_mutex_unlock(&seen->lock);
}

static void test_errors(void)
{
    REQUIRE(CUFRAMES_OK == 0 && CUFRAMES_ERR_TIMEOUT == -7 && CUFRAMES_ERR_TOO_MANY == -12);
    REQUIRE(strlen(cuframes_strerror(CUFRAMES_ERR_DISCONNECTED)) > 0);
    REQUIRE(strcmp(cuframes_version_string(), "") != 0);
    REQUIRE(CUFRAMES_VERSION_MAJOR == 0 && CUFRAMES_VERSION_MINOR >= 4);
    REQUIRE(cuframes_protocol_version() > 0);
    REQUIRE(cuframes_now_ns() > 0);

    cuframes_subscriber_config_t config;
    memset(&config, 0, sizeof(config));
    config.key = "nobody";
    cuframes_subscriber_t *subscriber = NULL;
    REQUIRE(cuframes_subscriber_create(&config, &subscriber) == CUFRAMES_ERR_NOT_FOUND);
    config.connect_timeout_ms = 50;
    REQUIRE(cuframes_subscriber_create(&config, &subscriber) == CUFRAMES_ERR_TIMEOUT);
    REQUIRE(cuframes_subscriber_destroy(NULL) == CUFRAMES_OK);
    REQUIRE(cuframes_publisher_destroy(NULL) == CUFRAMES_OK);
}

static cuframes_publisher_t *publisher_of(const char *key)
{
    cuframes_publisher_config_t config;
    memset(&config, 0, sizeof(config));
    config.key = key;
    config.width = WIDTH;
    config.height = HEIGHT;
    config.format = CUFRAMES_FORMAT_NV12;
    config.ownership = CUFRAMES_OWNERSHIP_LIBRARY;
    config.ring_size = 4;
    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = 2000;
    config.cuda_device = 0;
    cuframes_publisher_t *publisher = NULL;
    REQUIRE(cuframes_publisher_create(&config, &publisher) == CUFRAMES_OK);
    REQUIRE(cuframes_publisher_create(&config, &publisher) == CUFRAMES_ERR_ALREADY_EXISTS);
    return publisher;
}

static cuframes_subscriber_t *subscriber_of(const char *key)
{
    cuframes_subscriber_config_t config;
    memset(&config, 0, sizeof(config));
    config.key = key;
    config.consumer_name = "reader";
    config.mode = CUFRAMES_MODE_STRICT_ORDER;
    config.connect_timeout_ms = 2000;
    cuframes_subscriber_t *subscriber = NULL;
    REQUIRE(cuframes_subscriber_create(&config, &subscriber) == CUFRAMES_OK);
    cuframes_subscriber_t *second = NULL;
    REQUIRE(cuframes_subscriber_create(&config, &second) == CUFRAMES_ERR_ALREADY_EXISTS);
    return subscriber;
}

static void publish(cuframes_publisher_t *publisher, int n)
{
    int32_t pitch_y = 0, pitch_uv = 0;
    size_t size =
        cuframes_calc_frame_size(CUFRAMES_FORMAT_NV12, WIDTH, HEIGHT, &pitch_y, &pitch_uv);
    REQUIRE(size == (size_t)pitch_y * HEIGHT + (size_t)pitch_uv * HEIGHT / 2);
    void *slot = NULL;
    REQUIRE(cuframes_publisher_acquire(publisher, &slot) == CUFRAMES_OK);
    fill(slot, pitch_y, pitch_uv, n);
    REQUIRE(cuframes_publisher_publish(publisher, NULL, n * INT64_C(40000000)) == CUFRAMES_OK);
}

static void test_frames(const char *key)
{
    cuframes_publisher_t *publisher = publisher_of(key);
    cuframes_subscriber_t *subscriber = subscriber_of(key);
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    cuframes_subscriber_config_t config;
    memset(&config, 0, sizeof(config));
    config.key = key;
    config.mode = CUFRAMES_MODE_STRICT_ORDER;
    config.connect_timeout_ms = 2000;
    cuframes_async_subscriber_t *async = NULL;
    REQUIRE(cuframes_async_subscriber_create(&config, on_frame, &seen, &async) == CUFRAMES_OK);

    cuframes_frame_t *frame = NULL;
    REQUIRE(cuframes_subscriber_next(subscriber, NULL, &frame, 0) == CUFRAMES_ERR_WOULD_BLOCK);
    REQUIRE(cuframes_subscriber_next(subscriber, NULL, &frame, 20) == CUFRAMES_ERR_TIMEOUT);
    for (int n = 0; n < FRAMES; n++) {
        publish(publisher, n);
        REQUIRE(cuframes_subscriber_next(subscriber, NULL, &frame, 2000) == CUFRAMES_OK);
        REQUIRE(cuframes_frame_seq(frame) == (uint64_t)n && right(frame));
        REQUIRE(cuframes_subscriber_release(subscriber, frame) == CUFRAMES_OK);
    }
    REQUIRE(cuframes_subscriber_release(subscriber, NULL) == CUFRAMES_OK);
    REQUIRE(cuframes_publisher_destroy(publisher) == CUFRAMES_OK);
    REQUIRE(cuframes_subscriber_next(subscriber, NULL, &frame, 2000) == CUFRAMES_ERR_DISCONNECTED);
    REQUIRE(cuframes_subscriber_destroy(subscriber) == CUFRAMES_OK);

    /* The publisher waits for subscribers in strict order, so that the thread got nearly all before
     * the end; it has a moment for the rest. */
    for (int i = 0; i < 200; i++) {
        pthread_mutex_lock(&seen.lock);
        int frames = seen.frames;
        pthread_mutex_unlock(&seen.lock);
        if (frames == FRAMES)
            break;
        usleep(10000);
    }
    REQUIRE(cuframes_async_subscriber_destroy(async) == CUFRAMES_OK);
    REQUIRE(seen.frames == FRAMES && seen.wrong == 0);
}

int main(void)
{
    char directory[] = "/tmp/cuframes-compat-XXXXXX";
    REQUIRE(mkdtemp(directory) != NULL);
    setenv("CUFRAMES_RUNTIME_DIR", directory, 1);
    test_errors();
    test_frames("compat");
    char lock[64];
    snprintf(lock, sizeof(lock), "%s/compat.lock", directory);
    unlink(lock);
    REQUIRE(rmdir(directory) == 0);
    return 0;
}
