/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What groups cost: the barrier beside one that polls with usleep(1) and beside the C library's,
 * the all-gather beside memcpy of as many bytes, and an exchange of descriptors. The kinds take
 * turns in rounds within the same processes; rank 0 measures.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench/bench.h"
#include "bench/worker.h"
#include "common/json.h"
#include "common/report.h"

#define MOST_RANKS   32
#define MOST_KINDS   3
#define MOST_SAMPLES 4000
#define TIMEOUT_MS   10000
#define FDS_EACH     8
#define FDS_RANKS    8

/* A barrier as programs write it who do without a futex. */
struct polled_barrier {
    _Atomic uint32_t arrived;
    _Atomic uint32_t generation;
};

struct shared {
    const struct bench *bench;
    int32_t ranks;
    int rounds; /* each has `turns` samples of every kind */
    int turns;
    size_t bytes;
    int (*rank_runs)(struct shared *shared, cuframes_group_t *group, int32_t rank);
    pthread_barrier_t pthread;
    struct polled_barrier polled;
    _Atomic uint32_t ready; /* to join: ranks take their number */
    _Atomic uint32_t ended;
    _Atomic uint32_t failed;
    uint32_t counts[MOST_KINDS];
    double samples[MOST_KINDS][MOST_SAMPLES];
};

/* Rank 0 alone writes them. */
static void keep(struct shared *shared, int32_t rank, int kind, int64_t since)
{
    if (rank == 0 && shared->counts[kind] < MOST_SAMPLES)
        shared->samples[kind][shared->counts[kind]++] = (double)(cuframes_now_ns() - since);
}

/* ---- barriers ---- */

enum { BARRIER_GROUP, BARRIER_USLEEP, BARRIER_PTHREAD, BARRIER_KINDS };

static void polled_wait(struct polled_barrier *barrier, uint32_t ranks)
{
    const uint32_t generation = atomic_load(&barrier->generation);

    if (atomic_fetch_add(&barrier->arrived, 1) + 1 == ranks) {
        atomic_store(&barrier->arrived, 0);
        atomic_store(&barrier->generation, generation + 1);
        return;
    }
    while (atomic_load(&barrier->generation) == generation)
        usleep(1);
}

static int barrier_once(struct shared *shared, cuframes_group_t *group, int kind)
{
    if (kind == BARRIER_GROUP)
        return cuframes_group_barrier(group, 0, TIMEOUT_MS);
    if (kind == BARRIER_USLEEP)
        polled_wait(&shared->polled, (uint32_t)shared->ranks);
    else
        pthread_barrier_wait(&shared->pthread);
    return CUFRAMES_OK;
}

static int run_barriers(struct shared *shared, cuframes_group_t *group, int32_t rank)
{
    for (int round = 0; round < shared->rounds; round++)
        for (int kind = 0; kind < BARRIER_KINDS; kind++) {
            int err = barrier_once(shared, group, kind); /* all are there, and awake */

            for (int i = 0; i < shared->turns && !err; i++) {
                const int64_t start = cuframes_now_ns();

                err = barrier_once(shared, group, kind);
                keep(shared, rank, kind, start);
            }
            if (err)
                return err;
        }
    return CUFRAMES_OK;
}

/* ---- bytes ---- */

enum { GATHER_GROUP, GATHER_MEMCPY, GATHER_KINDS };

static int gather_round(struct shared *shared, cuframes_group_t *group, int32_t rank,
                        const uint8_t *mine, uint8_t *from, uint8_t *all)
{
    for (int i = 0; i < shared->turns; i++) {
        const int64_t start = cuframes_now_ns();
        int err = cuframes_group_all_gather(group, mine, shared->bytes, all, TIMEOUT_MS);

        if (err)
            return err;
        keep(shared, rank, GATHER_GROUP, start);
    }
    /* Only rank 0 copies, with the memory bus to itself. */
    for (int i = 0; rank == 0 && i < shared->turns; i++) {
        const int64_t start = cuframes_now_ns();

        memcpy(all, from, shared->bytes * (size_t)shared->ranks);
        __asm__ volatile("" : : "r"(all) : "memory");
        keep(shared, rank, GATHER_MEMCPY, start);
    }
    return cuframes_group_barrier(group, 0, TIMEOUT_MS);
}

