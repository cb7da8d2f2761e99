/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file gpu.h
 * The GPUs that this process sees.
 *
 * The NVIDIA driver (libcuda.so.1) is looked for at run time, once, when something first asks for
 * a GPU. Indices are CUDA's in this process: containers and CUDA_VISIBLE_DEVICES renumber GPUs, so
 * what is to mean the same everywhere is a UUID. All functions may be called from any thread.
 */
#ifndef CUFRAMES_GPU_H
#define CUFRAMES_GPU_H

#include <cuframes/base.h>

CUFRAMES_BEGIN_DECLS

/** Bytes of a UUID. */
#define CUFRAMES_GPU_UUID_SIZE 16
/** Bytes of a UUID as text, "GPU-01234567-89ab-cdef-0123-456789abcdef", NUL included. */
#define CUFRAMES_GPU_UUID_TEXT 41
/** Stands for an index: the GPU that has a channel's frames. */
#define CUFRAMES_GPU_OF_FRAMES (-1)
/** Most characters of a GPU's name, the terminating NUL not counted. */
#define CUFRAMES_GPU_NAME_MAX 127

/** What a GPU can do for channels. */
enum {
    /** Channels can be in its memory. */
    CUFRAMES_GPU_SHARES = 1u << 0,
    /** It reads frames in host memory in place. */
    CUFRAMES_GPU_READS_HOST = 1u << 1,
    /** It has virtual memory management, without which memory cannot be shared. */
    CUFRAMES_GPU_VMM = 1u << 2,
    /** Its memory can be exported as a descriptor, without which neither. */
    CUFRAMES_GPU_DESCRIPTORS = 1u << 3,
    /** It is an instance of a GPU in MIG mode. */
    CUFRAMES_GPU_MIG = 1u << 4,
    /** This process shares it with others through MPS. */
    CUFRAMES_GPU_MPS = 1u << 5
};

/** A GPU. */
typedef struct cuframes_gpu_info {
    char name[CUFRAMES_GPU_NAME_MAX + 1];
    uint8_t uuid[CUFRAMES_GPU_UUID_SIZE];
    int32_t index;
    uint32_t flags;         /**< CUFRAMES_GPU_… */
    uint64_t memory_size;   /**< bytes */
    int32_t driver_version; /**< of CUDA that the driver knows: 1000 * major + 10 * minor */
    uint32_t _pad;
    uint64_t _reserved[8];
} cuframes_gpu_info_t;

/**
 * Number of GPUs that this process sees, or CUFRAMES_ERR_CUDA; then cuframes_last_error() says what
 * this machine or container lacks.
 */
CUFRAMES_API int cuframes_gpu_count(void);

/** Describes the GPU with that index; INVALID_ARG if there is none, CUDA as above. */
CUFRAMES_API int cuframes_gpu_info(int32_t index, cuframes_gpu_info_t *info);

/**
 * Index of the GPU that `name` names: a number, or a UUID as nvidia-smi -L shows it or its
 * beginning ("GPU-0123", also "MIG-…"). NOT_FOUND if this process does not see it, INVALID_ARG if
 * it is no name or the beginning of several; CUDA as above.
 */
CUFRAMES_API int cuframes_gpu_find(const char *name, int32_t *index);

/** 1 if the GPU with index `reader` can read the memory of the GPU `owner` in place (1 also if they
 *  are the same), else 0; errors as cuframes_gpu_info(). */
CUFRAMES_API int cuframes_gpu_can_read(int32_t reader, int32_t owner);

/**
 * Makes a stream (a CUstream) behind several: its work waits, on the GPU, for what is in each of
 * `streams` now (of any context of the process; NULL = the legacy default stream of the primary
 * context of the GPU `index`). For a frame that is filled or read in several streams: publish it, or
 * give it back, behind this one. The streams themselves wait for nothing, nor does the caller. It lives
 * as long as somebody uses that GPU's primary context, as every publisher, subscriber and frame does.
 * CUDA; INVALID_ARG; `stream` is written on success.
 */
CUFRAMES_API int cuframes_gpu_join_streams(int32_t index, void *const *streams, uint32_t count,
                                           void **stream);
/** Ends a stream of cuframes_gpu_join_streams() when its work is done; the caller does not wait. NULL is
 *  fine. */
CUFRAMES_API int cuframes_gpu_end_stream(int32_t index, void *stream);

/** "GPU-01234567-…" for the bytes of a UUID, into CUFRAMES_GPU_UUID_TEXT bytes. */
CUFRAMES_API void cuframes_gpu_uuid_text(const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE], char *text);

CUFRAMES_END_DECLS

#endif
