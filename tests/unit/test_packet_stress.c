/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The packet ring under load: a writer and readers that run as fast as they can over rings so small
 * that each packet overwrites another that somebody is copying. Every byte of a packet follows from
 * its number and its place; a reader checks all bytes of every packet that it is given. Sizes run
 * through all residues of a line, so packets go over the ring's end at every offset. The threads use
 * the same addresses, so that the thread sanitizer sees every access; the processes are killed at
 * any moment.
 *
 * CUFRAMES_TEST_SECONDS is how long each test runs (2).
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "harness/harness.h"
#include "ring/packet_reader.h"
#include "ring/packet_writer.h"

#define READERS    3
#define DATA_SIZE  (11 * CF_PACKET_ALIGNMENT)
#define INDEX_SIZE 8
#define MOST       (DATA_SIZE / 2 / CF_PACKET_ALIGNMENT * CF_PACKET_ALIGNMENT)
/* Goes past 32 bits on the way. */
#define FIRST ((UINT64_C(1) << 32) - 1000)

struct memory {
    struct cf_packet_page pages[READERS];
    _Atomic uint64_t whole, gone; /* packets that readers were given, that they lost */
    _Atomic bool stop;
    /* What a writer knows; it goes on in another process when one is killed. */
    struct cf_packet_writer writer;
    _Alignas(
        CF_PACKET_ALIGNMENT) uint8_t ring[sizeof(struct cf_packet_ring_header) +
                                          INDEX_SIZE * sizeof(struct cf_packet_entry) + DATA_SIZE];
};

static struct memory *memory;

static struct cf_packet_ring_header *header(void)
{
    return (struct cf_packet_ring_header *)(void *)memory->ring;
}

static void make_memory(void)
{
    memory = mmap(NULL, sizeof(*memory), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    cf_packet_writer_init(&memory->writer, header(), DATA_SIZE, INDEX_SIZE, MOST, 1, FIRST);
}

static void free_memory(void)
{
    munmap(memory, sizeof(*memory));
}

static uint8_t byte_of(uint64_t seq, uint32_t i)
{
    return (uint8_t)((seq * UINT64_C(0x9e3779b97f4a7c15) >> 32) + i * 7);
}

/* All sizes in turn, small and large ones mixed. */
static uint32_t size_of(uint64_t seq)
{
    return 1 + (uint32_t)(seq * 67 % MOST);
}

static void write_one(struct cf_packet_writer *w, const struct cf_packet_peers *peers)
{
    const uint64_t seq = w->head;
    const struct cf_packet_meta meta = {
        .pts_ns = (int64_t)seq, .dts_ns = (int64_t)~seq, .generation = 1, .stream = 1};
    uint8_t bytes[MOST];

    for (uint32_t i = 0; i < size_of(seq); i++)
        bytes[i] = byte_of(seq, i);
    CHECK_EQ(cf_packet_writer_put(w, bytes, size_of(seq), &meta), seq);
    cf_packet_writer_wake(w, peers);
}

static bool stopped(void)
{
    return atomic_load_explicit(&memory->stop, memory_order_relaxed);
}

static void count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static void check_bytes(uint64_t seq, const struct cf_packet_found *found, const uint8_t *bytes)
{
    CHECK_EQ(found->size, size_of(seq));
    CHECK_EQ(found->meta.pts_ns, (int64_t)seq);
    CHECK_EQ(found->meta.dts_ns, (int64_t)~seq);
    CHECK_EQ(found->meta.stream, 1);
    for (uint32_t i = 0; i < found->size; i++)
        if (bytes[i] != byte_of(seq, i))
            FAIL("packet %" PRIu64 ": byte %u of %u is another's", seq, i, found->size);
}

/* Reads packet *wanted, or goes on at the oldest. False: there is nothing yet. */
static bool read_one(const struct cf_packet_reader *r, uint64_t *wanted)
{
    uint8_t bytes[MOST + 8];
    struct cf_packet_found found;
    enum cf_packet_result result = cf_packet_reader_look(r, *wanted, &found);
    uint64_t oldest, head;

    CHECK_NE(result, CF_PACKET_BROKEN);
    if (result == CF_PACKET_NOTHING)
        return false;
    if (result == CF_PACKET_OK && cf_packet_reader_copy(r, *wanted, &found, bytes)) {
        check_bytes(*wanted, &found, bytes);
        count(&memory->whole, 1);
        ++*wanted;
        return true;
    }
    CHECK(cf_packet_reader_range(r, &oldest, &head));
    CHECK_GT(oldest, *wanted);
    count(&memory->gone, oldest - *wanted);
    *wanted = oldest;
    return true;
}

static void read_on(struct cf_packet_page *page)
{
    struct cf_packet_reader r;
    uint64_t wanted, head;

    CHECK(cf_packet_reader_init(&r, header(), sizeof(memory->ring), 1));
    CHECK(cf_packet_reader_range(&r, &wanted, &head));
    while (!stopped()) {
        uint32_t word;

        if (read_one(&r, &wanted) ||
            !cf_packet_reader_prepare_wait(&r, page, CF_PACKETS_WAITING_FUTEX, wanted, &word))
            continue;
        cf_packet_reader_sleep(&r, word, cf_now_ns() + 20 * CF_NS_PER_MS);
        cf_packet_reader_end_wait(page);
    }
}

static void list_peers(struct cf_packet_peers *peers)
{
    peers->count = READERS;
    for (uint32_t i = 0; i < READERS; i++)
        peers->peers[i] = (struct cf_packet_peer){.page = &memory->pages[i], .wake_socket = -1};
}

static void *reader_thread(void *page)
{
    read_on(page);
    return NULL;
}

/* A writer that pauses now and then lets readers catch up, so that both happen: packets that are
 * read whole, and packets that are overwritten while they are copied. */
static void write_for(int seconds)
{
    const int64_t until = cf_now_ns() + seconds * CF_NS_PER_S;
    struct cf_packet_peers peers;

    list_peers(&peers);
    for (uint64_t n = 0; cf_now_ns() < until; n++) {
        write_one(&memory->writer, &peers);
        if (n % 64 == 0)
            usleep(50);
    }
}

TEST(threads_read_whole_packets_or_know_that_they_are_gone, .timeout_s = 120, .threads = true)
{
    pthread_t threads[READERS];

    make_memory();
    for (uint32_t i = 0; i < READERS; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, reader_thread, &memory->pages[i]), 0);
    write_for(test_seconds(2));
    atomic_store(&memory->stop, true);
    for (uint32_t i = 0; i < READERS; i++)
        pthread_join(threads[i], NULL);
    CHECK_GT(atomic_load(&memory->whole), 1000U);
    CHECK_GT(atomic_load(&memory->gone), 0U);
    free_memory();
}

