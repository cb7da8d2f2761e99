/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The publishing program's side: slots, announcements, the wait policy, changes of generation.
 */
#include "channel/publisher.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/point.h"
#include "base/sys.h"

/* Most times that acquire looks for a slot among holds that change under its eyes. */
#define MOST_LOOKS 8

static void publisher_free(cuframes_publisher_t *publisher)
{
    cf_completion_fini(&publisher->completion);
    cf_external_free(publisher->external);
    cf_cuda_unref(publisher->current_cuda);
    cf_generation_unref(publisher->current);
    cf_generation_unref(publisher->prepared);
    cf_packets_free(publisher->packets);
    pthread_mutex_destroy(&publisher->lock);
    free(publisher->added_fds);
    free(publisher);
}

void cf_publisher_unref(cuframes_publisher_t *publisher)
{
    if (atomic_fetch_sub_explicit(&publisher->refs, 1, memory_order_acq_rel) == 1)
        publisher_free(publisher);
}

static int open_endpoint(cuframes_publisher_t *publisher, const cuframes_publisher_config_t *config)
{
    char dir[CF_RUNTIME_DIR_SIZE];
    mode_t mode = config->allowed_users ? 0666 : 0600;
    int err;

    if (config->socket_mode)
        mode = (mode_t)config->socket_mode;
    if (config->flags & CUFRAMES_PUBLISHER_NO_SOCKET)
        return CUFRAMES_OK;
    if ((err = cf_runtime_dir_resolve(config->runtime_dir, dir)) != 0 ||
        (err = cf_runtime_dir_ensure(dir)) != 0 ||
        (err = cf_endpoint_listen(dir, publisher->key, mode, config->socket_group,
                                  &publisher->endpoint)) != 0)
        return err;
    cf_fork_guard_add(&publisher->endpoint_guard, publisher->endpoint.socket);
    return CUFRAMES_OK;
}

void cf_publisher_close_endpoint(cuframes_publisher_t *publisher)
{
    cf_fork_guard_remove(&publisher->endpoint_guard);
    cf_endpoint_close(&publisher->endpoint);
}

/* Allocates a generation with the next number, and starts the thread that its memory needs. Not
 * under the lock: reserving memory takes time. */
static int make_generation(cuframes_publisher_t *publisher,
                           const cuframes_publisher_config_t *config, cuframes_channel_info_t *info,
                           struct cf_generation **generation)
{
    struct cf_memory_place place;
    struct cf_generation *new;
    int err;

    memcpy(info->key, publisher->key, sizeof(info->key));
    pthread_mutex_lock(&publisher->lock);
    info->generation = ++publisher->last_generation;
    pthread_mutex_unlock(&publisher->lock);
    err = cf_memory_choose(config->memory, config->cuda_device, publisher->current_cuda, &place);
    if (err)
        return err;
    if (publisher->external)
        err = cf_external_generation(publisher->external, info, &place, publisher, &new);
    else
        err = cf_generation_create(info, &place, publisher, &new);
    cf_memory_place_fini(&place);
    if (err)
        return err;
    if (new->memory->cuda && (err = cf_completion_start(publisher)) != 0) {
        cf_generation_unref(new);
        return err;
    }
    *generation = new;
    return CUFRAMES_OK;
}

/* Takes the calling thread's context, if that was asked for and there is a GPU at all. */
static int take_context(cuframes_publisher_t *publisher, const cuframes_publisher_config_t *config)
{
    const struct cf_driver *driver;
    int err;

    if (!(config->flags & CUFRAMES_PUBLISHER_CURRENT_CONTEXT) ||
        config->memory == CUFRAMES_MEMORY_HOST)
        return CUFRAMES_OK;
    err = cf_driver_load(&driver);
    if (err)
        return config->memory == CUFRAMES_MEMORY_AUTO ? CUFRAMES_OK : err;
    return cf_cuda_open_current(&publisher->current_cuda);
}

static int make_first_generation(cuframes_publisher_t *publisher,
                                 const cuframes_publisher_config_t *config)
{
    cuframes_channel_info_t info;
    int err;

    publisher->packets_only = (config->flags & CUFRAMES_PUBLISHER_PACKETS_ONLY) != 0;
    if (publisher->packets_only)
        return CUFRAMES_OK;
    if ((err = cf_generation_describe(config, &info)) != 0 ||
        (err = take_context(publisher, config)) != 0 ||
        (err = make_generation(publisher, config, &info, &publisher->current)) != 0)
        return err;
    publisher->stats.generations = 1;
    return CUFRAMES_OK;
}

