/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishers that mean harm, or are of another time. The publisher here is made by hand, in a
 * process of its own; the subscriber is the library's, and must refuse with a reason, leak nothing,
 * and neither crash nor hang.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness/raw_client.h"
#include "harness/resources.h"
#include "memory/kinds.h"
#include "ring/writer.h"
#include "support.h"

#define SLOTS 4

/* What an attaching subscriber is sent. */
struct answer {
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count;
    struct cf_map control, holds;
    struct cf_ring_writer writer;
    struct cf_memory *memory;
};

/* How one test spoils it. Exactly one of these is set. */
struct plot {
    void (*spoil)(struct answer *answer);              /* before it is sent */
    void (*spoil_bytes)(uint8_t *bytes, size_t *size); /* after it was encoded */
    void (*afterwards)(struct answer *answer, int socket);
};

static struct cf_ring_header *header_of(struct answer *a)
{
    return a->control.addr;
}

static void describe(struct cf_msg_attached *body, uint32_t generation)
{
    *body = (struct cf_msg_attached){
        .info = {.key = "cam",
                 .format = CUFRAMES_FORMAT_GRAYSCALE,
                 .width = 64,
                 .height = 48,
                 .memory = CUFRAMES_MEMORY_HOST,
                 .slots = SLOTS,
                 .generation = generation,
                 .ack_timeout_ms = 200,
                 .max_holds = 2},
        .name = "reader",
        .max_holds = 2,
        .slot_stride = 4096,
        .memory_count = 1,
        .frames_size = 4096 * SLOTS,
        .control_size = cf_page_round(cf_ring_size(SLOTS)),
    };
    CHECK_OK(cuframes_layout_init(&body->info.layout, CUFRAMES_FORMAT_GRAYSCALE, 64, 48, 0));
}

/* An honest answer, with one frame in the ring. */
static void make_answer(struct answer *a, uint32_t generation)
{
    static const struct cf_ring_peers nobody;
    struct cf_ring_meta meta = {.pts_ns = 7, .crop = {0, 0, 64, 48}};
    struct cf_ring_blocker blocker;
    uint32_t slot;

    *a = (struct answer){.message.type = CF_MSG_ATTACHED, .fd_count = 3};
    describe(&a->message.attached, generation);
    CHECK_OK(cf_shm_create("cuframes-control", cf_ring_size(SLOTS), CF_SHM_MAKER_WRITES,
                           &a->fds[CF_FD_CONTROL], &a->control));
    CHECK_OK(cf_host_create(4096 * SLOTS, &a->memory));
    a->fds[CF_FD_FRAMES] = CHECK_SYS(dup(a->memory->fd));
    CHECK_OK(cf_shm_create("cuframes-holds", sizeof(struct cf_hold_page), CF_SHM_PEER_WRITES,
                           &a->fds[CF_FD_HOLDS], &a->holds));
    cf_writer_init(&a->writer, header_of(a), SLOTS, generation);
    cf_writer_start(&a->writer, 0);
    slot = cf_writer_acquire(&a->writer, &nobody, false, &blocker);
    fill_pattern((uint8_t *)a->memory->base + slot * 4096, 64 * 48, 7);
    cf_writer_publish(&a->writer, &nobody, slot, &meta);
}

static void send_answer(int socket, const struct plot *plot, struct answer *a)
{
    uint8_t bytes[CF_WIRE_MAX_MESSAGE + 64];
    size_t size;
    struct iovec part = {.iov_base = bytes};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * CF_WIRE_MAX_FDS)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    struct cmsghdr *head = &control.align;

    size = cf_message_encode(&a->message, bytes);
    if (plot->spoil_bytes)
        plot->spoil_bytes(bytes, &size);
    part.iov_len = size;
    if (a->fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * a->fd_count);
        head->cmsg_level = SOL_SOCKET;
        head->cmsg_type = SCM_RIGHTS;
        head->cmsg_len = CMSG_LEN(sizeof(int) * a->fd_count);
        memcpy(CMSG_DATA(head), a->fds, sizeof(int) * a->fd_count);
    }
    CHECK_SYS(sendmsg(socket, &message, MSG_NOSIGNAL));
}

