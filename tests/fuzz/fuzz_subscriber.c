/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber whose publisher is the input (fake_publisher.h): it answers, sends generations,
 * packet rings, streams and errors, scribbles on the shared memory, publishes, hangs up and comes
 * back, in any order and with any bytes changed. The subscriber takes what it can, touches all it
 * is given, and leaves nothing behind.
 *
 * Some inputs have the connection handed in, some connect by name and come back by name.
 */
#include <poll.h>
#include <pthread.h>

#include <cuframes/cuframes.h>

#include "base/fd.h"
#include "fake_publisher.h"
#include "place.h"

enum { MOST_STEPS = 64, MOST_PACKETS = 4 };

enum step {
    STEP_ANSWER,
    STEP_GENERATION,
    STEP_RAW,
    STEP_SCRIBBLE,
    STEP_PUBLISH,
    STEP_NEXT,
    STEP_RELEASE,
    STEP_ASK,
    STEP_PACKETS,
    STEP_PACKET_RING,
    STEP_STREAMS,
    STEP_PUT,
    STEP_ENABLE,
    STEP_NEXT_PACKET,
    STEP_END,
    STEP_HANG_UP,
    STEP_COME_BACK,
    STEP_FRAMELESS,
    STEP_COUNT,
};

/* Bits of the input's first byte. */
enum {
    IN_ORDER = 1,
    POLLS = 2,
    CAPPED = 4,
    PUBLISHED_BEFORE = 8,
    ANSWERED_BADLY = 16,
    PACKETS_ONLY = 32,
    BY_NAME = 64,
    FRAME_FD = 128,
};

struct play {
    struct script script;
    uint8_t kind;
    struct fake_publisher fake;
    int end; /* a copy of the subscriber's end of the connection; -1 = none */
    cuframes_subscriber_t *subscriber;
    cuframes_frame_t *held[FAKE_HOLDS];
    cuframes_packet_t *packets[MOST_PACKETS];
    bool enabled;
};

/* ---- what a program does with what it gets ---- */

static volatile uint8_t touched;

static void touch(const void *data, size_t size)
{
    if (size > 0)
        touched = (uint8_t)(((const volatile uint8_t *)data)[0] +
                            ((const volatile uint8_t *)data)[size - 1]);
}

static void use_planes(const cuframes_frame_t *frame)
{
    cuframes_plane_t plane;

    for (int32_t i = 0; cuframes_frame_plane(frame, i, &plane) == CUFRAMES_OK; i++) {
        FUZZ_REQUIRE(plane.rows > 0 && plane.row_bytes <= plane.pitch);
        touch(plane.data, (size_t)(plane.rows - 1) * plane.pitch + plane.row_bytes);
    }
    FUZZ_REQUIRE(cuframes_frame_plane_count(frame) <= CUFRAMES_MAX_PLANES);
    FUZZ_REQUIRE(cuframes_frame_layout(frame)->size == cuframes_frame_data_size(frame));
}

