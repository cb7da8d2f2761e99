/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How long the publishing thread is kept by a publication while a reader works on the same GPU: it
 * copies each 1080p NV12 frame. By turns the publication is announced by the library when the
 * stream is done, and the thread itself waits for the stream first, as the older line did.
 */
#include "bench.h"
#include "integration/support.h"

#define ROUNDS      2000
#define INTERVAL_NS INT64_C(3000000)

enum way { ASYNCHRONOUS, SYNCHRONOUS, WAYS };

/* Travels with the frame. */
struct note {
    int64_t start_ns;
    int way, warm;
};

static cuframes_publisher_config_t channel(void)
{
    return (cuframes_publisher_config_t){.key = "bench",
                                         .width = 1920,
                                         .height = 1080,
                                         .format = CUFRAMES_FORMAT_NV12,
                                         .ring_size = 8,
                                         .memory = CUFRAMES_MEMORY_CUDA};
}

static void copy_frames(struct gpu_worker *worker, cuframes_subscriber_t *reader,
                        struct series series[WAYS])
{
    cuframes_frame_t *frame;
    cu_pointer copy = 0;

    while (cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()) == CUFRAMES_OK) {
        const struct note *note = cuframes_frame_user_data(frame, NULL);
        size_t size = cuframes_frame_data_size(frame);

        if (!copy)
            CHECK_CU(gpu.cuMemAlloc_v2(&copy, size));
        CHECK_CU(gpu.cuMemcpyDtoDAsync_v2(copy, (uintptr_t)cuframes_frame_data(frame), size,
                                          worker->stream));
        CHECK_CU(gpu.cuStreamSynchronize(worker->stream));
        if (note->warm)
            series_add(&series[note->way], (double)(cuframes_now_ns() - note->start_ns) / 1e3);
        CHECK_OK(cuframes_frame_release(frame));
    }
    CHECK_CU(gpu.cuMemFree_v2(copy));
}

static void run_reader(struct test_peer *test, void *argument)
{
    struct series series[WAYS] = {{"publish to copied by the reader, asynchronous publish", "us"},
                                  {"publish to copied by the reader, synchronous publish", "us"}};
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;

    (void)argument;
    gpu_worker_init(&worker, 0);
    reader = gpu_make_reader("bench", CUFRAMES_MODE_NEWEST_ONLY);
    test_say(test, 0);
    copy_frames(&worker, reader, series);
    CHECK_OK(cuframes_subscriber_destroy(reader));
    gpu_worker_fini(&worker);
    series_print(&series[ASYNCHRONOUS]);
    series_print(&series[SYNCHRONOUS]);
}

static double publish_once(struct gpu_worker *worker, cuframes_publisher_t *publisher,
                           struct note note)
{
    cuframes_buffer_t *buffer;
    cuframes_frame_meta_t meta = {.user_data = &note, .user_size = sizeof(note)};
    int64_t end;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    gpu_fill(&worker->kernels, (uintptr_t)cuframes_buffer_data(buffer),
             cuframes_buffer_layout(buffer)->size, 1, worker->stream);
    note.start_ns = cuframes_now_ns();
    if (note.way == SYNCHRONOUS)
        CHECK_CU(gpu.cuStreamSynchronize(worker->stream));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, worker->stream, &meta, NULL));
    end = cuframes_now_ns();
    cuframes_buffer_unref(buffer);
    return (double)(end - note.start_ns) / 1e3;
}

static void run_publisher(struct test_peer *test, void *argument)
{
    struct series series[WAYS] = {
        {"time in publish, reader works on the same GPU, asynchronous", "us"},
        {"time in publish, reader works on the same GPU, synchronous", "us"}};
    cuframes_publisher_config_t config = channel();
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;
    int rounds = bench_rounds(ROUNDS);
    int64_t start;

    (void)argument;
    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&config);
    test_say(test, 0);
    test_hear(test);
    start = cuframes_now_ns();
    for (int i = 0; i < rounds + BENCH_WARM_UP; i++) {
        struct note note = {.way = i % 2, .warm = i >= BENCH_WARM_UP};
        double us;

        bench_pace(start, i, INTERVAL_NS);
        us = publish_once(&worker, publisher, note);
        if (note.warm)
            series_add(&series[note.way], us);
    }
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
    series_print(&series[ASYNCHRONOUS]);
    series_print(&series[SYNCHRONOUS]);
    test_say(test, 0);
}

void bench_publish(void)
{
    struct test_peer publisher, reader;
    uint64_t word;

    need_gpus(1);
    test_spawn(&publisher, run_publisher, NULL, NULL);
    CHECK_HEAR(&publisher, 0);
    test_spawn(&reader, run_reader, NULL, NULL);
    CHECK_HEAR(&reader, 0);
    test_say(&publisher, 0);
    CHECK(test_hear_or_end(&publisher, &word));
    test_join(&publisher);
    test_join(&reader);
}
