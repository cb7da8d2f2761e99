/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publisher's half of the frame protocol. tests/model/frame_ring.pml and wakeup.pml are its
 * models; the labels W1 to W11 in comments name the models' steps, R1 to R10 are the subscriber's
 * in reader.c. docs/memory-model.md lists them all.
 *
 * The protocol is that of hazard pointers, with slots for pointers. To take a slot back the
 * publisher says so (W1: the slot's seq becomes invalid), and then looks whether anybody holds it
 * (W3). A subscriber that wants a frame says so (R2: its hold), and then looks whether the slot
 * still has the frame (R4). A full fence between the two steps on each side (W2, R3) makes it
 * impossible that neither sees the other.
 */
#include "ring/writer.h"

#include <string.h>
#include <sys/socket.h>

#include "base/futex.h"
#include "base/point.h"

void cf_writer_init(struct cf_ring_writer *w, struct cf_ring_header *header, uint32_t slot_count,
                    uint32_t generation)
{
    header->magic = CF_RING_MAGIC;
    header->slot_count = slot_count;
    header->generation = generation;
    /* Relaxed: nobody else sees the memory before it is sent over a socket. */
    atomic_store_explicit(&header->newest, CF_SEQ_INVALID, memory_order_relaxed);
    for (uint32_t i = 0; i < CF_INDEX_SIZE; i++)
        atomic_store_explicit(&header->index[i], CF_SEQ_INVALID, memory_order_relaxed);
    for (uint32_t i = 0; i < slot_count; i++)
        atomic_store_explicit(&header->slots[i].seq, CF_SEQ_INVALID, memory_order_relaxed);

    *w = (struct cf_ring_writer){
        .header = header,
        .slot_count = slot_count,
        .newest = CF_NO_SLOT,
        .oldest = CF_NO_SLOT,
        .youngest = CF_NO_SLOT,
    };
    for (uint32_t i = 0; i < slot_count; i++)
        w->slots[i].seq = CF_SEQ_INVALID;
}

void cf_writer_start(struct cf_ring_writer *w, uint64_t first_seq)
{
    w->header->first_seq = first_seq;
    w->next_seq = first_seq;
}

void cf_writer_follow(struct cf_ring_writer *w, const struct cf_ring_writer *previous)
{
    cf_writer_start(w, previous->next_seq);
    w->discontinuities = previous->discontinuities;
}

static void order_append(struct cf_ring_writer *w, uint32_t slot)
{
    struct cf_writer_slot *s = &w->slots[slot];

    s->next = CF_NO_SLOT;
    s->prev = w->youngest;
    if (w->youngest == CF_NO_SLOT)
        w->oldest = slot;
    else
        w->slots[w->youngest].next = slot;
    w->youngest = slot;
}

static void order_remove(struct cf_ring_writer *w, uint32_t slot)
{
    struct cf_writer_slot *s = &w->slots[slot];

    if (s->prev == CF_NO_SLOT)
        w->oldest = s->next;
    else
        w->slots[s->prev].next = s->next;
    if (s->next == CF_NO_SLOT)
        w->youngest = s->prev;
    else
        w->slots[s->next].prev = s->prev;
}

/* Whether an in-order peer has yet to take the frame `seq`. */
static bool unread(const struct cf_ring_peer *peer, uint64_t seq)
{
    /* Acquire: pairs with the release R7 in cf_reader_advance() (reader.c), so that a hold which
     * the peer placed before it moved on is seen by the check of holds that follows. */
    return peer->in_order && atomic_load_explicit(&peer->page->cursor, memory_order_acquire) <= seq;
}

static bool holds(const struct cf_ring_peer *peer, uint32_t slot)
{
    /* W3. Acquire: pairs with the release R6 in drop_hold() (reader.c): the peer's last read of
     * the picture happens before the publisher's next write to it. */
    return atomic_load_explicit(&peer->page->holds[slot], memory_order_acquire) != 0;
}

bool cf_writer_late(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                    uint32_t index, uint32_t slot)
{
    return unread(&peers->peers[index], w->slots[slot].seq);
}

bool cf_writer_blocks(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                      uint32_t index, uint32_t slot, bool wait_for_order)
{
    return (wait_for_order && cf_writer_late(w, peers, index, slot)) ||
           holds(&peers->peers[index], slot);
}

/* The first peer that is in the way of taking `slot`, or peers->count. */
static uint32_t find_blocker(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                             uint32_t slot, bool wait_for_order)
{
    uint32_t i;

    for (i = 0; i < peers->count; i++)
        if (cf_writer_blocks(w, peers, i, slot, wait_for_order))
            break;
    return i;
}

/* Tries to take back a published slot that the publisher itself has no claim on. */
static bool reclaim(struct cf_ring_writer *w, const struct cf_ring_peers *peers, uint32_t slot,
                    bool wait_for_order, struct cf_ring_blocker *blocker)
{
    struct cf_ring_slot *shared = &w->header->slots[slot];
    /* Looks before it leaps: a slot that is seen to be needed is not made invalid, so that a
     * subscriber in search of that frame does not miss it for a moment. */
    uint32_t i = find_blocker(w, peers, slot, wait_for_order);

    if (i == peers->count) {
        /* W1. Relaxed: the fence orders it. */
        atomic_store_explicit(&shared->seq, CF_SEQ_INVALID, memory_order_relaxed);
        /* W2. Pairs with the fence R3 in hold() (reader.c): either this side sees the hold at W3,
         * or the subscriber sees the invalid seq at R4, or both, and both back off. */
        atomic_thread_fence(memory_order_seq_cst);
        CF_POINT("writer.invalidated");
        i = find_blocker(w, peers, slot, wait_for_order);
        if (i == peers->count)
            return true;
        /* W4. Nothing was written to the slot: the frame is there again. Release: a subscriber
         * that reads this value at R4 must see the frame as it was published, as at W5. */
        atomic_store_explicit(&shared->seq, w->slots[slot].seq, memory_order_release);
    }
    if (blocker->slot == CF_NO_SLOT)
        *blocker = (struct cf_ring_blocker){.slot = slot, .peer = i};
    return false;
}

/* The wait policy waits for who is in order and late, and only where nobody is, for who holds. */
static void find_late(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                      struct cf_ring_blocker *blocker)
{
    for (uint32_t i = w->oldest; i != CF_NO_SLOT; i = w->slots[i].next) {
        if (w->slots[i].refs > 0 || i == w->newest)
            continue;
        for (uint32_t peer = 0; peer < peers->count; peer++) {
            if (cf_writer_late(w, peers, peer, i)) {
                *blocker = (struct cf_ring_blocker){.slot = i, .peer = peer, .late = true};
                return;
            }
        }
    }
}

static uint32_t claim(struct cf_ring_writer *w, uint32_t slot)
{
    w->slots[slot].seq = CF_SEQ_INVALID;
    w->slots[slot].refs = 1;
    CF_POINT("writer.claimed");
    return slot;
}

uint32_t cf_writer_acquire(struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                           bool wait_for_order, struct cf_ring_blocker *blocker)
{
    struct cf_ring_blocker first = {.slot = CF_NO_SLOT, .peer = 0};

    /* A slot without a frame: no subscriber can pass R4 on it, so nobody needs to be asked. */
    for (uint32_t i = 0; i < w->slot_count; i++)
        if (w->slots[i].seq == CF_SEQ_INVALID && w->slots[i].refs == 0)
            return claim(w, i);
    for (uint32_t i = w->oldest; i != CF_NO_SLOT; i = w->slots[i].next) {
        if (w->slots[i].refs > 0 || i == w->newest)
            continue;
        if (reclaim(w, peers, i, wait_for_order, &first)) {
            order_remove(w, i);
            return claim(w, i);
        }
    }
    if (wait_for_order)
        find_late(w, peers, &first);
    *blocker = first;
    return CF_NO_SLOT;
}

bool cf_writer_claim(struct cf_ring_writer *w, const struct cf_ring_peers *peers, uint32_t slot,
                     bool wait_for_order)
{
    struct cf_ring_blocker ignored = {.slot = CF_NO_SLOT, .peer = 0};

    if (w->slots[slot].refs > 0 || slot == w->newest)
        return false;
    if (w->slots[slot].seq != CF_SEQ_INVALID) {
        if (!reclaim(w, peers, slot, wait_for_order, &ignored))
            return false;
        order_remove(w, slot);
    }
    claim(w, slot);
    return true;
}

uint32_t cf_writer_blockers(const struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                            bool wait_for_order,
                            struct cf_ring_blocker blockers[CUFRAMES_MAX_SLOTS])
{
    uint32_t count = 0;

    for (uint32_t i = w->oldest; i != CF_NO_SLOT; i = w->slots[i].next) {
        uint32_t peer;

        if (w->slots[i].refs > 0 || i == w->newest)
            continue;
        peer = find_blocker(w, peers, i, wait_for_order);
        if (peer == peers->count)
            return 0;
        blockers[count++] = (struct cf_ring_blocker){.slot = i, .peer = peer};
    }
    return count;
}

void cf_writer_ref(struct cf_ring_writer *w, uint32_t slot)
{
    w->slots[slot].refs++;
}

void cf_writer_unref(struct cf_ring_writer *w, uint32_t slot)
{
    w->slots[slot].refs--;
}

static void write_meta(struct cf_ring_slot *shared, const struct cf_ring_meta *meta)
{
    shared->pts_ns = meta->pts_ns;
    shared->capture_ns = meta->capture_ns;
    shared->published_ns = meta->published_ns;
    shared->flags = meta->flags;
    shared->capture_source = meta->capture_source;
    memcpy(shared->color, meta->color, sizeof(shared->color));
    memcpy(shared->crop, meta->crop, sizeof(shared->crop));
    shared->packet_seq = meta->packet_seq;
    shared->user_size = meta->user_size;
    if (meta->user_size > 0)
        memcpy(shared->user, meta->user, meta->user_size);
}

/* Wakes every peer that said it waits. */
static void wake(struct cf_ring_header *header, const struct cf_ring_peers *peers)
{
    uint32_t waiting, all = 0;

    /* W7. One writer, so no read-modify-write is needed. Release: pairs with the acquire R9 of the
     * word in cf_reader_prepare_wait() (reader.c): who sees it sees the frame. */
    atomic_store_explicit(&header->wake,
                          atomic_load_explicit(&header->wake, memory_order_relaxed) + 1,
                          memory_order_release);
    /* Pairs with the fence R9 in cf_reader_prepare_wait(). Either this side sees `waiting` below, or
     * the subscriber sees the new word and does not sleep. */
    atomic_thread_fence(memory_order_seq_cst);
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct cf_ring_peer *peer = &peers->peers[i];

        /* W8. */
        waiting = atomic_load_explicit(&peer->page->waiting, memory_order_relaxed);
        all |= waiting;
        if ((waiting & CF_WAITING_SOCKET) && peer->wake_socket >= 0) {
            /* A full buffer means that the peer has been told already. That this does not block
             * is said with each call: the peer has the other end, and could change a property of
             * the descriptor. */
            ssize_t ignored = send(peer->wake_socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);

            (void)ignored;
        }
    }
    if (all & CF_WAITING_FUTEX)
        cf_futex_wake_all(&header->wake);
}

