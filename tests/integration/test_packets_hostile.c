/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishers and readers of packets that mean harm. The publisher here is made by hand, in a process
 * of its own; the library's reader must refuse with a reason, or give what it can check, and neither
 * crash, leak nor hang.
 */
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "harness/raw_client.h"
#include "harness/resources.h"
#include "packet_support.h"
#include "ring/packet_writer.h"
#include "wire/streams.h"

#define DATA_SIZE  65536
#define INDEX_SIZE 16

/* What a reader is sent. */
struct offer {
    struct cf_message packets, streams;
    int fds[CF_PACKETS_FD_COUNT];
    size_t fd_count;
    int streams_fd;
    bool no_streams;
    struct cf_map ring, page;
    struct cf_packet_writer writer;
};

struct plot {
    void (*spoil)(struct offer *offer);                  /* before it is sent */
    void (*afterwards)(struct offer *offer, int socket); /* once it has been taken */
    bool late;                                           /* not sent before a word comes */
};

static struct cf_packet_ring_header *header_of(struct offer *o)
{
    return o->ring.addr;
}

static int make_streams(uint32_t generation, uint8_t *bytes, size_t *size)
{
    const cuframes_stream_t stream = {.codec_id = 27, .extradata = "abc", .extradata_size = 3};
    int fd = -1;

    *size = cf_streams_encode(generation, &stream, 1, bytes);
    CHECK_OK(cf_shm_create_constant("cuframes-streams", bytes, *size, &fd));
    return fd;
}

static void put(struct offer *o, uint32_t generation, uint8_t stream)
{
    const struct cf_packet_meta meta = {.generation = generation,
                                        .flags = CUFRAMES_PKT_FLAG_KEY | CF_PACKET_FLAG_START,
                                        .stream = stream};

    cf_packet_writer_put(&o->writer, "packet", 6, &meta);
}

/* An honest offer with one packet. */
static void make_offer(struct offer *o)
{
    const size_t size = cf_packet_ring_size(INDEX_SIZE, DATA_SIZE);
    uint8_t bytes[CF_STREAMS_MAX_SIZE];
    size_t streams_size;

    *o = (struct offer){.fd_count = 2};
    CHECK_OK(cf_shm_create("cuframes-packets", size, CF_SHM_MAKER_WRITES, &o->fds[0], &o->ring));
    CHECK_OK(cf_shm_create("cuframes-packet-page", sizeof(struct cf_packet_page),
                           CF_SHM_PEER_WRITES, &o->fds[1], &o->page));
    cf_packet_writer_init(&o->writer, header_of(o), DATA_SIZE, INDEX_SIZE, 1024, 1, 0);
    put(o, 1, 0);
    o->streams_fd = make_streams(1, bytes, &streams_size);
    o->packets =
        (struct cf_message){.type = CF_MSG_PACKETS,
                            .packets = {.number = 1, .memory_size = o->ring.size, .generation = 1}};
    o->streams = (struct cf_message){.type = CF_MSG_STREAMS,
                                     .streams = {.generation = 1, .size = (uint32_t)streams_size}};
}

static void send_with(int socket, const struct cf_message *message, const int *fds, size_t count)
{
    int err = cf_connection_send(socket, message, fds, count);

    /* The reader may have had enough. */
    if (err != CUFRAMES_ERR_DISCONNECTED)
        CHECK_OK(err);
}

