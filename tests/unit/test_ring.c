/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame ring, both sides, one step at a time: the publisher's and the subscribers' functions
 * over the same plain memory. test_ring_stress.c lets them run against each other.
 */
#include "harness/harness.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ring/reader.h"
#include "ring/writer.h"

#define GENERATION 7

/* A ring with its subscribers. */
struct fixture {
    struct cf_ring_header *header;
    struct cf_hold_page *pages;
    struct cf_ring_writer writer;
    struct cf_ring_peers peers;
    struct cf_ring_reader readers[CUFRAMES_MAX_SUBSCRIBERS];
};

static struct fixture ring;

static void set_up(uint32_t slots, uint32_t peers)
{
    /* calloc() to the byte, so that the address sanitizer sees what lies outside. */
    ring.header = calloc(1, cf_ring_size(slots));
    ring.pages = calloc(peers, sizeof(struct cf_hold_page));
    CHECK(ring.header && ring.pages);
    cf_writer_init(&ring.writer, ring.header, slots, GENERATION);
    ring.peers.count = peers;
    for (uint32_t i = 0; i < peers; i++) {
        ring.peers.peers[i] = (struct cf_ring_peer){.page = &ring.pages[i], .wake_socket = -1};
        CHECK(cf_reader_init(&ring.readers[i], ring.header, cf_ring_size(slots), &ring.pages[i],
                             slots, GENERATION));
    }
}

static void tear_down(void)
{
    free(ring.header);
    free(ring.pages);
}

static uint32_t acquire(void)
{
    struct cf_ring_blocker blocker;
    uint32_t slot = cf_writer_acquire(&ring.writer, &ring.peers, false, &blocker);

    CHECK_LT(slot, ring.writer.slot_count);
    return slot;
}

/* Publishes an acquired slot and gives up the publisher's claim. */
static uint64_t publish_slot(uint32_t slot)
{
    struct cf_ring_meta meta = {.pts_ns = (int64_t)ring.writer.next_seq * 10};
    uint64_t seq = cf_writer_publish(&ring.writer, &ring.peers, slot, &meta);

    cf_writer_unref(&ring.writer, slot);
    return seq;
}

static uint64_t publish(void)
{
    return publish_slot(acquire());
}

static void publish_many(uint32_t count)
{
    while (count-- > 0)
        publish();
}

static void check_blocked(bool wait_for_order, uint32_t slot, uint32_t peer)
{
    struct cf_ring_blocker blocker;

    CHECK_EQ(cf_writer_acquire(&ring.writer, &ring.peers, wait_for_order, &blocker), CF_NO_SLOT);
    CHECK_EQ(blocker.slot, slot);
    if (slot != CF_NO_SLOT)
        CHECK_EQ(blocker.peer, peer);
}

static struct cf_ring_hold hold_next(uint32_t reader, uint64_t wanted)
{
    struct cf_ring_hold held;

    CHECK_EQ(cf_reader_hold_next(&ring.readers[reader], wanted, &held), CF_HOLD_OK);
    CHECK_LT(held.slot, ring.writer.slot_count);
    CHECK_EQ(atomic_load(&ring.header->slots[held.slot].seq), held.seq);
    CHECK_EQ(ring.header->slots[held.slot].pts_ns, (int64_t)held.seq * 10);
    return held;
}

static struct cf_ring_hold hold_newest(uint32_t reader)
{
    struct cf_ring_hold held;

    CHECK_EQ(cf_reader_hold_newest(&ring.readers[reader], 0, &held), CF_HOLD_OK);
    CHECK_EQ(atomic_load(&ring.header->slots[held.slot].seq), held.seq);
    CHECK_EQ(ring.header->slots[held.slot].pts_ns, (int64_t)held.seq * 10);
    return held;
}

static void let_go(uint32_t reader, struct cf_ring_hold held)
{
    cf_reader_let_go(&ring.readers[reader], held.slot);
}

