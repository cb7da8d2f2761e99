/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gpu_source KEY: publishes frames in GPU memory, 50 a second, for readers.py: 512x256 in grey, word
 * i of the frame with the time stamp t being t * 0x9e3779b97f4a7c15 + i. Says "ready", and ends with
 * its standard input.
 */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel.h"

static bool input_has_ended(int timeout_ms)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char byte;

    return poll(&input, 1, timeout_ms) == 1 && read(STDIN_FILENO, &byte, 1) <= 0;
}

int main(int argc, char **argv)
{
    cuframes_publisher_config_t config;
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;

    if (argc != 2) {
        fprintf(stderr, "usage: gpu_source KEY\n");
        return 2;
    }
    config = gpu_config(argv[1]);
    config.width = 512;
    config.height = 256;
    gpu_worker_init(&worker, 0);
    CHECK_OK(cuframes_publisher_create(&config, &publisher));
    puts("ready");
    fflush(stdout);
    for (int64_t pts = 1; !input_has_ended(20); pts++)
        gpu_publish(&worker, publisher, pts);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
    return 0;
}