static void run_plot(struct test_peer *test, void *argument)
{
    const struct plot *plot = argument;
    int listener = raw_listen("cam", SOCK_SEQPACKET), socket;
    struct cf_message message = {.type = CF_MSG_ATTACHED, .attached.flags = CF_ATTACH_PACKETS_ONLY};
    struct cf_message asked;
    struct offer o;

    test_say(test, 0);
    socket = CHECK_SYS(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
    CHECK_OK(raw_receive(socket, &asked, NULL, NULL));
    CHECK_EQ(asked.type, CF_MSG_ATTACH);
    CHECK_EQ(asked.attach.flags, (uint32_t)CF_ATTACH_PACKETS_ONLY);
    snprintf(message.attached.info.key, sizeof(message.attached.info.key), "cam");
    snprintf(message.attached.name, sizeof(message.attached.name), "reader");
    message.attached.info.notes = CUFRAMES_CHANNEL_PACKETS | CUFRAMES_CHANNEL_PACKETS_ONLY;
    send_with(socket, &message, NULL, 0);
    CHECK_OK(raw_receive(socket, &asked, NULL, NULL));
    CHECK_EQ(asked.type, CF_MSG_PACKETS_ENABLE);
    make_offer(&o);
    if (plot->late)
        CHECK_HEAR(test, 1);
    if (plot->spoil)
        plot->spoil(&o);
    send_with(socket, &o.packets, o.fds, o.fd_count);
    if (!o.no_streams)
        send_with(socket, &o.streams, &o.streams_fd, 1);
    if (plot->afterwards)
        plot->afterwards(&o, socket);
    test_hear_end(test);
}

static void spawn_plot(struct test_peer *peer, const struct plot *plot)
{
    struct plot copy = *plot;

    unlink(test_runtime_path("cam.sock"));
    test_spawn(peer, run_plot, &copy, NULL);
    CHECK_HEAR(peer, 0);
    test_may_remain("cam.sock");
}

static cuframes_subscriber_t *attach(void)
{
    const cuframes_subscriber_config_t config = {
        .key = "cam", .connect_timeout_ms = 5000, .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY};

    return make_subscriber(&config);
}

/* What enabling packets says: the offer is refused, nothing leaks, and the subscription is over. */
static void check_refused(const struct plot *plot)
{
    struct test_resources before;
    struct test_peer peer;
    cuframes_subscriber_t *reader;
    cuframes_packet_t *packet = NULL;

    spawn_plot(&peer, plot);
    test_resources_take(&before);
    reader = attach();
    CHECK_ERR(cuframes_subscriber_enable_packets(reader), CUFRAMES_ERR_PROTOCOL);
    CHECK(*cuframes_last_error());
    CHECK_ERR(cuframes_subscriber_next_packet(reader, &packet, 0), CUFRAMES_ERR_NO_PACKET_RING);
    CHECK_ERR(cuframes_subscriber_enable_packets(reader), CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
    CHECK_NO_LEAK(&before, "after a refused offer");
    test_resources_free(&before);
    test_join(&peer);
}

static void expect_hand_made(cuframes_subscriber_t *reader)
{
    cuframes_packet_t *packet = NULL;

    CHECK_OK(cuframes_subscriber_next_packet(reader, &packet, test_patience_ms()));
    CHECK_EQ(cuframes_packet_size(packet), 6U);
    CHECK_MEM_EQ(cuframes_packet_data(packet), "packet", 7);
    cuframes_subscriber_release_packet(reader, packet);
}

TEST(publisher_made_by_hand_is_understood)
{
    struct plot plot = {.spoil = NULL};
    cuframes_subscriber_t *reader;
    struct test_peer peer;

    spawn_plot(&peer, &plot);
    reader = attach();
    CHECK_OK(cuframes_subscriber_enable_packets(reader));
    CHECK_EQ(cuframes_subscriber_stream_count(reader), 1);
    expect_hand_made(reader);
    EXPECT_NO_PACKET(reader);
    test_kill(&peer);
    EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
    cuframes_subscriber_destroy(reader);
}

TEST(publisher_that_does_not_answer_is_waited_for_again)
{
    const cuframes_packet_options_t options = {.timeout_ms = 50};
    struct plot plot = {.late = true};
    cuframes_subscriber_t *reader;
    struct test_peer peer;
    int64_t began = cuframes_now_ns();

    spawn_plot(&peer, &plot);
    reader = attach();
    CHECK_ERR_SAYS(cuframes_subscriber_enable_packets_from(reader, &options), CUFRAMES_ERR_TIMEOUT,
                   "\"cam\" does not answer");
    CHECK_ERR(cuframes_subscriber_enable_packets_from(reader, &options), CUFRAMES_ERR_TIMEOUT);
    CHECK_LT(cuframes_now_ns() - began, INT64_C(900000000));
    CHECK_ERR(cuframes_subscriber_enable_packets(reader), CUFRAMES_ERR_TIMEOUT);
    CHECK_GE(cuframes_now_ns() - began, INT64_C(1000000000));
    test_say(&peer, 1);
    CHECK_OK(cuframes_subscriber_enable_packets(reader));
    expect_hand_made(reader);
    test_kill(&peer);
    cuframes_subscriber_destroy(reader);
}

/* ---- what comes with the answer ---- */

static int bad_memory(int seals, off_t size)
{
    int fd = CHECK_SYS(memfd_create("cuframes-bad", MFD_CLOEXEC | MFD_ALLOW_SEALING));

    CHECK_SYS(ftruncate(fd, size));
    CHECK_SYS(fcntl(fd, F_ADD_SEALS, seals));
    return fd;
}

static void replace_fd(int *fd, int seals, off_t size)
{
    close(*fd);
    *fd = bad_memory(seals, size);
}

#define GOOD_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE)

static void unsealed_ring(struct offer *o)
{
    replace_fd(&o->fds[0], 0, (off_t)o->ring.size);
}

static void small_ring(struct offer *o)
{
    replace_fd(&o->fds[0], GOOD_SEALS, 4096);
}

static void empty_ring(struct offer *o)
{
    replace_fd(&o->fds[0], GOOD_SEALS, (off_t)o->ring.size);
}

static void unsealed_page(struct offer *o)
{
    replace_fd(&o->fds[1], 0, 4096);
}

static void no_page(struct offer *o)
{
    replace_fd(&o->fds[1], F_SEAL_SHRINK | F_SEAL_GROW, 0);
}

static void one_descriptor(struct offer *o)
{
    o->fd_count = 1;
}

static void other_number(struct offer *o)
{
    header_of(o)->number = 2;
}

static void odd_index(struct offer *o)
{
    header_of(o)->index_size = 15;
}

static void huge_index(struct offer *o)
{
    header_of(o)->index_size = UINT32_C(1) << 20;
}

static void huge_data(struct offer *o)
{
    header_of(o)->data_size = UINT64_MAX - 63;
}

static void huge_packets(struct offer *o)
{
    header_of(o)->max_packet = UINT32_MAX;
}

static void writable_streams(struct offer *o)
{
    replace_fd(&o->streams_fd, GOOD_SEALS, 4096);
}

static void empty_streams(struct offer *o)
{
    replace_fd(&o->streams_fd, GOOD_SEALS | F_SEAL_WRITE, 4096);
}

static void streams_of_another_generation(struct offer *o)
{
    o->streams.streams.generation = 2;
}

static void streams_that_are_longer(struct offer *o)
{
    o->streams.streams.size++;
}

static void streams_first(struct offer *o)
{
    struct cf_message first = o->streams;

    o->streams = o->packets;
    o->packets = first;
    o->fd_count = 1;
    o->fds[0] = o->streams_fd;
    o->no_streams = true;
}

TEST(offers_that_are_not_what_they_should_be_are_refused, .timeout_s = 60)
{
    static void (*const plots[])(struct offer *) = {
        unsealed_ring,
        small_ring,
        empty_ring,
        unsealed_page,
        no_page,
        one_descriptor,
        other_number,
        odd_index,
        huge_index,
        huge_data,
        huge_packets,
        writable_streams,
        empty_streams,
        streams_of_another_generation,
        streams_that_are_longer,
        streams_first,
    };

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++)
        check_refused(&(struct plot){.spoil = plots[i]});
}

/* ---- what the ring says ---- */

static struct cf_packet_entry *first_entry(struct offer *o)
{
    return &header_of(o)->index[0];
}

static void no_size(struct offer *o)
{
    atomic_store(&first_entry(o)->size, 0);
}

static void too_large(struct offer *o)
{
    atomic_store(&first_entry(o)->size, 1025);
}

static void largest(struct offer *o)
{
    atomic_store(&first_entry(o)->size, UINT32_MAX);
}

static void between_lines(struct offer *o)
{
    atomic_store(&first_entry(o)->position, 7);
}

static void no_stream(struct offer *o)
{
    atomic_store(&first_entry(o)->what, CF_PACKET_FLAG_START | UINT32_C(1) << 16);
}

static void unknown_flags(struct offer *o)
{
    atomic_store(&first_entry(o)->what, UINT32_C(0xffff));
}

static void no_generation(struct offer *o)
{
    atomic_store(&first_entry(o)->generation, 0);
}

static void endless_packet(struct offer *o)
{
    atomic_store(&first_entry(o)->duration_ns, INT64_MIN);
}

TEST(a_ring_that_contradicts_itself_ends_the_subscription, .timeout_s = 60)
{
    static void (*const plots[])(struct offer *) = {no_size,       too_large,     largest,
                                                    between_lines, no_stream,     unknown_flags,
                                                    no_generation, endless_packet};

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++) {
        struct plot plot = {.spoil = plots[i]};
        cuframes_subscriber_t *reader;
        struct test_peer peer;

        spawn_plot(&peer, &plot);
        reader = attach();
        CHECK_OK(cuframes_subscriber_enable_packets(reader));
        EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_PROTOCOL);
        EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_DISCONNECTED);
        cuframes_subscriber_destroy(reader);
        test_join(&peer);
    }
}

