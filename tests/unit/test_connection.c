/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Messages and descriptors over real sockets: what arrives, what is refused, and that nothing of
 * what is refused stays open. (The harness fails a test that leaves a descriptor behind.)
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/fault.h"
#include "harness/harness.h"
#include "harness/limits.h"
#include "harness/peer.h"
#include "harness/resources.h"
#include "wire/connection.h"
#include "wire_samples.h"

struct pair {
    int library, peer;
};

static struct pair make_pair(void)
{
    int fds[2];

    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));
    return (struct pair){.library = fds[0], .peer = fds[1]};
}

static void close_pair(struct pair pair)
{
    close(pair.library);
    close(pair.peer);
}

static int some_file(void)
{
    return CHECK_SYS(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static void close_fds(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

/* What a peer without this library may send. */
static void send_raw(int socket, const void *bytes, size_t size, int fd, size_t fd_count)
{
    union {
        struct cmsghdr alignment;
        char bytes[CMSG_SPACE(253 * sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)bytes, .iov_len = size};
    struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

    if (fd_count > 0) {
        struct cmsghdr *cmsg;

        header.msg_control = control.bytes;
        header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&header);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        for (size_t i = 0; i < fd_count; i++)
            memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &fd, sizeof(int));
    }
    CHECK_SYS(sendmsg(socket, &header, MSG_NOSIGNAL));
}

static void send_sample(int socket, enum cf_message_type type, int fd, size_t fd_count)
{
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    struct cf_message message;

    wire_sample(type, &message);
    send_raw(socket, bytes, cf_message_encode(&message, bytes), fd, fd_count);
}

/* Receives with an error, and with nothing opened or written. */
static void check_receive_fails(int socket, int64_t deadline, int error, const char *words)
{
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS] = {-7};
    size_t fd_count = 77;
    struct test_resources before;

    test_resources_take(&before);
    CHECK_ERR_SAYS(cf_connection_receive(socket, &message, fds, &fd_count, deadline), error, words);
    CHECK_EQ(fd_count, 77);
    CHECK_EQ(fds[0], -7);
    CHECK_NO_LEAK(&before, "after a message that was refused");
    test_resources_free(&before);
}

static void check_same_file(int a, int b)
{
    struct stat one, other;

    CHECK_SYS(fstat(a, &one));
    CHECK_SYS(fstat(b, &other));
    CHECK_EQ(one.st_dev, other.st_dev);
    CHECK_EQ(one.st_ino, other.st_ino);
}

TEST(messages_arrive_with_their_descriptors)
{
    struct pair pair = make_pair();

    for (size_t i = 0; i < WIRE_SAMPLES; i++) {
        struct cf_message sent, received;
        int own[CF_WIRE_MAX_FDS], fds[CF_WIRE_MAX_FDS];
        size_t own_count = wire_sample(wire_sample_types[i], &sent), fd_count = 77;

        for (size_t f = 0; f < own_count; f++)
            own[f] = CHECK_SYS(memfd_create("cuframes-test", MFD_CLOEXEC));
        CHECK_OK(cf_connection_send(pair.library, &sent, own, own_count));
        CHECK_OK(cf_connection_receive(pair.peer, &received, fds, &fd_count, 0));
        CHECK_MEM_EQ(&received, &sent, sizeof(sent));
        CHECK_EQ(fd_count, own_count);
        for (size_t f = 0; f < fd_count; f++) {
            check_same_file(fds[f], own[f]);
            CHECK_EQ(CHECK_SYS(fcntl(fds[f], F_GETFD)) & FD_CLOEXEC, FD_CLOEXEC);
        }
        close_fds(fds, fd_count);
        close_fds(own, own_count);
    }
    close_pair(pair);
}

TEST(nothing_to_read_is_would_block_or_timeout)
{
    struct pair pair = make_pair();
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;
    int64_t begin = cf_now_ns();

    CHECK_ERR(cf_connection_receive(pair.library, &message, fds, &fd_count, 0),
              CUFRAMES_ERR_WOULD_BLOCK);
    CHECK_ERR(cf_connection_receive(pair.library, &message, fds, &fd_count, cf_deadline(30)),
              CUFRAMES_ERR_TIMEOUT);
    CHECK_GE(cf_now_ns() - begin, 30 * CF_NS_PER_MS);
    /* A deadline that has passed is not "do not wait". */
    CHECK_ERR(cf_connection_receive(pair.library, &message, fds, &fd_count, 1),
              CUFRAMES_ERR_TIMEOUT);
    close_pair(pair);
}

static void send_late(struct test_peer *test, void *argument)
{
    int socket = *(const int *)argument;

    CHECK_HEAR(test, 1);
    send_sample(socket, CF_MSG_QUERY, -1, 0);
    test_hear_end(test);
}

TEST(message_that_comes_later_ends_the_wait)
{
    struct pair pair = make_pair();
    struct test_peer peer;
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;

    test_spawn(&peer, send_late, &pair.peer, &(struct test_spawn_options){.keep_fd = pair.peer});
    test_say(&peer, 1);
    CHECK_OK(cf_connection_receive(pair.library, &message, fds, &fd_count, CF_NEVER));
    CHECK_EQ(message.type, CF_MSG_QUERY);
    test_join(&peer);
    close_pair(pair);
}

static void on_alarm(int signal)
{
    (void)signal;
}

TEST(signals_do_not_shorten_the_wait)
{
    struct itimerval often = {.it_interval.tv_usec = 2000, .it_value.tv_usec = 2000};
    struct itimerval never = {0};
    struct sigaction action = {.sa_handler = on_alarm};
    struct pair pair = make_pair();
    int64_t begin;

    CHECK_SYS(sigaction(SIGALRM, &action, NULL));
    CHECK_SYS(setitimer(ITIMER_REAL, &often, NULL));
    begin = cf_now_ns();
    check_receive_fails(pair.library, cf_deadline(60), CUFRAMES_ERR_TIMEOUT, "in time");
    CHECK_GE(cf_now_ns() - begin, 60 * CF_NS_PER_MS);
    CHECK_SYS(setitimer(ITIMER_REAL, &never, NULL));
    close_pair(pair);
}

TEST(hang_up_comes_after_the_last_message)
{
    struct pair pair = make_pair();
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;

    CHECK(!cf_connection_hung_up(pair.library));
    send_sample(pair.peer, CF_MSG_ERROR, -1, 0);
    CHECK(!cf_connection_hung_up(pair.library));
    close(pair.peer);
    CHECK(cf_connection_hung_up(pair.library));
    CHECK_OK(cf_connection_receive(pair.library, &message, fds, &fd_count, 0));
    CHECK_EQ(message.type, CF_MSG_ERROR);
    CHECK_EQ(fd_count, 0);
    check_receive_fails(pair.library, CF_NEVER, CUFRAMES_ERR_DISCONNECTED, "closed");
    close(pair.library);
}

TEST(peer_that_closes_without_reading_is_gone)
{
    struct pair pair = make_pair();
    struct cf_message message;

    wire_sample(CF_MSG_QUERY, &message);
    CHECK_OK(cf_connection_send(pair.library, &message, NULL, 0));
    close(pair.peer);
    check_receive_fails(pair.library, CF_NEVER, CUFRAMES_ERR_DISCONNECTED, "closed");
    CHECK(cf_connection_hung_up(pair.library));
    close(pair.library);
}

TEST(peer_that_will_not_write_again_has_hung_up)
{
    struct pair pair = make_pair();

    CHECK_SYS(shutdown(pair.peer, SHUT_WR));
    CHECK(cf_connection_hung_up(pair.library));
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_DISCONNECTED, "closed");
    close_pair(pair);
}

