/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The GPU that this process decodes and scales on: the few calls of the CUDA driver that need its
 * memory's contents, found at run time. Frames are shared by the library; it and FFmpeg use the
 * same context, the GPU's primary one, and the same stream, its legacy default one, so that what
 * one of them does comes after what another did before.
 *
 * Main thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

/* The driver's API; a device pointer is a number. */
typedef uint64_t gpu_pointer;

struct gpu_copy;

struct gpu_driver {
    int (*init)(unsigned flags);
    int (*error_string)(int result, const char **text);
    int (*device)(int *device, int index);
    int (*set_primary_flags)(int device, unsigned flags); /* NULL with old drivers */
    int (*retain_primary)(void **context, int device);
    int (*release_primary)(int device);
    int (*push)(void *context);
    int (*pop)(void **context);
    int (*allocate)(gpu_pointer *pointer, size_t size);
    int (*free)(gpu_pointer pointer);
    int (*copy_2d)(const struct gpu_copy *copy, void *stream);
    int (*synchronize)(void *stream);
    int (*load_module)(void **module, const void *image);
    int (*unload_module)(void *module);
    int (*function)(void **function, void *module, const char *name);
    int (*launch)(void *function, unsigned grid_x, unsigned grid_y, unsigned grid_z,
                  unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared,
                  void *stream, void **arguments, void **extra);
};

struct gpu {
    bool open;
    char why[512]; /* while not open: what this machine lacks */
    int32_t index;
    char name[CUFRAMES_GPU_NAME_MAX + 1];
    void *library;
    struct gpu_driver driver;
    int device;
    void *context;
    void *module; /* the scaler, loaded with its first picture */
    void *scale_component, *scale_to_rgb;
    gpu_pointer scratch; /* grows to what was asked for */
    size_t scratch_size;
    char error[256]; /* the newest failure */
};

/* Opens the GPU that `name` names (cuframes_gpu_find(); NULL = the first). False: see `why`. */
bool gpu_open(struct gpu *gpu, const char *name);
void gpu_close(struct gpu *gpu);

/* Calls in between have the GPU's context. */
bool gpu_enter(struct gpu *gpu);
void gpu_leave(struct gpu *gpu);

/* True if `result` is success; else `error` says what failed, in what. */
bool gpu_succeeded(struct gpu *gpu, int result, const char *call);

/* Memory of at least `size` bytes, valid until more is asked for; 0 on failure. */
gpu_pointer gpu_scratch(struct gpu *gpu, size_t size);

/* Copies rows from GPU memory to host memory and waits until they are there. */
bool gpu_download(struct gpu *gpu, void *to, size_t to_pitch, gpu_pointer from, size_t from_pitch,
                  size_t row_bytes, size_t rows);
