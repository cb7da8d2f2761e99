/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Clients that mean harm, or are of another time: the publisher refuses them with a reason, leaks
 * nothing, and its other subscriber does not notice.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness/raw_client.h"
#include "harness/resources.h"
#include "support.h"

/* A publisher with an honest subscriber, and what this process had before the others came. */
struct scene {
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *honest;
    struct test_resources before;
    int64_t pts;
};

static struct scene begin_with(const cuframes_publisher_config_t *config)
{
    struct scene s = {.publisher = make_publisher(config)};

    s.honest = make_reader(config->key, CUFRAMES_MODE_STRICT_ORDER);
    settle_pages();
    test_resources_take(&s.before);
    return s;
}

static struct scene begin(void)
{
    cuframes_publisher_config_t config = small_config("cam");

    return begin_with(&config);
}

/* The honest subscriber gets every frame. */
static void check_honest(struct scene *s)
{
    for (int i = 0; i < 6; i++) {
        publish(s->publisher, s->pts);
        expect_frame(s->honest, s->pts++);
    }
    CHECK_EQ(subscriber_stats(s->honest).missed, 0U);
}

static void end(struct scene *s)
{
    check_honest(s);
    WAIT_FOR(test_count_descriptors("") <= s->before.descriptor_count, 5000);
    CHECK_NO_LEAK(&s->before, "after the clients are gone");
    test_resources_free(&s->before);
    CHECK_OK(cuframes_subscriber_destroy(s->honest));
    CHECK_OK(cuframes_publisher_destroy(s->publisher));
}

/* Sends bytes as they are; the publisher must answer PROTOCOL and hang up. */
static void check_bytes_refused(const void *bytes, size_t size)
{
    int fd = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));

    CHECK_EQ(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    CHECK_EQ(raw_receive_error(fd, NULL), CUFRAMES_ERR_PROTOCOL);
    raw_wait_hang_up(fd);
    close(fd);
}

TEST(older_clients_cannot_even_connect)
{
    struct scene s = begin();

    CHECK_EQ(raw_connect("cam", SOCK_STREAM), -1);
    CHECK_EQ(errno, EPROTOTYPE);
    end(&s);
}

TEST(garbage_is_refused)
{
    struct scene s = begin();
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    uint32_t state = 1;

    for (size_t i = 0; i < sizeof(bytes); i++) {
        state = state * 1664525 + 1013904223;
        bytes[i] = (uint8_t)(state >> 24);
    }
    for (size_t size = 1; size <= sizeof(bytes); size = size * 3 / 2 + 1)
        check_bytes_refused(bytes, size);
    check_bytes_refused("GET / HTTP/1.1\r\n\r\n", 18);
    CHECK_GT(publisher_stats(s.publisher).refused, 10U);
    end(&s);
}

TEST(another_version_is_named)
{
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_QUERY};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    char text[CF_WIRE_TEXT_SIZE];
    size_t size = cf_message_encode(&message, bytes);
    int fd = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));

    CHECK_EQ(bytes[4], CF_WIRE_VERSION);
    bytes[4] = 6;
    CHECK_EQ(send(fd, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
    CHECK_EQ(raw_receive_error(fd, text), CUFRAMES_ERR_PROTOCOL);
    CHECK_STR_HAS(text, "version");
    CHECK_STR_HAS(text, "6");
    close(fd);
    end(&s);
}

TEST(truncated_and_long_messages_are_refused)
{
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_ATTACH};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE + 1000] = {0};
    size_t size = cf_message_encode(&message, bytes);

    for (size_t cut = 1; cut < size; cut += 7)
        check_bytes_refused(bytes, cut);
    check_bytes_refused(bytes, size + 1);
    check_bytes_refused(bytes, sizeof(bytes));
    end(&s);
}

