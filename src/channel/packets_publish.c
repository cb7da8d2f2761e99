/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishing packets: the ring, the descriptions of its streams, and what is counted.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"
#include "channel/publisher.h"

#define DEFAULT_SLOTS      64
#define DEFAULT_DATA_SIZE  (UINT32_C(8) << 20)
#define DEFAULT_MAX_PACKET (UINT32_C(2) << 20)
/* With keep_ms: where the ring begins, and the most that it grows to. */
#define GROWING_SLOTS     256
#define GROWING_DATA_SIZE (UINT32_C(2) << 20)
#define DEFAULT_MOST_DATA (UINT32_C(64) << 20)
/* Smallest ring: room for two lines. */
#define MIN_DATA_SIZE (2 * CF_PACKET_ALIGNMENT)

struct cf_packet_memory *cf_packet_memory_ref(struct cf_packet_memory *memory)
{
    atomic_fetch_add_explicit(&memory->refs, 1, memory_order_relaxed);
    return memory;
}

void cf_packet_memory_unref(struct cf_packet_memory *memory)
{
    /* Acquire and release: the last one sees what all the others did. */
    if (!memory || atomic_fetch_sub_explicit(&memory->refs, 1, memory_order_acq_rel) != 1)
        return;
    cf_map_release(&memory->map);
    cf_close(&memory->fd);
    free(memory);
}

void cf_packets_free(struct cf_packets *packets)
{
    if (!packets)
        return;
    for (uint32_t i = 0; i < packets->generation_count; i++)
        cf_packet_memory_unref(packets->generations[i].parameters);
    cf_packet_memory_unref(packets->ring);
    pthread_mutex_destroy(&packets->writing);
    free(packets);
}

/* ---- options ---- */

static uint32_t round_up(uint32_t value, uint32_t unit)
{
    const uint64_t rounded = ((uint64_t)value + unit - 1) / unit * unit;

    return rounded > UINT32_MAX ? UINT32_MAX / unit * unit : (uint32_t)rounded;
}

static uint32_t round_up_to_power(uint32_t value)
{
    uint32_t power = 2;

    while (power < value && power < CF_PACKET_MAX_INDEX)
        power *= 2;
    return power;
}

/* The most data that the ring can come to have. */
static uint32_t most_data(const cuframes_packet_ring_options_t *o)
{
    return o->keep_ms && o->max_data_size > o->data_size ? o->max_data_size : o->data_size;
}

static int resolve_options(const cuframes_packet_ring_options_t *options,
                           cuframes_packet_ring_options_t *o)
{
    bool grows;

    *o = options ? *options : (cuframes_packet_ring_options_t){0};
    grows = o->keep_ms != 0;
    if (o->ring_slots > CF_PACKET_MAX_INDEX)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%u ring_slots: a packet ring has at most %u",
                       o->ring_slots, CF_PACKET_MAX_INDEX);
    if (o->max_data_size && !grows)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "max_data_size is for rings with keep_ms");
    if (!o->ring_slots)
        o->ring_slots = grows ? GROWING_SLOTS : DEFAULT_SLOTS;
    if (!o->data_size)
        o->data_size = grows ? GROWING_DATA_SIZE : DEFAULT_DATA_SIZE;
    if (grows && !o->max_data_size)
        o->max_data_size = DEFAULT_MOST_DATA;
    if (o->data_size < MIN_DATA_SIZE)
        o->data_size = MIN_DATA_SIZE;
    o->ring_slots = round_up_to_power(o->ring_slots);
    o->data_size = round_up(o->data_size, CF_PACKET_ALIGNMENT);
    o->max_data_size = round_up(o->max_data_size, CF_PACKET_ALIGNMENT);
    if (!o->max_packet_size)
        o->max_packet_size =
            DEFAULT_MAX_PACKET < most_data(o) / 2 ? DEFAULT_MAX_PACKET : most_data(o) / 2;
    if (o->max_packet_size > most_data(o) / 2)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "max_packet_size is %u: at most half of the ring's %u bytes are possible",
                       o->max_packet_size, most_data(o));
    return CUFRAMES_OK;
}

/* ---- streams ---- */

/* "Not known" is written as 0/1 by some: one way to say it is enough. */
static void tidy_fraction(int32_t *num, int32_t *den)
{
    if ((*num == 0 && *den >= 0) || (*den == 0 && *num >= 0))
        *num = *den = 0;
}

