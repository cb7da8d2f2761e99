/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * GStreamer's unixfd protocol on both sides. The first byte says what the input is: a buffer's
 * message and the picture that it is to be of; caps; a connection's bytes and descriptors, as a
 * unixfdsink sends them; or the steps of clients of a channel that is offered.
 */
#include "base/fd.h"
#include "channel.h"
#include "common/report.h"
#include "unixfd/intake.h"
#include "unixfd/offer.h"
#include "unixfd/picture.h"

enum kind { KIND_BUFFER, KIND_CAPS, KIND_INTAKE, KIND_OFFER, KIND_COUNT };
enum { CLIENTS = 3, MOST_STEPS = 48, MOST_MESSAGES = 8, WIDTH = 64, HEIGHT = 18 };

/* Who is disconnected, and why, is for people. */
void report(const char *format, ...)
{
    (void)format;
}

/* ---- a buffer ---- */

static uint64_t size_of(const struct unixfd_buffer *buffer)
{
    uint64_t size = 0;

    for (uint32_t i = 0; i < buffer->memory_count; i++)
        size += buffer->memories[i].size;
    return size;
}

static void check_layout(const struct unixfd_buffer *buffer, const struct unixfd_picture *picture)
{
    cuframes_layout_t layout;

    if (!unixfd_buffer_layout(buffer, picture, &layout))
        return;
    FUZZ_REQUIRE(layout.size <= size_of(buffer));
    for (uint32_t i = 0; i < layout.plane_count; i++) {
        const cuframes_plane_layout_t *plane = &layout.planes[i];
        uint32_t row_bytes, rows;

        FUZZ_REQUIRE(cuframes_format_plane_size(picture->format, (int32_t)i, picture->width,
                                                picture->height, &row_bytes, &rows) == CUFRAMES_OK);
        FUZZ_REQUIRE(plane->pitch >= row_bytes && plane->rows >= rows);
        FUZZ_REQUIRE((unsigned __int128)plane->offset +
                         (unsigned __int128)plane->pitch * plane->rows <=
                     layout.size);
    }
}

static void take_buffer(const uint8_t *bytes, size_t size, const struct unixfd_picture *picture)
{
    struct unixfd_buffer buffer;

    if (!unixfd_decode_buffer(bytes, size, &buffer))
        return;
    FUZZ_REQUIRE(buffer.memory_count <= UNIXFD_MAX_MEMORIES);
    if (buffer.has_video)
        FUZZ_REQUIRE(buffer.video.plane_count <= CUFRAMES_MAX_PLANES &&
                     (uint32_t)buffer.video.format < CUFRAMES_FORMAT_COUNT);
    check_layout(&buffer, picture);
}

static void fuzz_buffer(struct script *script)
{
    const struct unixfd_picture picture = {
        .format = (cuframes_format_t)(take_byte(script) % CUFRAMES_FORMAT_COUNT),
        .width = 1 + take_byte(script),
        .height = 1 + take_byte(script)};

    take_buffer(script->at, (size_t)(script->end - script->at), &picture);
}

/* ---- caps ---- */

/* What was read and is written must be read the same way again. */
static void take_caps(const char *text)
{
    struct unixfd_picture picture, again;
    struct unixfd_message message;
    const char *why = NULL;

    if (unixfd_caps_parse(text, &picture, &why) != CUFRAMES_OK) {
        FUZZ_REQUIRE(why);
        return;
    }
    FUZZ_REQUIRE(picture.width >= 1 && picture.width <= CUFRAMES_MAX_DIMENSION);
    FUZZ_REQUIRE(picture.height >= 1 && picture.height <= CUFRAMES_MAX_DIMENSION);
    unixfd_encode_caps(&message, &picture);
    FUZZ_REQUIRE(unixfd_caps_parse((const char *)message.bytes + UNIXFD_HEADER_SIZE, &again,
                                   &why) == CUFRAMES_OK);
    FUZZ_REQUIRE(again.format == picture.format && again.width == picture.width &&
                 again.height == picture.height);
}

static void fuzz_caps(const struct script *script)
{
    size_t size = (size_t)(script->end - script->at);
    char *text = malloc(size + 1);

    FUZZ_REQUIRE(text);
    memcpy(text, script->at, size);
    text[size] = '\0';
    take_caps(text);
    free(text);
}

/* ---- what a sink sends ---- */

/* Records of the input: how many bytes, how many descriptors, the bytes. */
static void send_records(struct script *script, int socket)
{
    int fds[8];

    for (int i = 0; i < 8; i++)
        fds[i] = stray_descriptor();
    while (script->at < script->end) {
        size_t left, size = take_word(script) % 2048, fd_count = take_byte(script) % 9;

        left = (size_t)(script->end - script->at);
        if (size > left)
            size = left;
        if (size > 0)
            send_raw(socket, script->at, size, fds, fd_count);
        script->at += size;
    }
}

