/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hub of a group whose ranks, and strangers at its door, are the input: they join, give
 * descriptors, ask, leave, send anything, in any order. The hub refuses or breaks the group; when it
 * ends, nothing of what anybody gave is left.
 */
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>

#include <cuframes/cuframes.h>

#include "base/clock.h"
#include "base/fd.h"
#include "group/hub.h"
#include "place.h"
#include "wire/group_message.h"
#include "wire/record.h"

enum { RANKS = 3, STRANGERS = 2, PEERS = RANKS + STRANGERS, CROWD = 72, MOST_STEPS = 40 };

enum step {
    STEP_JOIN,
    STEP_GIVE,
    STEP_SEND,
    STEP_RAW,
    STEP_TAKE,
    STEP_LEAVE,
    STEP_CONNECT,
    STEP_ALL_JOIN,
    STEP_CROWD,
    STEP_COUNT,
};

struct play {
    struct script script;
    int sockets[PEERS];
};

static void send_changed(struct play *play, int socket, const struct cf_group_message *message,
                         size_t fd_count)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    int fds[8];

    for (int i = 0; i < 8; i++)
        fds[i] = stray_descriptor();
    cf_group_message_encode(message, bytes);
    scribble(&play->script, bytes, sizeof(bytes));
    send_raw(socket, bytes, sizeof(bytes), fds, fd_count);
}

static void join(struct play *play, int socket, uint8_t kind)
{
    const struct cf_group_message message = {
        .type = CF_GROUP_JOIN, .rank = kind & 4 ? kind & 3 : CF_GROUP_RANK_ANY, .size = RANKS};

    send_changed(play, socket, &message, 0);
}

static void give(struct play *play, int socket)
{
    const uint8_t kind = take_byte(&play->script);
    const struct cf_group_message message = {.type = CF_GROUP_GIVE,
                                             .rank = kind & 64 ? 0 : CF_GROUP_ROOT_ALL,
                                             .round = kind & 1,
                                             .offset = kind >> 4 & 3,
                                             .total = (kind >> 1 & 7) + (kind >> 4 & 3)};

    send_changed(play, socket, &message, kind & 128 ? 0 : kind >> 1 & 7);
}

static void send_other(struct play *play, int socket)
{
    static const enum cf_group_message_type types[4] = {CF_GROUP_LEAVE, CF_GROUP_ASK,
                                                        CF_GROUP_START, CF_GROUP_TAKE};
    const struct cf_group_message message = {.type = types[take_byte(&play->script) % 4],
                                             .size = RANKS};

    send_changed(play, socket, &message, message.type == CF_GROUP_START);
}

static void send_bytes(struct play *play, int socket)
{
    uint8_t bytes[256] = {0x43, 0x55, 0x46, 0x47, 5};

    scribble(&play->script, bytes, 32);
    send_raw(socket, bytes, 1 + take_byte(&play->script), NULL, 0);
}

static void take(int socket)
{
    struct cf_record record;

    if (cf_record_receive(socket, &record, CF_RECORD_MAX_FDS, 0) == CUFRAMES_OK)
        cf_record_close_fds(&record);
}

/* Until the hub has read what was sent, for a while at most: it need not read everything. */
static void settle(int socket)
{
    const int64_t deadline = cf_now_ns() + 20 * CF_NS_PER_MS;
    int unread = 1;

    while (socket >= 0 && ioctl(socket, SIOCOUTQ, &unread) == 0 && unread > 0 &&
           cf_now_ns() < deadline)
        sched_yield();
}

/* Who connects and says nothing: more than are let stand about. */
static void crowd(void)
{
    int sockets[CROWD];

    for (int i = 0; i < CROWD; i++) {
        sockets[i] = -1;
        cf_endpoint_connect(place_directory, "hub", &sockets[i]);
    }
    for (int i = 0; i < CROWD; i++)
        cf_close(&sockets[i]);
}

static void do_step(struct play *play, enum step step)
{
    int *socket = &play->sockets[take_byte(&play->script) % PEERS];

    if (step == STEP_CONNECT) {
        if (*socket < 0)
            cf_endpoint_connect(place_directory, "hub", socket);
        return;
    }
    if (step == STEP_ALL_JOIN) {
        for (int i = 0; i < RANKS; i++)
            join(play, play->sockets[i], 0);
        settle(play->sockets[RANKS - 1]);
        return;
    }
    if (step == STEP_CROWD)
        crowd();
    if (*socket < 0 || step == STEP_CROWD)
        return;
    if (step == STEP_JOIN)
        join(play, *socket, take_byte(&play->script));
    else if (step == STEP_GIVE)
        give(play, *socket);
    else if (step == STEP_SEND)
        send_other(play, *socket);
    else if (step == STEP_RAW)
        send_bytes(play, *socket);
    else if (step == STEP_TAKE)
        take(*socket);
    else
        cf_close(socket);
    settle(*socket);
}

static struct cf_hub *make_hub(struct play *play)
{
    struct cf_endpoint endpoint;
    struct cf_hub *hub;
    int ends[RANKS];

    for (int i = 0; i < RANKS; i++) {
        int pair[2];

        FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) ==
                     0);
        ends[i] = pair[0];
        play->sockets[i] = pair[1];
    }
    FUZZ_REQUIRE(cf_endpoint_listen(place_directory, "hub", 0600, NULL, &endpoint) == CUFRAMES_OK);
    FUZZ_REQUIRE(cf_hub_create(RANKS, &endpoint, ends, RANKS, &hub) == CUFRAMES_OK);
    return hub;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}, .sockets = {-1, -1, -1, -1, -1}};
    struct cf_hub *hub;
    int before;

    place_take();
    stray_descriptor();
    before = count_descriptors();
    hub = make_hub(&play);
    for (int i = 0; i < MOST_STEPS && play.script.at < play.script.end; i++)
        do_step(&play, take_byte(&play.script) % STEP_COUNT);
    /* Those who do not take what is passed to them would keep the hub. */
    for (int i = 0; i < PEERS; i++)
        cf_close(&play.sockets[i]);
    cf_hub_destroy(hub);
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const uint8_t seeds[][48] = {
        /* Two rounds of descriptors. */
        {STEP_ALL_JOIN,
         0,
         0,
         0,
         0,
         STEP_TAKE,
         0,
         STEP_TAKE,
         1,
         STEP_TAKE,
         2,
         STEP_GIVE,
         0,
         2,
         0,
         STEP_GIVE,
         1,
         0,
         0,
         STEP_GIVE,
         2,
         4,
         0,
         STEP_TAKE,
         0,
         STEP_TAKE,
         1,
         STEP_TAKE,
         2,
         STEP_GIVE,
         0,
         3,
         0,
         STEP_GIVE,
         1,
         1,
         0,
         STEP_GIVE,
         2,
         1,
         0},
        {STEP_JOIN, 0, 4,         0, STEP_JOIN, 1, 4,         0, STEP_JOIN,    2,
         0,         0, STEP_SEND, 0, 1,         0, STEP_TAKE, 0, STEP_CONNECT, 3,
         STEP_JOIN, 3, 6,         0, STEP_SEND, 2, 0,         0},
        {STEP_CONNECT, 3, STEP_CONNECT, 4, STEP_RAW, 3, 0, 9, STEP_LEAVE, 4, STEP_JOIN, 1, 0, 0,
         STEP_LEAVE, 1, STEP_CROWD, 0},
        {STEP_ALL_JOIN, 0, 0, 0, 0, STEP_GIVE, 0, 66, 0, STEP_GIVE, 1, 64, 0, STEP_LEAVE, 2},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