static int run_gathers(struct shared *shared, cuframes_group_t *group, int32_t rank)
{
    const size_t all_bytes = shared->bytes * (size_t)shared->ranks;
    uint8_t *from = malloc(all_bytes), *all = malloc(all_bytes);
    int err = from && all ? CUFRAMES_OK : CUFRAMES_ERR_OUT_OF_MEMORY;

    if (!err) {
        memset(from, rank + 1, all_bytes);
        memset(all, 0, all_bytes);
        /* The first exchange makes the memory that all share. */
        err = cuframes_group_all_gather(group, from, shared->bytes, all, TIMEOUT_MS);
    }
    for (int round = 0; round < shared->rounds && !err; round++)
        err = gather_round(shared, group, rank, from, from, all);
    free(from);
    free(all);
    return err;
}

/* ---- descriptors ---- */

static int run_fds(struct shared *shared, cuframes_group_t *group, int32_t rank)
{
    int fds[FDS_EACH], all[FDS_EACH * FDS_RANKS];
    int err = CUFRAMES_OK;

    for (int i = 0; i < FDS_EACH; i++)
        fds[i] = memfd_create("cuframes-bench", MFD_CLOEXEC);
    for (int i = 0; i < shared->rounds * shared->turns && !err; i++) {
        int64_t start;

        err = cuframes_group_barrier(group, 0, TIMEOUT_MS);
        start = cuframes_now_ns();
        if (!err)
            err = cuframes_group_all_gather_fds(group, fds, FDS_EACH, all, FDS_EACH * FDS_RANKS,
                                                NULL, TIMEOUT_MS);
        if (err)
            break;
        keep(shared, rank, 0, start);
        for (int k = 0; k < FDS_EACH * FDS_RANKS; k++)
            close(all[k]);
    }
    for (int i = 0; i < FDS_EACH; i++)
        close(fds[i]);
    return err;
}

/* ---- the processes ---- */

static int be_rank(void *context)
{
    struct shared *shared = context;
    const cuframes_group_config_t config = {
        .name = "bench",
        .rank = (int32_t)atomic_fetch_add(&shared->ready, 1),
        .size = shared->ranks,
        .timeout_ms = TIMEOUT_MS,
        .runtime_dir = shared->bench->dir,
    };
    cuframes_group_t *group;
    int err = cuframes_group_create(&config, &group);

    if (!err) {
        err = shared->rank_runs(shared, group, config.rank);
        if (err)
            report_library(err);
        cuframes_group_destroy(group);
    } else {
        report_library(err);
    }
    if (err)
        atomic_fetch_add(&shared->failed, 1);
    atomic_fetch_add(&shared->ended, 1);
    return err ? TOOL_FAILED : TOOL_DONE;
}

static void init_pthread_barrier(struct shared *shared)
{
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&shared->pthread, &attributes, (unsigned)shared->ranks);
    pthread_barrierattr_destroy(&attributes);
}

/* Runs the ranks to their end; the samples are then in `shared`. */
static bool run_ranks(struct shared *shared)
{
    struct worker workers[MOST_RANKS] = {0};
    bool good = true;

    init_pthread_barrier(shared);
    for (int32_t i = 0; good && i < shared->ranks; i++)
        good = worker_start(&workers[i], be_rank, shared);
    good = good && worker_await(NULL, &shared->ended, (uint32_t)shared->ranks,
                                "the ranks of a group did not come to an end");
    for (int32_t i = 0; i < shared->ranks; i++)
        worker_stop(&workers[i]);
    return good && atomic_load(&shared->failed) == 0;
}

static json_t *kind_json(const struct shared *shared, int kind)
{
    struct samples samples;
    json_t *json;

    if (!samples_init(&samples, MOST_SAMPLES))
        return NULL;
    for (uint32_t i = 0; i < shared->counts[kind]; i++)
        samples_add(&samples, shared->samples[kind][i]);
    json = samples_json(&samples);
    samples_fini(&samples);
    return json;
}

