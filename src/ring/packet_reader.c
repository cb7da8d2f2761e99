/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The subscriber's half of the packet ring; packet_writer.c has the other half and the idea.
 * tests/model/packet_ring.pml is the model, Q1 to Q6 its steps.
 */
#include "ring/packet_reader.h"

#include <string.h>

#include "base/futex.h"
#include "base/point.h"

#define WORD       sizeof(uint64_t)
#define LINE_WORDS (CF_PACKET_ALIGNMENT / WORD)

bool cf_packet_reader_init(struct cf_packet_reader *r, const struct cf_packet_ring_header *header,
                           size_t size, uint32_t number)
{
    const volatile struct cf_packet_ring_header *shared = header;
    const uint64_t data_size = shared->data_size;
    const uint32_t index_size = shared->index_size;
    const uint32_t max_packet = shared->max_packet;

    if (size < sizeof(*header) || shared->magic != CF_PACKET_RING_MAGIC ||
        shared->number != number || !cf_packet_shape_ok(data_size, index_size, max_packet) ||
        size < cf_packet_ring_size(index_size, data_size))
        return false;
    *r = (struct cf_packet_reader){
        .header = header,
        .data =
            (const _Atomic uint64_t *)((const uint8_t *)header + cf_packet_data_offset(index_size)),
        .data_size = data_size,
        .index_size = index_size,
        .max_packet = max_packet,
    };
    return true;
}

uint64_t cf_packet_reader_head(const struct cf_packet_reader *r)
{
    /* Q1. Acquire: pairs with the release P5 of `head` in cf_packet_writer_put(). */
    return atomic_load_explicit(&r->header->head, memory_order_acquire);
}

bool cf_packet_reader_range(const struct cf_packet_reader *r, uint64_t *oldest, uint64_t *head)
{
    /* Acquire: pairs with the release P1: `head`, read after it, is not before it. */
    uint64_t from = atomic_load_explicit(&r->header->oldest, memory_order_acquire);
    uint64_t to = cf_packet_reader_head(r);

    if (from > to)
        return false;
    /* The writer went on between the two loads. */
    if (to - from > r->index_size)
        from = to - r->index_size;
    *oldest = from;
    *head = to;
    return true;
}

/* Q4, Q5. Whether nothing that belonged to packet `seq` was overwritten before the loads that came
 * before this call. */
static bool intact(const struct cf_packet_reader *r, uint64_t seq)
{
    /* Q4. Pairs with the fence P2 in cf_packet_writer_forget(). */
    atomic_thread_fence(memory_order_acquire);
    /* Q5. Relaxed: the fence orders it. */
    return atomic_load_explicit(&r->header->oldest, memory_order_relaxed) <= seq;
}

/* Q2. Relaxed: Q1 shows the entry as it was published, Q4 and Q5 tell whether it still was. */
static void load_entry(const struct cf_packet_entry *e, struct cf_packet_found *found)
{
    const uint32_t what = atomic_load_explicit(&e->what, memory_order_relaxed);

    *found = (struct cf_packet_found){
        .position = atomic_load_explicit(&e->position, memory_order_relaxed),
        .size = atomic_load_explicit(&e->size, memory_order_relaxed),
        .meta =
            {
                .pts_ns = atomic_load_explicit(&e->pts_ns, memory_order_relaxed),
                .dts_ns = atomic_load_explicit(&e->dts_ns, memory_order_relaxed),
                .duration_ns = atomic_load_explicit(&e->duration_ns, memory_order_relaxed),
                .capture_ns = atomic_load_explicit(&e->capture_ns, memory_order_relaxed),
                .published_ns = atomic_load_explicit(&e->published_ns, memory_order_relaxed),
                .generation = atomic_load_explicit(&e->generation, memory_order_relaxed),
                .flags = (uint16_t)what,
                .stream = (uint8_t)(what >> 16),
                .capture_source = (uint8_t)(what >> 24),
            },
    };
}

static bool plausible(const struct cf_packet_reader *r, const struct cf_packet_found *found)
{
    return found->size >= 1 && found->size <= r->max_packet &&
           found->position % CF_PACKET_ALIGNMENT == 0 &&
           found->meta.stream < CUFRAMES_MAX_STREAMS &&
           found->meta.capture_source <= CUFRAMES_CLOCK_FILE && found->meta.duration_ns >= 0 &&
           (found->meta.flags & ~(CF_PACKET_FLAGS | CF_PACKET_FLAG_START)) == 0 &&
           found->meta.generation != 0;
}

enum cf_packet_result cf_packet_reader_look(const struct cf_packet_reader *r, uint64_t seq,
                                            struct cf_packet_found *found)
{
    const uint64_t head = cf_packet_reader_head(r);
    struct cf_packet_found seen;

    if (seq >= head)
        return CF_PACKET_NOTHING;
    if (head - seq > r->index_size)
        return CF_PACKET_GONE;
    load_entry(&r->header->index[seq & (r->index_size - 1)], &seen);
    CF_POINT("packet_reader.entry_loaded");
    if (!intact(r, seq))
        return CF_PACKET_GONE;
    if (!plausible(r, &seen))
        return CF_PACKET_BROKEN;
    *found = seen;
    return CF_PACKET_OK;
}

