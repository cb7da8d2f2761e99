/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishing packets. A packet that cannot be taken (too large, or the queue is full) is left out,
 * counted, and the next one of its stream says that it does not follow on.
 */
#include "packets.h"

#include <inttypes.h>
#include <string.h>

#include <libavutil/intreadwrite.h>

#include "log.h"
#include "packet_streams.h"

#define NANOSECONDS 1000000000
/* One picture of the largest cameras, many times over. */
#define MAX_PACKET_BYTES (4 << 20)
#define DATA_BYTES       (8 << 20)
/* How long the first sound of a file is waited for, in packets of the other streams. */
#define SORT_COUNT 256
/* What a second of the best cameras and of their sound takes, and the least room. */
#define BYTES_PER_SECOND (8 << 20)
#define LEAST_MOST_BYTES (64 << 20)
#define MOST_MOST_BYTES  (1 << 30)
/* AV_PKT_DATA_SKIP_SAMPLES: samples to leave out at the start, in the first four bytes. */
#define SKIP_SAMPLES_BYTES 10

void packets_init(struct packets *packets, const struct options *options, struct channel *channel)
{
    *packets = (struct packets){.options = options, .channel = channel};
}

static void empty_queue(struct packets *packets)
{
    for (size_t i = 0; i < packets->queued; i++)
        av_packet_free(&packets->queue[i].packet);
    packets->queued = packets->queued_bytes = 0;
}

void packets_fini(struct packets *packets)
{
    empty_queue(packets);
    for (uint32_t i = 0; i < packets->count; i++)
        parameter_sets_close(&packets->streams[i].sets);
    packets->count = 0;
}

int packets_enable(cuframes_publisher_t *publisher, const struct options *options)
{
    double most = options->packet_keep_s * BYTES_PER_SECOND;
    cuframes_packet_ring_options_t ring = {
        .data_size = DATA_BYTES,
        .max_packet_size = MAX_PACKET_BYTES,
        .keep_ms = (uint32_t)(options->packet_keep_s * 1000),
        .max_data_size = (uint32_t)FFMIN(FFMAX(most, LEAST_MOST_BYTES), MOST_MOST_BYTES),
    };

    return cuframes_publisher_enable_packets(publisher, &ring);
}

bool packets_worth_it(const AVCodecParameters *par)
{
    return par->codec_id != AV_CODEC_ID_NONE && par->codec_id != AV_CODEC_ID_RAWVIDEO &&
           par->codec_id != AV_CODEC_ID_WRAPPED_AVFRAME && par->codec_id != AV_CODEC_ID_V210;
}

void packets_open(struct packets *packets, struct source *source)
{
    /* Nothing was published yet: the packets of the session before are of no use to anybody. */
    if (packets->queued > 0) {
        packets->next_seq -= packets->queued;
        empty_queue(packets);
    }
    if (packet_streams_describe(packets, source))
        packets->announced = false;
    packets->channel->with_packets = packets->count > 0;
    packets->sorting = packets->published == 0 && !source->live && packets->count > 0;
}

static enum output_result failed(void)
{
    log_line(CUFRAMES_LOG_ERROR, "packets: %s", cuframes_last_error());
    return OUTPUT_FAILED;
}

static enum output_result announce(struct packets *packets)
{
    cuframes_stream_t descriptions[CUFRAMES_MAX_STREAMS];

    if (packets->announced)
        return OUTPUT_OK;
    for (uint32_t i = 0; i < packets->count; i++) {
        descriptions[i] = packets->streams[i].description;
        descriptions[i].extradata = packets->streams[i].extradata;
    }
    if (cuframes_publisher_set_streams(packets->channel->publisher, descriptions,
                                       (int32_t)packets->count))
        return failed();
    packets->announced = true;
    return OUTPUT_OK;
}

static enum output_result publish(struct packets *packets, const cuframes_packet_desc_t *desc)
{
    enum output_result result = announce(packets);

    if (result != OUTPUT_OK)
        return result;
    if (cuframes_publisher_send_packet(packets->channel->publisher, desc, NULL))
        return failed();
    packets->published++;
    return OUTPUT_OK;
}

static bool has_channel(const struct packets *packets)
{
    bool there;

    /* The decoder's threads make it. */
    pthread_mutex_lock(&packets->channel->lock);
    there = packets->channel->publisher != NULL;
    pthread_mutex_unlock(&packets->channel->lock);
    return there;
}

bool packets_pending(const struct packets *packets)
{
    return packets->queued > 0 && !packets->sorting && has_channel(packets);
}

void packets_end(struct packets *packets)
{
    packets->sorting = false;
}

enum output_result packets_flush(struct packets *packets)
{
    enum output_result result = OUTPUT_OK;

    for (size_t i = 0; i < packets->queued && result == OUTPUT_OK; i++)
        result = publish(packets, &packets->queue[i].desc);
    empty_queue(packets);
    packets->ready = true;
    return result;
}

static bool enqueue(struct packets *packets, const AVPacket *packet,
                    const cuframes_packet_desc_t *desc)
{
    struct waiting_packet *place = &packets->queue[packets->queued];

    if (packets->queued == PACKET_QUEUE_COUNT ||
        packets->queued_bytes + desc->size > PACKET_QUEUE_BYTES)
        return false;
    place->packet = av_packet_clone(packet);
    if (!place->packet)
        return false;
    place->desc = *desc;
    place->desc.data = place->packet->data;
    packets->queued++;
    packets->queued_bytes += desc->size;
    return true;
}

/*
 * A file's sound may begin before its first picture. Readers begin with that, so it goes first, for
 * else they would miss what the sound begins with. Only the picture's number is used elsewhere.
 */