int cf_publisher_create(const cuframes_publisher_config_t *config, struct cf_external *external,
                        cuframes_publisher_t **publisher)
{
    cuframes_publisher_t *new;
    int err;

    new = cf_sys.calloc(1, sizeof(*new));
    if (!new) {
        cf_external_free(external);
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    new->external = external;
    cf_completion_init(&new->completion);
    new->refs = 1;
    new->endpoint.socket = new->epoll = new->kick = new->spare_fd = -1;
    new->max_subscribers =
        config->max_subscribers ? (uint32_t)config->max_subscribers : CUFRAMES_MAX_SUBSCRIBERS;
    new->stats.newest_ns = CUFRAMES_NO_TIME;
    pthread_mutex_init(&new->lock, NULL);
    strncpy(new->key, config->key, sizeof(new->key) - 1);
    new->restricted = config->allowed_users != NULL;
    new->allowed_count = config->allowed_user_count;
    for (uint32_t i = 0; new->restricted &&i < new->allowed_count; i++)
        new->allowed[i] = config->allowed_users[i];

    new->fork_count = cf_fork_count();
    if ((err = make_first_generation(new, config)) != 0)
        goto free_publisher;
    CF_POINT("publisher.memory_made");
    if ((err = open_endpoint(new, config)) != 0)
        goto free_publisher;
    if ((err = cf_service_start(new)) != 0)
        goto close_name;
    *publisher = new;
    return CUFRAMES_OK;

close_name:
    cf_publisher_close_endpoint(new);
free_publisher:
    cf_completion_stop(new);
    publisher_free(new);
    return err;
}

void cf_publisher_destroy(cuframes_publisher_t *publisher)
{
    cuframes_buffer_t *plain;

    if (publisher->fork_count != cf_fork_count()) {
        /* A child's copy: the lock's state is unknown, and the channel is not its own. */
        cf_fork_guard_remove(&publisher->endpoint_guard);
        cf_service_abandon(publisher);
        cf_publisher_unref(publisher);
        return;
    }
    /* What is published is announced, while subscribers are there to take it. */
    cf_completion_stop(publisher);
    cf_wait_for_last_followers(publisher);
    /* The thread uses the socket. Then the name, so that whoever sees the end can take it. */
    cf_service_stop(publisher);
    cf_publisher_close_endpoint(publisher);
    pthread_mutex_lock(&publisher->lock);
    plain = publisher->plain;
    publisher->plain = NULL;
    if (!publisher->packets_only)
        cf_writer_end(&publisher->current->writer, &publisher->peers, CF_RING_CLOSED);
    cf_packets_end(publisher);
    pthread_mutex_unlock(&publisher->lock);
    cf_buffer_unref(plain);
    cf_service_close(publisher);
    cf_publisher_unref(publisher);
}

struct cf_generation *cf_publisher_source(const cuframes_publisher_t *publisher)
{
    return publisher->prepared ? publisher->prepared : publisher->current;
}

static int no_frames(void)
{
    return cf_fail(CUFRAMES_ERR_INVALID_ARG, "this channel was made for packets alone: make it "
                                             "without CUFRAMES_PUBLISHER_PACKETS_ONLY");
}

static int drop(cuframes_publisher_t *publisher, struct cf_generation *from, bool pending)
{
    publisher->stats.dropped++;
    /* Relaxed: a figure for display. */
    atomic_fetch_add_explicit(&from->writer.header->dropped, 1, memory_order_relaxed);
    if (pending)
        return cf_fail(
            CUFRAMES_ERR_WOULD_BLOCK,
            "every slot waits for GPU work: the frame is dropped; more slots (ring_size) "
            "prevent it, or waiting for a stream now and then");
    return cf_fail(CUFRAMES_ERR_WOULD_BLOCK,
                   "every slot is held by subscribers: the frame is dropped; more slots, or fewer "
                   "holds for each subscriber (max_holds), prevent it");
}

static int find_slot(cuframes_publisher_t *publisher, struct cf_generation **generation,
                     uint32_t *slot)
{
    struct cf_generation *from = cf_publisher_source(publisher);
    bool wait = from->info.policy == CUFRAMES_POLICY_STRICT_WAIT;
    struct cf_ring_blocker blocker;

    *generation = from;
    /* Nobody who holds more than its share costs anybody a frame. One whose holds come and go too
     * fast to be counted is not in the way each time. */
    for (int looks = 0; looks < MOST_LOOKS; looks++) {
        *slot = cf_writer_acquire(&from->writer, &publisher->peers, wait, &blocker);
        if (*slot != CF_NO_SLOT)
            return CUFRAMES_OK;
        if (blocker.slot == CF_NO_SLOT || !cf_clients_check_claims(publisher))
            break;
    }
    if (blocker.slot == CF_NO_SLOT && publisher->completion.count == 0)
        return cf_no_own_slot();
    if (!wait)
        return drop(publisher, from, blocker.slot == CF_NO_SLOT);
    return cf_wait_for_slot(publisher, generation, slot);
}

/* The buffer of a slot that has been claimed, with one reference. */
static cuframes_buffer_t *take_buffer(cuframes_publisher_t *publisher,
                                      struct cf_generation *generation, uint32_t slot)
{
    cuframes_buffer_t *found = &generation->buffers[slot];

    atomic_store_explicit(&found->refs, 1, memory_order_relaxed);
    found->published = false;
    cf_generation_ref(generation);
    atomic_fetch_add_explicit(&publisher->refs, 1, memory_order_relaxed);
    return found;
}

static int acquire_locked(cuframes_publisher_t *publisher, cuframes_buffer_t **buffer)
{
    struct cf_generation *generation;
    uint32_t slot;
    int err;

    if (publisher->packets_only)
        return no_frames();
    if ((err = cf_publisher_failure(publisher)) != 0 ||
        (err = find_slot(publisher, &generation, &slot)) != 0)
        return err;
    *buffer = take_buffer(publisher, generation, slot);
    return CUFRAMES_OK;
}

int cf_publisher_acquire_slot(cuframes_publisher_t *publisher, uint32_t slot,
                              cuframes_buffer_t **buffer)
{
    struct cf_generation *from = publisher->current;
    const bool wait = from->info.policy == CUFRAMES_POLICY_STRICT_WAIT;
    int err = cf_publisher_failure(publisher);

    if (err)
        return err;
    if (!cf_writer_claim(&from->writer, &publisher->peers, slot, wait)) {
        publisher->stats.dropped++;
        return cf_fail(CUFRAMES_ERR_WOULD_BLOCK,
                       "the buffer is still read, or is the newest frame: the frame is dropped; "
                       "ask with cuframes_publisher_acquire() for one to write into");
    }
    *buffer = take_buffer(publisher, from, slot);
    return CUFRAMES_OK;
}

int cf_publisher_acquire(cuframes_publisher_t *publisher, cuframes_buffer_t **buffer)
{
    int err;

    pthread_mutex_lock(&publisher->lock);
    err = acquire_locked(publisher, buffer);
    pthread_mutex_unlock(&publisher->lock);
    return err;
}

/* Whether the dropped reference was the last one. */
static bool drop_reference(cuframes_buffer_t *buffer)
{
    /* Acquire and release: what every holder did with the slot comes before its next use. */
    return atomic_fetch_sub_explicit(&buffer->refs, 1, memory_order_acq_rel) == 1;
}

static void give_slot_back(cuframes_publisher_t *publisher, const cuframes_buffer_t *buffer)
{
    cf_writer_unref(&buffer->generation->writer, buffer->slot);
    cf_wait_progress(publisher);
}

/* Drops a reference. True: it was the last one, and the caller calls forget_buffer() when it has
 * let go of the lock. */
static bool unref_locked(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer)
{
    if (!drop_reference(buffer))
        return false;
    give_slot_back(publisher, buffer);
    return true;
}

/* Gives up what a buffer of that generation kept alive. */
static void forget_buffer(cuframes_publisher_t *publisher, struct cf_generation *generation)
{
    cf_generation_unref(generation);
    cf_publisher_unref(publisher);
}

void cf_buffer_unref(cuframes_buffer_t *buffer)
{
    struct cf_generation *generation;
    cuframes_publisher_t *publisher;

    if (!buffer || !drop_reference(buffer))
        return;
    generation = buffer->generation;
    publisher = generation->publisher;
    pthread_mutex_lock(&publisher->lock);
    give_slot_back(publisher, buffer);
    pthread_mutex_unlock(&publisher->lock);
    forget_buffer(publisher, generation);
}

/* Drops the plain pair's slot if new frames are to have another shape. The generation whose buffer
 * the caller is to forget, or NULL. */
static struct cf_generation *drop_outdated(cuframes_publisher_t *publisher)
{
    cuframes_buffer_t *plain = publisher->plain;

    if (!plain || plain->generation == cf_publisher_source(publisher))
        return NULL;
    publisher->plain = NULL;
    return unref_locked(publisher, plain) ? plain->generation : NULL;
}

int cf_publisher_acquire_plain(cuframes_publisher_t *publisher, void **ptr)
{
    struct cf_generation *outdated;
    cuframes_buffer_t *acquired, *spare = NULL;
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&publisher->lock);
    outdated = drop_outdated(publisher);
    if (!publisher->plain && (err = acquire_locked(publisher, &acquired)) == CUFRAMES_OK) {
        /* While this thread waited for a slot, another may have come first: then it is that one's
         * slot for both. */
        if (publisher->plain)
            spare = acquired;
        else
            publisher->plain = acquired;
    }
    if (!err)
        *ptr = cuframes_buffer_data(publisher->plain);
    pthread_mutex_unlock(&publisher->lock);
    if (outdated)
        forget_buffer(publisher, outdated);
    cf_buffer_unref(spare);
    return err;
}

