/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From AVStreams to descriptions.
 */
#include "packet_streams.h"

#include <string.h>

#include <libavutil/intreadwrite.h>

#include "log.h"

#define NANOSECONDS 1000000000
/* RFC 7845: rate of the identification header, and what a decoder drops at the start. */
#define OPUS_HEAD_BYTES 19
#define OPUS_RATE       48000

static bool is_shared(const AVStream *av)
{
    const AVCodecParameters *par = av->codecpar;

    if (par->codec_type != AVMEDIA_TYPE_VIDEO && par->codec_type != AVMEDIA_TYPE_AUDIO)
        return false;
    return packets_worth_it(par) && av->discard != AVDISCARD_ALL;
}

/* Indices of the streams to share, and how many. */
static uint32_t choose(const struct packets *packets, const struct source *source,
                       unsigned chosen[CUFRAMES_MAX_STREAMS])
{
    const AVFormatContext *format = source->format;
    bool video_placed = !source->video || !is_shared(source->video);
    uint32_t count = 0, left_out = 0;

    /* Raw pictures are decoded in name only; sound without its pictures is not what was asked for. */
    if (source->video && video_placed && packets->options->when != DECODE_OFF)
        return 0;
    for (unsigned i = 0; i < format->nb_streams; i++) {
        const AVStream *av = format->streams[i];
        bool video = av->codecpar->codec_type == AVMEDIA_TYPE_VIDEO;

        if (!is_shared(av) || (video && video_placed && av == source->video))
            continue;
        if (video && !video_placed && av != source->video && count < CUFRAMES_MAX_STREAMS) {
            chosen[count++] = (unsigned)source->video->index;
            video_placed = true;
        }
        video_placed = video_placed || av == source->video;
        if (count < CUFRAMES_MAX_STREAMS)
            chosen[count++] = i;
        else
            left_out++;
    }
    if (left_out)
        log_line(CUFRAMES_LOG_WARNING, "packets: %u streams are left out, a channel has at most %d",
                 left_out, CUFRAMES_MAX_STREAMS);
    return count;
}

/* Opus over RTP comes without the header that every container wants. */
static void make_opus_head(struct packet_stream *stream)
{
    static const uint8_t magic[8] = {'O', 'p', 'u', 's', 'H', 'e', 'a', 'd'};
    uint8_t *head = stream->extradata;

    if (stream->description.channels < 1 || stream->description.channels > 2)
        return;
    memset(head, 0, OPUS_HEAD_BYTES);
    memcpy(head, magic, sizeof(magic));
    head[8] = 1; /* version */
    head[9] = (uint8_t)stream->description.channels;
    AV_WL32(head + 12, OPUS_RATE);
    stream->description.extradata_size = OPUS_HEAD_BYTES;
}

/* False if its parameters are longer than a channel can tell. */
static bool describe(struct packet_stream *stream, struct source *source, AVStream *av)
{
    const AVCodecParameters *par = av->codecpar;
    cuframes_stream_t *description = &stream->description;

    stream_from_av(source->format, av, description);
    stream->av_index = av->index;
    stream->default_duration_ns = 0;
    if (description->fps_num > 0)
        stream->default_duration_ns =
            av_rescale(NANOSECONDS, description->fps_den, description->fps_num);
    if (par->extradata_size > CUFRAMES_MAX_EXTRADATA) {
        log_line(CUFRAMES_LOG_WARNING,
                 "packets: stream %d (%s) is left out, its parameters have %d bytes and a channel "
                 "can tell %d",
                 av->index, description->codec_name, par->extradata_size, CUFRAMES_MAX_EXTRADATA);
        return false;
    }
    if (par->extradata_size > 0)
        memcpy(stream->extradata, par->extradata, (size_t)par->extradata_size);
    description->extradata_size = (uint32_t)par->extradata_size;
    if (par->codec_id == AV_CODEC_ID_OPUS && par->extradata_size == 0)
        make_opus_head(stream);
    parameter_sets_open(&stream->sets, par, description->packaging);
    return true;
}

