/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fake_publisher.h"

#include <unistd.h>

#include <cuframes/cuframes.h>

#include "base/fd.h"

/* Changes to a message's descriptors; bits of a byte of the script. */
enum { HONEST = 1, WITH_WAKE_SOCKET = 2, OF_EACH_SLOT = 4, STREAMS_FOLLOW = 4 };

void fake_init(struct fake_publisher *fake)
{
    *fake = (struct fake_publisher){.socket = -1, .wake_socket = -1};
    fake->frames.control_fd = fake->frames.holds_fd = -1;
    fake->packets.ring_fd = fake->packets.page_fd = -1;
    /* Made here for the first time, not while a target counts. */
    stray_descriptor();
}

/* ---- memory ---- */

static void drop_frames(struct fake_frames *frames)
{
    cf_map_release(&frames->control);
    cf_map_release(&frames->holds);
    cf_close(&frames->control_fd);
    cf_close(&frames->holds_fd);
    cf_memory_destroy(frames->frames);
    frames->frames = NULL;
}

static void make_frames(struct fake_publisher *fake)
{
    struct fake_frames *frames = &fake->frames;

    drop_frames(frames);
    FUZZ_REQUIRE(cf_shm_create("control", cf_ring_size(FAKE_SLOTS), CF_SHM_MAKER_WRITES,
                               &frames->control_fd, &frames->control) == CUFRAMES_OK);
    FUZZ_REQUIRE(cf_shm_create("holds", sizeof(struct cf_hold_page), CF_SHM_PEER_WRITES,
                               &frames->holds_fd, &frames->holds) == CUFRAMES_OK);
    FUZZ_REQUIRE(cf_host_create(FAKE_SLOTS * FAKE_STRIDE, &frames->frames) == CUFRAMES_OK);
    cf_writer_init(&frames->writer, frames->control.addr, FAKE_SLOTS, ++fake->generation);
    cf_writer_start(&frames->writer, 0);
}

static void drop_packets(struct fake_packets *packets)
{
    cf_map_release(&packets->ring);
    cf_map_release(&packets->page);
    cf_close(&packets->ring_fd);
    cf_close(&packets->page_fd);
}

static void make_packets(struct fake_publisher *fake, uint32_t index_size)
{
    struct fake_packets made = {.ring_fd = -1, .page_fd = -1};
    const size_t size = cf_packet_ring_size(index_size, FAKE_DATA_SIZE);

    FUZZ_REQUIRE(cf_shm_create("packets", size, CF_SHM_MAKER_WRITES, &made.ring_fd, &made.ring) ==
                 CUFRAMES_OK);
    FUZZ_REQUIRE(cf_shm_create("packet page", sizeof(struct cf_packet_page), CF_SHM_PEER_WRITES,
                               &made.page_fd, &made.page) == CUFRAMES_OK);
    cf_packet_writer_init(&made.writer, made.ring.addr, FAKE_DATA_SIZE, index_size,
                          FAKE_DATA_SIZE / 4, ++fake->ring_number, fake->first_packet);
    drop_packets(&fake->packets);
    fake->packets = made;
}

void fake_fini(struct fake_publisher *fake)
{
    drop_frames(&fake->frames);
    drop_packets(&fake->packets);
    cf_close(&fake->socket);
    cf_close(&fake->wake_socket);
}

/* ---- messages ---- */

/* Sends a message that is honest, but for bytes that the script changes. */
static void send_changed(const struct fake_publisher *fake, struct script *script,
                         const struct cf_message *message, const int *fds, size_t fd_count)
{
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size = cf_message_encode(message, bytes);

    scribble(script, bytes, size);
    send_raw(fake->socket, bytes, size, fds, fd_count);
}

/* Descriptors are honest most often; else one is another's, or they are another number. */
static size_t change_fds(struct script *script, uint8_t kind, int *fds, size_t fd_count)
{
    uint8_t change;

    if (kind & HONEST)
        return fd_count;
    change = take_byte(script);
    fds[fd_count] = stray_descriptor();
    fds[change % (fd_count + 1)] = fds[(change >> 3) % (fd_count + 1)];
    return change >> 6 ? fd_count : (change >> 3) % (fd_count + 2);
}

/* What the subscriber polls; its end is to be closed when it has been sent. */
static int make_wake_socket(struct fake_publisher *fake)
{
    int pair[2];

    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
    cf_close(&fake->wake_socket);
    fake->wake_socket = pair[0];
    return pair[1];
}

static void describe_frames(const struct fake_publisher *fake, struct cf_msg_attached *attached)
{
    *attached = (struct cf_msg_attached){
        .info = {.key = "cam",
                 .format = CUFRAMES_FORMAT_NV12,
                 .width = 48,
                 .height = 32,
                 .memory = CUFRAMES_MEMORY_HOST,
                 .slots = FAKE_SLOTS,
                 .generation = fake->generation,
                 .max_holds = FAKE_HOLDS},
        .name = "reader",
        .max_holds = FAKE_HOLDS,
        .control_size = fake->frames.control.size,
        .frames_size = FAKE_SLOTS * FAKE_STRIDE,
        .slot_stride = FAKE_STRIDE,
        .memory_count = 1,
    };
    cuframes_layout_init(&attached->info.layout, CUFRAMES_FORMAT_NV12, 48, 32, 0);
}

