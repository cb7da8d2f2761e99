/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The public functions of packet.h: check what the program says, then call inward.
 */
#include <cuframes/packet.h>

#include "base/error.h"
#include "channel/packet.h"
#include "channel/publisher.h"
#include "channel/subscriber.h"

/* ---- publisher ---- */

static int check_publisher(const cuframes_publisher_t *publisher)
{
    if (!publisher)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the publisher is NULL");
    if (publisher->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "this publisher was made before fork(): the child "
                                                 "needs a channel of its own");
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_publisher_enable_packets(cuframes_publisher_t *publisher,
                                                   const cuframes_packet_ring_options_t *options)
{
    int err = check_publisher(publisher);

    return err ? err : cf_packets_enable(publisher, options);
}

CUFRAMES_API int cuframes_publisher_set_streams(cuframes_publisher_t *publisher,
                                                const cuframes_stream_t *streams, int32_t count)
{
    int err = check_publisher(publisher);

    if (err)
        return err;
    if (!streams || count < 1 || count > CUFRAMES_MAX_STREAMS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "%d streams: a channel has 1 to %d", count,
                       CUFRAMES_MAX_STREAMS);
    return cf_packets_set_streams(publisher, streams, (uint32_t)count);
}

CUFRAMES_API int cuframes_publisher_send_packet(cuframes_publisher_t *publisher,
                                                const cuframes_packet_desc_t *packet, uint64_t *seq)
{
    int err = check_publisher(publisher);

    if (err)
        return err;
    if (!packet)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "packet must not be NULL");
    return cf_packets_send(publisher, packet, seq);
}

CUFRAMES_API int cuframes_publisher_set_codec_extradata(cuframes_publisher_t *publisher,
                                                        const void *extradata, size_t size)
{
    int err = check_publisher(publisher);

    if (err)
        return err;
    if (size > CUFRAMES_MAX_EXTRADATA || (size > 0 && !extradata))
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "%zu bytes of extradata: at most %d, and a pointer", size,
                       CUFRAMES_MAX_EXTRADATA);
    return cf_packets_set_extradata(publisher, extradata, size);
}

CUFRAMES_API int cuframes_publisher_publish_packet(cuframes_publisher_t *publisher,
                                                   const void *data, size_t size, int64_t pts_ns,
                                                   int64_t dts_ns, uint32_t flags)
{
    const cuframes_packet_desc_t packet = {
        .data = data, .size = size, .pts_ns = pts_ns, .dts_ns = dts_ns, .flags = flags};

    return cuframes_publisher_send_packet(publisher, &packet, NULL);
}

/* ---- subscriber ---- */

static int check_subscriber(const cuframes_subscriber_t *subscriber)
{
    if (!subscriber)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "the subscriber is NULL");
    if (subscriber->fork_count != cf_fork_count())
        return cf_fail(CUFRAMES_ERR_INVALID_ARG,
                       "this subscriber was made before fork(): subscribe "
                       "again in the child");
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_subscriber_enable_packets(cuframes_subscriber_t *subscriber)
{
    return cuframes_subscriber_enable_packets_from(subscriber, NULL);
}

CUFRAMES_API int cuframes_subscriber_enable_packets_from(cuframes_subscriber_t *subscriber,
                                                         const cuframes_packet_options_t *options)
{
    static const cuframes_packet_options_t defaults;
    int err = check_subscriber(subscriber);

    if (err)
        return err;
    if (!options)
        options = &defaults;
    if ((uint32_t)options->start > CUFRAMES_PACKETS_FROM_PRE_ROLL)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "unknown start %d", (int)options->start);
    if (options->streams >> CUFRAMES_MAX_STREAMS)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "streams is %#x: a channel has at most %d",
                       options->streams, CUFRAMES_MAX_STREAMS);
    return cf_packets_read_enable(subscriber, options);
}

CUFRAMES_API int cuframes_subscriber_next_packet(cuframes_subscriber_t *subscriber,
                                                 cuframes_packet_t **packet, int32_t timeout_ms)
{
    int err = check_subscriber(subscriber);

    if (err)
        return err;
    if (!packet)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "packet must not be NULL");
    return cf_packets_next(subscriber, packet, timeout_ms);
}

CUFRAMES_API int cuframes_subscriber_release_packet(cuframes_subscriber_t *subscriber,
                                                    cuframes_packet_t *packet)
{
    (void)subscriber;
    if (packet)
        cf_packet_free(packet);
    return CUFRAMES_OK;
}

CUFRAMES_API int32_t cuframes_subscriber_stream_count(cuframes_subscriber_t *subscriber)
{
    const struct cf_packet_streams *streams;
    int err = check_subscriber(subscriber);

    if (err || (err = cf_packets_streams(subscriber, &streams)) != 0)
        return err;
    return (int32_t)streams->count;
}

CUFRAMES_API int cuframes_subscriber_stream(cuframes_subscriber_t *subscriber, int32_t index,
                                            cuframes_stream_t *stream)
{
    const struct cf_packet_streams *streams;
    int err = check_subscriber(subscriber);

    if (err || (err = cf_packets_streams(subscriber, &streams)) != 0)
        return err;
    if (!stream || index < 0 || (uint32_t)index >= streams->count)
        return cf_fail(CUFRAMES_ERR_INVALID_ARG, "no stream %d in a channel of %u", index,
                       streams->count);
    *stream = streams->streams[index];
    return CUFRAMES_OK;
}

CUFRAMES_API int cuframes_subscriber_get_codec_params(cuframes_subscriber_t *subscriber,
                                                      uint32_t *codec_id, const void **extradata,
                                                      size_t *size)
{
    const struct cf_packet_streams *streams;
    int err = check_subscriber(subscriber);

    if (err || (err = cf_packets_streams(subscriber, &streams)) != 0)
        return err;
    if (codec_id)
        *codec_id = streams->streams[0].codec_id;
    if (extradata)
        *extradata = streams->streams[0].extradata;
    if (size)
        *size = streams->streams[0].extradata_size;
    return CUFRAMES_OK;
}
