/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the measurements share.
 */
#include "bench/bench.h"
#include "bench/worker.h"
#include "common/report.h"
#include "common/stop.h"

#define CONNECT_MS 10000

bool bench_open_publisher(const struct bench *bench, const char *key, int32_t width, int32_t height,
                          int32_t slots, cuframes_publisher_t **publisher)
{
    const cuframes_publisher_config_t config = {
        .key = key,
        .width = width,
        .height = height,
        .format = CUFRAMES_FORMAT_NV12,
        .ring_size = slots,
        .memory = CUFRAMES_MEMORY_HOST,
        .runtime_dir = bench->dir,
    };
    int err = cuframes_publisher_create(&config, publisher);

    if (err)
        report_library(err);
    return err == CUFRAMES_OK;
}

bool bench_open_subscriber(const struct bench *bench, const char *key,
                           cuframes_subscriber_mode_t mode, cuframes_subscriber_t **subscriber)
{
    const cuframes_subscriber_config_t config = {
        .key = key,
        .mode = mode,
        .connect_timeout_ms = CONNECT_MS,
        .runtime_dir = bench->dir,
    };
    int err = cuframes_subscriber_create(&config, subscriber);

    if (err)
        report_library(err);
    return err == CUFRAMES_OK;
}

bool bench_await_subscribers(cuframes_publisher_t *publisher, uint32_t count)
{
    const int64_t give_up = cuframes_now_ns() + WORKER_PATIENCE_MS * INT64_C(1000000);
    cuframes_publisher_stats_t stats;
    int err;

    while ((err = cuframes_publisher_stats(publisher, &stats)) == CUFRAMES_OK) {
        if (stats.subscribers >= count)
            return true;
        if (!stop_sleep_until(cuframes_now_ns() + 1000000))
            return false;
        if (cuframes_now_ns() > give_up) {
            report("only %u of %u subscribers have attached", stats.subscribers, count);
            return false;
        }
    }
    report_library(err);
    return false;
}

bool bench_publish_frame(cuframes_publisher_t *publisher)
{
    void *memory;
    int err = cuframes_publisher_acquire(publisher, &memory);

    if (!err)
        err = cuframes_publisher_publish(publisher, NULL, cuframes_now_ns());
    if (err)
        report_library(err);
    return err == CUFRAMES_OK;
}

double bench_clock_cost(void)
{
    enum { CALLS = 100000 };
    const int64_t start = cuframes_now_ns();

    for (int i = 1; i < CALLS; i++)
        cuframes_now_ns();
    return (double)(cuframes_now_ns() - start) / CALLS;
}
