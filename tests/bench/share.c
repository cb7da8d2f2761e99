/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PICTURES 4

static uint8_t *pictures[PICTURES];

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

int64_t share_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

void share_fail(const char *what)
{
    fprintf(stderr, "share: %s%s%s\n", what, errno ? ": " : "", errno ? strerror(errno) : "");
    exit(1);
}

static void prepare_pictures(void)
{
    for (int i = 0; i < PICTURES; i++) {
        pictures[i] = malloc(SHARE_SIZE);
        if (!pictures[i])
            share_fail("no memory for pictures");
        for (size_t k = 0; k < SHARE_SIZE; k++)
            pictures[i][k] = (uint8_t)(k * 7 + (size_t)i * 31);
    }
}

void share_init(struct share *share, int argc, char **argv)
{
    *share = (struct share){0};
    if (argc < 5 || (strcmp(argv[1], "write") != 0 && strcmp(argv[1], "read") != 0) ||
        atoi(argv[3]) < 2 || atoi(argv[4]) < 0) {
        fprintf(stderr, "usage: %s write|read ENDPOINT FRAMES INTERVAL_US\n", argv[0]);
        exit(2);
    }
    share->write = !strcmp(argv[1], "write");
    share->endpoint = argv[2];
    share->frames = atoi(argv[3]);
    share->interval_ns = atoi(argv[4]) * INT64_C(1000);
    share->latency_ns = calloc((size_t)share->frames, sizeof(int64_t));
    if (!share->latency_ns)
        share_fail("no memory for samples");
    prepare_pictures();
}

/* The first frame is there, or drawn: from here on it counts. */
static void begin(struct share *share)
{
    share->start_ns = share->due_ns = share_now_ns();
    share->cpu_start_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

static void note_end(struct share *share)
{
    share->end_ns = share_now_ns();
    share->cpu_end_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

void share_pace(struct share *share)
{
    struct timespec until;

    if (share->interval_ns == 0 || share->done == 0)
        return;
    share->due_ns += share->interval_ns;
    until = (struct timespec){.tv_sec = share->due_ns / 1000000000,
                              .tv_nsec = share->due_ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

void share_draw(struct share *share, void *memory)
{
    int64_t now;

    memcpy(memory, pictures[share->done % PICTURES], SHARE_SIZE);
    if (share->done++ == 0)
        begin(share);
    now = share_now_ns();
    memcpy(memory, &now, sizeof(now));
    if (share_is_done(share))
        note_end(share);
}

static uint64_t sum_words(const uint64_t *words, size_t count)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < count; i++)
        sum += words[i];
    return sum;
}

void share_read(struct share *share, const void *memory)
{
    int64_t now = share_now_ns(), stamp;

    memcpy(&stamp, memory, sizeof(stamp));
    share->latency_ns[share->done] = now - stamp;
    share->sum += sum_words(memory, SHARE_SIZE / sizeof(uint64_t));
    if (share->done++ == 0)
        begin(share);
    if (share_is_done(share))
        note_end(share);
}

bool share_is_done(const struct share *share)
{
    return share->done >= share->frames;
}

void share_finish(struct share *share)
{
    printf("{\"side\": \"%s\", \"frames\": %d, \"seconds\": %.6f, \"cpu_s\": %.6f, \"sum\": %llu, "
           "\"latency_ns\": [",
           share->write ? "write" : "read", share->done - 1,
           (double)(share->end_ns - share->start_ns) / 1e9,
           (double)(share->cpu_end_ns - share->cpu_start_ns) / 1e9, (unsigned long long)share->sum);
    for (int i = 1; !share->write && i < share->done; i++)
        printf("%s%lld", i > 1 ? ", " : "", (long long)share->latency_ns[i]);
    printf("]}\n");
    free(share->latency_ns);
    for (int i = 0; i < PICTURES; i++)
        free(pictures[i]);
}