TEST(sending_to_nobody_is_an_error_and_no_signal)
{
    struct pair pair = make_pair();
    struct cf_message message;

    CHECK(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    wire_sample(CF_MSG_ATTACH, &message);
    close(pair.peer);
    CHECK_ERR_SAYS(cf_connection_send(pair.library, &message, NULL, 0), CUFRAMES_ERR_DISCONNECTED,
                   "closed");
    close(pair.library);
}

TEST(full_socket_does_not_block_the_sender)
{
    struct pair pair = make_pair();
    struct cf_message message, received;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count, sent = 0, arrived = 0;
    int err;

    wire_sample(CF_MSG_ATTACH, &message);
    while ((err = cf_connection_send(pair.library, &message, NULL, 0)) == CUFRAMES_OK)
        CHECK_LT(++sent, 100000);
    CHECK_EQ(err, CUFRAMES_ERR_WOULD_BLOCK);
    CHECK_STR_HAS(cuframes_last_error(), "does not read");
    while (cf_connection_receive(pair.peer, &received, fds, &fd_count, 0) == CUFRAMES_OK)
        arrived++;
    CHECK_EQ(arrived, sent);
    CHECK_OK(cf_connection_send(pair.library, &message, NULL, 0));
    close_pair(pair);
}

TEST(descriptors_with_a_message_that_takes_none_are_closed)
{
    struct pair pair = make_pair();
    int file = some_file();

    for (size_t count = 1; count <= CF_WIRE_MAX_FDS; count++) {
        send_sample(pair.peer, CF_MSG_QUERY, file, count);
        check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "descriptors");
    }
    close(file);
    close_pair(pair);
}

