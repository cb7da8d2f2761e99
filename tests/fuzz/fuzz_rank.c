/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A rank of a group whose hub and whose other ranks are the input: what the hub sends, and what the
 * others write on the board, before and while this rank uses it. The group may break, the process
 * may not: it stays inside its memory, its calls end, and nothing is left.
 *
 * The other ranks are one thread, which comes to every barrier and does what the input tells it
 * over and over.
 */
#include <pthread.h>
#include <sched.h>

#include <cuframes/cuframes.h>

#include "base/fd.h"
#include "base/futex.h"
#include "base/shm.h"
#include "group/board.h"
#include "script.h"
#include "wire/group_message.h"

enum { RANKS = 3, MOST_STEPS = 16, MOST_WRITES = 4, LARGE = 3000, TIMEOUT_MS = 3 };
/* More than the memory that is made for what lies not on the board. */
#define HUGE ((size_t)3 << 20)

enum step {
    STEP_WRITE,
    STEP_KEEP_WRITING,
    STEP_GIVE,
    STEP_BARRIER,
    STEP_GATHER,
    STEP_GATHER_V,
    STEP_BROADCAST,
    STEP_GATHER_FDS,
    STEP_BROADCAST_FDS,
    STEP_PASS,
    STEP_RAW,
    STEP_HANG_UP,
    STEP_COUNT,
};

/* A word of the board, and what is written there. */
struct write {
    _Atomic uint64_t *_Atomic word;
    uint64_t value;
};

struct play {
    struct script script;
    int socket; /* the hub's end */
    struct cf_map map;
    uint32_t rank;
    uint32_t round;
    cuframes_group_t *group;
    /* The others'. */
    pthread_t others;
    atomic_bool stop;
    struct write writes[MOST_WRITES];
    int write_count;
};

static struct cf_board *board_of(const struct play *play)
{
    return play->map.addr;
}

/* ---- the other ranks ---- */

static void come_to(struct cf_board_barrier *barrier)
{
    if (atomic_load(&barrier->arrived) == 0)
        return;
    atomic_store(&barrier->arrived, 0);
    atomic_fetch_add(&barrier->generation, 1);
    cf_futex_wake_all(&barrier->generation);
}

static void *be_the_others(void *arg)
{
    struct play *play = arg;

    while (!atomic_load(&play->stop)) {
        for (int i = 0; i < MOST_WRITES; i++) {
            _Atomic uint64_t *word = atomic_load(&play->writes[i].word);

            if (word)
                atomic_store(word, play->writes[i].value);
        }
        for (uint32_t i = 1; i <= RANKS; i++)
            come_to(&board_of(play)->barriers[i]);
        sched_yield();
    }
    return NULL;
}

/* Values at which sums, products and comparisons break, if they do. */
static uint64_t take_value(struct script *script)
{
    const uint64_t edges[] = {0,         1, 1024, 1025, LARGE, UINT64_C(1) << 22, UINT64_MAX / 2,
                              UINT64_MAX};
    const uint8_t kind = take_byte(script);

    return kind & 128 ? edges[kind % 8] : (uint64_t)kind * take_word(script);
}

/* Any word of the board, or one of those that say what a rank gives. */
static _Atomic uint64_t *take_place(struct play *play)
{
    const uint8_t kind = take_byte(&play->script);
    struct cf_board_rank *line = cf_board_rank(board_of(play), RANKS, kind >> 2 & 1U ? 0 : 2);
    const size_t words = cf_board_size(RANKS) / sizeof(uint64_t);

    if (kind & 8)
        line = cf_board_rank(board_of(play), RANKS, play->rank);
    switch (kind & 3) {
    case 0:
        return (_Atomic uint64_t *)play->map.addr + take_word(&play->script) % words;
    case 1:
        return (_Atomic uint64_t *)(void *)&line->fds;
    default:
        return &line->bytes[kind & 1];
    }
}

static void keep_writing(struct play *play)
{
    _Atomic uint64_t *word = take_place(play);
    uint64_t value = take_value(&play->script);

    if (play->write_count == MOST_WRITES)
        return;
    play->writes[play->write_count].value = value;
    atomic_store(&play->writes[play->write_count++].word, word);
}

/* What an honest rank says before it comes. */
static void give(struct play *play)
{
    const uint8_t kind = take_byte(&play->script);

    for (uint32_t i = 0; i < RANKS; i++) {
        struct cf_board_rank *line = cf_board_rank(board_of(play), RANKS, i);

        atomic_store(&line->bytes[0], kind & 1 ? LARGE : kind & 15);
        atomic_store(&line->bytes[1], kind & 1 ? LARGE : kind & 15);
        atomic_store(&line->fds, kind >> 4 & 3);
    }
}