/* What makes packets of one session go on where those of another ended. */
static bool goes_on(const struct packet_stream *was, const struct packet_stream *is)
{
    const cuframes_stream_t *a = &was->description, *b = &is->description;

    return a->type == b->type && a->codec_id == b->codec_id && a->packaging == b->packaging &&
           a->time_base_num == b->time_base_num && a->time_base_den == b->time_base_den &&
           a->width == b->width && a->height == b->height && a->sample_rate == b->sample_rate &&
           a->channels == b->channels && strcmp(a->language, b->language) == 0 &&
           parameter_sets_equal(was->extradata, a->extradata_size, is->extradata, b->extradata_size,
                                a->packaging);
}

/* Keeps what was said before, with what belongs to the new session. */
static void carry_on(struct packet_stream *stream, struct packet_stream *fresh)
{
    parameter_sets_close(&stream->sets);
    stream->sets = fresh->sets;
    stream->av_index = fresh->av_index;
    stream->came = false;
}

static void replace(struct packets *packets, const struct packet_stream *fresh, uint32_t count)
{
    char list[256] = "";

    for (uint32_t i = 0; i < packets->count; i++)
        parameter_sets_close(&packets->streams[i].sets);
    memcpy(packets->streams, fresh, sizeof(*fresh) * count);
    packets->count = count;
    for (uint32_t i = 0; i < count; i++) {
        size_t length = strlen(list);

        snprintf(list + length, sizeof(list) - length, "%s%s", i ? ", " : "",
                 fresh[i].description.codec_name);
    }
    if (count > 0)
        log_line(CUFRAMES_LOG_INFO, "sharing packets: %s", list);
}

bool packet_streams_describe(struct packets *packets, struct source *source)
{
    static struct packet_stream fresh[CUFRAMES_MAX_STREAMS]; /* large; main thread only */
    unsigned chosen[CUFRAMES_MAX_STREAMS];
    uint32_t wanted = choose(packets, source, chosen), count = 0;
    bool same;

    for (uint32_t i = 0; i < wanted; i++) {
        fresh[count] = (struct packet_stream){0};
        count += describe(&fresh[count], source, source->format->streams[chosen[i]]);
    }
    same = count == packets->count;
    for (uint32_t i = 0; same && i < count; i++)
        same = goes_on(&packets->streams[i], &fresh[i]);
    if (!same) {
        replace(packets, fresh, count);
        return true;
    }
    for (uint32_t i = 0; i < count; i++)
        carry_on(&packets->streams[i], &fresh[i]);
    return false;
}

struct packet_stream *packet_streams_find(struct packets *packets, int av_index)
{
    for (uint32_t i = 0; i < packets->count; i++)
        if (packets->streams[i].av_index == av_index)
            return &packets->streams[i];
    return NULL;
}

bool packet_stream_changes(struct packet_stream *stream, const AVPacket *packet)
{
    const cuframes_stream_t *is = &stream->description;
    size_t size = 0;
    const uint8_t *found = parameter_sets_find(&stream->sets, packet, &size);

    if (!found)
        return false;
    /* AV1 has its parameters in another form in a container than in the stream: where there are
     * some, only the container can change them. */
    if (is->codec_id == AV_CODEC_ID_AV1 && is->extradata_size > 0 &&
        !av_packet_get_side_data(packet, AV_PKT_DATA_NEW_EXTRADATA, NULL))
        return false;
    return !parameter_sets_equal(stream->extradata, is->extradata_size, found, size, is->packaging);
}

bool packet_stream_follow(struct packet_stream *stream, const AVPacket *packet)
{
    cuframes_stream_t *is = &stream->description;
    size_t size = 0;
    const uint8_t *found = parameter_sets_find(&stream->sets, packet, &size);

    if (!found || size > CUFRAMES_MAX_EXTRADATA) {
        log_line(CUFRAMES_LOG_WARNING,
                 "packets: new parameters of %s with %zu bytes are not told, a channel can tell %d",
                 is->codec_name, size, CUFRAMES_MAX_EXTRADATA);
        return false;
    }
    memcpy(stream->extradata, found, size);
    is->extradata_size = (uint32_t)size;
    if (is->type == CUFRAMES_STREAM_VIDEO)
        parameter_sets_picture((enum AVCodecID)is->codec_id, found, size, packet, &is->width,
                               &is->height);
    return true;
}