TEST(flood_of_descriptors_is_closed)
{
    const size_t counts[] = {CF_WIRE_MAX_FDS + 1, 130, 140, 253};
    struct pair pair = make_pair();
    int file = some_file();

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        send_sample(pair.peer, CF_MSG_ATTACHED, file, counts[i]);
        check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "more than 67");
    }
    close(file);
    close_pair(pair);
}

TEST(descriptors_that_do_not_fit_the_limit_are_closed)
{
    struct pair pair = make_pair();
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;
    int file = some_file();

    for (unsigned room = 0; room < 4; room++) {
        struct test_resources before;

        /* The list is taken before descriptors run short: taking it needs one. */
        test_resources_take(&before);
        send_sample(pair.peer, CF_MSG_ATTACHED, file, 4);
        test_limit_descriptors(room);
        CHECK_ERR_SAYS(cf_connection_receive(pair.library, &message, fds, &fd_count, 0),
                       CUFRAMES_ERR_TOO_MANY, "ulimit -n");
        test_unlimit_descriptors();
        CHECK_NO_LEAK(&before, "after descriptors ran short");
        test_resources_free(&before);
    }
    close(file);
    close_pair(pair);
}

TEST(records_that_are_no_messages_are_refused)
{
    struct pair pair = make_pair();
    uint8_t big[CF_WIRE_MAX_MESSAGE + 1] = {'C', 'U', 'F', '5', 5};
    int file = some_file();

    send_raw(pair.peer, big, sizeof(big), -1, 0);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "longer than 4096");
    send_raw(pair.peer, big, sizeof(big), file, 3);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "longer than 4096");
    send_raw(pair.peer, big, sizeof(big) - 1, file, 3);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "cut short");
    send_raw(pair.peer, "GET / HTTP/1.0\r\n", 16, -1, 0);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "text");
    send_raw(pair.peer, big, 0, file, 3);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_DISCONNECTED, "closed");
    close(file);
    close_pair(pair);
}

TEST(message_after_a_refused_one_is_read)
{
    struct pair pair = make_pair();
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;

    send_raw(pair.peer, "nonsense", 8, -1, 0);
    send_sample(pair.peer, CF_MSG_WATCH, -1, 0);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "nons");
    CHECK_OK(cf_connection_receive(pair.library, &message, fds, &fd_count, 0));
    CHECK_EQ(message.type, CF_MSG_WATCH);
    close_pair(pair);
}

