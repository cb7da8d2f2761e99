/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher whose clients are the input: they connect, ask, attach, send anything with any
 * descriptors, scribble on their hold pages and go, while frames are published and the format
 * changes. One honest subscriber gets every frame, whatever they do; when they are gone nothing of
 * them is left.
 */
#include <poll.h>
#include <sched.h>
#include <stdbool.h>

#include <cuframes/cuframes.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/shm.h"
#include "ring/layout.h"
#include "script.h"

enum { CLIENTS = 3, MOST_STEPS = 48 };

enum step {
    STEP_CONNECT,
    STEP_SEND,
    STEP_RAW,
    STEP_RECEIVE,
    STEP_SCRIBBLE,
    STEP_PUBLISH,
    STEP_CHANGE,
    STEP_LEAVE,
    STEP_COUNT,
};

struct client {
    int socket;
    struct cf_map holds;
};

struct play {
    struct script script;
    struct client clients[CLIENTS];
};

/* Made once: a process has one channel for all inputs. */
static cuframes_publisher_t *publisher;
static cuframes_subscriber_t *honest;
static int descriptors; /* of a channel with one subscriber */
static cuframes_publisher_config_t config = {
    .key = "fuzz",
    .width = 32,
    .height = 16,
    .format = CUFRAMES_FORMAT_GRAYSCALE,
    .ring_size = 8,
    .max_holds = 2,
    .max_subscribers = 1 + CLIENTS,
    .memory = CUFRAMES_MEMORY_HOST,
    .flags = CUFRAMES_PUBLISHER_NO_SOCKET,
};

static int connect_one(void)
{
    int ends[2];

    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    FUZZ_REQUIRE(cuframes_publisher_add_client(publisher, ends[0]) == CUFRAMES_OK);
    return ends[1];
}

static void make_channel(void)
{
    cuframes_subscriber_config_t wanted = {.consumer_name = "honest",
                                           .mode = CUFRAMES_MODE_STRICT_ORDER};

    if (publisher)
        return;
    stray_descriptor();
    FUZZ_REQUIRE(cuframes_publisher_create(&config, &publisher) == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_subscriber_create_from_fd(&wanted, connect_one(), &honest) ==
                 CUFRAMES_OK);
    /* What was sent with the answer is closed a moment later. */
    usleep(100000);
    descriptors = count_descriptors();
}

/* Publishes a frame that the honest subscriber must get. */
static void publish(void)
{
    static int64_t pts;
    cuframes_frame_t *frame;
    void *data;
    int err = cuframes_publisher_acquire(publisher, &data);

    /* The clients may hold what they were granted; there are two slots more than that. */
    FUZZ_REQUIRE(err == CUFRAMES_OK || err == CUFRAMES_ERR_WOULD_BLOCK);
    if (err)
        return;
    memset(data, (int)++pts, 32 * 16);
    FUZZ_REQUIRE(cuframes_publisher_publish(publisher, NULL, pts) == CUFRAMES_OK);
    do {
        FUZZ_REQUIRE(cuframes_subscriber_next(honest, NULL, &frame, 2000) == CUFRAMES_OK);
        err = cuframes_frame_pts_ns(frame) == pts;
        FUZZ_REQUIRE(*(const uint8_t *)cuframes_frame_data(frame) ==
                     (uint8_t)cuframes_frame_pts_ns(frame));
        cuframes_frame_release(frame);
    } while (!err);
}

/* Until the service thread has heard what was sent before: it answers a question that came later. */
static void settle(void)
{
    struct cf_message message = {.type = CF_MSG_QUERY};
    int socket = connect_one();
    int fds[CF_WIRE_MAX_FDS];
    size_t count = 0;

    FUZZ_REQUIRE(cf_connection_send(socket, &message, NULL, 0) == CUFRAMES_OK);
    FUZZ_REQUIRE(cf_connection_receive(socket, &message, fds, &count,
                                       cf_now_ns() + 5 * CF_NS_PER_S) == CUFRAMES_OK);
    FUZZ_REQUIRE(message.type == CF_MSG_REPORT && count == 0);
    close(socket);
}

static void send_message(struct play *play, struct client *client)
{
    static const enum cf_message_type types[4] = {CF_MSG_ATTACH, CF_MSG_ADOPTED, CF_MSG_QUERY,
                                                  CF_MSG_WATCH};
    struct cf_message message = {.type = types[take_byte(&play->script) % 4]};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size = cf_message_encode(&message, bytes);

    scribble(&play->script, bytes, size);
    send_raw(client->socket, bytes, size, NULL, 0);
    settle();
}