/* Answers one subscriber as the plot says, then waits for the test to end it. */
static void run_plot(struct test_peer *test, void *argument)
{
    const struct plot *plot = argument;
    int listener = raw_listen("cam", SOCK_SEQPACKET), socket;
    struct cf_message asked;
    struct answer a;

    test_say(test, 0);
    socket = CHECK_SYS(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    CHECK_OK(raw_receive(socket, &asked, NULL, NULL));
    CHECK_EQ(asked.type, CF_MSG_ATTACH);
    make_answer(&a, 1);
    if (plot->spoil)
        plot->spoil(&a);
    send_answer(socket, plot, &a);
    if (plot->afterwards)
        plot->afterwards(&a, socket);
    test_hear_end(test);
}

static void spawn_plot(struct test_peer *peer, const struct plot *plot)
{
    struct plot copy = *plot;

    unlink(test_runtime_path("cam.sock"));
    test_spawn(peer, run_plot, &copy, NULL);
    CHECK_HEAR(peer, 0);
    test_may_remain("cam.sock");
}

/* The subscriber refuses what it was sent. */
static void check_refused(const struct plot *plot)
{
    cuframes_subscriber_config_t config = reader_config("cam", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_subscriber_t *reader = NULL;
    struct test_resources before;
    struct test_peer peer;

    spawn_plot(&peer, plot);
    test_resources_take(&before);
    config.connect_timeout_ms = 5000;
    CHECK_ERR(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_PROTOCOL);
    CHECK(*cuframes_last_error());
    CHECK(!reader);
    CHECK_NO_LEAK(&before, "after a refused publisher");
    test_resources_free(&before);
    test_join(&peer);
}

static void change_nothing(struct answer *a)
{
    (void)a;
}

TEST(publisher_made_by_hand_is_understood)
{
    struct plot plot = {.spoil = change_nothing};
    cuframes_subscriber_t *reader;
    struct test_peer peer;

    spawn_plot(&peer, &plot);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    expect_frame(reader, 7);
    EXPECT_NOTHING(reader);
    test_kill(&peer);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
}

/* ---- what comes with the answer ---- */

static void replace_fd(struct answer *a, int index, int seals, off_t size)
{
    int fd = CHECK_SYS(memfd_create("cuframes-bad", MFD_CLOEXEC | MFD_ALLOW_SEALING));

    CHECK_SYS(ftruncate(fd, size));
    CHECK_SYS(fcntl(fd, F_ADD_SEALS, seals));
    close(a->fds[index]);
    a->fds[index] = fd;
}

#define GOOD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

static void unsealed_control(struct answer *a)
{
    replace_fd(a, CF_FD_CONTROL, 0, (off_t)a->message.attached.control_size);
}

static void unsealed_frames(struct answer *a)
{
    replace_fd(a, CF_FD_FRAMES, F_SEAL_GROW | F_SEAL_FUTURE_WRITE, 4096 * SLOTS);
}

static void unsealed_holds(struct answer *a)
{
    replace_fd(a, CF_FD_HOLDS, 0, 4096);
}

static void small_control(struct answer *a)
{
    replace_fd(a, CF_FD_CONTROL, GOOD_SEALS, 4096);
}

static void small_frames(struct answer *a)
{
    replace_fd(a, CF_FD_FRAMES, GOOD_SEALS, 4096 * (SLOTS - 1));
}

static void empty_holds(struct answer *a)
{
    replace_fd(a, CF_FD_HOLDS, F_SEAL_SHRINK | F_SEAL_GROW, 0);
}

static void no_memory_at_all(struct answer *a)
{
    close(a->fds[CF_FD_FRAMES]);
    a->fds[CF_FD_FRAMES] = CHECK_SYS(open("/dev/zero", O_RDWR | O_CLOEXEC));
}

static void too_few_descriptors(struct answer *a)
{
    a->fd_count = 2;
}

static void no_descriptors(struct answer *a)
{
    a->fd_count = 0;
}

static void too_many_descriptors(struct answer *a)
{
    for (; a->fd_count < CF_WIRE_MAX_FDS; a->fd_count++)
        a->fds[a->fd_count] = CHECK_SYS(dup(a->fds[0]));
}

static void wrong_magic(struct answer *a)
{
    header_of(a)->magic++;
}

static void wrong_slot_count(struct answer *a)
{
    header_of(a)->slot_count = SLOTS + 1;
}

static void wrong_generation(struct answer *a)
{
    header_of(a)->generation = 99;
}

TEST(descriptors_that_are_not_what_they_should_be_are_refused, .timeout_s = 40)
{
    static void (*const plots[])(struct answer *) = {
        unsealed_control, unsealed_frames,      unsealed_holds,   small_control,
        small_frames,     empty_holds,          no_memory_at_all, too_few_descriptors,
        no_descriptors,   too_many_descriptors, wrong_magic,      wrong_slot_count,
        wrong_generation,
    };

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++)
        check_refused(&(struct plot){.spoil = plots[i]});
}

/* ---- other bytes than an answer ---- */

static void all_ones(uint8_t *bytes, size_t *size)
{
    memset(bytes, 0xff, *size);
}

static void one_byte(uint8_t *bytes, size_t *size)
{
    (void)bytes;
    *size = 1;
}

static void half(uint8_t *bytes, size_t *size)
{
    (void)bytes;
    *size /= 2;
}

static void other_version(uint8_t *bytes, size_t *size)
{
    (void)size;
    bytes[4] = 4;
}

static void longer_than_any_message(uint8_t *bytes, size_t *size)
{
    memset(bytes + *size, 0, CF_WIRE_MAX_MESSAGE + 64 - *size);
    *size = CF_WIRE_MAX_MESSAGE + 64;
}

TEST(bytes_that_are_no_answer_are_refused)
{
    static void (*const plots[])(uint8_t *, size_t *) = {all_ones, one_byte, half, other_version,
                                                         longer_than_any_message};

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++)
        check_refused(&(struct plot){.spoil_bytes = plots[i]});
}

