/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber whose publisher is the input: it answers, sends generations and errors, scribbles on
 * the shared memory, publishes, and hangs up, in any order and with any bytes changed. The
 * subscriber takes what it can, touches all it is given, and leaves nothing behind.
 */
#include <stdbool.h>

#include <cuframes/cuframes.h>

#include "base/fd.h"
#include "base/shm.h"
#include "memory/kinds.h"
#include "ring/writer.h"
#include "script.h"

enum { SLOTS = 3, STRIDE = 4096, MOST_STEPS = 64, MOST_HELD = 2 };

enum step {
    STEP_ANSWER,
    STEP_GENERATION,
    STEP_RAW,
    STEP_SCRIBBLE,
    STEP_PUBLISH,
    STEP_NEXT,
    STEP_RELEASE,
    STEP_ASK,
    STEP_COUNT,
};

/* The publisher's memory of one generation. */
struct ring_memory {
    int control_fd, holds_fd;
    struct cf_map control, holds;
    struct cf_memory *frames;
    struct cf_ring_writer writer;
};

struct play {
    struct script script;
    int socket; /* the publisher's end */
    struct ring_memory ring;
    uint32_t generation;
    cuframes_subscriber_t *subscriber;
    cuframes_frame_t *held[MOST_HELD];
};

static void make_ring(struct play *play)
{
    struct ring_memory *ring = &play->ring;

    FUZZ_REQUIRE(cf_shm_create("control", cf_ring_size(SLOTS), CF_SHM_MAKER_WRITES,
                               &ring->control_fd, &ring->control) == CUFRAMES_OK);
    FUZZ_REQUIRE(cf_shm_create("holds", sizeof(struct cf_hold_page), CF_SHM_PEER_WRITES,
                               &ring->holds_fd, &ring->holds) == CUFRAMES_OK);
    FUZZ_REQUIRE(cf_host_create(SLOTS * STRIDE, &ring->frames) == CUFRAMES_OK);
    cf_writer_init(&ring->writer, ring->control.addr, SLOTS, ++play->generation);
    cf_writer_start(&ring->writer, 0);
}

static void drop_ring(struct ring_memory *ring)
{
    cf_map_release(&ring->control);
    cf_map_release(&ring->holds);
    cf_close(&ring->control_fd);
    cf_close(&ring->holds_fd);
    cf_memory_destroy(ring->frames);
    ring->frames = NULL;
}

static void describe(const struct play *play, enum cf_message_type type, struct cf_message *message)
{
    *message = (struct cf_message){.type = type};
    message->attached = (struct cf_msg_attached){
        .info = {.key = "cam",
                 .format = CUFRAMES_FORMAT_NV12,
                 .width = 48,
                 .height = 32,
                 .memory = CUFRAMES_MEMORY_HOST,
                 .slots = SLOTS,
                 .generation = play->generation,
                 .max_holds = MOST_HELD},
        .name = "reader",
        .max_holds = MOST_HELD,
        .control_size = play->ring.control.size,
        .frames_size = SLOTS * STRIDE,
        .slot_stride = STRIDE,
        .memory_count = 1,
    };
    cuframes_layout_init(&message->attached.info.layout, CUFRAMES_FORMAT_NV12, 48, 32, 0);
}

/* A generation of its own with some of its bytes and descriptors changed. */
static void send_description(struct play *play, enum cf_message_type type)
{
    struct cf_message message;
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    uint8_t kind = take_byte(&play->script);
    int fds[4];
    size_t size;

    drop_ring(&play->ring);
    make_ring(play);
    describe(play, type, &message);
    size = cf_message_encode(&message, bytes);
    scribble(&play->script, bytes, size);
    fds[CF_FD_CONTROL] = play->ring.control_fd;
    fds[CF_FD_FRAMES] = play->ring.frames->fd;
    fds[CF_FD_HOLDS] = play->ring.holds_fd;
    fds[3] = stray_descriptor();
    if (kind & 4)
        fds[kind >> 3 & 3] = fds[kind >> 5 & 3];
    /* Three, most often. */
    send_raw(play->socket, bytes, size, fds, kind & 3 ? 3 : kind >> 3 & 3);
}

static void send_bytes(struct play *play)
{
    struct cf_message message = {.type = CF_MSG_ERROR, .error = {.error = -8, .text = "no"}};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size = cf_message_encode(&message, bytes);

    scribble(&play->script, bytes, size);
    if (take_byte(&play->script) % 2)
        size = 1 + take_byte(&play->script);
    send_raw(play->socket, bytes, size, NULL, 0);
}

/* On the memory that only a publisher writes. */
static void scribble_on_memory(struct play *play)
{
    if (take_byte(&play->script) % 4)
        scribble(&play->script, play->ring.control.addr, play->ring.control.size);
    else
        scribble(&play->script, play->ring.holds.addr, sizeof(struct cf_hold_page));
}

static void publish(struct play *play)
{
    static const struct cf_ring_peers nobody;
    struct cf_ring_meta meta = {.pts_ns = 7, .crop = {0, 0, 48, 32}, .user_size = 0};
    struct cf_ring_blocker blocker;
    uint32_t slot = cf_writer_acquire(&play->ring.writer, &nobody, false, &blocker);

    if (slot == CF_NO_SLOT)
        return;
    cf_writer_publish(&play->ring.writer, &nobody, slot, &meta);
    cf_writer_unref(&play->ring.writer, slot);
}

static volatile uint8_t touched;

static void touch(const void *data, size_t size)
{
    if (size > 0)
        touched = (uint8_t)(((const volatile uint8_t *)data)[0] +
                            ((const volatile uint8_t *)data)[size - 1]);
}

