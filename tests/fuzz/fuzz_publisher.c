/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher whose clients are the input: they connect, ask, attach, send anything with any
 * descriptors, scribble on their hold pages and packet pages and go, while frames and packets are
 * published, the format and the streams change and the packet ring grows. One honest subscriber
 * gets every frame and every packet, whatever they do; when they are gone nothing of them is left.
 */
#include <poll.h>
#include <sched.h>
#include <stdbool.h>

#include "base/fd.h"
#include "base/shm.h"
#include "channel.h"
#include "channel/publisher.h"
#include "place.h"

enum { PATIENCE_MS = 2000 };

enum { CLIENTS = 3, MOST_STEPS = 48, CROWD = CF_MAX_VISITORS + 8 };

enum step {
    STEP_CONNECT,
    STEP_SEND,
    STEP_RAW,
    STEP_RECEIVE,
    STEP_SCRIBBLE,
    STEP_PUBLISH,
    STEP_CHANGE,
    STEP_LEAVE,
    STEP_PUT,
    STEP_STREAMS,
    STEP_BY_NAME,
    STEP_CROWD,
    STEP_COUNT,
};

struct client {
    int socket;
    struct cf_map holds, packets; /* its pages, which it may write */
};

struct channel;

struct play {
    struct script script;
    struct channel *channel;
    struct client clients[CLIENTS];
};

/* One drops frames when its few slots are held, one waits for a moment and evicts. Made once: a
 * process has these channels for all inputs. */
static struct channel {
    const char *key;
    cuframes_policy_t policy;
    cuframes_publisher_t *publisher;
    cuframes_subscriber_t *honest;
    cuframes_publisher_config_t config;
    bool reads_packets; /* the honest one has met a key frame, where reading begins */
} channels[2] = {{.key = "drop", .policy = CUFRAMES_POLICY_DROP_OLDEST},
                 {.key = "wait", .policy = CUFRAMES_POLICY_STRICT_WAIT}};

/* With one subscriber each, but for the packet generations. */
static int descriptors;

static void set_streams(const struct channel *channel, uint8_t kind)
{
    const cuframes_stream_t streams[2] = {
        {.codec_id = 27, .codec_name = "h264", .width = 32 + kind, .height = 16},
        {.type = CUFRAMES_STREAM_AUDIO, .codec_id = 86018, .sample_rate = 8000, .channels = 1},
    };

    FUZZ_REQUIRE(cuframes_publisher_set_streams(channel->publisher, streams, 1 + (kind & 1)) ==
                 CUFRAMES_OK);
}

/* Each packet generation that is kept has a descriptor of its parameters. */
static int count_lasting_descriptors(void)
{
    return count_descriptors() - (int)channels[0].publisher->packets->generation_count -
           (int)channels[1].publisher->packets->generation_count;
}

static void make_channel(struct channel *channel)
{
    /* A ring that has to grow for what it is asked to keep, and can. */
    const cuframes_packet_ring_options_t packets = {.ring_slots = 8,
                                                    .data_size = 4096,
                                                    .max_packet_size = 1024,
                                                    .keep_ms = 20,
                                                    .max_data_size = 65536};
    const cuframes_subscriber_config_t wanted = {.consumer_name = "honest",
                                                 .mode = CUFRAMES_MODE_STRICT_ORDER};

    /* Fewer slots than its subscribers may hold together, fewer places than clients. */
    channel->config = (cuframes_publisher_config_t){.key = channel->key,
                                                    .width = 32,
                                                    .height = 16,
                                                    .format = CUFRAMES_FORMAT_GRAYSCALE,
                                                    .ring_size = 4,
                                                    .max_holds = 2,
                                                    .max_subscribers = CLIENTS,
                                                    .policy = channel->policy,
                                                    .consumer_ack_timeout_ms = 3,
                                                    .memory = CUFRAMES_MEMORY_HOST,
                                                    .runtime_dir = place_directory};
    FUZZ_REQUIRE(cuframes_publisher_create(&channel->config, &channel->publisher) == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_publisher_enable_packets(channel->publisher, &packets) == CUFRAMES_OK);
    set_streams(channel, 0);
    FUZZ_REQUIRE(cuframes_subscriber_create_from_fd(&wanted, channel_connect(channel->publisher),
                                                    &channel->honest) == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_subscriber_enable_packets(channel->honest) == CUFRAMES_OK);
    /* What was sent with the answers is closed by then. */
    channel_settle(channel->publisher);
}

