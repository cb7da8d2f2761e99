/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the tests of the GPU suite share. They run on the stand-in and on a real GPU alike.
 *
 * After fork() the driver does not work in the child, so a test whose peers use the GPU must not
 * use it itself before it has spawned them all; need_gpus() looks in a process of its own.
 */
#pragma once

#include "driver.h"
#include "harness/harness.h"
#include "harness/peer.h"

/* A driver call that must succeed. */
#define CHECK_CU(call)                                                                             \
    do {                                                                                           \
        cu_result test_cu = (call);                                                                \
        if (test_cu != CU_SUCCESS)                                                                 \
            FAIL("%s: %s", #call, gpu_error_name(test_cu));                                        \
    } while (0)

/* A driver call that must fail with this. */
#define CHECK_CU_ERR(call, error)                                                                  \
    do {                                                                                           \
        cu_result test_cu = (call);                                                                \
        if (test_cu != (error))                                                                    \
            FAIL("%s: %s instead of %s", #call, gpu_error_name(test_cu), #error);                  \
    } while (0)

const char *gpu_error_name(cu_result result);

/* Skips unless this machine has so many GPUs that channels can use. */
void need_gpus(int count);
/* Skips with a real driver; else faults on demand, in this process. */
const struct standin *need_standin(void);
/* Skips on the stand-in. */
void need_real_gpu(void);
bool on_standin(void);

/* Initialises the driver in this process and makes the primary context of a device current. Skips
 * where there is no such device. What the test starts it must end, so that leaks show. */
void gpu_start(int device);
void gpu_end(int device);
/* For tests of one process: the driver is initialised before the harness looks what there is, as a
 * real one keeps descriptors and threads. `.prepare = gpu_prepare` */
void gpu_prepare(void);
void gpu_prepare_two(void);

/* Device memory with an address, made to be exported. */
struct gpu_memory {
    cu_handle handle;
    cu_pointer pointer;
    size_t size;
};
void gpu_memory_create(struct gpu_memory *memory, size_t size, int device);
/* Maps what another process exported. Borrows the descriptor. */
void gpu_memory_import(struct gpu_memory *memory, int fd, size_t size, int device, int access);
int gpu_memory_export(const struct gpu_memory *memory);
void gpu_memory_destroy(struct gpu_memory *memory);

/* The kernels of kernels.h, in the current context. */
struct gpu_kernels {
    cu_module module;
    cu_function fill, verify, linger, poke;
    cu_pointer wrong; /* counter of 32 bits */
};
void gpu_kernels_init(struct gpu_kernels *kernels);
void gpu_kernels_fini(struct gpu_kernels *kernels);
/* Writes the pattern of `stamp` in the order of `stream`. */
void gpu_fill(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t stamp,
              cu_stream stream);
cu_result gpu_try_fill(const struct gpu_kernels *kernels, cu_pointer at, size_t size,
                       uint64_t stamp, cu_stream stream);
/* Adds the words that do not have the pattern to the counter, in the order of `stream`. */
void gpu_verify(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t stamp,
                cu_stream stream);
/* The same again and again, for `ms` milliseconds. */
void gpu_linger(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t stamp,
                unsigned ms, cu_stream stream);
/* Writes one word, at the end of the memory. */
cu_result gpu_poke(const struct gpu_kernels *kernels, cu_pointer at, size_t size, uint64_t value,
                   cu_stream stream);
/* Waits for `stream` and gives the counter, which starts again. */
uint32_t gpu_wrong(const struct gpu_kernels *kernels, cu_stream stream);
/* Words at `at` that do not have the pattern, waited for. */
uint32_t gpu_wrong_words(const struct gpu_kernels *kernels, cu_pointer at, size_t size,
                         uint64_t stamp);

/* Holds streams up until the test lets them go on. In the current context. */
struct gpu_gate {
    _Atomic uint32_t *word;
    uint32_t closed; /* how often */
};
void gpu_gate_init(struct gpu_gate *gate);
void gpu_gate_fini(struct gpu_gate *gate);
/* What is submitted to `stream` from now on waits. */
void gpu_gate_close(struct gpu_gate *gate, cu_stream stream);
/* All that wait go on. */
void gpu_gate_open(struct gpu_gate *gate);

/* Namespaces of their own for peers that use a GPU, with an empty /dev/shm; skips where there can be
 * none. */
const struct test_isolation *gpu_isolation(void);
