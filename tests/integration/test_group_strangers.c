/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups: peers that are not of the group, and members that misbehave. Nobody but a misbehaving
 * member's own group is harmed, and that is told who it was.
 */
#include "harness/harness.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "group_ranks.h"
#include "harness/limits.h"
#include "harness/raw_client.h"
#include "harness/resources.h"
#include "wire/group_message.h"
#include "wire/record.h"

#define KEY "g:group"

static bool is_there(void)
{
    return access(test_runtime_path(KEY ".sock"), F_OK) == 0;
}

static int connect_raw(void)
{
    int fd;

    WAIT_FOR((fd = raw_connect(KEY, SOCK_SEQPACKET)) >= 0, 5000);
    return fd;
}

static void send_fds(int socket, struct cf_group_message message, const int *fds, size_t count)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    cf_group_message_encode(&message, bytes);
    CHECK_OK(cf_record_send(socket, bytes, sizeof(bytes), fds, count));
}

static void send_message(int socket, struct cf_group_message message)
{
    send_fds(socket, message, NULL, 0);
}

/* The next message of the hub; its descriptors are closed. */
static struct cf_group_message receive_message(int socket)
{
    struct cf_group_message message;
    struct cf_record record;

    CHECK_OK(
        cf_record_receive(socket, &record, CF_RECORD_MAX_FDS, cf_deadline(test_patience_ms())));
    CHECK_OK(cf_group_message_decode(record.bytes, record.size, record.fd_count, &message));
    cf_record_close_fds(&record);
    return message;
}

static void expect_error(int socket, int error, const char *words)
{
    struct cf_group_message message = receive_message(socket);

    CHECK_EQ(message.type, CF_GROUP_ERROR);
    CHECK_EQ(message.error, error);
    CHECK_STR_HAS(message.text, words);
}

/* The hub hangs up on a stranger; what it said before is read. */
static void expect_hang_up(int socket)
{
    const int64_t deadline = cf_deadline(test_patience_ms());
    struct cf_record record;
    int err;

    while ((err = cf_record_receive(socket, &record, CF_RECORD_MAX_FDS, deadline)) == CUFRAMES_OK)
        cf_record_close_fds(&record);
    CHECK_EQ(err, CUFRAMES_ERR_DISCONNECTED);
    close(socket);
}

/* ---- before the start: a group of two, whose second rank comes after the strangers ---- */

/* The rank whose process has the hub: what strangers sent must leave nothing in it. */
static void be_first(struct test_peer *test, void *argument)
{
    struct test_resources before;
    cuframes_group_t *group;
    char byte = 'x', all[2];

    (void)argument;
    test_resources_take(&before);
    group = join("g", 0, 2);
    CHECK_OK(cuframes_group_all_gather(group, &byte, 1, all, TIMEOUT_MS));
    CHECK_EQ(cuframes_group_broken_rank(group), -1);
    /* A hub that was sent descriptors before it let in the second has closed them. */
    CHECK_EQ(test_count_descriptors("stranger"), 0);
    test_say(test, 1);
    CHECK_HEAR(test, 2);
    /* Those that came since are closed as soon as the hub has looked at them. */
    WAIT_FOR(test_count_descriptors("stranger") == 0, test_patience_ms());
    cuframes_group_destroy(group);
    CHECK_NO_LEAK(&before, "after a group with strangers");
    test_resources_free(&before);
}

static void among_strangers(void (*misbehave)(void))
{
    struct test_peer first;
    cuframes_group_t *group;
    char byte = 'x', all[2];

    test_spawn(&first, be_first, NULL, NULL);
    WAIT_FOR(is_there(), 5000);
    misbehave();
    group = join("g", 1, 2);
    CHECK_OK(cuframes_group_all_gather(group, &byte, 1, all, TIMEOUT_MS));
    CHECK_HEAR(&first, 1);
    /* Also while it runs. */
    misbehave();
    CHECK_EQ(cuframes_group_broken_rank(group), -1);
    test_say(&first, 2);
    test_join(&first);
    cuframes_group_destroy(group);
}

/* A stranger that is silent stays connected until the test ends, or the hub has had enough. */
static void be_silent(void)
{
    static int sockets[400];
    static int count;

    for (int i = 0; i < 200; i++)
        sockets[count++] = connect_raw();
    if (count < 400)
        return;
    for (int i = 0; i < 400; i++)
        close(sockets[i]);
}

TEST(two_hundred_silent_connections_do_not_keep_a_group_from_coming_about)
{
    among_strangers(be_silent);
}