static double ratio(const json_t *a, const json_t *b)
{
    const double divisor = json_number_value(json_object_get(b, "p50_ns"));

    return divisor > 0 ? json_number_value(json_object_get(a, "p50_ns")) / divisor : 0;
}

static json_t *barrier_json(const struct shared *shared)
{
    json_t *group = kind_json(shared, BARRIER_GROUP), *polled = kind_json(shared, BARRIER_USLEEP),
           *pthread = kind_json(shared, BARRIER_PTHREAD);
    const double to_pthread = ratio(group, pthread), polled_ratio = ratio(polled, group);

    return json_pack("{s:i, s:o, s:o, s:o, s:f, s:f}", "ranks", (int)shared->ranks, "barrier",
                     group, "usleep", polled, "pthread", pthread, "ratio_to_pthread", to_pthread,
                     "usleep_ratio", polled_ratio);
}

static json_t *gather_json(const struct shared *shared)
{
    json_t *group = kind_json(shared, GATHER_GROUP), *copy = kind_json(shared, GATHER_MEMCPY);
    const double to_memcpy = ratio(group, copy);

    return json_pack("{s:i, s:o, s:o, s:o, s:f}", "ranks", (int)shared->ranks, "bytes",
                     json_unsigned(shared->bytes), "all_gather", group, "memcpy", copy,
                     "ratio_to_memcpy", to_memcpy);
}

static json_t *fds_json(const struct shared *shared)
{
    return json_pack("{s:i, s:i, s:o}", "ranks", (int)shared->ranks, "each", FDS_EACH, "all_gather",
                     kind_json(shared, 0));
}

/* Measures one thing and adds what is said about it to `list`. */
static bool measure(const struct shared *plan, json_t *(*describe)(const struct shared *),
                    json_t *list)
{
    struct shared *shared = worker_memory(sizeof(*shared));
    bool good;

    if (!shared)
        return false;
    *shared = *plan;
    good = run_ranks(shared) && json_array_append_new(list, describe(shared)) == 0;
    worker_memory_free(shared, sizeof(*shared));
    return good;
}

static bool measure_all(const struct bench *bench, json_t *barriers, json_t *gathers, json_t *fds)
{
    static const int32_t ranks[] = {2, 4, 8, 32};
    static const struct {
        int32_t ranks;
        size_t bytes;
    } gathered[] = {{2, 64}, {8, 64}, {2, 1 << 20}, {8, 1 << 20}};
    static struct shared plan;
    bool good = true;

    plan = (struct shared){
        .bench = bench, .rounds = bench->quick ? 2 : 60, .turns = bench->quick ? 10 : 40};
    plan.rank_runs = run_barriers;
    for (size_t i = 0; good && i < sizeof(ranks) / sizeof(ranks[0]); i++) {
        plan.ranks = ranks[i];
        good = measure(&plan, barrier_json, barriers);
    }
    plan.rank_runs = run_gathers;
    for (size_t i = 0; good && i < sizeof(gathered) / sizeof(gathered[0]); i++) {
        plan.ranks = gathered[i].ranks;
        plan.bytes = gathered[i].bytes;
        plan.turns = bench->quick || plan.bytes > 4096 ? 5 : 40;
        good = measure(&plan, gather_json, gathers);
    }
    plan.rank_runs = run_fds;
    plan.ranks = FDS_RANKS;
    plan.turns = bench->quick ? 5 : 10;
    return good && measure(&plan, fds_json, fds);
}

int bench_group(const struct bench *bench, json_t **result)
{
    json_t *barriers = json_array(), *gathers = json_array(), *fds = json_array();
    const bool good = measure_all(bench, barriers, gathers, fds);

    *result = json_pack("{s:o, s:o, s:o}", "barriers", barriers, "all_gathers", gathers,
                        "descriptors", fds);
    if (good && *result)
        return TOOL_DONE;
    json_decref(*result);
    *result = NULL;
    return TOOL_FAILED;
}
