/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What acquire and publish cost a publisher with 1, 8, 64 and 256 subscribers that poll. One
 * process has all subscribers and goes through those of one channel after the other: next with a
 * timeout of 0, and release if that gave a frame.
 *
 * "paced": the publisher publishes when every subscriber has had its turn twice since the frame
 * before, so that each has taken and released that frame; its words are in the other core's cache
 * when the publisher looks at them. One call of each is timed, and the time contains one reading of
 * the clock. "flat_out": many frames in a row, as fast as it goes; the mean of each block.
 */
#include <stdio.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/worker.h"
#include "common/report.h"
#include "common/stop.h"

#define QUICK_ROUNDS   2
#define FULL_ROUNDS    40
#define PACED_BLOCK    100
#define FLAT_OUT_BLOCK 2000
#define CONFINED_COUNT 10000
#define CONFINED_KEY   "bench-confined"

static const uint32_t subscribers[] = {1, 8, 64, CUFRAMES_MAX_SUBSCRIBERS};

enum { CHANNELS = sizeof(subscribers) / sizeof(subscribers[0]), NO_CHANNEL = CHANNELS, PING };

struct shared {
    const struct bench *bench;
    _Atomic uint32_t active; /* channel whose subscribers poll */
    _Atomic uint32_t ball;   /* see worker_ping_ns() */
    _Atomic uint32_t turns;  /* how often all of them have polled */
};

struct channel {
    cuframes_publisher_t *publisher;
    struct samples paced, flat_out;
};

static void key_of(uint32_t index, char key[24])
{
    snprintf(key, 24, "bench-publish-%u", index);
}

static bool open_readers(const struct bench *bench, uint32_t channel, cuframes_subscriber_t **list)
{
    char key[24];

    key_of(channel, key);
    for (uint32_t i = 0; i < subscribers[channel]; i++)
        if (!bench_open_subscriber(bench, key, CUFRAMES_MODE_NEWEST_ONLY, &list[i]))
            return false;
    return true;
}

static void poll_all(cuframes_subscriber_t **list, uint32_t count)
{
    cuframes_frame_t *frame;

    for (uint32_t i = 0; i < count; i++)
        if (cuframes_subscriber_next(list[i], NULL, &frame, 0) == CUFRAMES_OK)
            cuframes_subscriber_release(list[i], frame);
}

static int poll_channels(void *context)
{
    static cuframes_subscriber_t *readers[CHANNELS][CUFRAMES_MAX_SUBSCRIBERS];
    struct shared *shared = context;

    for (uint32_t i = 0; i < CHANNELS; i++)
        if (!open_readers(shared->bench, i, readers[i]))
            return TOOL_FAILED;
    for (;;) {
        uint32_t active = atomic_load_explicit(&shared->active, memory_order_relaxed);

        if (active < CHANNELS)
            poll_all(readers[active], subscribers[active]);
        else if (active == PING)
            worker_echo(&shared->ball);
        else
            usleep(200);
        if (active < CHANNELS)
            atomic_fetch_add_explicit(&shared->turns, 1, memory_order_release);
    }
}

/* Waits until every polling subscriber has had a whole turn. */
static bool await_turn(struct shared *shared)
{
    /* The turn that is under way may have begun before the frame; the one after it has not. */
    if (worker_spin(&shared->turns, atomic_load(&shared->turns) + 2))
        return true;
    report("the subscribers do not poll");
    return false;
}

static bool measure_paced(struct shared *shared, struct channel *channel)
{
    for (int i = 0; i < PACED_BLOCK; i++) {
        int64_t start;

        if (!await_turn(shared))
            return false;
        start = cuframes_now_ns();
        if (!bench_publish_frame(channel->publisher))
            return false;
        samples_add(&channel->paced, (double)(cuframes_now_ns() - start));
    }
    return !stop_requested();
}

static bool measure_flat_out(struct channel *channel)
{
    int64_t start = cuframes_now_ns();

    for (int i = 0; i < FLAT_OUT_BLOCK; i++)
        if (!bench_publish_frame(channel->publisher))
            return false;
    samples_add(&channel->flat_out, (double)(cuframes_now_ns() - start) / FLAT_OUT_BLOCK);
    return true;
}

static bool measure_channel(struct shared *shared, uint32_t index, struct channel *channel)
{
    atomic_store(&shared->active, index);
    return await_turn(shared) && measure_paced(shared, channel) && measure_flat_out(channel);
}

static bool run(struct shared *shared, struct channel *channels, struct samples *line, int rounds)
{
    for (int round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < CHANNELS; i++)
            if (!measure_channel(shared, i, &channels[i]))
                return false;
        atomic_store(&shared->active, PING);
        for (int i = 0; i < PACED_BLOCK; i++)
            samples_add(line, worker_ping_ns(&shared->ball));
    }
    atomic_store(&shared->active, NO_CHANNEL);
    return true;
}