static void send_garbage(void)
{
    static uint8_t bytes[60000];
    const size_t sizes[] = {1, 7, 16, 100, CF_GROUP_MESSAGE_SIZE, 4000, sizeof(bytes)};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        int socket = connect_raw();

        for (size_t k = 0; k < sizes[i]; k++)
            bytes[k] = (uint8_t)(k * 7 + i);
        CHECK_EQ(send(socket, bytes, sizes[i], MSG_NOSIGNAL), (ssize_t)sizes[i]);
        expect_error(socket, CUFRAMES_ERR_PROTOCOL, "");
        expect_hang_up(socket);
    }
}

TEST(garbage_is_refused)
{
    among_strangers(send_garbage);
}

#define NOISE 40

static atomic_int refusals_said;
static atomic_int refusals_counted;

static void count_refusals(cuframes_log_level_t level, const char *message, void *user)
{
    unsigned long long more;

    (void)level, (void)user;
    if (strstr(message, "refusing a connection"))
        atomic_fetch_add(&refusals_said, 1);
    if (sscanf(message, "group: %llu more connections were refused", &more) == 1)
        atomic_fetch_add(&refusals_counted, (int)more);
}

static void be_noisy_and_join(struct test_peer *test, void *argument)
{
    (void)test, (void)argument;
    for (int i = 0; i < NOISE; i++) {
        int socket = connect_raw();

        CHECK_EQ(send(socket, "x", 1, MSG_NOSIGNAL), 1);
        expect_error(socket, CUFRAMES_ERR_PROTOCOL, "");
        expect_hang_up(socket);
    }
    cuframes_group_destroy(join("g", 1, 2));
}

/* Whoever tries again and again fills no log, and none of it is kept quiet. */
TEST(refusals_are_said_a_few_times_and_then_counted)
{
    struct test_peer peer;

    test_spawn(&peer, be_noisy_and_join, NULL, NULL);
    cuframes_set_log_callback(count_refusals, NULL, CUFRAMES_LOG_INFO);
    /* The other one waits for a hub: it is here. */
    cuframes_group_destroy(join("g", 0, 2));
    test_join(&peer);
    cuframes_set_log_callback(NULL, NULL, CUFRAMES_LOG_ERROR);
    CHECK_GE(atomic_load(&refusals_said), 1);
    CHECK_LT(atomic_load(&refusals_said), 11);
    CHECK_EQ(atomic_load(&refusals_said) + atomic_load(&refusals_counted), NOISE);
}

static void send_pieces(void)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];

    cf_group_message_encode(&(struct cf_group_message){.type = CF_GROUP_JOIN, .rank = 1, .size = 2},
                            bytes);
    for (size_t size = 1; size < sizeof(bytes); size += 13) {
        int socket = connect_raw();

        CHECK_EQ(send(socket, bytes, size, MSG_NOSIGNAL), (ssize_t)size);
        expect_error(socket, CUFRAMES_ERR_PROTOCOL, "");
        expect_hang_up(socket);
    }
}

TEST(half_messages_are_refused)
{
    among_strangers(send_pieces);
}

static void speak_as_a_subscriber(void)
{
    struct cf_message message = {.type = CF_MSG_ATTACH};
    int socket = connect_raw();

    snprintf(message.attach.name, sizeof(message.attach.name), "lost");
    raw_send(socket, &message);
    expect_error(socket, CUFRAMES_ERR_PROTOCOL, "group");
    expect_hang_up(socket);
}

TEST(a_message_of_a_channel_is_refused)
{
    among_strangers(speak_as_a_subscriber);
}

static void speak_out_of_order(void)
{
    const enum cf_group_message_type types[] = {CF_GROUP_GIVE,  CF_GROUP_LEAVE, CF_GROUP_ASK,
                                                CF_GROUP_START, CF_GROUP_ERROR, CF_GROUP_TAKE};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        int socket = connect_raw();

        send_message(socket, (struct cf_group_message){
                                 .type = types[i],
                                 .size = 2,
                                 .error = types[i] == CF_GROUP_ERROR ? CUFRAMES_ERR_IO : 0});
        expect_error(socket, CUFRAMES_ERR_PROTOCOL, "");
        expect_hang_up(socket);
    }
}

TEST(who_has_not_joined_has_nothing_to_say)
{
    among_strangers(speak_out_of_order);
}

static void make_fds(int *fds, size_t count)
{
    fds[0] = CHECK_SYS(memfd_create("stranger", MFD_CLOEXEC));
    for (size_t i = 1; i < count; i++)
        fds[i] = fds[0];
}

