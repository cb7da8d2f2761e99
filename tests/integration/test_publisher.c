/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publisher's side: what a configuration may say, acquiring and publishing, buffers that
 * outlive things, and who owns a key.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "harness/raw_client.h"
#include "harness/resources.h"
#include "support.h"

static void refuse(const cuframes_publisher_config_t *config, int error, const char *words)
{
    cuframes_publisher_t *publisher = NULL;

    CHECK_ERR_SAYS(cuframes_publisher_create(config, &publisher), error, words);
    CHECK(!publisher);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
}

TEST(bad_keys_are_refused)
{
    static const char *const bad[] = {
        "", "a/b", "/", "..", ".", "a b", "k\xc3\xa4se", "a.b", "a\n",
        /* 64 characters */
        "0123456789012345678901234567890123456789012345678901234567890123"};
    cuframes_publisher_config_t config = small_config(NULL);

    refuse(&config, CUFRAMES_ERR_INVALID_ARG, "key");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        config.key = bad[i];
        refuse(&config, CUFRAMES_ERR_INVALID_ARG, "key");
        CHECK_ERR_SAYS(cuframes_check_key(bad[i]), CUFRAMES_ERR_INVALID_ARG, "key");
    }
    CHECK_ERR(cuframes_check_key(NULL), CUFRAMES_ERR_INVALID_ARG);
}

TEST(good_keys_are_taken)
{
    static const char *const good[] = {
        "a", "-", "_", "CAM-1_front",
        "012345678901234567890123456789012345678901234567890123456789012"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_OK(cuframes_check_key(good[i]));
        CHECK_OK(cuframes_publisher_destroy(make_small_publisher(good[i])));
    }
}

TEST(bad_sizes_are_refused)
{
    static const int32_t bad[][2] = {{0, 48},         {64, 0},      {-1, 48},
                                     {64, -1},        {100000, 48}, {64, 100000},
                                     {INT32_MAX, 48}, {32769, 1},   {INT32_MIN, INT32_MIN}};
    cuframes_publisher_config_t config = small_config("cam");

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        config.width = bad[i][0];
        config.height = bad[i][1];
        refuse(&config, CUFRAMES_ERR_INVALID_ARG, "pixels");
    }
}

TEST(unknown_values_are_refused)
{
    cuframes_publisher_config_t config = small_config("cam");

#define REFUSE(field, value, error, words)                                                         \
    do {                                                                                           \
        __auto_type good = config.field;                                                           \
        config.field = (value);                                                                    \
        refuse(&config, error, words);                                                             \
        config.field = good;                                                                       \
    } while (0)

    REFUSE(format, CUFRAMES_FORMAT_COUNT, CUFRAMES_ERR_FORMAT, "format");
    REFUSE(format, (cuframes_format_t)-1, CUFRAMES_ERR_FORMAT, "format");
    REFUSE(ring_size, 1, CUFRAMES_ERR_INVALID_ARG, "2 to 64");
    REFUSE(ring_size, 65, CUFRAMES_ERR_INVALID_ARG, "2 to 64");
    REFUSE(ring_size, -1, CUFRAMES_ERR_INVALID_ARG, "2 to 64");
    REFUSE(policy, (cuframes_policy_t)2, CUFRAMES_ERR_INVALID_ARG, "policy");
    REFUSE(memory, (cuframes_memory_t)3, CUFRAMES_ERR_INVALID_ARG, "memory");
    REFUSE(flags, 1U << 31, CUFRAMES_ERR_INVALID_ARG, "flags");
    REFUSE(ownership, (cuframes_ownership_t)2, CUFRAMES_ERR_INVALID_ARG, "ownership");
    REFUSE(max_subscribers, -1, CUFRAMES_ERR_INVALID_ARG, "subscribers");
    REFUSE(max_subscribers, 257, CUFRAMES_ERR_INVALID_ARG, "subscribers");
    REFUSE(max_holds, 4, CUFRAMES_ERR_INVALID_ARG, "max_holds");
    REFUSE(max_holds, -1, CUFRAMES_ERR_INVALID_ARG, "max_holds");
    REFUSE(socket_mode, 01777, CUFRAMES_ERR_INVALID_ARG, "socket_mode");
    REFUSE(allowed_user_count, 1, CUFRAMES_ERR_INVALID_ARG, "allowed_users is NULL");
    REFUSE(allowed_user_count, CUFRAMES_MAX_ALLOWED_USERS + 1, CUFRAMES_ERR_INVALID_ARG,
           "at most 64");
    REFUSE(socket_group, "no-such-group-here", CUFRAMES_ERR_INVALID_ARG, "group");
    REFUSE(fps_num, -25, CUFRAMES_ERR_INVALID_ARG, "frame rate");
    REFUSE(fps_den, 1, CUFRAMES_ERR_INVALID_ARG, "frame rate");
    REFUSE(sar_num, 1, CUFRAMES_ERR_INVALID_ARG, "pixel");
    REFUSE(color.range, 3, CUFRAMES_ERR_INVALID_ARG, "range");
    REFUSE(runtime_dir, "", CUFRAMES_ERR_INVALID_ARG, "directory");
#undef REFUSE
}