/* Rings that make no sense and that cost the reader its packets, but nothing else: it ends, with one
 * error or another, when it has no more patience. */
static void oldest_beyond_head(struct offer *o)
{
    atomic_store(&header_of(o)->oldest, 1000);
}

static void head_at_the_end(struct offer *o)
{
    atomic_store(&header_of(o)->head, UINT64_MAX);
}

static void start_far_away(struct offer *o)
{
    atomic_store(&header_of(o)->newest_start, UINT64_MAX - 1);
}

static void strange_state(struct offer *o)
{
    atomic_store(&header_of(o)->state, 77);
}

static void closed_and_silent(struct offer *o)
{
    atomic_store(&header_of(o)->state, CF_PACKET_RING_CLOSED);
}

static void superseded_and_silent(struct offer *o)
{
    atomic_store(&header_of(o)->state, CF_PACKET_RING_SUPERSEDED);
}

static void generation_that_never_comes(struct offer *o)
{
    put(o, 9, 0);
}

TEST(a_ring_of_lies_makes_nobody_hang, .timeout_s = 60)
{
    static void (*const plots[])(struct offer *) = {oldest_beyond_head,
                                                    head_at_the_end,
                                                    start_far_away,
                                                    strange_state,
                                                    closed_and_silent,
                                                    superseded_and_silent,
                                                    generation_that_never_comes};

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++) {
        struct plot plot = {.spoil = plots[i]};
        cuframes_subscriber_t *reader;
        struct test_peer peer;
        int err = CUFRAMES_OK;

        spawn_plot(&peer, &plot);
        reader = attach();
        CHECK_OK(cuframes_subscriber_enable_packets(reader));
        for (int n = 0; n < 20 && err != CUFRAMES_ERR_DISCONNECTED; n++) {
            cuframes_packet_t *packet = NULL;

            err = cuframes_subscriber_next_packet(reader, &packet, 5);
            cuframes_subscriber_release_packet(reader, packet);
        }
        CHECK_NE(err, CUFRAMES_OK);
        /* The hang-up is told, whatever the ring says. */
        test_kill(&peer);
        while (err != CUFRAMES_ERR_DISCONNECTED) {
            cuframes_packet_t *packet = NULL;

            err = cuframes_subscriber_next_packet(reader, &packet, test_patience_ms());
            CHECK_NE(err, CUFRAMES_ERR_TIMEOUT);
            cuframes_subscriber_release_packet(reader, packet);
        }
        cuframes_subscriber_destroy(reader);
    }
}

