/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Channels in GPU memory: who reads what and how, the program's own buffers, and the bad days.
 */
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gpu_support.h"

/* ---- who reads what ---- */

TEST(a_gpu_reads_a_gpu_channel_in_place, .threads = true)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_channel_info_t info;
    cuframes_gpu_info_t gpu;
    cuframes_frame_t *frame;

    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_IN_PLACE);
    CHECK_OK(cuframes_gpu_info(0, &gpu));
    CHECK_OK(cuframes_subscriber_info(reader, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_CUDA);
    CHECK_MEM_EQ(info.gpu_uuid, gpu.uuid, sizeof(gpu.uuid));
    for (int64_t i = 0; i < 10; i++) {
        CHECK_EQ(publish_stamp(publisher, i), i);
        frame = take(reader);
        CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
        CHECK_EQ(cuframes_frame_seq(frame), i);
        cuframes_frame_release(frame);
    }
    CHECK_EQ(subscriber_stats(reader).staged, 0U);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(automatic_memory_is_the_gpus)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_channel_info_t info;

    config.memory = CUFRAMES_MEMORY_AUTO;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_CUDA);
    CHECK_EQ(info.notes, 0U);
    CHECK(cuframes_publisher_cuda_context(publisher));
    cuframes_publisher_destroy(publisher);
}

TEST(a_gpu_that_cannot_share_is_left_aside_aloud)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cuframes_channel_info_t info;

    setenv("STANDIN_VMM", "0", 1);
    driver();
    standin("standin_delay");
    config.memory = CUFRAMES_MEMORY_AUTO;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_HOST);
    CHECK_EQ(info.notes, CUFRAMES_CHANNEL_GPU_UNUSED);
    cuframes_publisher_destroy(publisher);
    config.memory = CUFRAMES_MEMORY_CUDA;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_CUDA,
                   "virtual memory management");
}