/* A socket that a service manager made may be set to bring credentials along. */
TEST(credentials_as_control_data_are_ignored)
{
    struct pair pair = make_pair();
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS], on = 1;
    size_t fd_count = 0;
    int file = some_file();

    CHECK_SYS(setsockopt(pair.library, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
    send_sample(pair.peer, CF_MSG_ATTACHED, file, 4);
    CHECK_OK(cf_connection_receive(pair.library, &message, fds, &fd_count, 0));
    CHECK_EQ(fd_count, 4);
    close_fds(fds, fd_count);
    send_sample(pair.peer, CF_MSG_ATTACHED, file, CF_WIRE_MAX_FDS + 1);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_PROTOCOL, "more than 67");
    close(file);
    close_pair(pair);
}

TEST(system_calls_that_fail_are_told)
{
    struct pair pair = make_pair();
    struct cf_message message;

    test_fault_install();
    wire_sample(CF_MSG_QUERY, &message);
    test_fault_arm(TEST_FAULT_SENDMSG, 1, ENOBUFS);
    CHECK_ERR_SAYS(cf_connection_send(pair.library, &message, NULL, 0), CUFRAMES_ERR_IO,
                   "cannot send a message");
    test_fault_arm(TEST_FAULT_SENDMSG, 1, ETOOMANYREFS);
    CHECK_ERR(cf_connection_send(pair.library, &message, NULL, 0), CUFRAMES_ERR_TOO_MANY);
    test_fault_arm(TEST_FAULT_SENDMSG, 1, EINTR);
    CHECK_OK(cf_connection_send(pair.library, &message, NULL, 0));
    CHECK(test_fault_disarm());
    test_fault_arm(TEST_FAULT_RECVMSG, 1, ENOMEM);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_OUT_OF_MEMORY, "receive");
    test_fault_arm(TEST_FAULT_RECVMSG, 1, ECONNRESET);
    check_receive_fails(pair.library, 0, CUFRAMES_ERR_DISCONNECTED, "closed");
    test_fault_arm(TEST_FAULT_RECVMSG, 1, EINTR);
    CHECK_ERR(cf_connection_receive(pair.library, &message, NULL, NULL, 0),
              CUFRAMES_ERR_WOULD_BLOCK);
    CHECK(test_fault_disarm());
    close_pair(pair);
}

TEST(kernel_says_who_the_peer_is)
{
    struct pair pair = make_pair();
    struct cf_peer_credentials who;
    int file = some_file();

    CHECK_OK(cf_connection_credentials(pair.library, &who));
    CHECK_EQ(who.pid, getpid());
    CHECK_EQ(who.uid, geteuid());
    CHECK_EQ(who.gid, getegid());
    CHECK_ERR(cf_connection_credentials(file, &who), CUFRAMES_ERR_IO);
    close(file);
    close_pair(pair);
}

static void check_kind_refused(int fd, const char *words)
{
    CHECK_ERR_SAYS(cf_connection_check(fd), CUFRAMES_ERR_INVALID_ARG, words);
    close(fd);
}

TEST(only_connected_sockets_of_the_right_kind_pass)
{
    struct pair pair = make_pair();
    int stream[2];

    CHECK_OK(cf_connection_check(pair.library));
    close_pair(pair);
    CHECK_SYS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, stream));
    check_kind_refused(stream[0], "SOCK_SEQPACKET");
    close(stream[1]);
    check_kind_refused(some_file(), "not a socket");
    check_kind_refused(CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), "another kind");
    check_kind_refused(CHECK_SYS(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0)),
                       "not connected");
    CHECK_ERR_SAYS(cf_connection_check(-1), CUFRAMES_ERR_INVALID_ARG, "not open");
}