/* ---- what comes later ---- */

static void answer_twice(struct offer *o, int socket)
{
    send_with(socket, &o->packets, o->fds, o->fd_count);
}

static void repeat_streams(struct offer *o, int socket)
{
    send_with(socket, &o->streams, &o->streams_fd, 1);
}

static void ring_that_is_none(struct offer *o, int socket)
{
    struct cf_message message = {.type = CF_MSG_PACKET_RING,
                                 .packets = {.number = 2, .memory_size = o->ring.size}};

    send_with(socket, &message, o->fds, 1);
}

static void endless_streams(struct offer *o, int socket)
{
    (void)o;
    for (uint32_t generation = 2; generation < 100; generation++) {
        uint8_t bytes[CF_STREAMS_MAX_SIZE];
        size_t size;
        int CF_CLOSE fd = make_streams(generation, bytes, &size);
        struct cf_message message = {.type = CF_MSG_STREAMS,
                                     .streams = {.generation = generation, .size = (uint32_t)size}};

        if (cf_connection_send(socket, &message, &fd, 1) != CUFRAMES_OK)
            return;
    }
}

TEST(bad_news_ends_the_subscription, .timeout_s = 60)
{
    static void (*const plots[])(struct offer *, int) = {answer_twice, repeat_streams,
                                                         ring_that_is_none, endless_streams};

    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++) {
        struct plot plot = {.afterwards = plots[i]};
        struct test_resources before;
        cuframes_subscriber_t *reader;
        cuframes_packet_t *packet = NULL;
        struct test_peer peer;
        int err;

        spawn_plot(&peer, &plot);
        test_resources_take(&before);
        reader = attach();
        CHECK_OK(cuframes_subscriber_enable_packets(reader));
        expect_hand_made(reader);
        do
            err = cuframes_subscriber_next_packet(reader, &packet, 0);
        while (err == CUFRAMES_ERR_WOULD_BLOCK);
        CHECK_EQ(err, CUFRAMES_ERR_PROTOCOL);
        cuframes_subscriber_destroy(reader);
        CHECK_NO_LEAK(&before, "after bad news");
        test_resources_free(&before);
        test_join(&peer);
    }
}

