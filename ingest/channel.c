/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From a geometry to a slot. The geometry is compared and the slot acquired under one lock, so
 * that no slot of another generation comes between.
 */
#include "channel.h"

#include <stdio.h>
#include <string.h>

#include "log.h"
#include "packets.h"

/* Rows that start at a cache line suit vector code on both sides. */
#define PITCH_ALIGNMENT 64
/* swscale and copy loops may write a vector past the last row. */
#define TAIL_BYTES 64

int channel_init(struct channel *channel, const struct options *options, int32_t gpu)
{
    *channel = (struct channel){.options = options, .gpu = gpu};
    return pthread_mutex_init(&channel->lock, NULL);
}

void channel_fini(struct channel *channel)
{
    cuframes_publisher_destroy(channel->publisher);
    pthread_mutex_destroy(&channel->lock);
}

int channel_plain_layout(cuframes_layout_t *layout, cuframes_format_t format, int32_t width,
                         int32_t height)
{
    int err = cuframes_layout_init(layout, format, width, height, PITCH_ALIGNMENT);

    if (!err)
        layout->size += TAIL_BYTES;
    return err;
}

static bool same_geometry(const struct geometry *a, const struct geometry *b)
{
    return a->width == b->width && a->height == b->height && a->format == b->format &&
           a->memory == b->memory && a->sar_num == b->sar_num && a->sar_den == b->sar_den &&
           memcmp(&a->layout, &b->layout, sizeof(a->layout)) == 0;
}

static int32_t slot_count(const struct channel *channel, const struct geometry *geometry)
{
    int32_t slots = geometry->decoder_slots + channel->options->slots;

    return slots > CUFRAMES_MAX_SLOTS ? CUFRAMES_MAX_SLOTS : slots;
}

static cuframes_publisher_config_t make_config(const struct channel *channel,
                                               const struct geometry *geometry)
{
    const struct options *options = channel->options;

    return (cuframes_publisher_config_t){
        .key = options->key,
        .width = geometry->width,
        .height = geometry->height,
        .format = geometry->format,
        .ring_size = slot_count(channel, geometry),
        .policy = options->policy,
        .consumer_ack_timeout_ms = options->ack_timeout_ms,
        .memory = geometry->memory,
        .cuda_device = channel->gpu,
        .socket_mode = options->socket_mode,
        .socket_group = options->socket_group,
        .allowed_users = options->user_count > 0 ? options->users : NULL,
        .allowed_user_count = options->user_count,
        .runtime_dir = options->runtime_dir,
        .layout = &geometry->layout,
        .fps_num = channel->fps_num,
        .fps_den = channel->fps_den,
        .sar_num = geometry->sar_num,
        .sar_den = geometry->sar_den,
        .color = geometry->color,
        /* What the decoder keeps is not to be had for subscribers. */
        .max_holds = options->slots - 1,
    };
}

static void announce(const struct channel *channel, const struct geometry *geometry)
{
    log_line(
        CUFRAMES_LOG_INFO,
        "channel %s: %dx%d %s, %d slots of %.1f MB in %s memory (%d for subscribers, %d for the "
        "decoder)",
        channel->options->key, geometry->width, geometry->height,
        cuframes_format_name(geometry->format), slot_count(channel, geometry),
        (double)geometry->layout.size / 1e6,
        geometry->memory == CUFRAMES_MEMORY_CUDA ? "GPU" : "host",
        slot_count(channel, geometry) - geometry->decoder_slots, geometry->decoder_slots);
}

/* The ring comes at once: who attaches in this moment is to find it. Under the lock. */
static int make(struct channel *channel, const cuframes_publisher_config_t *config)
{
    int err = cuframes_publisher_create(config, &channel->publisher);

    if (!err && channel->with_packets)
        err = packets_enable(channel->publisher, channel->options);
    return err;
}

bool channel_open_packets(struct channel *channel)
{
    const struct options *options = channel->options;
    const cuframes_publisher_config_t config = {
        .key = options->key,
        .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY,
        .socket_mode = options->socket_mode,
        .socket_group = options->socket_group,
        .runtime_dir = options->runtime_dir,
    };
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&channel->lock);
    if (!channel->publisher)
        err = make(channel, &config);
    if (err)
        snprintf(channel->error, sizeof(channel->error), "%s", cuframes_last_error());
    pthread_mutex_unlock(&channel->lock);
    return !err;
}

/* Makes the channel, or its next generation, of this geometry. Under the lock. */
static int follow(struct channel *channel, const struct geometry *wanted)
{
    cuframes_publisher_config_t config = make_config(channel, wanted);
    int err;

    if (atomic_load(&channel->failed))
        return CUFRAMES_ERR_FORMAT;
    if (channel->publisher)
        err = cuframes_publisher_reconfigure(channel->publisher, &config);
    else
        err = make(channel, &config);
    if (err) {
        snprintf(channel->error, sizeof(channel->error), "%s", cuframes_last_error());
        atomic_store(&channel->failed, true);
        return err;
    }
    channel->geometry = *wanted;
    announce(channel, wanted);
    return CUFRAMES_OK;
}

int channel_claim(struct channel *channel, const struct geometry *wanted,
                  cuframes_buffer_t **buffer)
{
    int err = CUFRAMES_OK;

    pthread_mutex_lock(&channel->lock);
    if (!channel->publisher || !same_geometry(&channel->geometry, wanted))
        err = follow(channel, wanted);
    if (!err)
        err = cuframes_publisher_acquire_buffer(channel->publisher, buffer);
    pthread_mutex_unlock(&channel->lock);
    return err;
}

int channel_claim_same(struct channel *channel, int32_t width, int32_t height,
                       cuframes_format_t format, cuframes_buffer_t **buffer)
{
    const struct geometry *now = &channel->geometry;
    int err = CUFRAMES_ERR_FORMAT;

    pthread_mutex_lock(&channel->lock);
    if (channel->publisher && now->width == width && now->height == height && now->format == format)
        err = cuframes_publisher_acquire_buffer(channel->publisher, buffer);
    pthread_mutex_unlock(&channel->lock);
    return err;
}