static pid_t start_reader(uint32_t i)
{
    pid_t pid = CHECK_SYS(fork());

    if (pid > 0)
        return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_on(&memory->pages[i]);
    _exit(0);
}

/* Readers that are killed in the middle of whatever they do take nothing with them. */
TEST(readers_die_at_any_moment, .timeout_s = 120)
{
    const int64_t until = cf_now_ns() + test_seconds(2) * CF_NS_PER_S;
    struct cf_packet_peers peers;
    pid_t readers[READERS];
    uint64_t deaths = 0;

    make_memory();
    list_peers(&peers);
    for (uint32_t i = 0; i < READERS; i++)
        readers[i] = start_reader(i);
    for (uint64_t n = 0; cf_now_ns() < until; n++) {
        write_one(&memory->writer, &peers);
        if (n % 32 == 0)
            usleep(20);
        if (n % 2048 == 2047) {
            uint32_t i = (uint32_t)(deaths++ % READERS);
            int status;

            kill(readers[i], SIGKILL);
            CHECK_EQ(waitpid(readers[i], &status, 0), readers[i]);
            CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
            readers[i] = start_reader(i);
        }
    }
    atomic_store(&memory->stop, true);
    for (uint32_t i = 0; i < READERS; i++) {
        int status;

        CHECK_EQ(waitpid(readers[i], &status, 0), readers[i]);
        CHECK_EQ(status, 0);
    }
    CHECK_GT(deaths, 3U);
    CHECK_GT(atomic_load(&memory->whole), 100U);
    free_memory();
}

static void check_what_is_left(void)
{
    struct cf_packet_reader r;
    uint64_t oldest, head;

    CHECK(cf_packet_reader_init(&r, header(), sizeof(memory->ring), 1));
    CHECK(cf_packet_reader_range(&r, &oldest, &head));
    for (uint64_t seq = oldest; seq < head; seq++) {
        uint8_t bytes[MOST + 8];
        struct cf_packet_found found;

        CHECK_EQ(cf_packet_reader_look(&r, seq, &found), CF_PACKET_OK);
        CHECK(cf_packet_reader_copy(&r, seq, &found, bytes));
        check_bytes(seq, &found, bytes);
    }
}

/* A writer that is killed in the middle of a packet leaves every packet whole that it published and
 * did not give up. */
TEST(a_writer_dies_at_any_moment, .timeout_s = 120)
{
    const int64_t until = cf_now_ns() + test_seconds(2) * CF_NS_PER_S;
    uint64_t deaths = 0, random = 88172645463325252;

    for (; cf_now_ns() < until; deaths++) {
        struct cf_packet_peers nobody = {.count = 0};
        pid_t pid;
        int status;

        make_memory();
        pid = CHECK_SYS(fork());
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (;;)
                write_one(&memory->writer, &nobody);
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        usleep((useconds_t)(random % 2000));
        kill(pid, SIGKILL);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        check_what_is_left();
        free_memory();
    }
    CHECK_GT(deaths, 10U);
}
