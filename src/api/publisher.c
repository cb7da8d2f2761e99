/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of publisher.h: check what the program says, then call inward.
 */
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fd.h"
#include "channel/publisher.h"

#define PERMISSION_BITS 0777U

static int check_ownership(const cuframes_publisher_config_t *config)
{
    switch (config->ownership) {
    case CUFRAMES_OWNERSHIP_LIBRARY:
        return CUFRAMES_OK;
    case CUFRAMES_OWNERSHIP_EXTERNAL:
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a channel over the program's own buffers is made with "
                       "cuframes_publisher_create_external()");
    default:
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown ownership %d", (int)config->ownership);
    }
}

/* What is said about the channel's door; the rest of a configuration is checked as the channel's
 * memory is described. */
static int check_config(const cuframes_publisher_config_t *config)
{
    const uint32_t known = CUFRAMES_PUBLISHER_NO_SOCKET | CUFRAMES_PUBLISHER_PACKETS_ONLY |
                           CUFRAMES_PUBLISHER_CURRENT_CONTEXT;
    char dir[CF_RUNTIME_DIR_SIZE];
    int err;

    if ((err = cf_key_check(config->key)) != 0)
        return err;
    if (config->flags & ~known)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown publisher flags %#x",
                       config->flags & ~known);
    if (config->max_subscribers < 0 || config->max_subscribers > CUFRAMES_MAX_SUBSCRIBERS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "max_subscribers is %d: give 1 to %d, or 0 for as many as are possible",
                       config->max_subscribers, CUFRAMES_MAX_SUBSCRIBERS);
    if (config->socket_mode & ~PERMISSION_BITS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "socket_mode is %#o: only the permission bits 0777 may be set",
                       config->socket_mode);
    if (config->allowed_user_count > CUFRAMES_MAX_ALLOWED_USERS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "allowed_user_count is %u: at most %d are possible",
                       config->allowed_user_count, CUFRAMES_MAX_ALLOWED_USERS);
    if (config->allowed_user_count > 0 && !config->allowed_users)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "allowed_user_count is %u, but allowed_users is NULL",
                       config->allowed_user_count);
    if (!(config->flags & CUFRAMES_PUBLISHER_NO_SOCKET) &&
        (err = cf_runtime_dir_resolve(config->runtime_dir, dir)) != 0)
        return err;
    return check_ownership(config);
}

static int check_process(const cuframes_publisher_t *publisher)
{
    if (publisher->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "this publisher was made before fork(): the child "
                                                 "needs a channel of its own");
    return CUFRAMES_OK;
}

static int check_handle(const cuframes_publisher_t *publisher)
{
    if (!publisher)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the publisher is NULL");
    return check_process(publisher);
}

CUFRAMES_API int cuframes_publisher_create(const cuframes_publisher_config_t *config,
                                           cuframes_publisher_t **publisher)
{
    int err;

    if (!config || !publisher)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "config and publisher must not be NULL");
    err = check_config(config);
    return err ? err : cf_publisher_create(config, NULL, publisher);
}

CUFRAMES_API int cuframes_publisher_destroy(cuframes_publisher_t *publisher)
{
    if (publisher)
        cf_publisher_destroy(publisher);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_publisher_create_external(const cuframes_publisher_config_t *config,
                                                    void **ptrs, int32_t count, size_t frame_size,
                                                    cuframes_publisher_t **publisher)
{
    cuframes_publisher_config_t asked;
    struct cf_external *external;
    int err;

    if (!config || !ptrs || !publisher || count < 1 || frame_size == 0)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "config, ptrs, count, frame_size and publisher are all needed");
    if (config->flags & CUFRAMES_PUBLISHER_PACKETS_ONLY)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a channel of packets alone has no use for buffers of frames");
    for (int32_t i = 0; i < count; i++)
        if (!ptrs[i])
            return cf_fail(CUFRAMES_ERR_INVALID_ARG, "pointer %d is NULL", i);
    if (config->memory == CUFRAMES_MEMORY_HOST)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a program's own buffers are GPU memory: for host memory let the library "
                       "allocate the slots (cuframes_publisher_create())");
    asked = *config;
    asked.ownership = CUFRAMES_OWNERSHIP_LIBRARY;
    if (asked.memory == CUFRAMES_MEMORY_AUTO)
        asked.memory = CUFRAMES_MEMORY_CUDA;
    if (count >= CUFRAMES_MIN_SLOTS && count <= CUFRAMES_MAX_SLOTS)
        asked.ring_size = count;
    if ((err = check_config(&asked)) != 0 ||
        (err = cf_external_new(ptrs, (uint32_t)count, frame_size, &external)) != 0)
        return err;
    return cf_publisher_create(&asked, external, publisher);
}

