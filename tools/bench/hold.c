/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a frame costs a subscriber that does not wait: cuframes_subscriber_next() with a timeout of
 * 0, and release. A process publishes on demand; this one waits for its word, awake, before it
 * calls the library, so that every call finds what it is there for.
 *
 * "in_order": a batch of frames that wait in the ring; the time of the batch, divided. "newest": a
 * frame that another core has just announced; each timed alone, the time contains one reading of
 * the clock. "empty": calls that find no frame.
 *
 * That no system call is made is shown by a process that the kernel kills at its first one.
 */
#include <sched.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/worker.h"
#include "common/report.h"
#include "common/stop.h"

#define KEY            "bench-hold"
#define SLOTS          64
#define BATCH          32
#define QUICK_ROUNDS   50
#define FULL_ROUNDS    5000
#define CONFINED_COUNT 320 /* batches */

struct shared {
    const struct bench *bench;
    _Atomic uint32_t asked;     /* frames that shall be published, in all */
    _Atomic uint32_t published; /* frames that are */
    _Atomic uint32_t ball;      /* see worker_ping_ns() */
    _Atomic uint32_t confine;   /* not 0: the confined subscriber may begin */
};

static int publish(void *context)
{
    struct shared *shared = context;
    cuframes_publisher_t *publisher;

    if (!bench_open_publisher(shared->bench, KEY, 1920, 1080, SLOTS, &publisher))
        return TOOL_FAILED;
    for (uint32_t turn = 1;; turn++) {
        uint32_t published = atomic_load_explicit(&shared->published, memory_order_relaxed);

        worker_echo(&shared->ball);
        if (published == atomic_load_explicit(&shared->asked, memory_order_relaxed)) {
            /* Another process may be waiting for this core, but this one is to answer fast. */
            if (turn % 256 == 0)
                sched_yield();
            continue;
        }
        if (!bench_publish_frame(publisher))
            return TOOL_FAILED;
        /* Release: pairs with the acquire in worker_spin(). */
        atomic_store_explicit(&shared->published, published + 1, memory_order_release);
    }
}

/* Has `count` frames published. */
static bool ask(struct shared *shared, uint32_t count)
{
    return worker_spin(&shared->published, atomic_fetch_add(&shared->asked, count) + count);
}

/* Takes and releases `count` frames that are there. */
static bool take(cuframes_subscriber_t *subscriber, int count)
{
    cuframes_frame_t *frame;
    int err = CUFRAMES_OK;

    for (int i = 0; i < count && !err; i++) {
        err = cuframes_subscriber_next(subscriber, NULL, &frame, 0);
        if (!err)
            cuframes_subscriber_release(subscriber, frame);
    }
    return err == CUFRAMES_OK;
}

static int take_confined(void *context)
{
    struct shared *shared = context;
    cuframes_subscriber_t *subscriber;

    while (!atomic_load(&shared->confine))
        usleep(1000);
    if (!bench_open_subscriber(shared->bench, KEY, CUFRAMES_MODE_STRICT_ORDER, &subscriber))
        return TOOL_FAILED;
    if (!ask(shared, BATCH) || !take(subscriber, BATCH))
        return TOOL_FAILED;
    worker_confine();
    for (int i = 0; i < CONFINED_COUNT; i++)
        if (!ask(shared, BATCH) || !take(subscriber, BATCH))
            return TOOL_FAILED;
    worker_confined_exit();
    return TOOL_FAILED;
}

struct readers {
    cuframes_subscriber_t *order, *newest;
    struct samples in_order, fresh, empty, line;
};

static bool measure_order(struct shared *shared, struct readers *readers)
{
    int64_t start;

    if (!ask(shared, BATCH))
        return false;
    start = cuframes_now_ns();
    if (!take(readers->order, BATCH))
        return false;
    samples_add(&readers->in_order, (double)(cuframes_now_ns() - start) / BATCH);
    return true;
}

static bool measure_newest(struct shared *shared, struct readers *readers)
{
    int64_t start;

    if (!ask(shared, 1))
        return false;
    start = cuframes_now_ns();
    if (!take(readers->newest, 1))
        return false;
    samples_add(&readers->fresh, (double)(cuframes_now_ns() - start));
    return take(readers->order, 1);
}

static void measure_empty(struct readers *readers)
{
    int64_t start = cuframes_now_ns();

    for (int i = 0; i < BATCH; i++)
        take(readers->newest, 1);
    samples_add(&readers->empty, (double)(cuframes_now_ns() - start) / BATCH);
}

static bool run(struct shared *shared, struct readers *readers, size_t rounds)
{
    for (size_t i = 0; i < rounds && !stop_requested(); i++) {
        if (!measure_order(shared, readers) || !measure_newest(shared, readers)) {
            report("the publisher of this measurement has stopped");
            return false;
        }
        measure_empty(readers);
        samples_add(&readers->line, worker_ping_ns(&shared->ball));
    }
    return !stop_requested();
}

static bool open_readers(const struct bench *bench, struct readers *readers, size_t rounds)
{
    return samples_init(&readers->in_order, rounds) && samples_init(&readers->fresh, rounds) &&
           samples_init(&readers->empty, rounds) && samples_init(&readers->line, rounds) &&
           bench_open_subscriber(bench, KEY, CUFRAMES_MODE_STRICT_ORDER, &readers->order) &&
           bench_open_subscriber(bench, KEY, CUFRAMES_MODE_NEWEST_ONLY, &readers->newest);
}

static void close_readers(struct readers *readers)
{
    cuframes_subscriber_destroy(readers->order);
    cuframes_subscriber_destroy(readers->newest);
    samples_fini(&readers->in_order);
    samples_fini(&readers->fresh);
    samples_fini(&readers->empty);
    samples_fini(&readers->line);
}

static json_t *describe(struct readers *readers, enum worker_confined confined)
{
    return json_pack("{s:o, s:i, s:o, s:o, s:o, s:s, s:i}", "cache_line",
                     samples_json(&readers->line), "batch", BATCH, "in_order",
                     samples_json(&readers->in_order), "newest", samples_json(&readers->fresh),
                     "empty", samples_json(&readers->empty), "system_calls",
                     worker_confined_word(confined), "system_calls_frames", CONFINED_COUNT * BATCH);
}

int bench_hold(const struct bench *bench, json_t **result)
{
    const size_t rounds = bench->quick ? QUICK_ROUNDS : FULL_ROUNDS;
    struct shared *shared = worker_memory(sizeof(*shared));
    struct worker publisher = {0}, confined_reader = {0};
    struct readers readers = {0};
    enum worker_confined confined;
    bool good;

    if (!shared)
        return TOOL_FAILED;
    shared->bench = bench;
    good = worker_start(&publisher, publish, shared) &&
           worker_start(&confined_reader, take_confined, shared) &&
           open_readers(bench, &readers, rounds) && run(shared, &readers, rounds);
    if (good) {
        atomic_store(&shared->confine, 1);
        good = worker_confined_result(&confined_reader, &confined);
    }
    if (good)
        *result = describe(&readers, confined);
    close_readers(&readers);
    worker_stop(&publisher);
    worker_stop(&confined_reader);
    worker_memory_free(shared, sizeof(*shared));
    return good ? TOOL_DONE : TOOL_FAILED;
}
