/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A texture object over frames that another process has made: every texel is the byte that is there.
 */
#include "channel.h"
#include "integration/support.h"
#include "kernels.h"
#include "processes.h"

enum { WIDTH = 256, HEIGHT = 128 };

static cu_texture make_texture(cu_pointer at)
{
    struct cu_resource resource = {.type = 3,
                                   .pointer = at,
                                   .format = 1,
                                   .channels = 1,
                                   .width = WIDTH,
                                   .height = HEIGHT,
                                   .pitch = WIDTH};
    struct cu_texture_options options = {.address_mode = {1, 1, 1}, .flags = 1};
    cu_texture texture = 0;

    CHECK_CU(gpu.cuTexObjectCreate(&texture, &resource, &options, NULL));
    return texture;
}

/* Texels that are not the bytes of the frame. */
static uint32_t wrong_texels(struct gpu_worker *worker, cu_pointer at)
{
    uint64_t pitch = WIDTH, width = WIDTH, height = HEIGHT, counter = worker->kernels.wrong;
    cu_texture texture = make_texture(at);
    void *parameters[] = {&texture, &at, &pitch, &width, &height, &counter};
    cu_function sample;
    cu_module module;
    uint32_t wrong;

    CHECK_CU(gpu.cuModuleLoadData(&module, texture_kernels));
    CHECK_CU(gpu.cuModuleGetFunction(&sample, module, "cuframes_test_sample"));
    CHECK_CU(gpu.cuLaunchKernel(sample, WIDTH / 128, HEIGHT, 1, 128, 1, 1, 0, worker->stream,
                                parameters, NULL));
    wrong = gpu_wrong(&worker->kernels, worker->stream);
    CHECK_CU(gpu.cuTexObjectDestroy(texture));
    CHECK_CU(gpu.cuModuleUnload(module));
    return wrong;
}

static void run_reader(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader;
    struct gpu_worker worker;
    cuframes_frame_t *frame;

    (void)argument;
    gpu_worker_init(&worker, 0);
    reader = gpu_make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    test_say(test, 0);
    for (int i = 0; i < 5; i++) {
        frame = gpu_next(reader);
        CHECK_EQ(gpu_wrong_in_frame(&worker, frame), 0U);
        test_say(test, wrong_texels(&worker, (uintptr_t)cuframes_frame_data(frame)));
        CHECK_OK(cuframes_frame_release(frame));
    }
    CHECK_OK(cuframes_subscriber_destroy(reader));
    gpu_worker_fini(&worker);
}

TEST(a_texture_samples_imported_frames, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = {.config = gpu_config("cam")};
    struct test_peer reader;

    need_gpus(1);
    if (!gpu.cuTexObjectCreate)
        SKIP("on a real GPU only: the stand-in has no textures");
    gpu_spawn_publisher(&publisher, NULL);
    test_spawn(&reader, run_reader, NULL, NULL);
    CHECK_HEAR(&reader, 0);
    for (int64_t pts = 1; pts < 6; pts++) {
        gpu_order_frame(&publisher, pts);
        CHECK_HEAR(&reader, 0);
    }
    test_join(&reader);
    test_join(&publisher.peer);
}