/* ---- the hub ---- */

static void pass(struct play *play)
{
    const uint8_t kind = take_byte(&play->script);
    const struct cf_group_message message = {.type = kind & 128 ? CF_GROUP_ERROR : CF_GROUP_TAKE,
                                             .error = CUFRAMES_ERR_DISCONNECTED,
                                             .round = play->round,
                                             .total = kind & 15,
                                             .offset = kind >> 4 & 3};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    size_t fd_count = message.total < 8 ? message.total : 8;
    int fds[8];

    /* Alone it may be the memory of a large exchange. */
    int CF_CLOSE region = -1;
    struct cf_map map = {.addr = NULL};

    if (kind & 64)
        FUZZ_REQUIRE(cf_shm_create("region", (size_t)1 << 20, CF_SHM_PEER_WRITES, &region, &map) ==
                     CUFRAMES_OK);
    cf_map_release(&map);
    for (int i = 0; i < 8; i++)
        fds[i] = region >= 0 ? region : stray_descriptor();
    cf_group_message_encode(&message, bytes);
    scribble(&play->script, bytes, sizeof(bytes));
    send_raw(play->socket, bytes, sizeof(bytes), fds, message.type == CF_GROUP_TAKE ? fd_count : 0);
}

static void send_bytes(struct play *play)
{
    uint8_t bytes[256] = {0x43, 0x55, 0x46, 0x47, 5};

    scribble(&play->script, bytes, 32);
    send_raw(play->socket, bytes, 1 + take_byte(&play->script), NULL, 0);
}

static void start(struct play *play)
{
    const struct cf_group_message message = {
        .type = CF_GROUP_START, .rank = play->rank, .size = RANKS};
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    int CF_CLOSE fd = -1;

    FUZZ_REQUIRE(cf_shm_create("board", cf_board_size(RANKS), CF_SHM_PEER_WRITES, &fd,
                               &play->map) == CUFRAMES_OK);
    board_of(play)->magic = CF_BOARD_MAGIC;
    board_of(play)->size = RANKS;
    board_of(play)->hub_rank = CF_BOARD_NO_RANK;
    scribble(&play->script, board_of(play), sizeof(struct cf_board));
    cf_group_message_encode(&message, bytes);
    scribble(&play->script, bytes, sizeof(bytes));
    send_raw(play->socket, bytes, sizeof(bytes), &fd, 1);
}

/* ---- what the rank does ---- */

static size_t size_of(uint8_t kind)
{
    if ((kind & 15) == 15)
        return HUGE;
    return kind & 1 ? LARGE : 8;
}

/* Memory that ends with what may be written, for sanitizers to watch. */
static void gather(struct play *play, bool varying)
{
    const size_t size = size_of(take_byte(&play->script));
    uint8_t *data = calloc(1, size), *all = calloc(RANKS, size);
    size_t sizes[RANKS];
    int err;

    FUZZ_REQUIRE(data && all);
    if (varying)
        err = cuframes_group_all_gather_v(play->group, data, size, all, RANKS * size, sizes,
                                          TIMEOUT_MS);
    else
        err = cuframes_group_all_gather(play->group, data, size, all, TIMEOUT_MS);
    if (!err && varying)
        FUZZ_REQUIRE(sizes[0] + sizes[1] + sizes[2] <= RANKS * size);
    free(data);
    free(all);
}

static void broadcast(struct play *play)
{
    const uint8_t kind = take_byte(&play->script);
    const size_t size = size_of(kind);
    uint8_t *data = calloc(1, size);

    FUZZ_REQUIRE(data);
    cuframes_group_broadcast(play->group, (kind >> 1) % RANKS, data, size, TIMEOUT_MS);
    free(data);
}

static void exchange_fds(struct play *play, bool gathering)
{
    const uint8_t kind = take_byte(&play->script);
    const uint32_t capacity = kind & 7, own = capacity < 2 ? capacity : 2;
    int *fds = calloc(capacity + 2, sizeof(*fds)), *all = calloc(capacity + 1, sizeof(*all));
    uint32_t counts[RANKS] = {0};
    uint64_t came = 0;
    int err;

    FUZZ_REQUIRE(fds && all);
    for (uint32_t i = 0; i < capacity; i++)
        fds[i] = all[i] = stray_descriptor();
    if (gathering) {
        err =
            cuframes_group_all_gather_fds(play->group, fds, own, all, capacity, counts, TIMEOUT_MS);
        came = (uint64_t)counts[0] + counts[1] + counts[2];
        FUZZ_REQUIRE(err || came <= capacity);
        for (uint32_t i = 0; !err && i < came; i++)
            close(all[i]);
    } else {
        const int32_t root = (kind >> 3) % RANKS;

        err = cuframes_group_broadcast_fds(play->group, root, fds, own, TIMEOUT_MS);
        for (uint32_t i = 0; !err && (uint32_t)root != play->rank && i < own; i++)
            close(fds[i]);
    }
    play->round += !err;
    free(fds);
    free(all);
}