static void say_generation(struct answer *a)
{
    a->message.type = CF_MSG_GENERATION;
}

static void say_report(struct answer *a)
{
    struct cf_msg_attached attached = a->message.attached;

    a->message = (struct cf_message){.type = CF_MSG_REPORT, .report.info = attached.info};
    a->fd_count = 0;
}

TEST(answers_to_another_question_are_refused)
{
    check_refused(&(struct plot){.spoil = say_generation});
    check_refused(&(struct plot){.spoil = say_report});
}

/* ---- a ring that contradicts itself ---- */

/* Reads until there is an error. Before the contradiction there can be a frame that is right. */
static int read_on(cuframes_subscriber_t *reader)
{
    cuframes_frame_t *frame;
    int err;

    while ((err = cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms())) == 0) {
        check_pattern(frame);
        cuframes_frame_release(frame);
    }
    return err;
}

static void check_ring_refused(const struct plot *plot, int mode)
{
    cuframes_subscriber_t *reader;
    struct test_resources before;
    struct test_peer peer;

    test_resources_take(&before);
    spawn_plot(&peer, plot);
    reader = make_reader("cam", mode);
    CHECK_EQ(read_on(reader), CUFRAMES_ERR_PROTOCOL);
    CHECK(*cuframes_last_error());
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    test_join(&peer);
    CHECK_NO_LEAK(&before, "after a ring that contradicts itself");
    test_resources_free(&before);
}

static void newest_in_no_slot(struct answer *a)
{
    header_of(a)->newest = cf_ref_make(0, 63);
    header_of(a)->slots[0].seq = CF_SEQ_INVALID;
}

static void newest_that_is_not_there(struct answer *a)
{
    header_of(a)->newest = cf_ref_make(1000, 1);
    header_of(a)->index[1000 % CF_INDEX_SIZE] = cf_ref_make(1000, 1);
}

static void user_data_without_end(struct answer *a)
{
    header_of(a)->slots[0].user_size = UINT32_MAX;
}

static void crop_outside(struct answer *a)
{
    header_of(a)->slots[0].crop[0] = INT32_MAX;
}

static void crop_negative(struct answer *a)
{
    header_of(a)->slots[0].crop[2] = INT32_MIN;
}

static void clock_of_nobody(struct answer *a)
{
    header_of(a)->slots[0].capture_source = 1000;
}

static void range_of_nothing(struct answer *a)
{
    header_of(a)->slots[0].color[3] = 200;
}

