/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A publisher's answer to a question: what it is, its streams, and its subscribers.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/sys.h"
#include "channel/publisher.h"

/* What is said, taken at one moment. */
struct answer {
    struct cf_message report, streams;
    uint32_t count;
    cuframes_subscriber_info_t subscribers[CUFRAMES_MAX_SUBSCRIBERS];
};

static void take_answer(cuframes_publisher_t *publisher, struct answer *answer)
{
    const struct cf_packets *packets = publisher->packets;
    struct cf_msg_report_streams *list = &answer->streams.report_streams;

    answer->report.type = CF_MSG_REPORT;
    answer->report.report.info = cf_publisher_read_info(publisher);
    cf_publisher_read_stats(publisher, &answer->report.report.stats);
    answer->streams.type = CF_MSG_REPORT_STREAMS;
    if (packets) {
        list->count = packets->stream_count;
        memcpy(list->streams, packets->streams, list->count * sizeof(*list->streams));
    }
    answer->count = cf_clients_list(publisher, answer->subscribers, CUFRAMES_MAX_SUBSCRIBERS);
}

static void send_subscribers(const struct cf_client *client, const struct answer *answer)
{
    uint32_t sent = 0;
    int err;

    do {
        struct cf_message message = {.type = CF_MSG_REPORT_SUBSCRIBERS};
        struct cf_msg_report_subscribers *batch = &message.subscribers;

        batch->count = answer->count - sent;
        if (batch->count > CF_WIRE_REPORT_BATCH)
            batch->count = CF_WIRE_REPORT_BATCH;
        memcpy(batch->subscribers, answer->subscribers + sent,
               batch->count * sizeof(*batch->subscribers));
        sent += batch->count;
        batch->last = sent == answer->count;
        err = cf_connection_send(client->socket, &message, NULL, 0);
    } while (!err && sent < answer->count);
}

int cf_report_send(cuframes_publisher_t *publisher, struct cf_client *client)
{
    struct answer *answer = cf_sys.calloc(1, sizeof(*answer));

    if (!answer)
        return cf_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "the publisher is out of memory");
    pthread_mutex_lock(&publisher->lock);
    take_answer(publisher, answer);
    pthread_mutex_unlock(&publisher->lock);
    /* A peer that is gone or does not listen is closed either way. */
    if (cf_connection_send(client->socket, &answer->report, NULL, 0) == CUFRAMES_OK &&
        cf_connection_send(client->socket, &answer->streams, NULL, 0) == CUFRAMES_OK)
        send_subscribers(client, answer);
    free(answer);
    return CUFRAMES_OK;
}
