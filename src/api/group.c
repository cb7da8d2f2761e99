/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of group.h: check what the program says, then call inward.
 */
#include "group/group.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "wire/endpoint.h"
#include "wire/group_message.h"

static int check_config(const cuframes_group_config_t *config)
{
    if (config->size < 1 || config->size > CUFRAMES_GROUP_MAX_RANKS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a group of %d: it has 1 to %d ranks",
                       config->size, CUFRAMES_GROUP_MAX_RANKS);
    if (config->rank < CUFRAMES_GROUP_ANY_RANK || config->rank >= config->size)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "rank %d in a group of %d: ranks are 0 to %d, or "
                       "CUFRAMES_GROUP_ANY_RANK",
                       config->rank, config->size, config->size - 1);
    if (config->flags)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown group flags %#x", config->flags);
    return CUFRAMES_OK;
}

static int check_name(const char *name)
{
    int err = cf_key_check(name);

    if (err)
        return err;
    if (strlen(name) > CUFRAMES_GROUP_NAME_MAX)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a group's name has at most %d characters",
                       CUFRAMES_GROUP_NAME_MAX);
    return CUFRAMES_OK;
}

static int check_handle(const cuframes_group_t *group)
{
    if (!group)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the group is NULL");
    if (group->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this process did not join the group, its parent did before fork(): join a "
                       "group of its own");
    return CUFRAMES_OK;
}

/* What every operation checks before it begins. */
static int begin(const cuframes_group_t *group, int32_t timeout_ms, int64_t *deadline)
{
    int32_t culprit;
    int err = check_handle(group);

    if (err)
        return err;
    if (timeout_ms == 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a timeout of 0: an operation of a group waits for "
                       "the others; give milliseconds, or -1 for ever");
    if (cf_board_broken(cf_group_board((cuframes_group_t *)(uintptr_t)group), &culprit) !=
        CF_BOARD_WHOLE)
        return cf_group_broken(group);
    *deadline = cf_deadline(timeout_ms);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_group_create(const cuframes_group_config_t *config,
                                       cuframes_group_t **group)
{
    int err;

    if (!config || !group)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "config and group must not be NULL");
    if ((err = check_name(config->name)) != 0 || (err = check_config(config)) != 0)
        return err;
    return cf_group_create(config, group);
}

CUFRAMES_API int cuframes_group_create_from_fd(const cuframes_group_config_t *config, int fd,
                                               cuframes_group_t **group)
{
    int CF_CLOSE socket = fd;
    int err;

    if (!config || !group)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "config and group must not be NULL");
    if (config->name && (err = check_name(config->name)) != 0)
        return err;
    if ((err = check_config(config)) != 0)
        return err;
    return cf_group_create_from_fd(config, cf_steal_fd(&socket), group);
}

CUFRAMES_API int cuframes_group_destroy(cuframes_group_t *group)
{
    if (group)
        cf_group_destroy(group);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_group_rank(const cuframes_group_t *group)
{
    int err = check_handle(group);

    return err ? err : (int)group->rank;
}

CUFRAMES_API int cuframes_group_size(const cuframes_group_t *group)
{
    int err = check_handle(group);

    return err ? err : (int)group->size;
}

CUFRAMES_API int cuframes_group_broken_rank(const cuframes_group_t *group)
{
    int32_t culprit;

    if (check_handle(group) != CUFRAMES_OK)
        return -1;
    cf_board_broken(cf_group_board((cuframes_group_t *)(uintptr_t)group), &culprit);
    return culprit;
}

CUFRAMES_API int cuframes_group_barrier(cuframes_group_t *group, int32_t ranks, int32_t timeout_ms)
{
    int64_t deadline = 0;
    int err = begin(group, timeout_ms, &deadline);

    if (err)
        return err;
    if (ranks == 0)
        ranks = (int32_t)group->size;
    if (ranks < 0 || (uint32_t)ranks > group->size || group->rank >= (uint32_t)ranks)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a barrier of the first %d ranks in a group of %u, called by rank %u", ranks,
                       group->size, group->rank);
    return cf_group_barrier(group, (uint32_t)ranks, deadline);
}

static int check_bytes(const void *data, size_t size)
{
    if (size > CUFRAMES_GROUP_MAX_BYTES)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%zu bytes in one exchange: at most %llu", size,
                       (unsigned long long)CUFRAMES_GROUP_MAX_BYTES);
    if (size > 0 && !data)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%zu bytes at NULL", size);
    return CUFRAMES_OK;
}

/* Puts what all gave one behind the other. */
static void collect(const cuframes_group_t *group, const struct cf_group_bytes *given, void *all)
{
    uint8_t *out = all;

    for (uint32_t rank = 0; rank < group->size; rank++) {
        if (given->sizes[rank] > 0)
            memcpy(out, given->base[rank], given->sizes[rank]);
        out += given->sizes[rank];
    }
}

