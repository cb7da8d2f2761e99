/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The waits are cut into pieces, as in attach.c.
 */
#include "common/packet_attach.h"

#include <string.h>

#include "common/attach.h"
#include "common/stop.h"

/* From a channel that is there to its packet ring. */
#define RING_PATIENCE_NS INT64_C(1000000000)
#define RING_LOOK_NS     (20 * 1000 * 1000)

/* One piece of the wait. True: again. */
static bool is_to_wait(int error, int64_t now_ns, int64_t began_ns, double answer_s)
{
    if (error == CUFRAMES_ERR_TIMEOUT)
        return (double)(now_ns - began_ns) < answer_s * 1e9;
    return error == CUFRAMES_ERR_NOT_FOUND && now_ns - began_ns < RING_PATIENCE_NS &&
           stop_sleep_until(now_ns + RING_LOOK_NS);
}

static int enable(cuframes_subscriber_t *subscriber, const cuframes_packet_options_t *options,
                  double answer_s)
{
    cuframes_packet_options_t piece = *options;
    int64_t began_ns = cuframes_now_ns();
    int error;

    piece.timeout_ms = STOP_POLL_MS;
    do {
        error = cuframes_subscriber_enable_packets_from(subscriber, &piece);
        if (error && stop_requested())
            return CUFRAMES_ERR_WOULD_BLOCK;
    } while (is_to_wait(error, cuframes_now_ns(), began_ns, answer_s));
    return error;
}

int packet_attach(const cuframes_subscriber_config_t *config,
                  const cuframes_packet_options_t *options, double wait_s, double limit_s,
                  cuframes_subscriber_t **subscriber)
{
    cuframes_subscriber_t *attached;
    int error = attach(config, wait_s, limit_s, &attached);

    if (error)
        return error;
    error = enable(attached, options, attach_answer_s(wait_s, limit_s));
    if (error)
        cuframes_subscriber_destroy(attached);
    else
        *subscriber = attached;
    return error;
}

int packet_next(cuframes_subscriber_t *subscriber, int64_t deadline_ns, cuframes_packet_t **packet)
{
    while (!stop_requested()) {
        int64_t left_ns = deadline_ns - cuframes_now_ns();
        int32_t timeout_ms = STOP_POLL_MS;
        int error;

        if (left_ns <= 0)
            timeout_ms = 0;
        else if (left_ns < STOP_POLL_MS * INT64_C(1000000))
            timeout_ms = (int32_t)((left_ns + 999999) / 1000000);
        error = cuframes_subscriber_next_packet(subscriber, packet, timeout_ms);
        if (error == CUFRAMES_ERR_WOULD_BLOCK)
            return CUFRAMES_ERR_TIMEOUT;
        if (error != CUFRAMES_ERR_TIMEOUT)
            return error;
    }
    return CUFRAMES_ERR_WOULD_BLOCK;
}

int packet_streams_read(cuframes_subscriber_t *subscriber, struct packet_streams *streams)
{
    int32_t count = cuframes_subscriber_stream_count(subscriber);

    if (count < 0)
        return count;
    for (int32_t i = 0; i < count && i < CUFRAMES_MAX_STREAMS; i++) {
        cuframes_stream_t *stream = &streams->list[i];
        int error = cuframes_subscriber_stream(subscriber, i, stream);

        if (error)
            return error;
        if (stream->extradata_size > CUFRAMES_MAX_EXTRADATA)
            stream->extradata_size = CUFRAMES_MAX_EXTRADATA;
        if (stream->extradata_size > 0)
            memcpy(streams->extradata[i], stream->extradata, stream->extradata_size);
        stream->extradata = streams->extradata[i];
    }
    streams->count = count;
    return CUFRAMES_OK;
}

void packet_streams_copy(struct packet_streams *to, const struct packet_streams *from)
{
    *to = *from;
    for (int32_t i = 0; i < to->count; i++)
        to->list[i].extradata = to->extradata[i];
}

static bool same_stream(const cuframes_stream_t *a, const cuframes_stream_t *b)
{
    return a->type == b->type && a->codec_id == b->codec_id && a->packaging == b->packaging &&
           a->time_base_num == b->time_base_num && a->time_base_den == b->time_base_den &&
           a->width == b->width && a->height == b->height && a->sample_rate == b->sample_rate &&
           a->channels == b->channels && strcmp(a->language, b->language) == 0 &&
           a->extradata_size == b->extradata_size &&
           (a->extradata_size == 0 || memcmp(a->extradata, b->extradata, a->extradata_size) == 0);
}

bool packet_streams_equal(const struct packet_streams *a, const struct packet_streams *b)
{
    if (a->count != b->count)
        return false;
    for (int32_t i = 0; i < a->count; i++)
        if (!same_stream(&a->list[i], &b->list[i]))
            return false;
    return true;
}

int32_t packet_streams_video(const struct packet_streams *streams)
{
    for (int32_t i = 0; i < streams->count; i++)
        if (streams->list[i].type == CUFRAMES_STREAM_VIDEO)
            return i;
    return -1;
}