/* A copy whose unused bytes are 0, so that equal descriptions are equal bytes. */
static cuframes_stream_t tidy(const cuframes_stream_t *stream)
{
    uint8_t record[CF_STREAM_SIZE];
    cuframes_stream_t copy;

    cf_stream_encode(stream, stream->extradata_size, record);
    cf_stream_decode(record, &copy);
    tidy_fraction(&copy.time_base_num, &copy.time_base_den);
    tidy_fraction(&copy.fps_num, &copy.fps_den);
    tidy_fraction(&copy.sar_num, &copy.sar_den);
    copy.extradata = copy.extradata_size > 0 ? stream->extradata : NULL;
    return copy;
}

static int check_streams(const cuframes_stream_t *streams, uint32_t count,
                         cuframes_stream_t tidied[CUFRAMES_MAX_STREAMS])
{
    for (uint32_t i = 0; i < count; i++) {
        int err;

        tidied[i] = tidy(&streams[i]);
        if ((err = cf_stream_check(&tidied[i], i, CUFRAMES_ERR_INVALID_ARG)) != 0)
            return err;
        if (tidied[i].extradata_size > 0 && !tidied[i].extradata)
            return cf_fail(CUFRAMES_ERR_INVALID_ARG, "stream %u has %u bytes of extradata at NULL",
                           i, tidied[i].extradata_size);
    }
    return CUFRAMES_OK;
}

static bool same_streams(const struct cf_packets *packets, const cuframes_stream_t *streams,
                         uint32_t count)
{
    if (packets->last_generation == 0 || count != packets->stream_count)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        cuframes_stream_t a = packets->streams[i], b = streams[i];

        if (a.extradata_size != b.extradata_size ||
            (a.extradata_size > 0 && memcmp(a.extradata, b.extradata, a.extradata_size) != 0))
            return false;
        a.extradata = b.extradata = NULL;
        if (memcmp(&a, &b, sizeof(a)) != 0)
            return false;
    }
    return true;
}

static int make_parameters(uint32_t generation, const cuframes_stream_t *streams, uint32_t count,
                           struct cf_packet_memory **parameters, uint32_t *size)
{
    struct cf_packet_memory *new = cf_sys.calloc(1, sizeof(*new));
    uint8_t *CF_FREE bytes = cf_sys.calloc(1, CF_STREAMS_MAX_SIZE);
    int err;

    if (!new || !bytes) {
        free(new);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    new->refs = 1;
    *size = (uint32_t)cf_streams_encode(generation, streams, count, bytes);
    if ((err = cf_shm_create_constant("cuframes-streams", bytes, *size, &new->fd)) != 0) {
        free(new);
        return err;
    }
    *parameters = new;
    return CUFRAMES_OK;
}

static void keep_streams(struct cf_packets *packets, const cuframes_stream_t *streams,
                         uint32_t count)
{
    packets->stream_count = count;
    packets->first_video = -1;
    for (uint32_t i = 0; i < count; i++) {
        packets->streams[i] = streams[i];
        if (streams[i].extradata_size > 0) {
            memcpy(packets->extradata[i], streams[i].extradata, streams[i].extradata_size);
            packets->streams[i].extradata = packets->extradata[i];
        }
        if (streams[i].type == CUFRAMES_STREAM_VIDEO && packets->first_video < 0)
            packets->first_video = (int32_t)i;
    }
}

/* Drops the oldest generation; under both locks. */
static void drop_generation(struct cf_packets *packets)
{
    cf_packet_memory_unref(packets->generations[0].parameters);
    packets->generation_count--;
    memmove(packets->generations, packets->generations + 1,
            packets->generation_count * sizeof(*packets->generations));
}

/* Generations that have no kept packet and will get none; under both locks. */
static void drop_forgotten(struct cf_packets *packets)
{
    while (packets->generation_count > 1 &&
           packets->generations[1].first_seq <= packets->writer.oldest)
        drop_generation(packets);
}

/* Makes room in the list for one more. */
static void limit_generations(struct cf_packets *packets)
{
    if (packets->generation_count < CF_MAX_PACKET_GENERATIONS)
        return;
    cf_packet_writer_forget(&packets->writer, packets->generations[1].first_seq);
    drop_forgotten(packets);
}

static int begin_generation(cuframes_publisher_t *publisher, const cuframes_stream_t *streams,
                            uint32_t count)
{
    struct cf_packets *packets = publisher->packets;
    struct cf_packet_generation generation = {.number = packets->last_generation + 1,
                                              .first_seq = packets->writer.head};
    int err = make_parameters(generation.number, streams, count, &generation.parameters,
                              &generation.size);

    if (err)
        return err;
    CF_POINT("packets.streams_made");
    pthread_mutex_lock(&publisher->lock);
    packets->last_generation = generation.number;
    /* One that never had a packet is nobody's business any more. */
    if (packets->generation_count > 0 &&
        packets->generations[packets->generation_count - 1].first_seq == generation.first_seq)
        cf_packet_memory_unref(packets->generations[--packets->generation_count].parameters);
    limit_generations(packets);
    packets->generations[packets->generation_count++] = generation;
    keep_streams(packets, streams, count);
    CF_POINT("packets.generation_begun");
    pthread_mutex_unlock(&publisher->lock);
    cf_service_kick(publisher);
    return CUFRAMES_OK;
}

static int no_ring(void)
{
    return cf_fail(
        CUFRAMES_ERR_NO_PACKET_RING,
        "the channel has no packet ring: call cuframes_publisher_enable_packets() first");
}

/* The packets of a publisher, locked for writing; NULL if it has none. */
static struct cf_packets *begin_writing(cuframes_publisher_t *publisher)
{
    /* Acquire: pairs with the release in cf_packets_enable(). */
    struct cf_packets *packets = atomic_load_explicit(&publisher->packets, memory_order_acquire);

