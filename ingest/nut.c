/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Raw video in NUT, on a borrowed descriptor.
 *
 * The muxer writes through an AVIOContext of our own, which loops over short writes and remembers
 * the first failure: libavformat may report it only on a later call. Pictures are packed (no
 * padding, crop applied), which NUT's raw video asks for; that is one copy for each frame.
 */
#include "nut.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/imgutils.h>
#include <libavutil/intreadwrite.h>

#include "nut_error.h"
#include "pixfmt.h"
#include "times.h"

#define IO_BUFFER_SIZE 65536
#define NANOSECONDS    1000000000
#define STALL_LOOK_MS  100 /* between two questions whether to stop */

struct nut_writer {
    AVFormatContext *format;
    AVPacket *packet;
    int fd; /* borrowed */
    bool (*stop)(void);
    int broken; /* errno of the first write that failed */
    cuframes_format_t picture_format;
    enum AVPixelFormat pix_fmt;
    int32_t width, height;
    bool started;
    int64_t last_time;      /* what the newest frame was given, nanoseconds */
    int64_t last_published; /* CLOCK_MONOTONIC of the newest frame */
    int64_t offset;         /* from pts to the stream's time line */
};

/* Waits until a non-blocking descriptor takes more. False: the program is to end. */
static bool wait_writable(const struct nut_writer *writer)
{
    struct pollfd wait = {.fd = writer->fd, .events = POLLOUT};

    poll(&wait, 1, STALL_LOOK_MS);
    return !writer->stop || !writer->stop();
}

#if LIBAVFORMAT_VERSION_MAJOR >= 61
static int write_all(void *opaque, const uint8_t *data, int size)
#else
static int write_all(void *opaque, uint8_t *data, int size)
#endif
{
    struct nut_writer *writer = opaque;
    int done = 0;

    if (writer->broken)
        return AVERROR(writer->broken);
    while (done < size) {
        ssize_t n = write(writer->fd, data + done, (size_t)(size - done));

        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (wait_writable(writer))
                continue;
            errno = EINTR;
        }
        if (n < 0) {
            writer->broken = errno;
            return AVERROR(errno);
        }
        done += (int)n;
    }
    return size;
}

static int write_failed(const struct nut_writer *writer, int averror)
{
    char text[AV_ERROR_MAX_STRING_SIZE];

    if (writer->broken == EPIPE)
        return nut_fail(CUFRAMES_ERR_DISCONNECTED, "the reader of the stream is gone");
    if (writer->broken == EINTR)
        return nut_fail(CUFRAMES_ERR_WOULD_BLOCK, "stopped while the reader of the stream stalls");
    if (writer->broken)
        return nut_fail(CUFRAMES_ERR_IO, "cannot write the stream: %s", strerror(writer->broken));
    av_strerror(averror, text, sizeof(text));
    return nut_fail(CUFRAMES_ERR_IO, "cannot write NUT: %s", text);
}

static void nut_writer_free(struct nut_writer *writer)
{
    if (writer->format && writer->format->pb) {
        av_freep(&writer->format->pb->buffer);
        avio_context_free(&writer->format->pb);
    }
    avformat_free_context(writer->format);
    av_packet_free(&writer->packet);
    av_free(writer);
}

