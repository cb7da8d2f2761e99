/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pictures through a cuframes channel: drawn into its slots, read in place. The wait policy and
 * a subscriber in order, so that no frame is lost, as in the other ways. ENDPOINT is the runtime
 * directory.
 */
#include <errno.h>
#include <stdio.h>
#include <time.h>

#include <cuframes/cuframes.h>

#include "share.h"

#define KEY     "share"
#define WAIT_MS 20000

static void check(int err)
{
    if (!err)
        return;
    errno = 0;
    share_fail(cuframes_last_error());
}

static void await_subscriber(cuframes_publisher_t *publisher)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    cuframes_publisher_stats_t stats = {0};

    for (int i = 0; i < WAIT_MS && stats.subscribers == 0; i++) {
        nanosleep(&pause, NULL);
        check(cuframes_publisher_stats(publisher, &stats));
    }
    if (stats.subscribers == 0)
        share_fail("no reader came");
}

static void write_frames(struct share *share)
{
    const cuframes_publisher_config_t config = {
        .key = KEY,
        .width = SHARE_WIDTH,
        .height = SHARE_HEIGHT,
        .format = CUFRAMES_FORMAT_NV12,
        .policy = CUFRAMES_POLICY_STRICT_WAIT,
        .consumer_ack_timeout_ms = WAIT_MS,
        .memory = CUFRAMES_MEMORY_HOST,
        .runtime_dir = share->endpoint,
    };
    cuframes_publisher_t *publisher;

    check(cuframes_publisher_create(&config, &publisher));
    await_subscriber(publisher);
    while (!share_is_done(share)) {
        void *memory;

        share_pace(share);
        check(cuframes_publisher_acquire(publisher, &memory));
        share_draw(share, memory);
        check(cuframes_publisher_publish(publisher, NULL, CUFRAMES_NO_TIME));
    }
    cuframes_publisher_destroy(publisher);
}

static void read_frames(struct share *share)
{
    const cuframes_subscriber_config_t config = {
        .key = KEY,
        .mode = CUFRAMES_MODE_STRICT_ORDER,
        .connect_timeout_ms = WAIT_MS,
        .runtime_dir = share->endpoint,
    };
    cuframes_subscriber_t *subscriber;

    check(cuframes_subscriber_create(&config, &subscriber));
    while (!share_is_done(share)) {
        cuframes_frame_t *frame;

        check(cuframes_subscriber_next(subscriber, NULL, &frame, WAIT_MS));
        share_read(share, cuframes_frame_data(frame));
        cuframes_subscriber_release(subscriber, frame);
    }
    cuframes_subscriber_destroy(subscriber);
}

int main(int argc, char **argv)
{
    struct share share;

    share_init(&share, argc, argv);
    if (share.write)
        write_frames(&share);
    else
        read_frames(&share);
    share_finish(&share);
    return 0;
}
