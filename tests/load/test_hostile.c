/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What hostile subscribers cost the others. Each attacker speaks the protocol and then does the worst
 * it can, as fast as it can, while an honest subscriber in another process measures how long after
 * publishing it is awake with the frame. The figure to compare with is not an idle machine but one
 * where as many processes are as busy and leave the channel alone: who may run on the machine may use
 * its processors.
 *
 * How long things took goes to the report, as medians of rounds in which attackers and neighbours
 * take turns. What is checked is that the honest subscriber gets every frame, whole, and that the
 * publisher's descriptors and memory stay within their limits.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel/publisher.h"
#include "harness/raw_client.h"
#include "harness/resources.h"
#include "integration/support.h"
#include "wire/record.h"

#define FRAMES      250 /* of a round */
#define ROUNDS      3
#define MOST_ROUNDS 1000
#define PACE_US     700
#define BEGIN_US    50000 /* after which attackers have done what they can do only at first */
#define ATTACKERS   2
#define SILENT      1000
/* What the publisher may have at once besides its own: connections that are no subscribers. */
#define MOST_EXTRA (CF_MAX_VISITORS + 16)
/* And memory, in KiB: docs/threat-model.md says what each connection costs. The allocator keeps some
 * of what was given back. */
#define MOST_EXTRA_KIB 8192

/* Shared with forks. */
struct board {
    atomic_int stop;
    atomic_uint frames;
    int64_t latency_ns[FRAMES];
};

static struct board *board;