TEST(the_cpu_reads_a_gpu_channel_by_copies_that_it_asked_for)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *held[2];
    cuframes_subscriber_t *reader;
    cuframes_subscriber_info_t seen;

    config.memory = CUFRAMES_MEMORY_HOST;
    config.max_holds = 2;
    refuse_reader(&config, CUFRAMES_ERR_FORMAT, "CUFRAMES_SUBSCRIBER_STAGED");
    config.flags = CUFRAMES_SUBSCRIBER_STAGED;
    reader = make_subscriber(&config);
    for (int64_t i = 0; i < 6; i += 2) {
        for (int64_t j = 0; j < 2; j++) {
            publish_stamp(publisher, i + j);
            held[j] = take(reader);
            CHECK_EQ(cuframes_frame_memory(held[j]), CUFRAMES_MEMORY_HOST);
        }
        check_frame(held[0]);
        CHECK_OK(cuframes_frame_release(held[0]));
        CHECK_OK(cuframes_frame_release_stream(held[1], NULL));
    }
    CHECK_EQ(subscriber_stats(reader).staged, 6U);
    CHECK_EQ(subscriber_stats(reader).access, CUFRAMES_ACCESS_STAGED);
    WAIT_FOR(cuframes_publisher_subscribers(publisher, &seen, 1) == 1 &&
                 seen.access == CUFRAMES_ACCESS_STAGED,
             2000);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(a_gpu_reads_a_host_channel_in_place)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    config.memory = CUFRAMES_MEMORY_CUDA;
    reader = make_subscriber(&config);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_REGISTERED);
    publish_many(publisher, 0, 3);
    for (int i = 0; i < 3; i++) {
        frame = take(reader);
        CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
        CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(another_gpu_reads_in_place_over_peer_access)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    need_two_gpus();
    config.cuda_device = 1;
    publisher = make_publisher(&config);
    reader = make_subscriber(&reading);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_PEER);
    publish_stamp(publisher, 5);
    cuframes_frame_release(take(reader));
    cuframes_subscriber_destroy(reader);
    reading.cuda_device = CUFRAMES_GPU_OF_FRAMES;
    reader = make_subscriber(&reading);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_IN_PLACE);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(another_gpu_without_access_is_refused_or_given_copies)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_subscriber_config_t reading = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;

    setenv("STANDIN_PEERS", "0", 1);
    need_two_gpus();
    standin("standin_delay");
    config.cuda_device = 1;
    publisher = make_publisher(&config);
    refuse_reader(&reading, CUFRAMES_ERR_CUDA, "no access to its memory");
    CHECK_STR_HAS(cuframes_last_error(), "CUFRAMES_SUBSCRIBER_STAGED");
    reading.flags = CUFRAMES_SUBSCRIBER_STAGED;
    reader = make_subscriber(&reading);
    CHECK_EQ(cuframes_subscriber_access(reader), CUFRAMES_ACCESS_STAGED);
    for (int64_t i = 0; i < 5; i++) {
        publish_stamp(publisher, i);
        frame = take(reader);
        CHECK_EQ(cuframes_frame_memory(frame), CUFRAMES_MEMORY_CUDA);
        CHECK_OK(cuframes_frame_release_stream(frame, NULL));
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(the_library_leaves_the_callers_context_alone)
{
    cf_CUcontext current = NULL;
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;

    need_two_gpus();
    enter_primary(1);
    publisher = make_gpu_publisher();
    reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    publish_stamp(publisher, 1);
    CHECK_OK(cuframes_frame_release_stream(take(reader), NULL));
    CHECK_CU(driver()->cuCtxGetCurrent(&current));
    CHECK(current && current != cuframes_publisher_cuda_context(publisher));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    leave_primary(1);
    CHECK_CU(driver()->cuCtxGetCurrent(&current));
    CHECK(!current);
}

TEST(the_current_context_is_used_when_that_is_asked_for)
{
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;
    cf_CUcontext context;

    need_two_gpus();
    config.flags = CUFRAMES_PUBLISHER_CURRENT_CONTEXT;
    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_INVALID_ARG,
                   "this thread has none");
    context = enter_primary(1);
    publisher = make_publisher(&config);
    CHECK(cuframes_publisher_cuda_context(publisher) == context);
    cuframes_publisher_destroy(publisher);
    leave_primary(1);
}

/* ---- the program's own buffers ---- */

/* An allocation of `size` bytes, of that handle type, mapped at `at` (0 = anywhere). */
static cf_CUdeviceptr own_memory(cf_CUdeviceptr at, size_t size, int handle_types)
{
    const cf_CUallocation allocation = {
        .type = CF_CU_ALLOCATION_PINNED,
        .handle_types = handle_types,
        .location = {.type = CF_CU_LOCATION_DEVICE, .id = 0},
    };
    const cf_CUaccess access = {.location = allocation.location, .flags = CF_CU_ACCESS_READ_WRITE};
    cf_CUmemhandle handle;

    CHECK_CU(driver()->cuMemCreate(&handle, size, &allocation, 0));
    if (!at)
        CHECK_CU(driver()->cuMemAddressReserve(&at, size, 0, 0, 0));
    CHECK_CU(driver()->cuMemMap(at, size, 0, handle, 0));
    CHECK_CU(driver()->cuMemSetAccess(at, size, &access, 1));
    CHECK_CU(driver()->cuMemRelease(handle));
    return at;
}

static size_t granule(void)
{
    const cf_CUallocation allocation = {
        .type = CF_CU_ALLOCATION_PINNED,
        .location = {.type = CF_CU_LOCATION_DEVICE, .id = 0},
    };
    size_t bytes;

    CHECK_CU(driver()->cuMemGetAllocationGranularity(&bytes, &allocation, 0));
    return bytes;
}