static void join_with_fds(void)
{
    int fds[CF_RECORD_MAX_FDS];

    make_fds(fds, CF_RECORD_MAX_FDS);
    for (size_t count = 1; count <= CF_RECORD_MAX_FDS; count += 252) {
        int socket = connect_raw();

        send_fds(socket, (struct cf_group_message){.type = CF_GROUP_JOIN, .rank = 1, .size = 2},
                 fds, count);
        expect_error(socket, CUFRAMES_ERR_PROTOCOL, "descriptors");
        expect_hang_up(socket);
    }
    close(fds[0]);
}

TEST(descriptors_with_join_are_closed)
{
    among_strangers(join_with_fds);
}

/* As fast as the socket takes them, over many connections. */
static void flood_with_fds(void)
{
    const struct cf_group_message message = {
        .type = CF_GROUP_GIVE, .rank = CF_GROUP_ROOT_ALL, .total = CUFRAMES_GROUP_MAX_FDS};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    int fds[CF_RECORD_MAX_FDS];

    cf_group_message_encode(&message, bytes);
    make_fds(fds, CF_RECORD_MAX_FDS);
    for (int i = 0; i < 20; i++) {
        int socket = connect_raw();

        for (int k = 0; k < 50; k++)
            if (cf_record_send(socket, bytes, sizeof(bytes), fds, CF_RECORD_MAX_FDS))
                break;
        expect_hang_up(socket);
    }
    close(fds[0]);
}

TEST(a_flood_of_descriptors_is_closed)
{
    among_strangers(flood_with_fds);
}

/* ---- members that misbehave: rank 2 of three is made by hand ---- */

static int join_raw(uint32_t rank, uint32_t size)
{
    int socket = connect_raw();

    send_message(socket,
                 (struct cf_group_message){.type = CF_GROUP_JOIN, .rank = rank, .size = size});
    return socket;
}

/* Waits for descriptors of all, which do not come; says which rank is named. */
static void suffer(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    int own[2], all[16];

    make_fds(own, 2);
    test_say(test, 1);
    CHECK_ERR_SAYS(plan->number
                       ? cuframes_group_barrier(group, 0, TIMEOUT_MS)
                       : cuframes_group_all_gather_fds(group, own, 2, all, 16, NULL, TIMEOUT_MS),
                   CUFRAMES_ERR_DISCONNECTED, "rank 2");
    CHECK_EQ(cuframes_group_broken_rank(group), 2);
    CHECK_ERR_SAYS(cuframes_group_barrier(group, 0, TIMEOUT_MS), CUFRAMES_ERR_DISCONNECTED,
                   "rank 2");
    close(own[0]);
    /* What it had gathered the hub closes after it has told that the group is broken. */
    WAIT_FOR(test_count_descriptors("stranger") == 0, test_patience_ms());
    test_say(test, 2);
    test_hear_end(test);
}

static void be_rank_without_leak(struct test_peer *test, void *argument)
{
    struct test_resources before;

    test_resources_take(&before);
    be_rank(test, argument);
    CHECK_NO_LEAK(&before, "after a member misbehaved");
    test_resources_free(&before);
}

/* Starts ranks 0 and 1, joins by hand as 2, and lets that one misbehave. */
static void with_bad_member(void (*misbehave)(int socket), int operation)
{
    struct plan plan = {.name = "g", .size = 3, .body = suffer, .number = operation};
    struct test_peer peers[2];
    int socket;

    for (plan.rank = 0; plan.rank < 2; plan.rank++)
        test_spawn(&peers[plan.rank], be_rank_without_leak, &plan, NULL);
    socket = join_raw(2, 3);
    CHECK_EQ(receive_message(socket).type, CF_GROUP_START);
    for (int i = 0; i < 2; i++)
        CHECK_HEAR(&peers[i], 1);
    misbehave(socket);
    for (int i = 0; i < 2; i++)
        CHECK_HEAR(&peers[i], 2);
    join_ranks(peers, 2);
    close(socket);
}

static struct cf_group_message give_message(void)
{
    return (struct cf_group_message){.type = CF_GROUP_GIVE, .rank = CF_GROUP_ROOT_ALL, .total = 2};
}

static void give_wrong(int socket, struct cf_group_message message, size_t count)
{
    int fds[CF_RECORD_MAX_FDS];

    make_fds(fds, CF_RECORD_MAX_FDS);
    send_fds(socket, message, fds, count);
    close(fds[0]);
}

static void give_wrong_round(int socket)
{
    struct cf_group_message message = give_message();

    message.round = 7;
    give_wrong(socket, message, 2);
}