static void use_frame(const cuframes_frame_t *frame)
{
    cuframes_clock_source_t source;
    cuframes_color_t color;
    cuframes_rect_t crop;
    int32_t width, height;
    size_t size = 0;
    uint64_t offset, seq;
    const void *user = cuframes_frame_user_data(frame, &size);

    FUZZ_REQUIRE(size <= CUFRAMES_MAX_USER_DATA);
    touch(user, size);
    touch(cuframes_frame_data(frame), cuframes_frame_data_size(frame));
    FUZZ_REQUIRE(cuframes_frame_cuda_ptr(frame) == cuframes_frame_data(frame));
    FUZZ_REQUIRE(cuframes_frame_memory(frame) == CUFRAMES_MEMORY_HOST);
    use_planes(frame);
    cuframes_frame_size(frame, &width, &height);
    cuframes_frame_crop(frame, &crop);
    FUZZ_REQUIRE(width == crop.width && height == crop.height);
    FUZZ_REQUIRE(cuframes_frame_pitch_y(frame) >= width);
    FUZZ_REQUIRE(cuframes_frame_pitch_uv(frame) >= 0);
    FUZZ_REQUIRE(cuframes_frame_generation(frame) > 0);
    FUZZ_REQUIRE((uint32_t)cuframes_frame_format(frame) < CUFRAMES_FORMAT_COUNT);
    cuframes_frame_color(frame, &color);
    cuframes_frame_capture_ns(frame, &source);
    FUZZ_REQUIRE(color.range <= CUFRAMES_RANGE_FULL && source <= CUFRAMES_CLOCK_FILE);
    cuframes_frame_seq(frame);
    cuframes_frame_missed(frame);
    cuframes_frame_pts_ns(frame);
    cuframes_frame_published_ns(frame);
    FUZZ_REQUIRE((cuframes_frame_packet_seq(frame, &seq) == CUFRAMES_OK) ==
                 ((cuframes_frame_flags(frame) & CUFRAMES_FRAME_PACKET) != 0));
    cuframes_frame_fd(frame, &offset);
    cuframes_frame_check(frame);
}

static void take_next(struct play *play)
{
    const int32_t timeout_ms = take_byte(&play->script) % 16 == 15;

    for (int i = 0; i < FAKE_HOLDS + 1; i++) {
        cuframes_frame_t *extra, **frame = i < FAKE_HOLDS ? &play->held[i] : &extra;

        if (i < FAKE_HOLDS && *frame)
            continue;
        /* With all it may hold in its hands it gets nothing. */
        if (cuframes_subscriber_next(play->subscriber, NULL, frame, timeout_ms) != CUFRAMES_OK)
            return;
        use_frame(*frame);
        FUZZ_REQUIRE(i < FAKE_HOLDS);
        return;
    }
}

static void use_packet(const cuframes_packet_t *packet)
{
    const uint8_t *data = cuframes_packet_data(packet);
    size_t size = cuframes_packet_size(packet);
    cuframes_clock_source_t source;

    FUZZ_REQUIRE(size > 0 && size <= CF_PACKET_MAX_DATA_SIZE);
    touch(data, size + CF_PACKET_ALIGNMENT);
    for (int i = 0; i < CF_PACKET_ALIGNMENT; i++)
        FUZZ_REQUIRE(data[size + (size_t)i] == 0);
    FUZZ_REQUIRE(cuframes_packet_stream(packet) < CUFRAMES_MAX_STREAMS);
    FUZZ_REQUIRE(cuframes_packet_generation(packet) > 0);
    cuframes_packet_capture_ns(packet, &source);
    FUZZ_REQUIRE(source <= CUFRAMES_CLOCK_FILE);
    cuframes_packet_pts(packet);
    cuframes_packet_dts(packet);
    cuframes_packet_duration(packet);
    cuframes_packet_published_ns(packet);
    cuframes_packet_flags(packet);
    cuframes_packet_seq(packet);
    cuframes_packet_lost(packet);
}

static void use_streams(cuframes_subscriber_t *subscriber)
{
    int32_t count = cuframes_subscriber_stream_count(subscriber);
    const void *extradata;
    uint32_t codec;
    size_t size;

    FUZZ_REQUIRE(count <= CUFRAMES_MAX_STREAMS);
    for (int32_t i = 0; i < count; i++) {
        cuframes_stream_t stream;

        FUZZ_REQUIRE(cuframes_subscriber_stream(subscriber, i, &stream) == CUFRAMES_OK);
        FUZZ_REQUIRE(stream.extradata_size <= CUFRAMES_MAX_EXTRADATA);
        touch(stream.extradata, stream.extradata_size);
        FUZZ_REQUIRE(memchr(stream.codec_name, 0, sizeof(stream.codec_name)));
    }
    if (cuframes_subscriber_get_codec_params(subscriber, &codec, &extradata, &size) == CUFRAMES_OK)
        touch(extradata, size);
}