/* ---- readers ---- */

static int attach_raw(uint32_t flags)
{
    struct cf_message message = {.type = CF_MSG_ATTACH, .attach.flags = flags};
    int socket = CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));

    raw_send(socket, &message);
    CHECK_OK(raw_receive(socket, &message, NULL, NULL));
    CHECK_EQ(message.type, CF_MSG_ATTACHED);
    return socket;
}

static void check_out_of_order(const enum cf_message_type *types, size_t count, bool attached)
{
    int socket = attached ? attach_raw(CF_ATTACH_PACKETS_ONLY)
                          : CHECK_SYS(raw_connect("cam", SOCK_SEQPACKET));
    char text[CF_WIRE_TEXT_SIZE];
    struct cf_message message;

    for (size_t i = 0; i < count; i++)
        raw_send(socket, &(struct cf_message){.type = types[i]});
    do
        CHECK_OK(raw_receive(socket, &message, NULL, NULL));
    while (message.type != CF_MSG_ERROR);
    CHECK_EQ(message.error.error, CUFRAMES_ERR_PROTOCOL);
    (void)text;
    close(socket);
}

TEST(messages_out_of_order_are_refused)
{
    static const enum cf_message_type twice[] = {CF_MSG_PACKETS_ENABLE, CF_MSG_PACKETS_ENABLE};
    static const enum cf_message_type unasked[] = {CF_MSG_PACKETS_ADOPTED};
    static const enum cf_message_type too_often[] = {CF_MSG_PACKETS_ENABLE, CF_MSG_PACKETS_ADOPTED,
                                                     CF_MSG_PACKETS_ADOPTED,
                                                     CF_MSG_PACKETS_ADOPTED};
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    cuframes_subscriber_t *reader;

    check_out_of_order(twice, 2, true);
    check_out_of_order(unasked, 1, true);
    check_out_of_order(too_often, 4, true);
    check_out_of_order(twice, 1, false);
    WAIT_FOR(publisher_stats(publisher).subscribers == 0, test_patience_ms());
    reader = make_packet_reader("cam", 0, NULL);
    send_packet(publisher, VIDEO, 100, CUFRAMES_PKT_FLAG_KEY);
    expect_packet(reader, 0, CUFRAMES_PKT_FLAG_KEY | CUFRAMES_PKT_FLAG_GENERATION);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

/* It is sent one thing, and the next one when it has taken that. */
TEST(a_reader_that_reads_no_message_costs_nothing)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    int socket = attach_raw(CF_ATTACH_PACKETS_ONLY);
    cuframes_subscriber_t *reader;

    raw_send(socket, &(struct cf_message){.type = CF_MSG_PACKETS_ENABLE});
    reader = make_packet_reader("cam", 0, NULL);
    for (int i = 0; i < 600; i++) {
        describe_streams(publisher, (uint8_t)i);
        send_packet(publisher, VIDEO, 100, CUFRAMES_PKT_FLAG_KEY);
        expect_packet(reader, (uint64_t)i,
                      CUFRAMES_PKT_FLAG_KEY | CUFRAMES_PKT_FLAG_GENERATION *
                                                  (i == 0 || (uint8_t)i != (uint8_t)(i - 1)));
    }
    CHECK_EQ(publisher_stats(publisher).subscribers, 2U);
    close(socket);
    WAIT_FOR(publisher_stats(publisher).subscribers == 1, test_patience_ms());
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(nonsense_in_a_page_harms_nobody)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    int socket = attach_raw(CF_ATTACH_PACKETS_ONLY);
    cuframes_subscriber_t *reader = make_packet_reader("cam", 0, NULL);
    cuframes_subscriber_info_t list[2];
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    struct cf_map page;
    size_t fd_count = 0;

    raw_send(socket, &(struct cf_message){.type = CF_MSG_PACKETS_ENABLE,
                                          .packets_enable.flags = CF_PACKETS_WAKE_SOCKET});
    CHECK_OK(raw_receive(socket, &message, fds, &fd_count));
    CHECK_EQ(message.type, CF_MSG_PACKETS);
    CHECK_EQ(fd_count, 3U);
    CHECK_OK(cf_shm_attach("page", fds[CF_PACKETS_FD_PAGE], sizeof(struct cf_packet_page),
                           CF_SHM_PEER_WRITES, &page));
    memset(page.addr, 0xff, page.size);
    send_packet(publisher, VIDEO, 100, CUFRAMES_PKT_FLAG_KEY);
    expect_packet(reader, 0, CUFRAMES_PKT_FLAG_KEY | CUFRAMES_PKT_FLAG_GENERATION);
    /* Its wake socket fills up, and the publisher goes on. */
    for (uint64_t i = 1; i < 1000; i++)
        send_packet(publisher, VIDEO, 100, CUFRAMES_PKT_FLAG_KEY);
    CHECK_EQ(cuframes_publisher_subscribers(publisher, list, 2), 2);
    CHECK_EQ(publisher_stats(publisher).packets, 1000U);
    EXPECT_PACKET_ERROR(reader, CUFRAMES_ERR_PACKET_OVERRUN);
    cuframes_packet_t *packet = take_packet(reader);
    CHECK_EQ(cuframes_packet_seq(packet), 999U);
    cuframes_subscriber_release_packet(reader, packet);
    cf_map_release(&page);
    for (size_t i = 0; i < fd_count; i++)
        close(fds[i]);
    close(socket);
    cuframes_subscriber_destroy(reader);
    cuframes_publisher_destroy(publisher);
}

TEST(what_a_reader_is_sent_cannot_be_made_writable)
{
    cuframes_publisher_t *publisher = make_packet_publisher("cam", NULL);
    int socket = attach_raw(CF_ATTACH_PACKETS_ONLY);
    struct cf_message message;
    int fds[CF_WIRE_MAX_FDS];
    size_t fd_count = 0;

    raw_send(socket, &(struct cf_message){.type = CF_MSG_PACKETS_ENABLE});
    for (int i = 0; i < 2; i++) {
        CHECK_OK(raw_receive(socket, &message, fds, &fd_count));
        /* The ring, then the descriptions; the page is the reader's own. */
        CHECK(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fds[0], 0) == MAP_FAILED);
        CHECK_EQ(pwrite(fds[0], "x", 1, 0), -1);
        CHECK_EQ(ftruncate(fds[0], 0), -1);
        CHECK_EQ(fcntl(fds[0], F_ADD_SEALS, F_SEAL_WRITE), -1);
        for (size_t k = 0; k < fd_count; k++)
            close(fds[k]);
        raw_send(socket, &(struct cf_message){.type = CF_MSG_PACKETS_ADOPTED});
    }
    close(socket);
    cuframes_publisher_destroy(publisher);
}