uint64_t cf_writer_publish(struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                           uint32_t slot, const struct cf_ring_meta *meta)
{
    struct cf_ring_header *header = w->header;
    uint64_t seq = w->next_seq++;
    uint64_t ref = cf_ref_make(seq, slot);

    write_meta(&header->slots[slot], meta);
    w->discontinuities += (meta->flags & CUFRAMES_FRAME_DISCONTINUITY) != 0;
    header->slots[slot].discontinuities = w->discontinuities;
    w->slots[slot].seq = seq;
    w->newest = slot;
    order_append(w, slot);
    CF_POINT("writer.described");
    /* W5, W6. Release: pairs with the acquires at R1 and R4 (reader.c); publishes the picture and
     * its metadata. */
    atomic_store_explicit(&header->slots[slot].seq, seq, memory_order_release);
    CF_POINT("writer.seq_stored");
    atomic_store_explicit(&header->index[seq % CF_INDEX_SIZE], ref, memory_order_release);
    CF_POINT("writer.index_stored");
    atomic_store_explicit(&header->newest, ref, memory_order_release);
    CF_POINT("writer.newest_stored");
    wake(header, peers);
    return seq;
}

void cf_writer_end(struct cf_ring_writer *w, const struct cf_ring_peers *peers,
                   enum cf_ring_state state)
{
    /* Release: pairs with the acquire in cf_reader_state() (reader.c): whoever sees the end sees
     * every frame that came before it. */
    atomic_store_explicit(&w->header->state, state, memory_order_release);
    CF_POINT("writer.ended");
    wake(w->header, peers);
}