CUFRAMES_API int cuframes_publisher_publish_external(cuframes_publisher_t *publisher, void *ptr,
                                                     void *stream, int64_t pts_ns)
{
    const cuframes_frame_meta_t meta = {.pts_ns = pts_ns};
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!ptr)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "ptr must not be NULL");
    return cf_external_publish(publisher, ptr, stream, &meta);
}

CUFRAMES_API int cuframes_publisher_acquire(cuframes_publisher_t *publisher, void **ptr)
{
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!ptr)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "ptr must not be NULL");
    return cf_publisher_acquire_plain(publisher, ptr);
}

CUFRAMES_API int cuframes_publisher_publish(cuframes_publisher_t *publisher, void *stream,
                                            int64_t pts_ns)
{
    const cuframes_frame_meta_t meta = {.pts_ns = pts_ns};
    int err = check_handle(publisher);

    return err ? err : cf_publisher_publish_plain(publisher, stream, &meta);
}

CUFRAMES_API int cuframes_publisher_acquire_buffer(cuframes_publisher_t *publisher,
                                                   cuframes_buffer_t **buffer)
{
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!buffer)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "buffer must not be NULL");
    return cf_publisher_acquire(publisher, buffer);
}

CUFRAMES_API int cuframes_publisher_publish_buffer(cuframes_publisher_t *publisher,
                                                   cuframes_buffer_t *buffer, void *stream,
                                                   const cuframes_frame_meta_t *meta, uint64_t *seq)
{
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!buffer)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the buffer is NULL");
    return cf_publisher_publish(publisher, buffer, stream, meta, seq);
}

CUFRAMES_API cuframes_buffer_t *cuframes_buffer_ref(cuframes_buffer_t *buffer)
{
    if (buffer)
        atomic_fetch_add_explicit(&buffer->refs, 1, memory_order_relaxed);
    return buffer;
}

CUFRAMES_API void cuframes_buffer_unref(cuframes_buffer_t *buffer)
{
    /* A child's copy of a buffer is nobody's: the slot belongs to the parent's channel, and the
     * lock may be as it was in another thread's hands. */
    if (buffer && buffer->generation->publisher->fork_count == cf_fork_count())
        cf_buffer_unref(buffer);
}

CUFRAMES_API void *cuframes_buffer_data(cuframes_buffer_t *buffer)
{
    return cf_generation_slot(buffer->generation, buffer->slot);
}

CUFRAMES_API const cuframes_layout_t *cuframes_buffer_layout(const cuframes_buffer_t *buffer)
{
    return &buffer->generation->info.layout;
}

CUFRAMES_API void *cuframes_buffer_plane(cuframes_buffer_t *buffer, int32_t plane, uint32_t *pitch)
{
    const cuframes_layout_t *layout = cuframes_buffer_layout(buffer);

    if (plane < 0 || (uint32_t)plane >= layout->plane_count)
        return NULL;
    if (pitch)
        *pitch = layout->planes[plane].pitch;
    return (uint8_t *)cuframes_buffer_data(buffer) + layout->planes[plane].offset;
}

CUFRAMES_API uint32_t cuframes_buffer_generation(const cuframes_buffer_t *buffer)
{
    return buffer->generation->info.generation;
}

