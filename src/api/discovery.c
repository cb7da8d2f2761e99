/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of discovery.h: check what the program says, then call inward.
 */
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "channel/query.h"
#include "channel/watch.h"
#include "wire/endpoint.h"

#define DEFAULT_QUERY_MS 1000

CUFRAMES_API int cuframes_runtime_dir(char *path, size_t size)
{
    char dir[CF_RUNTIME_DIR_SIZE];
    size_t needed;
    int err;

    if (!path)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "path must not be NULL");
    err = cf_runtime_dir_resolve(NULL, dir);
    if (err)
        return err;
    needed = strlen(dir) + 1;
    if (size < needed)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the runtime directory's path needs %zu bytes, there is room for %zu",
                       needed, size);
    memcpy(path, dir, needed);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_check_key(const char *key)
{
    return cf_key_check(key);
}

CUFRAMES_API int cuframes_list(const char *runtime_dir, cuframes_key_list_t **list)
{
    char dir[CF_RUNTIME_DIR_SIZE];
    int err;

    if (!list)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "list must not be NULL");
    err = cf_runtime_dir_resolve(runtime_dir, dir);
    return err ? err : cf_list(dir, list);
}

CUFRAMES_API void cuframes_key_list_free(cuframes_key_list_t *list)
{
    cf_key_list_free(list);
}

CUFRAMES_API int cuframes_query(const char *runtime_dir, const char *key, int32_t timeout_ms,
                                cuframes_channel_report_t **report)
{
    char dir[CF_RUNTIME_DIR_SIZE];
    int err;

    if (!report)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "report must not be NULL");
    if ((err = cf_key_check(key)) != 0 || (err = cf_runtime_dir_resolve(runtime_dir, dir)) != 0)
        return err;
    return cf_query(dir, key, cf_deadline(timeout_ms > 0 ? timeout_ms : DEFAULT_QUERY_MS), report);
}

CUFRAMES_API void cuframes_channel_report_free(cuframes_channel_report_t *report)
{
    cf_report_free(report);
}

CUFRAMES_API int cuframes_watch_create(const char *runtime_dir, cuframes_watch_t **watch)
{
    char dir[CF_RUNTIME_DIR_SIZE];
    int err;

    if (!watch)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "watch must not be NULL");
    err = cf_runtime_dir_resolve(runtime_dir, dir);
    return err ? err : cf_watch_create(dir, watch);
}

CUFRAMES_API void cuframes_watch_destroy(cuframes_watch_t *watch)
{
    cf_watch_destroy(watch);
}

CUFRAMES_API int cuframes_watch_fd(const cuframes_watch_t *watch)
{
    if (!watch)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the watch is NULL");
    return cf_watch_fd(watch);
}

CUFRAMES_API int cuframes_watch_next(cuframes_watch_t *watch, cuframes_watch_event_t *event,
                                     int32_t timeout_ms)
{
    if (!watch || !event)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "watch and event must not be NULL");
    return cf_watch_next(watch, event, cf_deadline(timeout_ms));
}