static void publish_own(cuframes_publisher_t *publisher, void *buffer, int64_t stamp)
{
    static uint8_t pattern[SIZE];

    fill_pattern(pattern, SIZE, stamp);
    CHECK_CU(
        driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)buffer, pattern, SIZE, NULL));
    CHECK_OK(cuframes_publisher_publish_external(publisher, buffer, NULL, stamp));
}

/* Three buffers: shared in place, or copied. */
static void use_buffers(void *buffers[3], uint64_t copies)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    void *acquired;

    config.memory = CUFRAMES_MEMORY_AUTO;
    CHECK_OK(cuframes_publisher_create_external(&config, buffers, 3, SIZE, &publisher));
    reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    for (int64_t i = 0; i < 7; i++) {
        publish_own(publisher, buffers[i % 3], i);
        cuframes_frame_release(take(reader));
    }
    CHECK_EQ(publisher_stats(publisher).copied, copies);
    CHECK_OK(cuframes_publisher_acquire(publisher, &acquired));
    if (copies == 0) {
        CHECK(acquired == buffers[1]);
        publish_own(publisher, acquired, 7);
        cuframes_frame_release(take(reader));
        WAIT_FOR(publisher_stats(publisher).pending == 0, 2000);
        CHECK_ERR(cuframes_publisher_publish_external(publisher, buffers[1], NULL, 8),
                  CUFRAMES_ERR_WOULD_BLOCK);
    }
    CHECK_ERR(cuframes_publisher_publish_external(publisher, &config, NULL, 8),
              CUFRAMES_ERR_INVALID_ARG);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* Pieces of one allocation. */
static void use_pieces(int handle_types, uint64_t copies)
{
    cf_CUdeviceptr memory;
    void *buffers[3];
    size_t size;

    enter_primary(0);
    size = granule();
    memory = own_memory(0, 3 * size, handle_types);
    for (size_t i = 0; i < 3; i++)
        buffers[i] = (void *)(uintptr_t)(memory + i * size);
    use_buffers(buffers, copies);
    CHECK_CU(driver()->cuMemUnmap(memory, 3 * size));
    CHECK_CU(driver()->cuMemAddressFree(memory, 3 * size));
    leave_primary(0);
    CHECK_EQ(objects(), 0U);
}

TEST(own_buffers_that_can_be_exported_are_shared_in_place)
{
    use_pieces(CF_CU_HANDLE_DESCRIPTOR, 0);
}

TEST(own_buffers_that_cannot_be_exported_are_copied)
{
    use_pieces(0, 7);
}

/* `larger` makes the last allocation larger than the others. */
static void use_allocations(size_t larger, uint64_t copies)
{
    cf_CUdeviceptr memory[3];
    void *buffers[3];
    size_t sizes[3];

    enter_primary(0);
    for (size_t i = 0; i < 3; i++) {
        sizes[i] = granule() * (i == 2 ? 1 + larger : 1);
        memory[i] = own_memory(0, sizes[i], CF_CU_HANDLE_DESCRIPTOR);
        buffers[i] = (void *)(uintptr_t)(memory[i] + 4096);
    }
    use_buffers(buffers, copies);
    for (size_t i = 0; i < 3; i++) {
        CHECK_CU(driver()->cuMemUnmap(memory[i], sizes[i]));
        CHECK_CU(driver()->cuMemAddressFree(memory[i], sizes[i]));
    }
    leave_primary(0);
    CHECK_EQ(objects(), 0U);
}

TEST(own_buffers_in_allocations_of_their_own_are_shared_in_place)
{
    use_allocations(0, 0);
}

TEST(own_buffers_of_different_allocations_are_copied)
{
    use_allocations(1, 7);
}

