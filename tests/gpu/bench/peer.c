/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Bandwidth of a second GPU that copies 4K NV12 frames of a channel on the first, against the same
 * copy inside one process: memory of the first GPU that is mapped for the second, without a channel.
 */
#include "bench.h"
#include "integration/support.h"

#define ROUNDS   100
#define BATCH    20 /* copies that are timed together */
#define FRAME_4K ((size_t)3840 * 2160 * 3 / 2)

static void run_publisher(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = {.key = "bench",
                                          .width = 3840,
                                          .height = 2160,
                                          .format = CUFRAMES_FORMAT_NV12,
                                          .ring_size = 4,
                                          .memory = CUFRAMES_MEMORY_CUDA};
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;

    (void)argument;
    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    test_say(test, 0);
    test_hear(test);
    gpu_publish(&worker, publisher, 1);
    test_hear_end(test);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
}

static double gigabytes_a_second(struct gpu_worker *worker, cu_pointer to, cu_pointer from)
{
    int64_t start = cuframes_now_ns();

    for (int i = 0; i < BATCH; i++)
        CHECK_CU(gpu.cuMemcpyDtoDAsync_v2(to, from, FRAME_4K, worker->stream));
    CHECK_CU(gpu.cuStreamSynchronize(worker->stream));
    return (double)(BATCH * FRAME_4K) / (double)(cuframes_now_ns() - start);
}

static void run_reader(struct test_peer *test, void *argument)
{
    struct series channel = {"peer read of a frame", "GB/s"};
    struct series inside = {"the same copy inside one process", "GB/s"};
    cuframes_subscriber_config_t config = gpu_reader_config("bench", CUFRAMES_MODE_STRICT_ORDER);
    struct cu_access rights = {{1, 1}, CU_ACCESS_READ};
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    struct gpu_worker worker;
    struct gpu_memory own;
    cu_pointer to;

    (void)argument;
    config.cuda_device = 1;
    gpu_worker_init(&worker, 1);
    gpu_memory_create(&own, FRAME_4K, 0);
    CHECK_CU(gpu.cuMemSetAccess(own.pointer, own.size, &rights, 1));
    CHECK_CU(gpu.cuMemAlloc_v2(&to, FRAME_4K));
    reader = make_subscriber(&config);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_PEER);
    test_say(test, 0);
    frame = gpu_next(reader);
    for (int i = -3; i < bench_rounds(ROUNDS); i++) {
        double a = gigabytes_a_second(&worker, to, (uintptr_t)cuframes_frame_data(frame));
        double b = gigabytes_a_second(&worker, to, own.pointer);

        if (i < 0)
            continue;
        series_add(&channel, a);
        series_add(&inside, b);
    }
    CHECK_OK(cuframes_frame_release(frame));
    CHECK_OK(cuframes_subscriber_destroy(reader));
    CHECK_CU(gpu.cuMemFree_v2(to));
    gpu_memory_destroy(&own);
    gpu_worker_fini(&worker);
    series_print(&channel);
    series_print(&inside);
}

void bench_peer(void)
{
    struct test_peer publisher, reader;
    uint64_t word;

    need_gpus(2);
    test_spawn(&publisher, run_publisher, NULL, NULL);
    CHECK_HEAR(&publisher, 0);
    test_spawn(&reader, run_reader, NULL, NULL);
    CHECK_HEAR(&reader, 0);
    test_say(&publisher, 0);
    CHECK(!test_hear_or_end(&reader, &word));
    test_join(&reader);
    test_join(&publisher);
}