static void give_wrong_offset(int socket)
{
    struct cf_group_message message = give_message();

    message.offset = 1;
    give_wrong(socket, message, 1);
}

static void give_changing_total(int socket)
{
    struct cf_group_message message = give_message();

    message.total = 10;
    give_wrong(socket, message, 2);
    message.offset = 2;
    message.total = 11;
    give_wrong(socket, message, 2);
}

static void give_other_root(int socket)
{
    struct cf_group_message message = give_message();

    message.total = 10;
    give_wrong(socket, message, 2);
    message.offset = 2;
    message.rank = 1;
    give_wrong(socket, message, 2);
}

static void give_more_than_total(int socket)
{
    give_wrong(socket, give_message(), 3);
}

static void give_twice(int socket)
{
    give_wrong(socket, give_message(), 2);
    give_wrong(socket, give_message(), 2);
}

static void give_too_much(int socket)
{
    struct cf_group_message message = give_message();

    message.total = CUFRAMES_GROUP_MAX_FDS + 1;
    give_wrong(socket, message, 2);
}

static void join_again(int socket)
{
    send_message(socket, (struct cf_group_message){.type = CF_GROUP_JOIN, .rank = 2, .size = 3});
}

static void talk_nonsense(int socket)
{
    CHECK_EQ(send(socket, "hello", 5, MSG_NOSIGNAL), 5);
}

TEST(a_member_that_misbehaves_is_named_and_only_its_group_ends, .timeout_s = 60)
{
    void (*const bad[])(int) = {give_wrong_round, give_wrong_offset,    give_changing_total,
                                give_other_root,  give_more_than_total, give_twice,
                                give_too_much,    join_again,           talk_nonsense};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        for (int operation = 0; operation < 2; operation++)
            with_bad_member(bad[i], operation);
}

/* It gives and gives; what the hub has taken of it is closed again. */
static void give_for_ever(int socket)
{
    struct cf_group_message message = give_message();
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    int fds[CF_RECORD_MAX_FDS];
    int err = CUFRAMES_OK;

    make_fds(fds, CF_RECORD_MAX_FDS);
    message.total = CUFRAMES_GROUP_MAX_FDS;
    while (!err || err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TOO_MANY) {
        cf_group_message_encode(&message, bytes);
        err = cf_record_send(socket, bytes, sizeof(bytes), fds, CF_RECORD_MAX_FDS);
        if (!err && message.offset + 2 * CF_RECORD_MAX_FDS <= message.total)
            message.offset += CF_RECORD_MAX_FDS;
        if (err)
            usleep(1000);
    }
    close(fds[0]);
}

static void give_first_then_suffer(cuframes_group_t *group, struct test_peer *test,
                                   const struct plan *plan)
{
    (void)plan;
    test_say(test, 1);
    CHECK_ERR(cuframes_group_barrier(group, 0, TIMEOUT_MS), CUFRAMES_ERR_DISCONNECTED);
    /* Either rank 2 has given too much, or this process could not take so many. */
    CHECK_STR_HAS(cuframes_last_error(), "rank");
    WAIT_FOR(test_count_descriptors("stranger") == 0, 5000);
    test_say(test, 2);
}

TEST(a_member_that_gives_without_end_breaks_its_group_and_leaks_nothing)
{
    struct plan plan = {.name = "g", .size = 3, .body = give_first_then_suffer};
    struct test_peer peers[2];
    int socket;

    for (plan.rank = 0; plan.rank < 2; plan.rank++)
        test_spawn(&peers[plan.rank], be_rank_without_leak, &plan, NULL);
    socket = join_raw(2, 3);
    CHECK_EQ(receive_message(socket).type, CF_GROUP_START);
    for (int i = 0; i < 2; i++)
        CHECK_HEAR(&peers[i], 1);
    give_for_ever(socket);
    for (int i = 0; i < 2; i++)
        CHECK_HEAR(&peers[i], 2);
    join_ranks(peers, 2);
    close(socket);
}

/* A member that misbehaves before the start, of a group of three. */
static void misbehave_early(void)
{
    int fds[1], socket = join_raw(1, 3);

    make_fds(fds, 1);
    send_fds(socket, give_message(), fds, 1);
    close(fds[0]);
    expect_error(socket, CUFRAMES_ERR_PROTOCOL, "order");
    expect_hang_up(socket);
    socket = join_raw(1, 3);
    send_message(socket, (struct cf_group_message){.type = CF_GROUP_JOIN, .rank = 1, .size = 3});
    expect_error(socket, CUFRAMES_ERR_PROTOCOL, "order");
    expect_hang_up(socket);
}

