/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file discovery.h
 * Which channels there are, what one of them is, and being told when they come and go.
 */
#ifndef CUFRAMES_DISCOVERY_H
#define CUFRAMES_DISCOVERY_H

#include <cuframes/base.h>
#include <cuframes/error.h>
#include <cuframes/stats.h>
#include <cuframes/stream.h>

CUFRAMES_BEGIN_DECLS

/**
 * The runtime directory that is used when none is given: $CUFRAMES_RUNTIME_DIR, else /run/cuframes
 * where that exists or can be made, else $XDG_RUNTIME_DIR/cuframes, else /tmp/cuframes-UID.
 * Writes it with a NUL into `path`; INVALID_ARG if `size` is too small. Makes no directory.
 */
CUFRAMES_API int cuframes_runtime_dir(char *path, size_t size);

/** CUFRAMES_OK if `key` can be a key, else INVALID_ARG with the reason in cuframes_last_error(). */
CUFRAMES_API int cuframes_check_key(const char *key);

/** Keys that have a socket in a directory, sorted. */
typedef struct cuframes_key_list {
    uint32_t count;
    uint32_t _reserved;
    char (*keys)[CUFRAMES_KEY_MAX + 1];
} cuframes_key_list_t;

/**
 * Lists the keys of `runtime_dir` (NULL = the default). A key whose publisher died is listed too:
 * cuframes_query() tells. A directory that does not exist gives an empty list. Free it with
 * cuframes_key_list_free().
 */
CUFRAMES_API int cuframes_list(const char *runtime_dir, cuframes_key_list_t **list);
/** NULL is fine. */
CUFRAMES_API void cuframes_key_list_free(cuframes_key_list_t *list);

/** A channel's answer to cuframes_query(). */
typedef struct cuframes_channel_report {
    cuframes_channel_info_t info;
    cuframes_publisher_stats_t stats;
    uint32_t subscriber_count;
    uint32_t stream_count;
    cuframes_subscriber_info_t *subscribers;
    cuframes_stream_t *streams; /**< of the packet ring, without extradata */
} cuframes_channel_report_t;

/**
 * Asks the publisher of `key` what it is and what it counts. NOT_FOUND: no such channel, or a
 * socket whose publisher died. TIMEOUT: it did not answer within `timeout_ms` (0 and below = 1 s).
 * Free the report with cuframes_channel_report_free().
 */
CUFRAMES_API int cuframes_query(const char *runtime_dir, const char *key, int32_t timeout_ms,
                                cuframes_channel_report_t **report);
/** NULL is fine. */
CUFRAMES_API void cuframes_channel_report_free(cuframes_channel_report_t *report);

typedef enum cuframes_watch_event_type {
    CUFRAMES_WATCH_ADDED = 1,  /**< a channel has come (or came before the watch began) */
    CUFRAMES_WATCH_REMOVED = 2 /**< a channel has gone: closed, or its publisher died */
} cuframes_watch_event_type_t;

/** What happened to which channel. */
typedef struct cuframes_watch_event {
    cuframes_watch_event_type_t type;
    char key[CUFRAMES_KEY_MAX + 1];
} cuframes_watch_event_t;

typedef struct cuframes_watch cuframes_watch_t;

/**
 * Watches a runtime directory (NULL = the default), which must exist. The channels that are there
 * come first, as ADDED. One thread at a time.
 */
CUFRAMES_API int cuframes_watch_create(const char *runtime_dir, cuframes_watch_t **watch);
/** NULL is fine. */
CUFRAMES_API void cuframes_watch_destroy(cuframes_watch_t *watch);
/** A descriptor that polls readable when cuframes_watch_next(…, 0) has an event. The watch's own. */
CUFRAMES_API int cuframes_watch_fd(const cuframes_watch_t *watch);
/** The next event; timeout_ms and its errors as for cuframes_subscriber_next(). */
CUFRAMES_API int cuframes_watch_next(cuframes_watch_t *watch, cuframes_watch_event_t *event,
                                     int32_t timeout_ms);

CUFRAMES_END_DECLS

#endif