/* The address of one follows on that of the other: it only looks like one allocation. */
TEST(own_allocations_side_by_side_are_told_apart)
{
    cf_CUdeviceptr memory;
    void *buffers[3];
    size_t size;

    enter_primary(0);
    size = granule();
    CHECK_CU(driver()->cuMemAddressReserve(&memory, 3 * size, 0, 0, 0));
    for (size_t i = 0; i < 3; i++)
        buffers[i] =
            (void *)(uintptr_t)own_memory(memory + i * size, size, CF_CU_HANDLE_DESCRIPTOR);
    use_buffers(buffers, 0);
    for (size_t i = 0; i < 3; i++)
        CHECK_CU(driver()->cuMemUnmap(memory + i * size, size));
    CHECK_CU(driver()->cuMemAddressFree(memory, 3 * size));
    leave_primary(0);
    CHECK_EQ(objects(), 0U);
}

/* ---- the bad days ---- */

TEST(a_stream_that_fails_ends_the_channel, .threads = true)
{
    cuframes_publisher_t *publisher = make_gpu_publisher(), *second;
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_config_t other = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    static uint8_t bytes[SIZE];
    cuframes_subscriber_t *waiting;
    cuframes_buffer_t *buffer;
    cuframes_frame_t *frame;
    cf_CUcontext context;
    cf_CUstream stream;

    other.flags = CUFRAMES_SUBSCRIBER_RECONNECT;
    waiting = make_subscriber(&other);
    publish_stamp(publisher, 1);
    WAIT_FOR(publisher_stats(publisher).published == 1, 2000);
    enter_primary(0);
    stream = make_stream();
    fail_call("copy", 1, CF_CU_LAUNCH_FAILED);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_CU(driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)cuframes_buffer_data(buffer),
                                            bytes, SIZE, stream));
    /* The failure is told by this call, or comes to the thread that waits. */
    cuframes_publisher_publish_buffer(publisher, buffer, stream, NULL, NULL);
    cuframes_buffer_unref(buffer);
    /* What was announced before can be taken; then the reason. */
    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
    CHECK_OK(cuframes_frame_release(frame));
    CHECK_ERR_SAYS(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()),
                   CUFRAMES_ERR_CUDA, "LAUNCH_FAILED");
    CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &buffer), CUFRAMES_ERR_CUDA,
                   "has failed");
    /* The name is free for another. */
    WAIT_FOR(access(test_runtime_path("cam.sock"), F_OK) != 0, 2000);
    second = make_small_publisher("cam");
    cuframes_publisher_destroy(publisher);
    cuframes_subscriber_destroy(reader);
    CHECK_OK(cuframes_subscriber_next(waiting, NULL, &frame, test_patience_ms()));
    cuframes_frame_release(frame);
    CHECK_ERR(cuframes_subscriber_next(waiting, NULL, &frame, test_patience_ms()),
              CUFRAMES_ERR_CUDA);
    publish(second, 3);
    CHECK_OK(cuframes_subscriber_next(waiting, NULL, &frame, test_patience_ms()));
    CHECK_EQ(cuframes_frame_pts_ns(frame), 3);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(waiting);
    cuframes_publisher_destroy(second);
    /* The context is lost: these only free what is left of it. */
    driver()->cuStreamDestroy_v2(stream);
    driver()->cuCtxPopCurrent_v2(&context);
    driver()->cuDevicePrimaryCtxRelease_v2(0);
}

TEST(a_stream_that_is_none_only_fails_the_call)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    void *slot;

    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    fail_call("cuEventRecord", 1, CF_CU_INVALID_HANDLE);
    CHECK_ERR_SAYS(cuframes_publisher_publish(publisher, NULL, 0), CUFRAMES_ERR_CUDA,
                   "cuEventRecord");
    CHECK_OK(cuframes_publisher_acquire(publisher, &slot));
    CHECK_OK(cuframes_publisher_publish(publisher, NULL, 0));
    WAIT_FOR(publisher_stats(publisher).published == 1, 2000);
    cuframes_publisher_destroy(publisher);
}

