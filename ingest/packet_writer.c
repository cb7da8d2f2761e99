/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libavformat's muxers over a sink.
 *
 * Packets are given to the muxer in the order in which they come, which is the source's: a queue
 * that sorts streams would hold back what a kill would lose. The muxers add what containers need
 * (start codes or lengths, ADTS headers) by filters of their own, but for that of MP4 in fragments.
 *
 * MP4 is written in fragments and Matroska in clusters. One ends where a key frame is to begin the
 * next, or a second after it began: up to there the container is whole at any time.
 */
#include "packet_writer.h"

#include <errno.h>
#include <string.h>

#include <libavcodec/bsf.h>
#include <libavformat/avformat.h>

#include "codec_parameters.h"
#include "packet_clock.h"
#include "packet_start.h"
#include "packet_writer_error.h"
#include "parameter_sets.h"
#include "times.h"

#define IO_BUFFER_SIZE 65536
#define NANOSECONDS    1000000000
#define FLUSH_NS       INT64_C(1000000000)
/* Key frames without parameters after which none are hoped for. */
#define HOPE_KEY_FRAMES 10

struct writer_stream {
    cuframes_stream_t description; /* without extradata */
    AVRational time_base;          /* the source's */
    int av_index;                  /* -1 = left out */
    AVBSFContext *filter;          /* that the muxer needs and does not add; or NULL */
    int64_t last_dts;              /* in the container's time base; AV_NOPTS_VALUE = none */
    int64_t next_dts_ns;           /* for a packet without any time */
};

struct packet_writer {
    enum packet_format format;
    struct packet_sink sink;
    AVFormatContext *av;
    AVPacket *packet;
    struct writer_stream streams[CUFRAMES_MAX_STREAMS];
    int32_t count;
    struct packet_clock clock;
    struct packet_start start;
    struct parameter_sets sets; /* ANNEXB: of the one stream */
    struct parameter_sets wait; /* of the stream whose parameters are waited for */
    int32_t waited_for;         /* that stream, -1 = none */
    unsigned without;           /* its key frames so far */
    bool broken;                /* the sink has failed */
    bool header_written;
    bool unflushed;
    uint64_t refused;
    int64_t flushed_at_ns; /* when the sink had everything */
};

static const struct {
    const char *muxer, *name;
} containers[] = {
    [PACKET_FORMAT_MP4] = {"mp4", "MP4"},
    [PACKET_FORMAT_MATROSKA] = {"matroska", "Matroska"},
    [PACKET_FORMAT_MPEGTS] = {"mpegts", "MPEG-TS"},
    [PACKET_FORMAT_NUT] = {"nut", "NUT"},
    [PACKET_FORMAT_ANNEXB] = {NULL, "Annex B"},
};

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_all(void *opaque, const uint8_t *data, int size)
#else
static int write_all(void *opaque, uint8_t *data, int size)
#endif
{
    struct packet_writer *writer = opaque;

    if (!writer->broken)
        writer->broken = !writer->sink.write(writer->sink.user, data, (size_t)size);
    return writer->broken ? AVERROR(EIO) : size;
}

static int64_t seek_to(void *opaque, int64_t offset, int whence)
{
    struct packet_writer *writer = opaque;
    int64_t place;

    if (writer->broken || (whence & AVSEEK_SIZE))
        return AVERROR(ENOSYS);
    place = writer->sink.seek(writer->sink.user, offset, whence & ~AVSEEK_FORCE);
    return place < 0 ? AVERROR(EIO) : place;
}

static int out_of_memory(void)
{
    return packet_writer_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
}

static int failed(const struct packet_writer *writer, int averror)
{
    char text[AV_ERROR_MAX_STRING_SIZE];

    if (writer->broken)
        return packet_writer_fail(CUFRAMES_ERR_IO, "the output cannot be written");
    if (averror == AVERROR(ENOMEM))
        return out_of_memory();
    av_strerror(averror, text, sizeof(text));
    return packet_writer_fail(CUFRAMES_ERR_IO, "%s cannot be written: %s",
                              containers[writer->format].name, text);
}