static void put_first(struct packets *packets)
{
    struct waiting_packet picture = packets->queue[packets->queued - 1];

    memmove(packets->queue + 1, packets->queue, sizeof(picture) * (packets->queued - 1));
    packets->queue[0] = picture;
}

static bool is_first_picture(const struct packets *packets, const struct packet_stream *stream)
{
    if (!packets->sorting || stream->description.type != CUFRAMES_STREAM_VIDEO)
        return false;
    for (size_t i = 0; i + 1 < packets->queued; i++)
        if (packets->streams[packets->queue[i].desc.stream].description.type ==
            CUFRAMES_STREAM_VIDEO)
            return false;
    return true;
}

static void leave_out(struct packets *packets, struct packet_stream *stream, size_t size)
{
    stream->broken = true;
    if (size <= MAX_PACKET_BYTES) {
        packets->left_out++;
        return;
    }
    if (packets->oversized++ == 0)
        log_line(CUFRAMES_LOG_WARNING,
                 "a packet of %zu bytes (%s) is left out: at most %d are shared; the frame "
                 "decoded from it is published; further ones are counted only",
                 size, stream->description.codec_name, MAX_PACKET_BYTES);
}

static int64_t to_ns(int64_t ticks, AVRational time_base)
{
    if (ticks == AV_NOPTS_VALUE)
        return CUFRAMES_NO_TIME;
    return av_rescale_q(ticks, time_base, (AVRational){1, NANOSECONDS});
}

/* The first sound of a file tells how many samples are there for the codec's sake alone. */
static void note_padding(struct packets *packets, struct packet_stream *stream,
                         const AVPacket *packet)
{
    size_t size;
    const uint8_t *skip = av_packet_get_side_data(packet, AV_PKT_DATA_SKIP_SAMPLES, &size);

    if (!stream->came && packets->published == 0 && skip && size >= SKIP_SAMPLES_BYTES &&
        stream->description.type == CUFRAMES_STREAM_AUDIO &&
        stream->description.initial_padding == 0)
        stream->description.initial_padding = (int32_t)FFMIN(AV_RL32(skip), INT32_MAX);
    stream->came = true;
}

static void end_sorting(struct packets *packets)
{
    bool all = true;

    for (uint32_t i = 0; i < packets->count; i++)
        all = all && packets->streams[i].came;
    if (all || packets->queued >= SORT_COUNT)
        packets->sorting = false;
}

static cuframes_packet_desc_t describe(struct packets *packets, struct packet_stream *stream,
                                       const AVPacket *packet, AVRational time_base,
                                       struct stamp *stamp)
{
    uint32_t index = (uint32_t)(stream - packets->streams);
    struct packet_times times = {
        .pts_ns = to_ns(packet->pts, time_base),
        .dts_ns = to_ns(packet->dts, time_base),
        .duration_ns =
            packet->duration > 0 ? to_ns(packet->duration, time_base) : stream->default_duration_ns,
    };
    bool broken = packet_clock_map(&packets->clock, index, &times, &stamp->offset_ns);

    stamp->placed = true;
    stamp->dts_ns = times.dts_ns != CUFRAMES_NO_TIME ? times.dts_ns : times.pts_ns;
    broken = broken || stream->broken;
    stream->broken = false;
    return (cuframes_packet_desc_t){
        .data = packet->data,
        .size = (size_t)packet->size,
        .pts_ns = times.pts_ns,
        .dts_ns = times.dts_ns,
        .duration_ns = times.duration_ns,
        .capture_ns = stamp->capture_ns,
        .capture_source = stamp->source,
        .stream = index,
        .flags = (packet->flags & AV_PKT_FLAG_KEY ? CUFRAMES_PKT_FLAG_KEY : 0) |
                 (packet->flags & AV_PKT_FLAG_CORRUPT ? CUFRAMES_PKT_FLAG_CORRUPT : 0) |
                 (broken ? CUFRAMES_PKT_FLAG_DISCONTINUITY : 0) | CUFRAMES_PKT_FLAG_LAST_IN_AU,
    };
}

/* Follows new parameters that the packet brings. False: it cannot be taken for now, as packets
 * with the parameters of before still wait. */
static bool follow_parameters(struct packets *packets, struct packet_stream *stream,
                              const AVPacket *packet)
{
    if (!packet_stream_changes(stream, packet))
        return true;
    if (packets->queued > 0)
        return false;
    if (packet_stream_follow(stream, packet))
        packets->announced = false;
    return true;
}

enum output_result packets_take(struct packets *packets, const AVPacket *packet,
                                AVRational time_base, struct stamp *stamp)
{
    struct packet_stream *stream = packet_streams_find(packets, packet->stream_index);
    enum output_result result = OUTPUT_OK;
    cuframes_packet_desc_t desc;
    bool taken;

    if (!stream || packet->size <= 0)
        return OUTPUT_OK;
    desc = describe(packets, stream, packet, time_base, stamp);
    note_padding(packets, stream, packet);
    taken = packet->size <= MAX_PACKET_BYTES && follow_parameters(packets, stream, packet);
    if (taken && (packets->queued > 0 || packets->sorting || !packets->ready)) {
        taken = enqueue(packets, packet, &desc);
    } else if (taken) {
        result = publish(packets, &desc);
    }
    if (!taken) {
        leave_out(packets, stream, desc.size);
        return result;
    }
    stamp->packet_known = true;
    stamp->packet_seq = packets->next_seq++;
    if (packets->queued > 0 && is_first_picture(packets, stream)) {
        put_first(packets);
        stamp->packet_seq = packets->next_seq - packets->queued;
    }
    end_sorting(packets);
    return result;
}