/* Makes a newer generation the current one: the prepared one, or one that was prepared before it
 * and of which the program still had a buffer. */
void cf_publisher_switch(cuframes_publisher_t *publisher, struct cf_generation *new)
{
    struct cf_generation *old = publisher->current;

    cf_writer_follow(&new->writer, &old->writer);
    CF_POINT("generation.followed");
    cf_writer_end(&old->writer, &publisher->peers, CF_RING_SUPERSEDED);
    cf_clients_renew_pages(publisher, old->writer.next_seq);
    CF_POINT("generation.pages_renewed");
    publisher->current = cf_generation_ref(new);
    if (publisher->prepared == new) {
        publisher->prepared = NULL;
        cf_generation_unref(new);
    }
    publisher->stats.generations++;
    cf_generation_unref(old);
    cf_service_kick(publisher);
    cf_log(CUFRAMES_LOG_INFO, "%s: generation %u: %dx%d %s", publisher->key, new->info.generation,
           new->info.width, new->info.height, cuframes_format_name(new->info.format));
}

static uint8_t color_or(uint8_t value, uint8_t otherwise)
{
    return value ? value : otherwise;
}

static int check_meta(const cuframes_channel_info_t *info, const cuframes_frame_meta_t *meta)
{
    const cuframes_rect_t *crop = &meta->crop;
    bool whole = !crop->x && !crop->y && !crop->width && !crop->height;

    if (meta->user_size > CUFRAMES_MAX_USER_DATA || (meta->user_size > 0 && !meta->user_data))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%u bytes of user data: at most %d, and a pointer",
                       meta->user_size, CUFRAMES_MAX_USER_DATA);
    if (meta->flags & ~CF_FRAME_FLAGS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown frame flags %#x",
                       meta->flags & ~CF_FRAME_FLAGS);
    if ((uint32_t)meta->capture_source > CUFRAMES_CLOCK_FILE)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown source %d of a capture time",
                       (int)meta->capture_source);
    if (meta->color.range > CUFRAMES_RANGE_FULL)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown colour range %u", meta->color.range);
    if (!whole && (crop->x < 0 || crop->y < 0 || crop->width < 1 || crop->height < 1 ||
                   crop->width > info->layout.coded_width - crop->x ||
                   crop->height > info->layout.coded_height - crop->y))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "the visible rectangle %dx%d at %d,%d is outside the coded picture of %dx%d",
                       crop->width, crop->height, crop->x, crop->y, info->layout.coded_width,
                       info->layout.coded_height);
    return CUFRAMES_OK;
}

