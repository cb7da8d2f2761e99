/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publisher's half of the packet ring. tests/model/packet_ring.pml is its model; the labels P1
 * to P7 in comments name the model's steps, Q1 to Q6 are the reader's in packet_reader.c.
 * docs/memory-model.md lists them all.
 *
 * The protocol is that of a sequence lock with one word for all packets. Before the writer touches
 * an entry or a byte that belonged to a packet, it says that this packet is gone (P1: `oldest`
 * moves on). A reader copies first and looks at `oldest` last (Q5). A release fence (P2) on this
 * side and an acquire fence (Q4) on the other make sure that whoever saw one of the new words also
 * sees the new `oldest`. One word covers the index and the byte ring, whichever wraps first.
 */
#include "ring/packet_writer.h"

#include <string.h>
#include <sys/socket.h>

#include "base/futex.h"
#include "base/point.h"

#define WORD       sizeof(uint64_t)
#define LINE_WORDS (CF_PACKET_ALIGNMENT / WORD)

void cf_packet_writer_init(struct cf_packet_writer *w, struct cf_packet_ring_header *header,
                           uint64_t data_size, uint32_t index_size, uint32_t max_packet,
                           uint32_t number, uint64_t first)
{
    header->magic = CF_PACKET_RING_MAGIC;
    header->data_size = data_size;
    header->index_size = index_size;
    header->max_packet = max_packet;
    header->number = number;
    /* Relaxed: nobody else sees the memory before it is sent over a socket. */
    atomic_store_explicit(&header->head, first, memory_order_relaxed);
    atomic_store_explicit(&header->oldest, first, memory_order_relaxed);
    atomic_store_explicit(&header->newest_start, CF_PACKET_NONE, memory_order_relaxed);
    *w = (struct cf_packet_writer){
        .header = header,
        .data = (_Atomic uint64_t *)((uint8_t *)header + cf_packet_data_offset(index_size)),
        .data_size = data_size,
        .index_size = index_size,
        .head = first,
        .oldest = first,
    };
}

static struct cf_packet_entry *entry_of(const struct cf_packet_writer *w, uint64_t seq)
{
    return &w->header->index[seq & (w->index_size - 1)];
}

uint64_t cf_packet_writer_position(const struct cf_packet_writer *w, uint64_t seq)
{
    /* Relaxed: this side wrote it. */
    return atomic_load_explicit(&entry_of(w, seq)->position, memory_order_relaxed);
}

uint64_t cf_packet_writer_oldest_beside(const struct cf_packet_writer *w, uint32_t size)
{
    const uint64_t end = w->end + cf_packet_room(size);
    uint64_t oldest = w->oldest;

    if (w->head - oldest >= w->index_size)
        oldest = w->head - w->index_size + 1;
    while (oldest < w->head && end - cf_packet_writer_position(w, oldest) > w->data_size)
        oldest++;
    return oldest;
}

static bool is_start(const struct cf_packet_writer *w, uint64_t seq)
{
    return (atomic_load_explicit(&entry_of(w, seq)->what, memory_order_relaxed) &
            CF_PACKET_FLAG_START) != 0;
}

void cf_packet_writer_forget(struct cf_packet_writer *w, uint64_t oldest)
{
    if (oldest <= w->oldest)
        return;
    for (; w->oldest < oldest; w->oldest++)
        w->starts -= is_start(w, w->oldest);
    /* P1. Release: pairs with the acquire in cf_packet_reader_range() (packet_reader.c): who sees
     * this `oldest` sees a `head` that is not before it. */
    atomic_store_explicit(&w->header->oldest, oldest, memory_order_release);
    /* P2. Pairs with the fence Q4 in cf_packet_reader_intact(): a reader that saw any word stored
     * from here on sees this `oldest`, too. */
    atomic_thread_fence(memory_order_release);
    CF_POINT("packet_writer.forgotten");
}

/* P3. Stores `size` bytes as words; what is behind them up to the line's end is not read by
 * anybody. Relaxed: P2 and P5 order them. `to` begins a line, so that whole lines can be unrolled. */
