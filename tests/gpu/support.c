/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "support.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernels.h"

#define GRANULE     ((size_t)2 << 20)
#define THREADS     256U
#define MOST_BLOCKS 512U

const char *gpu_error_name(cu_result result)
{
    const char *name = NULL;

    return gpu.cuGetErrorName && gpu.cuGetErrorName(result, &name) == CU_SUCCESS && name
               ? name
               : "an unknown CUDA error";
}

/* --- what this machine has ---------------------------------------------------------------------- */
static int usable_devices(void)
{
    int count = 0, usable = 0, device, vmm, descriptors;

    if (gpu_load() || gpu.cuInit(0) != CU_SUCCESS || gpu.cuDeviceGetCount(&count) != CU_SUCCESS)
        return 0;
    for (int i = 0; i < count; i++)
        usable += gpu.cuDeviceGet(&device, i) == CU_SUCCESS &&
                  gpu.cuDeviceGetAttribute(&vmm, CU_ATTRIBUTE_VMM, device) == CU_SUCCESS && vmm &&
                  gpu.cuDeviceGetAttribute(&descriptors, CU_ATTRIBUTE_DESCRIPTORS, device) ==
                      CU_SUCCESS &&
                  descriptors;
    return usable;
}

void need_gpus(int count)
{
    const char *missing = gpu_load();
    pid_t pid;
    int status;

    if (missing)
        SKIP("%s", missing);
    fflush(NULL);
    pid = CHECK_SYS(fork());
    if (pid == 0)
        _exit(usable_devices());
    CHECK_SYS(waitpid(pid, &status, 0));
    if (!WIFEXITED(status) || WEXITSTATUS(status) < count)
        SKIP("needs %d GPUs, there are %d", count, WIFEXITED(status) ? WEXITSTATUS(status) : 0);
}

const struct standin *need_standin(void)
{
    const struct standin *standin = gpu_standin();

    if (!standin)
        SKIP("faults on demand: on the stand-in only");
    return standin;
}

bool on_standin(void)
{
    return gpu_standin() != NULL;
}

void need_real_gpu(void)
{
    if (on_standin())
        SKIP("on a real GPU only");
}

/* --- contexts ----------------------------------------------------------------------------------- */
void gpu_start(int device)
{
    const char *missing = gpu_load();
    cu_context context;
    cu_device found;

    if (missing)
        SKIP("%s", missing);
    if (gpu.cuInit(0) != CU_SUCCESS || gpu.cuDeviceGet(&found, device) != CU_SUCCESS)
        SKIP("this machine has no GPU %d", device);
    CHECK_CU(gpu.cuDevicePrimaryCtxRetain(&context, found));
    CHECK_CU(gpu.cuCtxPushCurrent_v2(context));
}

void gpu_end(int device)
{
    cu_context context;

    CHECK_CU(gpu.cuCtxPopCurrent_v2(&context));
    CHECK_CU(gpu.cuDevicePrimaryCtxRelease_v2(device));
}

static void do_nothing(void *user)
{
    (void)user;
}