static void check_nothing(uint32_t reader, uint64_t wanted)
{
    struct cf_ring_hold held = {.seq = 11, .slot = 12};

    CHECK_EQ(cf_reader_hold_next(&ring.readers[reader], wanted, &held), CF_HOLD_NOTHING);
    CHECK_EQ(cf_reader_hold_newest(&ring.readers[reader], wanted, &held), CF_HOLD_NOTHING);
    CHECK_EQ(held.seq, 11);
    CHECK_EQ(held.slot, 12);
}

TEST(free_slots_are_taken_first_then_the_oldest)
{
    set_up(4, 1);
    for (uint32_t i = 0; i < 4; i++) {
        CHECK_EQ(acquire(), i);
        CHECK_EQ(publish_slot(i), i);
    }
    for (uint32_t i = 4; i < 20; i++) {
        CHECK_EQ(acquire(), i % 4);
        CHECK_EQ(atomic_load(&ring.header->slots[i % 4].seq), CF_SEQ_INVALID);
        CHECK_EQ(publish_slot(i % 4), i);
    }
    tear_down();
}

TEST(newest_frame_is_never_taken)
{
    set_up(1, 1);
    publish();
    check_blocked(false, CF_NO_SLOT, 0);
    tear_down();

    set_up(2, 1);
    publish_many(2);
    CHECK_EQ(acquire(), 0);
    check_blocked(false, CF_NO_SLOT, 0);
    CHECK_EQ(cf_reader_newest(&ring.readers[0]), 1);
    CHECK_EQ(hold_newest(0).seq, 1);
    tear_down();
}

TEST(own_claims_keep_a_slot)
{
    set_up(3, 1);
    publish_many(3);
    cf_writer_ref(&ring.writer, 0);
    cf_writer_ref(&ring.writer, 0);
    CHECK_EQ(acquire(), 1);
    check_blocked(false, CF_NO_SLOT, 0);
    cf_writer_unref(&ring.writer, 0);
    check_blocked(false, CF_NO_SLOT, 0);
    cf_writer_unref(&ring.writer, 0);
    CHECK_EQ(acquire(), 0);
    tear_down();
}

TEST(slot_given_back_unpublished_is_free_again)
{
    set_up(3, 1);
    publish_many(3);
    CHECK_EQ(acquire(), 0);
    cf_writer_unref(&ring.writer, 0);
    CHECK_EQ(acquire(), 0);
    CHECK_EQ(publish_slot(0), 3);
    tear_down();
}

TEST(holds_are_in_the_way_and_reported)
{
    struct cf_ring_hold a, b;

    set_up(3, 3);
    publish_many(3);
    a = hold_next(2, 0);
    b = hold_next(1, 1);
    CHECK_EQ(a.slot, 0);
    CHECK_EQ(b.slot, 1);
    check_blocked(false, 0, 2);
    CHECK(cf_writer_blocks(&ring.writer, &ring.peers, 2, 0, false));
    CHECK(!cf_writer_blocks(&ring.writer, &ring.peers, 1, 0, false));
    /* The younger of the two becomes free, the older stays. */
    let_go(1, b);
    CHECK_EQ(acquire(), 1);
    check_blocked(false, 0, 2);
    let_go(2, a);
    CHECK_EQ(acquire(), 0);
    tear_down();
}

TEST(frame_that_could_not_be_taken_is_still_there)
{
    struct cf_ring_hold held;

    set_up(2, 2);
    publish_many(2);
    held = hold_next(0, 0);
    for (int i = 0; i < 3; i++)
        check_blocked(false, 0, 0);
    CHECK_EQ(atomic_load(&ring.header->slots[0].seq), 0);
    CHECK_EQ(hold_next(1, 0).slot, held.slot);
    let_go(0, held);
    check_blocked(false, 0, 1);
    tear_down();
}

