/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publisher.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "wire/connection.h"

#define TICK_MS 4
/* Ticks after which "later" has come: frames and packets have been read. */
#define LATER 8

static const struct plot *const tables[] = {message_plots, frame_plots, packet_plots};
static const struct plot honest = {.name = "honest"};

/* A black picture of 64x48: parameter sets, then a key frame. */
static const uint8_t picture[] = {
    0x00, 0x00, 0x00, 0x01, 0x67, 0x42, 0xc0, 0x0a, 0xdc, 0x47, 0xb0, 0x11, 0x00, 0x00, 0x03,
    0x00, 0x01, 0x00, 0x00, 0x03, 0x00, 0x32, 0x0f, 0x12, 0x27, 0x80, 0x00, 0x00, 0x00, 0x01,
    0x68, 0xce, 0x0f, 0x2c, 0x80, 0x00, 0x00, 0x01, 0x65, 0x88, 0x84, 0x04, 0xbc, 0x98, 0xa0,
    0x00, 0x38, 0xa3, 0x27, 0x27, 0x27, 0x5d, 0x75, 0xd7, 0x5d, 0x75, 0xd7, 0x80,
};
#define PARAMETER_SETS 35

void give_up(const char *what)
{
    fprintf(stderr, "hostile_publisher: %s: %s\n", what, strerror(errno));
    _exit(3);
}

static void need(int err, const char *what)
{
    if (err == CUFRAMES_OK)
        return;
    fprintf(stderr, "hostile_publisher: %s: %s\n", what, cuframes_last_error());
    _exit(3);
}