static void take_packet(struct play *play)
{
    const uint8_t what = take_byte(&play->script);
    cuframes_packet_t **packet = &play->packets[what % MOST_PACKETS];

    cuframes_subscriber_release_packet(play->subscriber, *packet);
    *packet = NULL;
    if (cuframes_subscriber_next_packet(play->subscriber, packet, what >> 4 == 15) == CUFRAMES_OK)
        use_packet(*packet);
    else
        FUZZ_REQUIRE(!*packet);
    if (what & 8)
        use_streams(play->subscriber);
}

static void ask(struct play *play)
{
    struct pollfd poller = {.fd = cuframes_subscriber_fd(play->subscriber), .events = POLLIN};
    cuframes_channel_info_t info;
    cuframes_subscriber_stats_t stats;

    cuframes_subscriber_info(play->subscriber, &info);
    cuframes_subscriber_stats(play->subscriber, &stats);
    FUZZ_REQUIRE(stats.held <= FAKE_HOLDS);
    poll(&poller, 1, 0);
}

/* ---- the connection ---- */

/*
 * Asking for packets waits for the answer, of which all that there will be is in the socket
 * already. So an error goes behind it; what the subscriber did not read is taken away again.
 */
static void enable(struct play *play)
{
    const uint8_t kind = take_byte(&play->script);
    const cuframes_packet_options_t options = {.start = (cuframes_packet_start_t)(kind % 3),
                                               .pre_roll_ms = kind & 4 ? 100 : 0,
                                               .streams = kind >> 5};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];

    if (play->end < 0)
        return;
    fake_send_error(&play->fake, CUFRAMES_ERR_TIMEOUT);
    cuframes_subscriber_enable_packets_from(play->subscriber, &options);
    while (recv(play->end, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
        continue;
}

static void hang_up(struct play *play)
{
    cf_close(&play->fake.socket);
    cf_close(&play->end);
}

/* Takes a connection that a subscriber has made by name. */
static void accept_one(struct play *play)
{
    int socket = place_accept();

    if (socket < 0)
        return;
    hang_up(play);
    play->fake.socket = socket;
}

static void do_step(struct play *play, enum step step)
{
    struct fake_publisher *fake = &play->fake;
    struct script *script = &play->script;
    int which;

    switch (step) {
    case STEP_ANSWER:
    case STEP_GENERATION:
        fake_send_frames(fake, script, step == STEP_ANSWER ? CF_MSG_ATTACHED : CF_MSG_GENERATION);
        break;
    case STEP_RAW:
        fake_send_bytes(fake, script);
        break;
    case STEP_SCRIBBLE:
        fake_scribble(fake, script);
        break;
    case STEP_PUBLISH:
        fake_publish_frame(fake, script);
        break;
    case STEP_NEXT:
        take_next(play);
        break;
    case STEP_RELEASE:
        which = take_byte(script) % FAKE_HOLDS;
        cuframes_frame_release(play->held[which]);
        play->held[which] = NULL;
        break;
    case STEP_ASK:
        ask(play);
        break;
    case STEP_PACKETS:
    case STEP_PACKET_RING:
        fake_send_packets(fake, script, step == STEP_PACKETS ? CF_MSG_PACKETS : CF_MSG_PACKET_RING);
        break;
    case STEP_STREAMS:
        fake_send_streams(fake, script);
        break;
    case STEP_PUT:
        fake_publish_packet(fake, script);
        break;
    case STEP_ENABLE:
        enable(play);
        break;
    case STEP_NEXT_PACKET:
        take_packet(play);
        break;
    case STEP_END:
        fake_end_ring(fake, script);
        break;
    case STEP_HANG_UP:
        hang_up(play);
        break;
    case STEP_COME_BACK:
        accept_one(play);
        break;
    default:
        fake_send_frameless(fake, script);
    }
}

static void answer(struct play *play)
{
    if (play->kind & PUBLISHED_BEFORE) {
        const uint8_t nothing = 0;
        struct script none = {&nothing, &nothing};

        fake_publish_frame(&play->fake, &none);
    }
    if (play->kind & ANSWERED_BADLY)
        do_step(play, STEP_RAW);
    else
        do_step(play, play->kind & PACKETS_ONLY ? STEP_FRAMELESS : STEP_ANSWER);
}

/* The publisher's side while a subscriber connects by name, which waits for its answer. */
static void *answer_by_name(void *arg)
{
    struct pollfd poller = {.fd = place.socket, .events = POLLIN};
    struct play *play = arg;

    poll(&poller, 1, 1000);
    accept_one(play);
    answer(play);
    return NULL;
}

static int create_by_name(struct play *play, cuframes_subscriber_config_t *config)
{
    pthread_t thread;
    int err;

    config->key = "cam";
    config->runtime_dir = place_directory;
    config->flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
    FUZZ_REQUIRE(pthread_create(&thread, NULL, answer_by_name, play) == 0);
    err = cuframes_subscriber_create(config, &play->subscriber);
    pthread_join(thread, NULL);
    return err;
}

static int create_over_socket(struct play *play, const cuframes_subscriber_config_t *config)
{
    int ends[2];

    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    play->fake.socket = ends[0];
    play->end = dup(ends[1]);
    FUZZ_REQUIRE(play->end >= 0);
    answer(play);
    return cuframes_subscriber_create_from_fd(config, ends[1], &play->subscriber);
}

static int create(struct play *play)
{
    const uint8_t kind = play->kind;
    cuframes_subscriber_config_t config = {
        .mode = kind & IN_ORDER ? CUFRAMES_MODE_STRICT_ORDER : CUFRAMES_MODE_NEWEST_ONLY,
        .flags = (kind & POLLS ? CUFRAMES_SUBSCRIBER_POLL : 0) |
                 (kind & PACKETS_ONLY ? CUFRAMES_SUBSCRIBER_PACKETS_ONLY : 0) |
                 (kind & FRAME_FD ? CUFRAMES_SUBSCRIBER_FRAME_FD : 0),
        .max_fps = kind & CAPPED ? 1000 : 0,
        .connect_timeout_ms = 2,
    };

    return kind & BY_NAME ? create_by_name(play, &config) : create_over_socket(play, &config);
}

static void let_go(struct play *play)
{
    for (int i = 0; i < FAKE_HOLDS; i++) {
        if (play->held[i])
            use_frame(play->held[i]);
        cuframes_frame_release(play->held[i]);
    }
    for (int i = 0; i < MOST_PACKETS; i++) {
        if (play->packets[i])
            use_packet(play->packets[i]);
        cuframes_subscriber_release_packet(NULL, play->packets[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}, .end = -1};
    int before;

    place_take();
    fake_init(&play.fake);
    before = count_descriptors();
    play.kind = take_byte(&play.script);
    if (create(&play) == CUFRAMES_OK) {
        for (int i = 0; i < MOST_STEPS && play.script.at < play.script.end; i++)
            do_step(&play, take_byte(&play.script) % STEP_COUNT);
        cuframes_subscriber_destroy(play.subscriber);
    }
    let_go(&play);
    cf_close(&play.end);
    fake_fini(&play.fake);
    place_refuse();
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    /* An honest answer (its kind and "no changes"), then what the name says. */
    static const uint8_t seeds[][48] = {
        {0, 1, 0, STEP_PUBLISH, 0, STEP_NEXT, 0, STEP_RELEASE, 0, STEP_PUBLISH, 0, STEP_NEXT, 0},
        {IN_ORDER, 1, 0, STEP_PUBLISH, 9, STEP_PUBLISH, 12, STEP_NEXT, 0, STEP_NEXT, 0,
         STEP_RELEASE, 1, STEP_ASK},
        {POLLS,           3, 0, STEP_NEXT, 0, STEP_PUBLISH, 16, STEP_NEXT, 0, STEP_END, 0,
         STEP_GENERATION, 1, 0, STEP_NEXT, 0, STEP_PUBLISH, 0,  STEP_NEXT, 0},
        {IN_ORDER | PUBLISHED_BEFORE, 1, 0, STEP_PUBLISH, 0, STEP_SCRIBBLE, 0, 1, 0x44, 0, 9,
         STEP_NEXT, 0, STEP_NEXT, 0},
        {CAPPED | FRAME_FD, 1, 0, STEP_PUBLISH, 32, STEP_NEXT, 0, STEP_RAW, 0, 0, STEP_NEXT, 0},
        {ANSWERED_BADLY, 0, 0},
        {IN_ORDER, 1, 0, STEP_PUBLISH, 0, STEP_NEXT, 0, STEP_END, 4, STEP_NEXT, 0, STEP_RELEASE, 0},
        {0, 5, 0, STEP_NEXT, 0},
        /* Packets: the answer and the description first, then the question. */
        {0, 1, 0, STEP_STREAMS, 1, 0, STEP_RAW, 0, 0, STEP_ENABLE, 0},
        {POLLS,
         3,
         0,
         STEP_PACKETS,
         7,
         0,
         STEP_STREAMS,
         5,
         0,
         STEP_ENABLE,
         0,
         STEP_NEXT_PACKET,
         8,
         STEP_PUT,
         1,
         STEP_PUT,
         0x48,
         STEP_NEXT_PACKET,
         0,
         STEP_NEXT_PACKET,
         9,
         STEP_ASK},
        {PACKETS_ONLY,
         0,
         STEP_PACKETS,
         5,
         0,
         STEP_STREAMS,
         1,
         0,
         STEP_PUT,
         1,
         STEP_PUT,
         0,
         STEP_PUT,
         1,
         STEP_ENABLE,
         1,
         STEP_NEXT_PACKET,
         8,
         STEP_NEXT_PACKET,
         1,
         STEP_STREAMS,
         1,
         0,
         STEP_PUT,
         9,
         STEP_NEXT_PACKET,
         2,
         STEP_NEXT_PACKET,
         10},
        {PACKETS_ONLY,
         0,
         STEP_PACKETS,
         5,
         0,
         STEP_STREAMS,
         1,
         0,
         STEP_PUT,
         1,
         STEP_ENABLE,
         0,
         STEP_PACKET_RING,
         65,
         0,
         STEP_PUT,
         1,
         STEP_NEXT_PACKET,
         0,
         STEP_NEXT_PACKET,
         1,
         STEP_END,
         3,
         STEP_NEXT_PACKET,
         2,
         STEP_HANG_UP,
         STEP_NEXT_PACKET,
         3},
        {0,
         1,
         0,
         STEP_PACKETS,
         5,
         0,
         STEP_STREAMS,
         1,
         0,
         STEP_ENABLE,
         1,
         STEP_PUT,
         121,
         STEP_PUT,
         121,
         STEP_PUT,
         121,
         STEP_PUT,
         121,
         STEP_PUT,
         121,
         STEP_PUT,
         121,
         STEP_NEXT_PACKET,
         0,
         STEP_NEXT_PACKET,
         0,
         STEP_SCRIBBLE,
         5,
         1,
         64,
         0,
         9,
         STEP_NEXT_PACKET,
         0},
        /* By name, and back. */
        {BY_NAME,
         1,
         0,
         STEP_PUBLISH,
         0,
         STEP_NEXT,
         0,
         STEP_HANG_UP,
         STEP_NEXT,
         0,
         STEP_NEXT,
         0,
         STEP_COME_BACK,
         STEP_ANSWER,
         1,
         0,
         STEP_PUBLISH,
         0,
         STEP_NEXT,
         0,
         STEP_NEXT,
         15},
        {BY_NAME | POLLS, 3,         0,
         STEP_HANG_UP,    STEP_NEXT, 0,
         STEP_NEXT,       0,         STEP_COME_BACK,
         STEP_RAW,        0,         0,
         STEP_NEXT,       0,         STEP_COME_BACK,
         STEP_ANSWER,     3,         0,
         STEP_NEXT,       15},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