TEST(frames_yet_to_be_read_are_needed_under_the_wait_policy)
{
    struct cf_ring_blocker blocker;

    set_up(3, 2);
    ring.peers.peers[1].in_order = true;
    publish_many(3);
    check_blocked(true, 0, 1);
    cf_reader_advance(&ring.readers[1], 1);
    CHECK(!cf_writer_blocks(&ring.writer, &ring.peers, 1, 0, true));
    CHECK(cf_writer_blocks(&ring.writer, &ring.peers, 1, 1, true));
    CHECK_EQ(cf_writer_acquire(&ring.writer, &ring.peers, true, &blocker), 0);
    check_blocked(true, 1, 1);
    /* The same cursor does not count under the drop policy, or of a peer without order. */
    CHECK_EQ(acquire(), 1);
    publish_slot(0);
    ring.peers.peers[1].in_order = false;
    cf_writer_unref(&ring.writer, 1);
    CHECK_EQ(cf_writer_acquire(&ring.writer, &ring.peers, true, &blocker), 1);
    CHECK_EQ(cf_writer_acquire(&ring.writer, &ring.peers, true, &blocker), 2);
    tear_down();
}

TEST(blockers_are_one_for_each_slot)
{
    struct cf_ring_blocker blockers[CUFRAMES_MAX_SLOTS];
    struct cf_ring_hold held;

    set_up(4, 2);
    publish_many(4);
    hold_next(0, 0);
    held = hold_next(1, 1);
    /* Slot 2 is in nobody's way. */
    CHECK_EQ(cf_writer_blockers(&ring.writer, &ring.peers, false, blockers), 0);
    cf_writer_ref(&ring.writer, 2);
    CHECK_EQ(cf_writer_blockers(&ring.writer, &ring.peers, false, blockers), 2);
    CHECK_EQ(blockers[0].slot, 0);
    CHECK_EQ(blockers[0].peer, 0);
    CHECK_EQ(blockers[1].slot, 1);
    CHECK_EQ(blockers[1].peer, 1);
    let_go(1, held);
    CHECK_EQ(cf_writer_blockers(&ring.writer, &ring.peers, false, blockers), 0);
    tear_down();
}

TEST(metadata_is_that_of_the_frame)
{
    struct cf_ring_meta meta = {
        .pts_ns = -1,
        .capture_ns = 2,
        .published_ns = 3,
        .flags = CUFRAMES_FRAME_KEY,
        .capture_source = 4,
        .color = {1, 2, 3, 4},
        .user_size = 5,
        .crop = {6, 7, 8, 9},
        .user = "user",
    };
    const struct cf_ring_slot *slot;

    set_up(2, 1);
    cf_writer_publish(&ring.writer, &ring.peers, acquire(), &meta);
    slot = &ring.header->slots[0];
    CHECK_EQ(slot->pts_ns, -1);
    CHECK_EQ(slot->capture_ns, 2);
    CHECK_EQ(slot->published_ns, 3);
    CHECK_EQ(slot->flags, CUFRAMES_FRAME_KEY);
    CHECK_EQ(slot->capture_source, 4);
    CHECK_MEM_EQ(slot->color, meta.color, 4);
    CHECK_EQ(slot->user_size, 5);
    CHECK_MEM_EQ(slot->crop, meta.crop, sizeof(meta.crop));
    CHECK_MEM_EQ(slot->user, "user", 5);
    tear_down();
}

TEST(ring_must_be_the_one_described)
{
    struct cf_ring_reader r;
    struct cf_hold_page page = {0};
    size_t size = cf_ring_size(4);

    set_up(4, 1);
    CHECK(cf_reader_init(&r, ring.header, size, &page, 4, GENERATION));
    CHECK(!cf_reader_init(&r, ring.header, size - 1, &page, 4, GENERATION));
    CHECK(!cf_reader_init(&r, ring.header, size, &page, 0, GENERATION));
    CHECK(!cf_reader_init(&r, ring.header, size, &page, 3, GENERATION));
    CHECK(!cf_reader_init(&r, ring.header, size, &page, 5, GENERATION));
    CHECK(!cf_reader_init(&r, ring.header, SIZE_MAX, &page, CUFRAMES_MAX_SLOTS + 1, GENERATION));
    CHECK(!cf_reader_init(&r, ring.header, size, &page, 4, GENERATION + 1));
    ring.header->magic ^= 1;
    CHECK(!cf_reader_init(&r, ring.header, size, &page, 4, GENERATION));
    tear_down();
}