static uint32_t random_word(void)
{
    static uint64_t state = 88172645463325252U;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

/* ---- attackers ---- */

/* One who burns as much and leaves the channel alone. */
static void neighbour(void)
{
    static volatile uint32_t page[1024];

    while (!atomic_load(&board->stop))
        for (int i = 0; i < 4096; i++)
            page[random_word() % 1024] += random_word();
}

/* The address of the channel, tried until it lets somebody in. */
static int connect_somehow(void)
{
    int socket = -1;

    while (socket < 0 && !atomic_load(&board->stop))
        socket = raw_connect("cam", SOCK_SEQPACKET);
    return socket;
}

/* Attaches; false when it was refused, which is anybody's right. */
static bool attach_somehow(struct raw_client *client)
{
    struct cf_message message = {.type = CF_MSG_ATTACH};

    *client = (struct raw_client){.socket = connect_somehow()};
    if (client->socket < 0)
        return false;
    if (cf_connection_send(client->socket, &message, NULL, 0) == CUFRAMES_OK &&
        raw_receive(client->socket, &message, client->fds, &client->fd_count) == CUFRAMES_OK &&
        message.type == CF_MSG_ATTACHED &&
        cf_shm_attach("hold page", client->fds[CF_FD_HOLDS], sizeof(struct cf_hold_page),
                      CF_SHM_PEER_WRITES, &client->holds) == CUFRAMES_OK)
        return true;
    raw_detach(client);
    return false;
}

/* Random bytes all over its hold page; a new one when it was thrown out. */
static void scribble(void)
{
    struct raw_client client;

    while (!atomic_load(&board->stop)) {
        if (!attach_somehow(&client))
            continue;
        while (!atomic_load(&board->stop) && !cf_connection_hung_up(client.socket))
            for (int i = 0; i < 4096; i++)
                ((volatile uint32_t *)client.holds.addr)[random_word() % 1024] = random_word();
        raw_detach(&client);
    }
}

/* Holds on everything, also for a while after it was thrown out; never reads its socket. */
static void hold_everything(void)
{
    struct raw_client client;

    while (!atomic_load(&board->stop)) {
        if (!attach_somehow(&client))
            continue;
        while (!atomic_load(&board->stop) && !cf_connection_hung_up(client.socket))
            for (int i = 0; i < 4096; i++)
                atomic_store(&raw_page(&client)->holds[random_word() % CUFRAMES_MAX_SLOTS], 1);
        /* On a page that is not heeded any more. */
        for (int i = 0; i < 100000; i++)
            atomic_store(&raw_page(&client)->holds[random_word() % CUFRAMES_MAX_SLOTS], i);
        raw_detach(&client);
    }
}

/* Sets and clears its holds as fast as it can, so that they cannot be counted. */
static void flicker(void)
{
    struct raw_client client;

    while (!atomic_load(&board->stop)) {
        if (!attach_somehow(&client))
            continue;
        while (!atomic_load(&board->stop) && !cf_connection_hung_up(client.socket))
            for (int i = 0; i < 4096; i++)
                atomic_store(&raw_page(&client)->holds[random_word() % CUFRAMES_MAX_SLOTS],
                             random_word() % 2);
        raw_detach(&client);
    }
}

/* Claims to sleep and to poll, all the time, and never looks: each frame costs a wake-up call. */
static void never_awake(void)
{
    struct raw_client client;

    while (!atomic_load(&board->stop)) {
        if (!attach_somehow(&client))
            continue;
        while (!atomic_load(&board->stop) && !cf_connection_hung_up(client.socket))
            for (int i = 0; i < 4096; i++) {
                atomic_store(&raw_page(&client)->waiting, CF_WAITING_FUTEX | CF_WAITING_SOCKET);
                atomic_fetch_add(&raw_page(&client)->ack, 1);
            }
        raw_detach(&client);
    }
}

/* What it was sent: memory of all kinds, made by the publisher. Whatever is tried must fail. */
static void spoil_memory(int fd, bool own_page)
{
    void *second = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int again;
    char name[32];

    /* Its own page alone may be written, and mapped as often as it likes. */
    CHECK_EQ(second != MAP_FAILED, own_page);
    if (own_page) {
        memset(second, (int)random_word(), 4096);
        munmap(second, 4096);
    } else {
        CHECK_EQ(pwrite(fd, "x", 1, random_word() % 4096), -1);
    }
    CHECK_EQ(ftruncate(fd, 0), -1);
    CHECK_EQ(ftruncate(fd, INT32_MAX), -1);
    CHECK_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
    if (!own_page)
        CHECK_EQ(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
    again = open(name, O_RDWR | O_CLOEXEC);
    if (again >= 0) {
        CHECK_EQ(ftruncate(again, 0), -1);
        CHECK_EQ(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, again, 0) != MAP_FAILED,
                 own_page);
        close(again);
    }
}

/* Second maps, writes, truncation and holes, on all that it was sent, for frames and packets. */
static void spoil_what_it_was_sent(void)
{
    struct cf_message message;
    struct raw_client client;
    int fds[CF_WIRE_MAX_FDS];

    while (!atomic_load(&board->stop)) {
        size_t count = 0;

        if (!attach_somehow(&client))
            continue;
        for (size_t i = 0; i < client.fd_count; i++)
            spoil_memory(client.fds[i], i == CF_FD_HOLDS);
        message = (struct cf_message){.type = CF_MSG_PACKETS_ENABLE};
        /* The ring and a page, then the descriptions. */
        for (int i = 0; i < 2; i++) {
            if (cf_connection_send(client.socket, &message, NULL, 0) != CUFRAMES_OK ||
                raw_receive(client.socket, &message, fds, &count) != CUFRAMES_OK)
                break;
            for (size_t k = 0; k < count; k++) {
                spoil_memory(fds[k], k == CF_PACKETS_FD_PAGE);
                close(fds[k]);
            }
            message = (struct cf_message){.type = CF_MSG_PACKETS_ADOPTED};
        }
        raw_detach(&client);
    }
}

/* Random bytes all over its page for packets, and all the wake-ups that it can ask for. */
static void scribble_on_packet_page(void)
{
    struct cf_message message;
    struct raw_client client;
    int fds[CF_WIRE_MAX_FDS];

    while (!atomic_load(&board->stop)) {
        struct cf_map page = {0};
        size_t count = 0;

        if (!attach_somehow(&client))
            continue;
        message = (struct cf_message){.type = CF_MSG_PACKETS_ENABLE,
                                      .packets_enable.flags = CF_PACKETS_WAKE_SOCKET};
        if (cf_connection_send(client.socket, &message, NULL, 0) == CUFRAMES_OK &&
            raw_receive(client.socket, &message, fds, &count) == CUFRAMES_OK &&
            message.type == CF_MSG_PACKETS &&
            cf_shm_attach("page", fds[CF_PACKETS_FD_PAGE], sizeof(struct cf_packet_page),
                          CF_SHM_PEER_WRITES, &page) == CUFRAMES_OK)
            while (!atomic_load(&board->stop) && !cf_connection_hung_up(client.socket))
                for (int i = 0; i < 4096; i++)
                    ((volatile uint32_t *)page.addr)[random_word() % 1024] = random_word();
        cf_map_release(&page);
        for (size_t k = 0; k < count; k++)
            close(fds[k]);
        raw_detach(&client);
    }
}

/* A thousand connections that say nothing, again and again. */
static void keep_silent(void)
{
    static int sockets[SILENT];

    while (!atomic_load(&board->stop)) {
        for (int i = 0; i < SILENT; i++)
            sockets[i] = raw_connect("cam", SOCK_SEQPACKET);
        for (int i = 0; i < SILENT; i++)
            if (sockets[i] >= 0)
                close(sockets[i]);
    }
}

/* Half messages, wrong sizes and versions, descriptors by the hundred. */
static void talk_nonsense(void)
{
    int fds[CF_RECORD_MAX_FDS];

    for (int i = 0; i < CF_RECORD_MAX_FDS; i++)
        fds[i] = STDERR_FILENO;
    while (!atomic_load(&board->stop)) {
        uint8_t bytes[CF_WIRE_MAX_MESSAGE];
        int socket = connect_somehow();

        if (socket < 0)
            return;
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)random_word();
        memcpy(bytes, "CUF5", 4);
        bytes[4] = (uint8_t)(random_word() % 8);
        bytes[5] = 0;
        for (int i = 0; i < 4; i++)
            cf_record_send(socket, bytes, 1 + random_word() % (sizeof(bytes) - 1), fds,
                           random_word() % 2 ? random_word() % CF_RECORD_MAX_FDS : 0);
        close(socket);
    }
}

