/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both sides of a frame ring against memory that the other side has filled with whatever it
 * likes.
 *
 * Input: a header of four bytes (which side, number of slots, two seeds), some operations, then
 * the hostile memory: the control memory for a reader, a hold page for a writer. A reader must
 * stay inside its slots and know what it holds; a writer must never take a slot that it or an
 * honest subscriber needs.
 */
#include <stdbool.h>
#include <string.h>

#include "fuzz.h"
#include "ring/reader.h"
#include "ring/writer.h"

enum { HEADER = 4, OPERATIONS = 32, MEMORY = HEADER + OPERATIONS };

static void *zeroed(size_t size)
{
    void *memory =
        aligned_alloc(CF_CACHE_LINE, (size + CF_CACHE_LINE - 1) / CF_CACHE_LINE * CF_CACHE_LINE);

    FUZZ_REQUIRE(memory);
    memset(memory, 0, size);
    return memory;
}

static void fill(void *memory, size_t room, const uint8_t *data, size_t size)
{
    if (size > MEMORY)
        memcpy(memory, data + MEMORY, size - MEMORY < room ? size - MEMORY : room);
}

/* A reader of hostile control memory. */

static void check_held(struct cf_ring_reader *r, const struct cf_ring_hold *held, uint64_t wanted,
                       uint64_t *mine)
{
    FUZZ_REQUIRE(held->slot < r->slot_count && held->seq >= wanted);
    FUZZ_REQUIRE(!(*mine >> held->slot & 1));
    *mine |= UINT64_C(1) << held->slot;
}

/* False when the reader calls the ring broken, after which a subscriber detaches. */
static bool read_step(struct cf_ring_reader *r, uint8_t operation, uint64_t *mine)
{
    enum cf_hold_result result = CF_HOLD_NOTHING;
    struct cf_ring_hold held;
    uint64_t wanted = operation >> 3;
    uint32_t slot = (operation >> 3) % r->slot_count;
    uint32_t word;

    switch (operation & 7) {
    case 0:
    case 1:
        result = cf_reader_hold_newest(r, wanted, &held);
        break;
    case 2:
    case 3:
        result = cf_reader_hold_next(r, wanted, &held);
        break;
    case 4:
        cf_reader_advance(r, wanted);
        break;
    case 5:
        if (cf_reader_prepare_wait(r, CF_WAITING_FUTEX, wanted, &word))
            cf_reader_end_wait(r);
        break;
    default:
        if (*mine >> slot & 1)
            cf_reader_let_go(r, slot);
        *mine &= ~(UINT64_C(1) << slot);
    }
    if (result == CF_HOLD_OK)
        check_held(r, &held, wanted, mine);
    for (uint32_t i = 0; i < CUFRAMES_MAX_SLOTS; i++)
        FUZZ_REQUIRE((atomic_load(&r->page->holds[i]) != 0) == (*mine >> i & 1));
    return result != CF_HOLD_BROKEN;
}

static void fuzz_reader(const uint8_t *data, size_t size)
{
    uint32_t slots = 1 + data[1] % CUFRAMES_MAX_SLOTS;
    struct cf_ring_header *header = zeroed(cf_ring_size(slots));
    struct cf_hold_page *page = zeroed(sizeof(*page));
    struct cf_ring_reader reader;
    uint64_t mine = 0;

    fill(header, cf_ring_size(slots), data, size);
    FUZZ_REQUIRE(!cf_reader_init(&reader, header, cf_ring_size(slots) - 1, page, slots, 7));
    if (data[2] % 16) {
        header->magic = CF_RING_MAGIC;
        header->slot_count = slots;
        header->generation = 7;
    }
    if (cf_reader_init(&reader, header, cf_ring_size(slots), page, slots, 7)) {
        reader.notify_publisher = data[3] & 1;
        for (size_t i = HEADER; i < MEMORY && i < size; i++)
            if (!read_step(&reader, data[i], &mine))
                break;
    }
    free(header);
    free(page);
}

/* A writer with one hostile subscriber and one honest one. */

struct world {
    struct cf_ring_writer writer;
    struct cf_ring_peers peers; /* 0 is hostile */
    struct cf_ring_reader honest;
    bool acquired[CUFRAMES_MAX_SLOTS];
};

static void check_taken(struct world *w, uint32_t slot)
{
    FUZZ_REQUIRE(slot < w->writer.slot_count && slot != w->writer.newest);
    FUZZ_REQUIRE(!w->acquired[slot]);
    FUZZ_REQUIRE(atomic_load(&w->honest.page->holds[slot]) == 0);
    FUZZ_REQUIRE(w->writer.slots[slot].refs == 1);
    w->acquired[slot] = true;
}

static void publish(struct world *w, uint32_t slot)
{
    struct cf_ring_meta meta = {.pts_ns = 1};

    if (!w->acquired[slot])
        return;
    w->acquired[slot] = false;
    cf_writer_publish(&w->writer, &w->peers, slot, &meta);
    cf_writer_unref(&w->writer, slot);
    FUZZ_REQUIRE(w->writer.newest == slot);
}

