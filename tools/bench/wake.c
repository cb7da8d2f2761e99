/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From publish to awake: the publisher notes the time and publishes; a subscriber in another
 * process, which slept in cuframes_subscriber_next(), has the frame and notes the time. Beside it
 * the least that any such thing costs: a process notes the time in shared memory and calls
 * FUTEX_WAKE, and another, which slept in FUTEX_WAIT, notes the time.
 *
 * This process publishes and wakes; each line of the measurement has a process that sleeps. The
 * lines take turns in blocks. This process keeps to the first core that it may use and those that
 * sleep keep to the last: where the scheduler happens to put a process changes the time of a wake
 * by half, whatever wakes it.
 */
#include <limits.h>
#include <linux/futex.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/worker.h"
#include "common/report.h"
#include "common/stop.h"

/* A block of a line, after which the next line has its turn. */
#define BLOCK        25
#define QUICK_ROUNDS 4
#define FULL_ROUNDS  120
/* Between two frames: the reader is asleep again long before the next. */
#define INTERVAL_NS 500000
#define SLOTS       4

static const struct size {
    int32_t width, height;
} sizes[] = {{320, 240}, {640, 480}, {1280, 720}, {1920, 1080}, {3840, 2160}};

enum { SIZES = sizeof(sizes) / sizeof(sizes[0]), BARE = SIZES, LINES };

struct shared {
    _Atomic uint32_t word; /* of the bare futex */
    _Atomic uint32_t ready;
    _Atomic int64_t stamp_ns;
    /* For each line and sample: how long it took, or 0. */
    int64_t took_ns[LINES][FULL_ROUNDS * BLOCK];
};

struct line {
    const struct bench *bench;
    struct shared *shared;
    int index;
    struct worker reader;
    cuframes_publisher_t *publisher; /* NULL for the bare futex */
    struct samples all;
    struct samples ratios; /* to the bare futex, of the medians of each round */
};

static void key_of(int index, char key[24])
{
    snprintf(key, 24, "bench-wake-%d", index);
}

/* Keeps this process, and what it starts from now on, to one core. A machine that does not allow it
 * is measured as it is. */
static void keep_to_core(bool first)
{
    cpu_set_t allowed, chosen;
    int core = -1;

    CPU_ZERO(&allowed);
    CPU_ZERO(&chosen);
    sched_getaffinity(0, sizeof(allowed), &allowed);
    for (int i = 0; i < CPU_SETSIZE && (!first || core < 0); i++)
        if (CPU_ISSET(i, &allowed))
            core = i;
    if (core < 0)
        return;
    CPU_SET(core, &chosen);
    sched_setaffinity(0, sizeof(chosen), &chosen);
}

static int read_bare(void *context)
{
    const struct line *line = context;
    struct shared *shared = line->shared;

    keep_to_core(false);
    atomic_fetch_add(&shared->ready, 1);
    for (uint32_t seen = 0; seen < FULL_ROUNDS * BLOCK; seen++) {
        /* Acquire: pairs with the release in emit_bare(): the stamp is seen. */
        while (atomic_load_explicit(&shared->word, memory_order_acquire) == seen)
            syscall(SYS_futex, &shared->word, FUTEX_WAIT, seen, NULL, NULL, 0);
        shared->took_ns[BARE][seen] = cuframes_now_ns() - shared->stamp_ns;
    }
    return TOOL_DONE;
}

static int read_channel(void *context)
{
    const struct line *line = context;
    int64_t *took_ns = line->shared->took_ns[line->index];
    cuframes_subscriber_t *subscriber;
    cuframes_frame_t *frame;
    char key[24];

    keep_to_core(false);
    key_of(line->index, key);
    if (!bench_open_subscriber(line->bench, key, CUFRAMES_MODE_NEWEST_ONLY, &subscriber))
        return TOOL_FAILED;
    for (;;) {
        int err = cuframes_subscriber_next(subscriber, NULL, &frame, -1);
        int64_t now = cuframes_now_ns();

        if (err)
            return TOOL_DONE; /* the publisher has ended */
        took_ns[cuframes_frame_seq(frame)] = now - cuframes_frame_pts_ns(frame);
        cuframes_subscriber_release(subscriber, frame);
    }
}

static bool emit_bare(struct shared *shared)
{
    atomic_store_explicit(&shared->stamp_ns, cuframes_now_ns(), memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->word, 1, memory_order_release);
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    return true;
}

static bool emit_block(struct line *line)
{
    int64_t due = cuframes_now_ns();

    for (int i = 0; i < BLOCK; i++) {
        due += INTERVAL_NS;
        if (!stop_sleep_until(due))
            return false;
        if (line->publisher ? !bench_publish_frame(line->publisher) : !emit_bare(line->shared))
            return false;
    }
    return stop_sleep_until(due + INTERVAL_NS);
}