TEST(gpu_memory_that_is_not_there_is_refused)
{
    cuframes_publisher_config_t config = small_config("cam");

    setenv("CUFRAMES_LIBCUDA", "/nowhere/libcuda.so.1", 1);
    config.memory = CUFRAMES_MEMORY_CUDA;
    refuse(&config, CUFRAMES_ERR_CUDA, "NVIDIA driver");
    config.memory = CUFRAMES_MEMORY_HOST;
    config.ownership = CUFRAMES_OWNERSHIP_EXTERNAL;
    refuse(&config, CUFRAMES_ERR_INVALID_ARG, "create_external");
}

TEST(layouts_that_do_not_fit_are_refused)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_layout_t good, bad;

    config.format = CUFRAMES_FORMAT_NV12;
    CHECK_OK(cuframes_layout_init(&good, CUFRAMES_FORMAT_NV12, 64, 48, 32));
    config.layout = &bad;
#define REFUSE(change)                                                                             \
    do {                                                                                           \
        bad = good;                                                                                \
        bad.change;                                                                                \
        refuse(&config, CUFRAMES_ERR_FORMAT, "");                                                  \
        CHECK(*cuframes_last_error());                                                             \
    } while (0)
    REFUSE(plane_count = 1);
    REFUSE(plane_count = 5);
    REFUSE(coded_width = 63);
    REFUSE(coded_height = 47);
    REFUSE(coded_width = 40000);
    REFUSE(planes[0].pitch = 63);
    REFUSE(planes[1].rows = 23);
    REFUSE(planes[1].offset = UINT64_MAX);
    REFUSE(planes[0].offset = good.size);
    REFUSE(size = good.size - 1);
    REFUSE(size = 0);
#undef REFUSE
}

TEST(null_arguments_are_refused)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = NULL;
    void *memory;

    CHECK_ERR(cuframes_publisher_create(NULL, &publisher), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_create(&config, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_acquire(NULL, &memory), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_publish(NULL, NULL, 0), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_stats(NULL, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_LT(cuframes_publisher_subscribers(NULL, NULL, 0), 0);
    CHECK_OK(cuframes_publisher_destroy(NULL));
    cuframes_buffer_unref(NULL);
    publisher = make_publisher(&config);
    CHECK_ERR(cuframes_publisher_acquire(publisher, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_acquire_buffer(publisher, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_publish_buffer(publisher, NULL, NULL, NULL, NULL),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_reconfigure(publisher, NULL), CUFRAMES_ERR_INVALID_ARG);
    CHECK_LT(cuframes_publisher_subscribers(publisher, NULL, 1), 0);
    CHECK_OK(cuframes_publisher_destroy(publisher));
}

TEST(plain_pair_publishes_frames_in_order)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);

    for (int i = 0; i < 20; i++) {
        cuframes_frame_t *frame;
        void *memory = NULL, *again = NULL;

        CHECK_OK(cuframes_publisher_acquire(publisher, &memory));
        CHECK_OK(cuframes_publisher_acquire(publisher, &again));
        CHECK(memory == again);
        fill_pattern(memory, 64 * 48, i);
        CHECK_OK(cuframes_publisher_publish(publisher, NULL, i));
        frame = take_frame(reader);
        CHECK_EQ(cuframes_frame_seq(frame), (uint64_t)i);
        CHECK_EQ(cuframes_frame_pts_ns(frame), i);
        cuframes_subscriber_release(reader, frame);
    }
    CHECK_ERR_SAYS(cuframes_publisher_publish(publisher, NULL, 0), CUFRAMES_ERR_INVALID_ARG,
                   "acquire");
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(streams_are_refused_for_host_memory)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_buffer_t *buffer;
    void *memory;
    int stream;

    CHECK_OK(cuframes_publisher_acquire(publisher, &memory));
    CHECK_ERR_SAYS(cuframes_publisher_publish(publisher, &stream, 0), CUFRAMES_ERR_INVALID_ARG,
                   "stream");
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_ERR_SAYS(cuframes_publisher_publish_buffer(publisher, buffer, &stream, NULL, NULL),
                   CUFRAMES_ERR_INVALID_ARG, "stream");
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, NULL, NULL));
    cuframes_buffer_unref(buffer);
    CHECK_OK(cuframes_publisher_publish(publisher, NULL, 0));
    CHECK_EQ(publisher_stats(publisher).published, 2U);
    cuframes_publisher_destroy(publisher);
}

