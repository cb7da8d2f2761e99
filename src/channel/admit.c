/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Making a connection a subscriber: what it asks for, what it is granted. Under the publisher's
 * lock.
 */
#include <stdio.h>

#include "base/error.h"
#include "channel/packets.h"
#include "channel/publisher.h"

/* Holds that a subscriber gets when it does not say how many it wants. */
#define DEFAULT_HOLDS 4

static void choose_name(cuframes_publisher_t *publisher, struct cf_client *client,
                        const char *wanted)
{
    if (*wanted) {
        snprintf(client->name, sizeof(client->name), "%s", wanted);
        return;
    }
    do
        snprintf(client->name, sizeof(client->name), "reader-%u", ++publisher->names_made);
    while (cf_clients_has_name(publisher, client->name));
}

/* Checks what a subscriber asks for; CUFRAMES_OK or the error to refuse it with, and why. */
static int check_attach(const cuframes_publisher_t *publisher, const struct cf_msg_attach *wanted,
                        char *why, size_t size)
{
    const cuframes_channel_info_t *info;

    if (wanted->name[0] && cf_name_check(wanted->name) != CUFRAMES_OK) {
        snprintf(why, size, "%s", cuframes_last_error());
        return CUFRAMES_ERR_INVALID_ARG;
    }
    if (publisher->failed) {
        snprintf(why, size, "%s", publisher->failure);
        return publisher->failed;
    }
    if (cf_clients_has_name(publisher, wanted->name)) {
        snprintf(why, size, "the channel has a subscriber named %s: choose another name, or none",
                 wanted->name);
        return CUFRAMES_ERR_ALREADY_EXISTS;
    }
    if (cf_clients_count(publisher) >= publisher->max_subscribers) {
        snprintf(why, size, "the channel is full: it takes %u subscribers",
                 publisher->max_subscribers);
        return CUFRAMES_ERR_TOO_MANY;
    }
    if (wanted->flags & CF_ATTACH_PACKETS_ONLY)
        return CUFRAMES_OK;
    if (publisher->packets_only) {
        snprintf(why, size,
                 "this channel has packets alone, no frames: read it with cuframes record, "
                 "cuframes cat --packets, cuframes_packets:// in FFmpeg, or "
                 "CUFRAMES_SUBSCRIBER_PACKETS_ONLY");
        return CUFRAMES_ERR_NOT_FOUND;
    }
    info = &publisher->current->info;
    if (wanted->max_holds > (uint32_t)info->max_holds) {
        snprintf(why, size, "%u holds are wanted, the channel grants at most %d to one subscriber",
                 wanted->max_holds, info->max_holds);
        return CUFRAMES_ERR_TOO_MANY;
    }
    if (wanted->memory != CUFRAMES_MEMORY_AUTO && wanted->memory != (uint32_t)info->memory) {
        snprintf(why, size,
                 info->memory == CUFRAMES_MEMORY_HOST
                     ? "the channel's frames are in host memory, which is not what was asked for"
                     : "the channel's frames are in GPU memory, which the CPU cannot read in "
                       "place: ask for copies (CUFRAMES_SUBSCRIBER_STAGED)");
        return CUFRAMES_ERR_FORMAT;
    }
    return CUFRAMES_OK;
}

void cf_publisher_pause(cuframes_publisher_t *publisher)
{
    pthread_mutex_lock(&publisher->lock);
    publisher->paused = true;
    pthread_mutex_unlock(&publisher->lock);
}

/* Where a new subscriber begins: at the newest frame, or at the first that will come. */
static uint64_t first_wanted(const cuframes_publisher_t *publisher)
{
    const struct cf_ring_writer *writer = &publisher->current->writer;

    if (writer->newest == CF_NO_SLOT || publisher->paused)
        return writer->next_seq;
    return writer->slots[writer->newest].seq;
}

static uint32_t grant_holds(const cuframes_channel_info_t *info, uint32_t wanted)
{
    uint32_t most = (uint32_t)info->max_holds;

    if (wanted > 0)
        return wanted;
    return most < DEFAULT_HOLDS ? most : DEFAULT_HOLDS;
}

int cf_client_admit(cuframes_publisher_t *publisher, struct cf_client *client,
                    const struct cf_msg_attach *wanted, char *why, size_t size)
{
    int err = check_attach(publisher, wanted, why, size);

    if (err)
        return err;
    client->mode = (cuframes_subscriber_mode_t)wanted->mode;
    choose_name(publisher, client, wanted->name);
    client->packets_only = (wanted->flags & CF_ATTACH_PACKETS_ONLY) != 0;
    if (client->packets_only) {
        cf_packets_list_client(publisher, client);
        return CUFRAMES_OK;
    }
    client->max_holds = grant_holds(&publisher->current->info, wanted->max_holds);
    err = cf_page_create(first_wanted(publisher), &client->page);
    if (err) {
        snprintf(why, size, "the publisher cannot make a hold page: %s", cuframes_last_error());
        return err;
    }
    cf_clients_attach(publisher, client);
    return CUFRAMES_OK;
}
