/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lets a thread of the library call for each frame.
 *
 *   callback KEY              until the publisher ends, at most a minute
 */
#include <stdatomic.h>
#include <stdio.h>

#include <cuframes/cuframes.h>

struct counts {
    atomic_ulong frames;
    atomic_ulong missed;
};

/* Runs in the library's thread; the frame is given back when it returns. */
static void on_frame(const cuframes_frame_t *frame, void *user)
{
    struct counts *counts = user;
    atomic_fetch_add(&counts->frames, 1);
    atomic_fetch_add(&counts->missed, cuframes_frame_missed(frame));
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: callback KEY\n");
        return 2;
    }
    struct counts counts = {0};
    cuframes_subscriber_config_t config = {0};
    config.key = argv[1];
    config.mode = CUFRAMES_MODE_STRICT_ORDER;
    config.connect_timeout_ms = 5000;

    cuframes_async_subscriber_t *subscriber;
    if (cuframes_async_subscriber_create(&config, on_frame, &counts, &subscriber) != CUFRAMES_OK) {
        fprintf(stderr, "callback: %s\n", cuframes_last_error());
        return 1;
    }
    /* The program would do its own work here. DISCONNECTED is the publisher's normal end. */
    int result = cuframes_async_subscriber_wait(subscriber, 60000);
    cuframes_async_subscriber_destroy(subscriber);
    printf("%lu frames, %lu missed\n", atomic_load(&counts.frames), atomic_load(&counts.missed));
    if (result != CUFRAMES_ERR_DISCONNECTED && result != CUFRAMES_ERR_TIMEOUT) {
        fprintf(stderr, "callback: %s\n", cuframes_strerror(result));
        return 1;
    }
    return 0;
}
