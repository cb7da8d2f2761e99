/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exchanging bytes and descriptors.
 *
 * Bytes. Small contributions lie on the board, in one of two areas of their rank that take turns:
 * every rank writes its own, all meet in a barrier, all read. A rank that writes the same area
 * again two exchanges later has passed the barrier of the exchange between, which nobody enters
 * before it has done reading. Larger contributions go through the region, memory that rank 0 makes
 * when the one there is too small: the barrier above tells everybody the sizes (and that all have
 * done reading the region), then all write their part, meet again, and read.
 *
 * Descriptors go through the hub. The numbers are exchanged first, so that every rank knows what
 * comes and nobody gives anything that is too much.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/point.h"
#include "base/sys.h"
#include "group/group.h"
#include "wire/group_message.h"
#include "wire/record.h"

/* The region grows to at least this, so that it is not made again for every step. */
#define REGION_MIN ((size_t)1 << 20)
/* Most bytes of all ranks together in one exchange. */
#define REGION_MAX ((size_t)16 << 30)

/* ---- descriptors ---- */

static int give(cuframes_group_t *group, uint32_t root, const int *fds, uint32_t count)
{
    uint8_t bytes[CF_GROUP_MESSAGE_SIZE];
    uint32_t given = 0;

    do {
        uint32_t left = count - given;
        uint32_t now = left < CF_RECORD_MAX_FDS ? left : CF_RECORD_MAX_FDS;
        struct cf_group_message message = {.type = CF_GROUP_GIVE,
                                           .rank = root,
                                           .round = group->round,
                                           .total = count,
                                           .offset = given};
        int err;

        cf_group_message_encode(&message, bytes);
        err = cf_record_send(group->socket, bytes, sizeof(bytes), fds + given, now);
        if (err)
            return err;
        given += now;
    } while (given < count);
    return CUFRAMES_OK;
}

/* One message of the round. Descriptors that do not fit are closed. */
static int take_some(cuframes_group_t *group, int *all, uint32_t capacity, uint32_t total,
                     uint32_t *taken, bool *short_of, int64_t deadline_ns)
{
    uint32_t left = total - *taken;
    uint32_t expected = left < CF_RECORD_MAX_FDS ? left : CF_RECORD_MAX_FDS;
    struct cf_group_message message;
    struct cf_record record;
    int err = cf_group_receive(group, &record, CF_RECORD_MAX_FDS, deadline_ns);

    /* This process could not take them; the message is gone, the group is not. */
    if (err == CUFRAMES_ERR_TOO_MANY) {
        *short_of = true;
        *taken += expected;
        return CUFRAMES_OK;
    }
    if (err)
        return err;
    err = cf_group_message_decode(record.bytes, record.size, record.fd_count, &message);
    if (!err && message.type == CF_GROUP_ERROR)
        err = cf_fail(message.error, "%s", message.text);
    else if (!err &&
             (message.type != CF_GROUP_TAKE || message.round != group->round ||
              message.total != total || message.offset != *taken || record.fd_count != expected))
        err = cf_fail(CUFRAMES_ERR_PROTOCOL, "the group's hub passed other descriptors than were "
                                             "given");
    if (!err && !*short_of && *taken + record.fd_count <= capacity) {
        memcpy(all + *taken, record.fds, record.fd_count * sizeof(*all));
        record.fd_count = 0;
    }
    cf_record_close_fds(&record);
    if (!err)
        *taken += expected;
    return err;
}

static int take(cuframes_group_t *group, int *all, uint32_t capacity, uint32_t total,
                int64_t deadline_ns)
{
    uint32_t taken = 0;
    bool short_of = false;
    int err;

    do
        err = take_some(group, all, capacity, total, &taken, &short_of, deadline_ns);
    while (!err && taken < total);
    if (!err && short_of)
        err = cf_fail(CUFRAMES_ERR_TOO_MANY,
                      "%u descriptors are more than this process may have open (raise the limit: "
                      "ulimit -n)",
                      total);
    return err;
}

/* Says how many descriptors this rank gives, and learns how many the others do. */
static int exchange_counts(cuframes_group_t *group, uint32_t count, uint32_t *counts,
                           uint32_t *total, int64_t deadline_ns)
{
    struct cf_board *board = cf_group_board(group);
    uint64_t sum = 0;
    int err;

    /* Relaxed: the barrier orders it. Nobody reads the number of the round before any more: this
     * rank has taken that round, so all had given for it, which comes after reading. */
    atomic_store_explicit(&cf_board_rank(board, group->size, group->rank)->fds, count,
                          memory_order_relaxed);
    if ((err = cf_group_barrier(group, group->size, deadline_ns)) != 0)
        return err;
    for (uint32_t rank = 0; rank < group->size; rank++) {
        uint32_t n = atomic_load_explicit(&cf_board_rank(board, group->size, rank)->fds,
                                          memory_order_relaxed);

        if (counts)
            counts[rank] = n;
        sum += n;
    }
    if (sum > CUFRAMES_GROUP_MAX_FDS) {
        /* Nobody gives, so nothing else keeps the next round's numbers behind this round's. */
        if ((err = cf_group_barrier(group, group->size, deadline_ns)) != 0)
            return err;
        return cf_fail(CUFRAMES_ERR_TOO_MANY, "%llu descriptors in one exchange: at most %d",
                       (unsigned long long)sum, CUFRAMES_GROUP_MAX_FDS);
    }
    *total = (uint32_t)sum;
    return CUFRAMES_OK;
}

