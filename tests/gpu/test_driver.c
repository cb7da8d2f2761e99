/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the library takes for granted of the CUDA driver, without the library. It runs on a real GPU
 * to find out whether that is so, and on the stand-in to find out whether that plays a driver.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#define SIZE ((size_t)2 << 20)

/* --- contexts and addresses --------------------------------------------------------------------- */
TEST(calls_without_a_context_are_refused, .prepare = gpu_prepare)
{
    cu_stream stream;
    cu_event event;
    cu_pointer pointer;

    CHECK_CU_ERR(gpu.cuStreamCreate(&stream, 0), CU_INVALID_CONTEXT);
    CHECK_CU_ERR(gpu.cuEventCreate(&event, 0), CU_INVALID_CONTEXT);
    CHECK_CU_ERR(gpu.cuMemAlloc_v2(&pointer, SIZE), CU_INVALID_CONTEXT);
    CHECK_CU_ERR(gpu.cuCtxSynchronize(), CU_INVALID_CONTEXT);
}

/* The calls of virtual memory management belong to no context. */
TEST(shared_memory_needs_no_context, .prepare = gpu_prepare)
{
    struct gpu_memory memory;

    gpu_memory_create(&memory, SIZE, 0);
    gpu_memory_destroy(&memory);
}

TEST(contexts_are_a_stack, .prepare = gpu_prepare)
{
    cu_context first, second, found;

    gpu_start(0);
    CHECK_CU(gpu.cuCtxGetCurrent(&first));
    CHECK_CU(gpu.cuCtxCreate_v2(&second, 0, 0));
    CHECK_CU(gpu.cuCtxGetCurrent(&found));
    CHECK(found == second && found != first);
    CHECK_CU(gpu.cuCtxPushCurrent_v2(first));
    CHECK_CU(gpu.cuCtxPopCurrent_v2(&found));
    CHECK(found == first);
    CHECK_CU(gpu.cuCtxDestroy_v2(second));
    CHECK_CU(gpu.cuCtxGetCurrent(&found));
    CHECK(found == first);
    gpu_end(0);
}

TEST(wild_pointers_are_refused_at_once, .prepare = gpu_prepare)
{
    char bytes[64];

    gpu_start(0);
    CHECK_CU_ERR(gpu.cuMemcpyDtoH_v2(bytes, 0x1000, sizeof(bytes)), CU_INVALID_VALUE);
    CHECK_CU(gpu.cuCtxSynchronize());
    gpu_end(0);
}

static void read_device_address(struct test_peer *test, void *argument)
{
    struct gpu_memory memory;

    (void)argument;
    gpu_start(0);
    gpu_memory_create(&memory, SIZE, 0);
    test_say(test, *(volatile uint64_t *)(uintptr_t)memory.pointer);
}

TEST(the_processor_cannot_read_device_memory)
{
    struct test_peer peer;
    int status;

    need_gpus(1);
    test_spawn(&peer, read_device_address, NULL, NULL);
    status = test_join_status(&peer);
    /* A sanitizer makes an exit of the signal. */
    CHECK(WIFSIGNALED(status) || WEXITSTATUS(status) != 0);
}

static void start_in_child(struct test_peer *test, void *argument)
{
    int count;

    (void)argument;
    test_say(test, (uint64_t)gpu.cuDeviceGetCount(&count));
}

TEST(a_child_of_fork_has_no_driver, .prepare = gpu_prepare)
{
    struct test_peer peer;

    test_spawn(&peer, start_in_child, NULL, NULL);
    CHECK_HEAR(&peer, CU_NOT_INITIALIZED);
    test_join(&peer);
}