TEST(messages_out_of_order_are_refused)
{
    static const enum cf_message_type types[] = {CF_MSG_ATTACH, CF_MSG_QUERY, CF_MSG_WATCH};
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_ADOPTED};
    struct raw_client client;
    int fd = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));

    raw_send(fd, &message);
    CHECK_EQ(raw_receive_error(fd, NULL), CUFRAMES_ERR_PROTOCOL);
    close(fd);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        message = (struct cf_message){.type = types[i]};
        raw_attach(&client, "cam", "strange", CUFRAMES_MODE_NEWEST_ONLY);
        raw_send(client.socket, &message);
        CHECK_EQ(raw_receive_error(client.socket, NULL), CUFRAMES_ERR_PROTOCOL);
        raw_wait_hang_up(client.socket);
        raw_detach(&client);
    }
    /* ADOPTED is good once for each generation that was sent. */
    message = (struct cf_message){.type = CF_MSG_ADOPTED, .adopted.generation = 1};
    raw_attach(&client, "cam", "strange", CUFRAMES_MODE_NEWEST_ONLY);
    raw_send(client.socket, &message);
    raw_send(client.socket, &message);
    CHECK_EQ(raw_receive_error(client.socket, NULL), CUFRAMES_ERR_PROTOCOL);
    raw_detach(&client);
    end(&s);
}

TEST(descriptors_from_a_client_are_refused_and_closed)
{
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_ATTACH};
    int fds[CF_WIRE_MAX_FDS];

    for (int i = 0; i < CF_WIRE_MAX_FDS; i++)
        fds[i] = CHECK_SYS(open("/dev/zero", O_RDONLY | O_CLOEXEC));
    for (size_t count = 1; count <= CF_WIRE_MAX_FDS; count++) {
        int fd = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));

        if (cf_connection_send(fd, &message, fds, count) == CUFRAMES_OK) {
            CHECK_EQ(raw_receive_error(fd, NULL), CUFRAMES_ERR_PROTOCOL);
            raw_wait_hang_up(fd);
        }
        close(fd);
    }
    for (int i = 0; i < CF_WIRE_MAX_FDS; i++)
        close(fds[i]);
    end(&s);
}

/* A TCP connection with bytes that nobody takes, and which whoever closes it last must wait for. */
static int slow_to_close(int *listener)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 30};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    static const char bytes[65536];
    int fd = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

    *listener = CHECK_SYS(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK_SYS(bind(*listener, (struct sockaddr *)&address, size));
    CHECK_SYS(listen(*listener, 1));
    CHECK_SYS(getsockname(*listener, (struct sockaddr *)&address, &size));
    CHECK_SYS(connect(fd, (struct sockaddr *)&address, size));
    while (send(fd, bytes, sizeof(bytes), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
        ;
    CHECK_SYS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    return fd;
}

TEST(descriptors_that_are_slow_to_close_hold_nobody_up, .timeout_s = 60)
{
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_ATTACH};
    int socket = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET)), listener;
    int fd = slow_to_close(&listener);
    int err = cf_connection_send(socket, &message, &fd, 1);
    int64_t began = cuframes_now_ns();
    cuframes_subscriber_t *other;

    /* Let go of without a wait: by the reset that the listener's end sends. */
    if (err == CUFRAMES_OK) {
        close(listener);
        close(fd);
        close(socket);
        end(&s);
        SKIP("this kernel lets descriptors in (Linux 6.16 and later can refuse them)");
    }
    other = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    CHECK_LT(cuframes_now_ns() - began, INT64_C(10000000000));
    cuframes_subscriber_destroy(other);
    close(listener);
    close(fd);
    close(socket);
    end(&s);
}

TEST(clients_that_ask_and_run_leave_nothing)
{
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_ATTACH};

    for (int i = 0; i < 200; i++) {
        int fd = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));

        message.type = i % 3 == 0 ? CF_MSG_QUERY : CF_MSG_ATTACH;
        if (i % 4 != 3)
            raw_send(fd, &message);
        close(fd);
    }
    WAIT_FOR(publisher_stats(s.publisher).subscribers == 1, 5000);
    end(&s);
}

TEST(silent_connections_do_not_keep_others_out, .timeout_s = 40)
{
    struct scene s = begin();
    int fds[300];

    for (int i = 0; i < 300; i++) {
        fds[i] = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));
        if (i % 50 == 49)
            cuframes_subscriber_destroy(make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY));
    }
    check_honest(&s);
    /* The last one is told in the end that it has said nothing for too long. */
    CHECK_EQ(raw_receive_error(fds[299], NULL), CUFRAMES_ERR_TIMEOUT);
    for (int i = 0; i < 300; i++) {
        raw_wait_hang_up(fds[i]);
        close(fds[i]);
    }
    end(&s);
}