TEST(ring_that_contradicts_itself_ends_the_subscription, .timeout_s = 60)
{
    static void (*const plots[])(struct answer *) = {
        newest_in_no_slot, newest_that_is_not_there, user_data_without_end, crop_outside,
        crop_negative,     clock_of_nobody,          range_of_nothing,
    };

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++) {
        check_ring_refused(&(struct plot){.spoil = plots[i]}, CUFRAMES_MODE_NEWEST_ONLY);
        check_ring_refused(&(struct plot){.spoil = plots[i]}, CUFRAMES_MODE_STRICT_ORDER);
    }
}

static void ended_ring_without_an_end(struct answer *a)
{
    header_of(a)->state = 77;
}

TEST(ring_that_says_it_ended_makes_nobody_hang)
{
    struct plot plot = {.spoil = ended_ring_without_an_end};
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    struct test_peer peer;

    spawn_plot(&peer, &plot);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    expect_frame(reader, 7);
    CHECK_ERR(cuframes_subscriber_next(reader, NULL, &frame, 100), CUFRAMES_ERR_TIMEOUT);
    EXPECT_NOTHING(reader);
    cuframes_subscriber_destroy(reader);
    test_join(&peer);
}

/* ---- what comes afterwards ---- */

static void send_bad_generation(struct answer *a, int socket)
{
    struct plot honest = {.spoil = change_nothing};
    struct cf_ring_peers nobody = {0};
    struct answer next;

    make_answer(&next, 2);
    next.message.type = CF_MSG_GENERATION;
    replace_fd(&next, CF_FD_FRAMES, 0, 4096 * SLOTS);
    cf_writer_end(&a->writer, &nobody, CF_RING_SUPERSEDED);
    send_answer(socket, &honest, &next);
}

static void send_second_answer(struct answer *a, int socket)
{
    struct plot honest = {.spoil = change_nothing};
    struct cf_ring_peers nobody = {0};

    cf_writer_end(&a->writer, &nobody, CF_RING_SUPERSEDED);
    send_answer(socket, &honest, a);
}

static void check_ends_after_first_frame(const struct plot *plot, int error)
{
    cuframes_subscriber_t *reader;
    cuframes_frame_t *frame;
    struct test_resources before;
    struct test_peer peer;

    test_resources_take(&before);
    spawn_plot(&peer, plot);
    reader = make_reader("cam", CUFRAMES_MODE_NEWEST_ONLY);
    frame = take_frame(reader);
    EXPECT_ERROR(reader, error);
    EXPECT_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    check_pattern(frame);
    cuframes_frame_release(frame);
    cuframes_subscriber_destroy(reader);
    test_join(&peer);
    CHECK_NO_LEAK(&before, "after a bad message");
    test_resources_free(&before);
}

TEST(bad_generation_ends_the_subscription)
{
    check_ends_after_first_frame(&(struct plot){.afterwards = send_bad_generation},
                                 CUFRAMES_ERR_PROTOCOL);
    check_ends_after_first_frame(&(struct plot){.afterwards = send_second_answer},
                                 CUFRAMES_ERR_PROTOCOL);
}

static void send_goodbye(struct answer *a, int socket)
{
    struct cf_message message = {.type = CF_MSG_ERROR,
                                 .error = {.error = CUFRAMES_ERR_TOO_MANY, .text = "go away"}};

    (void)a;
    raw_send(socket, &message);
}

TEST(publishers_words_reach_the_program)
{
    check_ends_after_first_frame(&(struct plot){.afterwards = send_goodbye}, CUFRAMES_ERR_TOO_MANY);
}

/* ---- peers of another time ---- */

TEST(older_publisher_is_named)
{
    cuframes_subscriber_config_t config = reader_config("old", CUFRAMES_MODE_NEWEST_ONLY);
    cuframes_publisher_config_t own = small_config("old");
    int listener = raw_listen("old", SOCK_STREAM);
    cuframes_subscriber_t *reader = NULL;
    cuframes_publisher_t *publisher = NULL;
    cuframes_channel_report_t *report = NULL;

    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_PROTOCOL, "older");
    config.connect_timeout_ms = 5000;
    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_PROTOCOL, "older");
    CHECK_ERR_SAYS(cuframes_query(NULL, "old", 1000, &report), CUFRAMES_ERR_PROTOCOL, "older");
    CHECK_ERR_SAYS(cuframes_publisher_create(&own, &publisher), CUFRAMES_ERR_ALREADY_EXISTS,
                   "older");
    /* One that is dead is replaced. */
    close(listener);
    CHECK_ERR(cuframes_subscriber_create(&(cuframes_subscriber_config_t){.key = "old"}, &reader),
              CUFRAMES_ERR_NOT_FOUND);
    cuframes_publisher_destroy(make_publisher(&own));
}