static void write_step(struct world *w, uint8_t operation)
{
    uint32_t slot = (operation >> 3) % w->writer.slot_count;
    struct cf_ring_blocker blocker;
    struct cf_ring_hold held;

    switch (operation & 7) {
    case 0:
    case 1:
    case 2:
        slot = cf_writer_acquire(&w->writer, &w->peers, operation & 8, &blocker);
        if (slot != CF_NO_SLOT)
            check_taken(w, slot);
        else
            FUZZ_REQUIRE(blocker.slot == CF_NO_SLOT ||
                         (blocker.slot < w->writer.slot_count && blocker.peer < w->peers.count));
        break;
    case 3:
    case 4:
        publish(w, slot);
        break;
    case 5:
        if (atomic_load(&w->honest.page->holds[slot]))
            cf_reader_let_go(&w->honest, slot);
        break;
    case 6:
        /* Already held: the reader says so by calling it broken. */
        if (w->writer.newest != CF_NO_SLOT &&
            atomic_load(&w->honest.page->holds[w->writer.newest]) == 0) {
            FUZZ_REQUIRE(cf_reader_hold_newest(&w->honest, 0, &held) == CF_HOLD_OK);
            FUZZ_REQUIRE(held.slot == w->writer.newest);
        }
        break;
    default:
        FUZZ_REQUIRE(cf_hold_page_count(w->peers.peers[0].page, w->writer.slot_count) <=
                     w->writer.slot_count);
        /* The hostile page changes under the writer. */
        atomic_store(&w->peers.peers[0].page->holds[slot], operation);
        atomic_store(&w->peers.peers[0].page->cursor, operation);
    }
}

static void fuzz_writer(const uint8_t *data, size_t size)
{
    uint32_t slots = CUFRAMES_MIN_SLOTS + data[1] % (CUFRAMES_MAX_SLOTS - 1);
    struct cf_ring_header *header = zeroed(cf_ring_size(slots));
    struct cf_hold_page *hostile = zeroed(sizeof(*hostile));
    struct cf_hold_page *honest = zeroed(sizeof(*honest));
    struct world w = {.peers = {.count = 2}};

    fill(hostile, sizeof(*hostile), data, size);
    cf_writer_init(&w.writer, header, slots, 7);
    w.peers.peers[0] =
        (struct cf_ring_peer){.page = hostile, .wake_socket = -1, .in_order = data[2] & 1};
    w.peers.peers[1] = (struct cf_ring_peer){.page = honest, .wake_socket = -1};
    FUZZ_REQUIRE(cf_reader_init(&w.honest, header, cf_ring_size(slots), honest, slots, 7));
    for (size_t i = HEADER; i < MEMORY && i < size; i++)
        write_step(&w, data[i]);
    free(header);
    free(hostile);
    free(honest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < HEADER)
        return 0;
    if (data[0] & 1)
        fuzz_writer(data, size);
    else
        fuzz_reader(data, size);
    return 0;
}

/* An honest ring of three slots after five frames, and operations of each side. */
size_t fuzz_seed(unsigned index, uint8_t *data)
{
    const uint8_t reads[] = {0, 2, 4 << 3 | 4, 6, 1 << 3 | 6, 2 << 3 | 6, 3 << 3 | 2, 5};
    const uint8_t writes[] = {0, 3, 6, 1, 1 << 3 | 3, 2, 2 << 3 | 4, 5, 0, 7, 8, 3};
    const size_t memory = cf_ring_size(3);
    struct cf_ring_peers peers = {.count = 0};
    struct cf_ring_meta meta = {.pts_ns = 1};
    struct cf_ring_blocker blocker;
    struct cf_ring_header *header;
    struct cf_ring_writer writer;

    if (index >= 2)
        return 0;
    memset(data, 0, MEMORY);
    data[0] = (uint8_t)index;
    data[1] = index ? 1 : 2; /* three slots */
    data[2] = 1;
    memcpy(data + HEADER, index ? writes : reads, index ? sizeof(writes) : sizeof(reads));
    if (index == 1) {
        memset(data + MEMORY, 0, sizeof(struct cf_hold_page));
        return MEMORY + sizeof(struct cf_hold_page);
    }
    header = zeroed(memory);
    cf_writer_init(&writer, header, 3, 7);
    for (int i = 0; i < 5; i++) {
        uint32_t slot = cf_writer_acquire(&writer, &peers, false, &blocker);

        FUZZ_REQUIRE(slot != CF_NO_SLOT);
        cf_writer_publish(&writer, &peers, slot, &meta);
        cf_writer_unref(&writer, slot);
    }
    memcpy(data + MEMORY, header, memory);
    free(header);
    return MEMORY + memory;
}
