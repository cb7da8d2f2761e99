/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A test source that lies: lying_source KEY LIE FRAMES. Every frame is right except number 5,
 * which
 *
 *   byte   has one byte of the frame before
 *   stamp  carries the stamp of the frame before
 *   later  is changed 50 ms after it was published, in the slot that readers may hold
 *   held   is changed 100 ms after a reader that takes every fifth frame was seen to hold it
 *   seed   claims another run of the publisher
 *   plain  and all others carry no stamp
 *   none   is right too
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cuframes/cuframes.h>

#include "common/pattern.h"

#define SEED     UINT64_C(0x5eed)
#define LIE_AT   5
#define PAUSE_NS 10000000

static void pause_ns(long ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

static void one_foreign_byte(uint8_t *data, size_t size, uint64_t seq)
{
    size_t place = size / 2 + 3;
    uint8_t *before = malloc(size);

    pattern_fill(before, size, SEED, seq - 1);
    data[place] = before[place];
    free(before);
}

/* At most 10 s until the reader holds its second frame. */
static bool wait_until_held(cuframes_publisher_t *publisher)
{
    cuframes_subscriber_info_t reader = {0};

    for (int i = 0; i < 1000; i++) {
        if (cuframes_publisher_subscribers(publisher, &reader, 1) == 1 && reader.held == 1 &&
            reader.received == 2)
            return true;
        pause_ns(PAUSE_NS);
    }
    return false;
}

static void publish(cuframes_publisher_t *publisher, uint64_t seq, const char *lie)
{
    bool now = seq == LIE_AT;
    struct pattern_stamp stamp;
    cuframes_frame_meta_t meta = {.pts_ns = (int64_t)seq * PAUSE_NS,
                                  .capture_ns = CUFRAMES_NO_TIME,
                                  .user_data = &stamp,
                                  .user_size = sizeof(stamp)};
    cuframes_buffer_t *buffer;
    uint8_t *data;
    size_t size;

    while (cuframes_publisher_acquire_buffer(publisher, &buffer) != CUFRAMES_OK)
        pause_ns(PAUSE_NS);
    data = cuframes_buffer_data(buffer);
    size = cuframes_buffer_layout(buffer)->size;
    pattern_stamp_init(&stamp, now && !strcmp(lie, "seed") ? SEED + 1 : SEED,
                       now && !strcmp(lie, "stamp") ? seq - 1 : seq);
    pattern_fill(data, size, stamp.seed, seq);
    if (now && !strcmp(lie, "byte"))
        one_foreign_byte(data, size, seq);
    if (!strcmp(lie, "plain"))
        meta.user_size = 0;
    cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL);
    if (now && !strcmp(lie, "later")) {
        pause_ns(50000000);
        one_foreign_byte(data, size, seq);
    }
    if (now && !strcmp(lie, "held") && wait_until_held(publisher)) {
        pause_ns(100000000);
        one_foreign_byte(data, size, seq);
    }
    cuframes_buffer_unref(buffer);
}

int main(int argc, char **argv)
{
    cuframes_publisher_config_t config = {.width = 64,
                                          .height = 48,
                                          .format = CUFRAMES_FORMAT_NV12,
                                          .memory = CUFRAMES_MEMORY_HOST,
                                          .policy = CUFRAMES_POLICY_STRICT_WAIT,
                                          .consumer_ack_timeout_ms = 5000};
    cuframes_publisher_stats_t stats = {0};
    cuframes_publisher_t *publisher;

    if (argc != 4)
        return 2;
    config.key = argv[1];
    if (cuframes_publisher_create(&config, &publisher) != CUFRAMES_OK) {
        fprintf(stderr, "lying_source: %s\n", cuframes_last_error());
        return 1;
    }
    /* At most 10 s for the reader to come. */
    for (int i = 0; i < 1000 && stats.subscribers == 0; i++) {
        pause_ns(PAUSE_NS);
        cuframes_publisher_stats(publisher, &stats);
    }
    for (uint64_t seq = 0; seq < strtoull(argv[3], NULL, 10); seq++) {
        publish(publisher, seq, argv[2]);
        pause_ns(PAUSE_NS);
    }
    cuframes_publisher_destroy(publisher);
    return 0;
}
