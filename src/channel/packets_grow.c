/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The size of a packet ring. With keep_ms it grows while it runs: when the next packet would push
 * out one that belongs to the newest two whole GOPs, or that is younger than keep_ms, and when a
 * packet is larger than the ring can take. So the streams' own rate decides, and a ring that is
 * large enough stays as it is.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"
#include "channel/publisher.h"

/* Whole GOPs that keep_ms promises, whatever the time. */
#define KEPT_GOPS 2

int cf_packets_new_ring(uint64_t data_size, uint32_t index_size, uint32_t max_packet,
                        uint32_t number, uint64_t first, struct cf_packet_memory **memory,
                        struct cf_packet_writer *writer)
{
    struct cf_packet_memory *new = cf_sys.calloc(1, sizeof(*new));
    int err;

    if (!new)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    new->refs = 1;
    err = cf_shm_create("cuframes-packets", cf_packet_ring_size(index_size, data_size),
                        CF_SHM_MAKER_WRITES, &new->fd, &new->map);
    if (err) {
        free(new);
        return err;
    }
    CF_POINT("packets.ring_made");
    cf_packet_writer_init(writer, new->map.addr, data_size, index_size, max_packet, number, first);
    *memory = new;
    return CUFRAMES_OK;
}

/* The oldest packet that must stay when another is added now: the younger end of what the time and
 * what the GOPs ask for. */
static uint64_t oldest_needed(const struct cf_packets *packets, int64_t now_ns)
{
    const struct cf_packet_writer *w = &packets->writer;
    const int64_t since = now_ns - packets->options.keep_ms * CF_NS_PER_MS;
    uint64_t by_time = w->head, by_gop = w->head;
    uint32_t starts = 0;

    for (uint64_t seq = w->head; seq-- > w->oldest;) {
        const struct cf_packet_meta meta = cf_packet_writer_meta(w, seq);

        if (meta.published_ns >= since)
            by_time = seq;
        if (starts <= KEPT_GOPS)
            by_gop = seq;
        starts += (meta.flags & CF_PACKET_FLAG_START) != 0;
        if (starts > KEPT_GOPS && meta.published_ns < since)
            break;
    }
    return by_time < by_gop ? by_time : by_gop;
}

/* Copies what is kept into a larger ring and goes on there. */
static int move(cuframes_publisher_t *publisher, uint64_t data_size, uint32_t index_size)
{
    struct cf_packets *packets = publisher->packets;
    const cuframes_packet_ring_options_t *o = &packets->options;
    const uint32_t max_packet =
        o->max_packet_size < data_size / 2 ? o->max_packet_size : (uint32_t)(data_size / 2);
    struct cf_packet_memory *memory, *old = packets->ring;
    struct cf_packet_writer writer;
    int err = cf_packets_new_ring(data_size, index_size, max_packet, packets->ring_number + 1,
                                  packets->writer.oldest, &memory, &writer);

    if (err)
        return err;
    cf_packet_writer_take_over(&writer, &packets->writer);
    CF_POINT("packets.taken_over");
    pthread_mutex_lock(&publisher->lock);
    cf_packet_writer_end(&packets->writer, &publisher->packet_peers, CF_PACKET_RING_SUPERSEDED);
    CF_POINT("packets.superseded");
    packets->writer = writer;
    packets->ring = memory;
    packets->ring_number++;
    publisher->stats.packet_ring_bytes = data_size;
    pthread_mutex_unlock(&publisher->lock);
    CF_POINT("packets.moved");
    cf_packet_memory_unref(old);
    cf_service_kick(publisher);
    cf_log(CUFRAMES_LOG_INFO, "%s: packet ring of %llu bytes and %u packets", publisher->key,
           (unsigned long long)data_size, index_size);
    return CUFRAMES_OK;
}

/* Whether `needed` and all after it, and one more of `size` bytes, fit into a ring of that shape. */
static bool fits(const struct cf_packet_writer *w, uint64_t needed, uint32_t size,
                 uint64_t data_size, uint32_t index_size)
{
    uint64_t room = cf_packet_room(size);

    if (needed < w->head)
        room += w->end - cf_packet_writer_position(w, needed);
    return room <= data_size && w->head - needed < index_size &&
           cf_packet_room(size) <= data_size / 2;
}

static void grow(cuframes_publisher_t *publisher, uint64_t needed, uint32_t size)
{
    struct cf_packets *packets = publisher->packets;
    const struct cf_packet_writer *w = &packets->writer;
    const uint64_t most = packets->options.max_data_size;
    uint64_t data_size = w->data_size;
    uint32_t index_size = w->index_size;

    while (data_size < most && !fits(w, needed, size, data_size, CF_PACKET_MAX_INDEX))
        data_size = 2 * data_size < most ? 2 * data_size : most;
    /* What the bytes cannot hold needs no entries either. */
    while (needed < w->head && !fits(w, needed, size, data_size, CF_PACKET_MAX_INDEX))
        needed++;
    while (index_size < CF_PACKET_MAX_INDEX && w->head - needed >= index_size)
        index_size *= 2;
    if (data_size == w->data_size && index_size == w->index_size)
        return;
    if (move(publisher, data_size, index_size) == CUFRAMES_OK)
        return;
    cf_log(CUFRAMES_LOG_WARNING, "%s: the packet ring stays at %llu bytes: %s", publisher->key,
           (unsigned long long)w->data_size, cuframes_last_error());
    packets->growth_failed = true;
}

/* At the limit only a lack of entries can be helped. */
static bool can_grow(const struct cf_packets *packets, uint32_t size)
{
    const struct cf_packet_writer *w = &packets->writer;

    if (packets->options.keep_ms == 0 || packets->growth_failed)
        return false;
    return w->data_size < packets->options.max_data_size || size > w->header->max_packet ||
           w->head - w->oldest >= w->index_size;
}

/* Whether one more packet would push out what is to be kept: the youngest that goes decides. */
static bool is_short(const struct cf_packets *packets, uint32_t size, int64_t now_ns)
{
    const struct cf_packet_writer *w = &packets->writer;
    const uint64_t oldest = cf_packet_writer_oldest_beside(w, size);
    uint64_t starts = w->starts;

    if (size > w->header->max_packet)
        return true;
    if (oldest == w->oldest)
        return false;
    for (uint64_t seq = w->oldest; seq < oldest; seq++)
        starts -= (cf_packet_writer_meta(w, seq).flags & CF_PACKET_FLAG_START) != 0;
    return starts <= KEPT_GOPS || cf_packet_writer_meta(w, oldest - 1).published_ns >=
                                      now_ns - packets->options.keep_ms * CF_NS_PER_MS;
}

void cf_packets_make_room(cuframes_publisher_t *publisher, uint32_t size, int64_t now_ns)
{
    const struct cf_packets *packets = publisher->packets;
    const struct cf_packet_writer *w = &packets->writer;
    uint64_t needed;

    if (!can_grow(packets, size) || !is_short(packets, size, now_ns))
        return;
    needed = oldest_needed(packets, now_ns);
    if (!fits(w, needed, size, w->data_size, w->index_size))
        grow(publisher, needed, size);
}
