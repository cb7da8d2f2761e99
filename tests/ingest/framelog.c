/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber that writes one line for each frame, for the tests of the ingester:
 *
 *   seq missed pts_ns generation flags WIDTHxHEIGHT format source capture_ns published_ns md5 packet
 *
 * md5 is that of the visible picture without padding, as ffmpeg's framemd5 has it; packet is the
 * number of the packet that the frame was decoded from, "-" if not known.
 *
 * framelog KEY [FRAMES [HOLD_MS [SKIP]]]: in order, until the channel ends or FRAMES frames came;
 * with HOLD_MS it holds every frame but the first SKIP for so long, with as many held at once as it
 * is granted. The pictures come in host memory, wherever the channel has them. $FRAMELOG_RAW is a
 * file to write them to as well.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libavutil/md5.h>
#include <libavutil/mem.h>

#include <cuframes/cuframes.h>

#define CONNECT_MS 20000
#define FRAME_MS   30000
#define MAX_HELD   64

static FILE *raw;

static void print_md5(const cuframes_frame_t *frame)
{
    struct AVMD5 *md5 = av_md5_alloc();
    uint8_t digest[16];

    av_md5_init(md5);
    for (int32_t i = 0; i < cuframes_frame_plane_count(frame); i++) {
        cuframes_plane_t plane;

        cuframes_frame_plane(frame, i, &plane);
        for (uint32_t row = 0; row < plane.rows; row++) {
            const uint8_t *start = (const uint8_t *)plane.data + (size_t)row * plane.pitch;

            av_md5_update(md5, start, plane.row_bytes);
            if (raw)
                fwrite(start, 1, plane.row_bytes, raw);
        }
    }
    av_md5_final(md5, digest);
    av_free(md5);
    for (int i = 0; i < 16; i++)
        printf("%02x", digest[i]);
}

static void print_frame(const cuframes_frame_t *frame)
{
    cuframes_clock_source_t source;
    int64_t capture_ns = cuframes_frame_capture_ns(frame, &source);
    int32_t width, height;
    uint64_t packet;

    cuframes_frame_size(frame, &width, &height);
    printf("%" PRIu64 " %" PRIu64 " %" PRId64 " %u %u %dx%d %s %d %" PRId64 " %" PRId64 " ",
           cuframes_frame_seq(frame), cuframes_frame_missed(frame), cuframes_frame_pts_ns(frame),
           cuframes_frame_generation(frame), cuframes_frame_flags(frame), width, height,
           cuframes_format_name(cuframes_frame_format(frame)), (int)source, capture_ns,
           cuframes_frame_published_ns(frame));
    print_md5(frame);
    if (cuframes_frame_packet_seq(frame, &packet) == CUFRAMES_OK)
        printf(" %" PRIu64 "\n", packet);
    else
        printf(" -\n");
    fflush(stdout);
}

/* Frames that are held, oldest first. */
static struct {
    cuframes_frame_t *frames[MAX_HELD];
    int64_t until_ns[MAX_HELD];
    int count;
} held;

static void release_oldest(void)
{
    cuframes_frame_release(held.frames[0]);
    held.count--;
    memmove(held.frames, held.frames + 1, sizeof(held.frames[0]) * (size_t)held.count);
    memmove(held.until_ns, held.until_ns + 1, sizeof(held.until_ns[0]) * (size_t)held.count);
}

static void hold(cuframes_frame_t *frame, int64_t hold_ns, int most)
{
    held.frames[held.count] = frame;
    held.until_ns[held.count++] = cuframes_now_ns() + hold_ns;
    while (held.count > 0 && (held.count >= most || held.until_ns[0] <= cuframes_now_ns())) {
        int64_t left = held.until_ns[0] - cuframes_now_ns();
        struct timespec pause = {.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};

        if (left > 0)
            nanosleep(&pause, NULL);
        release_oldest();
    }
}

int main(int argc, char **argv)
{
    cuframes_subscriber_config_t config = {
        .mode = CUFRAMES_MODE_STRICT_ORDER,
        .connect_timeout_ms = CONNECT_MS,
        .flags = CUFRAMES_SUBSCRIBER_STAGED,
        .memory = CUFRAMES_MEMORY_HOST,
    };
    long frames = argc > 2 ? atol(argv[2]) : 0;
    int64_t hold_ns = argc > 3 ? atoll(argv[3]) * 1000000 : 0;
    long skip = argc > 4 ? atol(argv[4]) : 0;
    cuframes_subscriber_stats_t stats;
    cuframes_subscriber_t *subscriber;
    int err;

    config.key = argc > 1 ? argv[1] : "";
    raw = getenv("FRAMELOG_RAW") ? fopen(getenv("FRAMELOG_RAW"), "we") : NULL;
    err = cuframes_subscriber_create(&config, &subscriber);
    if (err) {
        fprintf(stderr, "framelog: %s\n", cuframes_last_error());
        return 1;
    }
    cuframes_subscriber_stats(subscriber, &stats);
    for (long i = 0; frames <= 0 || i < frames; i++) {
        cuframes_frame_t *frame;

        err = cuframes_subscriber_next(subscriber, NULL, &frame, FRAME_MS);
        if (err)
            break;
        print_frame(frame);
        hold(frame, i < skip ? 0 : hold_ns, (int)stats.max_holds);
    }
    while (held.count > 0)
        release_oldest();
    cuframes_subscriber_destroy(subscriber);
    if (raw)
        fclose(raw);
    if (err && err != CUFRAMES_ERR_DISCONNECTED) {
        fprintf(stderr, "framelog: %s\n", cuframes_last_error());
        return 1;
    }
    return 0;
}