/* MPEG-TS has numbers for few codecs; FFmpeg writes others in a way that nobody reads. */
static bool mpegts_carries(enum AVCodecID id)
{
    static const enum AVCodecID known[] = {
        AV_CODEC_ID_H264,  AV_CODEC_ID_HEVC, AV_CODEC_ID_MPEG1VIDEO, AV_CODEC_ID_MPEG2VIDEO,
        AV_CODEC_ID_MPEG4, AV_CODEC_ID_AAC,  AV_CODEC_ID_AAC_LATM,   AV_CODEC_ID_MP2,
        AV_CODEC_ID_MP3,   AV_CODEC_ID_AC3,  AV_CODEC_ID_EAC3,       AV_CODEC_ID_OPUS,
        AV_CODEC_ID_DTS,
    };

    for (size_t i = 0; i < FF_ARRAY_ELEMS(known); i++)
        if (known[i] == id)
            return true;
    return false;
}

static bool carries(const struct packet_writer *writer, enum AVCodecID id)
{
    if (writer->format == PACKET_FORMAT_ANNEXB)
        return true; /* chosen for it */
    if (writer->format == PACKET_FORMAT_MPEGTS)
        return mpegts_carries(id);
    /* Matroska has no name of its own for some, but a way to carry them (G.711, say). */
    return avformat_query_codec(writer->av->oformat, id,
                                writer->format == PACKET_FORMAT_MATROSKA
                                    ? FF_COMPLIANCE_UNOFFICIAL
                                    : FF_COMPLIANCE_NORMAL) == 1;
}

/* The source's own tag where the container knows it for this codec, as for "hvc1". */
static uint32_t tag_for(const AVOutputFormat *container, const cuframes_stream_t *stream)
{
    enum AVCodecID id = stream_codec_id(stream);
    bool fits = container->codec_tag && stream->codec_tag &&
                av_codec_get_id(container->codec_tag, stream->codec_tag) == id;

    return fits ? stream->codec_tag : 0;
}

/* AAC of a transport stream has a header in each packet; MP4 wants it once. */
static int add_filter(struct packet_writer *writer, struct writer_stream *stream,
                      const AVStream *av)
{
    const AVBitStreamFilter *filter = av_bsf_get_by_name("aac_adtstoasc");
    int err;

    if (writer->format != PACKET_FORMAT_MP4 || av->codecpar->codec_id != AV_CODEC_ID_AAC ||
        av->codecpar->extradata_size > 0 || !filter)
        return CUFRAMES_OK;
    err = av_bsf_alloc(filter, &stream->filter);
    if (err >= 0)
        err = avcodec_parameters_copy(stream->filter->par_in, av->codecpar);
    if (err >= 0)
        err = av_bsf_init(stream->filter);
    return err < 0 ? out_of_memory() : CUFRAMES_OK;
}

static int add_stream(struct packet_writer *writer, int32_t index, const cuframes_stream_t *from)
{
    struct writer_stream *stream = &writer->streams[index];
    AVStream *av;
    int err;

    if (!carries(writer, stream_codec_id(from)))
        return packet_writer_fail(CUFRAMES_ERR_FORMAT, "%s cannot carry %s",
                                  containers[writer->format].name, from->codec_name);
    av = avformat_new_stream(writer->av, NULL);
    if (!av)
        return out_of_memory();
    err = stream_to_av(from, av->codecpar);
    if (err == AVERROR_DECODER_NOT_FOUND)
        return packet_writer_fail(CUFRAMES_ERR_FORMAT, "this FFmpeg does not know the codec %s",
                                  from->codec_name);
    if (err < 0)
        return out_of_memory();
    av->codecpar->codec_tag = tag_for(writer->av->oformat, from);
    av->time_base = stream->time_base;
    av->sample_aspect_ratio = av->codecpar->sample_aspect_ratio;
    if (from->fps_num > 0 && from->fps_den > 0)
        av->avg_frame_rate = (AVRational){from->fps_num, from->fps_den};
    if (from->language[0])
        av_dict_set(&av->metadata, "language", from->language, 0);
    stream->av_index = av->index;
    return add_filter(writer, stream, av);
}

static int add_streams(struct packet_writer *writer, const cuframes_stream_t *streams,
                       uint32_t mask)
{
    uint32_t added = 0;

    for (int32_t i = 0; i < writer->count; i++) {
        writer->streams[i] = (struct writer_stream){
            .description = streams[i],
            .time_base = stream_time_base(&streams[i]),
            .av_index = -1,
            .last_dts = AV_NOPTS_VALUE,
        };
        if ((mask & 1u << i) && streams[i].type != CUFRAMES_STREAM_DATA) {
            int err = add_stream(writer, i, &streams[i]);

            if (err)
                return err;
            added |= 1u << i;
        }
        writer->streams[i].description.extradata = NULL;
    }
    if (!added)
        return packet_writer_fail(CUFRAMES_ERR_FORMAT, "there is no stream to write");
    packet_start_init(&writer->start, added);
    return CUFRAMES_OK;
}

