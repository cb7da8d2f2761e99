/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file group.h
 * A group: processes of one host that meet under a name, wait for one another, and exchange bytes
 * and descriptors.
 *
 * Each process has a rank, 0 to size - 1. The operations are collective: every rank (for the
 * barrier: every one of the first n) calls the same operation in the same order, with its own
 * data. Each call has a timeout. When a rank dies, leaves, or does not come in time, the group is
 * broken: the calls of all the others return at once, within 100 ms of a death, with an error
 * that names the rank, and so does every later call.
 *
 * Names: a group lives in the runtime directory of the host, beside the channels. Two groups with
 * different names never meet. While a group lives, others that come with its name are refused;
 * when it is gone, however it ended, the name can be used again at once. Only processes of one
 * user (and root) meet.
 *
 * Threads: one thread at a time for each group. After fork() the child must not use a group that
 * it inherited: every call but destroy returns CUFRAMES_ERR_INVALID_ARG there.
 */
#ifndef CUFRAMES_GROUP_H
#define CUFRAMES_GROUP_H

#include <cuframes/base.h>
#include <cuframes/error.h>

CUFRAMES_BEGIN_DECLS

/** Most ranks of a group. */
#define CUFRAMES_GROUP_MAX_RANKS 1024
/** Most characters of a group's name, of A-Z a-z 0-9 _ -. */
#define CUFRAMES_GROUP_NAME_MAX 57
/** Most bytes that one rank gives to one exchange: 64 MiB. */
#define CUFRAMES_GROUP_MAX_BYTES (UINT64_C(64) << 20)
/** Most descriptors of all ranks together in one exchange. */
#define CUFRAMES_GROUP_MAX_FDS 4096
/** As `rank`: be given one, in the order of arrival. */
#define CUFRAMES_GROUP_ANY_RANK (-1)

typedef struct cuframes_group cuframes_group_t;

/** How to join. Zero-initialise it. */
typedef struct cuframes_group_config {
    const char *name;        /**< may be NULL for cuframes_group_create_from_fd() */
    int32_t rank;            /**< 0 to size - 1, or CUFRAMES_GROUP_ANY_RANK */
    int32_t size;            /**< ranks in the group, 1 to CUFRAMES_GROUP_MAX_RANKS */
    int32_t timeout_ms;      /**< for all ranks to be there; 0 = 30 s, below 0 = wait for ever */
    uint32_t flags;          /**< 0 */
    const char *runtime_dir; /**< NULL = the default */
    uint64_t _reserved[4];
} cuframes_group_config_t;

/**
 * Joins a group and waits until all its ranks are there. Errors: INVALID_ARG; TIMEOUT (names the
 * first rank that did not come); ALREADY_EXISTS (the rank is taken, or a group of this name runs
 * already); PROTOCOL (the others say another size, or another version); PERMISSION (another
 * user's group); DISCONNECTED; IO; OUT_OF_MEMORY.
 */
CUFRAMES_API int cuframes_group_create(const cuframes_group_config_t *config,
                                       cuframes_group_t **group);

/**
 * The same over a descriptor that cuframes_group_host_create() made and that was handed down. It
 * is consumed, also on failure.
 */
CUFRAMES_API int cuframes_group_create_from_fd(const cuframes_group_config_t *config, int fd,
                                               cuframes_group_t **group);

/**
 * Leaves the group and frees it. The others' running and later calls then fail, except that an
 * operation which this rank has completed completes for them too. NULL is fine.
 */
CUFRAMES_API int cuframes_group_destroy(cuframes_group_t *group);

/** This process's rank; negative error. */
CUFRAMES_API int cuframes_group_rank(const cuframes_group_t *group);
/** Number of ranks; negative error. */
CUFRAMES_API int cuframes_group_size(const cuframes_group_t *group);
/** The rank that broke the group; -1 while it is whole. */
CUFRAMES_API int cuframes_group_broken_rank(const cuframes_group_t *group);

/*
 * Errors of all operations below: TIMEOUT (a rank did not come; the group is broken); DISCONNECTED
 * (a rank died or left; the group is broken); INVALID_ARG. `timeout_ms` below 0 waits for ever; 0
 * is refused with INVALID_ARG.
 */

/**
 * Waits until the first `ranks` ranks (0 = all) have called it. Ranks beyond must not call it.
 */
CUFRAMES_API int cuframes_group_barrier(cuframes_group_t *group, int32_t ranks, int32_t timeout_ms);

/**
 * Gives `size` bytes, the same number in every rank, and gets those of all: `all` receives
 * size * ranks bytes in the order of the ranks. INVALID_ARG in every rank if the numbers differ.
 */
CUFRAMES_API int cuframes_group_all_gather(cuframes_group_t *group, const void *data, size_t size,
                                           void *all, int32_t timeout_ms);

/**
 * The same with a different number of bytes from each rank (0 too). `all` has room for `capacity`
 * bytes and receives them one behind the other; `sizes` (one entry for each rank, may be NULL)
 * receives how many each gave. When they do not fit: TOO_MANY, `sizes` is written, the group is
 * whole.
 */
CUFRAMES_API int cuframes_group_all_gather_v(cuframes_group_t *group, const void *data, size_t size,
                                             void *all, size_t capacity, size_t *sizes,
                                             int32_t timeout_ms);

/** Sends `size` bytes from the rank `root` to all: `data` is read there and written elsewhere. */
CUFRAMES_API int cuframes_group_broadcast(cuframes_group_t *group, int32_t root, void *data,
                                          size_t size, int32_t timeout_ms);

/**
 * Gives `count` descriptors (borrowed; 0 is fine) and gets those of all: `all` has room for
 * `capacity` and receives new descriptors, close-on-exec, owned by the caller, in the order of the
 * ranks; `counts` (one entry for each rank, may be NULL) how many each gave. This rank's own come
 * back as duplicates. TOO_MANY when they do not fit into `all` or into this process's limit: then
 * this rank has none, and the group is whole. (The process that came first passes the descriptors
 * round: if its own limit does not allow that, the group is broken, and its rank named.)
 * INVALID_ARG when one of `fds` is not open: nothing was given, this rank can call again.
 */
CUFRAMES_API int cuframes_group_all_gather_fds(cuframes_group_t *group, const int *fds,
                                               uint32_t count, int *all, uint32_t capacity,
                                               uint32_t *counts, int32_t timeout_ms);

/**
 * Sends `count` descriptors from `root` to all. `fds` is read (borrowed) in the root, and receives
 * `count` new ones, owned by the caller, elsewhere.
 */
CUFRAMES_API int cuframes_group_broadcast_fds(cuframes_group_t *group, int32_t root, int *fds,
                                              uint32_t count, int32_t timeout_ms);

/** A meeting place inside this process, for ranks that get their connection handed down. */
typedef struct cuframes_group_host cuframes_group_host_t;

/**
 * Makes a meeting place without a name for `size` ranks and `size` connections to it, written to
 * `fds`, close-on-exec, owned by the caller, who gives one to each process. The group needs this
 * process as long as it lives.
 */
CUFRAMES_API int cuframes_group_host_create(int32_t size, int *fds, cuframes_group_host_t **host);
/** Ends the group if it lives. NULL is fine. */
CUFRAMES_API void cuframes_group_host_destroy(cuframes_group_host_t *host);

CUFRAMES_END_DECLS

#endif
