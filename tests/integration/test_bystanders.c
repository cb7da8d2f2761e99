/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one participant does or suffers is not the others' concern.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/sys.h"
#include "harness/raw_client.h"
#include "harness/resources.h"
#include "support.h"

#define FRAMES 200

/* A channel whose publisher waits for ever, so that a wait which nothing ends hangs the test. */
static cuframes_publisher_t *make_waiting_publisher(int32_t slots)
{
    cuframes_publisher_config_t config = small_config("cam");

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = -1;
    config.ring_size = slots;
    return make_publisher(&config);
}

static void *read_in_order(void *reader)
{
    for (int64_t pts = 0; pts < FRAMES; pts++)
        expect_frame(reader, pts);
    return NULL;
}

TEST(a_kept_frame_does_not_stop_the_wait_policy, .threads = true)
{
    cuframes_publisher_t *publisher = make_waiting_publisher(4);
    cuframes_subscriber_t *keeper = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_frame_t *kept;
    pthread_t thread;

    publish(publisher, 0);
    kept = take_frame(keeper);
    CHECK_EQ(pthread_create(&thread, NULL, read_in_order, reader), 0);
    publish_many(publisher, 1, FRAMES - 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    check_pattern(kept);
    cuframes_frame_release(kept);
    cuframes_subscriber_destroy(keeper);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

static void *acquire_and_drop(void *publisher)
{
    cuframes_buffer_t *buffer;

    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    cuframes_buffer_unref(buffer);
    return NULL;
}

TEST(a_dropped_buffer_ends_a_wait_for_subscribers, .threads = true)
{
    cuframes_publisher_t *publisher = make_waiting_publisher(3);
    cuframes_subscriber_t *keeper = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    const struct timespec pause = {.tv_nsec = 20000000};
    cuframes_buffer_t *own;
    cuframes_frame_t *kept;
    pthread_t thread;

    publish(publisher, 0);
    kept = take_frame(keeper);
    publish(publisher, 1);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &own));
    CHECK_EQ(pthread_create(&thread, NULL, acquire_and_drop, publisher), 0);
    /* Long enough for the thread to be asleep most times; right also when it is not. */
    nanosleep(&pause, NULL);
    cuframes_buffer_unref(own);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    cuframes_frame_release(kept);
    cuframes_subscriber_destroy(keeper);
    cuframes_publisher_destroy(publisher);
}

static void *publish_and_change(void *publisher)
{
    cuframes_publisher_config_t config = small_config("cam");

    for (int64_t pts = 0; pts < FRAMES; pts++) {
        if (pts % 3 == 2) {
            config.height = 48 + (int32_t)(pts % 7);
            CHECK_OK(cuframes_publisher_reconfigure(publisher, &config));
        }
        publish(publisher, pts);
    }
    return NULL;
}

/* However the looks of a program that polls fall, no frame before a change is lost. */
TEST(changes_lose_nothing_for_one_who_polls, .threads = true)
{
    cuframes_publisher_t *publisher = make_waiting_publisher(4);
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_STRICT_ORDER);
    cuframes_subscriber_t *reader;
    pthread_t thread;

    config.flags = CUFRAMES_SUBSCRIBER_POLL;
    reader = make_subscriber(&config);
    CHECK_EQ(pthread_create(&thread, NULL, publish_and_change, publisher), 0);
    for (int64_t pts = 0; pts < FRAMES;) {
        cuframes_frame_t *frame;
        int err = cuframes_subscriber_next(reader, NULL, &frame, 0);

        if (err == CUFRAMES_ERR_WOULD_BLOCK) {
            CHECK(test_readable(cuframes_subscriber_fd(reader), test_patience_ms()));
            continue;
        }
        CHECK_OK(err);
        CHECK_EQ(cuframes_frame_pts_ns(frame), pts);
        check_pattern(frame);
        cuframes_frame_release(frame);
        pts++;
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* What a forked process does with what it inherited. */
_Noreturn static void misuse(cuframes_publisher_t *publisher, cuframes_subscriber_t *reader,
                             cuframes_buffer_t *buffer, cuframes_frame_t *held)
{
    cuframes_frame_t *frame;
    void *slot;

    CHECK_ERR_SAYS(cuframes_subscriber_next(reader, NULL, &frame, 0), CUFRAMES_ERR_INVALID_ARG,
                   "fork");
    CHECK_ERR_SAYS(cuframes_publisher_acquire(publisher, &slot), CUFRAMES_ERR_INVALID_ARG, "fork");
    CHECK_ERR_SAYS(cuframes_publisher_publish_buffer(publisher, buffer, NULL, NULL, NULL),
                   CUFRAMES_ERR_INVALID_ARG, "fork");
    cuframes_frame_release(held);
    cuframes_buffer_unref(buffer);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
    _exit(0);
}

TEST(a_forked_process_lets_go_of_nothing_that_is_its_parents)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_buffer_t *buffer;
    cuframes_frame_t *held;
    int status;
    pid_t child;

    publish(publisher, 9);
    held = take_frame(reader);
    CHECK_OK(cuframes_publisher_acquire_buffer(publisher, &buffer));
    child = CHECK_SYS(fork());
    if (child == 0)
        misuse(publisher, reader, buffer, held);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    publish_many(publisher, 100, 50);
    check_pattern(held);
    CHECK_EQ(cuframes_frame_pts_ns(held), 9);
    cuframes_frame_release(held);
    expect_frame(reader, 149);
    cuframes_buffer_unref(buffer);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(one_who_claims_more_than_it_was_granted_is_closed)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct raw_client greedy;
    char text[CF_WIRE_TEXT_SIZE];
    uint64_t dropped = 0;

    publish(publisher, 0);
    raw_attach(&greedy, "cam", "greedy", CUFRAMES_MODE_NEWEST_ONLY);
    for (unsigned i = 0; i < CUFRAMES_MAX_SLOTS; i++)
        atomic_store(&raw_page(&greedy)->holds[i], 1);
    for (int i = 0; i < 50; i++) {
        void *slot;
        int err = cuframes_publisher_acquire(publisher, &slot);

        if (err == CUFRAMES_ERR_WOULD_BLOCK) {
            dropped++;
            continue;
        }
        CHECK_OK(err);
        CHECK_OK(cuframes_publisher_publish(publisher, NULL, i));
    }
    /* It costs nobody a frame. */
    CHECK_EQ(dropped, 0U);
    CHECK_EQ(publisher_stats(publisher).dropped, 0U);
    CHECK_EQ(raw_receive_error(greedy.socket, text), CUFRAMES_ERR_PROTOCOL);
    raw_wait_hang_up(greedy.socket);
    raw_detach(&greedy);
    cuframes_publisher_destroy(publisher);
}