void fake_send_frames(struct fake_publisher *fake, struct script *script, enum cf_message_type type)
{
    struct cf_message message = {.type = type};
    uint8_t kind = take_byte(script);
    int fds[CF_FD_COUNT + FAKE_SLOTS];
    size_t fd_count = CF_FD_WAKE_SOCKET;
    int CF_CLOSE wake_socket = -1;

    make_frames(fake);
    describe_frames(fake, &message.attached);
    fds[CF_FD_CONTROL] = fake->frames.control_fd;
    fds[CF_FD_FRAMES] = fake->frames.frames->fd;
    fds[CF_FD_HOLDS] = fake->frames.holds_fd;
    if (kind & WITH_WAKE_SOCKET && type == CF_MSG_ATTACHED) {
        message.attached.flags = CF_ATTACH_WAKE_SOCKET;
        fds[fd_count++] = wake_socket = make_wake_socket(fake);
    }
    if (kind & OF_EACH_SLOT) {
        message.attached.info.memory = CUFRAMES_MEMORY_CUDA;
        message.attached.memory_count = FAKE_SLOTS;
        for (int i = 1; i < FAKE_SLOTS; i++)
            fds[fd_count++] = fake->frames.frames->fd;
    }
    fd_count = change_fds(script, kind, fds, fd_count);
    send_changed(fake, script, &message, fds, fd_count);
}

void fake_send_frameless(const struct fake_publisher *fake, struct script *script)
{
    const struct cf_message message = {
        .type = CF_MSG_ATTACHED,
        .attached = {.info = {.key = "cam", .notes = CUFRAMES_CHANNEL_PACKETS_ONLY},
                     .name = "reader",
                     .flags = CF_ATTACH_PACKETS_ONLY}};

    send_changed(fake, script, &message, NULL, 0);
}

static void take_over(struct fake_publisher *fake, uint32_t index_size)
{
    static const struct cf_packet_peers nobody;
    struct fake_packets before = fake->packets;

    if (before.ring.addr)
        fake->first_packet = before.writer.head;
    if (!before.ring.addr || before.scribbled || before.writer.index_size > index_size) {
        make_packets(fake, index_size);
        return;
    }
    fake->packets = (struct fake_packets){.ring_fd = -1, .page_fd = -1};
    fake->first_packet = before.writer.oldest;
    make_packets(fake, index_size);
    cf_packet_writer_take_over(&fake->packets.writer, &before.writer);
    cf_packet_writer_end(&before.writer, &nobody, CF_PACKET_RING_SUPERSEDED);
    drop_packets(&before);
}

void fake_send_packets(struct fake_publisher *fake, struct script *script,
                       enum cf_message_type type)
{
    struct cf_message message = {.type = type};
    uint8_t kind = take_byte(script);
    int fds[CF_PACKETS_FD_COUNT + 1];
    size_t fd_count = 1;
    int CF_CLOSE wake_socket = -1;

    take_over(fake, 4U << (kind >> 6));
    message.packets = (struct cf_msg_packets){.number = fake->ring_number,
                                              .memory_size = fake->packets.ring.size};
    fds[CF_PACKETS_FD_RING] = fake->packets.ring_fd;
    if (type == CF_MSG_PACKETS) {
        message.packets.generation = fake->packet_generation + (kind & STREAMS_FOLLOW ? 1 : 0);
        fds[fd_count++] = fake->packets.page_fd;
        if (kind & WITH_WAKE_SOCKET) {
            message.packets.flags = CF_PACKETS_WAKE_SOCKET;
            fds[fd_count++] = wake_socket = make_wake_socket(fake);
        }
    }
    fd_count = change_fds(script, kind, fds, fd_count);
    send_changed(fake, script, &message, fds, fd_count);
}

void fake_send_streams(struct fake_publisher *fake, struct script *script)
{
    static const uint8_t extradata[] = {1, 100, 0, 31, 255};
    cuframes_stream_t streams[2] = {
        {.codec_id = 27, .codec_name = "h264", .width = 48, .height = 32},
        {.type = CUFRAMES_STREAM_AUDIO, .codec_id = 86018, .sample_rate = 8000, .channels = 1},
    };
    uint8_t kind = take_byte(script);
    uint8_t bytes[CF_STREAMS_MAX_SIZE];
    int fds[2] = {-1};
    struct cf_message message = {.type = CF_MSG_STREAMS};

    if (kind & WITH_WAKE_SOCKET)
        fake->packet_generation = kind >> 2;
    streams[0].extradata = extradata;
    streams[0].extradata_size = sizeof(extradata);
    message.streams.generation = ++fake->packet_generation;
    message.streams.size = (uint32_t)cf_streams_encode(fake->packet_generation, streams,
                                                       1 + (kind & OF_EACH_SLOT ? 1 : 0), bytes);
    scribble(script, bytes, message.streams.size);
    FUZZ_REQUIRE(cf_shm_create_constant("streams", bytes, message.streams.size, &fds[0]) ==
                 CUFRAMES_OK);
    {
        int CF_CLOSE __attribute__((unused)) parameters = fds[0];
        size_t fd_count = change_fds(script, kind, fds, 1);

        send_changed(fake, script, &message, fds, fd_count);
    }
}

