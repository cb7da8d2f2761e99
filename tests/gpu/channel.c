/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "channel.h"

#include <stdlib.h>

cuframes_publisher_config_t gpu_config(const char *key)
{
    return (cuframes_publisher_config_t){
        .key = key,
        .width = 256,
        .height = 128,
        .format = CUFRAMES_FORMAT_GRAYSCALE,
        .ring_size = 4,
        .memory = CUFRAMES_MEMORY_CUDA,
    };
}

void gpu_worker_init(struct gpu_worker *worker, int device)
{
    *worker = (struct gpu_worker){.device = device};
    gpu_start(device);
    gpu_kernels_init(&worker->kernels);
    CHECK_CU(gpu.cuStreamCreate(&worker->stream, CU_STREAM_NON_BLOCKING));
}

void gpu_worker_fini(struct gpu_worker *worker)
{
    CHECK_CU(gpu.cuStreamSynchronize(worker->stream));
    CHECK_CU(gpu.cuStreamDestroy_v2(worker->stream));
    gpu_kernels_fini(&worker->kernels);
    gpu_end(worker->device);
}

void gpu_worker_abandon(struct gpu_worker *worker)
{
    gpu.cuStreamDestroy_v2(worker->stream);
    gpu.cuModuleUnload(worker->kernels.module);
    gpu_end(worker->device);
}

static int acquire(cuframes_publisher_t *publisher, cuframes_buffer_t **buffer)
{
    int64_t deadline = test_deadline_ms(10000);
    int err;

    while ((err = cuframes_publisher_acquire_buffer(publisher, buffer)) == CUFRAMES_ERR_WOULD_BLOCK)
        if (!test_pause_until(deadline))
            FAIL("every slot is held for ever");
    return err;
}

int gpu_try_publish(struct gpu_worker *worker, cuframes_publisher_t *publisher, int64_t pts_ns,
                    uint64_t *seq)
{
    cuframes_buffer_t *buffer;
    cuframes_frame_meta_t meta = {.pts_ns = pts_ns};
    int err = acquire(publisher, &buffer);

    if (err)
        return err;
    /* In a context that has failed the launch does too, and publish says so. */
    gpu_try_fill(&worker->kernels, (uintptr_t)cuframes_buffer_data(buffer),
                 cuframes_buffer_layout(buffer)->size, (uint64_t)pts_ns, worker->stream);
    err = cuframes_publisher_publish_buffer(publisher, buffer, worker->stream, &meta, seq);
    cuframes_buffer_unref(buffer);
    return err;
}

uint64_t gpu_publish(struct gpu_worker *worker, cuframes_publisher_t *publisher, int64_t pts_ns)
{
    uint64_t seq = UINT64_MAX;

    CHECK_OK(gpu_try_publish(worker, publisher, pts_ns, &seq));
    return seq;
}

cuframes_frame_t *gpu_next(cuframes_subscriber_t *subscriber)
{
    cuframes_frame_t *frame = NULL;

    CHECK_OK(cuframes_subscriber_next(subscriber, NULL, &frame, test_patience_ms()));
    CHECK(frame);
    return frame;
}

uint32_t gpu_wrong_in_frame(struct gpu_worker *worker, const cuframes_frame_t *frame)
{
    CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
    gpu_verify(&worker->kernels, (uintptr_t)cuframes_frame_data(frame),
               cuframes_frame_data_size(frame), (uint64_t)cuframes_frame_pts_ns(frame),
               worker->stream);
    return gpu_wrong(&worker->kernels, worker->stream);
}

bool host_frame_fits(const cuframes_frame_t *frame)
{
    const uint64_t *words = cuframes_frame_data(frame);
    uint64_t stamp = (uint64_t)cuframes_frame_pts_ns(frame);

    CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_HOST);
    for (size_t i = 0; i < cuframes_frame_data_size(frame) / 8; i++)
        if (words[i] != stamp * MULTIPLIER + i)
            return false;
    return true;
}

void gpu_expect(struct gpu_worker *worker, cuframes_subscriber_t *subscriber, int64_t pts_ns)
{
    cuframes_frame_t *frame = gpu_next(subscriber);

    CHECK_EQ(cuframes_frame_pts_ns(frame), pts_ns);
    CHECK_EQ(gpu_wrong_in_frame(worker, frame), 0U);
    CHECK_OK(cuframes_frame_release(frame));
}

cuframes_subscriber_config_t gpu_reader_config(const char *key, int mode)
{
    return (cuframes_subscriber_config_t){.key = key, .mode = mode, .connect_timeout_ms = 10000};
}

cuframes_subscriber_t *gpu_make_reader(const char *key, int mode)
{
    cuframes_subscriber_config_t config = gpu_reader_config(key, mode);
    cuframes_subscriber_t *subscriber = NULL;

    CHECK_OK(cuframes_subscriber_create(&config, &subscriber));
    return subscriber;
}

int gpu_frames(int usual)
{
    const char *wanted = getenv("CUFRAMES_TEST_FRAMES");

    return wanted && atoi(wanted) > 0 ? atoi(wanted) : usual;
}