static void do_step(struct play *play, enum step step)
{
    _Atomic uint64_t *word;

    switch (step) {
    case STEP_WRITE:
        word = take_place(play);
        atomic_store(word, take_value(&play->script));
        break;
    case STEP_KEEP_WRITING:
        keep_writing(play);
        break;
    case STEP_GIVE:
        give(play);
        break;
    case STEP_BARRIER:
        cuframes_group_barrier(play->group, 1 + take_byte(&play->script) % RANKS, TIMEOUT_MS);
        break;
    case STEP_GATHER:
    case STEP_GATHER_V:
        gather(play, step == STEP_GATHER_V);
        break;
    case STEP_BROADCAST:
        broadcast(play);
        break;
    case STEP_GATHER_FDS:
    case STEP_BROADCAST_FDS:
        exchange_fds(play, step == STEP_GATHER_FDS);
        break;
    case STEP_PASS:
        pass(play);
        break;
    case STEP_RAW:
        send_bytes(play);
        break;
    default:
        cf_close(&play->socket);
    }
}

static void be_a_rank(struct play *play)
{
    FUZZ_REQUIRE(pthread_create(&play->others, NULL, be_the_others, play) == 0);
    for (int i = 0; i < MOST_STEPS && play->script.at < play->script.end; i++)
        do_step(play, take_byte(&play->script) % STEP_COUNT);
    cuframes_group_rank(play->group);
    FUZZ_REQUIRE(cuframes_group_size(play->group) == RANKS);
    cuframes_group_broken_rank(play->group);
    cuframes_group_destroy(play->group);
    atomic_store(&play->stop, true);
    pthread_join(play->others, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct play play = {.script = {data, data + size}};
    const cuframes_group_config_t config = {
        .rank = CUFRAMES_GROUP_ANY_RANK, .size = RANKS, .timeout_ms = TIMEOUT_MS};
    int before, ends[2];

    stray_descriptor();
    before = count_descriptors();
    FUZZ_REQUIRE(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    play.socket = ends[0];
    play.rank = take_byte(&play.script) % RANKS;
    start(&play);
    if (cuframes_group_create_from_fd(&config, ends[1], &play.group) == CUFRAMES_OK)
        be_a_rank(&play);
    cf_map_release(&play.map);
    cf_close(&play.socket);
    FUZZ_REQUIRE(count_descriptors() == before);
    return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *data)
{
    /* The rank; an honest board and start; then what the name says. */
    static const uint8_t seeds[][32] = {
        {0, 0, 0, STEP_BARRIER, 2, STEP_GIVE, 8, STEP_GATHER, 0, STEP_GATHER, 0, STEP_GATHER_V, 0,
         STEP_BROADCAST, 4, STEP_BARRIER, 0},
        {1, 0, 0, STEP_GIVE, 1, STEP_WRITE, 5, 129, STEP_PASS, 65, 0, STEP_GATHER, 1, STEP_GATHER_V,
         1, STEP_BROADCAST, 1},
        {1,
         0,
         0,
         STEP_GIVE,
         1,
         STEP_WRITE,
         5,
         129,
         STEP_PASS,
         65,
         0,
         STEP_KEEP_WRITING,
         10,
         128,
         STEP_KEEP_WRITING,
         11,
         128,
         STEP_GATHER_V,
         1,
         STEP_GATHER_V,
         1},
        /* The others say of this rank that it gives less than it does. */
        {1,
         0,
         0,
         STEP_GIVE,
         1,
         STEP_WRITE,
         5,
         129,
         STEP_PASS,
         65,
         0,
         STEP_KEEP_WRITING,
         10,
         131,
         STEP_KEEP_WRITING,
         11,
         131,
         STEP_GATHER_V,
         15,
         STEP_GATHER_V,
         15},
        {2, 0, 0, STEP_GIVE, 32, STEP_PASS, 6, 0, STEP_GATHER_FDS, 6, STEP_PASS, 2, 0,
         STEP_BROADCAST_FDS, 2},
        {0, 0, 0, STEP_GIVE, 16, STEP_PASS, 128, 0, STEP_GATHER_FDS, 3, STEP_HANG_UP, STEP_BARRIER,
         2},
    };

    if (index >= sizeof(seeds) / sizeof(seeds[0]))
        return 0;
    memcpy(data, seeds[index], sizeof(seeds[0]));
    return sizeof(seeds[0]);
}