static struct cf_ring_meta ring_meta(const cuframes_channel_info_t *info,
                                     const cuframes_frame_meta_t *meta, int64_t now)
{
    bool whole = meta->crop.width == 0;

    return (struct cf_ring_meta){
        .pts_ns = meta->pts_ns,
        .capture_ns = meta->capture_source ? meta->capture_ns : CUFRAMES_NO_TIME,
        .published_ns = now,
        .flags = meta->flags,
        .capture_source = meta->capture_source,
        .color = {color_or(meta->color.matrix, info->color.matrix),
                  color_or(meta->color.primaries, info->color.primaries),
                  color_or(meta->color.transfer, info->color.transfer),
                  color_or(meta->color.range, info->color.range)},
        .user_size = meta->user_size,
        .crop = {meta->crop.x, meta->crop.y, whole ? info->width : meta->crop.width,
                 whole ? info->height : meta->crop.height},
        .packet_seq = meta->flags & CUFRAMES_FRAME_PACKET ? meta->packet_seq : 0,
        .user = meta->user_data,
    };
}

static void count_frame(cuframes_publisher_t *publisher, const cuframes_frame_meta_t *meta,
                        uint64_t seq, int64_t now)
{
    publisher->announced_ns[publisher->stats.published % CF_RATE_WINDOW] = now;
    publisher->stats.published++;
    publisher->stats.copied += meta->copies != 0;
    publisher->stats.newest_ns = now;
    publisher->stats.newest_seq = seq;
    publisher->paused = false;
}

