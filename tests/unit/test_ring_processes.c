/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frame ring over sealed memfds, with a publisher and subscribers that are processes and are
 * killed at random moments: no frame is ever torn, what the dead held becomes free, and the
 * publisher's death changes nothing for those who hold. Lengthened by CUFRAMES_TEST_SECONDS.
 *
 * The test's own process stands for the sockets: it tells the publisher who has died.
 */
#include <errno.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/shm.h"
#include "harness/harness.h"
#include "harness/peer.h"
#include "ring/reader.h"
#include "ring/writer.h"

enum { SUBSCRIBERS = 4, SLOTS = SUBSCRIBERS + 2, WORDS = 2048, PAGE = 4096 };

/* Every word of a picture is a function of the sequence number and of its place. */
static uint64_t picture_word(uint64_t seq, size_t i)
{
    return (seq + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ i;
}

static void picture_fill(uint64_t *picture, size_t words, uint64_t seq)
{
    for (size_t i = 0; i < words; i++)
        picture[i] = picture_word(seq, i);
}

static void picture_check(const uint64_t *picture, size_t words, uint64_t seq)
{
    for (size_t i = 0; i < words; i++)
        if (picture[i] != picture_word(seq, i))
            FAIL("torn: word %zu of frame %llu is %#llx", i, (unsigned long long)seq,
                 (unsigned long long)picture[i]);
}

/* What the processes of the test tell each other; plain shared memory. */
struct board {
    _Atomic bool alive[SUBSCRIBERS];  /* set by the test */
    _Atomic bool heeded[SUBSCRIBERS]; /* the publisher's answer */
    _Atomic bool publisher_dead;
    _Atomic uint64_t published, dropped;
    _Atomic uint64_t received[SUBSCRIBERS];
};

struct world {
    struct board *board;
    int control_fd;
    struct cf_map control; /* ring and pictures; writable for the test and the publisher */
    struct cf_map pages;
    struct test_peer publisher, subscribers[SUBSCRIBERS];
    unsigned random;
};

struct role {
    struct world *world;
    uint32_t index;
};

static size_t pictures_at(void)
{
    return (cf_ring_size(SLOTS) + PAGE - 1) / PAGE * PAGE;
}

static size_t control_size(void)
{
    return pictures_at() + SLOTS * WORDS * sizeof(uint64_t);
}

static uint64_t *picture(const struct cf_map *control, uint32_t slot)
{
    return (uint64_t *)((uint8_t *)control->addr + pictures_at()) + (size_t)slot * WORDS;
}

static struct cf_hold_page *page(const struct world *w, uint32_t index)
{
    return (struct cf_hold_page *)((uint8_t *)w->pages.addr + (size_t)index * PAGE);
}

/* ---- publisher ---- */

static void heed(struct world *w, struct cf_ring_peers *peers)
{
    peers->count = 0;
    for (uint32_t i = 0; i < SUBSCRIBERS; i++) {
        bool alive = atomic_load(&w->board->alive[i]);

        if (alive)
            peers->peers[peers->count++] =
                (struct cf_ring_peer){.page = page(w, i), .wake_socket = -1};
        atomic_store(&w->board->heeded[i], alive);
    }
}

static void publish_until_killed(struct test_peer *test, void *argument)
{
    struct world *w = argument;
    struct cf_ring_peers *peers = calloc(1, sizeof(*peers));
    struct cf_ring_writer writer;
    struct cf_ring_blocker blocker;
    struct cf_ring_meta meta = {0};

    (void)test;
    cf_writer_init(&writer, w->control.addr, SLOTS, 1);
    for (;;) {
        uint32_t slot;

        heed(w, peers);
        slot = cf_writer_acquire(&writer, peers, false, &blocker);
        if (slot == CF_NO_SLOT) {
            atomic_fetch_add(&w->board->dropped, 1);
            continue;
        }
        picture_fill(picture(&w->control, slot), WORDS, writer.next_seq);
        cf_writer_publish(&writer, peers, slot, &meta);
        cf_writer_unref(&writer, slot);
        atomic_fetch_add(&w->board->published, 1);
        if (writer.next_seq % 8 == 0)
            usleep(50);
    }
}

/* ---- subscriber ---- */

struct subscriber {
    struct cf_ring_reader reader;
    struct cf_map control; /* read-only */
    bool in_order;
    uint64_t wanted;
    struct cf_ring_hold held;
};

static void attach(struct subscriber *s, struct world *w, uint32_t index)
{
    CHECK_OK(
        cf_shm_attach("ring", w->control_fd, control_size(), CF_SHM_MAKER_WRITES, &s->control));
    cf_map_release(&w->control);
    /* The publisher may be about to initialise the ring. */
    WAIT_FOR(cf_reader_init(&s->reader, s->control.addr, s->control.size, page(w, index), SLOTS, 1),
             test_patience_ms());
    s->in_order = index % 2;
}

static bool take(struct subscriber *s)
{
    enum cf_hold_result result = s->in_order
                                     ? cf_reader_hold_next(&s->reader, s->wanted, &s->held)
                                     : cf_reader_hold_newest(&s->reader, s->wanted, &s->held);

    CHECK_NE(result, CF_HOLD_BROKEN);
    if (result == CF_HOLD_NOTHING)
        return false;
    picture_check(picture(&s->control, s->held.slot), WORDS, s->held.seq);
    s->wanted = s->held.seq + 1;
    return true;
}

static void let_go(struct subscriber *s)
{
    picture_check(picture(&s->control, s->held.slot), WORDS, s->held.seq);
    cf_reader_let_go(&s->reader, s->held.slot);
}

static void sleep_for_frame(struct subscriber *s)
{
    uint32_t word;

    if (!cf_reader_prepare_wait(&s->reader, CF_WAITING_FUTEX, s->wanted, &word))
        return;
    cf_reader_sleep(&s->reader, word, cf_now_ns() + 20 * CF_NS_PER_MS);
    cf_reader_end_wait(&s->reader);
}

/* The publisher is dead; nothing changes any more, and what there is can be held and read. */
static void outlive(struct subscriber *s, bool holding)
{
    if (holding) {
        usleep(1000);
        let_go(s);
    }
    s->in_order = false;
    s->wanted = 0;
    if (take(s)) {
        usleep(1000);
        let_go(s);
    } else {
        CHECK_EQ(cf_reader_newest(&s->reader), CF_SEQ_INVALID);
    }
}

static void subscribe_until_killed(struct test_peer *test, void *argument)
{
    const struct role *role = argument;
    struct board *board = role->world->board;
    struct subscriber s = {.wanted = 0};

    (void)test;
    attach(&s, role->world, role->index);
    while (!atomic_load(&board->publisher_dead)) {
        if (!take(&s)) {
            sleep_for_frame(&s);
            continue;
        }
        atomic_fetch_add(&board->received[role->index], 1);
        if (s.held.seq % 5 == 0)
            usleep(200);
        if (atomic_load(&board->publisher_dead)) {
            outlive(&s, true);
            return;
        }
        let_go(&s);
    }
    outlive(&s, false);
}

/* ---- the test's process ---- */

static void start_subscriber(struct world *w, uint32_t index)
{
    struct role role = {.world = w, .index = index};
    struct test_spawn_options options = {.keep_fd = w->control_fd};

    memset(page(w, index), 0, PAGE);
    atomic_store(&w->board->alive[index], true);
    WAIT_FOR(atomic_load(&w->board->heeded[index]), test_patience_ms());
    test_spawn(&w->subscribers[index], subscribe_until_killed, &role, &options);
}

static void kill_subscriber(struct world *w, uint32_t index)
{
    test_kill(&w->subscribers[index]);
    atomic_store(&w->board->alive[index], false);
    WAIT_FOR(!atomic_load(&w->board->heeded[index]), test_patience_ms());
}

static void start(struct world *w)
{
    memset(w->board, 0, sizeof(*w->board));
    memset(w->control.addr, 0, w->control.size);
    test_spawn(&w->publisher, publish_until_killed, w, NULL);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        start_subscriber(w, i);
}

static void wait_for_frames(struct world *w, uint64_t more)
{
    uint64_t until = atomic_load(&w->board->published) + more;

    WAIT_FOR(atomic_load(&w->board->published) >= until, test_patience_ms());
}

/* With every subscriber dead and noticed, the publisher has all slots and drops nothing. */
static void check_nothing_is_held(struct world *w)
{
    uint64_t dropped;

    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        kill_subscriber(w, i);
    dropped = atomic_load(&w->board->dropped);
    wait_for_frames(w, 3 * SLOTS);
    CHECK_EQ(atomic_load(&w->board->dropped), dropped);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        start_subscriber(w, i);
}

static void run_round(struct world *w, uint64_t *frames)
{
    start(w);
    for (int i = 0; i < 12; i++) {
        uint32_t victim = (uint32_t)rand_r(&w->random) % SUBSCRIBERS;

        usleep((useconds_t)rand_r(&w->random) % 3000);
        kill_subscriber(w, victim);
        start_subscriber(w, victim);
    }
    check_nothing_is_held(w);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        WAIT_FOR(atomic_load(&w->board->received[i]) > 0, test_patience_ms());
    usleep((useconds_t)rand_r(&w->random) % 3000);
    test_kill(&w->publisher);
    atomic_store(&w->board->publisher_dead, true);
    for (uint32_t i = 0; i < SUBSCRIBERS; i++)
        test_join(&w->subscribers[i]);
    *frames += atomic_load(&w->board->published);
}

TEST(deaths_at_random_moments)
{
    const int64_t until = cf_now_ns() + test_seconds(3) * CF_NS_PER_S;
    struct world w = {.random = (unsigned)time(NULL)};
    int CF_CLOSE pages_fd = -1;
    uint64_t frames = 0;
    int rounds = 0;

    CHECK_OK(cf_shm_create("test-control", control_size(), CF_SHM_MAKER_WRITES, &w.control_fd,
                           &w.control));
    CHECK_OK(
        cf_shm_create("test-holds", SUBSCRIBERS * PAGE, CF_SHM_PEER_WRITES, &pages_fd, &w.pages));
    w.board =
        mmap(NULL, sizeof(*w.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(w.board != MAP_FAILED);
    printf("seed %u\n", w.random);
    do {
        run_round(&w, &frames);
        rounds++;
    } while (cf_now_ns() < until);
    printf("%d rounds, %llu frames\n", rounds, (unsigned long long)frames);
    munmap(w.board, sizeof(*w.board));
    cf_map_release(&w.control);
    cf_map_release(&w.pages);
    cf_close(&w.control_fd);
}

/* The harness gives the test the time that it has been told to take, and some more. */
__attribute__((constructor)) static void set_timeout(void)
{
    test_case_deaths_at_random_moments.timeout_s = (unsigned)test_seconds(3) + 30;
}
