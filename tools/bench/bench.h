/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The measurements of `cuframes bench`, a file for each. Each measures several things in turns
 * within one run, so that what disturbs one disturbs the others as well, and adds an object to the
 * result. All use channels in a runtime directory of their own.
 */
#pragma once

#include <stdbool.h>

#include <jansson.h>

#include <cuframes/cuframes.h>

#include "bench/samples.h"

struct bench {
    bool quick;
    char dir[64]; /* runtime directory, private to this run */
};

/* A measurement: TOOL_DONE with a new object, or TOOL_FAILED and reported. */
typedef int (*bench_measure_t)(const struct bench *bench, json_t **result);

/* From the call of publish until a subscriber that slept has the frame, beside a bare futex. */
int bench_wake(const struct bench *bench, json_t **result);
/* What acquire and publish cost the publisher, by number of polling subscribers. */
int bench_publish(const struct bench *bench, json_t **result);
/* What a frame costs a subscriber that does not wait. */
int bench_hold(const struct bench *bench, json_t **result);
/* How long it takes to attach. */
int bench_attach(const struct bench *bench, json_t **result);
/* What groups cost, beside other barriers and memcpy. */
int bench_group(const struct bench *bench, json_t **result);

/* What a packet costs its publisher and its readers, beside memcpy. */
int bench_packets(const struct bench *bench, json_t **result);

/* NV12 channels and their subscribers; false: reported. */
bool bench_open_publisher(const struct bench *bench, const char *key, int32_t width, int32_t height,
                          int32_t slots, cuframes_publisher_t **publisher);
bool bench_open_subscriber(const struct bench *bench, const char *key,
                           cuframes_subscriber_mode_t mode, cuframes_subscriber_t **subscriber);
/* Waits until `count` subscribers are attached; false: reported. */
bool bench_await_subscribers(cuframes_publisher_t *publisher, uint32_t count);
/* Publishes a frame with the time of the call in its pts_ns; false: reported. */
bool bench_publish_frame(cuframes_publisher_t *publisher);
/* What reading the clock costs, nanoseconds. */
double bench_clock_cost(void);
