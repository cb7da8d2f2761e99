/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packet_feed.h"

#include <stdio.h>
#include <string.h>

#include "common/report.h"

int packet_feed_open(struct packet_feed *feed, const struct packet_feed_settings *settings,
                     const struct packet_sink *sink, double wait_s, double limit_s)
{
    static const cuframes_packet_options_t newest;

    feed->settings = settings;
    feed->sink = *sink;
    return packet_attach(&settings->config, &newest, wait_s, limit_s, &feed->subscriber);
}

static enum packet_feed_result fail(struct packet_feed *feed, const char *sentence)
{
    snprintf(feed->error, sizeof(feed->error), "%s", sentence);
    return PACKET_FEED_FAILED;
}

static enum packet_feed_result written(struct packet_feed *feed, int error)
{
    if (!error)
        return PACKET_FEED_WROTE;
    return error == CUFRAMES_ERR_IO ? PACKET_FEED_CLOSED : fail(feed, packet_writer_error());
}

/* Annex B is nothing but packets: it can go on with other parameters of the same codec. */
static bool can_go_on(const struct packet_feed *feed, const struct packet_streams *fresh)
{
    int32_t was = packet_streams_video(&feed->streams), is = packet_streams_video(fresh);

    return feed->settings->format == PACKET_FORMAT_ANNEXB && was >= 0 && is >= 0 &&
           feed->streams.list[was].codec_id == fresh->list[is].codec_id;
}

static enum packet_feed_result follow_streams(struct packet_feed *feed)
{
    static struct packet_streams fresh; /* large; one thread */

    if (packet_streams_read(feed->subscriber, &fresh))
        return fail(feed, cuframes_last_error());
    if (feed->writer && packet_streams_equal(&feed->streams, &fresh))
        return PACKET_FEED_WROTE;
    if (feed->writer && !packet_writer_waits(feed->writer) && !can_go_on(feed, &fresh))
        return PACKET_FEED_CHANGED;
    packet_writer_abandon(feed->writer);
    feed->writer = NULL;
    packet_streams_copy(&feed->streams, &fresh);
    return PACKET_FEED_WROTE;
}

static bool can_begin(const struct packet_feed *feed, const cuframes_packet_t *packet)
{
    int32_t video = packet_streams_video(&feed->streams);

    return video < 0 || (cuframes_packet_stream(packet) == (uint32_t)video &&
                         (cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_KEY));
}

/* Said once for each reader. */
static void note_wait(struct packet_feed *feed)
{
    if (!feed->wait_said)
        report("the stream has not told its parameters yet: what is written begins with the key "
               "frame that does");
    feed->wait_said = true;
}

static enum packet_feed_result take(struct packet_feed *feed, const cuframes_packet_t *packet)
{
    enum packet_feed_result result = PACKET_FEED_WROTE;
    int error;

    if (feed->streams.count == 0 || (cuframes_packet_flags(packet) & CUFRAMES_PKT_FLAG_GENERATION))
        result = follow_streams(feed);
    if (result != PACKET_FEED_WROTE || (!feed->writer && !can_begin(feed, packet)))
        return result;
    if (!feed->writer) {
        error = packet_writer_open(feed->settings->format, feed->streams.list, feed->streams.count,
                                   0, &feed->sink, &feed->writer);
        if (error)
            return fail(feed, packet_writer_error());
    }
    error = packet_writer_packet(feed->writer, packet);
    if (!error && packet_writer_waits(feed->writer))
        note_wait(feed);
    return written(feed, error);
}

static enum packet_feed_result gone(struct packet_feed *feed)
{
    if (!feed->writer || !packet_writer_waits(feed->writer))
        return PACKET_FEED_GONE;
    packet_writer_flush(feed->writer, true); /* which tells what is missing */
    return fail(feed, packet_writer_error());
}

enum packet_feed_result packet_feed_step(struct packet_feed *feed, int64_t deadline_ns)
{
    enum packet_feed_result result;
    cuframes_packet_t *packet;
    int error = packet_next(feed->subscriber, deadline_ns, &packet);

    switch (error) {
    case CUFRAMES_OK:
        feed->lost += cuframes_packet_lost(packet);
        result = take(feed, packet);
        cuframes_subscriber_release_packet(feed->subscriber, packet);
        return result;
    case CUFRAMES_ERR_TIMEOUT:
        return PACKET_FEED_NOTHING;
    case CUFRAMES_ERR_WOULD_BLOCK:
        return PACKET_FEED_STOPPED;
    case CUFRAMES_ERR_PACKET_OVERRUN:
        return PACKET_FEED_LOST;
    case CUFRAMES_ERR_DISCONNECTED:
        return gone(feed);
    default:
        return fail(feed, cuframes_last_error());
    }
}

void packet_feed_close(struct packet_feed *feed, bool whole)
{
    if (whole)
        packet_writer_close(feed->writer);
    else
        packet_writer_abandon(feed->writer);
    feed->writer = NULL;
    cuframes_subscriber_destroy(feed->subscriber);
    feed->subscriber = NULL;
}