TEST(flood_of_connections_is_let_in_at_a_bounded_rate)
{
    /* What is let in at once, and what the kernel keeps; of the others 10000 a second. */
    enum { AT_ONCE = 512, QUEUE = 1024 + 1, REST = 3000, COUNT = AT_ONCE + QUEUE + REST };
    struct scene s = begin();
    const int64_t start = cuframes_now_ns();

    for (int i = 0; i < COUNT; i++)
        close(CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET)));
    CHECK_GE(cuframes_now_ns() - start, REST * INT64_C(100000) - 4000000);
    cuframes_subscriber_destroy(make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY));
    check_honest(&s);
    end(&s);
}

TEST(watchers_do_not_keep_others_out)
{
    struct scene s = begin();
    struct cf_message message = {.type = CF_MSG_WATCH};
    int fds[300];

    for (int i = 0; i < 300; i++) {
        fds[i] = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));
        raw_send(fds[i], &message);
    }
    cuframes_subscriber_destroy(make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY));
    for (int i = 0; i < 300; i++)
        close(fds[i]);
    end(&s);
}

TEST(subscriber_that_reads_no_message_costs_nothing)
{
    struct scene s = begin();
    struct raw_client client;

    raw_attach(&client, "cam", "deaf", CUFRAMES_MODE_NEWEST_ONLY);
    for (int i = 0; i < 200; i++) {
        cuframes_publisher_config_t config = small_config(NULL);

        config.width = 32 + i % 7;
        CHECK_OK(cuframes_publisher_reconfigure(s.publisher, &config));
        publish(s.publisher, s.pts);
        expect_frame(s.honest, s.pts++);
    }
    CHECK_EQ(publisher_stats(s.publisher).subscribers, 2U);
    raw_detach(&client);
    WAIT_FOR(publisher_stats(s.publisher).subscribers == 1, 5000);
    check_honest(&s);
    cuframes_subscriber_destroy(s.honest);
    cuframes_publisher_destroy(s.publisher);
    test_resources_free(&s.before);
}

TEST(nonsense_in_a_hold_page_harms_nobody)
{
    struct scene s = begin();
    cuframes_subscriber_info_t list[4];
    struct raw_client client;

    raw_attach(&client, "cam", "wild", CUFRAMES_MODE_STRICT_ORDER);
    for (unsigned byte = 0; byte < 256; byte += 51) {
        /* The word that says that the page is revoked is the publisher's; it may have any value. */
        memset(client.holds.addr, (int)byte, client.holds.size);
        memset((void *)raw_page(&client)->holds, 0, sizeof(raw_page(&client)->holds));
        check_honest(&s);
        CHECK_EQ(cuframes_publisher_subscribers(s.publisher, list, 4), 2);
        publisher_stats(s.publisher);
    }
    raw_detach(&client);
    WAIT_FOR(publisher_stats(s.publisher).subscribers == 1, 5000);
    end(&s);
}

TEST(claiming_every_slot_ends_the_one_who_does)
{
    struct scene s = begin();
    struct raw_client client;
    int dropped = 0;

    raw_attach(&client, "cam", "greedy", CUFRAMES_MODE_NEWEST_ONLY);
    for (int i = 100; i < 104; i++) {
        publish(s.publisher, i);
        expect_frame(s.honest, i);
    }
    for (int i = 0; i < CUFRAMES_MAX_SLOTS; i++)
        raw_page(&client)->holds[i] = 1;
    for (int i = 0; i < 100; i++) {
        cuframes_buffer_t *buffer;
        int err = cuframes_publisher_acquire_buffer(s.publisher, &buffer);

        if (!err)
            cuframes_buffer_unref(buffer);
        else
            CHECK_EQ(err, CUFRAMES_ERR_WOULD_BLOCK);
        dropped += err != 0;
    }
    CHECK_EQ(dropped, 0);
    CHECK_EQ(raw_receive_error(client.socket, NULL), CUFRAMES_ERR_PROTOCOL);
    raw_wait_hang_up(client.socket);
    raw_detach(&client);
    s.pts = 200;
    end(&s);
}