static int check_publish(const cuframes_publisher_t *publisher, const cuframes_buffer_t *buffer,
                         const cuframes_frame_meta_t *meta)
{
    const struct cf_generation *generation = buffer->generation;
    const struct cf_generation *newest = cf_completion_newest(publisher);
    int err = cf_publisher_failure(publisher);

    if (err)
        return err;
    if (generation->publisher != publisher)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the buffer belongs to another publisher");
    if (buffer->published)
        return cf_fail(CUFRAMES_ERR_ALREADY_EXISTS,
                       "the buffer is published already: acquire another for the next frame");
    if (generation->info.generation < newest->info.generation)
        return cf_fail(CUFRAMES_ERR_FORMAT,
                       "the buffer is of generation %u, the channel has gone on to %u",
                       generation->info.generation, newest->info.generation);
    return check_meta(&generation->info, meta);
}

uint64_t cf_publisher_announce(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer,
                               const cuframes_frame_meta_t *meta)
{
    struct cf_generation *generation = buffer->generation;
    const int64_t now = cf_now_ns();
    const struct cf_ring_meta shared = ring_meta(&generation->info, meta, now);
    uint64_t seq;

    buffer->published = true;
    seq = cf_writer_publish(&generation->writer, &publisher->peers, buffer->slot, &shared);
    count_frame(publisher, meta, seq, now);
    return seq;
}

/* Announces a buffer of host memory at once. */
static int publish_now(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer,
                       const cuframes_frame_meta_t *meta, uint64_t *seq)
{
    const bool wait = buffer->generation->info.policy == CUFRAMES_POLICY_STRICT_WAIT;
    int64_t deadline = 0;
    bool first, again;
    uint64_t number;
    int err;

    do {
        again = false;
        err = check_publish(publisher, buffer, meta);
        first = buffer->generation != publisher->current;
        /* The wait lets go of the lock: everything is looked at again after it. */
        if (!err && first && wait)
            err = cf_wait_for_followers(publisher, &deadline, &again);
    } while (!err && again);
    if (err)
        return err;
    if (first)
        cf_publisher_switch(publisher, buffer->generation);
    number = cf_publisher_announce(publisher, buffer, meta);
    if (seq)
        *seq = number;
    return CUFRAMES_OK;
}

/* Leaves a buffer to the thread that waits for streams. */
static int publish_later(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer, void *stream,
                         const cuframes_frame_meta_t *meta, uint64_t *seq)
{
    struct cf_pending *pending;
    uint64_t number;
    int err = cf_completion_prepare(publisher, buffer->generation->memory->cuda, stream, &pending);

    if (err)
        return err;
    pthread_mutex_lock(&publisher->lock);
    err = check_publish(publisher, buffer, meta);
    if (err) {
        cf_completion_discard(publisher, pending);
    } else {
        number = cf_completion_submit(publisher, pending, buffer, meta);
        if (seq)
            *seq = number;
    }
    pthread_mutex_unlock(&publisher->lock);
    return err;
}

static int check_stream(const cuframes_buffer_t *buffer, const void *stream)
{
    if (stream && buffer->generation->memory->place == CUFRAMES_MEMORY_HOST)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a stream is given for a channel in host memory: finish the stream's work "
                       "on the frame first, then publish with NULL");
    return CUFRAMES_OK;
}

