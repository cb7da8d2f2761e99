/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The frame ring under load: a publisher and subscribers that run as fast as they can over one
 * memory. Each byte of a frame follows from its sequence number; subscribers check that when they
 * have the frame and again just before they let it go. The threads use the same addresses, so that
 * the thread sanitizer sees every access; the processes are killed at any moment.
 *
 * CUFRAMES_TEST_SECONDS is how long each test runs (2).
 */
#include "harness/harness.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/futex.h"
#include "ring/reader.h"
#include "ring/writer.h"

#define SUBSCRIBERS 3
/* Each subscriber holds one frame while it waits, the publisher keeps one and fills one, and the
 * newest frame is never taken: with these there is always something to go on with. */
#define SLOTS       6
#define FRAME_WORDS 256
/* Goes past 32 bits on the way. */
#define FIRST_SEQ ((UINT64_C(1) << 32) - 1000)

struct subscriber {
    struct cf_ring_reader reader;
    bool in_order;
    bool complete; /* no frame may be missing */
    uint64_t held; /* frames that it has had */
    uint64_t wanted;
};

/* What all sides share. */
struct memory {
    struct cf_hold_page pages[SUBSCRIBERS];
    _Atomic uint64_t checked; /* frames that subscribers have found whole */
    uint64_t frames[SLOTS][FRAME_WORDS];
    _Alignas(CF_CACHE_LINE) unsigned char control[sizeof(struct cf_ring_header) +
                                                  SLOTS * sizeof(struct cf_ring_slot)];
};

struct publisher {
    struct cf_ring_writer writer;
    struct cf_ring_peers peers;
    uint32_t kept; /* a published slot that it still claims, or CF_NO_SLOT */
    uint64_t random;
};

static struct memory *memory;

static struct cf_ring_header *header(void)
{
    return (struct cf_ring_header *)(void *)memory->control;
}

