/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "gpu_support.h"

#include <dlfcn.h>
#include <stdlib.h>

void *standin_function(const char *name)
{
    void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
    void *function = library ? dlsym(library, name) : NULL;

    if (library)
        dlclose(library);
    return function;
}

void *standin(const char *name)
{
    void *function = standin_function(name);

    if (!function)
        SKIP("this is for the stand-in driver");
    return function;
}

void delay_streams(unsigned microseconds)
{
    void (*delay)(unsigned) = (void (*)(unsigned))standin_function("standin_delay");

    if (delay)
        delay(microseconds);
}

void fail_call(const char *call, unsigned nth, int result)
{
    void (*fail)(const char *, unsigned, int) =
        (void (*)(const char *, unsigned, int))standin("standin_fail");

    fail(call, nth, result);
}

unsigned calls(const char *call)
{
    unsigned (*count)(const char *) = (unsigned (*)(const char *))standin("standin_calls");

    return count(call);
}

/* What there is in the driver; a real one does not tell, and has nothing. */
unsigned objects(void)
{
    unsigned (*count)(void) = (unsigned (*)(void))standin_function("standin_objects");

    return count ? count() : 0;
}

void need_two_gpus(void)
{
    setenv("STANDIN_DEVICES", "2", 1);
    if (cuframes_gpu_count() < 2)
        SKIP("this is for two GPUs");
}

/* ---- a program that uses CUDA ---- */

const struct cf_driver *driver(void)
{
    const struct cf_driver *loaded;

    CHECK_OK(cf_driver_load(&loaded));
    return loaded;
}

cf_CUcontext enter_primary(int device)
{
    cf_CUcontext context;

    CHECK_CU(driver()->cuDevicePrimaryCtxRetain(&context, device));
    CHECK_CU(driver()->cuCtxPushCurrent_v2(context));
    return context;
}

void leave_primary(int device)
{
    cf_CUcontext context;

    CHECK_CU(driver()->cuCtxPopCurrent_v2(&context));
    CHECK_CU(driver()->cuDevicePrimaryCtxRelease_v2(device));
}

cf_CUstream make_stream(void)
{
    cf_CUstream stream;

    CHECK_CU(driver()->cuStreamCreate(&stream, CF_CU_STREAM_NON_BLOCKING));
    return stream;
}

/* Keeps a stream of the current context busy for about so long: with slow operations of the stand-in,
 * or with large copies on a real GPU. */
#define LARGE ((size_t)4 << 30)

static cf_CUdeviceptr ballast;

void slow_down(cf_CUstream stream, unsigned milliseconds)
{
    static const uint8_t byte;
    const bool real = !standin_function("standin_delay");

    if (!ballast)
        CHECK_CU(driver()->cuMemAlloc_v2(&ballast, real ? 2 * LARGE : 1));
    delay_streams(10000);
    for (unsigned i = 0; i * (real ? 2 : 10) < milliseconds; i++)
        CHECK_CU(real ? driver()->cuMemcpyDtoDAsync_v2(ballast + LARGE, ballast, LARGE, stream)
                      : driver()->cuMemcpyHtoDAsync_v2(ballast, &byte, 1, stream));
}

void full_speed(void)
{
    delay_streams(0);
    if (ballast)
        CHECK_CU(driver()->cuMemFree_v2(ballast));
    ballast = 0;
}

cuframes_publisher_config_t gpu_config(void)
{
    cuframes_publisher_config_t config = small_config("cam");

    config.memory = CUFRAMES_MEMORY_CUDA;
    return config;
}

cuframes_publisher_t *make_gpu_publisher(void)
{
    cuframes_publisher_config_t config = gpu_config();

    return make_publisher(&config);
}

/* Fills a slot in the order of the stream and publishes it behind that work; gives its number. The
 * upload goes by the driver's own call: it does not wait. */
uint64_t publish_on(cuframes_publisher_t *publisher, cf_CUstream stream, int64_t stamp)
{
    static uint8_t patterns[64][SIZE];
    uint8_t *pattern = patterns[stamp % 64];
    const cuframes_frame_meta_t meta = {.pts_ns = stamp};
    cuframes_buffer_t *buffer;
    uint64_t seq;

    fill_pattern(pattern, SIZE, stamp);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_CU(driver()->cuMemcpyHtoDAsync_v2((cf_CUdeviceptr)(uintptr_t)cuframes_buffer_data(buffer),
                                            pattern, SIZE, stream));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, stream, &meta, &seq));
    cuframes_buffer_unref(buffer);
    return seq;
}

uint64_t publish_stamp(cuframes_publisher_t *publisher, int64_t stamp)
{
    const cuframes_frame_meta_t meta = {.pts_ns = stamp};
    uint8_t pattern[SIZE];
    cuframes_buffer_t *buffer;
    uint64_t seq;

    fill_pattern(pattern, SIZE, stamp);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_OK(cuframes_buffer_write(buffer, 0, pattern, SIZE, NULL));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, &seq));
    cuframes_buffer_unref(buffer);
    return seq;
}

/* The frame's bytes, as the GPU sees them. */
void check_frame(const cuframes_frame_t *frame)
{
    uint8_t bytes[SIZE];

    if (cuframes_frame_memory(frame) == CUFRAMES_MEMORY_CUDA) {
        enter_primary(0);
        CHECK_CU(driver()->cuMemcpyDtoHAsync_v2(
            bytes, (cf_CUdeviceptr)(uintptr_t)cuframes_frame_data(frame), SIZE, NULL));
        CHECK_CU(driver()->cuStreamSynchronize(NULL));
        leave_primary(0);
    } else {
        memcpy(bytes, cuframes_frame_data(frame), SIZE);
    }
    CHECK(pattern_fits(bytes, SIZE, cuframes_frame_pts_ns(frame)));
}

cuframes_frame_t *take(cuframes_subscriber_t *reader)
{
    cuframes_frame_t *frame = NULL;

    CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
    check_frame(frame);
    return frame;
}

cuframes_subscriber_t *make_gpu_reader(int mode)
{
    cuframes_subscriber_config_t config = reader_config("cam", mode);

    return make_subscriber(&config);
}

void refuse_reader(const cuframes_subscriber_config_t *config, int error, const char *words)
{
    cuframes_subscriber_t *reader;

    CHECK_ERR_SAYS(cuframes_subscriber_create(config, &reader), error, words);
}