TEST(empty_ring_has_nothing)
{
    set_up(4, 1);
    CHECK_EQ(cf_reader_newest(&ring.readers[0]), CF_SEQ_INVALID);
    check_nothing(0, 0);
    publish();
    check_nothing(0, 1);
    check_nothing(0, UINT64_MAX);
    CHECK_EQ(hold_next(0, 0).seq, 0);
    tear_down();
}

TEST(in_order_reader_skips_what_has_gone)
{
    set_up(4, 2);
    publish_many(10);
    CHECK_EQ(hold_next(0, 0).seq, 6);
    CHECK_EQ(hold_next(0, 7).seq, 7);
    CHECK_EQ(hold_next(0, 8).seq, 8);
    CHECK_EQ(hold_next(0, 9).seq, 9);
    check_nothing(0, 10);
    tear_down();

    /* A frame that someone holds on to, with a gap behind it. */
    set_up(4, 2);
    publish_many(4);
    hold_next(0, 1);
    publish_many(6);
    CHECK_EQ(hold_next(1, 0).seq, 1);
    CHECK_EQ(hold_next(1, 2).seq, 7);
    tear_down();
}

TEST(frame_is_found_when_the_index_has_come_round)
{
    set_up(4, 2);
    publish();
    hold_next(0, 0);
    publish_many(3 * CF_INDEX_SIZE);
    CHECK_EQ(cf_ref_seq(atomic_load(&ring.header->index[0])), 3 * CF_INDEX_SIZE);
    CHECK_EQ(hold_next(1, 0).seq, 0);
    CHECK_EQ(hold_next(1, 1).seq, 3 * CF_INDEX_SIZE - 2);
    CHECK_EQ(hold_next(1, 3 * CF_INDEX_SIZE).seq, 3 * CF_INDEX_SIZE);
    tear_down();
}

TEST(newest_only_reader_gets_the_newest)
{
    struct cf_ring_hold held;

    set_up(4, 1);
    publish_many(9);
    held = hold_newest(0);
    CHECK_EQ(held.seq, 8);
    check_nothing(0, 9);
    publish_many(100);
    CHECK_EQ(hold_newest(0).seq, 108);
    CHECK_EQ(cf_hold_page_count(&ring.pages[0], 4), 2);
    let_go(0, held);
    CHECK_EQ(cf_hold_page_count(&ring.pages[0], 4), 1);
    tear_down();
}

/* Reads `count` frames from `first` on, in order and the newest, each once. */
static void check_numbers(uint64_t first, uint32_t count)
{
    struct cf_ring_hold held;

    set_up(5, 2);
    cf_writer_start(&ring.writer, first);
    CHECK_EQ(ring.header->first_seq, first);
    for (uint64_t seq = first; seq < first + count; seq++) {
        CHECK_EQ(publish(), seq);
        CHECK_EQ(cf_reader_newest(&ring.readers[0]), seq);
        held = hold_next(0, seq);
        CHECK_EQ(held.seq, seq);
        CHECK_EQ(hold_newest(1).slot, held.slot);
        let_go(0, held);
        let_go(1, held);
        check_nothing(0, seq + 1);
    }
    CHECK_EQ(hold_next(0, first).seq, first + count - 5);
    tear_down();
}

TEST(sequence_numbers_go_past_32_bits)
{
    check_numbers((UINT64_C(1) << 32) - 200, 400);
    check_numbers((UINT64_C(1) << 31) - 200, 400);
}

TEST(sequence_numbers_go_up_to_their_limit)
{
    check_numbers(CF_SEQ_LIMIT - 400, 400);
}