static void take_sent(const struct intake *intake)
{
    const struct unixfd_picture picture = {
        .format = CUFRAMES_FORMAT_NV12, .width = WIDTH, .height = HEIGHT};

    FUZZ_REQUIRE(intake->fds.count <= UNIXFD_MAX_MEMORIES);
    if (intake->command == UNIXFD_NEW_BUFFER)
        take_buffer(intake->payload, intake->payload_size, &picture);
    else if (intake->command == UNIXFD_CAPS && intake->payload_size > 0 &&
             intake->payload[intake->payload_size - 1] == '\0')
        take_caps((const char *)intake->payload);
}

static void fuzz_intake(struct script *script)
{
    struct intake intake;
    const char *why = NULL;
    int ends[2];

    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    intake_open(&intake, ends[0]);
    send_records(script, ends[1]);
    /* With nobody there any more, half a message is not waited for. */
    close(ends[1]);
    for (int i = 0; i < MOST_MESSAGES && intake_next(&intake, 0, &why) == INTAKE_MESSAGE; i++)
        take_sent(&intake);
    intake_close(&intake);
}

/* ---- what clients of an offer send ---- */

enum step {
    STEP_CONNECT,
    STEP_OFFER,
    STEP_RELEASE,
    STEP_RAW,
    STEP_RECEIVE,
    STEP_LEAVE,
    STEP_COUNT
};

/* Made once: a process has one channel for all inputs. */
static cuframes_publisher_t *publisher;
static cuframes_subscriber_t *subscriber;

static void make_channel(void)
{
    static const cuframes_publisher_config_t config = {.key = "fuzz",
                                                       .width = WIDTH,
                                                       .height = HEIGHT,
                                                       .format = CUFRAMES_FORMAT_NV12,
                                                       .ring_size = 8,
                                                       .memory = CUFRAMES_MEMORY_HOST,
                                                       .flags = CUFRAMES_PUBLISHER_NO_SOCKET};
    static const cuframes_subscriber_config_t wanted = {.max_holds = 4,
                                                        .flags = CUFRAMES_SUBSCRIBER_FRAME_FD};

    if (publisher)
        return;
    FUZZ_REQUIRE(cuframes_publisher_create(&config, &publisher) == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_subscriber_create_from_fd(&wanted, channel_connect(publisher),
                                                    &subscriber) == CUFRAMES_OK);
    /* What was sent with the answer is closed by then. */
    channel_settle(publisher);
}

static void offer_one(struct offer *offer, bool no_hold)
{
    cuframes_channel_info_t info;
    cuframes_frame_t *frame;
    void *data;

    FUZZ_REQUIRE(cuframes_publisher_acquire(publisher, &data) == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_publisher_publish(publisher, NULL, 1) == CUFRAMES_OK);
    FUZZ_REQUIRE(cuframes_subscriber_info(subscriber, &info) == CUFRAMES_OK);
    if (cuframes_subscriber_next(subscriber, NULL, &frame, 1000) == CUFRAMES_OK)
        FUZZ_REQUIRE(offer_frame(offer, frame, &info, no_hold) == CUFRAMES_OK);
}

static bool is_full(void)
{
    cuframes_subscriber_stats_t stats;

    cuframes_subscriber_stats(subscriber, &stats);
    return stats.held + 1 >= stats.max_holds;
}

static void receive(int socket)
{
    uint8_t bytes[4096];
    struct unixfd_fds fds = {.count = 0};

    unixfd_receive(socket, bytes, sizeof(bytes), &fds);
    unixfd_close(&fds);
}

static void send_release(struct script *script, int socket)
{
    struct unixfd_message message;

    unixfd_encode_release(&message, take_byte(script) % 16);
    scribble(script, message.bytes, message.size);
    send_raw(socket, message.bytes, message.size, NULL, 0);
}

static void serve(struct offer *offer)
{
    struct pollfd polls[OFFER_MAX_CLIENTS];
    int count = offer_poll(offer, polls);

    if (count > 0 && poll(polls, (nfds_t)count, 0) > 0)
        offer_serve(offer, polls, count);
}

static void do_step(struct script *script, struct offer *offer, int *sockets)
{
    enum step step = take_byte(script) % STEP_COUNT;
    int *socket = &sockets[take_byte(script) % CLIENTS];
    int ends[2];

    if (step == STEP_OFFER) {
        offer_one(offer, is_full());
    } else if (step == STEP_CONNECT && *socket < 0) {
        FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0);
        offer_add_client(offer, ends[0]);
        *socket = ends[1];
    } else if (*socket >= 0) {
        if (step == STEP_RELEASE) {
            send_release(script, *socket);
        } else if (step == STEP_RAW) {
            uint8_t bytes[32] = {UNIXFD_EOS + 1, 0, 0, 0, 8};
            const int fds[1] = {stray_descriptor()};

            scribble(script, bytes, sizeof(bytes));
            send_raw(*socket, bytes, 1 + take_byte(script) % sizeof(bytes), fds,
                     take_byte(script) % 2);
        } else if (step == STEP_LEAVE) {
            cf_close(socket);
        } else {
            receive(*socket);
        }
    }
    serve(offer);
}