/* What a call returns when the connection to the hub failed it with `err`. */
static int connection_error(cuframes_group_t *group, int err)
{
    struct cf_board *board = cf_group_board(group);

    if (err == CUFRAMES_ERR_DISCONNECTED)
        cf_board_break(board, group->size, CF_BOARD_DIED, board->hub_rank);
    else if (err != CUFRAMES_ERR_TIMEOUT)
        return cf_group_fail(group, err);
    else
        /* All have come to the barrier, so it is the hub that does not go on. */
        cf_board_break(board, group->size, CF_BOARD_LATE, board->hub_rank);
    return cf_group_broken(group);
}

int cf_group_exchange_fds(cuframes_group_t *group, uint32_t root, const int *fds, uint32_t count,
                          int *all, uint32_t capacity, uint32_t *counts, uint32_t *total,
                          int64_t deadline_ns)
{
    uint32_t sum = 0;
    int err = exchange_counts(group, count, counts, &sum, deadline_ns);

    if (err)
        return err;
    if ((err = give(group, root, fds, count)) != 0)
        return connection_error(group, err);
    CF_POINT("exchange.given");
    err = take(group, all, sum <= capacity ? capacity : 0, sum, deadline_ns);
    if (err && err != CUFRAMES_ERR_TOO_MANY)
        return connection_error(group, err);
    group->round++;
    if (err)
        return err;
    *total = sum;
    if (sum > capacity)
        return cf_fail(CUFRAMES_ERR_TOO_MANY, "%u descriptors came, there is room for %u", sum,
                       capacity);
    return CUFRAMES_OK;
}

/* ---- bytes ---- */

static int map_region(cuframes_group_t *group, int fd, size_t size)
{
    struct cf_map map;
    int err = cf_shm_attach("exchange memory", fd, size, CF_SHM_PEER_WRITES, &map);

    if (err)
        return err;
    cf_map_release(&group->region);
    group->region = map;
    return CUFRAMES_OK;
}

static size_t region_size(size_t needed)
{
    size_t size = REGION_MIN;

    while (size < needed)
        size *= 2;
    return size;
}

/* Rank 0 makes a larger region, all get it. */
static int grow_region(cuframes_group_t *group, size_t needed, int64_t deadline_ns)
{
    const size_t size = region_size(needed);
    struct cf_map made = {0};
    int CF_CLOSE fd = -1;
    int CF_CLOSE received = -1;
    uint32_t total;
    int err = CUFRAMES_OK;

    if (group->rank == 0) {
        err = cf_shm_create("cuframes-exchange", size, CF_SHM_PEER_WRITES, &fd, &made);
        cf_map_release(&made);
        if (err)
            return cf_group_fail(group, err);
    }
    err = cf_group_exchange_fds(group, 0, &fd, group->rank == 0, &received, 1, NULL, &total,
                                deadline_ns);
    if (!err)
        err = map_region(group, received, size);
    /* The others count on every rank having it. */
    if (err && cf_board_broken(cf_group_board(group), &(int32_t){0}) == CF_BOARD_WHOLE)
        return cf_group_fail(group, err);
    return err;
}

/* Through the region: `given` has the sizes, and gets the places. */
static int exchange_large(cuframes_group_t *group, const void *data, size_t size,
                          struct cf_group_bytes *given, int64_t deadline_ns)
{
    size_t offset = 0;
    int err;

    if (given->total > REGION_MAX)
        return cf_fail(CUFRAMES_ERR_TOO_MANY, "%zu bytes in one exchange: at most %zu",
                       given->total, REGION_MAX);
    if (given->total > group->region.size &&
        (err = grow_region(group, given->total, deadline_ns)) != 0)
        return err;
    for (uint32_t rank = 0; rank < group->size; rank++) {
        given->base[rank] = (const uint8_t *)group->region.addr + offset;
        if (rank == group->rank && size > 0)
            memcpy((uint8_t *)group->region.addr + offset, data, size);
        offset += given->sizes[rank];
    }
    return cf_group_barrier(group, group->size, deadline_ns);
}

int cf_group_exchange(cuframes_group_t *group, const void *data, size_t size,
                      struct cf_group_bytes *given, int64_t deadline_ns)
{
    struct cf_board *board = cf_group_board(group);
    const uint32_t turn = group->exchange++ & 1;
    bool large = false;
    int err;

    /* Relaxed: the barrier orders it. */
    atomic_store_explicit(&cf_board_rank(board, group->size, group->rank)->bytes[turn], size,
                          memory_order_relaxed);
    if (size > 0 && size <= CF_BOARD_INLINE)
        memcpy(cf_board_inline(board, group->size, group->rank, turn), data, size);
    if ((err = cf_group_barrier(group, group->size, deadline_ns)) != 0)
        return err;
    given->total = 0;
    for (uint32_t rank = 0; rank < group->size; rank++) {
        uint64_t n = atomic_load_explicit(&cf_board_rank(board, group->size, rank)->bytes[turn],
                                          memory_order_relaxed);

        /* Others can write there, too: what is copied into the region is what was given. */
        if (rank == group->rank)
            n = size;
        if (n > CUFRAMES_GROUP_MAX_BYTES) {
            cf_board_break(board, group->size, CF_BOARD_NONSENSE, rank);
            return cf_group_broken(group);
        }
        given->sizes[rank] = n;
        given->base[rank] = cf_board_inline(board, group->size, rank, turn);
        given->total += n;
        large = large || n > CF_BOARD_INLINE;
    }
    return large ? exchange_large(group, data, size, given, deadline_ns) : CUFRAMES_OK;
}
