/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channels are asked one after the other. A live publisher answers from a thread of its own,
 * so only one that is stopped costs the whole timeout.
 */
#include "channels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define QUERY_TIMEOUT_MS 500

static void ask(const char *runtime_dir, struct channel *channel)
{
    channel->error = cuframes_query(runtime_dir, channel->key, QUERY_TIMEOUT_MS, &channel->report);
    if (channel->error)
        snprintf(channel->reason, sizeof(channel->reason), "%s", cuframes_last_error());
}

int channels_ask(const char *runtime_dir, struct channels *channels)
{
    cuframes_key_list_t *keys;
    struct channels made = {0};
    int error = cuframes_list(runtime_dir, &keys);

    if (error)
        return error;
    made.list = calloc(keys->count ? keys->count : 1, sizeof(*made.list));
    if (!made.list) {
        cuframes_key_list_free(keys);
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    }
    made.count = keys->count;
    for (uint32_t i = 0; i < made.count; i++) {
        memcpy(made.list[i].key, keys->keys[i], sizeof(made.list[i].key));
        ask(runtime_dir, &made.list[i]);
    }
    cuframes_key_list_free(keys);
    *channels = made;
    return CUFRAMES_OK;
}

void channels_fini(struct channels *channels)
{
    for (uint32_t i = 0; i < channels->count; i++)
        cuframes_channel_report_free(channels->list[i].report);
    free(channels->list);
    *channels = (struct channels){0};
}

double channel_age_s(const cuframes_publisher_stats_t *stats)
{
    if (stats->newest_ns == CUFRAMES_NO_TIME)
        return -1;
    return ((double)cuframes_now_ns() - (double)stats->newest_ns) / 1e9;
}

const char *age_text(double seconds, char text[24])
{
    if (seconds < 0)
        snprintf(text, 24, "-");
    else if (seconds < 1)
        snprintf(text, 24, "%.0f ms", seconds * 1000);
    else if (seconds < 100)
        snprintf(text, 24, "%.1f s", seconds);
    else
        snprintf(text, 24, "%.0f s", seconds);
    return text;
}