/* Questions without end. */
static void ask(void)
{
    struct cf_message message;

    while (!atomic_load(&board->stop)) {
        int socket = connect_somehow();

        if (socket < 0)
            return;
        message.type = random_word() % 2 ? CF_MSG_QUERY : CF_MSG_WATCH;
        cf_connection_send(socket, &message, NULL, 0);
        close(socket);
    }
}

struct attack {
    const char *name;
    void (*run)(void);
};

static const struct attack attacks[] = {
    {"random bytes all over the hold page", scribble},
    {"holds on everything, and back after each closing", hold_everything},
    {"holds that come and go too fast to be counted", flicker},
    {"claims to sleep, never looks", never_awake},
    {"second maps, writes, truncation and holes on all that it was sent", spoil_what_it_was_sent},
    {"random bytes all over the page for packets", scribble_on_packet_page},
    {"a thousand silent connections at a time", keep_silent},
    {"nonsense, and descriptors by the hundred", talk_nonsense},
    {"questions without end", ask},
};

static void be_a_process(struct test_peer *test, void *argument)
{
    const struct attack *attack = argument;

    test_say(test, 0);
    attack->run();
}

/* ---- the honest one ---- */

static void read_and_measure(struct test_peer *test, void *argument)
{
    cuframes_subscriber_t *reader = make_reader("cam", CUFRAMES_MODE_STRICT_ORDER);
    uint64_t next = 0;

    (void)argument;
    test_say(test, 0);
    for (int i = 0; i < FRAMES; i++) {
        cuframes_frame_t *frame = NULL;
        int64_t now;

        CHECK_OK(cuframes_subscriber_next(reader, NULL, &frame, test_patience_ms()));
        now = cuframes_now_ns();
        board->latency_ns[i] = now - cuframes_frame_published_ns(frame);
        check_pattern(frame);
        /* Whatever was announced arrives. */
        CHECK_EQ(cuframes_frame_missed(frame), 0U);
        CHECK_EQ(cuframes_frame_seq(frame), next++);
        cuframes_frame_release(frame);
        atomic_store(&board->frames, (unsigned)i + 1);
    }
    cuframes_subscriber_destroy(reader);
}

/* Of this process, memory that it shares with others included: KiB. */
static size_t memory_in_use(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");

    CHECK(file);
    CHECK_EQ(fscanf(file, "%*u %zu", &pages), 1);
    fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE) / 1024;
}

struct cost {
    size_t descriptors, memory_kib;
};

static void look_at_cost(struct cost *most)
{
    const size_t descriptors = test_count_descriptors(""), memory = memory_in_use();

    if (descriptors > most->descriptors)
        most->descriptors = descriptors;
    if (memory > most->memory_kib)
        most->memory_kib = memory;
}

static void send_packet(cuframes_publisher_t *publisher)
{
    static const uint8_t bytes[2000];

    CHECK_OK(cuframes_publisher_publish_packet(publisher, bytes, sizeof(bytes), 0, 0,
                                               CUFRAMES_PKT_FLAG_KEY));
}

/* Publishes at its pace, frames and packets; a frame that finds no slot is counted by the library and
 * left out. */
static void publish_all(cuframes_publisher_t *publisher, struct cost *most)
{
    for (unsigned sent = 0; sent < FRAMES;) {
        cuframes_frame_meta_t meta = {.pts_ns = sent};
        cuframes_buffer_t *buffer;

        usleep(PACE_US);
        /* The honest one keeps up, so that its own lateness is not taken for an attack: what it has
         * not read yet is the newest frame alone, which no lack of slots can push out. */
        WAIT_FOR(atomic_load(&board->frames) + 1 >= sent, test_patience_ms());
        if (cuframes_publisher_acquire_buffer(publisher, &buffer) != CUFRAMES_OK)
            continue;
        fill_pattern(cuframes_buffer_data(buffer), cuframes_buffer_layout(buffer)->size,
                     meta.pts_ns);
        CHECK_OK(cuframes_publisher_publish_buffer(publisher, buffer, NULL, &meta, NULL));
        cuframes_buffer_unref(buffer);
        send_packet(publisher);
        if (++sent % 50 == 0)
            look_at_cost(most);
    }
}