static void destroy_channels(void)
{
    for (int i = 0; i < 2; i++) {
        cuframes_publisher_destroy(channels[i].publisher);
        cuframes_subscriber_destroy(channels[i].honest);
    }
}

static void make_channels(void)
{
    if (channels[0].publisher)
        return;
    stray_descriptor();
    place_take();
    /* After the directory: so it is done before that is removed. */
    atexit(destroy_channels);
    make_channel(&channels[0]);
    make_channel(&channels[1]);
    descriptors = count_lasting_descriptors();
}

/* Publishes a frame that the honest subscriber must get. */
static void publish(struct channel *channel)
{
    static int64_t pts;
    cuframes_frame_t *frame;
    void *data;
    int err;

    /* Where the publisher waits for a few milliseconds only, its thread is not to be late for the
     * honest one on a busy machine. */
    if (channel->policy == CUFRAMES_POLICY_STRICT_WAIT)
        channel_settle(channel->publisher);
    err = cuframes_publisher_acquire(channel->publisher, &data);

    /* Clients may hold what they were granted, for as long as the policy lets them. */
    if (err == CUFRAMES_ERR_WOULD_BLOCK && channel->policy == CUFRAMES_POLICY_DROP_OLDEST)
        return;
    FUZZ_REQUIRE(err == CUFRAMES_OK);
    memset(data, (int)++pts, 32 * 16);
    FUZZ_REQUIRE(cuframes_publisher_publish(channel->publisher, NULL, pts) == CUFRAMES_OK);
    do {
        FUZZ_REQUIRE(cuframes_subscriber_next(channel->honest, NULL, &frame, PATIENCE_MS) ==
                     CUFRAMES_OK);
        err = cuframes_frame_pts_ns(frame) == pts;
        FUZZ_REQUIRE(*(const uint8_t *)cuframes_frame_data(frame) ==
                     (uint8_t)cuframes_frame_pts_ns(frame));
        cuframes_frame_release(frame);
    } while (!err);
}

/* Publishes a packet that the honest subscriber must get. */
static void put(struct channel *channel, uint8_t kind)
{
    uint8_t bytes[1024];
    const cuframes_packet_desc_t desc = {.data = bytes,
                                         .size = 1 + (size_t)(kind >> 1) * 8,
                                         .pts_ns = CUFRAMES_NO_TIME,
                                         .dts_ns = CUFRAMES_NO_TIME,
                                         .flags = kind & 1 ? CUFRAMES_PKT_FLAG_KEY : 0};
    cuframes_packet_t *packet = NULL;
    uint64_t seq;
    int err;

    memset(bytes, kind, sizeof(bytes));
    FUZZ_REQUIRE(cuframes_publisher_send_packet(channel->publisher, &desc, &seq) == CUFRAMES_OK);
    channel->reads_packets |= kind & 1;
    if (!channel->reads_packets)
        return;
    err = cuframes_subscriber_next_packet(channel->honest, &packet, PATIENCE_MS);
    if (err)
        fprintf(stderr, "%s: %s\n", cuframes_strerror(err), cuframes_last_error());
    FUZZ_REQUIRE(err == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_packet_seq(packet) == seq && cuframes_packet_size(packet) == desc.size);
    FUZZ_REQUIRE(memcmp(cuframes_packet_data(packet), bytes, desc.size) == 0);
    cuframes_subscriber_release_packet(channel->honest, packet);
}