uint32_t random_word(void)
{
    static uint64_t state = 88172645463325252U;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static void put_value(uint8_t *at, const struct plot *plot)
{
    for (uint32_t i = 0; i < plot->width; i++)
        at[plot->offset + i] = (uint8_t)(plot->value >> (8 * i));
}

/* The plot's turn, if it is its place. */
static void spoil(struct visit *visit, int where, void *memory)
{
    if (visit->plot->where != where)
        return;
    if (visit->plot->width > 0)
        put_value(memory, visit->plot);
    else
        visit->plot->act(visit);
}

/* ---- sending ---- */

/* Sends what is in visit->bytes with visit->fds. The reader may have had enough. */
void send_bytes(struct visit *visit)
{
    struct iovec part = {.iov_base = visit->bytes, .iov_len = visit->size};
    union {
        struct cmsghdr align;
        char room[CMSG_SPACE(sizeof(int) * MOST_FDS)];
    } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (visit->fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * visit->fd_count);
        control.align.cmsg_level = SOL_SOCKET;
        control.align.cmsg_type = SCM_RIGHTS;
        control.align.cmsg_len = CMSG_LEN(sizeof(int) * visit->fd_count);
        memcpy(CMSG_DATA(&control.align), visit->fds, sizeof(int) * visit->fd_count);
    }
    if (sendmsg(visit->socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 && errno != EAGAIN &&
        errno != ETOOMANYREFS)
        _exit(0);
}

/* Sends a message and closes the descriptors that went with it. */
static void say(struct visit *visit, const struct cf_message *message)
{
    if (visit->silent)
        return;
    visit->size = cf_message_encode(message, visit->bytes);
    spoil(visit, (int)message->type, visit->bytes);
    spoil(visit, AT_MESSAGE, visit->bytes);
    if (!visit->silent)
        send_bytes(visit);
    for (size_t i = 0; i < visit->fd_count; i++)
        cf_close(&visit->fds[i]);
    visit->fd_count = 0;
}

int make_memory(unsigned flags, size_t size, int seals)
{
    int fd = memfd_create("hostile", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags);

    if (fd < 0)
        give_up("memfd_create");
    if (ftruncate(fd, (off_t)size) != 0 || fcntl(fd, F_ADD_SEALS, seals) != 0)
        give_up("cannot seal memory");
    return fd;
}

void replace_fd(struct visit *visit, size_t index, int fd)
{
    if (fd < 0)
        give_up("no descriptor to send");
    cf_close(&visit->fds[index]);
    visit->fds[index] = fd;
    if (visit->fd_count <= index)
        visit->fd_count = index + 1;
}

/* ---- frames ---- */

static cuframes_channel_info_t describe(const struct visit *visit)
{
    cuframes_channel_info_t info = {
        .key = "cam",
        .format = visit->format,
        .width = visit->width,
        .height = visit->height,
        .memory = CUFRAMES_MEMORY_HOST,
        .slots = SLOTS,
        .generation = visit->generation,
        .fps_num = 25,
        .fps_den = 1,
        .ack_timeout_ms = 200,
        .max_holds = 2,
        .notes = CUFRAMES_CHANNEL_PACKETS,
        .stream_count = 1,
    };

    need(cuframes_layout_init(&info.layout, visit->format, visit->width, visit->height, 0),
         "layout");
    return info;
}

static void publish_frame(struct visit *visit)
{
    static const struct cf_ring_peers nobody;
    struct cf_ring_meta meta = {.pts_ns = visit->ticks * INT64_C(40000000),
                                .published_ns = cf_now_ns(),
                                .crop = {0, 0, visit->width, visit->height}};
    struct cf_ring_blocker blocker;
    uint32_t slot = cf_writer_acquire(&visit->writer, &nobody, false, &blocker);

    if (slot >= SLOTS)
        return;
    memset((uint8_t *)visit->frames.addr + (size_t)slot * SLOT_STRIDE, (int)visit->ticks,
           SLOT_STRIDE);
    cf_writer_publish(&visit->writer, &nobody, slot, &meta);
}

/* New memory, of which the descriptors are in visit->fds. */
static void make_frames(struct visit *visit)
{
    const uint64_t next = visit->writer.next_seq;

    cf_map_release(&visit->control);
    cf_map_release(&visit->frames);
    cf_map_release(&visit->holds);
    need(cf_shm_create("hostile-control", cf_ring_size(SLOTS), CF_SHM_MAKER_WRITES,
                       &visit->fds[CF_FD_CONTROL], &visit->control),
         "control memory");
    need(cf_shm_create("hostile-frames", SLOTS * SLOT_STRIDE, CF_SHM_MAKER_WRITES,
                       &visit->fds[CF_FD_FRAMES], &visit->frames),
         "frame memory");
    need(cf_shm_create("hostile-holds", sizeof(struct cf_hold_page), CF_SHM_PEER_WRITES,
                       &visit->fds[CF_FD_HOLDS], &visit->holds),
         "hold page");
    visit->fd_count = 3;
    visit->generation++;
    cf_writer_init(&visit->writer, visit->control.addr, SLOTS, visit->generation);
    cf_writer_start(&visit->writer, next);
    publish_frame(visit);
    spoil(visit, IN_CONTROL, visit->control.addr);
}

static void send_attached(struct visit *visit, enum cf_message_type type)
{
    struct cf_message message = {
        .type = type,
        .attached = {.name = "reader",
                     .max_holds = 2,
                     .slot_stride = SLOT_STRIDE,
                     .memory_count = 1,
                     .frames_size = SLOTS * SLOT_STRIDE,
                     .control_size = cf_page_round(cf_ring_size(SLOTS))},
    };

    make_frames(visit);
    message.attached.info = describe(visit);
    say(visit, &message);
    visit->has_frames = true;
}

void send_generation(struct visit *visit)
{
    static const struct cf_ring_peers nobody;

    if (visit->has_frames)
        cf_writer_end(&visit->writer, &nobody, CF_RING_SUPERSEDED);
    send_attached(visit, CF_MSG_GENERATION);
}

/* A reader of packets alone is sent no memory. */
static void send_attached_for_packets(struct visit *visit)
{
    struct cf_message message = {.type = CF_MSG_ATTACHED,
                                 .attached = {.name = "reader", .flags = CF_ATTACH_PACKETS_ONLY}};

    message.attached.info = describe(visit);
    say(visit, &message);
}

/* ---- packets ---- */

static void publish_packet(struct visit *visit)
{
    const struct cf_packet_meta meta = {
        .pts_ns = visit->ticks * INT64_C(40000000),
        .dts_ns = visit->ticks * INT64_C(40000000),
        .duration_ns = 40000000,
        .published_ns = cf_now_ns(),
        .generation = visit->packet_generation,
        .flags = CUFRAMES_PKT_FLAG_KEY | CF_PACKET_FLAG_START,
    };
    static const struct cf_packet_peers nobody;

    cf_packet_writer_put(&visit->packets, picture, sizeof(picture), &meta);
    cf_packet_writer_wake(&visit->packets, &nobody);
}

static void make_ring(struct visit *visit)
{
    const uint64_t next = visit->packets.head;

    cf_map_release(&visit->ring);
    need(cf_shm_create("hostile-packets", cf_packet_ring_size(INDEX_SIZE, DATA_SIZE),
                       CF_SHM_MAKER_WRITES, &visit->fds[CF_PACKETS_FD_RING], &visit->ring),
         "packet ring");
    visit->fd_count = 1;
    cf_packet_writer_init(&visit->packets, visit->ring.addr, DATA_SIZE, INDEX_SIZE, MAX_PACKET,
                          ++visit->ring_number, next);
    publish_packet(visit);
    spoil(visit, IN_RING, visit->ring.addr);
}

void send_streams(struct visit *visit)
{
    const cuframes_stream_t stream = {
        .type = CUFRAMES_STREAM_VIDEO,
        .codec_id = 27,
        .codec_name = "h264",
        .packaging = CUFRAMES_PACKAGING_ANNEX_B,
        .width = 64,
        .height = 48,
        .fps_num = 25,
        .fps_den = 1,
        .profile = 66,
        .level = 10,
        .extradata = picture,
        .extradata_size = PARAMETER_SETS,
    };
    uint8_t bytes[CF_STREAMS_MAX_SIZE];
    struct cf_message message = {.type = CF_MSG_STREAMS,
                                 .streams = {.generation = visit->packet_generation}};

    message.streams.size = (uint32_t)cf_streams_encode(visit->packet_generation, &stream, 1, bytes);
    spoil(visit, IN_PARAMETERS, bytes);
    need(cf_shm_create_constant("hostile-streams", bytes, message.streams.size, &visit->fds[0]),
         "parameters");
    visit->fd_count = 1;
    say(visit, &message);
}

void send_ring(struct visit *visit)
{
    struct cf_message message = {.type = CF_MSG_PACKET_RING};

    make_ring(visit);
    message.packets.number = visit->ring_number;
    message.packets.memory_size = visit->ring.size;
    say(visit, &message);
}

static void send_packets(struct visit *visit)
{
    struct cf_message message = {.type = CF_MSG_PACKETS};

    visit->packet_generation = 1;
    make_ring(visit);
    need(cf_shm_create("hostile-page", sizeof(struct cf_packet_page), CF_SHM_PEER_WRITES,
                       &visit->fds[CF_PACKETS_FD_PAGE], &visit->page),
         "packet page");
    visit->fd_count = 2;
    message.packets.number = visit->ring_number;
    message.packets.memory_size = visit->ring.size;
    message.packets.generation = visit->packet_generation;
    say(visit, &message);
    send_streams(visit);
    visit->has_packets = true;
}

/* ---- reports ---- */

static void send_report(struct visit *visit)
{
    struct cf_message message = {.type = CF_MSG_REPORT};

    message.report.info = describe(visit);
    message.report.stats = (cuframes_publisher_stats_t){
        .published = 7, .subscribers = 1, .frame_subscribers = 1, .newest_ns = cf_now_ns()};
    say(visit, &message);
    message = (struct cf_message){.type = CF_MSG_REPORT_STREAMS, .report_streams.count = 1};
    message.report_streams.streams[0].codec_id = 27;
    say(visit, &message);
    message = (struct cf_message){.type = CF_MSG_REPORT_SUBSCRIBERS,
                                  .subscribers = {.count = 1, .last = true}};
    strcpy(message.subscribers.subscribers[0].name, "reader");
    message.subscribers.subscribers[0].reads = 1;
    say(visit, &message);
}

/* ---- a visit ---- */

static void answer(struct visit *visit, const struct cf_message *asked)
{
    switch (asked->type) {
    case CF_MSG_ATTACH:
        if (asked->attach.flags & CF_ATTACH_PACKETS_ONLY)
            send_attached_for_packets(visit);
        else
            send_attached(visit, CF_MSG_ATTACHED);
        break;
    case CF_MSG_PACKETS_ENABLE:
        send_packets(visit);
        break;
    case CF_MSG_QUERY:
        send_report(visit);
        if (!visit->silent)
            _exit(0);
        break;
    default:
        break;
    }
}

static void tick(struct visit *visit)
{
    /* What must be refused stays the newest that there is. */
    const int last = visit->plot->refused ? visit->plot->where : 0;

    visit->ticks++;
    if (visit->has_frames && last != IN_CONTROL)
        publish_frame(visit);
    if (visit->has_packets && last != IN_RING)
        publish_packet(visit);
    if (visit->ticks < LATER)
        return;
    spoil(visit, AT_TICK, NULL);
    if (visit->has_frames)
        spoil(visit, IN_CONTROL_LATER, visit->control.addr);
    if (visit->has_packets)
        spoil(visit, IN_RING_LATER, visit->ring.addr);
}

_Noreturn static void receive_visit(const struct plot *plot, int socket)
{
    struct visit *visit = calloc(1, sizeof(*visit));

    if (!visit)
        give_up("no memory");
    *visit = (struct visit){
        .plot = plot, .socket = socket, .format = CUFRAMES_FORMAT_NV12, .width = 64, .height = 48};
    spoil(visit, AT_ACCEPT, visit->bytes);
    for (;;) {
        struct cf_message asked;
        int fds[CF_WIRE_MAX_FDS];
        size_t fd_count = 0;
        int err = cf_connection_receive(socket, &asked, fds, &fd_count,
                                        cf_now_ns() + TICK_MS * CF_NS_PER_MS);

        if (err == CUFRAMES_OK && !visit->silent)
            answer(visit, &asked);
        else if (err == CUFRAMES_ERR_TIMEOUT && !visit->silent)
            tick(visit);
        else if (err && err != CUFRAMES_ERR_TIMEOUT)
            _exit(0);
    }
}

/* ---- the program ---- */

static int listen_at(const char *dir, const char *key)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/%s.sock", dir, key);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
        listen(fd, 64) != 0)
        give_up(address.sun_path);
    return fd;
}