TEST(a_page_that_is_never_up_to_date_is_evicted_under_the_wait_policy)
{
    cuframes_publisher_config_t config = small_config("cam");
    struct raw_client client;
    struct scene s;

    config.policy = CUFRAMES_POLICY_STRICT_WAIT;
    config.consumer_ack_timeout_ms = 50;
    s = begin_with(&config);
    raw_attach(&client, "cam", "lazy", CUFRAMES_MODE_STRICT_ORDER);
    check_honest(&s);
    CHECK_EQ(publisher_stats(s.publisher).evicted, 1U);
    CHECK_EQ(raw_receive_error(client.socket, NULL), CUFRAMES_ERR_EVICTED);
    raw_detach(&client);
    /* One that claims to be far ahead, and holds nothing, is not waited for. */
    raw_attach(&client, "cam", "ahead", CUFRAMES_MODE_STRICT_ORDER);
    raw_page(&client)->cursor = UINT64_MAX;
    check_honest(&s);
    CHECK_EQ(publisher_stats(s.publisher).evicted, 1U);
    raw_detach(&client);
    WAIT_FOR(publisher_stats(s.publisher).subscribers == 1, 5000);
    end(&s);
}

/* ---- memory ---- */

/* Signal that ends a child which writes one byte at `address`; 0 if it lives. */
static int signal_of_write(const void *address)
{
    pid_t pid = CHECK_SYS(fork());
    int status;

    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler would turn it into an exit */
        *(volatile uint8_t *)(uintptr_t)address = 1;
        _exit(0);
    }
    CHECK_SYS(waitpid(pid, &status, 0));
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(writing_through_a_frame_faults)
{
    struct scene s = begin();
    cuframes_frame_t *frame;
    const char user[] = "detections";
    cuframes_frame_meta_t meta = {.user_data = user, .user_size = sizeof(user)};

    publish_with(s.publisher, &meta);
    frame = take_frame(s.honest);
    CHECK_EQ(signal_of_write(cuframes_frame_data(frame)), SIGSEGV);
    CHECK_EQ(signal_of_write(cuframes_frame_cuda_ptr(frame)), SIGSEGV);
    CHECK_EQ(signal_of_write(cuframes_frame_user_data(frame, NULL)), SIGSEGV);
    check_pattern(frame);
    cuframes_frame_release(frame);
    end(&s);
}

/* What was sent cannot be mapped for writing, written, resized or punched, opened again or not. */
static void check_sealed(int fd)
{
    CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED);
    CHECK_EQ(pwrite(fd, "x", 1, 0), -1);
    CHECK_EQ(ftruncate(fd, 4096), -1);
    CHECK_EQ(ftruncate(fd, 1 << 24), -1);
    CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
}

TEST(what_a_subscriber_is_sent_cannot_be_made_writable)
{
    struct scene s = begin();
    struct raw_client client;

    raw_attach(&client, "cam", "curious", CUFRAMES_MODE_NEWEST_ONLY);
    for (int i = CF_FD_CONTROL; i <= CF_FD_FRAMES; i++) {
        char path[64];
        int again;

        check_sealed(client.fds[i]);
        snprintf(path, sizeof(path), "/proc/self/fd/%d", client.fds[i]);
        again = CHECK_SYS(open(path, O_RDWR | O_CLOEXEC));
        check_sealed(again);
        close(again);
    }
    CHECK_EQ(ftruncate(client.fds[CF_FD_HOLDS], 0), -1);
    CHECK_EQ(mprotect(client.frames.addr, 4096, PROT_READ | PROT_WRITE), -1);
    CHECK_EQ(signal_of_write(client.control.addr), SIGSEGV);
    CHECK_EQ(signal_of_write(client.frames.addr), SIGSEGV);
    CHECK_EQ(signal_of_write(client.holds.addr), 0);
    raw_detach(&client);
    end(&s);
}