static struct cf_message make_message(uint8_t kind)
{
    static const enum cf_message_type types[8] = {
        CF_MSG_ATTACH,         CF_MSG_ADOPTED,         CF_MSG_QUERY,           CF_MSG_WATCH,
        CF_MSG_PACKETS_ENABLE, CF_MSG_PACKETS_ADOPTED, CF_MSG_PACKETS_ADOPTED, CF_MSG_ATTACH};
    struct cf_message message = {.type = types[kind % 8]};

    if (message.type == CF_MSG_ATTACH)
        message.attach = (struct cf_msg_attach){
            .flags = kind >> 3 & 3, .mode = kind >> 5 & 1, .max_holds = kind >> 6};
    if (message.type == CF_MSG_ATTACH && kind % 8 == 7)
        snprintf(message.attach.name, sizeof(message.attach.name), "%s",
                 kind & 8 ? "honest" : "no name");
    else if (message.type == CF_MSG_PACKETS_ENABLE)
        message.packets_enable.flags = kind >> 3 & 3;
    return message;
}

static void send_message(struct play *play, struct client *client)
{
    const struct cf_message message = make_message(take_byte(&play->script));
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size = cf_message_encode(&message, bytes);

    scribble(&play->script, bytes, size);
    send_raw(client->socket, bytes, size, NULL, 0);
    channel_settle(play->channel->publisher);
}

/* Up to more bytes, and many more descriptors, than any message has. */
static void send_bytes(struct play *play, struct client *client)
{
    uint8_t bytes[CF_WIRE_MAX_MESSAGE + 64] = {0x43, 0x55, 0x46, 0x35, 5};
    uint8_t size, fd_count;
    int fds[MOST_SENT];

    for (int i = 0; i < MOST_SENT; i++)
        fds[i] = stray_descriptor();
    scribble(&play->script, bytes, 32);
    size = take_byte(&play->script);
    fd_count = take_byte(&play->script);
    send_raw(client->socket, bytes, size == 255 ? sizeof(bytes) : size + 1U, fds,
             fd_count == 255 ? MOST_SENT : fd_count % 9);
    channel_settle(play->channel->publisher);
}

static void keep_page(int fd, size_t size, struct cf_map *page)
{
    cf_map_release(page);
    FUZZ_REQUIRE(cf_shm_attach("page", fd, size, CF_SHM_PEER_WRITES, page) == CUFRAMES_OK);
}

/* Takes one message, and keeps the page that may be with it. */
static void receive(struct client *client)
{
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t count = 0;

    if (cf_connection_receive(client->socket, &message, fds, &count, 0) != CUFRAMES_OK)
        return;
    if ((message.type == CF_MSG_ATTACHED || message.type == CF_MSG_GENERATION) && count > 0)
        keep_page(fds[CF_FD_HOLDS], sizeof(struct cf_hold_page), &client->holds);
    if (message.type == CF_MSG_PACKETS && count > 0)
        keep_page(fds[CF_PACKETS_FD_PAGE], sizeof(struct cf_packet_page), &client->packets);
    for (size_t i = 0; i < count; i++)
        close(fds[i]);
}

static void hold_everything(struct cf_hold_page *page)
{
    for (uint32_t i = 0; i < CUFRAMES_MAX_SLOTS; i++)
        atomic_store(&page->holds[i], 1);
}

static void scribble_on_pages(struct play *play, struct client *client)
{
    const uint8_t what = take_byte(&play->script) % 8;

    if (what == 7) {
        if (client->holds.addr)
            hold_everything(client->holds.addr);
    } else if (what % 4 == 0) {
        if (client->packets.addr)
            scribble(&play->script, client->packets.addr, sizeof(struct cf_packet_page));
    } else if (client->holds.addr) {
        scribble(&play->script, client->holds.addr, sizeof(struct cf_hold_page));
    }
}

