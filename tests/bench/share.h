/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the programs have in common that carry the same pictures from one process to another in
 * different ways, each as
 *
 *     share_X write|read ENDPOINT FRAMES INTERVAL_US
 *
 * The writer draws each picture (copies one of some prepared pictures of 1920x1080 NV12 to where
 * this way of sharing wants it, as a decoder would write it there) and stamps it with the time; the
 * reader notes how old the stamp is as soon as it has the picture, and then reads every byte. So
 * the work on the pixels is the same everywhere, and what differs is the way between. With an
 * interval the writer sends a picture each INTERVAL_US; with 0 as fast as the reader takes them.
 *
 * Each side prints a line of JSON: frames, seconds, cpu_s (both from the first frame to the last)
 * and, of the reader, the latencies in nanoseconds. One thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHARE_WIDTH  1920
#define SHARE_HEIGHT 1080
#define SHARE_SIZE   ((size_t)SHARE_WIDTH * SHARE_HEIGHT * 3 / 2)

struct share {
    bool write;
    const char *endpoint;
    int frames;
    int64_t interval_ns;

    /* The meter. */
    int done;
    int64_t start_ns, due_ns, cpu_start_ns;
    int64_t end_ns, cpu_end_ns;
    int64_t *latency_ns;
    uint64_t sum; /* of all bytes read, so that reading them is not left out */
};

int64_t share_now_ns(void);

/* Parses the command line and prepares the pictures; ends the process with 2 if it is wrong. */
void share_init(struct share *share, int argc, char **argv);
/* Ends the process with 1. */
void share_fail(const char *what) __attribute__((noreturn));

/* Writer: waits until the next frame is due. */
void share_pace(struct share *share);
/* Writer: draws the next picture, SHARE_SIZE bytes at `memory`, and stamps it. */
void share_draw(struct share *share, void *memory);
/* Reader: has a picture at `memory`. Reads and counts it. */
void share_read(struct share *share, const void *memory);
/* Whether all frames were drawn or read. */
bool share_is_done(const struct share *share);
void share_finish(struct share *share);