static void check_silence(const cuframes_subscriber_config_t *config, int64_t least_ms,
                          int64_t most_ms)
{
    cuframes_subscriber_t *reader = NULL;
    int64_t began = cuframes_now_ns(), took_ms;

    CHECK_ERR_SAYS(cuframes_subscriber_create(config, &reader), CUFRAMES_ERR_TIMEOUT,
                   "\"mute\" does not answer");
    took_ms = (cuframes_now_ns() - began) / 1000000;
    CHECK_GE(took_ms, least_ms);
    CHECK_LT(took_ms, most_ms);
}

TEST(publisher_that_does_not_answer)
{
    cuframes_subscriber_config_t config = reader_config("mute", CUFRAMES_MODE_NEWEST_ONLY);
    int listener = raw_listen("mute", SOCK_SEQPACKET);
    cuframes_channel_report_t *report = NULL;

    config.connect_timeout_ms = 100;
    check_silence(&config, 100, 2000);
    CHECK_ERR_SAYS(cuframes_query(NULL, "mute", 100, &report), CUFRAMES_ERR_TIMEOUT,
                   "does not answer");
    /* Without a wait, too, it has a moment. */
    config.connect_timeout_ms = 0;
    check_silence(&config, 900, 3000);
    /* Whatever may be waited for one to come. */
    config.connect = &(cuframes_connect_options_t){.answer_timeout_ms = 50};
    check_silence(&config, 50, 900);
    config.connect_timeout_ms = -1;
    check_silence(&config, 50, 900);
    close(listener);
    test_may_remain("mute.sock");
}

/* Its queue is full: nobody comes even so far as to be heard. */
TEST(publisher_that_takes_no_connection)
{
    cuframes_subscriber_config_t config = reader_config("mute", CUFRAMES_MODE_NEWEST_ONLY);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = raw_listen("mute", SOCK_SEQPACKET);
    int waiting[8];

    CHECK_SYS(listen(listener, 0));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", test_runtime_path("mute.sock"));
    for (size_t i = 0; i < 8; i++) {
        waiting[i] = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK_SYS(waiting[i]);
        connect(waiting[i], (struct sockaddr *)&address, sizeof(address));
    }
    check_silence(&config, 900, 3000);
    config.connect_timeout_ms = 100;
    check_silence(&config, 100, 900);
    for (size_t i = 0; i < 8; i++)
        close(waiting[i]);
    close(listener);
    test_may_remain("mute.sock");
}

static int stop_at_the_third(void *user)
{
    int *asked = user;

    return ++*asked >= 3;
}

TEST(a_wait_for_a_publisher_can_be_ended)
{
    cuframes_subscriber_config_t config = reader_config("mute", CUFRAMES_MODE_NEWEST_ONLY);
    int asked = 0;
    cuframes_connect_options_t connect = {.stop = stop_at_the_third, .user = &asked};
    cuframes_subscriber_t *reader = NULL;
    int listener;

    /* For one to come. */
    config.connect_timeout_ms = -1;
    config.connect = &connect;
    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_WOULD_BLOCK, "ended");
    CHECK_EQ(asked, 3);
    /* And for its answer: over one connection, however often is asked. */
    listener = raw_listen("mute", SOCK_SEQPACKET);
    asked = 0;
    CHECK_ERR_SAYS(cuframes_subscriber_create(&config, &reader), CUFRAMES_ERR_WOULD_BLOCK, "ended");
    CHECK_EQ(asked, 3);
    close(CHECK_SYS(accept4(listener, NULL, NULL, SOCK_CLOEXEC)));
    CHECK_SYS(fcntl(listener, F_SETFL, O_NONBLOCK));
    CHECK_EQ(accept(listener, NULL, NULL), -1);
    CHECK(!reader);
    close(listener);
    test_may_remain("mute.sock");
}