int cf_publisher_publish(cuframes_publisher_t *publisher, cuframes_buffer_t *buffer, void *stream,
                         const cuframes_frame_meta_t *meta, uint64_t *seq)
{
    static const cuframes_frame_meta_t nothing_known = {.pts_ns = CUFRAMES_NO_TIME};
    bool later;
    int err = check_stream(buffer, stream);

    if (err)
        return err;
    if (!meta)
        meta = &nothing_known;
    pthread_mutex_lock(&publisher->lock);
    /* Behind frames that wait for their streams a frame of host memory has to wait too. */
    later = buffer->generation->memory->cuda || publisher->completion.count > 0;
    if (!later)
        err = publish_now(publisher, buffer, meta, seq);
    pthread_mutex_unlock(&publisher->lock);
    return later ? publish_later(publisher, buffer, stream, meta, seq) : err;
}

int cf_publisher_publish_plain(cuframes_publisher_t *publisher, void *stream,
                               const cuframes_frame_meta_t *meta)
{
    cuframes_buffer_t *buffer;
    int err;

    pthread_mutex_lock(&publisher->lock);
    buffer = publisher->plain;
    err = buffer ? check_stream(buffer, stream)
                 : cf_fail(CUFRAMES_ERR_INVALID_ARG,
                           "there is nothing to publish: acquire a slot and fill it first");
    if (!err)
        publisher->plain = NULL;
    pthread_mutex_unlock(&publisher->lock);
    if (err)
        return err;
    err = cf_publisher_publish(publisher, buffer, stream, meta, NULL);
    cf_buffer_unref(buffer);
    return err;
}

int cf_publisher_reconfigure(cuframes_publisher_t *publisher,
                             const cuframes_publisher_config_t *config)
{
    cuframes_publisher_config_t asked = *config;
    cuframes_channel_info_t info;
    struct cf_generation *new, *replaced;
    int err;

    if (publisher->packets_only)
        return no_frames();
    if (publisher->external)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "a channel over the program's own buffers cannot change: make another");
    pthread_mutex_lock(&publisher->lock);
    asked.policy = publisher->current->info.policy;
    asked.consumer_ack_timeout_ms = publisher->current->info.ack_timeout_ms;
    pthread_mutex_unlock(&publisher->lock);
    if ((err = cf_generation_describe(&asked, &info)) != 0)
        return err;
    if ((err = make_generation(publisher, &asked, &info, &new)) != 0)
        return err;
    pthread_mutex_lock(&publisher->lock);
    /* Of two that were asked for at once the newer number stays. */
    replaced = new;
    if (new->info.generation > cf_publisher_source(publisher)->info.generation) {
        replaced = publisher->prepared;
        publisher->prepared = new;
    }
    cf_wait_progress(publisher);
    pthread_mutex_unlock(&publisher->lock);
    cf_generation_unref(replaced);
    return CUFRAMES_OK;
}

static double frame_rate(const cuframes_publisher_t *publisher)
{
    uint64_t published = publisher->stats.published;
    uint64_t count = published < CF_RATE_WINDOW ? published : CF_RATE_WINDOW;
    int64_t span;

    if (count < 2)
        return 0;
    span = publisher->announced_ns[(published - 1) % CF_RATE_WINDOW] -
           publisher->announced_ns[(published - count) % CF_RATE_WINDOW];
    return span > 0 ? (double)(count - 1) * 1e9 / (double)span : 0;
}

/* Slots of the current generation that some subscriber holds. */
static uint32_t slots_held(const cuframes_publisher_t *publisher)
{
    const struct cf_ring_writer *writer = &publisher->current->writer;
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < writer->slot_count; slot++)
        for (uint32_t i = 0; i < publisher->peers.count; i++)
            if (cf_writer_blocks(writer, &publisher->peers, i, slot, false)) {
                count++;
                break;
            }
    return count;
}

void cf_publisher_read_stats(cuframes_publisher_t *publisher, cuframes_publisher_stats_t *stats)
{
    *stats = publisher->stats;
    stats->subscribers = cf_clients_count_ready(publisher);
    stats->frame_subscribers = publisher->peers.count;
    stats->pending = publisher->completion.count;
    stats->slots_held = !publisher->packets_only ? slots_held(publisher) : 0;
    stats->fps = frame_rate(publisher);
}

cuframes_channel_info_t cf_publisher_read_info(const cuframes_publisher_t *publisher)
{
    const struct cf_packets *packets = publisher->packets;
    cuframes_channel_info_t info = {.notes = CUFRAMES_CHANNEL_PACKETS_ONLY};

    if (!publisher->packets_only)
        info = publisher->current->info;
    else
        memcpy(info.key, publisher->key, sizeof(info.key));
    if (packets) {
        info.notes |= CUFRAMES_CHANNEL_PACKETS;
        info.stream_count = packets->stream_count;
    }
    return info;
}