static void store_words(_Atomic uint64_t *to, const uint8_t *from, size_t size)
{
    uint64_t word;

    for (; size >= CF_PACKET_ALIGNMENT; size -= CF_PACKET_ALIGNMENT) {
#pragma GCC unroll 8
        for (size_t i = 0; i < LINE_WORDS; i++) {
            memcpy(&word, from + i * WORD, WORD);
            atomic_store_explicit(to + i, word, memory_order_relaxed);
        }
        from += CF_PACKET_ALIGNMENT;
        to += LINE_WORDS;
    }
    for (; size > 0; to++) {
        size_t part = size < WORD ? size : WORD;

        word = 0;
        memcpy(&word, from, part);
        atomic_store_explicit(to, word, memory_order_relaxed);
        from += part;
        size -= part;
    }
}

static void store_bytes(struct cf_packet_writer *w, const uint8_t *from, uint32_t size)
{
    const uint64_t offset = w->end % w->data_size;
    uint64_t first = w->data_size - offset;

    if (first > size)
        first = size;
    store_words(w->data + offset / WORD, from, (size_t)first);
    if (first < size)
        CF_POINT("packet_writer.wrapped");
    store_words(w->data, from + first, size - (size_t)first);
}

/* P4. Relaxed: as P3. */
static void store_entry(struct cf_packet_entry *entry, uint64_t position, uint32_t size,
                        const struct cf_packet_meta *meta)
{
    const uint32_t what =
        meta->flags | (uint32_t)meta->stream << 16 | (uint32_t)meta->capture_source << 24;

    atomic_store_explicit(&entry->position, position, memory_order_relaxed);
    atomic_store_explicit(&entry->size, size, memory_order_relaxed);
    atomic_store_explicit(&entry->generation, meta->generation, memory_order_relaxed);
    atomic_store_explicit(&entry->what, what, memory_order_relaxed);
    atomic_store_explicit(&entry->pts_ns, meta->pts_ns, memory_order_relaxed);
    atomic_store_explicit(&entry->dts_ns, meta->dts_ns, memory_order_relaxed);
    atomic_store_explicit(&entry->duration_ns, meta->duration_ns, memory_order_relaxed);
    atomic_store_explicit(&entry->capture_ns, meta->capture_ns, memory_order_relaxed);
    atomic_store_explicit(&entry->published_ns, meta->published_ns, memory_order_relaxed);
}

static void note_start(struct cf_packet_writer *w, uint64_t seq)
{
    /* Relaxed: P5 publishes it. */
    atomic_store_explicit(&w->header->newest_start, seq, memory_order_relaxed);
    w->starts++;
}

uint64_t cf_packet_writer_put(struct cf_packet_writer *w, const void *data, uint32_t size,
                              const struct cf_packet_meta *meta)
{
    const uint64_t seq = w->head;

    cf_packet_writer_forget(w, cf_packet_writer_oldest_beside(w, size));
    store_bytes(w, data, size);
    CF_POINT("packet_writer.stored");
    store_entry(entry_of(w, seq), w->end, size, meta);
    CF_POINT("packet_writer.described");
    if (meta->flags & CF_PACKET_FLAG_START)
        note_start(w, seq);
    w->end += cf_packet_room(size);
    w->head = seq + 1;
    /* P5. Release: pairs with the acquire Q1 of `head` in packet_reader.c; publishes the bytes, the
     * entry and `newest_start`. */
    CF_POINT("packet_writer.start_noted");
    atomic_store_explicit(&w->header->head, w->head, memory_order_release);
    CF_POINT("packet_writer.head_stored");
    return seq;
}

struct cf_packet_meta cf_packet_writer_meta(const struct cf_packet_writer *w, uint64_t seq)
{
    const struct cf_packet_entry *e = entry_of(w, seq);
    const uint32_t what = atomic_load_explicit(&e->what, memory_order_relaxed);