static void send_bytes(struct play *play, struct client *client)
{
    uint8_t bytes[256] = {0x43, 0x55, 0x46, 0x35, 5};
    int fds[8];

    for (int i = 0; i < 8; i++)
        fds[i] = stray_descriptor();
    scribble(&play->script, bytes, 32);
    send_raw(client->socket, bytes, 1 + take_byte(&play->script) % sizeof(bytes), fds,
             take_byte(&play->script) % 9);
    settle();
}

/* Takes one message, and keeps the hold page that may be with it. */
static void receive(struct client *client)
{
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t count = 0;

    if (cf_connection_receive(client->socket, &message, fds, &count, 0) != CUFRAMES_OK)
        return;
    if (count > CF_FD_HOLDS) {
        cf_map_release(&client->holds);
        FUZZ_REQUIRE(cf_shm_attach("hold page", fds[CF_FD_HOLDS], sizeof(struct cf_hold_page),
                                   CF_SHM_PEER_WRITES, &client->holds) == CUFRAMES_OK);
    }
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static void leave(struct client *client)
{
    cf_map_release(&client->holds);
    cf_close(&client->socket);
}

static void do_step(struct play *play, enum step step)
{
    struct client *client = &play->clients[take_byte(&play->script) % CLIENTS];

    if (client->socket < 0 && step < STEP_PUBLISH) {
        client->socket = connect_one();
        return;
    }
    switch (step) {
    case STEP_SEND:
        send_message(play, client);
        break;
    case STEP_RAW:
        send_bytes(play, client);
        break;
    case STEP_RECEIVE:
        receive(client);
        break;
    case STEP_SCRIBBLE:
        if (client->holds.addr)
            scribble(&play->script, client->holds.addr, sizeof(struct cf_hold_page));
        break;
    case STEP_CHANGE:
        config.height ^= 16 ^ 32;
        FUZZ_REQUIRE(cuframes_publisher_reconfigure(publisher, &config) == CUFRAMES_OK);
        break;
    case STEP_LEAVE:
        leave(client);
        break;
    default:
        publish();
    }
}

/* When the clients are gone nothing of them is left: no subscriber, no hold, no descriptor. */
static void check_end(void)
{
    const int64_t deadline = cf_now_ns() + 5 * CF_NS_PER_S;
    cuframes_publisher_stats_t stats;

    for (;;) {
        FUZZ_REQUIRE(cuframes_publisher_stats(publisher, &stats) == CUFRAMES_OK);
        if (stats.subscribers == 1 && stats.slots_held == 0 && count_descriptors() == descriptors)
            return;
        if (cf_now_ns() >= deadline) {
            fprintf(stderr, "%u subscribers, %u slots held, %d descriptors instead of %d\n",
                    stats.subscribers, stats.slots_held, count_descriptors(), descriptors);
            abort();
        }
        sched_yield();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}};

    make_channel();
    for (int i = 0; i < CLIENTS; i++)
        play.clients[i].socket = -1;
    for (int i = 0; i < MOST_STEPS && play.script.at < play.script.end; i++)
        do_step(&play, take_byte(&play.script) % STEP_COUNT);
    for (int i = 0; i < CLIENTS; i++)
        leave(&play.clients[i]);
    publish();
    check_end();
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    /* Connect, then send an honest message (its type and "no changes"), and so on. */
    static const uint8_t seeds[][32] = {
        {STEP_CONNECT,
         0,
         STEP_SEND,
         0,
         0,
         0,
         STEP_RECEIVE,
         0,
         STEP_SEND,
         0,
         1,
         0,
         STEP_PUBLISH,
         0,
         STEP_SCRIBBLE,
         0,
         1,
         64,
         0,
         1,
         STEP_PUBLISH,
         0,
         STEP_LEAVE,
         0},
        {STEP_CONNECT, 0, STEP_SEND, 0, 2, 0, STEP_RECEIVE, 0, STEP_RECEIVE, 0},
        {STEP_CONNECT, 1, STEP_SEND, 1, 3, 0, STEP_PUBLISH, 0, STEP_LEAVE, 1},
        {STEP_CONNECT,
         0,
         STEP_CONNECT,
         1,
         STEP_SEND,
         0,
         0,
         0,
         STEP_SEND,
         1,
         0,
         0,
         STEP_RECEIVE,
         1,
         STEP_CHANGE,
         0,
         STEP_PUBLISH,
         0,
         STEP_RECEIVE,
         1,
         STEP_RECEIVE,
         1,
         STEP_PUBLISH,
         0},
        {STEP_CONNECT, 2, STEP_RAW, 2, 0, 200, 3, STEP_RECEIVE, 2},
        {STEP_CONNECT, 0, STEP_SEND, 0, 0, 2, 16, 0, 65, 80, 0, 1, STEP_RECEIVE, 0, STEP_PUBLISH,
         0},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