/* Everything that a program may do with a frame. */
static void use_frame(const cuframes_frame_t *frame)
{
    cuframes_clock_source_t source;
    cuframes_color_t color;
    cuframes_plane_t plane;
    cuframes_rect_t crop;
    int32_t width, height;
    size_t size = 0;
    const void *user = cuframes_frame_user_data(frame, &size);

    FUZZ_REQUIRE(size <= CUFRAMES_MAX_USER_DATA);
    touch(user, size);
    touch(cuframes_frame_data(frame), cuframes_frame_data_size(frame));
    for (int32_t i = 0; cuframes_frame_plane(frame, i, &plane) == CUFRAMES_OK; i++) {
        FUZZ_REQUIRE(plane.rows > 0 && plane.row_bytes <= plane.pitch);
        touch(plane.data, (size_t)(plane.rows - 1) * plane.pitch + plane.row_bytes);
    }
    FUZZ_REQUIRE(cuframes_frame_plane_count(frame) <= CUFRAMES_MAX_PLANES);
    FUZZ_REQUIRE(cuframes_frame_layout(frame)->size == cuframes_frame_data_size(frame));
    cuframes_frame_size(frame, &width, &height);
    cuframes_frame_crop(frame, &crop);
    FUZZ_REQUIRE(width == crop.width && height == crop.height);
    FUZZ_REQUIRE(cuframes_frame_pitch_y(frame) >= width);
    FUZZ_REQUIRE(cuframes_frame_generation(frame) > 0);
    cuframes_frame_color(frame, &color);
    cuframes_frame_capture_ns(frame, &source);
    FUZZ_REQUIRE(color.range <= CUFRAMES_RANGE_FULL && source <= CUFRAMES_CLOCK_FILE);
    cuframes_frame_check(frame);
}

static void take_next(struct play *play)
{
    for (int i = 0; i < MOST_HELD; i++) {
        if (play->held[i])
            continue;
        if (cuframes_subscriber_next(play->subscriber, NULL, &play->held[i], 0) != CUFRAMES_OK)
            return;
        use_frame(play->held[i]);
        return;
    }
}

static void ask(struct play *play)
{
    cuframes_channel_info_t info;
    cuframes_subscriber_stats_t stats;

    cuframes_subscriber_info(play->subscriber, &info);
    cuframes_subscriber_stats(play->subscriber, &stats);
    if (take_byte(&play->script) % 8 == 0)
        cf_close(&play->socket);
}

static void do_step(struct play *play, enum step step)
{
    int which;

    switch (step) {
    case STEP_ANSWER:
    case STEP_GENERATION:
        send_description(play, step == STEP_ANSWER ? CF_MSG_ATTACHED : CF_MSG_GENERATION);
        break;
    case STEP_RAW:
        send_bytes(play);
        break;
    case STEP_SCRIBBLE:
        scribble_on_memory(play);
        break;
    case STEP_PUBLISH:
        publish(play);
        break;
    case STEP_NEXT:
        take_next(play);
        break;
    case STEP_RELEASE:
        which = take_byte(&play->script) % MOST_HELD;
        cuframes_frame_release(play->held[which]);
        play->held[which] = NULL;
        break;
    default:
        ask(play);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}};
    const uint8_t kind = take_byte(&play.script);
    cuframes_subscriber_config_t config = {
        .mode = kind & 1 ? CUFRAMES_MODE_STRICT_ORDER : CUFRAMES_MODE_NEWEST_ONLY,
        .flags = kind & 2 ? CUFRAMES_SUBSCRIBER_POLL : 0,
        .max_fps = kind & 4 ? 1000 : 0,
        .connect_timeout_ms = 1,
    };
    int before, ends[2];

    stray_descriptor();
    before = count_descriptors();
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    play.socket = ends[0];
    make_ring(&play);
    if (kind & 8)
        publish(&play);
    do_step(&play, kind & 16 ? STEP_RAW : STEP_ANSWER);
    if (cuframes_subscriber_create_from_fd(&config, ends[1], &play.subscriber) == CUFRAMES_OK) {
        for (int i = 0; i < MOST_STEPS && play.script.at < play.script.end; i++)
            do_step(&play, take_byte(&play.script) % STEP_COUNT);
        cuframes_subscriber_destroy(play.subscriber);
    }
    for (int i = 0; i < MOST_HELD; i++) {
        if (play.held[i])
            use_frame(play.held[i]);
        cuframes_frame_release(play.held[i]);
    }
    drop_ring(&play.ring);
    cf_close(&play.socket);
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    /* An honest answer (its kind and "no changes"), then what the name says. */
    static const uint8_t seeds[][24] = {
        {0, 3, 0, STEP_PUBLISH, STEP_NEXT, STEP_RELEASE, 0, STEP_PUBLISH, STEP_NEXT},
        {1, 3, 0, STEP_PUBLISH, STEP_PUBLISH, STEP_NEXT, STEP_NEXT, STEP_RELEASE, 1, STEP_ASK, 1},
        {2, 3, 0, STEP_PUBLISH, STEP_NEXT, STEP_GENERATION, 3, 0, STEP_PUBLISH, STEP_NEXT},
        {9, 3, 0, STEP_PUBLISH, STEP_SCRIBBLE, 1, 1, 0x44, 0, 9, STEP_NEXT, STEP_NEXT},
        {4, 3, 0, STEP_RAW, 0, 0, STEP_NEXT, STEP_PUBLISH, STEP_NEXT},
        {16, 0, 0},
        {3, 3, 0, STEP_PUBLISH, STEP_NEXT, STEP_ASK, 0, STEP_NEXT, STEP_RELEASE, 0},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
