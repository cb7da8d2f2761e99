/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GPU frames between processes: namespaces that share nothing, deaths on both sides, writes that
 * must fail, two GPUs.
 */
#include <stdlib.h>

#include "integration/support.h"
#include "processes.h"

static struct gpu_publisher_peer a_publisher(void)
{
    return (struct gpu_publisher_peer){.config = gpu_config("cam")};
}

static struct gpu_reader_peer a_reader(void)
{
    return (struct gpu_reader_peer){.config = gpu_reader_config("cam", CUFRAMES_MODE_STRICT_ORDER)};
}

static void pass_frames(struct gpu_publisher_peer *publisher, struct gpu_reader_peer *reader,
                        int count)
{
    for (int64_t pts = 1; pts <= count; pts++) {
        gpu_order_frame(publisher, pts);
        CHECK_EQ(gpu_order(reader, GPU_TAKE), (uint64_t)pts);
        CHECK_EQ(gpu_order(reader, GPU_CHECK), 0U);
        CHECK_EQ(gpu_order(reader, GPU_RELEASE), 0U);
    }
}

TEST(frames_pass_between_processes, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(1);
    gpu_spawn_publisher(&publisher, NULL);
    gpu_spawn_reader(&reader, NULL);
    CHECK_EQ(gpu_order(&reader, GPU_ACCESS), (uint64_t)CUFRAMES_ACCESS_IN_PLACE);
    pass_frames(&publisher, &reader, 20);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}

/* PID, IPC, network, mount and UTS namespaces of their own, and an empty /dev/shm on both sides. */
TEST(frames_pass_between_namespaces_on_the_gpu, .timeout_s = 60)
{
    struct test_spawn_options isolated = {.isolation = gpu_isolation()};
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();
    ino_t here[TEST_NAMESPACES], there[TEST_NAMESPACES];

    need_gpus(1);
    gpu_spawn_publisher(&publisher, &isolated);
    gpu_spawn_reader(&reader, &isolated);
    test_namespaces(publisher.peer.pid, here);
    test_namespaces(reader.peer.pid, there);
    for (int i = 1; i < TEST_NAMESPACES; i++)
        CHECK_NE(here[i], there[i]);
    CHECK_EQ(gpu_order(&reader, GPU_ACCESS), (uint64_t)CUFRAMES_ACCESS_IN_PLACE);
    pass_frames(&publisher, &reader, 20);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}

TEST(a_reader_cannot_write_into_a_frame, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer writer = a_reader(), reader = a_reader();

    need_gpus(1);
    gpu_spawn_publisher(&publisher, NULL);
    gpu_spawn_reader(&writer, NULL);
    gpu_spawn_reader(&reader, NULL);
    gpu_order_frame(&publisher, 1);
    CHECK_EQ(gpu_order(&writer, GPU_TAKE), 1U);
    CHECK_EQ(gpu_order(&reader, GPU_TAKE), 1U);
    CHECK_NE(gpu_order(&writer, GPU_POKE), 0U);
    CHECK_EQ(gpu_order(&reader, GPU_CHECK), 0U);
    /* Its context is lost; that is its own concern. */
    test_kill(&writer.peer);
    gpu_order_frame(&publisher, 2);
    CHECK_EQ(gpu_order(&reader, GPU_RELEASE), 0U);
    CHECK_EQ(gpu_order(&reader, GPU_TAKE), 2U);
    CHECK_EQ(gpu_order(&reader, GPU_CHECK), 0U);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}

TEST(held_gpu_frames_survive_a_killed_publisher, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(1);
    gpu_spawn_publisher(&publisher, NULL);
    gpu_spawn_reader(&reader, NULL);
    gpu_order_frame(&publisher, 42);
    CHECK_EQ(gpu_order(&reader, GPU_TAKE), 42U);
    CHECK_EQ(gpu_order(&reader, GPU_LINGER), 0U);
    test_kill(&publisher.peer);
    CHECK_EQ(gpu_order(&reader, GPU_CHECK), 0U);
    CHECK_EQ(gpu_order(&reader, GPU_ERROR), (uint64_t)-CUFRAMES_ERR_DISCONNECTED);
    CHECK_EQ(gpu_order(&reader, GPU_CHECK), 0U);
    test_join(&reader.peer);
    test_may_remain("cam.sock");
}

/* The slot comes back when the process is gone, and a process is gone when its kernel is. */
TEST(a_reader_killed_under_its_kernel_gives_its_slot_back, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();
    int64_t pts = 2, deadline;

    need_gpus(1);
    gpu_spawn_publisher(&publisher, NULL);
    gpu_spawn_reader(&reader, NULL);
    gpu_order_frame(&publisher, 1);
    CHECK_EQ(gpu_order(&reader, GPU_TAKE), 1U);
    CHECK_EQ(gpu_order(&reader, GPU_LINGER), 0U);
    CHECK_EQ(gpu_order_frame(&publisher, pts++), 1U);
    test_kill(&reader.peer);
    deadline = test_deadline_ms(5000);
    while (gpu_order_frame(&publisher, pts++) != 0)
        if (!test_pause_until(deadline))
            FAIL("the slot is still held");
    test_join(&publisher.peer);
}