/* Q3. Relaxed: as Q2. `from` begins a line. Writes whole words. */
static void load_words(uint8_t *to, const _Atomic uint64_t *from, size_t size)
{
    uint64_t word;

    for (; size >= CF_PACKET_ALIGNMENT; size -= CF_PACKET_ALIGNMENT) {
#pragma GCC unroll 8
        for (size_t i = 0; i < LINE_WORDS; i++) {
            word = atomic_load_explicit(from + i, memory_order_relaxed);
            memcpy(to + i * WORD, &word, WORD);
        }
        from += LINE_WORDS;
        to += CF_PACKET_ALIGNMENT;
    }
    for (size_t done = 0; done < size; done += WORD) {
        word = atomic_load_explicit(from++, memory_order_relaxed);
        memcpy(to + done, &word, WORD);
    }
}

bool cf_packet_reader_copy(const struct cf_packet_reader *r, uint64_t seq,
                           const struct cf_packet_found *found, void *to)
{
    const uint64_t offset = found->position % r->data_size;
    uint64_t first = r->data_size - offset;

    if (first > found->size)
        first = found->size;
    load_words(to, r->data + offset / WORD, (size_t)first);
    /* A packet that goes on at the ring's start fills its last line before the end. */
    if (first < found->size)
        load_words((uint8_t *)to + first, r->data, found->size - (size_t)first);
    CF_POINT("packet_reader.copied");
    return intact(r, seq);
}

uint64_t cf_packet_reader_newest_start(const struct cf_packet_reader *r)
{
    uint64_t oldest, head, start;

    if (!cf_packet_reader_range(r, &oldest, &head))
        return CF_PACKET_NONE;
    /* Relaxed: Q1 in the line above shows the one that belongs to `head`, or a newer one. */
    start = atomic_load_explicit(&r->header->newest_start, memory_order_relaxed);
    /* One that is newer than this `head` will be there as soon as `head` is read again. */
    return start == CF_PACKET_NONE || start < oldest ? CF_PACKET_NONE : start;
}

static bool is_start(const struct cf_packet_reader *r, uint64_t seq, int64_t *published_ns)
{
    struct cf_packet_found found;

    if (cf_packet_reader_look(r, seq, &found) != CF_PACKET_OK)
        return false;
    *published_ns = found.meta.published_ns;
    return (found.meta.flags & CF_PACKET_FLAG_START) != 0;
}

uint64_t cf_packet_reader_oldest_start(const struct cf_packet_reader *r, uint32_t margin)
{
    uint64_t oldest, head;
    int64_t unused;

    if (!cf_packet_reader_range(r, &oldest, &head))
        return CF_PACKET_NONE;
    if (margin > 0)
        oldest += (head - oldest + margin - 1) / margin;
    for (uint64_t seq = oldest; seq < head; seq++)
        if (is_start(r, seq, &unused))
            return seq;
    return CF_PACKET_NONE;
}

uint64_t cf_packet_reader_start_before(const struct cf_packet_reader *r, int64_t until_ns)
{
    uint64_t best = CF_PACKET_NONE;
    uint64_t oldest, head;
    int64_t published_ns = 0;

    if (!cf_packet_reader_range(r, &oldest, &head))
        return CF_PACKET_NONE;
    for (uint64_t seq = head; seq-- > oldest;) {
        if (!is_start(r, seq, &published_ns))
            continue;
        best = seq;
        if (published_ns <= until_ns)
            break;
    }
    return best;
}

enum cf_packet_ring_state cf_packet_reader_state(const struct cf_packet_reader *r)
{
    /* Acquire: pairs with the release in cf_packet_writer_end(). */
    return (enum cf_packet_ring_state)atomic_load_explicit(&r->header->state, memory_order_acquire);
}

bool cf_packet_reader_has(const struct cf_packet_reader *r, uint64_t wanted)
{
    return cf_packet_reader_head(r) > wanted;
}

bool cf_packet_reader_prepare_wait(const struct cf_packet_reader *r, struct cf_packet_page *page,
                                   uint32_t how, uint64_t wanted, uint32_t *word)
{
    /* Acquire: pairs with the release P6 in cf_packet_writer_wake(). Read before the flag is set,
     * so that whatever changes it later either is seen below or ends the sleep. */
    uint32_t seen = atomic_load_explicit(&r->header->wake, memory_order_acquire);

    atomic_store_explicit(&page->waiting, how, memory_order_relaxed);
    /* Q6. Pairs with the fence in cf_packet_writer_wake(): either the publisher sees `waiting`
     * (P7), or this side sees the packet that it has just published. */
    atomic_thread_fence(memory_order_seq_cst);
    if (cf_packet_reader_has(r, wanted) || cf_packet_reader_state(r) != CF_PACKET_RING_RUNNING) {
        cf_packet_reader_end_wait(page);
        return false;
    }
    *word = seen;
    CF_POINT("packet_reader.waiting");
    return true;
}

int cf_packet_reader_sleep(const struct cf_packet_reader *r, uint32_t word, int64_t deadline_ns)
{
    return cf_futex_wait(&r->header->wake, word, deadline_ns);
}

void cf_packet_reader_end_wait(struct cf_packet_page *page)
{
    /* Relaxed: at worst the publisher makes one wake-up call too many. */
    atomic_store_explicit(&page->waiting, 0, memory_order_relaxed);
}
