/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subscriber's half of the frame protocol; writer.c has the other half and the idea.
 * tests/model/frame_ring.pml and wakeup.pml are the models, R1 to R10 their steps.
 */
#include "ring/reader.h"

#include "base/futex.h"
#include "base/point.h"

/* Tries before a ring that never agrees with itself is called broken. Each honest disagreement
 * means that the publisher reclaimed or published something meanwhile. */
#ifndef CF_MAX_TRIES
#define CF_MAX_TRIES 100000
#endif

bool cf_reader_init(struct cf_ring_reader *r, const struct cf_ring_header *header, size_t size,
                    struct cf_hold_page *page, uint32_t slot_count, uint32_t generation)
{
    if (slot_count < 1 || slot_count > CUFRAMES_MAX_SLOTS || size < cf_ring_size(slot_count))
        return false;
    if (header->magic != CF_RING_MAGIC || header->slot_count != slot_count ||
        header->generation != generation)
        return false;
    *r = (struct cf_ring_reader){.header = header, .page = page, .slot_count = slot_count};
    return true;
}

uint64_t cf_reader_newest(const struct cf_ring_reader *r)
{
    /* Acquire: as R1. */
    uint64_t ref = atomic_load_explicit(&r->header->newest, memory_order_acquire);

    return ref == CF_SEQ_INVALID ? CF_SEQ_INVALID : cf_ref_seq(ref);
}

enum cf_ring_state cf_reader_state(const struct cf_ring_reader *r)
{
    /* Acquire: pairs with the release in cf_writer_end(): every frame before the end is seen. */
    return (enum cf_ring_state)atomic_load_explicit(&r->header->state, memory_order_acquire);
}

/* Wakes the publisher if it sleeps for its subscribers (wait policy only). Called after the store
 * that it may be waiting for. */
static void notify_publisher(struct cf_ring_reader *r)
{
    if (!r->notify_publisher)
        return;
    /* R8. Pairs with the fence W9 in cf_writer_set_waiting(): either the publisher sees that store,
     * or this side sees that it waits. */
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&r->header->publisher_waits, memory_order_relaxed)) {
        /* Release: pairs with the acquire W10 in wait.c: who sees the word changed sees why. */
        atomic_fetch_add_explicit(&r->page->ack, 1, memory_order_release);
        cf_futex_wake_all(&r->page->ack);
    }
}

/* Takes back a hold that was placed but did not succeed, or that is done with. */
static void drop_hold(struct cf_ring_reader *r, uint32_t slot)
{
    /* R6. Release: pairs with the acquire W3 in writer.c: this side's reads of the picture come
     * before the publisher's next write to it. */
    atomic_store_explicit(&r->page->holds[slot], 0, memory_order_release);
    CF_POINT("reader.dropped");
    notify_publisher(r);
}

/* Places a hold on `slot` and keeps it if the slot has the frame `seq`. */
static bool hold(struct cf_ring_reader *r, uint32_t slot, uint64_t seq)
{
    /* R2. Relaxed: the fence orders it. */
    atomic_store_explicit(&r->page->holds[slot], 1, memory_order_relaxed);
    /* R3. Pairs with the fence W2 in reclaim() (writer.c). */
    atomic_thread_fence(memory_order_seq_cst);
    CF_POINT("reader.hold_placed");
    /* R4. Acquire: pairs with the releases W5 and W4: the frame's bytes are seen. */
    if (atomic_load_explicit(&r->header->slots[slot].seq, memory_order_acquire) == seq)
        return true; /* R5: held until R6 */
    drop_hold(r, slot);
    return false;
}

/* A slot that this subscriber holds already cannot get a new frame from an honest publisher;
 * placing and dropping a second hold on it would end the first. */
static bool can_hold(const struct cf_ring_reader *r, uint32_t slot)
{
    return slot < r->slot_count &&
           atomic_load_explicit(&r->page->holds[slot], memory_order_relaxed) == 0;
}

enum cf_hold_result cf_reader_hold_newest(struct cf_ring_reader *r, uint64_t wanted,
                                          struct cf_ring_hold *held)
{
    for (int tries = 0; tries < CF_MAX_TRIES; tries++) {
        /* R1. Acquire: pairs with the release W6 of `newest` in cf_writer_publish(). */
        uint64_t ref = atomic_load_explicit(&r->header->newest, memory_order_acquire);
        uint64_t seq = cf_ref_seq(ref);
        uint32_t slot = cf_ref_slot(ref);

        if (ref == CF_SEQ_INVALID || seq < wanted)
            return CF_HOLD_NOTHING;
        if (!can_hold(r, slot))
            return CF_HOLD_BROKEN;
        if (hold(r, slot, seq)) {
            *held = (struct cf_ring_hold){.seq = seq, .slot = slot};
            CF_POINT("reader.newest_held");
            return CF_HOLD_OK;
        }
    }
    return CF_HOLD_BROKEN;
}