CUFRAMES_API int cuframes_group_all_gather(cuframes_group_t *group, const void *data, size_t size,
                                           void *all, int32_t timeout_ms)
{
    struct cf_group_bytes given;
    int64_t deadline = 0;
    int err;

    if ((err = begin(group, timeout_ms, &deadline)) != 0 || (err = check_bytes(data, size)) != 0 ||
        (err = check_bytes(all, size)) != 0 ||
        (err = cf_group_exchange(group, data, size, &given, deadline)) != 0)
        return err;
    for (uint32_t rank = 0; rank < group->size; rank++)
        if (given.sizes[rank] != size)
            return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                           "rank %u gave %zu bytes, rank %u %zu: all must give the same number",
                           rank, given.sizes[rank], group->rank, size);
    collect(group, &given, all);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_group_all_gather_v(cuframes_group_t *group, const void *data, size_t size,
                                             void *all, size_t capacity, size_t *sizes,
                                             int32_t timeout_ms)
{
    struct cf_group_bytes given;
    int64_t deadline = 0;
    int err;

    if (capacity > 0 && !all)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "room for %zu bytes at NULL", capacity);
    if ((err = begin(group, timeout_ms, &deadline)) != 0 || (err = check_bytes(data, size)) != 0 ||
        (err = cf_group_exchange(group, data, size, &given, deadline)) != 0)
        return err;
    if (sizes)
        memcpy(sizes, given.sizes, group->size * sizeof(*sizes));
    if (given.total > capacity)
        return cf_fail(CUFRAMES_ERR_TOO_MANY, "%zu bytes came, there is room for %zu", given.total,
                       capacity);
    collect(group, &given, all);
    return CUFRAMES_OK;
}

static int check_root(const cuframes_group_t *group, int32_t root)
{
    if (root < 0 || (uint32_t)root >= group->size)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "root %d in a group of %u", root, group->size);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_group_broadcast(cuframes_group_t *group, int32_t root, void *data,
                                          size_t size, int32_t timeout_ms)
{
    struct cf_group_bytes given;
    int64_t deadline = 0;
    int err;

    if ((err = begin(group, timeout_ms, &deadline)) != 0 || (err = check_root(group, root)) != 0 ||
        (err = check_bytes(data, size)) != 0 ||
        (err = cf_group_exchange(group, data, group->rank == (uint32_t)root ? size : 0, &given,
                                 deadline)) != 0)
        return err;
    if (given.sizes[root] != size)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "rank %d sent %zu bytes, rank %u expects %zu",
                       root, given.sizes[root], group->rank, size);
    if (group->rank != (uint32_t)root && size > 0)
        memcpy(data, given.base[root], size);
    return CUFRAMES_OK;
}

static int check_fds(const int *fds, uint32_t count)
{
    if (count > CUFRAMES_GROUP_MAX_FDS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%u descriptors in one exchange: at most %d",
                       count, CUFRAMES_GROUP_MAX_FDS);
    if (count > 0 && !fds)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%u descriptors at NULL", count);
    return CUFRAMES_OK;
}

/* Descriptors to be given. One that is not open would fail in the middle of the round, where it
 * breaks the group for all; here it fails this call alone. */
static int check_given_fds(const int *fds, uint32_t count)
{
    int err = check_fds(fds, count);

    for (uint32_t i = 0; !err && i < count; i++)
        if (fcntl(fds[i], F_GETFD) < 0 && errno == EBADF)
            err = cf_fail(CUFRAMES_ERR_INVALID_ARG, "descriptor %d is not open", fds[i]);
    return err;
}

CUFRAMES_API int cuframes_group_all_gather_fds(cuframes_group_t *group, const int *fds,
                                               uint32_t count, int *all, uint32_t capacity,
                                               uint32_t *counts, int32_t timeout_ms)
{
    uint32_t total;
    int64_t deadline = 0;
    int err;

    if ((err = begin(group, timeout_ms, &deadline)) != 0 ||
        (err = check_given_fds(fds, count)) != 0 ||
        (err = check_fds(all, capacity < CUFRAMES_GROUP_MAX_FDS ? capacity
                                                                : CUFRAMES_GROUP_MAX_FDS)) != 0)
        return err;
    return cf_group_exchange_fds(group, CF_GROUP_ROOT_ALL, fds, count, all, capacity, counts,
                                 &total, deadline);
}

/* Closes what did not come as it was announced. */
static int wrong_count(int *fds, uint32_t got, uint32_t expected, int32_t root)
{
    for (uint32_t i = 0; i < got; i++)
        cf_close(&fds[i]);
    return cf_fail(CUFRAMES_ERR_INVALID_ARG, "rank %d sent %u descriptors, %u are expected", root,
                   got, expected);
}

CUFRAMES_API int cuframes_group_broadcast_fds(cuframes_group_t *group, int32_t root, int *fds,
                                              uint32_t count, int32_t timeout_ms)
{
    int own[CUFRAMES_GROUP_MAX_FDS];
    uint32_t total;
    int64_t deadline = 0;
    bool is_root;
    int err;

    if ((err = begin(group, timeout_ms, &deadline)) != 0 || (err = check_root(group, root)) != 0)
        return err;
    is_root = group->rank == (uint32_t)root;
    if ((err = is_root ? check_given_fds(fds, count) : check_fds(fds, count)) != 0)
        return err;
    /* The root's own come back to it, too; it has them already. */
    err = cf_group_exchange_fds(group, (uint32_t)root, fds, is_root ? count : 0,
                                is_root ? own : fds, count, NULL, &total, deadline);
    if (err)
        return err;
    if (total != count)
        return wrong_count(is_root ? own : fds, total, count, root);
    for (uint32_t i = 0; is_root && i < total; i++)
        cf_close(&own[i]);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_group_host_create(int32_t size, int *fds, cuframes_group_host_t **host)
{
    if (size < 1 || size > CUFRAMES_GROUP_MAX_RANKS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a group of %d: it has 1 to %d ranks", size,
                       CUFRAMES_GROUP_MAX_RANKS);
    if (!fds || !host)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "fds and host must not be NULL");
    return cf_group_host_create((uint32_t)size, fds, host);
}

CUFRAMES_API void cuframes_group_host_destroy(cuframes_group_host_t *host)
{
    if (host)
        cf_group_host_destroy(host);
}