static int by_size(const void *a, const void *b)
{
    const int64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

struct result {
    double p50_us, p99_us;
    uint64_t dropped;
    struct cost cost;
};

static struct result measure(const struct attack *attack)
{
    cuframes_publisher_config_t config = small_config("cam");
    const cuframes_packet_ring_options_t ring = {.data_size = 65536, .codec_id = 27};
    struct test_resources resources;
    struct cost before = {0};
    cuframes_publisher_t *publisher;
    struct test_peer honest, processes[ATTACKERS];
    struct result result = {.p50_us = 0};

    memset(board, 0, sizeof(*board));
    config.ring_size = 16;
    config.max_holds = 2;
    publisher = make_publisher(&config);
    CHECK_OK(cuframes_publisher_enable_packets(publisher, &ring));
    CHECK_OK(cuframes_publisher_set_codec_extradata(publisher, "x", 1));
    test_resources_take(&resources);
    test_spawn(&honest, read_and_measure, NULL, NULL);
    CHECK_HEAR(&honest, 0);
    for (int i = 0; i < ATTACKERS; i++) {
        test_spawn(&processes[i], be_a_process, (void *)(uintptr_t)attack, NULL);
        CHECK_HEAR(&processes[i], 0);
    }
    look_at_cost(&before);
    usleep(BEGIN_US);
    publish_all(publisher, &result.cost);
    atomic_store(&board->stop, 1);
    test_join(&honest);
    for (int i = 0; i < ATTACKERS; i++)
        test_join(&processes[i]);
    result.dropped = publisher_stats(publisher).dropped;
    CHECK_LE(result.cost.descriptors, resources.descriptor_count + MOST_EXTRA);
    CHECK_LE(result.cost.memory_kib, before.memory_kib + MOST_EXTRA_KIB);
    result.cost.descriptors -= resources.descriptor_count;
    result.cost.memory_kib -= before.memory_kib;
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, test_patience_ms());
    WAIT_FOR(test_count_descriptors("") <= resources.descriptor_count + 1, test_patience_ms());
    CHECK_EQ(publisher_stats(publisher).slots_held, 0U);
    test_resources_free(&resources);
    cuframes_publisher_destroy(publisher);
    qsort(board->latency_ns, FRAMES, sizeof(board->latency_ns[0]), by_size);
    result.p50_us = (double)board->latency_ns[FRAMES / 2] / 1e3;
    result.p99_us = (double)board->latency_ns[FRAMES * 99 / 100] / 1e3;
    return result;
}

static int by_ratio(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(values[0]), by_ratio);
    return values[count / 2];
}

static void take_most(struct cost *most, const struct cost *cost)
{
    if (cost->descriptors > most->descriptors)
        most->descriptors = cost->descriptors;
    if (cost->memory_kib > most->memory_kib)
        most->memory_kib = cost->memory_kib;
}

/* Calm and storm take turns, so that what else the machine does meets both; for $CUFRAMES_TEST_SECONDS,
 * ROUNDS at least. */
static void compare(const struct attack *attack)
{
    static const struct attack quiet = {"busy processes that leave the channel alone", neighbour};
    static double p50[MOST_ROUNDS], p99[MOST_ROUNDS], p50_ratio[MOST_ROUNDS],
        p99_ratio[MOST_ROUNDS];
    const int64_t end = cuframes_now_ns() + test_seconds(0) * INT64_C(1000000000);
    struct cost most = {0};
    uint64_t dropped = 0;
    int n = 0;

    for (; n < MOST_ROUNDS && (n < ROUNDS || cuframes_now_ns() < end); n++) {
        struct result calm = measure(&quiet), storm = measure(attack);

        p50[n] = storm.p50_us;
        p99[n] = storm.p99_us;
        p50_ratio[n] = storm.p50_us / calm.p50_us;
        p99_ratio[n] = storm.p99_us / calm.p99_us;
        dropped += storm.dropped;
        take_most(&most, &storm.cost);
    }
    test_report("%d x %s: publish to awake p50 %.0f us, p99 %.0f us; %.2f and %.2f times that "
                "beside busy neighbours; %d frames read, 0 torn, 0 missed, %llu found no slot; at "
                "most %zu descriptors and %zu KiB more\n",
                ATTACKERS, attack->name, median(p50, n), median(p99, n), median(p50_ratio, n),
                median(p99_ratio, n), FRAMES * n, (unsigned long long)dropped, most.descriptors,
                most.memory_kib);
}

TEST(hostile_subscribers_are_nobody_elses_concern, .timeout_s = 100000)
{
    board = mmap(NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(board != MAP_FAILED);
    for (size_t i = 0; i < sizeof(attacks) / sizeof(attacks[0]); i++)
        compare(&attacks[i]);
    munmap(board, sizeof(*board));
}
