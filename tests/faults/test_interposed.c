/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every call of libc that the library makes fails once at every place, in each way that it can
 * fail, while a channel is made, read, changed, asked for, and while groups meet.
 *
 * Publisher and subscriber are in one process, so that the calls of both sides fail.
 */
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fault_runs.h"
#include "integration/support.h"

/* Without a fault: what a scenario does itself. */
int __real_socketpair(int domain, int type, int protocol, int sockets[2]);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *argument);

#define SIZE    ((size_t)64 * 48)
#define WAIT_MS scenario_wait_ms(1000)

#define PACKET_SIZE 3000U

/* Calls, notes the result, and is true if it succeeded. */
#define DO(call)                                                                                   \
    ({                                                                                             \
        int do_result = (call);                                                                    \
        note_result(&err, #call, do_result);                                                       \
        do_result >= 0;                                                                            \
    })

static bool put(cuframes_publisher_t *publisher, int64_t pts, int *first)
{
    int err = 0;
    void *slot;

    if (DO(cuframes_publisher_acquire(publisher, &slot))) {
        fill_pattern(slot, SIZE, pts);
        DO(cuframes_publisher_publish(publisher, NULL, pts));
    }
    if (!*first)
        *first = err;
    return !err;
}

/* What is held is as it was, unless the library says that a fault ended the connection, which frees
 * it: so the check comes after the reading. */
static void check_held(cuframes_frame_t *held, int64_t pts, int *first)
{
    const bool fits = pattern_fits(cuframes_frame_data(held), SIZE, pts);
    int err = 0;

    if (DO(cuframes_frame_check(held)))
        CHECK(fits);
    if (!*first)
        *first = err;
}

/* Takes the frame `pts`, whose contents must be right. */
static bool get(cuframes_subscriber_t *reader, int64_t pts, int *first)
{
    cuframes_frame_t *frame = NULL;
    int err = 0;

    if (DO(cuframes_subscriber_next(reader, NULL, &frame, WAIT_MS))) {
        if (cuframes_frame_pts_ns(frame) != pts)
            FAIL("frame %lld instead of %lld", (long long)cuframes_frame_pts_ns(frame),
                 (long long)pts);
        check_held(frame, pts, &err);
        cuframes_frame_release(frame);
    }
    if (!*first)
        *first = err;
    return !err;
}

/* ---- making a channel ---- */

static int make_channel(void)
{
    const uint32_t users[] = {4711};
    cuframes_publisher_config_t config = small_config("cam");
    struct group *group = getgrgid(getegid());
    cuframes_publisher_t *publisher;
    int err = 0;

    config.allowed_users = users;
    config.allowed_user_count = 1;
    config.socket_mode = 0660;
    config.socket_group = group ? group->gr_name : NULL;
    if (!DO(cuframes_publisher_create(&config, &publisher)))
        return err;
    put(publisher, 1, &err);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(making_a_channel, .timeout_s = 120)
{
    run_with_faults("making a channel", make_channel, 10);
}

/* ---- sharing frames ---- */

static void share_frames(cuframes_publisher_t *publisher, cuframes_subscriber_t *reader, int *first)
{
    cuframes_publisher_config_t larger = small_config(NULL);
    struct pollfd poller = {.fd = cuframes_subscriber_fd(reader), .events = POLLIN};
    cuframes_frame_t *held = NULL, *none = NULL;
    int err = 0, waited;

    if (put(publisher, 1, &err) && DO(cuframes_subscriber_next(reader, NULL, &held, WAIT_MS)) &&
        put(publisher, 2, &err) && put(publisher, 3, &err) && get(reader, 2, &err))
        get(reader, 3, &err);
    if (held)
        check_held(held, 1, &err);
    if (!err) {
        waited = cuframes_subscriber_next(reader, NULL, &none, 5);
        if (waited != CUFRAMES_ERR_TIMEOUT)
            note_result(&err, "next, with nothing there", waited);
    }
    larger.ring_size = 6;
    if (!err && DO(cuframes_publisher_reconfigure(publisher, &larger)) && put(publisher, 4, &err)) {
        poll(&poller, 1, 0);
        get(reader, 4, &err);
    }
    if (held)
        check_held(held, 1, &err);
    cuframes_frame_release(held);
    if (!*first)
        *first = err;
}

static int share(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL;
    int err = 0;

    wanted.flags = CUFRAMES_SUBSCRIBER_POLL | CUFRAMES_SUBSCRIBER_FRAME_FD;
    wanted.connect_timeout_ms = WAIT_MS;
    if (DO(cuframes_publisher_create(&config, &publisher)) &&
        DO(cuframes_subscriber_create(&wanted, &reader)))
        share_frames(publisher, reader, &err);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(sharing_frames, .timeout_s = 240)
{
    run_with_faults("sharing frames", share, 20);
}

/* ---- over a connection that was handed in ---- */

static int share_given(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = {.mode = CUFRAMES_MODE_STRICT_ORDER,
                                           .connect_timeout_ms = WAIT_MS};
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL;
    int err = 0, ends[2];

    config.flags = CUFRAMES_PUBLISHER_NO_SOCKET;
    if (!DO(cuframes_publisher_create(&config, &publisher)))
        return err;
    CHECK_SYS(__real_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    if (DO(cuframes_publisher_add_client(publisher, ends[0]))) {
        if (DO(cuframes_subscriber_create_from_fd(&wanted, ends[1], &reader)))
            share_frames(publisher, reader, &err);
    } else {
        close(ends[1]);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(sharing_over_a_given_connection, .timeout_s = 240)
{
    run_with_faults("sharing over a given connection", share_given, 20);
}

/* ---- a publisher that waits ---- */

#define IN_ORDER 12

/* Takes all that comes; has its own error. */
static void *read_in_order(void *argument)
{
    cuframes_subscriber_t *reader = argument;
    int err = 0;

    for (int64_t pts = 0; pts < IN_ORDER && get(reader, pts, &err); pts++)
        ;
    return (void *)(intptr_t)err;
}

static int wait_for_reader(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL;
    void *reader_err = NULL;
    pthread_t thread;
    int err = 0;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = scenario_wait_ms(300);
    wanted.connect_timeout_ms = WAIT_MS;
    if (DO(cuframes_publisher_create(&config, &publisher)) &&
        DO(cuframes_subscriber_create(&wanted, &reader))) {
        CHECK_EQ(__real_pthread_create(&thread, NULL, read_in_order, reader), 0);
        for (int64_t pts = 0; pts < IN_ORDER && put(publisher, pts, &err); pts++)
            ;
        pthread_join(thread, &reader_err);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    return err ? err : (int)(intptr_t)reader_err;
}

TEST(waiting_for_a_reader, .timeout_s = 240)
{
    run_with_faults("waiting for a reader", wait_for_reader, 20);
}

/* ---- a publisher that comes back ---- */

static int come_back(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *first = NULL, *second = NULL;
    cuframes_subscriber_t *reader = NULL;
    int err = 0;

    wanted.flags = CUFRAMES_SUBSCRIBER_RECONNECT | CUFRAMES_SUBSCRIBER_POLL;
    wanted.connect_timeout_ms = WAIT_MS;
    if (DO(cuframes_publisher_create(&config, &first)) &&
        DO(cuframes_subscriber_create(&wanted, &reader)) && put(first, 1, &err) &&
        get(reader, 1, &err)) {
        cuframes_publisher_destroy(first);
        first = NULL;
        if (DO(cuframes_publisher_create(&config, &second)) && put(second, 2, &err))
            get(reader, 2, &err);
    }
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(first);
    cuframes_publisher_destroy(second);
    return err;
}

TEST(coming_back, .timeout_s = 240)
{
    run_with_faults("a publisher that comes back", come_back, 20);
}

/* ---- asking ---- */

static void ask_and_watch(int *first)
{
    cuframes_channel_report_t *report = NULL;
    cuframes_key_list_t *keys = NULL;
    cuframes_watch_t *watch = NULL;
    cuframes_watch_event_t event;
    int err = 0;

    if (DO(cuframes_query(NULL, "cam", WAIT_MS, &report)))
        CHECK_EQ(report->info.width, 64);
    cuframes_channel_report_free(report);
    if (DO(cuframes_list(NULL, &keys))) {
        CHECK_EQ(keys->count, 1U);
        CHECK_STR_EQ(keys->keys[0], "cam");
    }
    cuframes_key_list_free(keys);
    if (DO(cuframes_watch_create(NULL, &watch)) &&
        DO(cuframes_watch_next(watch, &event, WAIT_MS))) {
        CHECK_EQ(event.type, CUFRAMES_WATCH_ADDED);
        CHECK_STR_EQ(event.key, "cam");
    }
    cuframes_watch_destroy(watch);
    if (!*first)
        *first = err;
}

static int ask(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_publisher_t *publisher = NULL;
    int err = 0;

    if (DO(cuframes_publisher_create(&config, &publisher)))
        ask_and_watch(&err);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(asking_about_channels, .timeout_s = 240)
{
    run_with_faults("asking about channels", ask, 20);
}

/* ---- a subscriber that calls back ---- */

static void take_note(const cuframes_frame_t *frame, void *user)
{
    CHECK(pattern_fits(cuframes_frame_data(frame), SIZE, cuframes_frame_pts_ns(frame)));
    atomic_fetch_add((atomic_int *)user, 1);
}

static int call_back(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_async_subscriber_t *async = NULL;
    cuframes_publisher_t *publisher = NULL;
    static atomic_int count;
    int err = 0;

    atomic_store(&count, 0);
    wanted.connect_timeout_ms = WAIT_MS;
    if (DO(cuframes_publisher_create(&config, &publisher)) &&
        DO(cuframes_async_subscriber_create(&wanted, take_note, &count, &async)) &&
        put(publisher, 1, &err))
        while (atomic_load(&count) == 0 && !err) {
            int ended = cuframes_async_subscriber_wait(async, 1);

            if (ended != CUFRAMES_ERR_TIMEOUT)
                note_result(&err, "the reader's thread", ended);
        }
    cuframes_async_subscriber_destroy(async);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(calling_back, .timeout_s = 240)
{
    run_with_faults("a subscriber that calls back", call_back, 20);
}

/* ---- packets ---- */

static void get_packet(cuframes_subscriber_t *reader, int64_t pts, int *first)
{
    cuframes_packet_t *packet;
    int err = 0;

    if (DO(cuframes_subscriber_next_packet(reader, &packet, WAIT_MS))) {
        if (cuframes_packet_pts(packet) != pts)
            FAIL("packet %lld instead of %lld", (long long)cuframes_packet_pts(packet),
                 (long long)pts);
        CHECK_EQ(cuframes_packet_size(packet), PACKET_SIZE);
        CHECK(pattern_fits(cuframes_packet_data(packet), PACKET_SIZE, pts));
        cuframes_subscriber_release_packet(reader, packet);
    }
    if (!*first)
        *first = err;
}

/* More than the ring has room for, so that it grows; a second description in the middle. */
static void pass_packets(cuframes_publisher_t *publisher, cuframes_subscriber_t *reader, int *first)
{
    static uint8_t bytes[PACKET_SIZE];
    int err = 0;

    for (int64_t i = 0; i < 6 && !err; i++) {
        fill_pattern(bytes, sizeof(bytes), i);
        if (i == 3)
            DO(cuframes_publisher_set_codec_extradata(publisher, "another", 7));
        if (DO(cuframes_publisher_publish_packet(publisher, bytes, sizeof(bytes), i, i,
                                                 CUFRAMES_PKT_FLAG_KEY)))
            get_packet(reader, i, &err);
    }
    if (!*first)
        *first = err;
}

static int share_packets(void)
{
    const cuframes_publisher_config_t config = {.key = "cam",
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};
    const cuframes_packet_ring_options_t options = {
        .ring_slots = 4, .data_size = 8192, .keep_ms = 60000, .codec_id = 27};
    cuframes_subscriber_config_t wanted = {.key = "cam",
                                           .connect_timeout_ms = WAIT_MS,
                                           .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY |
                                                    CUFRAMES_SUBSCRIBER_POLL};
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL;
    int err = 0;

    if (DO(cuframes_publisher_create(&config, &publisher)) &&
        DO(cuframes_publisher_enable_packets(publisher, &options)) &&
        DO(cuframes_publisher_set_codec_extradata(publisher, "extradata", 9)) &&
        DO(cuframes_subscriber_create(&wanted, &reader)) &&
        DO(cuframes_subscriber_enable_packets(reader)))
        pass_packets(publisher, reader, &err);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(sharing_packets, .timeout_s = 240)
{
    run_with_faults("sharing packets", share_packets, 20);
}

/* ---- groups ---- */

static int work_in_group(cuframes_group_t *group)
{
    uint8_t mine[300] = {1}, all[600];
    int fds[2] = {-1, -1}, own = STDERR_FILENO;
    int err = 0;

    if (DO(cuframes_group_barrier(group, 0, WAIT_MS)) &&
        DO(cuframes_group_all_gather(group, mine, sizeof(mine), all, WAIT_MS))) {
        CHECK_EQ(all[0], 1);
        CHECK_EQ(all[300], 1);
        if (DO(cuframes_group_all_gather_fds(group, &own, 1, fds, 2, NULL, WAIT_MS))) {
            CHECK_GE(fds[0], 0);
            CHECK_GE(fds[1], 0);
            close(fds[0]);
            close(fds[1]);
            DO(cuframes_group_broadcast(group, 1, mine, sizeof(mine), WAIT_MS));
        }
    }
    return err;
}

static int be_rank(int32_t rank)
{
    cuframes_group_config_t config = {.name = "g", .rank = rank, .size = 2, .timeout_ms = WAIT_MS};
    cuframes_group_t *group = NULL;
    int err = 0;

    if (DO(cuframes_group_create(&config, &group)))
        err = work_in_group(group);
    cuframes_group_destroy(group);
    return err;
}

static void *be_second(void *argument)
{
    (void)argument;
    return (void *)(intptr_t)be_rank(1);
}

static int meet(void)
{
    pthread_t thread;
    void *second;
    int err;

    CHECK_EQ(__real_pthread_create(&thread, NULL, be_second, NULL), 0);
    err = be_rank(0);
    pthread_join(thread, &second);
    return err ? err : (int)(intptr_t)second;
}

TEST(meeting_in_a_group, .timeout_s = 240)
{
    run_with_faults("two ranks of a group", meet, 20);
}

struct handed {
    int fd;
    int32_t rank;
};

static void *be_handed(void *argument)
{
    const struct handed *handed = argument;
    cuframes_group_config_t config = {.rank = handed->rank, .size = 2, .timeout_ms = WAIT_MS};
    cuframes_group_t *group = NULL;
    int err = 0;

    if (DO(cuframes_group_create_from_fd(&config, handed->fd, &group)))
        err = work_in_group(group);
    cuframes_group_destroy(group);
    return (void *)(intptr_t)err;
}

static int meet_by_hand(void)
{
    cuframes_group_host_t *host = NULL;
    struct handed first = {.rank = 0}, second = {.rank = 1};
    void *first_err, *second_err;
    pthread_t thread;
    int err = 0, fds[2];

    if (!DO(cuframes_group_host_create(2, fds, &host)))
        return err;
    first.fd = fds[0];
    second.fd = fds[1];
    CHECK_EQ(__real_pthread_create(&thread, NULL, be_handed, &second), 0);
    first_err = be_handed(&first);
    pthread_join(thread, &second_err);
    cuframes_group_host_destroy(host);
    return first_err ? (int)(intptr_t)first_err : (int)(intptr_t)second_err;
}

TEST(meeting_by_handed_connections, .timeout_s = 240)
{
    run_with_faults("two ranks over handed connections", meet_by_hand, 20);
}

/* ---- GPU memory ---- */

static int share_on_gpu(void)
{
    cuframes_publisher_config_t config = small_config("cam");
    cuframes_subscriber_config_t wanted = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_publisher_t *publisher = NULL;
    cuframes_subscriber_t *reader = NULL, *cpu = NULL;
    uint8_t pattern[SIZE];
    int err = 0;

    config.memory = CUFRAMES_MEMORY_CUDA;
    wanted.connect_timeout_ms = WAIT_MS;
    if (DO(cuframes_publisher_create(&config, &publisher)) &&
        DO(cuframes_subscriber_create(&wanted, &reader))) {
        wanted.memory = CUFRAMES_MEMORY_HOST;
        wanted.flags = CUFRAMES_SUBSCRIBER_STAGED | CUFRAMES_SUBSCRIBER_POLL;
        DO(cuframes_subscriber_create(&wanted, &cpu));
    }
    for (int64_t pts = 1; !err && pts < 4; pts++) {
        const cuframes_frame_meta_t meta = {.pts_ns = pts};
        cuframes_frame_t *frame = NULL;
        cuframes_buffer_t *buffer;

        fill_pattern(pattern, SIZE, pts);
        if (!DO(cuframes_publisher_acquire_buffer(publisher, &buffer)))
            break;
        if (DO(cuframes_buffer_write(buffer, 0, pattern, SIZE, NULL)))
            DO(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
        cuframes_buffer_unref(buffer);
        if (!err && DO(cuframes_subscriber_next(reader, NULL, &frame, WAIT_MS))) {
            CHECK_EQ(cuframes_frame_pts_ns(frame), pts);
            DO(cuframes_frame_release_stream(frame, NULL));
            get(cpu, pts, &err);
        }
    }
    cuframes_subscriber_destroy(cpu);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    return err;
}

TEST(sharing_gpu_memory, .timeout_s = 240)
{
    run_with_faults("sharing GPU memory", share_on_gpu, 20);
}