/* A subscriber that asked for a socket to be woken by. */
static void attach_with_wake_socket(struct raw_client *client)
{
    const struct cf_message ask = {.type = CF_MSG_ATTACH, .attach.flags = CF_ATTACH_WAKE_SOCKET};
    struct cf_message answer;

    *client = (struct raw_client){.socket = raw_connect("cam", SOCK_SEQPACKET)};
    raw_send(client->socket, &ask);
    CHECK_OK(raw_receive(client->socket, &answer, client->fds, &client->fd_count));
    CHECK_EQ(answer.type, CF_MSG_ATTACHED);
    CHECK_EQ(client->fd_count, CF_FD_COUNT);
    CHECK_OK(cf_shm_attach("hold page", client->fds[CF_FD_HOLDS], sizeof(struct cf_hold_page),
                           CF_SHM_PEER_WRITES, &client->holds));
}

/* Whatever it does with its end of what it is woken by, the publisher goes on. */
TEST(one_who_does_not_hear_its_wake_up_call_blocks_nobody)
{
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    const uint64_t as_full_as_can_be = UINT64_MAX - 1;
    struct raw_client hostile;
    ssize_t ignored;
    int fd;

    attach_with_wake_socket(&hostile);
    fd = hostile.fds[CF_FD_WAKE_SOCKET];
    CHECK_SYS(fcntl(fd, F_SETFL, 0));
    ignored = write(fd, &as_full_as_can_be, sizeof(as_full_as_can_be));
    (void)ignored;
    atomic_store(&raw_page(&hostile)->waiting, CF_WAITING_SOCKET);
    publish_many(publisher, 0, 2000);
    CHECK_SYS(shutdown(fd, SHUT_RDWR));
    publish_many(publisher, 2000, 10);
    raw_detach(&hostile);
    cuframes_publisher_destroy(publisher);
}

/* ---- fork() in the moment of an accept ---- */

static int (*real_accept4)(int fd, struct sockaddr *addr, socklen_t *length, int flags);
static sem_t accepted;

/* Leaves time for a fork() between the birth of a socket and whatever is done with it. */
static int accept_slowly(int fd, struct sockaddr *addr, socklen_t *length, int flags)
{
    int socket = real_accept4(fd, addr, length, flags);
    int errnum = errno;

    if (socket >= 0) {
        sem_post(&accepted);
        usleep(100000);
    }
    errno = errnum;
    return socket;
}

static void *fork_when_accepted(void *sockets)
{
    int status;
    pid_t child;

    sem_wait(&accepted);
    child = CHECK_SYS(fork());
    if (child == 0)
        _exit((int)test_count_descriptors("socket:"));
    CHECK_EQ(waitpid(child, &status, 0), child);
    *(int *)sockets = WEXITSTATUS(status);
    return NULL;
}

TEST(a_fork_in_the_moment_of_an_accept_keeps_no_copy_of_the_socket)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_t *publisher = make_small_publisher("cam");
    struct test_peer peer;
    pthread_t thread;
    int sockets = -1;

#ifdef __SANITIZE_ADDRESS__
    SKIP("the address sanitizer's allocator does not survive fork() beside busy threads");
#endif
    real_accept4 = cf_sys.accept4;
    cf_sys.accept4 = accept_slowly;
    CHECK_EQ(sem_init(&accepted, 0, 0), 0);
    CHECK_EQ(pthread_create(&thread, NULL, fork_when_accepted, &sockets), 0);
    spawn_reader(&peer, &config);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    /* The test's own, to the reader. */
    CHECK_EQ(sockets, 1);
    test_kill(&peer);
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, test_patience_ms());
    cf_sys.accept4 = real_accept4;
    cuframes_publisher_destroy(publisher);
}