/* Annex B is one stream: the first video. Returns its bit, 0 if it has another form. */
static uint32_t choose_annexb(const cuframes_stream_t *streams, int32_t count, const char **muxer)
{
    for (int32_t i = 0; i < count; i++) {
        enum AVCodecID id = stream_codec_id(&streams[i]);

        if (streams[i].type != CUFRAMES_STREAM_VIDEO)
            continue;
        *muxer = id == AV_CODEC_ID_H264 ? "h264" : id == AV_CODEC_ID_HEVC ? "hevc" : NULL;
        return *muxer ? 1u << i : 0;
    }
    return 0;
}

static int open_output(struct packet_writer *writer, const char *muxer)
{
    unsigned char *buffer;

    if (avformat_alloc_output_context2(&writer->av, NULL, muxer, NULL) < 0)
        return packet_writer_fail(CUFRAMES_ERR_NOT_FOUND, "this libavformat has no muxer for %s",
                                  containers[writer->format].name);
    writer->packet = av_packet_alloc();
    buffer = av_malloc(IO_BUFFER_SIZE);
    if (!writer->packet || !buffer) {
        av_free(buffer);
        return out_of_memory();
    }
    writer->av->pb = avio_alloc_context(buffer, IO_BUFFER_SIZE, 1, writer, NULL, write_all,
                                        writer->sink.seek ? seek_to : NULL);
    if (!writer->av->pb) {
        av_free(buffer);
        return out_of_memory();
    }
    writer->av->flags |= AVFMT_FLAG_CUSTOM_IO;
    return CUFRAMES_OK;
}

/* Finds out which key frames bring their parameter sets. The muxer puts them in by itself where
 * NAL units have lengths. */
static int watch_parameter_sets(struct packet_writer *writer)
{
    for (int32_t i = 0; i < writer->count; i++)
        if (writer->streams[i].av_index == 0 &&
            parameter_sets_open(&writer->sets, writer->av->streams[0]->codecpar,
                                writer->streams[i].description.packaging) < 0)
            return out_of_memory();
    return CUFRAMES_OK;
}

/* The first video is waited for, if its parameters can come inside it alone. */
static int wait_for_parameters(struct packet_writer *writer)
{
    for (int32_t i = 0; i < writer->count && writer->waited_for < 0; i++) {
        const struct writer_stream *stream = &writer->streams[i];
        const AVCodecParameters *par;

        if (stream->av_index < 0 || stream->description.type != CUFRAMES_STREAM_VIDEO)
            continue;
        par = writer->av->streams[stream->av_index]->codecpar;
        if (par->extradata_size > 0)
            break;
        if (parameter_sets_open(&writer->wait, par, stream->description.packaging) < 0)
            return out_of_memory();
        if (!writer->wait.extract)
            break;
        writer->waited_for = i;
    }
    return CUFRAMES_OK;
}

static int open_writer(struct packet_writer *writer, const cuframes_stream_t *streams,
                       uint32_t mask)
{
    const char *muxer = containers[writer->format].muxer;
    int err;

    if (writer->format == PACKET_FORMAT_ANNEXB) {
        mask = choose_annexb(streams, writer->count, &muxer);
        if (!mask)
            return packet_writer_fail(CUFRAMES_ERR_FORMAT,
                                      "Annex B is a form of H.264 and HEVC alone, and this channel "
                                      "has neither: take another format");
    }
    err = open_output(writer, muxer);
    if (!err)
        err = add_streams(writer, streams, mask ? mask : UINT32_MAX);
    if (!err && writer->format == PACKET_FORMAT_ANNEXB)
        err = watch_parameter_sets(writer);
    return err ? err : wait_for_parameters(writer);
}

