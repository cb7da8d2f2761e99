/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the publication to a subscriber that is awake, on an otherwise idle GPU: a kernel fills 32
 * KiB, then it is announced. By turns through a channel, and by the least that could do: the thread
 * synchronises with the stream, stores a word and wakes a futex.
 */
#include <linux/futex.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "bench.h"
#include "integration/support.h"

#define ROUNDS      4000
#define MOST_ROUNDS (ROUNDS + BENCH_WARM_UP)
#define INTERVAL_NS INT64_C(1500000)

enum way { CHANNEL, BARE, WAYS };

/* Shared by both processes. */
struct shared {
    _Atomic uint32_t word; /* rounds announced the bare way */
    int64_t start_ns[MOST_ROUNDS];
};

static void wait_for_word(struct shared *shared, uint32_t round)
{
    uint32_t seen;

    while ((seen = atomic_load(&shared->word)) != round)
        syscall(SYS_futex, &shared->word, FUTEX_WAIT, seen, NULL, NULL, 0);
}

static void run_reader(struct test_peer *test, void *argument)
{
    struct series series[WAYS] = {{"publish to subscriber awake", "us"},
                                  {"stream synchronise and futex wake to awake", "us"}};
    int rounds = bench_rounds(ROUNDS) + BENCH_WARM_UP;
    cuframes_subscriber_t *reader;
    struct shared *shared = argument;

    reader = gpu_make_reader("bench", CUFRAMES_MODE_STRICT_ORDER);
    test_say(test, 0);
    for (int i = 0; i < rounds; i++) {
        cuframes_frame_t *frame = NULL;
        int64_t awake;

        if (i % 2 == CHANNEL)
            frame = gpu_next(reader);
        else
            wait_for_word(shared, (uint32_t)i);
        awake = cuframes_now_ns();
        cuframes_frame_release(frame);
        if (i >= BENCH_WARM_UP)
            series_add(&series[i % 2], (double)(awake - shared->start_ns[i]) / 1e3);
    }
    CHECK_OK(cuframes_subscriber_destroy(reader));
    series_print(&series[CHANNEL]);
    series_print(&series[BARE]);
}

static void announce_channel(struct gpu_worker *worker, cuframes_publisher_t *publisher,
                             int64_t *start_ns)
{
    cuframes_buffer_t *buffer;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    gpu_fill(&worker->kernels, (uintptr_t)cuframes_buffer_data(buffer),
             cuframes_buffer_layout(buffer)->size, 1, worker->stream);
    *start_ns = cuframes_now_ns();
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, worker->stream, NULL, NULL));
    cuframes_buffer_unref(buffer);
}

static void announce_bare(struct gpu_worker *worker, cu_pointer memory, size_t size,
                          struct shared *shared, int round)
{
    gpu_fill(&worker->kernels, memory, size, 1, worker->stream);
    shared->start_ns[round] = cuframes_now_ns();
    CHECK_CU(gpu.cuStreamSynchronize(worker->stream));
    atomic_store(&shared->word, (uint32_t)round);
    syscall(SYS_futex, &shared->word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void run_publisher(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = gpu_config("bench");
    size_t size = (size_t)config.width * (size_t)config.height;
    int rounds = bench_rounds(ROUNDS) + BENCH_WARM_UP;
    struct shared *shared = argument;
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;
    cu_pointer memory;
    int64_t start;

    gpu_worker_init(&worker, 0);
    CHECK_CU(gpu.cuMemAlloc_v2(&memory, size));
    publisher = make_publisher(&config);
    test_say(test, 0);
    test_hear(test);
    start = cuframes_now_ns();
    for (int i = 0; i < rounds; i++) {
        bench_pace(start, i, INTERVAL_NS);
        if (i % 2 == CHANNEL)
            announce_channel(&worker, publisher, &shared->start_ns[i]);
        else
            announce_bare(&worker, memory, size, shared, i);
    }
    CHECK_CU(gpu.cuMemFree_v2(memory));
    test_hear_end(test);
    CHECK_OK(cuframes_publisher_destroy(publisher));
    gpu_worker_fini(&worker);
}

void bench_wake(void)
{
    struct test_peer publisher, reader;
    struct shared *shared;
    uint64_t word;

    need_gpus(1);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(shared != MAP_FAILED);
    test_spawn(&publisher, run_publisher, shared, NULL);
    CHECK_HEAR(&publisher, 0);
    test_spawn(&reader, run_reader, shared, NULL);
    CHECK_HEAR(&reader, 0);
    test_say(&publisher, 0);
    CHECK(!test_hear_or_end(&reader, &word));
    test_join(&reader);
    test_join(&publisher);
}