    if (packets)
        pthread_mutex_lock(&packets->writing);
    return packets;
}

int cf_packets_set_streams(cuframes_publisher_t *publisher, const cuframes_stream_t *streams,
                           uint32_t count)
{
    cuframes_stream_t tidied[CUFRAMES_MAX_STREAMS];
    struct cf_packets *packets;
    int err = check_streams(streams, count, tidied);

    if (err)
        return err;
    if (!(packets = begin_writing(publisher)))
        return no_ring();
    if (!same_streams(packets, tidied, count))
        err = begin_generation(publisher, tidied, count);
    pthread_mutex_unlock(&packets->writing);
    return err;
}

int cf_packets_set_extradata(cuframes_publisher_t *publisher, const void *extradata, size_t size)
{
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS];
    struct cf_packets *packets = begin_writing(publisher);
    int err = CUFRAMES_OK;

    if (!packets)
        return no_ring();
    if (packets->stream_count == 0) {
        err = cf_fail(CUFRAMES_ERR_INVALID_ARG,
                      "there is no stream to describe: enable packets with a codec_id, or call "
                      "cuframes_publisher_set_streams()");
    } else {
        memcpy(streams, packets->streams, sizeof(streams));
        streams[0].extradata = size > 0 ? extradata : NULL;
        streams[0].extradata_size = (uint32_t)size;
        if (!same_streams(packets, streams, packets->stream_count))
            err = begin_generation(publisher, streams, packets->stream_count);
    }
    pthread_mutex_unlock(&packets->writing);
    return err;
}

/* ---- enabling ---- */

/* The largest packet that the ring can take as it is. */
static uint32_t max_packet_now(const cuframes_packet_ring_options_t *o, uint64_t data_size)
{
    return o->max_packet_size < data_size / 2 ? o->max_packet_size : (uint32_t)(data_size / 2);
}

static int make_packets(const cuframes_packet_ring_options_t *options, struct cf_packets **packets)
{
    struct cf_packets *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    pthread_mutex_init(&new->writing, NULL);
    new->options = *options;
    new->first_video = -1;
    new->ring_number = 1;
    err = cf_packets_new_ring(options->data_size, options->ring_slots,
                              max_packet_now(options, options->data_size), 1, 0, &new->ring,
                              &new->writer);
    if (err) {
        cf_packets_free(new);
        return err;
    }
    *packets = new;
    return CUFRAMES_OK;
}

/* The one stream of options->codec_id. Its generation begins with its extradata, or with the first
 * packet if there is none by then. */
static void describe_one_stream(struct cf_packets *packets, uint32_t codec_id)
{
    cuframes_stream_t stream;

    memset(&stream, 0, sizeof(stream));
    stream.type = CUFRAMES_STREAM_VIDEO;
    stream.codec_id = codec_id;
    stream.profile = stream.level = -99;
    keep_streams(packets, &stream, 1);
}

int cf_packets_enable(cuframes_publisher_t *publisher,
                      const cuframes_packet_ring_options_t *options)
{
    cuframes_packet_ring_options_t resolved;
    struct cf_packets *packets = NULL;
    bool again;
    int err = resolve_options(options, &resolved);

    if (!err)
        err = make_packets(&resolved, &packets);
    if (err)
        return err;
    if (resolved.codec_id)
        describe_one_stream(packets, resolved.codec_id);
    pthread_mutex_lock(&publisher->lock);
    again = publisher->packets != NULL;
    if (!again) {
        atomic_store_explicit(&publisher->packets, packets, memory_order_release);
        publisher->stats.packet_ring_bytes = packets->writer.data_size;
        CF_POINT("packets.enabled");
    }
    pthread_mutex_unlock(&publisher->lock);
    if (again) {
        cf_packets_free(packets);
        return cf_fail(CUFRAMES_ERR_ALREADY_EXISTS, "the channel has a packet ring already");
    }
    cf_service_kick(publisher);
    return CUFRAMES_OK;
}