    return (struct cf_packet_meta){
        .pts_ns = atomic_load_explicit(&e->pts_ns, memory_order_relaxed),
        .dts_ns = atomic_load_explicit(&e->dts_ns, memory_order_relaxed),
        .duration_ns = atomic_load_explicit(&e->duration_ns, memory_order_relaxed),
        .capture_ns = atomic_load_explicit(&e->capture_ns, memory_order_relaxed),
        .published_ns = atomic_load_explicit(&e->published_ns, memory_order_relaxed),
        .generation = atomic_load_explicit(&e->generation, memory_order_relaxed),
        .flags = (uint16_t)what,
        .stream = (uint8_t)(what >> 16),
        .capture_source = (uint8_t)(what >> 24),
    };
}

/* Copies the bytes of a packet from one ring of this publisher to the end of another: whole lines,
 * each of which lies in one piece in both. */
static void copy_lines(struct cf_packet_writer *w, const struct cf_packet_writer *from,
                       uint64_t position, uint32_t size)
{
    for (uint64_t done = 0; done < size; done += CF_PACKET_ALIGNMENT) {
        _Atomic uint64_t *to = w->data + (w->end + done) % w->data_size / WORD;
        const _Atomic uint64_t *source = from->data + (position + done) % from->data_size / WORD;

        for (size_t i = 0; i < LINE_WORDS; i++)
            atomic_store_explicit(to + i, atomic_load_explicit(source + i, memory_order_relaxed),
                                  memory_order_relaxed);
    }
}

void cf_packet_writer_take_over(struct cf_packet_writer *w, const struct cf_packet_writer *from)
{
    for (uint64_t seq = from->oldest; seq < from->head; seq++) {
        const struct cf_packet_meta meta = cf_packet_writer_meta(from, seq);
        const uint32_t size =
            atomic_load_explicit(&entry_of(from, seq)->size, memory_order_relaxed);

        copy_lines(w, from, cf_packet_writer_position(from, seq), size);
        store_entry(entry_of(w, seq), w->end, size, &meta);
        if (meta.flags & CF_PACKET_FLAG_START)
            note_start(w, seq);
        w->end += cf_packet_room(size);
    }
    w->head = from->head;
    /* Release: as P5, though the memory is sent only later. */
    atomic_store_explicit(&w->header->head, w->head, memory_order_release);
}

void cf_packet_writer_wake(struct cf_packet_writer *w, const struct cf_packet_peers *peers)
{
    struct cf_packet_ring_header *header = w->header;
    uint32_t all = 0;

    /* P6. One writer, so no read-modify-write is needed. Release: pairs with the acquire of the
     * word in cf_packet_reader_prepare_wait(): who sees it sees the packet. */
    atomic_store_explicit(&header->wake,
                          atomic_load_explicit(&header->wake, memory_order_relaxed) + 1,
                          memory_order_release);
    /* Pairs with the fence in cf_packet_reader_prepare_wait(): either this side sees `waiting`
     * below, or the reader sees the packet and does not sleep. */
    atomic_thread_fence(memory_order_seq_cst);
    CF_POINT("packet_writer.wake_counted");
    for (uint32_t i = 0; i < peers->count; i++) {
        const struct cf_packet_peer *peer = &peers->peers[i];
        /* P7. */
        uint32_t waiting = atomic_load_explicit(&peer->page->waiting, memory_order_relaxed);

        all |= waiting;
        if ((waiting & CF_PACKETS_WAITING_SOCKET) && peer->wake_socket >= 0) {
            /* A full buffer means that the peer has been told already; never blocks, as in the
             * frame ring's wake(). */
            ssize_t ignored = send(peer->wake_socket, "", 1, MSG_DONTWAIT | MSG_NOSIGNAL);

            (void)ignored;
        }
    }
    if (all & CF_PACKETS_WAITING_FUTEX)
        cf_futex_wake_all(&header->wake);
}

void cf_packet_writer_end(struct cf_packet_writer *w, const struct cf_packet_peers *peers,
                          enum cf_packet_ring_state state)
{
    /* Release: pairs with the acquire in cf_packet_reader_state(): who sees the end sees every
     * packet that came before it. */
    atomic_store_explicit(&w->header->state, state, memory_order_release);
    CF_POINT("packet_writer.ended");
    cf_packet_writer_wake(w, peers);
}