int packet_writer_open(enum packet_format format, const cuframes_stream_t *streams, int32_t count,
                       uint32_t mask, const struct packet_sink *sink, struct packet_writer **out)
{
    struct packet_writer *writer = av_mallocz(sizeof(*writer));
    int err;

    if (!writer)
        return out_of_memory();
    /* What its muxers have to say comes as an error, or is about what the source did. */
    av_log_set_level(AV_LOG_QUIET);
    writer->format = format;
    writer->sink = *sink;
    writer->count = count;
    writer->waited_for = -1;
    writer->flushed_at_ns = cuframes_now_ns();
    err = open_writer(writer, streams, mask);
    if (err) {
        packet_writer_abandon(writer);
        return err;
    }
    *out = writer;
    return CUFRAMES_OK;
}

static int write_header(struct packet_writer *writer)
{
    AVDictionary *options = NULL;
    int err;

    if (writer->header_written)
        return CUFRAMES_OK;
    if (writer->format == PACKET_FORMAT_MP4)
        av_dict_set(&options, "movflags", "frag_custom+delay_moov+default_base_moof", 0);
    err = avformat_write_header(writer->av, &options);
    av_dict_free(&options);
    if (err < 0 && !writer->broken)
        return packet_writer_fail(CUFRAMES_ERR_FORMAT,
                                  "%s cannot carry these streams, or their parameters are not "
                                  "whole: take another format",
                                  containers[writer->format].name);
    if (err < 0)
        return failed(writer, err);
    writer->header_written = true;
    return CUFRAMES_OK;
}

static int64_t to_ticks(int64_t ns, AVRational time_base)
{
    return av_rescale_q(ns, (AVRational){1, NANOSECONDS}, time_base);
}

/* From the channel's time to the container's, by way of the source's ticks, which are exact. */
static int64_t place(const struct packet_writer *writer, const struct writer_stream *stream,
                     int64_t ns)
{
    int64_t ticks = time_difference(to_ticks(ns, stream->time_base),
                                    to_ticks(writer->start.origin_ns, stream->time_base));

    return av_rescale_q(ticks, stream->time_base, writer->av->streams[stream->av_index]->time_base);
}

/* Muxers take no decoding time twice. */
static void keep_order(struct writer_stream *stream, AVPacket *packet)
{
    if (stream->last_dts != AV_NOPTS_VALUE && packet->dts <= stream->last_dts)
        packet->dts = time_sum(stream->last_dts, 1);
    packet->pts = FFMAX(packet->pts, packet->dts);
    stream->last_dts = packet->dts;
}

/* Annex B has no place for parameter sets but the stream: put them where they are missing. */
static void write_parameter_sets(struct packet_writer *writer, const AVPacket *packet)
{
    const AVCodecParameters *par = writer->av->streams[0]->codecpar;
    size_t size;

    if (writer->format == PACKET_FORMAT_ANNEXB && (packet->flags & AV_PKT_FLAG_KEY) &&
        writer->sets.extract && !parameter_sets_find(&writer->sets, packet, &size) &&
        par->extradata_size > 0)
        avio_write(writer->av->pb, par->extradata, par->extradata_size);
}

/* One packet in, one packet out. */
static int filter(const struct writer_stream *stream, AVPacket *packet)
{
    int err = av_bsf_send_packet(stream->filter, packet);

    return err < 0 ? err : av_bsf_receive_packet(stream->filter, packet);
}

/* Writes a packet that still has its stream's number here and the channel's times. */
static int mux(struct packet_writer *writer, AVPacket *packet)
{
    struct writer_stream *stream = &writer->streams[packet->stream_index];
    int err = write_header(writer);

    if (err)
        return err;
    packet->pts = place(writer, stream, packet->pts);
    packet->dts = place(writer, stream, packet->dts);
    packet->duration =
        av_rescale_q(to_ticks(packet->duration, stream->time_base), stream->time_base,
                     writer->av->streams[stream->av_index]->time_base);
    packet->stream_index = stream->av_index;
    keep_order(stream, packet);
    write_parameter_sets(writer, packet);
    if (stream->filter)
        err = filter(stream, packet);
    if (err >= 0)
        err = av_write_frame(writer->av, packet);
    writer->unflushed = true;
    if (err >= 0 && !writer->broken)
        return CUFRAMES_OK;
    /* One damaged packet does not end the recording of the others. */
    if (!writer->broken && err != AVERROR(ENOMEM)) {
        writer->refused++;
        return CUFRAMES_OK;
    }
    return failed(writer, err);
}

uint64_t packet_writer_refused(const struct packet_writer *writer)
{
    return writer->refused;
}

