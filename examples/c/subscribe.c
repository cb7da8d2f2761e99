/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads a channel and prints the mean brightness of each frame: the shortest subscriber there is.
 *
 *   subscribe KEY [FRAMES]    FRAMES 0, or none: until the publisher ends
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <cuframes/cuframes.h>

static int fail(const char *what)
{
    fprintf(stderr, "subscribe: %s: %s\n", what, cuframes_last_error());
    return 1;
}

/* Mean of the bytes of plane 0, read where the publisher wrote them. */
static double mean(const cuframes_frame_t *frame)
{
    cuframes_plane_t plane;
    if (cuframes_frame_plane(frame, 0, &plane) != CUFRAMES_OK)
        return 0;
    uint64_t sum = 0;
    for (uint32_t y = 0; y < plane.rows; y++) {
        const unsigned char *row = (const unsigned char *)plane.data + (size_t)y * plane.pitch;
        for (uint32_t x = 0; x < plane.row_bytes; x++)
            sum += row[x];
    }
    return (double)sum / ((double)plane.rows * plane.row_bytes);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: subscribe KEY [FRAMES]\n");
        return 2;
    }
    unsigned long frames = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;

    cuframes_subscriber_config_t config = {0};
    config.key = argv[1];
    config.mode = CUFRAMES_MODE_NEWEST_ONLY;
    config.connect_timeout_ms = 5000;

    cuframes_subscriber_t *subscriber;
    if (cuframes_subscriber_create(&config, &subscriber) != CUFRAMES_OK)
        return fail("cannot subscribe");

    int status = 0;
    for (unsigned long n = 0; frames == 0 || n < frames; n++) {
        cuframes_frame_t *frame;
        int result = cuframes_subscriber_next(subscriber, NULL, &frame, 5000);
        if (result == CUFRAMES_ERR_DISCONNECTED)
            break;
        if (result != CUFRAMES_OK) {
            status = fail("no frame");
            break;
        }
        printf("%" PRIu64 ": mean %.1f\n", cuframes_frame_seq(frame), mean(frame));
        cuframes_frame_release(frame);
    }
    cuframes_subscriber_destroy(subscriber);
    return status;
}
