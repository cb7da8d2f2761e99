/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reclaiming a slot where it is hard to get at: a hold that comes between the publisher's two looks,
 * who is to blame when nothing can be had, and long random sequences of steps against a simple
 * account of what must come out. test_ring.c has the rest.
 */
#include <signal.h>
#include <sys/mman.h>

#include "ring_fixture.h"

static uint32_t acquire_for(struct ring *ring, bool wait_for_order, struct cf_ring_blocker *blocker)
{
    *blocker = (struct cf_ring_blocker){.slot = 12345, .peer = 12345};
    return cf_writer_acquire(&ring->writer, &ring->peers, wait_for_order, blocker);
}

static void make_in_order(struct ring *ring, uint32_t peer, uint64_t cursor)
{
    ring->peers.peers[peer].in_order = true;
    atomic_store(&ring->pages[peer].cursor, cursor);
}

/* The page of the second peer is out of reach until the writer looks at it. In that moment, which
 * lies between the two looks at the first peer, the first peer places a hold. */
static struct cf_hold_page *fault_page, *holder_page;
static uint32_t fault_slot;

static void hold_between_the_looks(int signal)
{
    (void)signal;
    mprotect(fault_page, 4096, PROT_READ | PROT_WRITE);
    atomic_store(&holder_page->holds[fault_slot], 1);
}

TEST(a_hold_between_the_looks_puts_the_frame_back)
{
    struct ring *ring = ring_new(3, 1);
    struct cf_ring_blocker blocker;

    fault_page = ring_memory(4096);
    holder_page = &ring->pages[0];
    ring->peers.count = 2;
    ring->peers.peers[1] = (struct cf_ring_peer){.page = fault_page, .wake_socket = -1};
    fault_slot = ring_publish(ring);
    ring_publish_many(ring, 2);
    signal(SIGSEGV, hold_between_the_looks);
    CHECK_SYS(mprotect(fault_page, 4096, PROT_NONE));
    /* The oldest frame turns out to be held at the second look; the next is taken. */
    CHECK_NE(acquire_for(ring, false, &blocker), fault_slot);
    signal(SIGSEGV, SIG_DFL);
    CHECK_EQ(atomic_load(&holder_page->holds[fault_slot]), 1);
    CHECK_EQ(atomic_load(&ring->header->slots[fault_slot].seq), 0);
    CHECK_EQ(acquire_for(ring, false, &blocker), CF_NO_SLOT);
    CHECK_EQ(blocker.slot, fault_slot);
    free(fault_page);
    ring_free(ring);
}

TEST(who_is_late_is_named_before_who_holds)
{
    struct ring *ring = ring_new(4, 2);
    struct cf_ring_blocker blocker;
    uint32_t held = ring_publish(ring), late;

    ring_hold_newest(ring, 0, 0);
    late = ring_publish(ring);
    ring_publish_many(ring, 2);
    make_in_order(ring, 1, 1);
    CHECK_EQ(acquire_for(ring, true, &blocker), CF_NO_SLOT);
    CHECK_EQ(blocker.slot, late);
    CHECK_EQ(blocker.peer, 1);
    CHECK(blocker.late);
    /* When nobody is late, holds are what is in the way. */
    for (uint64_t seq = 1; seq < 4; seq++) {
        struct cf_ring_hold hold;

        CHECK_EQ(cf_reader_hold_next(&ring->readers[1], seq, &hold), CF_HOLD_OK);
        cf_reader_advance(&ring->readers[1], seq + 1);
    }
    CHECK_EQ(acquire_for(ring, true, &blocker), CF_NO_SLOT);
    CHECK_EQ(blocker.slot, held);
    CHECK_EQ(blocker.peer, 0);
    CHECK(!blocker.late);
    ring_free(ring);
}

/* What the writer ought to do, told in the simplest way. */
struct expectation {
    uint64_t seq[CUFRAMES_MAX_SLOTS];
    uint32_t refs[CUFRAMES_MAX_SLOTS];
    bool held[CUFRAMES_MAX_SLOTS];
    uint32_t newest;
};

static uint32_t expected_slot(const struct expectation *e, uint32_t slots)
{
    uint32_t best = CF_NO_SLOT;

    for (uint32_t i = 0; i < slots; i++)
        if (e->seq[i] == CF_SEQ_INVALID && e->refs[i] == 0)
            return i;
    for (uint32_t i = 0; i < slots; i++)
        if (e->refs[i] == 0 && !e->held[i] && i != e->newest &&
            (best == CF_NO_SLOT || e->seq[i] < e->seq[best]))
            best = i;
    return best;
}

static void random_step(struct ring *ring, struct expectation *e, uint32_t slots)
{
    uint32_t slot = (uint32_t)rand() % slots;

    switch (rand() % 4) {
    case 0:
        slot = ring_acquire(ring);
        CHECK_EQ(slot, expected_slot(e, slots));
        if (slot == CF_NO_SLOT)
            return;
        e->seq[slot] = CF_SEQ_INVALID;
        e->refs[slot] = 1;
        return;
    case 1: /* announce or give back what was acquired */
        if (e->refs[slot] == 0)
            return;
        if (e->seq[slot] == CF_SEQ_INVALID && rand() % 4 > 0) {
            struct cf_ring_meta meta = {0};

            e->seq[slot] = cf_writer_publish(&ring->writer, &ring->peers, slot, &meta);
            e->newest = slot;
        }
        e->refs[slot]--;
        cf_writer_unref(&ring->writer, slot);
        return;
    case 2:
        if (e->refs[slot] == 0 || e->refs[slot] > 2)
            return;
        e->refs[slot]++;
        cf_writer_ref(&ring->writer, slot);
        return;
    default:
        e->held[slot] = !e->held[slot];
        atomic_store(&ring->pages[rand() % 3].holds[slot], e->held[slot]);
        for (int i = 0; i < 3 && !e->held[slot]; i++)
            atomic_store(&ring->pages[i].holds[slot], 0);
    }
}

TEST(any_sequence_of_steps_takes_the_right_slot)
{
    srand(1);
    for (int round = 0; round < 200; round++) {
        uint32_t slots = 2 + (uint32_t)rand() % 9;
        struct ring *ring = ring_new(slots, 3);
        struct expectation e = {.newest = CF_NO_SLOT};

        for (uint32_t i = 0; i < slots; i++)
            e.seq[i] = CF_SEQ_INVALID;
        for (int step = 0; step < 500; step++)
            random_step(ring, &e, slots);
        ring_free(ring);
    }
}