/* A kernel that writes where nothing is, before the frame: its context is lost, and the channel. */
static void failing_publisher(struct test_peer *test, void *argument)
{
    struct gpu_publisher_peer *self = argument;
    cuframes_publisher_t *publisher;
    struct gpu_worker worker;
    cu_pointer nowhere;
    int err;

    gpu_worker_init(&worker, 0);
    publisher = make_publisher(&self->config);
    CHECK_CU(gpu.cuMemAddressReserve(&nowhere, (size_t)2 << 20, 0, 0, 0));
    test_say(test, 0);
    test_hear(test);
    gpu_publish(&worker, publisher, 1);
    CHECK_CU(gpu_poke(&worker.kernels, nowhere, 4096, 0, worker.stream));
    while ((err = gpu_try_publish(&worker, publisher, 2, NULL)) == CUFRAMES_OK)
        ;
    test_say(test, (uint64_t)-err);
    CHECK_STR_HAS(cuframes_last_error(), "CUDA_ERROR");
    test_hear_end(test);
    cuframes_publisher_destroy(publisher);
}

TEST(a_kernel_that_fails_fails_the_channel, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(1);
    test_spawn(&publisher.peer, failing_publisher, &publisher, NULL);
    CHECK_HEAR(&publisher.peer, 0);
    gpu_spawn_reader(&reader, NULL);
    test_say(&publisher.peer, 0);
    CHECK_HEAR(&publisher.peer, -CUFRAMES_ERR_CUDA);
    CHECK_EQ(gpu_order(&reader, GPU_ERROR), (uint64_t)-CUFRAMES_ERR_CUDA);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}

/* --- two GPUs ----------------------------------------------------------------------------------- */
static void ask(struct test_peer *test, void *argument)
{
    (void)argument;
    test_say(test, (uint64_t)cuframes_gpu_can_read(1, 0));
}

static bool peers_can_read(void)
{
    struct test_peer probe;
    uint64_t can;

    test_spawn(&probe, ask, NULL, NULL);
    can = test_hear(&probe);
    test_join(&probe);
    return can == 1;
}

TEST(another_gpu_reads_over_its_own_map, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(2);
    if (!peers_can_read())
        SKIP("these GPUs have no peer access");
    reader.device = reader.config.cuda_device = 1;
    gpu_spawn_publisher(&publisher, NULL);
    gpu_spawn_reader(&reader, NULL);
    CHECK_EQ(gpu_order(&reader, GPU_ACCESS), (uint64_t)CUFRAMES_ACCESS_PEER);
    pass_frames(&publisher, &reader, 20);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}

/* Containers renumber GPUs: the reader's second is the publisher's first. */
TEST(gpus_are_told_apart_by_uuid, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(2);
    gpu_spawn_publisher(&publisher, NULL);
    setenv("CUDA_VISIBLE_DEVICES", "1,0", 1);
    reader.device = reader.config.cuda_device = 1;
    gpu_spawn_reader(&reader, NULL);
    CHECK_EQ(gpu_order(&reader, GPU_ACCESS), (uint64_t)CUFRAMES_ACCESS_IN_PLACE);
    pass_frames(&publisher, &reader, 10);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}

/* A subscriber that is to fail: says the error, and sends its sentence as words of 8 bytes. */
static void refused_reader(struct test_peer *test, void *argument)
{
    cuframes_subscriber_config_t *config = argument;
    cuframes_subscriber_t *reader = NULL;
    char sentence[1024] = "";

    test_say(test, (uint64_t)-cuframes_subscriber_create(config, &reader));
    snprintf(sentence, sizeof(sentence), "%s", cuframes_last_error());
    for (size_t i = 0; i < sizeof(sentence); i += 8) {
        uint64_t word;

        memcpy(&word, sentence + i, sizeof(word));
        test_say(test, word);
    }
}

static void expect_refusal(const cuframes_subscriber_config_t *config, int error, const char *words)
{
    cuframes_subscriber_config_t copy = *config;
    struct test_peer peer;
    char sentence[1024];

    test_spawn(&peer, refused_reader, &copy, NULL);
    CHECK_HEAR(&peer, -error);
    for (size_t i = 0; i < sizeof(sentence); i += 8) {
        uint64_t word = test_hear(&peer);

        memcpy(sentence + i, &word, sizeof(word));
    }
    CHECK_STR_HAS(sentence, words);
    test_join(&peer);
}

TEST(a_gpu_that_the_reader_does_not_see_is_named, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(2);
    gpu_spawn_publisher(&publisher, NULL);
    setenv("CUDA_VISIBLE_DEVICES", "1", 1);
    expect_refusal(&reader.config, CUFRAMES_ERR_CUDA, "does not see");
    test_join(&publisher.peer);
}

/* Without peer access: refused with the reason, staged on request. */
TEST(a_gpu_without_peer_access_is_refused_or_staged, .timeout_s = 60)
{
    struct gpu_publisher_peer publisher = a_publisher();
    struct gpu_reader_peer reader = a_reader();

    need_gpus(2);
    setenv("STANDIN_PEERS", "0", 1);
    if (peers_can_read())
        SKIP("these GPUs have peer access");
    gpu_spawn_publisher(&publisher, NULL);
    reader.device = reader.config.cuda_device = 1;
    expect_refusal(&reader.config, CUFRAMES_ERR_CUDA, "staged");
    reader.config.flags = CUFRAMES_SUBSCRIBER_STAGED;
    gpu_spawn_reader(&reader, NULL);
    CHECK_EQ(gpu_order(&reader, GPU_ACCESS), (uint64_t)CUFRAMES_ACCESS_STAGED);
    pass_frames(&publisher, &reader, 10);
    test_join(&reader.peer);
    test_join(&publisher.peer);
}