/* --- streams and events ------------------------------------------------------------------------- */
TEST(streams_work_while_the_program_goes_on, .prepare = gpu_prepare)
{
    struct gpu_kernels kernels;
    struct gpu_gate gate;
    cu_stream stream;
    cu_event event;

    gpu_start(0);
    gpu_gate_init(&gate);
    gpu_kernels_init(&kernels);
    CHECK_CU(gpu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK_CU(gpu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    CHECK_CU(gpu.cuEventQuery(event)); /* never recorded: reached */
    gpu_gate_close(&gate, stream);
    gpu_verify(&kernels, kernels.wrong, 8, 1, stream);
    CHECK_CU(gpu.cuEventRecord(event, stream));
    CHECK_CU_ERR(gpu.cuStreamQuery(stream), CU_NOT_READY);
    CHECK_CU_ERR(gpu.cuEventQuery(event), CU_NOT_READY);
    gpu_gate_open(&gate);
    CHECK_CU(gpu.cuEventSynchronize(event));
    CHECK_CU(gpu.cuStreamQuery(stream));
    CHECK_EQ(gpu_wrong(&kernels, stream), 1U);
    CHECK_CU(gpu.cuEventDestroy_v2(event));
    CHECK_CU(gpu.cuStreamDestroy_v2(stream));
    gpu_kernels_fini(&kernels);
    gpu_gate_fini(&gate);
    gpu_end(0);
}

TEST(the_null_stream_waits_for_blocking_streams_only, .prepare = gpu_prepare)
{
    struct gpu_kernels kernels;
    cu_stream blocking, other;
    struct gpu_gate gate;

    gpu_start(0);
    gpu_gate_init(&gate);
    gpu_kernels_init(&kernels);
    CHECK_CU(gpu.cuStreamCreate(&blocking, 0));
    CHECK_CU(gpu.cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
    /* Not for this one. */
    gpu_gate_close(&gate, other);
    gpu_verify(&kernels, kernels.wrong, 8, 1, NULL);
    CHECK_CU(gpu.cuStreamSynchronize(NULL));
    CHECK_CU_ERR(gpu.cuStreamQuery(other), CU_NOT_READY);
    gpu_gate_open(&gate);
    CHECK_CU(gpu.cuStreamSynchronize(other));
    /* For this one, and the other way round. */
    gpu_gate_close(&gate, blocking);
    gpu_verify(&kernels, kernels.wrong, 8, 1, NULL);
    CHECK_CU_ERR(gpu.cuStreamQuery(NULL), CU_NOT_READY);
    gpu_gate_open(&gate);
    CHECK_CU(gpu.cuStreamSynchronize(NULL));
    CHECK_CU(gpu.cuStreamQuery(blocking));
    gpu_gate_close(&gate, NULL);
    gpu_verify(&kernels, kernels.wrong, 8, 1, blocking);
    CHECK_CU_ERR(gpu.cuStreamQuery(blocking), CU_NOT_READY);
    gpu_gate_open(&gate);
    CHECK_CU(gpu.cuStreamSynchronize(blocking));
    CHECK_CU(gpu.cuStreamQuery(NULL));
    CHECK_CU(gpu.cuStreamDestroy_v2(blocking));
    CHECK_CU(gpu.cuStreamDestroy_v2(other));
    gpu_kernels_fini(&kernels);
    gpu_gate_fini(&gate);
    gpu_end(0);
}

TEST(a_stream_waits_for_an_event_of_another, .prepare = gpu_prepare)
{
    struct gpu_kernels kernels;
    struct gpu_memory memory;
    cu_stream writer, reader;
    cu_event filled;

    gpu_start(0);
    gpu_kernels_init(&kernels);
    gpu_memory_create(&memory, SIZE, 0);
    CHECK_CU(gpu.cuStreamCreate(&writer, CU_STREAM_NON_BLOCKING));
    CHECK_CU(gpu.cuStreamCreate(&reader, CU_STREAM_NON_BLOCKING));
    CHECK_CU(gpu.cuEventCreate(&filled, CU_EVENT_DISABLE_TIMING));
    for (uint64_t stamp = 1; stamp < 20; stamp++) {
        gpu_fill(&kernels, memory.pointer, SIZE, stamp, writer);
        CHECK_CU(gpu.cuEventRecord(filled, writer));
        CHECK_CU(gpu.cuStreamWaitEvent(reader, filled, 0));
        gpu_verify(&kernels, memory.pointer, SIZE, stamp, reader);
        CHECK_EQ(gpu_wrong(&kernels, reader), 0U);
    }
    CHECK_CU(gpu.cuEventDestroy_v2(filled));
    CHECK_CU(gpu.cuStreamDestroy_v2(writer));
    CHECK_CU(gpu.cuStreamDestroy_v2(reader));
    gpu_memory_destroy(&memory);
    gpu_kernels_fini(&kernels);
    gpu_end(0);
}

static void call_driver(void *result)
{
    cu_stream stream;

    atomic_store((_Atomic int *)result, gpu.cuStreamCreate(&stream, 0));
}

TEST(host_functions_run_in_order_and_may_not_use_the_driver, .prepare = gpu_prepare)
{
    struct gpu_gate gate;
    cu_stream stream;
    _Atomic int result = -1;

    gpu_start(0);
    gpu_gate_init(&gate);
    CHECK_CU(gpu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    gpu_gate_close(&gate, stream);
    CHECK_CU(gpu.cuLaunchHostFunc(stream, call_driver, &result));
    CHECK_EQ(atomic_load(&result), -1);
    gpu_gate_open(&gate);
    CHECK_CU(gpu.cuStreamSynchronize(stream));
    CHECK_EQ(atomic_load(&result), CU_NOT_PERMITTED);
    CHECK_CU(gpu.cuStreamDestroy_v2(stream));
    gpu_gate_fini(&gate);
    gpu_end(0);
}

/* --- memory that is shared ---------------------------------------------------------------------- */
TEST(an_import_sees_what_the_owner_writes, .prepare = gpu_prepare)
{
    struct gpu_kernels kernels;
    struct gpu_memory own, imported;
    int fd;

    gpu_start(0);
    gpu_kernels_init(&kernels);
    gpu_memory_create(&own, 3 * SIZE, 0);
    fd = gpu_memory_export(&own);
    gpu_memory_import(&imported, fd, 3 * SIZE, 0, CU_ACCESS_READ);
    close(fd);
    gpu_fill(&kernels, own.pointer, own.size, 77, NULL);
    CHECK_EQ(gpu_wrong_words(&kernels, imported.pointer, own.size, 77), 0U);
    /* The memory lives as long as somebody has mapped it. */
    gpu_memory_destroy(&own);
    CHECK_EQ(gpu_wrong_words(&kernels, imported.pointer, imported.size, 77), 0U);
    gpu_memory_destroy(&imported);
    gpu_kernels_fini(&kernels);
    gpu_end(0);
}

TEST(a_descriptor_of_other_memory_is_refused, .prepare = gpu_prepare)
{
    int fd = CHECK_SYS(memfd_create("not-of-a-gpu", MFD_CLOEXEC));
    cu_handle handle;

    CHECK_SYS(ftruncate(fd, (off_t)SIZE));
    CHECK_NE(gpu.cuMemImportFromShareableHandle(&handle, (void *)(intptr_t)fd, 1), CU_SUCCESS);
    close(fd);
}

TEST(the_handle_of_mapped_memory_can_be_had_from_its_address, .prepare = gpu_prepare)
{
    struct cu_allocation found;
    struct gpu_memory memory;
    cu_pointer plain;
    cu_handle handle;

    gpu_start(0);
    gpu_memory_create(&memory, SIZE, 0);
    CHECK_CU(gpu.cuMemRetainAllocationHandle(&handle, (void *)(uintptr_t)(memory.pointer + 4096)));
    CHECK_CU(gpu.cuMemGetAllocationPropertiesFromHandle(&found, handle));
    CHECK_EQ(found.handle_types, 1);
    CHECK_EQ(found.location.id, 0);
    CHECK_CU(gpu.cuMemRelease(handle));
    CHECK_CU(gpu.cuMemAlloc_v2(&plain, SIZE));
    CHECK_NE(gpu.cuMemRetainAllocationHandle(&handle, (void *)(uintptr_t)plain), CU_SUCCESS);
    CHECK_CU(gpu.cuMemFree_v2(plain));
    gpu_memory_destroy(&memory);
    gpu_end(0);
}

/* Sends the descriptor of what it has filled, and says whether it is still what it was. */
static void own_memory(struct test_peer *test, void *argument)
{
    struct gpu_kernels kernels;
    struct gpu_memory memory;
    uint64_t word;
    int fd;

    (void)argument;
    gpu_start(0);
    gpu_kernels_init(&kernels);
    gpu_memory_create(&memory, SIZE, 0);
    gpu_fill(&kernels, memory.pointer, SIZE, 5, NULL);
    CHECK_CU(gpu.cuCtxSynchronize());
    fd = gpu_memory_export(&memory);
    test_send_fd(test, fd);
    close(fd);
    while (test_hear_or_end(test, &word))
        test_say(test, gpu_wrong_words(&kernels, memory.pointer, SIZE, 5));
}

/* Maps it read-only, reads, and tries to write: says the error. */
static void write_read_only(struct test_peer *test, void *argument)
{
    struct gpu_kernels kernels;
    struct gpu_memory memory;
    int fd = test_receive_fd(test);
    cu_result result;

    (void)argument;
    gpu_start(0);
    gpu_kernels_init(&kernels);
    gpu_memory_import(&memory, fd, SIZE, 0, CU_ACCESS_READ);
    CHECK_EQ(gpu_wrong_words(&kernels, memory.pointer, SIZE, 5), 0U);
    result = gpu_poke(&kernels, memory.pointer, SIZE, 0, NULL);
    if (result == CU_SUCCESS)
        result = gpu.cuCtxSynchronize();
    test_say(test, (uint64_t)result);
    /* It stays with the context. */
    test_say(test, (uint64_t)gpu.cuCtxSynchronize());
}

static void pass_fd(struct test_peer *from, struct test_peer *to)
{
    int fd = test_receive_fd(from);

    test_send_fd(to, fd);
    close(fd);
}

static void write_through_read_only_map(const struct test_spawn_options *options)
{
    struct test_peer owner, writer;
    uint64_t error;

    need_gpus(1);
    test_spawn(&owner, own_memory, NULL, options);
    test_spawn(&writer, write_read_only, NULL, options);
    pass_fd(&owner, &writer);
    error = test_hear(&writer);
    CHECK_NE(error, 0U);
    CHECK_NE(test_hear(&writer), 0U);
    test_join(&writer);
    test_say(&owner, 0);
    CHECK_HEAR(&owner, 0);
    test_join(&owner);
}

TEST(a_read_only_map_cannot_be_written)
{
    write_through_read_only_map(NULL);
}

TEST(memory_passes_between_namespaces_and_stays_read_only)
{
    struct test_spawn_options options = {.isolation = gpu_isolation()};

    write_through_read_only_map(&options);
}

/* --- host memory that a GPU reads --------------------------------------------------------------- */
static uint64_t *sealed_words(int *fd, uint64_t stamp)
{
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;
    uint64_t *words;

    *fd = CHECK_SYS(memfd_create("words", MFD_CLOEXEC | MFD_ALLOW_SEALING));
    CHECK_SYS(ftruncate(*fd, (off_t)SIZE));
    words = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
    CHECK(words != MAP_FAILED);
    for (size_t i = 0; i < SIZE / 8; i++)
        words[i] = stamp * UINT64_C(0x9e3779b97f4a7c15) + i;
    CHECK_SYS(fcntl(*fd, F_ADD_SEALS, seals));
    return words;
}

TEST(sealed_host_memory_can_be_registered_read_only, .prepare = gpu_prepare)
{
    struct gpu_kernels kernels;
    uint64_t *words, *view;
    cu_pointer pointer;
    int fd, can;

    gpu_start(0);
    CHECK_CU(gpu.cuDeviceGetAttribute(&can, CU_ATTRIBUTE_READ_ONLY_HOST_REGISTER, 0));
    if (!can)
        SKIP("this GPU cannot register memory that is mapped read-only");
    gpu_kernels_init(&kernels);
    words = sealed_words(&fd, 9);
    view = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(view != MAP_FAILED);
    CHECK_CU(gpu.cuMemHostRegister_v2(view, SIZE, CU_REGISTER_DEVICEMAP | CU_REGISTER_READ_ONLY));
    CHECK_CU(gpu.cuMemHostGetDevicePointer_v2(&pointer, view, 0));
    CHECK_EQ(gpu_wrong_words(&kernels, pointer, SIZE, 9), 0U);
    words[3]++;
    CHECK_EQ(gpu_wrong_words(&kernels, pointer, SIZE, 9), 1U);
    CHECK_CU(gpu.cuMemHostUnregister(view));
    CHECK_SYS(munmap(view, SIZE));
    CHECK_SYS(munmap(words, SIZE));
    close(fd);
    gpu_kernels_fini(&kernels);
    gpu_end(0);
}

TEST(memory_mapped_read_only_is_not_registered_for_writing, .prepare = gpu_prepare)
{
    uint64_t *words, *view;
    int fd;

    gpu_start(0);
    words = sealed_words(&fd, 9);
    view = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(view != MAP_FAILED);
    CHECK_NE(gpu.cuMemHostRegister_v2(view, SIZE, CU_REGISTER_DEVICEMAP), CU_SUCCESS);
    CHECK_SYS(munmap(view, SIZE));
    CHECK_SYS(munmap(words, SIZE));
    close(fd);
    gpu_end(0);
}

TEST(a_stream_writes_a_word_in_registered_memory, .prepare = gpu_prepare)
{
    struct gpu_gate gate;
    cu_stream stream;
    cu_pointer pointer;
    int fd = CHECK_SYS(memfd_create("page", MFD_CLOEXEC));
    _Atomic uint32_t *page;

    gpu_start(0);
    gpu_gate_init(&gate);
    CHECK_SYS(ftruncate(fd, 4096));
    page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK((void *)page != MAP_FAILED);
    CHECK_CU(gpu.cuMemHostRegister_v2((void *)page, 4096, CU_REGISTER_DEVICEMAP));
    CHECK_CU(gpu.cuMemHostGetDevicePointer_v2(&pointer, (void *)page, 0));
    CHECK_CU(gpu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    gpu_gate_close(&gate, stream);
    CHECK_CU(gpu.cuStreamWriteValue32_v2(stream, pointer + 8, 42, 0));
    CHECK_EQ(atomic_load(&page[2]), 0U);
    gpu_gate_open(&gate);
    WAIT_FOR(atomic_load(&page[2]) == 42, 2000);
    CHECK_CU(gpu.cuStreamSynchronize(stream));
    CHECK_CU(gpu.cuStreamDestroy_v2(stream));
    CHECK_CU(gpu.cuMemHostUnregister((void *)page));
    CHECK_SYS(munmap((void *)page, 4096));
    close(fd);
    gpu_gate_fini(&gate);
    gpu_end(0);
}

/* --- two devices -------------------------------------------------------------------------------- */
TEST(a_peer_reads_over_its_own_map, .prepare = gpu_prepare_two)
{
    struct gpu_kernels here, there;
    struct gpu_memory own, imported;
    int fd, can;

    CHECK_CU(gpu.cuDeviceCanAccessPeer(&can, 1, 0));
    if (!can)
        SKIP("these GPUs have no peer access");
    gpu_start(0);
    gpu_kernels_init(&here);
    gpu_memory_create(&own, SIZE, 0);
    gpu_fill(&here, own.pointer, SIZE, 31, NULL);
    CHECK_CU(gpu.cuCtxSynchronize());
    fd = gpu_memory_export(&own);
    gpu_start(1);
    gpu_kernels_init(&there);
    gpu_memory_import(&imported, fd, SIZE, 1, CU_ACCESS_READ);
    close(fd);
    CHECK_EQ(gpu_wrong_words(&there, imported.pointer, SIZE, 31), 0U);
    gpu_memory_destroy(&imported);
    gpu_kernels_fini(&there);
    gpu_end(1);
    gpu_memory_destroy(&own);
    gpu_kernels_fini(&here);
    gpu_end(0);
}