void cf_writer_set_waiting(struct cf_ring_writer *w, bool waits)
{
    /* W9. Relaxed: the fence orders it. That pairs with the fence R8 in notify_publisher()
     * (reader.c): either the publisher's next look sees what the peer did, or the peer sees this
     * flag and wakes it. */
    atomic_store_explicit(&w->header->publisher_waits, waits, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
}

void cf_hold_page_revoke(struct cf_hold_page *page, int error)
{
    /* W11. Pairs with the load in cf_reader_revoked() (reader.c). The fence keeps every write to a slot
     * that this page held behind the word, so that a subscriber which reads 0 after its last read
     * of a picture has seen none of them. */
    atomic_store_explicit(&page->revoked, (uint32_t)-error, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    /* Release: as R8. */
    atomic_fetch_add_explicit(&page->ack, 1, memory_order_release);
    cf_futex_wake_all(&page->ack);
}

uint32_t cf_hold_page_count(const struct cf_hold_page *page, uint32_t slot_count)
{
    uint32_t count = 0;

    /* Relaxed: a figure for display. */
    for (uint32_t i = 0; i < slot_count; i++)
        count += atomic_load_explicit(&page->holds[i], memory_order_relaxed) != 0;
    return count;
}

uint32_t cf_hold_page_claims(const struct cf_hold_page *page, uint32_t slot_count, bool *restless)
{
    uint64_t always = UINT64_MAX, ever = 0;

    for (int look = 0; look < 3; look++) {
        uint64_t bits = 0;

        /* Acquire: each look comes after the one before. */
        for (uint32_t i = 0; i < slot_count; i++)
            if (atomic_load_explicit(&page->holds[i], memory_order_acquire) != 0)
                bits |= UINT64_C(1) << i;
        always &= bits;
        ever |= bits;
    }
    *restless = always != ever;
    return (uint32_t)__builtin_popcountll(always);
}
