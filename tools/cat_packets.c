/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets on standard output. A reader that is too slow loses packets, which is reported; the
 * stream then goes on with a key frame.
 */
#include "cat_packets.h"

#include <inttypes.h>
#include <unistd.h>

#include "common/output.h"
#include "common/report.h"
#include "common/stop.h"

struct pipe {
    struct output output;
    enum output_result result; /* of the newest write */
};

static bool write_to_pipe(void *user, const uint8_t *data, size_t size)
{
    struct pipe *pipe = user;
    /* writev() does not write into it; its type does not say so. */
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};

    pipe->result = output_write(&pipe->output, &piece, 1);
    return pipe->result == OUTPUT_DONE;
}

static int closed(const struct pipe *pipe)
{
    return pipe->result == OUTPUT_STOPPED ? TOOL_DONE : TOOL_FAILED;
}

static int after(const struct cat_packets_settings *s, const struct packet_feed *feed,
                 const struct pipe *pipe, enum packet_feed_result result)
{
    switch (result) {
    case PACKET_FEED_WROTE:
    case PACKET_FEED_LOST:
        return TOOL_CONTINUE;
    case PACKET_FEED_NOTHING:
        /* Also while nothing comes, a reader that is gone ends the tool. */
        return output_is_closed(&pipe->output) ? TOOL_FAILED : TOOL_CONTINUE;
    case PACKET_FEED_STOPPED:
        return TOOL_DONE;
    case PACKET_FEED_GONE:
        return feed->writer && s->seconds <= 0 ? TOOL_DONE
                                               : report_library(CUFRAMES_ERR_DISCONNECTED);
    case PACKET_FEED_CHANGED:
        return report_failed("the streams have changed, which a stream that has begun cannot "
                             "express: start again");
    case PACKET_FEED_CLOSED:
        return closed(pipe);
    default:
        return report_failed("%s", feed->error);
    }
}

static int copy(const struct cat_packets_settings *s, struct packet_feed *feed,
                const struct pipe *pipe)
{
    int64_t deadline_ns =
        s->seconds > 0 ? cuframes_now_ns() + (int64_t)(s->seconds * 1e9) : INT64_MAX;
    int rc = TOOL_CONTINUE;

    while (rc == TOOL_CONTINUE && cuframes_now_ns() < deadline_ns) {
        int64_t piece_ns = cuframes_now_ns() + INT64_C(1000000) * STOP_POLL_MS;

        rc = after(s, feed, pipe,
                   packet_feed_step(feed, piece_ns < deadline_ns ? piece_ns : deadline_ns));
    }
    return rc == TOOL_CONTINUE ? TOOL_DONE : rc;
}

int cat_packets(const struct cat_packets_settings *s)
{
    static struct packet_feed feed; /* large: the extradata */
    struct pipe pipe = {.result = OUTPUT_DONE};
    struct packet_sink sink = {.user = &pipe, .write = write_to_pipe};
    int error, rc;

    error = packet_feed_open(&feed, &s->feed, &sink, s->wait_s, s->seconds);
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return TOOL_DONE;
    if (error)
        return report_library(error);
    output_open(&pipe.output, STDOUT_FILENO);
    rc = copy(s, &feed, &pipe);
    packet_feed_close(&feed, rc == TOOL_DONE && pipe.result == OUTPUT_DONE);
    output_close(&pipe.output);
    if (rc == TOOL_DONE && pipe.result != OUTPUT_DONE)
        rc = closed(&pipe);
    if (feed.lost)
        report("%" PRIu64 " packets were lost: the reader was too slow for the channel", feed.lost);
    return rc;
}