static uint64_t random_word(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static uint64_t word_of(uint64_t seq, uint32_t i)
{
    return (seq + 1) * UINT64_C(0x9e3779b97f4a7c15) + i;
}

static void set_up(struct publisher *p)
{
    *p = (struct publisher){.kept = CF_NO_SLOT, .random = 88172645463325252};
    cf_writer_init(&p->writer, header(), SLOTS, 1);
    cf_writer_start(&p->writer, FIRST_SEQ);
}

/* Makes subscriber `i` known to the publisher, from the next frame on. */
static void join(struct publisher *p, uint32_t i, bool in_order, struct subscriber *s)
{
    struct cf_hold_page *page = &memory->pages[i];

    *s = (struct subscriber){.in_order = in_order, .wanted = p->writer.next_seq};
    CHECK(cf_reader_init(&s->reader, header(), sizeof(memory->control), page, SLOTS, 1));
    s->reader.notify_publisher = true;
    atomic_store(&page->cursor, s->wanted);
    p->peers.peers[p->peers.count++] =
        (struct cf_ring_peer){.page = page, .wake_socket = -1, .in_order = in_order};
}

static void leave(struct publisher *p, uint32_t i)
{
    for (uint32_t n = 0; n < p->peers.count; n++)
        if (p->peers.peers[n].page == &memory->pages[i]) {
            p->peers.peers[n] = p->peers.peers[--p->peers.count];
            memset(&memory->pages[i], 0, sizeof(memory->pages[i]));
            return;
        }
    FAIL("no such subscriber");
}

/* Fills the slot with what its next sequence number says, and publishes it. Now and then keeps a
 * claim on the frame until the next one. */
static void publish(struct publisher *p, uint32_t slot)
{
    uint64_t seq = p->writer.next_seq;
    struct cf_ring_meta meta = {
        .pts_ns = (int64_t)word_of(seq, 0), .user = &seq, .user_size = sizeof(seq)};

    for (uint32_t i = 0; i < FRAME_WORDS; i++)
        memory->frames[slot][i] = word_of(seq, i);
    CHECK_EQ(cf_writer_publish(&p->writer, &p->peers, slot, &meta), seq);
    if (p->kept == CF_NO_SLOT && random_word(&p->random) % 4 == 0) {
        p->kept = slot;
        return;
    }
    cf_writer_unref(&p->writer, slot);
    if (p->kept != CF_NO_SLOT)
        cf_writer_unref(&p->writer, p->kept);
    p->kept = CF_NO_SLOT;
}

/* Sleeps until a subscriber lets go, as the publisher of a channel with the wait policy does. */
static uint32_t acquire_waiting(struct publisher *p)
{
    int64_t deadline = test_deadline_ms(10000);
    struct cf_ring_blocker blocker;
    uint32_t slot;

    while ((slot = cf_writer_acquire(&p->writer, &p->peers, true, &blocker)) == CF_NO_SLOT) {
        struct cf_futex_look looks[SUBSCRIBERS];

        for (uint32_t i = 0; i < p->peers.count; i++) {
            _Atomic uint32_t *ack = &p->peers.peers[i].page->ack;

            looks[i] = (struct cf_futex_look){
                .word = ack, .seen = atomic_load_explicit(ack, memory_order_acquire)};
        }
        cf_writer_set_waiting(&p->writer, true);
        slot = cf_writer_acquire(&p->writer, &p->peers, true, &blocker);
        if (slot == CF_NO_SLOT)
            cf_futex_wait_any(looks, p->peers.count, deadline);
        cf_writer_set_waiting(&p->writer, false);
        if (slot != CF_NO_SLOT)
            break;
        if (cf_now_ns() >= deadline)
            FAIL("the publisher was not woken: slot %u, peer %u", blocker.slot, blocker.peer);
    }
    return slot;
}

static void check_whole(const struct cf_ring_hold *held)
{
    const struct cf_ring_slot *slot = &header()->slots[held->slot];

    for (uint32_t i = 0; i < FRAME_WORDS; i++)
        if (memory->frames[held->slot][i] != word_of(held->seq, i))
            FAIL("torn frame %" PRIu64 " in slot %u at word %u", held->seq, held->slot, i);
    if (slot->pts_ns != (int64_t)word_of(held->seq, 0) || slot->user_size != sizeof(held->seq) ||
        memcmp(slot->user, &held->seq, sizeof(held->seq)) != 0)
        FAIL("torn metadata of frame %" PRIu64 " in slot %u", held->seq, held->slot);
}

/* False: the ring has ended and there is nothing more to read. */
static bool hold_one(struct subscriber *s, struct cf_ring_hold *held)
{
    for (;;) {
        bool ended = cf_reader_state(&s->reader) != CF_RING_RUNNING;
        enum cf_hold_result result = s->in_order
                                         ? cf_reader_hold_next(&s->reader, s->wanted, held)
                                         : cf_reader_hold_newest(&s->reader, s->wanted, held);
        uint32_t word;

        if (result == CF_HOLD_OK)
            return true;
        if (result == CF_HOLD_BROKEN)
            FAIL("the ring is broken at frame %" PRIu64, s->wanted);
        if (ended)
            return false;
        if (!cf_reader_prepare_wait(&s->reader, CF_WAITING_FUTEX, s->wanted, &word))
            continue;
        if (cf_reader_sleep(&s->reader, word, test_deadline_ms(10000)) == -ETIMEDOUT)
            FAIL("not woken for frame %" PRIu64, s->wanted);
        cf_reader_end_wait(&s->reader);
    }
}

/* Reads until the ring ends. Holds one frame while it waits for the next. */
static void subscribe(struct subscriber *s)
{
    struct cf_ring_hold last = {.slot = CF_NO_SLOT}, held;

    while (hold_one(s, &held)) {
        CHECK_GE(held.seq, s->wanted);
        if (s->complete)
            CHECK_EQ(held.seq, s->wanted);
        s->wanted = held.seq + 1;
        if (s->in_order)
            cf_reader_advance(&s->reader, s->wanted);
        check_whole(&held);
        if (last.slot != CF_NO_SLOT) {
            check_whole(&last);
            cf_reader_let_go(&s->reader, last.slot);
        }
        last = held;
        s->held++;
        atomic_fetch_add_explicit(&memory->checked, 1, memory_order_relaxed);
    }
    if (last.slot != CF_NO_SLOT) {
        check_whole(&last);
        cf_reader_let_go(&s->reader, last.slot);
    }
}

static void *run_subscriber(void *argument)
{
    subscribe(argument);
    return NULL;
}

/* Runs the publisher in this thread; two of the subscribers read in order, one the newest. */
static void run_threads(bool wait)
{
    int64_t end = cf_now_ns() + test_seconds(2) * CF_NS_PER_S;
    struct subscriber subscribers[SUBSCRIBERS];
    pthread_t threads[SUBSCRIBERS];
    struct cf_ring_blocker blocker;
    struct publisher p;

    memory = aligned_alloc(CF_CACHE_LINE, sizeof(*memory));
    CHECK(memory != NULL);
    memset(memory, 0, sizeof(*memory));
    set_up(&p);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        join(&p, i, i != 0, &subscribers[i]);
        subscribers[i].complete = wait && i != 0;
        CHECK_EQ(pthread_create(&threads[i], NULL, run_subscriber, &subscribers[i]), 0);
    }
    while (cf_now_ns() < end) {
        uint32_t slot =
            wait ? acquire_waiting(&p) : cf_writer_acquire(&p.writer, &p.peers, false, &blocker);

        if (slot != CF_NO_SLOT)
            publish(&p, slot);
        else
            sched_yield();
    }
    cf_writer_end(&p.writer, &p.peers, CF_RING_CLOSED);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_EQ(subscribers[i].wanted, p.writer.next_seq);
        CHECK_GT(subscribers[i].held, 100);
        CHECK_EQ(cf_hold_page_count(&memory->pages[i], SLOTS), 0);
        if (subscribers[i].complete)
            CHECK_EQ(subscribers[i].held, p.writer.next_seq - FIRST_SEQ);
    }
    CHECK_GT(p.writer.next_seq, UINT64_C(1) << 32);
    free(memory);
}