/* Parameters that the channel does not tell and the first key frame has: Matroska wants them in its
 * header. */
static int complete_parameters(struct packet_writer *writer, const AVPacket *packet)
{
    const struct writer_stream *stream = &writer->streams[packet->stream_index];
    AVCodecParameters *par = writer->av->streams[stream->av_index]->codecpar;
    struct parameter_sets sets;
    const uint8_t *found;
    size_t size;

    if (par->extradata_size > 0 || !(packet->flags & AV_PKT_FLAG_KEY))
        return CUFRAMES_OK;
    if (parameter_sets_open(&sets, par, stream->description.packaging) < 0)
        return out_of_memory();
    found = parameter_sets_find(&sets, packet, &size);
    if (found) {
        par->extradata = av_mallocz(size + AV_INPUT_BUFFER_PADDING_SIZE);
        if (par->extradata) {
            memcpy(par->extradata, found, size);
            par->extradata_size = (int)size;
        }
    }
    parameter_sets_close(&sets);
    return found && !par->extradata ? out_of_memory() : CUFRAMES_OK;
}

static int mux_kept(struct packet_writer *writer)
{
    int err = CUFRAMES_OK;

    for (int i = 0; i < writer->start.count && !err && !writer->header_written; i++)
        err = complete_parameters(writer, writer->start.kept[i]);
    for (int i = 0; i < writer->start.count && !err; i++)
        err = mux(writer, writer->start.kept[i]);
    packet_start_fini(&writer->start);
    return err;
}

static bool in_pieces(const struct packet_writer *writer)
{
    return writer->format == PACKET_FORMAT_MP4 || writer->format == PACKET_FORMAT_MATROSKA;
}

/* What a muxer that writes in pieces holds back. */
static int end_piece(struct packet_writer *writer)
{
    int err = 0;

    /* The first fragment of an MP4 takes two: its header, which waited for it, comes first. */
    for (int i = 0; i < (writer->format == PACKET_FORMAT_MP4 ? 2 : 1) && err >= 0; i++)
        err = av_write_frame(writer->av, NULL);
    return err;
}

static int flush(struct packet_writer *writer)
{
    int err = in_pieces(writer) ? end_piece(writer) : 0;

    avio_flush(writer->av->pb);
    if (err < 0 || writer->broken)
        return failed(writer, err);
    writer->unflushed = false;
    writer->flushed_at_ns = cuframes_now_ns();
    if (writer->sink.mark)
        writer->sink.mark(writer->sink.user);
    return CUFRAMES_OK;
}

bool packet_writer_waits(const struct packet_writer *writer)
{
    return writer->waited_for >= 0;
}

static int no_parameters(const struct packet_writer *writer)
{
    return packet_writer_fail(CUFRAMES_ERR_NOT_FOUND,
                              "the channel does not tell the parameters of its %s, and none of its "
                              "key frames brought them: nothing was written",
                              writer->streams[writer->waited_for].description.codec_name);
}

/* Looks whether a packet ends the wait. */
static int look_for_parameters(struct packet_writer *writer)
{
    const AVPacket *packet = writer->packet;
    size_t size;

    if (packet->stream_index != writer->waited_for || !(packet->flags & AV_PKT_FLAG_KEY))
        return CUFRAMES_OK;
    if (parameter_sets_find(&writer->wait, packet, &size)) {
        writer->waited_for = -1;
        parameter_sets_close(&writer->wait);
        return CUFRAMES_OK;
    }
    return ++writer->without < HOPE_KEY_FRAMES ? CUFRAMES_OK : no_parameters(writer);
}

int packet_writer_flush(struct packet_writer *writer, bool force)
{
    bool due = force || !in_pieces(writer) || cuframes_now_ns() - writer->flushed_at_ns >= FLUSH_NS;
    int err = CUFRAMES_OK;

    if (packet_writer_waits(writer))
        return force ? no_parameters(writer) : CUFRAMES_OK;
    if (force && !writer->start.decided) {
        packet_start_decide(&writer->start);
        err = mux_kept(writer);
    }
    if (!err && writer->unflushed && due)
        err = flush(writer);
    return err;
}