static bool is_published(const cuframes_buffer_t *buffer)
{
    cuframes_publisher_t *publisher = buffer->generation->publisher;
    bool published;

    pthread_mutex_lock(&publisher->lock);
    published = buffer->published;
    pthread_mutex_unlock(&publisher->lock);
    return published;
}

CUFRAMES_API int cuframes_buffer_write(cuframes_buffer_t *buffer, size_t offset, const void *data,
                                       size_t size, void *stream)
{
    struct cf_memory *memory;
    uint8_t *to;
    int err;

    if (!buffer || (!data && size > 0))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "buffer and data must not be NULL");
    if ((err = check_process(buffer->generation->publisher)) != 0)
        return err;
    if (is_published(buffer))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the buffer is published: nobody writes into a frame that others read");
    if (offset > buffer->generation->info.layout.size ||
        size > buffer->generation->info.layout.size - offset)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%zu bytes at %zu: the slot has %llu", size,
                       offset, (unsigned long long)buffer->generation->info.layout.size);
    memory = buffer->generation->memory;
    to = (uint8_t *)cuframes_buffer_data(buffer) + offset;
    if (memory->place == CUFRAMES_MEMORY_CUDA) {
        err = cf_cuda_copy_in(memory->cuda, stream, to, data, size);
        return err ? err : cf_cuda_finish(memory->cuda, stream);
    }
    if (stream)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "a stream is given for a slot in host memory");
    if (size > 0)
        memcpy(to, data, size);
    return CUFRAMES_OK;
}

CUFRAMES_API void *cuframes_publisher_cuda_context(cuframes_publisher_t *publisher)
{
    const struct cf_generation *source;
    const struct cf_cuda *cuda;
    void *context;

    if (check_handle(publisher) != CUFRAMES_OK)
        return NULL;
    pthread_mutex_lock(&publisher->lock);
    source = cf_publisher_source(publisher);
    cuda = source ? source->memory->cuda : NULL;
    context = cuda ? cuda->context : NULL;
    pthread_mutex_unlock(&publisher->lock);
    return context;
}

CUFRAMES_API int cuframes_publisher_pause(cuframes_publisher_t *publisher)
{
    int err = check_handle(publisher);

    if (!err)
        cf_publisher_pause(publisher);
    return err;
}

CUFRAMES_API int cuframes_publisher_reconfigure(cuframes_publisher_t *publisher,
                                                const cuframes_publisher_config_t *config)
{
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!config)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "config must not be NULL");
    return cf_publisher_reconfigure(publisher, config);
}

CUFRAMES_API int cuframes_publisher_add_client(cuframes_publisher_t *publisher, int fd)
{
    int CF_CLOSE socket = fd;
    int err = check_handle(publisher);

    return err ? err : cf_publisher_add_client(publisher, cf_steal_fd(&socket));
}

CUFRAMES_API int cuframes_publisher_info(cuframes_publisher_t *publisher,
                                         cuframes_channel_info_t *info)
{
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!info)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "info must not be NULL");
    pthread_mutex_lock(&publisher->lock);
    *info = cf_publisher_read_info(publisher);
    pthread_mutex_unlock(&publisher->lock);
    info->pid = getpid();
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_publisher_stats(cuframes_publisher_t *publisher,
                                          cuframes_publisher_stats_t *stats)
{
    int err = check_handle(publisher);

    if (err)
        return err;
    if (!stats)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "stats must not be NULL");
    pthread_mutex_lock(&publisher->lock);
    cf_publisher_read_stats(publisher, stats);
    pthread_mutex_unlock(&publisher->lock);
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_publisher_subscribers(cuframes_publisher_t *publisher,
                                                cuframes_subscriber_info_t *list, int32_t capacity)
{
    int32_t count;
    int err = check_handle(publisher);

    if (err)
        return err;
    if (capacity < 0 || (!list && capacity > 0))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "there is no room for %d subscribers in the list",
                       capacity);
    pthread_mutex_lock(&publisher->lock);
    count = (int32_t)cf_clients_list(publisher, list, (uint32_t)capacity);
    pthread_mutex_unlock(&publisher->lock);
    return count;
}
