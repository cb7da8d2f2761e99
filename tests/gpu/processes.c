/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "processes.h"

#include "integration/support.h"

#define LINGER_MS 2000

static void run_publisher(struct test_peer *test, void *argument)
{
    struct gpu_publisher_peer *self = argument;
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;
    uint64_t pts;

    gpu_worker_init(&worker, self->config.cuda_device);
    publisher = make_publisher(&self->config);
    test_say(test, 0);
    while (test_hear_or_end(test, &pts)) {
        gpu_publish(&worker, publisher, (int64_t)pts);
        WAIT_FOR(publisher_stats(publisher).pending == 0, 5000);
        test_say(test, publisher_stats(publisher).slots_held);
    }
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
}

void gpu_spawn_publisher(struct gpu_publisher_peer *peer, const struct test_spawn_options *options)
{
    test_spawn(&peer->peer, run_publisher, peer, options);
    CHECK_HEAR(&peer->peer, 0);
}

static uint64_t poke(struct gpu_worker *worker, const cuframes_frame_t *frame)
{
    cu_result result = gpu_poke(&worker->kernels, (uintptr_t)cuframes_frame_data(frame),
                                cuframes_frame_data_size(frame), 0, worker->stream);

    return (uint64_t)(result ? result : gpu.cuStreamSynchronize(worker->stream));
}

static uint64_t wait_for_error(cuframes_subscriber_t *reader)
{
    cuframes_frame_t *frame;
    int err;

    while ((err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms())) ==
           CUFRAMES_OK)
        cuframes_frame_release(frame);
    return (uint64_t)-err;
}

static uint64_t obey(struct gpu_worker *worker, cuframes_subscriber_t *reader,
                     cuframes_frame_t **kept, enum gpu_order what)
{
    switch (what) {
    case GPU_TAKE:
        *kept = gpu_next(reader);
        return (uint64_t)cuframes_frame_pts_ns(*kept);
    case GPU_CHECK:
        return gpu_wrong_in_frame(worker, *kept);
    case GPU_RELEASE:
        CHECK_OK(cuframes_frame_release(*kept));
        *kept = NULL;
        return 0;
    case GPU_LINGER:
        gpu_linger(&worker->kernels, (uintptr_t)cuframes_frame_data(*kept),
                   cuframes_frame_data_size(*kept), (uint64_t)cuframes_frame_pts_ns(*kept),
                   LINGER_MS, worker->stream);
        return 0;
    case GPU_POKE:
        return poke(worker, *kept);
    case GPU_ACCESS:
        return cuframes_subscriber_access(reader);
    case GPU_ERROR:
        return wait_for_error(reader);
    }
    FAIL("unknown order %d", (int)what);
}

static void run_reader(struct test_peer *test, void *argument)
{
    struct gpu_reader_peer *self = argument;
    cuframes_frame_t *kept = NULL;
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;
    uint64_t word;

    gpu_worker_init(&worker, self->device);
    reader = make_subscriber(&self->config);
    test_say(test, 0);
    while (test_hear_or_end(test, &word)) {
        word = obey(&worker, reader, &kept, (enum gpu_order)word);
        test_say(test, word);
    }
    /* Not orderly: after a failed kernel nothing of the driver's can be. */
    cuframes_frame_release(kept);
    CHECK_OK(cuframes_subscriber_destroy(reader));
}

void gpu_spawn_reader(struct gpu_reader_peer *peer, const struct test_spawn_options *options)
{
    test_spawn(&peer->peer, run_reader, peer, options);
    CHECK_HEAR(&peer->peer, 0);
}

uint64_t gpu_order(struct gpu_reader_peer *peer, enum gpu_order what)
{
    test_say(&peer->peer, what);
    return test_hear(&peer->peer);
}

uint64_t gpu_order_frame(struct gpu_publisher_peer *peer, int64_t pts_ns)
{
    test_say(&peer->peer, (uint64_t)pts_ns);
    return test_hear(&peer->peer);
}
