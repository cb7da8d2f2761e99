/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Attaching to a channel of 16 slots of 4K NV12, the import of all its memory included, in a process
 * whose context is there; what the driver alone takes for the import of as much memory; and what it
 * would take to import, map and unmap the memory for each frame, as the older line did.
 */
#include <unistd.h>

#include "bench.h"
#include "integration/support.h"

#define ROUNDS   200
#define SLOTS    16
#define FRAME_4K ((size_t)3840 * 2160 * 3 / 2)
#define WARM_UP  5

static void run_publisher(struct test_peer *test, void *argument)
{
    cuframes_publisher_config_t config = {.key = "bench",
                                          .width = 3840,
                                          .height = 2160,
                                          .format = CUFRAMES_FORMAT_NV12,
                                          .ring_size = SLOTS,
                                          .memory = CUFRAMES_MEMORY_CUDA};
    cuframes_publisher_t *publisher;
    struct gpu_memory all, one;
    int fd;

    (void)argument;
    gpu_start(0);
    publisher = make_publisher(&config);
    gpu_memory_create(&all, SLOTS * FRAME_4K, 0);
    gpu_memory_create(&one, FRAME_4K, 0);
    fd = gpu_memory_export(&all);
    test_send_fd(test, fd);
    close(fd);
    fd = gpu_memory_export(&one);
    test_send_fd(test, fd);
    close(fd);
    test_hear_end(test);
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

static double attach(void)
{
    int64_t start = cuframes_now_ns(), end;
    cuframes_subscriber_t *reader = gpu_make_reader("bench", CUFRAMES_MODE_NEWEST_ONLY);

    end = cuframes_now_ns();
    CHECK_OK(cuframes_subscriber_destroy(reader));
    return (double)(end - start) / 1e3;
}

/* Import and map; unmapping counted if `all`. */
static double import(int fd, size_t size, bool all)
{
    struct gpu_memory memory;
    int64_t start = cuframes_now_ns(), end;

    gpu_memory_import(&memory, fd, size, 0, CU_ACCESS_READ);
    end = cuframes_now_ns();
    gpu_memory_destroy(&memory);
    return (double)((all ? cuframes_now_ns() : end) - start) / 1e3;
}

static void run_reader(struct test_peer *test, void *argument)
{
    struct series attached = {"attach, 16 slots of 4K NV12", "us"};
    struct series imported = {"import and map of as much memory, the driver alone", "us"};
    struct series each = {"import, map and unmap for each 4K frame", "us"};
    struct series first = {"first attach of a process whose context is there", "us"};
    int all = test_receive_fd(test), one = test_receive_fd(test);
    int rounds = bench_rounds(ROUNDS);

    (void)argument;
    gpu_start(0);
    series_add(&first, attach());
    for (int i = 0; i < rounds + WARM_UP; i++) {
        double a = attach(), b = import(all, SLOTS * FRAME_4K, false),
               c = import(one, FRAME_4K, true);

        if (i < WARM_UP)
            continue;
        series_add(&attached, a);
        series_add(&imported, b);
        series_add(&each, c);
    }
    series_print(&attached);
    series_print(&first);
    series_print(&imported);
    series_print(&each);
}

void bench_attach(void)
{
    struct test_peer publisher, reader;
    uint64_t word;

    need_gpus(1);
    test_spawn(&publisher, run_publisher, NULL, NULL);
    test_spawn(&reader, run_reader, NULL, NULL);
    for (int i = 0; i < 2; i++) {
        int fd = test_receive_fd(&publisher);

        test_send_fd(&reader, fd);
        close(fd);
    }
    CHECK(!test_hear_or_end(&reader, &word));
    test_join(&reader);
    test_join(&publisher);
}