TEST(ring_of_64_slots_uses_all)
{
    struct cf_ring_hold held[CUFRAMES_MAX_SLOTS];
    bool restless;

    set_up(CUFRAMES_MAX_SLOTS, 1);
    publish_many(CUFRAMES_MAX_SLOTS * 3);
    for (uint32_t i = 0; i < CUFRAMES_MAX_SLOTS; i++) {
        held[i] = hold_next(0, i == 0 ? 0 : held[i - 1].seq + 1);
        CHECK_EQ(held[i].seq, CUFRAMES_MAX_SLOTS * 2 + i);
    }
    CHECK_EQ(cf_hold_page_count(&ring.pages[0], CUFRAMES_MAX_SLOTS), CUFRAMES_MAX_SLOTS);
    CHECK_EQ(cf_hold_page_claims(&ring.pages[0], CUFRAMES_MAX_SLOTS, &restless),
             CUFRAMES_MAX_SLOTS);
    CHECK(!restless);
    check_blocked(false, held[0].slot, 0);
    let_go(0, held[40]);
    CHECK_EQ(acquire(), held[40].slot);
    check_blocked(false, held[0].slot, 0);
    tear_down();
}

TEST(last_of_256_peers_is_heeded)
{
    struct cf_ring_hold held;

    set_up(2, CUFRAMES_MAX_SUBSCRIBERS);
    publish_many(2);
    held = hold_next(CUFRAMES_MAX_SUBSCRIBERS - 1, 0);
    check_blocked(false, 0, CUFRAMES_MAX_SUBSCRIBERS - 1);
    let_go(CUFRAMES_MAX_SUBSCRIBERS - 1, held);
    CHECK_EQ(acquire(), 0);
    tear_down();
}

TEST(page_full_of_garbage_only_blocks)
{
    struct cf_ring_blocker blockers[CUFRAMES_MAX_SLOTS];

    set_up(3, 2);
    publish_many(3);
    memset(&ring.pages[1], 0xff, sizeof(ring.pages[1]));
    check_blocked(false, 0, 1);
    CHECK_EQ(cf_writer_blockers(&ring.writer, &ring.peers, true, blockers), 2);
    CHECK_EQ(cf_hold_page_count(&ring.pages[1], 3), 3);
    /* Says that it waits on a socket and has none; the frames of others are as they were. */
    cf_writer_end(&ring.writer, &ring.peers, CF_RING_SUPERSEDED);
    CHECK_EQ(hold_next(0, 0).seq, 0);
    let_go(0, (struct cf_ring_hold){.slot = 0});
    ring.peers.count = 1;
    CHECK_EQ(acquire(), 0);
    tear_down();
}

TEST(revoked_page_says_why)
{
    struct cf_ring_hold held;

    set_up(2, 1);
    publish_many(2);
    held = hold_next(0, 0);
    CHECK_EQ(cf_reader_revoked(&ring.readers[0]), 0);
    cf_hold_page_revoke(&ring.pages[0], CUFRAMES_ERR_TIMEOUT);
    CHECK_EQ(cf_reader_revoked(&ring.readers[0]), CUFRAMES_ERR_TIMEOUT);
    CHECK_EQ(atomic_load(&ring.pages[0].ack), 1);
    /* Until it is taken out of the set its holds are heeded. */
    check_blocked(false, held.slot, 0);
    ring.peers.count = 0;
    CHECK_EQ(acquire(), held.slot);
    tear_down();
}

TEST(wait_sees_a_frame_that_is_there)
{
    uint32_t word = 77;

    set_up(2, 1);
    publish_many(2);
    CHECK(!cf_reader_prepare_wait(&ring.readers[0], CF_WAITING_FUTEX, 1, &word));
    CHECK(!cf_reader_prepare_wait(&ring.readers[0], CF_WAITING_FUTEX, 0, &word));
    CHECK_EQ(word, 77);
    CHECK_EQ(atomic_load(&ring.pages[0].waiting), 0);
    tear_down();
}