static bool open_channels(const struct bench *bench, struct channel *channels, size_t rounds)
{
    char key[24];

    for (uint32_t i = 0; i < CHANNELS; i++) {
        key_of(i, key);
        if (!samples_init(&channels[i].paced, rounds * PACED_BLOCK) ||
            !samples_init(&channels[i].flat_out, rounds) ||
            !bench_open_publisher(bench, key, 1920, 1080, 0, &channels[i].publisher))
            return false;
    }
    for (uint32_t i = 0; i < CHANNELS; i++)
        if (!bench_await_subscribers(channels[i].publisher, subscribers[i]))
            return false;
    return true;
}

static void close_channels(struct channel *channels)
{
    for (uint32_t i = 0; i < CHANNELS; i++) {
        cuframes_publisher_destroy(channels[i].publisher);
        samples_fini(&channels[i].paced);
        samples_fini(&channels[i].flat_out);
    }
}

/* What each further subscriber adds to the median of the first. */
static json_t *further_json(struct samples *samples, struct samples *first, uint32_t count)
{
    double more = samples_quantile(samples, 0.5) - samples_quantile(first, 0.5);

    return count > 1 ? json_real(more / (count - 1)) : json_null();
}

static json_t *describe(struct channel *channels)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < CHANNELS; i++) {
        struct channel *channel = &channels[i];

        json_array_append_new(
            list,
            json_pack("{s:i, s:o, s:o, s:o, s:o}", "subscribers", (int)subscribers[i], "paced",
                      samples_json(&channel->paced), "paced_further_ns",
                      further_json(&channel->paced, &channels[0].paced, subscribers[i]), "flat_out",
                      samples_json(&channel->flat_out), "flat_out_further_ns",
                      further_json(&channel->flat_out, &channels[0].flat_out, subscribers[i])));
    }
    return list;
}

static int publish_confined(void *context)
{
    struct shared *shared = context;
    cuframes_publisher_t *publisher;

    if (!bench_open_publisher(shared->bench, CONFINED_KEY, 1920, 1080, 0, &publisher) ||
        !bench_await_subscribers(publisher, 1))
        return TOOL_FAILED;
    /* Until the publisher's own thread sleeps again: it shares a lock with this one. */
    usleep(100000);
    worker_confine();
    for (int i = 0; i < CONFINED_COUNT; i++)
        if (!bench_publish_frame(publisher))
            return TOOL_FAILED;
    worker_confined_exit();
    return TOOL_FAILED;
}

/* Whether publishing makes system calls while a subscriber polls. */
static bool measure_confined(struct shared *shared, enum worker_confined *result)
{
    cuframes_subscriber_t *subscriber;
    struct worker publisher;
    cuframes_frame_t *frame;
    int err;

    if (!worker_start(&publisher, publish_confined, shared))
        return false;
    if (!bench_open_subscriber(shared->bench, CONFINED_KEY, CUFRAMES_MODE_NEWEST_ONLY,
                               &subscriber)) {
        worker_stop(&publisher);
        return false;
    }
    do {
        err = cuframes_subscriber_next(subscriber, NULL, &frame, 0);
        if (!err)
            cuframes_subscriber_release(subscriber, frame);
    } while ((err == CUFRAMES_OK || err == CUFRAMES_ERR_WOULD_BLOCK) && !stop_requested());
    cuframes_subscriber_destroy(subscriber);
    return worker_confined_result(&publisher, result);
}

int bench_publish(const struct bench *bench, json_t **result)
{
    const int rounds = bench->quick ? QUICK_ROUNDS : FULL_ROUNDS;
    struct shared *shared = worker_memory(sizeof(*shared));
    struct channel channels[CHANNELS] = {0};
    struct samples line = {0};
    struct worker poller = {0};
    enum worker_confined confined;
    bool good;

    if (!shared)
        return TOOL_FAILED;
    *shared = (struct shared){.bench = bench, .active = NO_CHANNEL};
    good = samples_init(&line, (size_t)rounds * PACED_BLOCK) &&
           measure_confined(shared, &confined) && worker_start(&poller, poll_channels, shared) &&
           open_channels(bench, channels, (size_t)rounds) && run(shared, channels, &line, rounds);
    if (good)
        *result = json_pack("{s:o, s:o, s:s, s:i}", "channels", describe(channels), "cache_line",
                            samples_json(&line), "system_calls", worker_confined_word(confined),
                            "system_calls_frames", CONFINED_COUNT);
    worker_stop(&poller);
    samples_fini(&line);
    close_channels(channels);
    worker_memory_free(shared, sizeof(*shared));
    return good ? TOOL_DONE : TOOL_FAILED;
}