/* ---- packets ---- */

static int check_packet(const struct cf_packets *packets, const cuframes_packet_desc_t *packet)
{
    if (packets->stream_count == 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the channel's streams are not described: call "
                                                 "cuframes_publisher_set_streams() first");
    if (packet->stream >= packets->stream_count)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a packet of stream %u: the channel has %u",
                       packet->stream, packets->stream_count);
    if (packet->size == 0 || !packet->data)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the packet is empty");
    if (packet->flags & ~CF_PACKET_FLAGS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown packet flags %#x",
                       packet->flags & ~CF_PACKET_FLAGS);
    if ((uint32_t)packet->capture_source > CUFRAMES_CLOCK_FILE)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown source %d of a capture time",
                       (int)packet->capture_source);
    if (packet->duration_ns < 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a packet that lasts %lld ns: 0 means unknown",
                       (long long)packet->duration_ns);
    if (packet->size > packets->options.max_packet_size)
        return cf_fail(CUFRAMES_ERR_PACKET_OVERSIZED,
                       "a packet of %zu bytes: the ring takes up to %u (max_packet_size)",
                       packet->size, packets->options.max_packet_size);
    return CUFRAMES_OK;
}

static struct cf_packet_meta ring_meta(const struct cf_packets *packets,
                                       const cuframes_packet_desc_t *packet, int64_t now)
{
    const bool start =
        packets->first_video < 0 || ((packet->flags & CUFRAMES_PKT_FLAG_KEY) &&
                                     packet->stream == (uint32_t)packets->first_video);

    return (struct cf_packet_meta){
        .pts_ns = packet->pts_ns,
        .dts_ns = packet->dts_ns,
        .duration_ns = packet->duration_ns,
        .capture_ns = packet->capture_source ? packet->capture_ns : CUFRAMES_NO_TIME,
        .published_ns = now,
        .generation = packets->last_generation,
        .flags = (uint16_t)(packet->flags | (start ? CF_PACKET_FLAG_START : 0)),
        .stream = (uint8_t)packet->stream,
        .capture_source = (uint8_t)packet->capture_source,
    };
}

/* Counts the packet, wakes who waits, and lets go of what nobody can need any more. */
static void announce(cuframes_publisher_t *publisher, size_t size, int64_t now)
{
    struct cf_packets *packets = publisher->packets;
    const struct cf_packet_writer *w = &packets->writer;
    const int64_t oldest_ns = cf_packet_writer_meta(w, w->oldest).published_ns;

    pthread_mutex_lock(&publisher->lock);
    publisher->stats.packets++;
    publisher->stats.packet_bytes += size;
    publisher->stats.packets_kept = (uint32_t)(w->head - w->oldest);
    publisher->stats.packet_kept_ns = now - oldest_ns;
    drop_forgotten(packets);
    cf_packet_writer_wake(&packets->writer, &publisher->packet_peers);
    pthread_mutex_unlock(&publisher->lock);
}

int cf_packets_send(cuframes_publisher_t *publisher, const cuframes_packet_desc_t *packet,
                    uint64_t *seq)
{
    struct cf_packets *packets = begin_writing(publisher);
    struct cf_packet_meta meta;
    uint64_t number;
    int64_t now = 0;
    int err;

    if (!packets)
        return no_ring();
    err = check_packet(packets, packet);
    if (!err && packets->last_generation == 0)
        err = begin_generation(publisher, packets->streams, packets->stream_count);
    if (!err) {
        now = cf_now_ns();
        cf_packets_make_room(publisher, (uint32_t)packet->size, now);
        /* A ring that could not be made larger. */
        if (packet->size > packets->writer.header->max_packet)
            err = cf_fail(CUFRAMES_ERR_PACKET_OVERSIZED,
                          "a packet of %zu bytes, and there is no memory for a larger ring",
                          packet->size);
    }
    if (!err) {
        meta = ring_meta(packets, packet, now);
        number =
            cf_packet_writer_put(&packets->writer, packet->data, (uint32_t)packet->size, &meta);
        announce(publisher, packet->size, now);
        if (seq)
            *seq = number;
    }
    pthread_mutex_unlock(&packets->writing);
    return err;
}

void cf_packets_end(cuframes_publisher_t *publisher)
{
    if (publisher->packets)
        cf_packet_writer_end(&publisher->packets->writer, &publisher->packet_peers,
                             CF_PACKET_RING_CLOSED);
}