TEST(wait_ends_with_a_frame_or_the_end)
{
    struct cf_ring_reader *r = &ring.readers[0];
    uint32_t word;

    set_up(2, 1);
    CHECK(cf_reader_prepare_wait(r, CF_WAITING_FUTEX, 0, &word));
    CHECK_EQ(atomic_load(&ring.pages[0].waiting), CF_WAITING_FUTEX);
    CHECK_EQ(cf_reader_sleep(r, word, cf_now_ns() + CF_NS_PER_MS), -ETIMEDOUT);
    publish();
    CHECK_EQ(cf_reader_sleep(r, word, CF_NEVER), -EAGAIN);
    cf_reader_end_wait(r);
    CHECK_EQ(atomic_load(&ring.pages[0].waiting), 0);

    CHECK(cf_reader_prepare_wait(r, CF_WAITING_FUTEX, 1, &word));
    CHECK_EQ(cf_reader_state(r), CF_RING_RUNNING);
    cf_writer_end(&ring.writer, &ring.peers, CF_RING_CLOSED);
    CHECK_EQ(cf_reader_sleep(r, word, CF_NEVER), -EAGAIN);
    CHECK_EQ(cf_reader_state(r), CF_RING_CLOSED);
    CHECK(!cf_reader_prepare_wait(r, CF_WAITING_FUTEX, 1, &word));
    CHECK_EQ(atomic_load(&ring.pages[0].waiting), 0);
    /* What came before the end is still there. */
    CHECK_EQ(hold_next(0, 0).seq, 0);
    tear_down();
}