TEST(several_buffers_are_published_in_any_order)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    static const int publishing_order[3] = {2, 0, 1};
    cuframes_buffer_t *buffers[3];
    uint64_t seq = 99;

    for (int i = 0; i < 3; i++) {
        CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffers[i]));
        for (int j = 0; j < i; j++)
            CHECK(cuframes_buffer_data(buffers[i]) != cuframes_buffer_data(buffers[j]));
        fill_pattern(cuframes_buffer_data(buffers[i]), 64 * 48, 100 + i);
    }
    for (int i = 0; i < 3; i++) {
        cuframes_frame_meta_t meta = {.pts_ns = 100 + publishing_order[i]};

        CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffers[publishing_order[i]], NULL,
                                                   &meta, &seq));
        CHECK_EQ(seq, (uint64_t)i);
        cuframes_buffer_unref(buffers[publishing_order[i]]);
    }
    for (int i = 0; i < 3; i++)
        expect_frame(reader, 100 + publishing_order[i]);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(publishers_own_buffers_run_out_with_a_clear_error)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_buffer_t *buffers[4], *none = NULL;

    for (int i = 0; i < 4; i++)
        CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffers[i]));
    CHECK_ERR_SAYS(cuframes_publisher_acquire_buffer(publisher, &none), CUFRAMES_ERR_TOO_MANY,
                   "slots");
    CHECK(!none);
    cuframes_buffer_unref(buffers[1]);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffers[1]));
    for (int i = 0; i < 4; i++)
        cuframes_buffer_unref(buffers[i]);
    cuframes_publisher_destroy(publisher);
}

TEST(referenced_slots_are_not_reused)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_buffer_t *buffer;
    cuframes_frame_meta_t meta = {.pts_ns = 7};

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    fill_pattern(cuframes_buffer_data(buffer), 64 * 48, 7);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
    CHECK(cuframes_buffer_ref(buffer) == buffer);
    cuframes_buffer_unref(buffer);
    publish_many(publisher, 1000, 50);
    CHECK(pattern_fits(cuframes_buffer_data(buffer), 64 * 48, 7));
    cuframes_buffer_unref(buffer);
    cuframes_publisher_destroy(publisher);
}

TEST(buffer_is_published_once)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_publisher_t *other = make_small_publisher("other");
    cuframes_buffer_t *buffer;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    CHECK_ERR(cuframes_publisher_publish_buffer(other, buffer, NULL, NULL, NULL),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, NULL, NULL));
    CHECK_ERR_SAYS(cuframes_publisher_publish_buffer(publisher, buffer, NULL, NULL, NULL),
                   CUFRAMES_ERR_ALREADY_EXISTS, "published");
    CHECK_EQ(publisher_stats(publisher).published, 1U);
    cuframes_buffer_unref(buffer);
    cuframes_publisher_destroy(other);
    cuframes_publisher_destroy(publisher);
}

TEST(dropped_buffer_leaves_no_frame)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_buffer_t *buffer;

    for (int i = 0; i < 10; i++) {
        CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
        cuframes_buffer_unref(buffer);
    }
    EXPECT_NOTHING(reader);
    CHECK_EQ(publish(publisher, 1), 0U);
    expect_frame(reader, 1);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(buffers_outlive_their_publisher)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_buffer_t *published, *unpublished;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &published));
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &unpublished));
    CHECK_OK(cuframes_publisher_publish_buffer(publisher, published, NULL, NULL, NULL));
    CHECK_OK(cuframes_publisher_destroy(publisher));
    memset(cuframes_buffer_data(unpublished), 1, cuframes_buffer_layout(unpublished)->size);
    CHECK_EQ(cuframes_buffer_layout(published)->coded_width, 64);
    CHECK_EQ(cuframes_buffer_generation(published), 1U);
    cuframes_buffer_unref(published);
    cuframes_buffer_unref(unpublished);
}