static void meet(cuframes_group_t *group, struct test_peer *test, const struct plan *plan)
{
    (void)test;
    (void)plan;
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
    CHECK_EQ(test_count_descriptors("stranger"), 0);
    CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
}

TEST(a_member_that_misbehaves_before_the_start_gives_its_rank_back)
{
    struct plan plan = {.name = "g", .size = 3, .body = meet};
    struct test_peer peers[3];

    test_spawn(&peers[0], be_rank, &plan, NULL);
    WAIT_FOR(is_there(), 5000);
    misbehave_early();
    for (plan.rank = 1; plan.rank < 3; plan.rank++)
        test_spawn(&peers[plan.rank], be_rank, &plan, NULL);
    join_ranks(peers, 3);
}

/* ---- other users, other namespaces ---- */

static void be_another_user(struct test_peer *test, void *argument)
{
    cuframes_group_config_t config = {.name = "g", .rank = 1, .size = 2, .timeout_ms = 2000};
    cuframes_group_t *group;

    (void)argument;
    test_become(65533);
    CHECK_ERR(cuframes_group_create(&config, &group), CUFRAMES_ERR_PERMISSION);
    CHECK(*cuframes_last_error());
    test_say(test, 1);
}

TEST(another_user_does_not_meet_the_group)
{
    struct test_peer first, other;
    cuframes_group_t *group;
    char byte = 'x', all[2];

    test_need_root();
    test_spawn(&first, be_first, NULL, NULL);
    WAIT_FOR(is_there(), 5000);
    /* The directory lets it in, the socket does not. */
    CHECK_SYS(chmod(test_runtime_dir(), 0755));
    test_spawn(&other, be_another_user, NULL, NULL);
    CHECK_HEAR(&other, 1);
    test_join(&other);
    CHECK_SYS(chmod(test_runtime_dir(), 0700));
    group = join("g", 1, 2);
    CHECK_OK(cuframes_group_all_gather(group, &byte, 1, all, TIMEOUT_MS));
    CHECK_HEAR(&first, 1);
    test_say(&first, 2);
    test_join(&first);
    cuframes_group_destroy(group);
}

#define SHARED_AT "/run/shared"

struct isolated {
    struct test_peer peer;
    struct test_isolation isolation;
    int32_t rank;
};

static void be_isolated(struct test_peer *test, void *argument)
{
    const struct isolated *self = argument;
    cuframes_group_config_t config = {.name = "g",
                                      .rank = self->rank,
                                      .size = 3,
                                      .timeout_ms = TIMEOUT_MS,
                                      .runtime_dir = SHARED_AT};
    cuframes_group_t *group;
    uint32_t rank = (uint32_t)self->rank, all[3];
    int fd, fds[3];

    CHECK_EQ(getpid(), 1);
    CHECK_OK(cuframes_group_create(&config, &group));
    for (int round = 0; round < 50; round++) {
        CHECK_OK(cuframes_group_barrier(group, 0, TIMEOUT_MS));
        CHECK_OK(cuframes_group_all_gather(group, &rank, sizeof(rank), all, TIMEOUT_MS));
        CHECK_EQ(all[2], 2);
    }
    fd = CHECK_SYS(memfd_create("mine", MFD_CLOEXEC));
    CHECK_SYS(pwrite(fd, &rank, sizeof(rank), 0));
    CHECK_OK(cuframes_group_all_gather_fds(group, &fd, 1, fds, 3, NULL, TIMEOUT_MS));
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(pread(fds[i], &rank, sizeof(rank), 0), (ssize_t)sizeof(rank));
        CHECK_EQ(rank, i);
        close(fds[i]);
    }
    close(fd);
    cuframes_group_destroy(group);
    test_say(test, 1);
}

TEST(ranks_in_namespaces_of_their_own_meet_through_a_directory)
{
    static struct isolated ranks[3];

    if (test_isolation_missing(NULL))
        SKIP("cannot make namespaces: %s", test_isolation_missing(NULL));
    for (int i = 0; i < 3; i++) {
        struct test_spawn_options options = {.isolation = &ranks[i].isolation};

        ranks[i].rank = i;
        ranks[i].isolation = (struct test_isolation){.shared = test_runtime_dir(),
                                                     .at = SHARED_AT,
                                                     .hostname = "elsewhere",
                                                     .inner_uid = (unsigned)i * 1000};
        test_spawn(&ranks[i].peer, be_isolated, &ranks[i], &options);
    }
    for (int i = 0; i < 3; i++) {
        CHECK_HEAR(&ranks[i].peer, 1);
        test_join(&ranks[i].peer);
    }
}
