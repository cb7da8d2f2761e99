/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What publishing and reading a packet costs, with packets of 1 KiB, 32 KiB and 1 MiB and 1, 8 and
 * 64 readers, beside memcpy of as many bytes. One process publishes; another has all the readers, of
 * which each takes each packet when it is there.
 *
 * Memcpy meets what the packets meet: with each packet the publisher also copies its bytes into a
 * plain area of the ring's size that both processes map, at a place that moves on as in the ring, and
 * each reader also copies them out, into a buffer of its own. The two take turns at being first.
 *
 * Before it is measured, each ring is gone through once, and so is the area: a page that a process
 * touches for the first time costs more than the copy into it, and in a ring each page is touched for
 * the first time once.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/worker.h"
#include "common/report.h"
#include "common/stop.h"

#define RING_SIZE    (8U << 20)
#define LARGEST      (1U << 20)
#define MOST_READERS 64
#define MOST_SAMPLES 8192
#define PINGS        100 /* before each case */
#define QUICK_ROUNDS 6
#define FULL_ROUNDS  400
/* Rounds with many large packets take long: so many bytes are read in one case, at most. */
#define MOST_BYTES (UINT64_C(6) << 30)

static const uint32_t sizes[] = {1 << 10, 32 << 10, LARGEST};
static const uint32_t readers[] = {1, 8, MOST_READERS};

enum { SIZES = 3, READERS = 3, CASES = SIZES * READERS, PING = CASES };

/* What the reading process measured in one case. */
struct reading {
    uint32_t count;
    double packet[MOST_SAMPLES], copy[MOST_SAMPLES];
};

struct shared {
    const struct bench *bench;
    _Atomic uint32_t turn;    /* odd: a packet is there; even: the readers have it */
    _Atomic uint32_t current; /* case, or PING */
    _Atomic uint32_t ball;    /* see worker_ping_ns() */
    _Atomic uint32_t pinged;  /* has had all its answers */
    _Atomic uint32_t counts;  /* 0 while the ring is gone through for the first time */
    _Atomic uint32_t failed;
    uint64_t place; /* of the newest packet's bytes in `area` */
    struct reading readings[CASES];
    uint8_t area[RING_SIZE];
};

struct measured {
    cuframes_publisher_t *publisher;
    struct samples packet, copy, line;
};

static uint32_t size_of(uint32_t index)
{
    return sizes[index / READERS];
}

static uint32_t readers_of(uint32_t index)
{
    return readers[index % READERS];
}

static uint32_t rounds_of(const struct bench *bench, uint32_t index)
{
    const uint64_t affordable = MOST_BYTES / ((uint64_t)size_of(index) * readers_of(index));
    const uint64_t rounds = bench->quick ? QUICK_ROUNDS : FULL_ROUNDS;

    return (uint32_t)(rounds < affordable ? rounds : affordable);
}

static void key_of(uint32_t index, char key[24])
{
    snprintf(key, 24, "bench-packets-%u", index);
}

/* ---- the reading process ---- */

static bool open_reader(const struct bench *bench, uint32_t index, cuframes_subscriber_t **reader)
{
    char key[24];
    const cuframes_subscriber_config_t config = {
        .key = key,
        .connect_timeout_ms = WORKER_PATIENCE_MS,
        .flags = CUFRAMES_SUBSCRIBER_PACKETS_ONLY,
        .runtime_dir = bench->dir,
    };
    int err;

    key_of(index, key);
    err = cuframes_subscriber_create(&config, reader);
    if (!err)
        err = cuframes_subscriber_enable_packets(*reader);
    if (err)
        report_library(err);
    return err == CUFRAMES_OK;
}

static double time_packet(cuframes_subscriber_t *reader)
{
    const int64_t start = cuframes_now_ns();
    cuframes_packet_t *packet;
    int err = cuframes_subscriber_next_packet(reader, &packet, 0);

    if (err)
        return -1;
    cuframes_subscriber_release_packet(reader, packet);
    return (double)(cuframes_now_ns() - start);
}

static double time_copy(uint8_t *to, const uint8_t *from, uint32_t size)
{
    const int64_t start = cuframes_now_ns();

    memcpy(to, from, size);
    /* The compiler must not leave out a copy that nobody looks at. */
    __asm__ volatile("" : : "r"(to) : "memory");
    return (double)(cuframes_now_ns() - start);
}