TEST(socket_is_sent_to_only_while_it_is_waited_on)
{
    int ends[2];
    char byte;
    uint32_t word;

    set_up(2, 1);
    CHECK_SYS(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
    ring.peers.peers[0].wake_socket = ends[0];
    publish();
    CHECK(cf_reader_prepare_wait(&ring.readers[0], CF_WAITING_FUTEX, 1, &word));
    publish();
    CHECK(!test_readable(ends[1], 0));
    CHECK(cf_reader_prepare_wait(&ring.readers[0], CF_WAITING_SOCKET, 2, &word));
    publish();
    CHECK(test_readable(ends[1], 0));
    CHECK_EQ(recv(ends[1], &byte, 1, MSG_DONTWAIT), 1);
    /* Nobody reads: the publisher goes on all the same, and also after the other end has gone. */
    publish_many(2000);
    close(ends[1]);
    publish();
    close(ends[0]);
    tear_down();
}

TEST(publisher_that_waits_is_told)
{
    struct cf_ring_reader *r = &ring.readers[0];
    _Atomic uint32_t *ack;

    set_up(2, 1);
    ack = &ring.pages[0].ack;
    publish_many(2);
    let_go(0, hold_next(0, 0));
    r->notify_publisher = true;
    let_go(0, hold_next(0, 0));
    CHECK_EQ(atomic_load(ack), 0);
    cf_writer_set_waiting(&ring.writer, true);
    let_go(0, hold_next(0, 0));
    CHECK_EQ(atomic_load(ack), 1);
    cf_reader_advance(r, 1);
    CHECK_EQ(atomic_load(ack), 2);
    cf_writer_set_waiting(&ring.writer, false);
    cf_reader_advance(r, 2);
    CHECK_EQ(atomic_load(ack), 2);
    r->notify_publisher = false;
    cf_writer_set_waiting(&ring.writer, true);
    cf_reader_advance(r, 2);
    CHECK_EQ(atomic_load(ack), 2);
    tear_down();
}

static void check_broken(uint64_t wanted, bool newest)
{
    struct cf_ring_hold held;
    struct cf_ring_reader *r = &ring.readers[0];
    struct cf_hold_page before = ring.pages[0];

    CHECK_EQ(newest ? cf_reader_hold_newest(r, wanted, &held)
                    : cf_reader_hold_next(r, wanted, &held),
             CF_HOLD_BROKEN);
    CHECK_MEM_EQ(&before, &ring.pages[0], sizeof(before));
}

TEST(slot_numbers_out_of_range_are_broken)
{
    set_up(3, 1);
    publish_many(3);
    for (uint32_t slot = 3; slot < CUFRAMES_MAX_SLOTS; slot++) {
        atomic_store(&ring.header->newest, cf_ref_make(2, slot));
        check_broken(0, true);
        /* The index is only a hint: the frame is found all the same. */
        atomic_store(&ring.header->index[1], cf_ref_make(1, slot));
        let_go(0, hold_next(0, 1));
    }
    tear_down();
}

TEST(ring_that_never_agrees_with_itself_is_broken)
{
    set_up(3, 1);
    publish_many(3);
    /* The newest frame's slot has another one. */
    atomic_store(&ring.header->slots[2].seq, 1);
    check_broken(0, true);
    /* Nothing from the wanted frame on is anywhere, but the newest is said to be later. */
    atomic_store(&ring.header->newest, cf_ref_make(900, 2));
    check_broken(5, false);
    check_broken(900, false);
    tear_down();
}

TEST(frame_in_a_slot_held_already_is_broken)
{
    struct cf_ring_hold held;

    set_up(3, 1);
    publish_many(3);
    held = hold_newest(0);
    check_broken(0, true);
    check_broken(2, false);
    CHECK_EQ(cf_hold_page_count(&ring.pages[0], 3), 1);
    let_go(0, held);
    CHECK_EQ(hold_newest(0).seq, 2);
    tear_down();
}

static uint64_t random_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

/* Small numbers collide with each other, large ones do not. */
static uint64_t garbage(uint64_t *state)
{
    uint64_t word = random_word(state);

    switch (word % 4) {
    case 0:
        return cf_ref_make(random_word(state) % 8, random_word(state) % CUFRAMES_MAX_SLOTS);
    case 1:
        return random_word(state) % 8;
    case 2:
        return CF_SEQ_INVALID;
    default:
        return word;
    }
}

static void spoil(uint64_t *state)
{
    atomic_store(&ring.header->newest, garbage(state));
    atomic_store(&ring.header->state, (uint32_t)garbage(state));
    atomic_store(&ring.header->publisher_waits, (uint32_t)garbage(state));
    for (uint32_t i = 0; i < CF_INDEX_SIZE; i++)
        atomic_store(&ring.header->index[i], garbage(state));
    for (uint32_t i = 0; i < ring.writer.slot_count; i++)
        atomic_store(&ring.header->slots[i].seq, garbage(state));
}

TEST(garbage_in_the_header_is_survived, .timeout_s = 60)
{
    uint64_t state = 0x9e3779b97f4a7c15;
    int results[CF_HOLD_BROKEN + 1] = {0};

    set_up(5, 1);
    for (int round = 0; round < 300; round++) {
        uint64_t wanted = random_word(&state) % 8;
        struct cf_ring_reader *r = &ring.readers[0];
        struct cf_ring_hold held = {.slot = CF_NO_SLOT};
        enum cf_hold_result result;
        uint32_t word;

        spoil(&state);
        result = round % 2 ? cf_reader_hold_next(r, wanted, &held)
                           : cf_reader_hold_newest(r, wanted, &held);
        CHECK_LE(result, CF_HOLD_BROKEN);
        results[result]++;
        CHECK_EQ(cf_hold_page_count(&ring.pages[0], CUFRAMES_MAX_SLOTS), result == CF_HOLD_OK);
        if (result == CF_HOLD_OK) {
            CHECK_LT(held.slot, 5);
            CHECK_GE(held.seq, wanted);
            let_go(0, held);
        }
        if (cf_reader_prepare_wait(r, CF_WAITING_FUTEX, wanted, &word))
            cf_reader_end_wait(r);
        CHECK_EQ(atomic_load(&ring.pages[0].waiting), 0);
    }
    for (int i = 0; i <= CF_HOLD_BROKEN; i++)
        CHECK_GT(results[i], 0);
    tear_down();
}