static const struct plot *find(const char *name)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct plot *plot = tables[i]; plot->name; plot++)
            if (strcmp(plot->name, name) == 0)
                return plot;
    if (strcmp(name, honest.name) == 0)
        return &honest;
    return NULL;
}

/* Whether those must refuse it whom it concerns: those who stay, if it comes later. */
static const char *outcome(const struct plot *plot)
{
    if (!plot->refused)
        return "any";
    return plot->where == AT_TICK || plot->where == IN_CONTROL_LATER || plot->where == IN_RING_LATER
               ? "refused-later"
               : "refused";
}

/* One plot a line: name, whom it concerns, and whether they must refuse. */
static int list(void)
{
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct plot *plot = tables[i]; plot->name; plot++)
            printf("%s %s%s%s %s\n", plot->name, plot->readers & FRAMES ? "f" : "",
                   plot->readers & PACKETS ? "p" : "", plot->readers & QUERIES ? "q" : "",
                   outcome(plot));
    return 0;
}

int main(int argc, char **argv)
{
    const struct plot *plot;
    int listener;

    if (argc == 2 && strcmp(argv[1], "--list") == 0)
        return list();
    if (argc != 4 || !(plot = find(argv[3]))) {
        fprintf(stderr, "usage: hostile_publisher DIR KEY PLOT, or --list\n");
        return 2;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGCHLD, SIG_IGN);
    listener = listen_at(argv[1], argv[2]);
    printf("listening\n");
    fflush(stdout);
    for (;;) {
        int socket = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

        if (socket < 0 && errno != EINTR)
            give_up("accept");
        if (socket >= 0 && fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            close(listener);
            receive_visit(plot, socket);
        }
        cf_close(&socket);
    }
}
