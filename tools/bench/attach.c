/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long cuframes_subscriber_create() takes, and how long it is until the first frame is held,
 * with a publisher in another process: connect, the publisher's answer with its descriptors, the
 * checks, the maps.
 */
#include <unistd.h>

#include "bench/bench.h"
#include "bench/worker.h"
#include "common/report.h"
#include "common/stop.h"

#define KEY           "bench-attach"
#define QUICK_SAMPLES 20
#define FULL_SAMPLES  1000

struct shared {
    const struct bench *bench;
    _Atomic uint32_t ready;
};

static int publish(void *context)
{
    struct shared *shared = context;
    cuframes_publisher_t *publisher;

    if (!bench_open_publisher(shared->bench, KEY, 1920, 1080, 0, &publisher) ||
        !bench_publish_frame(publisher))
        return TOOL_FAILED;
    atomic_store(&shared->ready, 1);
    for (;;)
        pause();
}

static bool attach_once(const struct bench *bench, struct samples *attach, struct samples *first)
{
    cuframes_subscriber_t *subscriber;
    cuframes_frame_t *frame;
    int64_t start = cuframes_now_ns(), attached, held;
    int err;

    if (!bench_open_subscriber(bench, KEY, CUFRAMES_MODE_NEWEST_ONLY, &subscriber))
        return false;
    attached = cuframes_now_ns();
    err = cuframes_subscriber_next(subscriber, NULL, &frame, 1000);
    held = cuframes_now_ns();
    if (!err)
        cuframes_subscriber_release(subscriber, frame);
    else
        report_library(err);
    cuframes_subscriber_destroy(subscriber);
    samples_add(attach, (double)(attached - start));
    samples_add(first, (double)(held - start));
    /* The publisher notices that this one has gone, so that it finds the same work each time. */
    return !err && stop_sleep_until(held + 2000000);
}

int bench_attach(const struct bench *bench, json_t **result)
{
    const size_t count = bench->quick ? QUICK_SAMPLES : FULL_SAMPLES;
    struct shared *shared = worker_memory(sizeof(*shared));
    struct samples attach = {0}, first = {0};
    struct worker publisher = {0};
    bool good;

    if (!shared)
        return TOOL_FAILED;
    shared->bench = bench;
    good = samples_init(&attach, count) && samples_init(&first, count) &&
           worker_start(&publisher, publish, shared) &&
           worker_await(&publisher, &shared->ready, 1, "the publisher did not start");
    for (size_t i = 0; good && i < count; i++)
        good = attach_once(bench, &attach, &first);
    if (good)
        *result = json_pack("{s:o, s:o}", "attach", samples_json(&attach), "first_frame",
                            samples_json(&first));
    worker_stop(&publisher);
    samples_fini(&attach);
    samples_fini(&first);
    worker_memory_free(shared, sizeof(*shared));
    return good ? TOOL_DONE : TOOL_FAILED;
}
