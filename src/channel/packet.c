/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The pool of packet buffers. Buffers are of sizes that double, with a list of free ones for each
 * size. `lock` guards the lists; packets are released from any thread.
 */
#include "channel/packet.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"

/* Smallest buffer, and the number of sizes: up to the largest packet that a ring can have. */
#define FIRST_SHIFT 12
#define CLASSES     21
/* Most bytes that lie about unused, beyond the newest buffer of each size. */
#define MOST_FREE (UINT64_C(8) << 20)

struct cf_packet_pool {
    atomic_uint refs; /* the subscriber's, and one for each packet that is out */
    pthread_mutex_t lock;
    uint64_t free_bytes;
    struct cuframes_packet *free[CLASSES];
};

struct cf_packet_pool *cf_packet_pool_new(void)
{
    struct cf_packet_pool *pool = cf_sys.calloc(1, sizeof(*pool));

    if (!pool) {
        cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
        return NULL;
    }
    pool->refs = 1;
    pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

void cf_packet_pool_unref(struct cf_packet_pool *pool)
{
    if (!pool || atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < CLASSES; i++) {
        while (pool->free[i]) {
            struct cuframes_packet *packet = pool->free[i];

            pool->free[i] = packet->next;
            free(packet);
        }
    }
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}

static uint64_t class_size(uint32_t class)
{
    return UINT64_C(1) << (FIRST_SHIFT + class);
}

static uint32_t class_of(uint64_t size)
{
    uint32_t class = 0;

    while (class_size(class) < size)
        class ++;
    return class;
}

static struct cuframes_packet *take_free(struct cf_packet_pool *pool, uint32_t class)
{
    struct cuframes_packet *packet;

    pthread_mutex_lock(&pool->lock);
    packet = pool->free[class];
    if (packet) {
        pool->free[class] = packet->next;
        pool->free_bytes -= class_size(class);
    }
    pthread_mutex_unlock(&pool->lock);
    return packet;
}

cuframes_packet_t *cf_packet_new(struct cf_packet_pool *pool, uint32_t size)
{
    const uint64_t wanted = (uint64_t)size + sizeof(uint64_t) + CF_PACKET_PADDING;
    const uint32_t class = class_of(wanted);
    struct cuframes_packet *packet = take_free(pool, class);

    if (!packet)
        packet = cf_sys.calloc(1, sizeof(*packet) + (size_t)class_size(class));
    if (!packet) {
        cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory for a packet of %u bytes", size);
        return NULL;
    }
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    packet->pool = pool;
    packet->class = class;
    packet->size = size;
    return packet;
}

void cf_packet_free(cuframes_packet_t *packet)
{
    struct cf_packet_pool *pool = packet->pool;
    const uint64_t size = class_size(packet->class);
    bool kept = false;

    /* In a process that forked off, the lock may be as it was in another thread's hands. */
    if (pthread_mutex_trylock(&pool->lock) == 0) {
        kept = !pool->free[packet->class] || pool->free_bytes + size <= MOST_FREE;
        if (kept) {
            packet->next = pool->free[packet->class];
            pool->free[packet->class] = packet;
            pool->free_bytes += size;
        }
        pthread_mutex_unlock(&pool->lock);
    }
    if (!kept)
        free(packet);
    cf_packet_pool_unref(pool);
}

CUFRAMES_API const void *cuframes_packet_data(const cuframes_packet_t *packet)
{
    return packet->data;
}

CUFRAMES_API size_t cuframes_packet_size(const cuframes_packet_t *packet)
{
    return packet->size;
}

CUFRAMES_API int64_t cuframes_packet_pts(const cuframes_packet_t *packet)
{
    return packet->meta.pts_ns;
}

CUFRAMES_API int64_t cuframes_packet_dts(const cuframes_packet_t *packet)
{
    return packet->meta.dts_ns;
}

CUFRAMES_API int64_t cuframes_packet_duration(const cuframes_packet_t *packet)
{
    return packet->meta.duration_ns;
}

CUFRAMES_API int64_t cuframes_packet_capture_ns(const cuframes_packet_t *packet,
                                                cuframes_clock_source_t *source)
{
    if (source)
        *source = (cuframes_clock_source_t)packet->meta.capture_source;
    return packet->meta.capture_source == CUFRAMES_CLOCK_UNKNOWN ? CUFRAMES_NO_TIME
                                                                 : packet->meta.capture_ns;
}

CUFRAMES_API int64_t cuframes_packet_published_ns(const cuframes_packet_t *packet)
{
    return packet->meta.published_ns;
}

CUFRAMES_API uint32_t cuframes_packet_flags(const cuframes_packet_t *packet)
{
    return packet->flags;
}

CUFRAMES_API uint64_t cuframes_packet_seq(const cuframes_packet_t *packet)
{
    return packet->seq;
}

CUFRAMES_API uint32_t cuframes_packet_stream(const cuframes_packet_t *packet)
{
    return packet->meta.stream;
}

CUFRAMES_API uint32_t cuframes_packet_generation(const cuframes_packet_t *packet)
{
    return packet->meta.generation;
}

CUFRAMES_API uint64_t cuframes_packet_lost(const cuframes_packet_t *packet)
{
    return packet->lost;
}