TEST(what_the_driver_refuses_is_told_and_leaves_nothing)
{
    static const struct {
        const char *call;
        int result, error;
    } faults[] = {
        {"cuMemCreate", CF_CU_OUT_OF_MEMORY, CUFRAMES_ERR_OUT_OF_MEMORY},
        {"cuMemExportToShareableHandle", CF_CU_NOT_SUPPORTED, CUFRAMES_ERR_CUDA},
        {"cuMemAddressReserve", CF_CU_OUT_OF_MEMORY, CUFRAMES_ERR_OUT_OF_MEMORY},
        {"cuMemMap", CF_CU_INVALID_VALUE, CUFRAMES_ERR_CUDA},
        {"cuMemSetAccess", CF_CU_NOT_SUPPORTED, CUFRAMES_ERR_CUDA},
        {"cuDevicePrimaryCtxRetain", CF_CU_DEVICE_UNAVAILABLE, CUFRAMES_ERR_CUDA},
    };
    cuframes_publisher_config_t config = gpu_config();
    cuframes_publisher_t *publisher;

    driver();
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        fail_call(faults[i].call, 1, faults[i].result);
        CHECK_ERR_SAYS(cuframes_publisher_create(&config, &publisher), faults[i].error,
                       faults[i].call);
        CHECK_EQ(objects(), 0U);
    }
}

TEST(what_the_driver_refuses_a_reader_is_told)
{
    static const char *const faults[] = {"cuMemImportFromShareableHandle", "cuMemMap",
                                         "cuMemSetAccess",
                                         "cuMemGetAllocationPropertiesFromHandle"};
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    const unsigned before = objects();

    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        fail_call(faults[i], 1, CF_CU_NOT_SUPPORTED);
        refuse_reader(&config, CUFRAMES_ERR_CUDA, faults[i]);
        CHECK_EQ(objects(), before);
    }
    cuframes_publisher_destroy(publisher);
}

TEST(a_child_of_fork_is_told)
{
    cuframes_publisher_t *publisher = make_gpu_publisher();
    cuframes_subscriber_t *reader = make_gpu_reader(CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *frame;
    int status;
    pid_t child;

    publish_stamp(publisher, 1);
    frame = take(reader);
    child = CHECK_SYS(fork());
    if (child == 0) {
        cuframes_publisher_config_t config = gpu_config();
        cuframes_publisher_t *own;

        config.key = "other";
        CHECK_ERR_SAYS(cuframes_publisher_create(&config, &own), CUFRAMES_ERR_CUDA, "fork");
        CHECK_OK(cuframes_frame_release_stream(frame, NULL));
        cuframes_subscriber_destroy(reader);
        cuframes_publisher_destroy(publisher);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_frame(frame);
    CHECK_OK(cuframes_frame_release(frame));
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    CHECK_EQ(objects(), 0U);
}

TEST(gpus_are_found_by_their_names)
{
    char text[CUFRAMES_GPU_UUID_TEXT];
    cuframes_gpu_info_t info;
    int32_t index = -1;

    need_two_gpus();
    CHECK_EQ(cuframes_gpu_count(), 2);
    CHECK_OK(cuframes_gpu_info(1, &info));
    CHECK(info.flags & CUFRAMES_GPU_SHARES);
    CHECK(info.flags & CUFRAMES_GPU_READS_HOST);
    cuframes_gpu_uuid_text(info.uuid, text);
    CHECK_OK(cuframes_gpu_find(text, &index));
    CHECK_EQ(index, 1);
    CHECK_OK(cuframes_gpu_find("0", &index));
    CHECK_EQ(index, 0);
    CHECK_ERR(cuframes_gpu_find("2", &index), CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_gpu_find("GPU-ffffffff-ffff", &index), CUFRAMES_ERR_NOT_FOUND);
    CHECK_ERR(cuframes_gpu_find("first", &index), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(cuframes_gpu_can_read(0, 1), 1);
    CHECK_ERR(cuframes_gpu_info(2, &info), CUFRAMES_ERR_INVALID_ARG);
}