void fake_send_bytes(const struct fake_publisher *fake, struct script *script)
{
    struct cf_message message = {.type = CF_MSG_ERROR, .error = {.error = -8, .text = "no"}};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];
    size_t size = cf_message_encode(&message, bytes);

    scribble(script, bytes, size);
    if (take_byte(script) % 2)
        size = 1 + take_byte(script);
    send_raw(fake->socket, bytes, size, NULL, 0);
}

void fake_send_error(const struct fake_publisher *fake, int error)
{
    const struct cf_message message = {.type = CF_MSG_ERROR, .error = {.error = error}};
    uint8_t bytes[CF_WIRE_MAX_MESSAGE];

    send_raw(fake->socket, bytes, cf_message_encode(&message, bytes), NULL, 0);
}

/* ---- rings ---- */

void fake_publish_frame(struct fake_publisher *fake, struct script *script)
{
    static const struct cf_ring_peers nobody;
    static const uint8_t user[16] = "user data";
    const uint8_t kind = take_byte(script);
    struct cf_ring_meta meta = {.pts_ns = 7,
                                .crop = {kind & 1, kind & 2 ? 3 : 0, 40, 24},
                                .flags = kind & 4 ? CUFRAMES_FRAME_PACKET : 0,
                                .published_ns = kind & 32 ? 1000000000 : 0,
                                .packet_seq = fake->first_packet,
                                .user_size = kind & 8 ? sizeof(user) : 0,
                                .user = user};
    struct cf_ring_blocker blocker;
    uint32_t slot;

    if (!fake->frames.control.addr)
        return;
    slot = cf_writer_acquire(&fake->frames.writer, &nobody, false, &blocker);
    if (slot == CF_NO_SLOT)
        return;
    cf_writer_publish(&fake->frames.writer, &nobody, slot, &meta);
    cf_writer_unref(&fake->frames.writer, slot);
    if (kind & 16 && fake->wake_socket >= 0)
        (void)!send(fake->wake_socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void fake_publish_packet(struct fake_publisher *fake, struct script *script)
{
    const uint8_t kind = take_byte(script);
    const uint8_t bytes[FAKE_DATA_SIZE / 4] = {0, 0, 0, 1, 0x65};
    const struct cf_packet_meta meta = {
        .generation = fake->packet_generation + (kind & 128 ? 1 : 0),
        .flags = kind & 1 ? CUFRAMES_PKT_FLAG_KEY | CF_PACKET_FLAG_START : 0,
        .stream = kind >> 1 & 3,
        .published_ns = 1,
    };

    if (!fake->packets.ring.addr)
        return;
    cf_packet_writer_put(&fake->packets.writer, bytes, 1 + (uint32_t)(kind >> 3 & 15) * 34U, &meta);
    if (kind & 64 && fake->wake_socket >= 0)
        (void)!send(fake->wake_socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
}

void fake_scribble(struct fake_publisher *fake, struct script *script)
{
    const struct cf_map *maps[] = {&fake->frames.control, &fake->frames.holds,
                                   &fake->packets.ring,   &fake->packets.page,
                                   &fake->frames.control, &fake->packets.ring};
    /* Pages are larger than what lies in them. */
    const size_t sizes[] = {cf_ring_size(FAKE_SLOTS),      sizeof(struct cf_hold_page),
                            cf_packet_ring_size(4, 64),    sizeof(struct cf_packet_page),
                            sizeof(struct cf_ring_header), sizeof(struct cf_packet_ring_header)};
    const unsigned which = take_byte(script) % 6;

    if (maps[which] == &fake->packets.ring)
        fake->packets.scribbled = true;
    if (maps[which]->addr)
        scribble(script, maps[which]->addr, sizes[which]);
}

void fake_end_ring(struct fake_publisher *fake, struct script *script)
{
    static const struct cf_packet_peers no_readers;
    static const struct cf_ring_peers nobody;
    const uint8_t kind = take_byte(script);

    if (kind & 4 && fake->frames.holds.addr)
        cf_hold_page_revoke(fake->frames.holds.addr, CUFRAMES_ERR_EVICTED);
    else if (kind & 2 && fake->packets.ring.addr)
        cf_packet_writer_end(&fake->packets.writer, &no_readers,
                             kind & 1 ? CF_PACKET_RING_CLOSED : CF_PACKET_RING_SUPERSEDED);
    else if (fake->frames.control.addr)
        cf_writer_end(&fake->frames.writer, &nobody,
                      kind & 1 ? CF_RING_CLOSED : CF_RING_SUPERSEDED);
}