static bool open_lines(const struct bench *bench, struct shared *shared, struct line *lines,
                       size_t capacity)
{
    char key[24];

    for (int i = 0; i < LINES; i++) {
        lines[i] = (struct line){.bench = bench, .shared = shared, .index = i};
        if (!samples_init(&lines[i].all, capacity) || !samples_init(&lines[i].ratios, capacity) ||
            !worker_start(&lines[i].reader, i == BARE ? read_bare : read_channel, &lines[i]))
            return false;
    }
    for (int i = 0; i < SIZES; i++) {
        key_of(i, key);
        if (!bench_open_publisher(bench, key, sizes[i].width, sizes[i].height, SLOTS,
                                  &lines[i].publisher) ||
            !bench_await_subscribers(lines[i].publisher, 1))
            return false;
    }
    /* After the readers were started, so that they may choose too. */
    keep_to_core(true);
    return worker_await(&lines[BARE].reader, &shared->ready, 1, "the reader did not start");
}

static void close_lines(struct line *lines)
{
    for (int i = 0; i < LINES; i++) {
        worker_stop(&lines[i].reader);
        cuframes_publisher_destroy(lines[i].publisher);
        samples_fini(&lines[i].all);
        samples_fini(&lines[i].ratios);
    }
}

/* The first round warms up: it does not count. */
static bool run(struct line *lines, int rounds)
{
    for (int round = 0; round < rounds; round++)
        for (int i = 0; i < LINES; i++)
            if (!emit_block(&lines[(i + round) % LINES]))
                return false;
    return true;
}

static double median_of_block(const int64_t *took_ns)
{
    double values[BLOCK];
    struct samples block = {.values = values, .capacity = BLOCK};

    for (int i = 0; i < BLOCK; i++)
        if (took_ns[i] > 0)
            samples_add(&block, (double)took_ns[i]);
    return samples_quantile(&block, 0.5);
}

static void gather(struct shared *shared, struct line *lines, int rounds)
{
    for (int round = 1; round < rounds; round++) {
        double bare = median_of_block(&shared->took_ns[BARE][round * BLOCK]);

        for (int i = 0; i < LINES; i++) {
            const int64_t *took_ns = &shared->took_ns[i][round * BLOCK];

            samples_add(&lines[i].ratios, bare > 0 ? median_of_block(took_ns) / bare : -1);
            for (int k = 0; k < BLOCK; k++)
                samples_add(&lines[i].all, took_ns[k] > 0 ? (double)took_ns[k] : -1);
        }
    }
}

static json_t *line_json(struct line *line, double bare_ns)
{
    json_t *object = samples_json(&line->all);
    const struct size *size = line->index == BARE ? NULL : &sizes[line->index];

    if (!size)
        return object;
    json_object_set_new(object, "width", json_integer(size->width));
    json_object_set_new(object, "height", json_integer(size->height));
    json_object_set_new(object, "ratio_to_bare",
                        json_real(samples_quantile(&line->all, 0.5) / bare_ns));
    json_object_set_new(object, "round_ratio_p10", json_real(samples_quantile(&line->ratios, 0.1)));
    json_object_set_new(object, "round_ratio_p50", json_real(samples_quantile(&line->ratios, 0.5)));
    json_object_set_new(object, "round_ratio_p90", json_real(samples_quantile(&line->ratios, 0.9)));
    return object;
}

static json_t *describe(struct line *lines)
{
    double bare_ns = samples_quantile(&lines[BARE].all, 0.5);
    json_t *list = json_array();

    for (int i = 0; i < SIZES; i++)
        json_array_append_new(list, line_json(&lines[i], bare_ns));
    return json_pack("{s:i, s:i, s:o, s:o}", "interval_ns", INTERVAL_NS, "block", BLOCK, "bare",
                     line_json(&lines[BARE], bare_ns), "channels", list);
}

int bench_wake(const struct bench *bench, json_t **result)
{
    const int rounds = 1 + (bench->quick ? QUICK_ROUNDS : FULL_ROUNDS - 1);
    struct shared *shared = worker_memory(sizeof(*shared));
    struct line lines[LINES] = {0};
    cpu_set_t before;
    int rc = TOOL_FAILED;

    if (!shared)
        return rc;
    CPU_ZERO(&before);
    sched_getaffinity(0, sizeof(before), &before);
    if (open_lines(bench, shared, lines, (size_t)rounds * BLOCK) && run(lines, rounds)) {
        gather(shared, lines, rounds);
        *result = describe(lines);
        rc = TOOL_DONE;
    }
    close_lines(lines);
    sched_setaffinity(0, sizeof(before), &before);
    worker_memory_free(shared, sizeof(*shared));
    return rc;
}