static int open_output(struct nut_writer *writer)
{
    unsigned char *buffer;

    if (avformat_alloc_output_context2(&writer->format, NULL, "nut", NULL) < 0)
        return nut_fail(CUFRAMES_ERR_NOT_FOUND, "this libavformat has no NUT muxer");
    writer->packet = av_packet_alloc();
    buffer = av_malloc(IO_BUFFER_SIZE);
    if (!writer->packet || !buffer) {
        av_free(buffer);
        return nut_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    writer->format->pb =
        avio_alloc_context(buffer, IO_BUFFER_SIZE, 1, writer, NULL, write_all, NULL);
    if (!writer->format->pb) {
        av_free(buffer);
        return nut_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    }
    writer->format->pb->direct = 1; /* pictures need no second copy through the buffer */
    writer->format->flags |= AVFMT_FLAG_CUSTOM_IO | AVFMT_FLAG_FLUSH_PACKETS;
    return CUFRAMES_OK;
}

static void describe(struct nut_writer *writer, AVStream *stream, const cuframes_frame_t *first,
                     const cuframes_channel_info_t *info)
{
    AVCodecParameters *par = stream->codecpar;
    cuframes_color_t color;

    cuframes_frame_color(first, &color);
    par->codec_type = AVMEDIA_TYPE_VIDEO;
    par->codec_id = AV_CODEC_ID_RAWVIDEO;
    par->codec_tag = avcodec_pix_fmt_to_codec_tag(writer->pix_fmt);
    par->format = writer->pix_fmt;
    par->width = writer->width;
    par->height = writer->height;
    par->color_space = color.matrix ? color.matrix : AVCOL_SPC_UNSPECIFIED;
    par->color_primaries = color.primaries ? color.primaries : AVCOL_PRI_UNSPECIFIED;
    par->color_trc = color.transfer ? color.transfer : AVCOL_TRC_UNSPECIFIED;
    par->color_range = (enum AVColorRange)color.range; /* the same three numbers */
    stream->time_base = (AVRational){1, NANOSECONDS};
    if (info && info->sar_num > 0 && info->sar_den > 0)
        par->sample_aspect_ratio = (AVRational){info->sar_num, info->sar_den};
    stream->sample_aspect_ratio = par->sample_aspect_ratio;
    if (info && info->fps_num > 0 && info->fps_den > 0) {
        stream->avg_frame_rate = (AVRational){info->fps_num, info->fps_den};
        stream->r_frame_rate = stream->avg_frame_rate;
    }
}

static int start_stream(struct nut_writer *writer, const cuframes_frame_t *first,
                        const cuframes_channel_info_t *info)
{
    AVStream *stream = avformat_new_stream(writer->format, NULL);
    int err;

    if (!stream)
        return nut_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    describe(writer, stream, first, info);
    err = avformat_write_header(writer->format, NULL);
    if (err == AVERROR(EINVAL) && !writer->broken)
        return nut_fail(CUFRAMES_ERR_FORMAT, "NUT has no name for the format %s",
                        cuframes_format_name(writer->picture_format));
    return err < 0 ? write_failed(writer, err) : CUFRAMES_OK;
}

int nut_writer_open_channel(int fd, const cuframes_frame_t *first,
                            const cuframes_channel_info_t *info, struct nut_writer **out)
{
    struct nut_writer *writer = av_mallocz(sizeof(*writer));
    int err;

    if (!writer)
        return nut_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    writer->fd = fd;
    writer->picture_format = cuframes_frame_format(first);
    writer->pix_fmt = writer->picture_format == CUFRAMES_FORMAT_P010
                          ? AV_PIX_FMT_YUV420P10LE
                          : pixfmt_to_av(writer->picture_format);
    cuframes_frame_size(first, &writer->width, &writer->height);
    err = open_output(writer);
    if (!err)
        err = start_stream(writer, first, info);
    if (err) {
        nut_writer_free(writer);
        return err;
    }
    *out = writer;
    return CUFRAMES_OK;
}

int nut_writer_open(int fd, const cuframes_frame_t *first, struct nut_writer **out)
{
    return nut_writer_open_channel(fd, first, NULL, out);
}

/*
 * The frame's place on the stream's time line. Where the publisher's time line has none or goes
 * back (it started again, say), the time of publishing carries on.
 */
static int64_t stream_time(struct nut_writer *writer, const cuframes_frame_t *frame)
{
    int64_t pts = cuframes_frame_pts_ns(frame);
    int64_t published = cuframes_frame_published_ns(frame);
    int64_t elapsed = FFMAX(time_difference(published, writer->last_published), 1);
    int64_t time = pts == CUFRAMES_NO_TIME ? time_sum(writer->last_time, elapsed)
                                           : time_sum(pts, writer->offset);

    if (!writer->started) {
        time = pts == CUFRAMES_NO_TIME ? 0 : pts;
    } else if (time <= writer->last_time) {
        time = time_sum(writer->last_time, elapsed);
        writer->offset = time_difference(time, pts);
    }
    writer->started = true;
    writer->last_time = time;
    writer->last_published = published;
    return time;
}

/*
 * NUT has no name for P010 (FFmpeg's muxer gives it that of another format), so it is written as
 * yuv420p10: the samples' 10 bits at the bottom, chroma in planes of their own.
 */
static void lower_samples(const uint8_t *from, size_t step, size_t count, uint8_t *to)
{
    for (size_t i = 0; i < count; i++)
        AV_WL16(to + 2 * i, AV_RL16(from + 2 * step * i) >> 6);
}

static void pack_p010(const cuframes_plane_t *luma, const cuframes_plane_t *chroma, uint8_t *to)
{
    size_t half_row = chroma->row_bytes / 2;
    size_t half_size = half_row * chroma->rows;
    uint8_t *u = to + (size_t)luma->row_bytes * luma->rows;

    for (uint32_t y = 0; y < luma->rows; y++)
        lower_samples((const uint8_t *)luma->data + (size_t)y * luma->pitch, 1, luma->row_bytes / 2,
                      to + (size_t)y * luma->row_bytes);
    for (uint32_t y = 0; y < chroma->rows; y++, u += half_row) {
        const uint8_t *from = (const uint8_t *)chroma->data + (size_t)y * chroma->pitch;

        lower_samples(from, 2, half_row / 2, u);
        lower_samples(from + 2, 2, half_row / 2, u + half_size);
    }
}

static void pack_planes(struct nut_writer *writer, const cuframes_plane_t planes[4], int size)
{
    const uint8_t *data[4];
    int pitches[4];

    for (int i = 0; i < 4; i++) {
        data[i] = planes[i].data;
        pitches[i] = (int)planes[i].pitch;
    }
    av_image_copy_to_buffer(writer->packet->data, size, data, pitches, writer->pix_fmt,
                            writer->width, writer->height, 1);
}

static int pack(struct nut_writer *writer, const cuframes_frame_t *frame)
{
    cuframes_plane_t planes[4] = {0};
    int size = av_image_get_buffer_size(writer->pix_fmt, writer->width, writer->height, 1);

    for (int32_t i = 0; i < cuframes_frame_plane_count(frame); i++)
        if (cuframes_frame_plane(frame, i, &planes[i]))
            return nut_fail(CUFRAMES_ERR_INTERNAL, "%s", cuframes_last_error());
    if (size < 0 || av_new_packet(writer->packet, size) < 0)
        return nut_fail(CUFRAMES_ERR_OUT_OF_MEMORY, "out of memory");
    if (writer->picture_format == CUFRAMES_FORMAT_P010)
        pack_p010(&planes[0], &planes[1], writer->packet->data);
    else
        pack_planes(writer, planes, size);
    return CUFRAMES_OK;
}

void nut_writer_set_stop(struct nut_writer *writer, bool (*stop)(void))
{
    writer->stop = stop;
}

int nut_writer_frame(struct nut_writer *writer, const cuframes_frame_t *frame)
{
    AVPacket *packet = writer->packet;
    int32_t width, height;
    int err;

    cuframes_frame_size(frame, &width, &height);
    if (width != writer->width || height != writer->height ||
        cuframes_frame_format(frame) != writer->picture_format)
        return nut_fail(CUFRAMES_ERR_FORMAT, "the picture is no longer %dx%d %s", writer->width,
                        writer->height, cuframes_format_name(writer->picture_format));
    err = pack(writer, frame);
    if (err)
        return err;
    packet->pts = packet->dts =
        av_rescale_q(stream_time(writer, frame), (AVRational){1, NANOSECONDS},
                     writer->format->streams[0]->time_base);
    packet->flags |= AV_PKT_FLAG_KEY;
    err = av_write_frame(writer->format, packet);
    av_packet_unref(packet);
    return err < 0 || writer->broken ? write_failed(writer, err) : CUFRAMES_OK;
}

int nut_writer_close(struct nut_writer *writer)
{
    int err;

    if (!writer)
        return CUFRAMES_OK;
    err = av_write_trailer(writer->format);
    avio_flush(writer->format->pb);
    if (err < 0 || writer->broken)
        err = write_failed(writer, err);
    nut_writer_free(writer);
    return err;
}