TEST(planes_of_a_buffer_are_where_the_layout_says)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    const cuframes_layout_t *layout;
    cuframes_buffer_t *buffer;
    uint32_t pitch = 0;

    config.format = CUFRAMES_FORMAT_YUV420P;
    config.width = 63;
    config.height = 47;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    layout = cuframes_buffer_layout(buffer);
    CHECK_EQ(layout->plane_count, 3U);
    for (int32_t i = 0; i < 3; i++) {
        const uint8_t *plane = cuframes_buffer_plane(buffer, i, &pitch);

        CHECK_EQ(plane - (uint8_t *)cuframes_buffer_data(buffer), layout->planes[i].offset);
        CHECK_EQ(pitch, layout->planes[i].pitch);
        CHECK_EQ(pitch, i == 0 ? 63 : 32);
    }
    CHECK(!cuframes_buffer_plane(buffer, 3, &pitch));
    CHECK(!cuframes_buffer_plane(buffer, -1, NULL));
    cuframes_buffer_unref(buffer);
    cuframes_publisher_destroy(publisher);
}

TEST(key_has_one_publisher)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *first = make_publisher(&config), *second = NULL;
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);

    CHECK_ERR_SAYS(cuframes_publisher_create(&config, &second), CUFRAMES_ERR_ALREADY_EXISTS, "cam");
    CHECK(!second);
    publish(first, 5);
    expect_frame(reader, 5);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(first);
    second = make_publisher(&config);
    cuframes_publisher_destroy(second);
}

TEST(key_has_one_publisher_in_all_processes)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = NULL;
    struct test_peer peer;

    spawn_publisher(&peer, &config);
    CHECK_ERR(cuframes_publisher_create(&config, &publisher), CUFRAMES_ERR_ALREADY_EXISTS);
    test_say(&peer, 1);
    CHECK_HEAR(&peer, 0);
    test_join(&peer);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
}

TEST(stale_socket_is_taken_over)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *reader;
    struct test_peer peer;

    for (int i = 0; i < 3; i++) {
        spawn_publisher(&peer, &config);
        test_kill(&peer);
        CHECK_EQ(test_count_files(test_runtime_dir()), 1);
        CHECK_EQ(access(test_runtime_path("cam.sock"), F_OK), 0);
    }
    publisher = make_publisher(&config);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    publish(publisher, 5);
    expect_frame(reader, 5);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(socket_has_the_mode_and_group_that_were_asked_for)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = make_publisher(&config);
    struct stat st;
    char group[16];

    CHECK_SYS(stat(test_runtime_path("cam.sock"), &st));
    CHECK_EQ(st.st_mode & 07777, 0600);
    cuframes_publisher_destroy(publisher);
    config.socket_mode = 0666;
    snprintf(group, sizeof(group), "%u", (unsigned)getegid());
    config.socket_group = group;
    publisher = make_publisher(&config);
    CHECK_SYS(stat(test_runtime_path("cam.sock"), &st));
    CHECK_EQ(st.st_mode & 07777, 0666);
    CHECK_EQ(st.st_gid, getegid());
    cuframes_publisher_destroy(publisher);
}

TEST(channel_without_socket_leaves_no_file)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = {.consumer_name = "handed"};
    cuframes_publisher_t *first, *second;
    cuframes_subscriber_t *reader;
    int ends[2];

    config.flags = CUFRAMES_PUBLISHER_NO_SOCKET;
    config.runtime_dir = "/nowhere/at/all";
    first = make_publisher(&config);
    second = make_publisher(&config);
    CHECK_EQ(test_count_files(test_runtime_dir()), 0);
    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    CHECK_OK(cuframes_publisher_add_client(first, ends[0]));
    CHECK_OK(cuframes_subscriber_create_from_fd(&wanted, ends[1], &reader));
    CHECK_STR_EQ(cuframes_subscriber_name(reader), "handed");
    publish(first, 3);
    expect_frame(reader, 3);
    cuframes_publisher_destroy(first);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(second);
}