TEST(threads_never_see_a_torn_frame, .threads = true)
{
    run_threads(false);
}

TEST(threads_get_every_frame_under_the_wait_policy, .threads = true)
{
    run_threads(true);
}

static pid_t start_process(struct publisher *p, uint32_t i, bool in_order)
{
    struct subscriber s;
    pid_t pid;

    join(p, i, in_order, &s);
    pid = CHECK_SYS(fork());
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        subscribe(&s);
        _exit(0);
    }
    return pid;
}

/* Kills the subscriber and takes it out of the set; says how many slots it still held. */
static uint32_t kill_process(struct publisher *p, uint32_t i, pid_t pid)
{
    uint32_t held;
    int status;

    CHECK_SYS(kill(pid, SIGKILL));
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    /* It may have found a torn frame before. */
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    held = cf_hold_page_count(&memory->pages[i], SLOTS);
    leave(p, i);
    return held;
}

static void publish_for(struct publisher *p, int64_t ns)
{
    int64_t end = cf_now_ns() + ns;
    bool wait_for_order = random_word(&p->random) % 2;

    while (cf_now_ns() < end) {
        struct cf_ring_blocker blocker;
        uint32_t slot = cf_writer_acquire(&p->writer, &p->peers, wait_for_order, &blocker);

        if (slot != CF_NO_SLOT)
            publish(p, slot);
        else
            sched_yield();
    }
}

TEST(killed_processes_leave_whole_frames_to_the_others)
{
    int64_t end = cf_now_ns() + test_seconds(2) * CF_NS_PER_S;
    pid_t pids[SUBSCRIBERS];
    uint32_t kills = 0, left_held = 0;
    struct publisher p;

    memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    set_up(&p);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        pids[i] = start_process(&p, i, i != 0);
    while (cf_now_ns() < end) {
        uint32_t i = random_word(&p.random) % SUBSCRIBERS;

        publish_for(&p, (int64_t)(random_word(&p.random) % 20) * CF_NS_PER_MS);
        left_held += kill_process(&p, i, pids[i]);
        kills++;
        pids[i] = start_process(&p, i, random_word(&p.random) % 2);
    }
    cf_writer_end(&p.writer, &p.peers, CF_RING_CLOSED);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        int status;

        CHECK_EQ(waitpid(pids[i], &status, 0), pids[i]);
        CHECK_EQ(status, 0);
        CHECK_EQ(cf_hold_page_count(&memory->pages[i], SLOTS), 0);
    }
    CHECK_GT(kills, 5);
    CHECK_GT(left_held, 0);
    CHECK_GT(atomic_load(&memory->checked), 100);
    CHECK_SYS(munmap(memory, sizeof(*memory)));
}

/* The harness gives each test the time that it has been told to take, and some more. */
__attribute__((constructor)) static void set_timeouts(void)
{
    unsigned timeout_s = (unsigned)test_seconds(2) + 30;

    test_case_threads_never_see_a_torn_frame.timeout_s = timeout_s;
    test_case_threads_get_every_frame_under_the_wait_policy.timeout_s = timeout_s;
    test_case_killed_processes_leave_whole_frames_to_the_others.timeout_s = timeout_s;
}