static bool read_turn(struct shared *shared, uint32_t index, cuframes_subscriber_t **list,
                      uint8_t *buffers)
{
    struct reading *reading = &shared->readings[index];
    const uint8_t *from = shared->area + shared->place;
    const bool packet_first = reading->count / readers_of(index) % 2 == 0;
    const bool counts = atomic_load(&shared->counts) != 0;

    for (uint32_t i = 0; i < readers_of(index); i++) {
        uint8_t *to = buffers + (size_t)i * LARGEST;
        double copy = packet_first ? -1 : time_copy(to, from, size_of(index));
        double packet = time_packet(list[i]);

        if (packet < 0)
            return false;
        if (packet_first)
            copy = time_copy(to, from, size_of(index));
        if (counts && reading->count < MOST_SAMPLES) {
            reading->packet[reading->count] = packet;
            reading->copy[reading->count++] = copy;
        }
    }
    return true;
}

static bool open_readers(const struct bench *bench,
                         cuframes_subscriber_t *list[CASES][MOST_READERS])
{
    for (uint32_t i = 0; i < CASES; i++)
        for (uint32_t k = 0; k < readers_of(i); k++)
            if (!open_reader(bench, i, &list[i][k]))
                return false;
    return true;
}

static void echo(struct shared *shared)
{
    while (!atomic_load(&shared->pinged))
        worker_echo(&shared->ball);
}

/* Reads until its parent ends it. */
static void read_turns(struct shared *shared, cuframes_subscriber_t *list[CASES][MOST_READERS],
                       uint8_t *buffers)
{
    for (uint32_t turn = 1;; turn += 2) {
        uint32_t index;

        while (!worker_spin(&shared->turn, turn))
            ;
        index = atomic_load(&shared->current);
        if (index == PING)
            echo(shared);
        else if (!read_turn(shared, index, list[index], buffers))
            atomic_store(&shared->failed, 1);
        /* Release: pairs with the acquire in worker_spin(), of give_turn() or measure_line(). */
        atomic_store_explicit(&shared->turn, turn + 1, memory_order_release);
    }
}

static int read_packets(void *context)
{
    static cuframes_subscriber_t *list[CASES][MOST_READERS];
    struct shared *shared = context;
    uint8_t *buffers = malloc((size_t)MOST_READERS * LARGEST);

    if (!buffers)
        return TOOL_FAILED;
    memset(buffers, 0, (size_t)MOST_READERS * LARGEST);
    if (open_readers(shared->bench, list))
        read_turns(shared, list, buffers);
    free(buffers);
    return TOOL_FAILED;
}

/* ---- the publishing process ---- */

static double time_publish(cuframes_publisher_t *publisher, const uint8_t *bytes, uint32_t size)
{
    const int64_t start = cuframes_now_ns();
    int err = cuframes_publisher_publish_packet(publisher, bytes, size, start, start,
                                                CUFRAMES_PKT_FLAG_KEY);

    if (err) {
        report_library(err);
        return -1;
    }
    return (double)(cuframes_now_ns() - start);
}

static bool measure_round(struct shared *shared, struct measured *m, const uint8_t *bytes,
                          uint32_t size, uint32_t round)
{
    double copy = 0, packet;

    shared->place = (uint64_t)round * size % RING_SIZE;
    if (round % 2)
        copy = time_copy(shared->area + shared->place, bytes, size);
    packet = time_publish(m->publisher, bytes, size);
    if (packet < 0)
        return false;
    if (round % 2 == 0)
        copy = time_copy(shared->area + shared->place, bytes, size);
    if (atomic_load(&shared->counts)) {
        samples_add(&m->packet, packet);
        samples_add(&m->copy, copy);
    }
    return true;
}

/* Lets the readers have their turn. */
static bool give_turn(struct shared *shared)
{
    const uint32_t turn = atomic_load(&shared->turn);

    /* Release: pairs with the acquire in worker_spin(), of read_turns(). */
    atomic_store_explicit(&shared->turn, turn + 1, memory_order_release);
    return worker_spin(&shared->turn, turn + 2);
}

/* What it takes to bring a line from one process to the other: hypervisors move cores. */
static bool measure_line(struct shared *shared, struct samples *line)
{
    const uint32_t turn = atomic_load(&shared->turn);
    double ping = 1;

    atomic_store(&shared->current, PING);
    atomic_store(&shared->pinged, 0);
    /* Release: as in give_turn(). */
    atomic_store_explicit(&shared->turn, turn + 1, memory_order_release);
    for (int i = 0; i < PINGS && ping > 0; i++) {
        ping = worker_ping_ns(&shared->ball);
        samples_add(line, ping);
    }
    atomic_store(&shared->pinged, 1);
    return ping > 0 && worker_spin(&shared->turn, turn + 2);
}

