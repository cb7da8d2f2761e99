/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes a moving gradient: the shortest publisher there is.
 *
 *   publish KEY [FRAMES]      FRAMES 0, or none: until interrupted
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cuframes/cuframes.h>

enum { WIDTH = 640, HEIGHT = 360, FRAMES_PER_SECOND = 25 };

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static int fail(const char *what)
{
    fprintf(stderr, "publish: %s: %s\n", what, cuframes_last_error());
    return 1;
}

static void draw(unsigned char *picture, unsigned long n)
{
    for (size_t y = 0; y < HEIGHT; y++)
        memset(picture + y * WIDTH, (int)((y + n) % 256), WIDTH);
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        fprintf(stderr, "usage: publish KEY [FRAMES]\n");
        return 2;
    }
    unsigned long frames = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    signal(SIGINT, stop);
    signal(SIGTERM, stop);

    cuframes_publisher_config_t config = {0};
    config.key = argv[1];
    config.width = WIDTH;
    config.height = HEIGHT;
    config.format = CUFRAMES_FORMAT_GRAYSCALE;
    config.memory = CUFRAMES_MEMORY_HOST;
    config.fps_num = FRAMES_PER_SECOND;
    config.fps_den = 1;

    cuframes_publisher_t *publisher;
    if (cuframes_publisher_create(&config, &publisher) != CUFRAMES_OK)
        return fail("cannot publish");

    int status = 0;
    const struct timespec pause = {.tv_nsec = 1000000000 / FRAMES_PER_SECOND};
    for (unsigned long n = 0; !stopped && (frames == 0 || n < frames); n++) {
        void *picture;
        int result = cuframes_publisher_acquire(publisher, &picture);
        if (result == CUFRAMES_OK) {
            draw(picture, n);
            result = cuframes_publisher_publish(publisher, NULL, cuframes_now_ns());
        }
        /* WOULD_BLOCK: subscribers hold every slot, this frame is left out. */
        if (result != CUFRAMES_OK && result != CUFRAMES_ERR_WOULD_BLOCK) {
            status = fail("cannot publish a frame");
            break;
        }
        nanosleep(&pause, NULL);
    }
    cuframes_publisher_destroy(publisher);
    return status;
}