/* Who connects, says nothing, and goes: more than are let stand about. */
static void crowd(struct play *play)
{
    int sockets[CROWD];

    for (int i = 0; i < CROWD; i++)
        sockets[i] = channel_connect(play->channel->publisher);
    channel_settle(play->channel->publisher);
    for (int i = 0; i < CROWD; i++)
        close(sockets[i]);
}

static void connect_by_name(const struct play *play, struct client *client)
{
    if (client->socket < 0)
        FUZZ_REQUIRE(cf_endpoint_connect(place_directory, play->channel->key, &client->socket) ==
                     CUFRAMES_OK);
}

static void leave(struct client *client)
{
    cf_map_release(&client->holds);
    cf_map_release(&client->packets);
    cf_close(&client->socket);
}

static void do_step(struct play *play, enum step step)
{
    struct client *client = &play->clients[take_byte(&play->script) % CLIENTS];

    if (client->socket < 0 && step < STEP_PUBLISH) {
        client->socket = channel_connect(play->channel->publisher);
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
        scribble_on_pages(play, client);
        break;
    case STEP_CHANGE:
        play->channel->config.height ^= 16 ^ 32;
        FUZZ_REQUIRE(cuframes_publisher_reconfigure(play->channel->publisher,
                                                    &play->channel->config) == CUFRAMES_OK);
        break;
    case STEP_LEAVE:
        leave(client);
        break;
    case STEP_PUT:
        put(play->channel, take_byte(&play->script));
        break;
    case STEP_BY_NAME:
        connect_by_name(play, client);
        break;
    case STEP_CROWD:
        crowd(play);
        break;
    case STEP_STREAMS:
        set_streams(play->channel, take_byte(&play->script));
        break;
    default:
        publish(play->channel);
    }
}