static bool measure_case(struct shared *shared, uint32_t index, struct measured *m,
                         const uint8_t *bytes)
{
    const uint32_t first = RING_SIZE / size_of(index);
    const uint32_t rounds = first + rounds_of(shared->bench, index);
    bool heard = measure_line(shared, &m->line);

    atomic_store(&shared->current, index);
    for (uint32_t round = 0; heard && round < rounds && !stop_requested(); round++) {
        atomic_store(&shared->counts, round >= first);
        if (!measure_round(shared, m, bytes, size_of(index), round))
            return false;
        heard = give_turn(shared) && !atomic_load(&shared->failed);
    }
    if (!heard) {
        report("the readers of packets do not read");
        return false;
    }
    return !stop_requested();
}

static bool open_case(const struct bench *bench, uint32_t index, struct measured *m)
{
    char key[24];
    const cuframes_publisher_config_t config = {
        .key = key, .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY, .runtime_dir = bench->dir};
    const cuframes_packet_ring_options_t options = {.data_size = RING_SIZE, .codec_id = 27};
    int err;

    if (!samples_init(&m->packet, rounds_of(bench, index)) ||
        !samples_init(&m->copy, rounds_of(bench, index)) || !samples_init(&m->line, PINGS))
        return false;
    key_of(index, key);
    err = cuframes_publisher_create(&config, &m->publisher);
    if (!err)
        err = cuframes_publisher_enable_packets(m->publisher, &options);
    if (!err)
        err = cuframes_publisher_set_codec_extradata(m->publisher, NULL, 0);
    if (err)
        report_library(err);
    return err == CUFRAMES_OK;
}

static bool await_readers(struct measured *all)
{
    for (uint32_t i = 0; i < CASES; i++)
        if (!bench_await_subscribers(all[i].publisher, readers_of(i)))
            return false;
    /* The last one has asked for packets when it is attached, or will in a moment. */
    return stop_sleep_until(cuframes_now_ns() + 200 * INT64_C(1000000));
}

/* ---- the result ---- */

static void take_readings(struct samples *samples, const double *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        samples_add(samples, values[i]);
}

static json_t *describe_pair(struct samples *packet, struct samples *copy)
{
    const double base = samples_quantile(copy, 0.5);

    return json_pack("{s:o, s:o, s:f}", "packet", samples_json(packet), "memcpy",
                     samples_json(copy), "ratio_to_memcpy",
                     base > 0 ? samples_quantile(packet, 0.5) / base : 0);
}

static json_t *describe_reading(const struct reading *reading)
{
    struct samples packet = {0}, copy = {0};
    json_t *described = NULL;

    if (samples_init(&packet, MOST_SAMPLES) && samples_init(&copy, MOST_SAMPLES)) {
        take_readings(&packet, reading->packet, reading->count);
        take_readings(&copy, reading->copy, reading->count);
        described = describe_pair(&packet, &copy);
    }
    samples_fini(&packet);
    samples_fini(&copy);
    return described;
}

static json_t *describe(const struct shared *shared, struct measured *all)
{
    json_t *list = json_array();

    for (uint32_t i = 0; i < CASES; i++)
        json_array_append_new(list, json_pack("{s:i, s:i, s:o, s:o, s:o}", "bytes", (int)size_of(i),
                                              "readers", (int)readers_of(i), "publish",
                                              describe_pair(&all[i].packet, &all[i].copy), "read",
                                              describe_reading(&shared->readings[i]), "cache_line",
                                              samples_json(&all[i].line)));
    return list;
}

static bool measure_all(struct shared *shared, struct measured *all, struct worker *worker)
{
    uint8_t *bytes = malloc(LARGEST);
    bool good = bytes != NULL;

    for (uint32_t i = 0; good && i < CASES; i++)
        good = open_case(shared->bench, i, &all[i]);
    good = good && await_readers(all);
    if (good)
        memset(bytes, 0x5a, LARGEST);
    for (uint32_t i = 0; good && i < CASES; i++)
        good = measure_case(shared, i, &all[i], bytes);
    worker_stop(worker);
    free(bytes);
    return good;
}

int bench_packets(const struct bench *bench, json_t **result)
{
    struct shared *shared = worker_memory(sizeof(*shared));
    struct measured all[CASES] = {0};
    struct worker worker = {0};
    bool good;

    if (!shared)
        return TOOL_FAILED;
    shared->bench = bench;
    memset(shared->area, 0, sizeof(shared->area));
    good = worker_start(&worker, read_packets, shared) && measure_all(shared, all, &worker);
    if (good)
        *result = describe(shared, all);
    worker_stop(&worker);
    for (uint32_t i = 0; i < CASES; i++) {
        cuframes_publisher_destroy(all[i].publisher);
        samples_fini(&all[i].packet);
        samples_fini(&all[i].copy);
        samples_fini(&all[i].line);
    }
    worker_memory_free(shared, sizeof(*shared));
    return good ? TOOL_DONE : TOOL_FAILED;
}