static void fuzz_offer(struct script *script)
{
    const uint8_t kind = take_byte(script);
    const struct offer_settings settings = {
        .max_clients = CLIENTS, .max_frames = 1 + (kind & 3), .copy = kind & 4};
    struct offer *offer = offer_new(&settings);
    cuframes_subscriber_stats_t stats;
    int sockets[CLIENTS] = {-1, -1, -1};

    FUZZ_REQUIRE(offer);
    for (int i = 0; i < MOST_STEPS && script->at < script->end; i++)
        do_step(script, offer, sockets);
    if (kind & 8)
        offer_end(offer);
    offer_free(offer);
    for (int i = 0; i < CLIENTS; i++)
        cf_close(&sockets[i]);
    cuframes_subscriber_stats(subscriber, &stats);
    FUZZ_REQUIRE(stats.held == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct script script = {data, data + size};
    const enum kind kind = take_byte(&script) % KIND_COUNT;
    int before;

    stray_descriptor();
    make_channel();
    before = count_descriptors();
    if (kind == KIND_BUFFER)
        fuzz_buffer(&script);
    else if (kind == KIND_CAPS)
        fuzz_caps(&script);
    else if (kind == KIND_INTAKE)
        fuzz_intake(&script);
    else
        fuzz_offer(&script);
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

/* ---- honest inputs ---- */

static void honest_buffer(struct unixfd_message *message, bool with_metas)
{
    const struct unixfd_buffer buffer = {
        .id = 3,
        .memory_count = 1,
        .memories = {{.size = 64 * 27}},
        .has_video = with_metas,
        .video = {.format = CUFRAMES_FORMAT_NV12,
                  .width = WIDTH,
                  .height = HEIGHT,
                  .plane_count = 2,
                  .offset = {0, 64 * 18},
                  .stride = {64, 64}},
        .has_capture = with_metas,
        .capture_ns = 1,
    };

    unixfd_encode_buffer(message, &buffer);
}

static size_t record(uint8_t *data, const struct unixfd_message *message, uint8_t fd_count)
{
    data[0] = (uint8_t)message->size;
    data[1] = (uint8_t)(message->size >> 8);
    data[2] = fd_count;
    memcpy(data + 3, message->bytes, message->size);
    return 3 + message->size;
}

static size_t honest_sink(uint8_t *data)
{
    const struct unixfd_picture picture = {
        .format = CUFRAMES_FORMAT_NV12, .width = WIDTH, .height = HEIGHT};
    struct unixfd_message message;
    size_t size = 1;

    data[0] = KIND_INTAKE;
    unixfd_encode_caps(&message, &picture);
    size += record(data + size, &message, 0);
    honest_buffer(&message, true);
    size += record(data + size, &message, 1);
    unixfd_encode_eos(&message);
    return size + record(data + size, &message, 0);
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    static const char *const caps[] = {
        "video/x-raw, format=(string)NV12, width=(int)34, height=(int)18, "
        "framerate=(fraction)30000/1001, pixel-aspect-ratio=(fraction)4/3, "
        "colorimetry=(string)bt709",
        "video/x-raw(memory:SystemMemory), format=RGB, width=1, height=2, colorimetry=1:1:7:1",
        "video/x-raw(memory:DMABuf), format=RGB",
        "audio/x-raw",
    };
    static const uint8_t clients[][32] = {
        {KIND_OFFER,
         8,
         STEP_CONNECT,
         0,
         STEP_OFFER,
         0,
         STEP_RECEIVE,
         0,
         STEP_RELEASE,
         0,
         0,
         0,
         STEP_OFFER,
         0,
         STEP_RAW,
         0,
         0,
         15,
         0,
         STEP_LEAVE,
         0},
        {KIND_OFFER, 7, STEP_CONNECT, 0, STEP_CONNECT, 1, STEP_OFFER,   0, STEP_OFFER,   0,
         STEP_OFFER, 0, STEP_OFFER,   0, STEP_OFFER,   0, STEP_RECEIVE, 1, STEP_RELEASE, 1,
         1,          0},
        {KIND_OFFER, 3, STEP_CONNECT, 2, STEP_OFFER, 0, STEP_OFFER, 0, STEP_OFFER, 0, STEP_OFFER, 0,
         STEP_OFFER, 0, STEP_RAW, 2, 0, 15, 1},
    };
    struct unixfd_message message;

    if (index < 2) {
        honest_buffer(&message, index == 1);
        data[0] = KIND_BUFFER;
        data[1] = CUFRAMES_FORMAT_NV12;
        data[2] = WIDTH - 1;
        data[3] = HEIGHT - 1;
        memcpy(data + 4, message.bytes + UNIXFD_HEADER_SIZE, message.size - UNIXFD_HEADER_SIZE);
        return 4 + message.size - UNIXFD_HEADER_SIZE;
    }
    if (index < 6) {
        data[0] = KIND_CAPS;
        memcpy(data + 1, caps[index - 2], strlen(caps[index - 2]));
        return 1 + strlen(caps[index - 2]);
    }
    if (index == 6)
        return honest_sink(data);
    if (index < 10) {
        memcpy(data, clients[index - 7], sizeof(clients[0]));
        return sizeof(clients[0]);
    }
    return 0;
}