static void check_refused_descriptor(cuframes_publisher_t *publisher, int fd)
{
    CHECK_ERR(cuframes_publisher_add_client(publisher, fd), CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(fcntl(fd, F_GETFD), -1);
}

TEST(descriptors_that_are_no_connection_are_refused_and_closed)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_config_t config = {0};
    cuframes_subscriber_t *reader = NULL;
    int ends[2];

    CHECK_ERR(cuframes_publisher_add_client(publisher, -1), CUFRAMES_ERR_INVALID_ARG);
    CHECK_ERR(cuframes_publisher_add_client(publisher, 12345), CUFRAMES_ERR_INVALID_ARG);
    check_refused_descriptor(publisher, CHECK_SYS(open("/dev/null", O_RDWR | O_CLOEXEC)));
    check_refused_descriptor(publisher,
                             CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)));
    check_refused_descriptor(publisher, raw_listen("other", SOCK_SEQPACKET));
    unlink(test_runtime_path("other.sock"));
    CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
    check_refused_descriptor(publisher, ends[0]);
    CHECK_ERR(cuframes_subscriber_create_from_fd(&config, ends[1], &reader),
              CUFRAMES_ERR_INVALID_ARG);
    CHECK_EQ(fcntl(ends[1], F_GETFD), -1);
    cuframes_publisher_destroy(publisher);
}

TEST(info_says_what_the_channel_is)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher;
    cuframes_channel_info_t info;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.fps_num = 30000;
    config.fps_den = 1001;
    config.sar_num = 4;
    config.sar_den = 3;
    config.color = (cuframes_color_t){1, 9, 16, CUFRAMES_RANGE_LIMITED};
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_info(publisher, &info));
    CHECK_STR_EQ(info.key, "cam");
    CHECK_EQ(info.format, CUFRAMES_FORMAT_GRAYSCALE);
    CHECK_EQ(info.width, 64);
    CHECK_EQ(info.height, 48);
    CHECK_EQ(info.memory, CUFRAMES_MEMORY_HOST);
    CHECK_EQ(info.policy, CUFRAMES_POLICY_STRICT_WAIT);
    CHECK_EQ(info.slots, 4);
    CHECK_EQ(info.generation, 1U);
    CHECK_EQ(info.fps_num, 30000);
    CHECK_EQ(info.fps_den, 1001);
    CHECK_EQ(info.sar_num, 4);
    CHECK_EQ(info.sar_den, 3);
    CHECK_EQ(info.ack_timeout_ms, 200);
    CHECK_EQ(info.max_holds, 2);
    CHECK_EQ(info.pid, getpid());
    CHECK_MEM_EQ(&info.color, &config.color, sizeof(info.color));
    CHECK_EQ(info.layout.size, 64U * 48U);
    cuframes_publisher_destroy(publisher);
}

TEST(frames_need_no_subscriber)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_publisher_stats_t stats;

    stats = publisher_stats(publisher);
    CHECK_EQ(stats.newest_ns, CUFRAMES_NO_TIME);
    CHECK_EQ(stats.generations, 1U);
    publish_many(publisher, 0, 200);
    stats = publisher_stats(publisher);
    CHECK_EQ(stats.published, 200U);
    CHECK_EQ(stats.newest_seq, 199U);
    CHECK_EQ(stats.dropped, 0U);
    CHECK_GT(stats.newest_ns, cuframes_now_ns() - INT64_C(60000000000));
    CHECK_GT(stats.fps, 0);
    cuframes_publisher_destroy(publisher);
}

TEST(who_attaches_in_a_pause_gets_nothing_old)
{
    static const int modes[] = {CUFRAMES_MODE_NEWEST_ONLY, CUFRAMES_MODE_STRICT_ORDER};

    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        cuframes_publisher_t *publisher = make_small_publisher("pause");
        cuframes_subscriber_t *before, *after, *later;

        publish_many(publisher, 1, 3);
        before = make_reader("pause", modes[i]);
        CHECK_OK(cuframes_publisher_pause(publisher));
        after = make_reader("pause", modes[i]);
        EXPECT_NOTHING(after);
        /* One that was there keeps what it has. */
        expect_frame(before, 3);
        publish(publisher, 4);
        expect_frame(after, 4);
        expect_frame(before, 4);
        /* The pause is over. */
        later = make_reader("pause", modes[i]);
        expect_frame(later, 4);
        CHECK_EQ(subscriber_stats(after).missed, 0U);
        CHECK_OK(cuframes_subscriber_destroy(before));
        CHECK_OK(cuframes_subscriber_destroy(after));
        CHECK_OK(cuframes_subscriber_destroy(later));
        CHECK_OK(cuframes_publisher_destroy(publisher));
    }
    CHECK_ERR(cuframes_publisher_pause(NULL), CUFRAMES_ERR_INVALID_ARG);
}