/* Slot of the oldest frame that is `wanted` or later, by looking at every slot. */
static bool find_oldest(const struct cf_ring_reader *r, uint64_t wanted, struct cf_ring_hold *found)
{
    /* Above it there is no frame: invalid slots, and nonsense. */
    found->seq = CF_SEQ_LIMIT;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        /* A guess at what to hold; R4 decides. Acquire: a frame newer than the newest seen may lie
         * in a slot that another thread of this subscriber has just let go of; what it wrote to
         * the hold word is seen by can_hold(). */
        uint64_t seq = atomic_load_explicit(&r->header->slots[i].seq, memory_order_acquire);

        if (seq >= wanted && seq < found->seq)
            *found = (struct cf_ring_hold){.seq = seq, .slot = i};
    }
    return found->seq != CF_SEQ_LIMIT;
}

enum cf_hold_result cf_reader_hold_next(struct cf_ring_reader *r, uint64_t wanted,
                                        struct cf_ring_hold *held)
{
    for (int tries = 0; tries < CF_MAX_TRIES; tries++) {
        struct cf_ring_hold guess;
        uint64_t newest = cf_reader_newest(r);
        uint64_t ref;

        if (newest == CF_SEQ_INVALID || newest < wanted)
            return CF_HOLD_NOTHING;
        /* R1. Relaxed: a guess; R4 decides, and its acquire shows the frame. */
        ref = atomic_load_explicit(&r->header->index[wanted % CF_INDEX_SIZE], memory_order_relaxed);
        guess = (struct cf_ring_hold){.seq = cf_ref_seq(ref), .slot = cf_ref_slot(ref)};
        /* The index names an older or a newer frame: this one's slot has been taken, or (under
         * the eyes of the search) newer frames have come. */
        if (ref == CF_SEQ_INVALID || guess.seq != wanted || guess.slot >= r->slot_count ||
            atomic_load_explicit(&r->header->slots[guess.slot].seq, memory_order_acquire) != wanted)
            if (!find_oldest(r, wanted, &guess))
                continue;
        if (!can_hold(r, guess.slot))
            return CF_HOLD_BROKEN;
        if (hold(r, guess.slot, guess.seq)) {
            *held = guess;
            CF_POINT("reader.next_held");
            return CF_HOLD_OK;
        }
    }
    return CF_HOLD_BROKEN;
}

void cf_reader_advance(struct cf_ring_reader *r, uint64_t wanted)
{
    /* R7. Release: pairs with the acquire in unread() (writer.c): the hold on the frame before
     * `wanted` is seen by a publisher that sees the cursor. */
    atomic_store_explicit(&r->page->cursor, wanted, memory_order_release);
    CF_POINT("reader.advanced");
    notify_publisher(r);
}

int cf_reader_revoked(const struct cf_ring_reader *r)
{
    /* Keeps the caller's reads of the picture before the load; pairs with the fence in
     * cf_hold_page_revoke() (writer.c). */
    atomic_thread_fence(memory_order_acquire);
    return -(int)atomic_load_explicit(&r->page->revoked, memory_order_relaxed);
}

void cf_reader_let_go(struct cf_ring_reader *r, uint32_t slot)
{
    drop_hold(r, slot);
}

void cf_reader_begin_release(struct cf_ring_reader *r)
{
    /* R11. Relaxed: the fence R8 orders it. Either the publisher, which says that it waits (W9) and
     * then looks at this word (W12), sees it, or this side sees that it waits and wakes it for
     * another look. The GPU's store to the hold word is R6: it comes after the stream's reads. */
    atomic_fetch_add_explicit(&r->page->releasing, 1, memory_order_relaxed);
    notify_publisher(r);
}

void cf_reader_end_release(struct cf_ring_reader *r)
{
    /* Relaxed: at worst the publisher looks once too often. */
    atomic_fetch_sub_explicit(&r->page->releasing, 1, memory_order_relaxed);
}

bool cf_reader_prepare_wait(struct cf_ring_reader *r, uint32_t how, uint64_t wanted, uint32_t *word)
{
    uint64_t newest;
    uint32_t seen;

    /* R9. Acquire: pairs with the release W7 in wake() (writer.c). Read before the flag is set, so
     * that whatever changes it later either is seen below or ends the sleep. */
    seen = atomic_load_explicit(&r->header->wake, memory_order_acquire);
    atomic_store_explicit(&r->page->waiting, how, memory_order_relaxed);
    /* Pairs with the fence in wake(): either the publisher sees `waiting` (W8), or this side
     * sees the frame that it has just announced. */
    atomic_thread_fence(memory_order_seq_cst);
    CF_POINT("reader.waiting");
    newest = cf_reader_newest(r);
    if ((newest != CF_SEQ_INVALID && newest >= wanted) || cf_reader_state(r) != CF_RING_RUNNING) {
        cf_reader_end_wait(r);
        return false;
    }
    *word = seen;
    return true;
}

int cf_reader_sleep(struct cf_ring_reader *r, uint32_t word, int64_t deadline_ns)
{
    /* R10. */
    return cf_futex_wait(&r->header->wake, word, deadline_ns);
}

void cf_reader_end_wait(struct cf_ring_reader *r)
{
    /* Relaxed: at worst the publisher makes one wake-up call too many. */
    atomic_store_explicit(&r->page->waiting, 0, memory_order_relaxed);
}