/* Times that are not known: as near as can be told. */
static void complete_times(struct writer_stream *stream, struct packet_times *times)
{
    if (times->dts_ns == CUFRAMES_NO_TIME)
        times->dts_ns = times->pts_ns == CUFRAMES_NO_TIME || stream->description.video_delay > 0
                            ? stream->next_dts_ns
                            : times->pts_ns;
    if (times->pts_ns == CUFRAMES_NO_TIME)
        times->pts_ns = times->dts_ns;
    stream->next_dts_ns = time_sum(times->dts_ns, times->duration_ns);
}

static int fill(struct packet_writer *writer, const cuframes_packet_t *from,
                const struct packet_times *times)
{
    AVPacket *packet = writer->packet;

    if (av_new_packet(packet, (int)cuframes_packet_size(from)) < 0)
        return out_of_memory();
    memcpy(packet->data, cuframes_packet_data(from), cuframes_packet_size(from));
    packet->stream_index = (int)cuframes_packet_stream(from);
    packet->pts = times->pts_ns;
    packet->dts = times->dts_ns;
    packet->duration = times->duration_ns;
    if (cuframes_packet_flags(from) & CUFRAMES_PKT_FLAG_KEY)
        packet->flags |= AV_PKT_FLAG_KEY;
    if (cuframes_packet_flags(from) & CUFRAMES_PKT_FLAG_CORRUPT)
        packet->flags |= AV_PKT_FLAG_CORRUPT;
    return CUFRAMES_OK;
}

static int64_t padding_ns(const cuframes_stream_t *stream)
{
    if (stream->sample_rate <= 0)
        return 0;
    return av_rescale(stream->initial_padding, NANOSECONDS, stream->sample_rate);
}

static int take(struct packet_writer *writer, const struct packet_times *times)
{
    AVPacket *packet = writer->packet;
    struct writer_stream *stream = &writer->streams[packet->stream_index];
    bool key =
        stream->description.type == CUFRAMES_STREAM_VIDEO && (packet->flags & AV_PKT_FLAG_KEY);
    int err = CUFRAMES_OK;

    if (!writer->start.decided) {
        packet_start_note(&writer->start, (uint32_t)packet->stream_index, times,
                          padding_ns(&stream->description));
        if (!packet_start_keep(&writer->start, packet))
            return out_of_memory();
        return writer->start.decided ? mux_kept(writer) : CUFRAMES_OK;
    }
    if (key && in_pieces(writer) && writer->unflushed)
        err = flush(writer);
    if (!err)
        err = mux(writer, packet);
    return err ? err : packet_writer_flush(writer, false);
}

int packet_writer_packet(struct packet_writer *writer, const cuframes_packet_t *packet)
{
    uint32_t index = cuframes_packet_stream(packet);
    struct packet_times times = {
        .pts_ns = cuframes_packet_pts(packet),
        .dts_ns = cuframes_packet_dts(packet),
        .duration_ns = cuframes_packet_duration(packet),
    };
    int64_t offset;
    int err;

    if (index >= (uint32_t)writer->count || writer->streams[index].av_index < 0)
        return CUFRAMES_OK;
    packet_clock_map(&writer->clock, index, &times, &offset);
    complete_times(&writer->streams[index], &times);
    err = fill(writer, packet, &times);
    if (!err && packet_writer_waits(writer))
        err = look_for_parameters(writer);
    if (!err && !packet_writer_waits(writer))
        err = take(writer, &times);
    av_packet_unref(writer->packet);
    return err;
}

int packet_writer_close(struct packet_writer *writer)
{
    int err;

    if (!writer)
        return CUFRAMES_OK;
    err = packet_writer_flush(writer, true);
    if (!err && writer->header_written) {
        int averror = av_write_trailer(writer->av);

        avio_flush(writer->av->pb);
        if (averror < 0 || writer->broken)
            err = failed(writer, averror);
    }
    packet_writer_abandon(writer);
    return err;
}

void packet_writer_abandon(struct packet_writer *writer)
{
    if (!writer)
        return;
    writer->broken = true;
    if (writer->av && writer->av->pb) {
        av_freep(&writer->av->pb->buffer);
        avio_context_free(&writer->av->pb);
    }
    avformat_free_context(writer->av);
    for (int32_t i = 0; i < writer->count; i++)
        av_bsf_free(&writer->streams[i].filter);
    packet_start_fini(&writer->start);
    parameter_sets_close(&writer->sets);
    parameter_sets_close(&writer->wait);
    av_packet_free(&writer->packet);
    av_free(writer);
}