/* When the clients are gone nothing of them is left: no subscriber, no hold, no descriptor. */
static void check_end(const struct channel *channel)
{
    const int64_t deadline = cf_now_ns() + 5 * CF_NS_PER_S;
    cuframes_publisher_stats_t stats;

    for (;;) {
        FUZZ_REQUIRE(cuframes_publisher_stats(channel->publisher, &stats) == CUFRAMES_OK);
        if (stats.subscribers == 1 && stats.slots_held == 0 &&
            count_lasting_descriptors() == descriptors)
            return;
        if (cf_now_ns() >= deadline) {
            fprintf(stderr, "%u subscribers, %u slots held, %d descriptors instead of %d\n",
                    stats.subscribers, stats.slots_held, count_lasting_descriptors(), descriptors);
            abort();
        }
        sched_yield();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}};

    make_channels();
    play.channel = &channels[take_byte(&play.script) % 2];
    for (int i = 0; i < CLIENTS; i++)
        play.clients[i].socket = -1;
    for (int i = 0; i < MOST_STEPS && play.script.at < play.script.end; i++)
        do_step(&play, take_byte(&play.script) % STEP_COUNT);
    for (int i = 0; i < CLIENTS; i++)
        leave(&play.clients[i]);
    /* A generation that was prepared takes its place with this frame, for which the holds of those
     * who left are to be gone. */
    channel_settle(play.channel->publisher);
    publish(play.channel);
    check_end(play.channel);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    /* Connect, then send an honest message (its type and "no changes"), and so on. */
    static const uint8_t seeds[][48] = {
        {0,
         STEP_CONNECT,
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
         1,
         64,
         0,
         1,
         STEP_PUBLISH,
         0,
         STEP_LEAVE,
         0},
        {0, STEP_CONNECT, 0, STEP_SEND, 0, 2, 0, STEP_RECEIVE, 0, STEP_RECEIVE, 0},
        {0, STEP_CONNECT, 1, STEP_SEND, 1, 3, 0, STEP_PUBLISH, 0, STEP_LEAVE, 1},
        {0, STEP_CONNECT, 0, STEP_CONNECT,
         1, STEP_SEND,    0, 0,
         0, STEP_SEND,    1, 0,
         0, STEP_RECEIVE, 1, STEP_CHANGE,
         0, STEP_PUBLISH, 0, STEP_RECEIVE,
         1, STEP_RECEIVE, 1, STEP_PUBLISH,
         0},
        {0, STEP_CONNECT, 2, STEP_RAW, 2, 0, 200, 3, STEP_RECEIVE, 2},
        /* Frames and packets; then packets alone; then a page of its own. */
        {0,
         STEP_CONNECT,
         0,
         STEP_SEND,
         0,
         8,
         0,
         STEP_SEND,
         0,
         12,
         0,
         STEP_RECEIVE,
         0,
         STEP_RECEIVE,
         0,
         STEP_SEND,
         0,
         5,
         0,
         STEP_PUT,
         0,
         1,
         STEP_SCRIBBLE,
         0,
         0,
         1,
         0,
         0,
         3,
         STEP_PUT,
         0,
         99},
        {0, STEP_CONNECT, 1, STEP_SEND, 1,        16,       0, STEP_SEND, 1,          4,
         0, STEP_STREAMS, 1, 3,         STEP_PUT, 1,        1, STEP_SEND, 1,          5,
         0, STEP_SEND,    1, 5,         0,        STEP_PUT, 1, 255,       STEP_LEAVE, 1},
        {0, STEP_CONNECT, 0, STEP_SEND, 0, 0, 2, 16, 0, 65, 80, 0, 1, STEP_RECEIVE, 0, STEP_PUBLISH,
         0},
        /* Somebody who holds everything, where frames are dropped and where they are waited for. */
        {0,
         STEP_CONNECT,
         0,
         STEP_SEND,
         0,
         128,
         0,
         STEP_RECEIVE,
         0,
         STEP_PUBLISH,
         0,
         STEP_SCRIBBLE,
         0,
         7,
         STEP_PUBLISH,
         0,
         STEP_PUBLISH,
         0,
         STEP_PUBLISH,
         0,
         STEP_PUBLISH,
         0,
         STEP_PUBLISH,
         0},
        {1, STEP_CONNECT, 0, STEP_SEND,    0, 160,          0, STEP_RECEIVE,
         0, STEP_PUBLISH, 0, STEP_PUBLISH, 0, STEP_PUBLISH, 0, STEP_PUBLISH,
         0, STEP_PUBLISH, 0, STEP_PUBLISH, 0},
        {1, STEP_CONNECT, 1, STEP_SEND, 1, 32, 0, STEP_CHANGE, 0, STEP_PUBLISH, 0, STEP_CHANGE, 0,
         STEP_PUBLISH, 0, STEP_CHANGE, 0, STEP_PUBLISH, 0},
        {0,
         STEP_BY_NAME,
         0,
         STEP_SEND,
         0,
         0,
         0,
         STEP_RECEIVE,
         0,
         STEP_BY_NAME,
         1,
         STEP_SEND,
         1,
         3,
         0,
         STEP_PUBLISH,
         0,
         STEP_CROWD,
         0,
         STEP_LEAVE,
         0,
         STEP_CONNECT,
         2,
         STEP_RAW,
         2,
         0,
         255,
         0,
         STEP_CONNECT,
         0,
         STEP_RAW,
         0,
         0,
         9,
         255,
         STEP_PUBLISH,
         0},
        /* Names that are taken or none, more holds than there are, more subscribers. */
        {0, STEP_CONNECT, 0, STEP_SEND, 0, 15,  0, STEP_CONNECT, 1, STEP_SEND, 1, 7,
         0, STEP_CONNECT, 2, STEP_SEND, 2, 192, 0, STEP_CONNECT, 0, STEP_SEND, 0, 0,
         0, STEP_CONNECT, 1, STEP_SEND, 1, 0,   0, STEP_CONNECT, 2, STEP_SEND, 2, 0,
         0},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