/* Once what tests do on streams: a driver starts threads for it when it is first asked. */
static void warm_up_stream(void)
{
    struct gpu_kernels kernels;
    cu_stream stream;
    cu_event event;

    gpu_kernels_init(&kernels);
    CHECK_CU(gpu.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    CHECK_CU(gpu.cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    gpu_fill(&kernels, kernels.wrong, 0, 0, stream);
    CHECK_CU(gpu.cuLaunchHostFunc(stream, do_nothing, NULL));
    CHECK_CU(gpu.cuEventRecord(event, stream));
    CHECK_CU(gpu.cuEventSynchronize(event));
    CHECK_CU(gpu.cuEventDestroy_v2(event));
    CHECK_CU(gpu.cuStreamDestroy_v2(stream));
    gpu_kernels_fini(&kernels);
}

/* The same for memory: descriptors of its own that it keeps. */
static void warm_up_memory(int device)
{
    struct gpu_memory own, imported;
    void *pinned;
    int fd;

    gpu_memory_create(&own, GRANULE, device);
    fd = gpu_memory_export(&own);
    gpu_memory_import(&imported, fd, GRANULE, device, CU_ACCESS_READ);
    close(fd);
    gpu_memory_destroy(&imported);
    gpu_memory_destroy(&own);
    CHECK_CU(gpu.cuMemHostAlloc(&pinned, GRANULE, 0));
    CHECK_CU(gpu.cuMemFreeHost(pinned));
}

/* The primary context stays, so that it is not made anew by each who needs it. */
static void prepare(int devices)
{
    for (int i = 0; i < devices; i++) {
        cu_context context;

        gpu_start(i);
        warm_up_stream();
        warm_up_memory(i);
        CHECK_CU(gpu.cuCtxPopCurrent_v2(&context));
    }
}

void gpu_prepare(void)
{
    prepare(1);
}

void gpu_prepare_two(void)
{
    prepare(2);
}

/* --- memory ------------------------------------------------------------------------------------- */
static void map(struct gpu_memory *memory, int device, int access)
{
    struct cu_access wanted = {{1, device}, access};

    CHECK_CU(gpu.cuMemAddressReserve(&memory->pointer, memory->size, 0, 0, 0));
    CHECK_CU(gpu.cuMemMap(memory->pointer, memory->size, 0, memory->handle, 0));
    CHECK_CU(gpu.cuMemSetAccess(memory->pointer, memory->size, &wanted, 1));
}

void gpu_memory_create(struct gpu_memory *memory, size_t size, int device)
{
    struct cu_allocation wanted = {.type = 1, .handle_types = 1, .location = {1, device}};

    *memory = (struct gpu_memory){.size = (size + GRANULE - 1) / GRANULE * GRANULE};
    CHECK_CU(gpu.cuMemCreate(&memory->handle, memory->size, &wanted, 0));
    map(memory, device, CU_ACCESS_WRITE);
}

void gpu_memory_import(struct gpu_memory *memory, int fd, size_t size, int device, int access)
{
    *memory = (struct gpu_memory){.size = (size + GRANULE - 1) / GRANULE * GRANULE};
    CHECK_CU(gpu.cuMemImportFromShareableHandle(&memory->handle, (void *)(intptr_t)fd, 1));
    map(memory, device, access);
}

int gpu_memory_export(const struct gpu_memory *memory)
{
    int fd = -1;

    CHECK_CU(gpu.cuMemExportToShareableHandle(&fd, memory->handle, 1, 0));
    return fd;
}

void gpu_memory_destroy(struct gpu_memory *memory)
{
    CHECK_CU(gpu.cuMemUnmap(memory->pointer, memory->size));
    CHECK_CU(gpu.cuMemAddressFree(memory->pointer, memory->size));
    CHECK_CU(gpu.cuMemRelease(memory->handle));
}

/* --- kernels ------------------------------------------------------------------------------------ */
void gpu_kernels_init(struct gpu_kernels *kernels)
{
    CHECK_CU(gpu.cuModuleLoadData(&kernels->module, pattern_kernels));
    CHECK_CU(gpu.cuModuleGetFunction(&kernels->fill, kernels->module, "cuframes_test_fill"));
    CHECK_CU(gpu.cuModuleGetFunction(&kernels->verify, kernels->module, "cuframes_test_verify"));
    CHECK_CU(gpu.cuModuleGetFunction(&kernels->linger, kernels->module, "cuframes_test_linger"));
    CHECK_CU(gpu.cuModuleGetFunction(&kernels->poke, kernels->module, "cuframes_test_poke"));
    CHECK_CU(gpu.cuMemAlloc_v2(&kernels->wrong, 4));
    CHECK_CU(gpu.cuMemsetD8_v2(kernels->wrong, 0, 4));
}

void gpu_kernels_fini(struct gpu_kernels *kernels)
{
    CHECK_CU(gpu.cuMemFree_v2(kernels->wrong));
    CHECK_CU(gpu.cuModuleUnload(kernels->module));
}

static cu_result launch(cu_function function, size_t words, void **parameters, cu_stream stream)
{
    size_t blocks = words ? (words + THREADS - 1) / THREADS : 1;

    if (blocks > MOST_BLOCKS)
        blocks = MOST_BLOCKS;
    return gpu.cuLaunchKernel(function, (unsigned)blocks, 1, 1, THREADS, 1, 1, 0, stream,
                              parameters, NULL);
}

cu_result gpu_try_fill(const struct gpu_kernels *kernels, cu_pointer at, size_t size,
                       uint64_t stamp, cu_stream stream)
{
    uint64_t words = size / 8;
    void *parameters[] = {&at, &words, &stamp};

    return launch(kernels->fill, words, parameters, stream);
}

void gpu_fill(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t stamp,
              cu_stream stream)
{
    CHECK_CU(gpu_try_fill(kernels, at, size, stamp, stream));
}

void gpu_verify(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t stamp,
                cu_stream stream)
{
    uint64_t words = size / 8, wrong = kernels->wrong;
    void *parameters[] = {&at, &words, &stamp, &wrong};

    CHECK_CU(launch(kernels->verify, words, parameters, stream));
}

void gpu_linger(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t stamp,
                unsigned ms, cu_stream stream)
{
    uint64_t words = size / 8, wrong = kernels->wrong, ns = (uint64_t)ms * 1000000;
    void *parameters[] = {&at, &words, &stamp, &wrong, &ns};

    CHECK_CU(launch(kernels->linger, words, parameters, stream));
}

cu_result gpu_poke(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t value,
                   cu_stream stream)
{
    uint64_t words = size / 8;
    void *parameters[] = {&at, &words, &value};

    return launch(kernels->poke, 1, parameters, stream);
}

uint32_t gpu_wrong(const struct gpu_kernels *kernels, cu_stream stream)
{
    uint32_t wrong, none = 0;

    CHECK_CU(gpu.cuMemcpyDtoHAsync_v2(&wrong, kernels->wrong, sizeof(wrong), stream));
    CHECK_CU(gpu.cuStreamSynchronize(stream));
    CHECK_CU(gpu.cuMemcpyHtoDAsync_v2(kernels->wrong, &none, sizeof(none), stream));
    CHECK_CU(gpu.cuStreamSynchronize(stream));
    return wrong;
}

uint32_t gpu_wrong_words(const struct gpu_kernels *kernels, cu_pointer at, size_t size,
                         uint64_t stamp)
{
    gpu_verify(kernels, at, size, stamp, NULL);
    return gpu_wrong(kernels, NULL);
}

/* --- gates -------------------------------------------------------------------------------------- */
void gpu_gate_init(struct gpu_gate *gate)
{
    void *word;

    CHECK_CU(gpu.cuMemHostAlloc(&word, 4096, 0));
    memset(word, 0, 4096);
    *gate = (struct gpu_gate){.word = word};
}

void gpu_gate_fini(struct gpu_gate *gate)
{
    CHECK_CU(gpu.cuMemFreeHost((void *)gate->word));
}

void gpu_gate_close(struct gpu_gate *gate, cu_stream stream)
{
    CHECK_CU(gpu.cuStreamWaitValue32_v2(stream, (uintptr_t)gate->word, ++gate->closed, 0));
}

void gpu_gate_open(struct gpu_gate *gate)
{
    atomic_store(gate->word, gate->closed);
}

/* --- namespaces --------------------------------------------------------------------------------- */
const struct test_isolation *gpu_isolation(void)
{
    static const struct test_isolation isolation = {.hostname = "gpu-box", .keep_root = true};
    const char *missing = test_isolation_missing(&isolation);

    if (missing)
        SKIP("cannot make namespaces: %s", missing);
    return &isolation;
}
