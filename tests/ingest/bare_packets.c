/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes the video packets of a file in a channel that tells no parameters of the codec, only
 * the size of the picture: a publisher need not have them. Ends when its standard output is closed.
 *
 * bare_packets KEY FILE
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libavformat/avformat.h>

#include <cuframes/cuframes.h>

#define NANOSECONDS INT64_C(1000000000)

static void check(int error, const char *what)
{
    if (error >= 0)
        return;
    fprintf(stderr, "bare_packets: %s failed (%d)\n", what, error);
    exit(1);
}

static cuframes_publisher_t *make_publisher(const char *key, const AVStream *from)
{
    const cuframes_publisher_config_t config = {.key = key,
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};
    cuframes_stream_t stream = {.type = CUFRAMES_STREAM_VIDEO,
                                .codec_id = (uint32_t)from->codecpar->codec_id,
                                .packaging = from->codecpar->codec_id == AV_CODEC_ID_AV1
                                                 ? CUFRAMES_PACKAGING_RAW
                                                 : CUFRAMES_PACKAGING_ANNEX_B,
                                .width = from->codecpar->width,
                                .height = from->codecpar->height};
    cuframes_publisher_t *publisher;

    snprintf(stream.codec_name, sizeof(stream.codec_name), "%s",
             avcodec_get_name(from->codecpar->codec_id));
    check(cuframes_publisher_create(&config, &publisher), "cuframes_publisher_create");
    check(cuframes_publisher_enable_packets(publisher, NULL), "cuframes_publisher_enable_packets");
    check(cuframes_publisher_set_streams(publisher, &stream, 1), "cuframes_publisher_set_streams");
    return publisher;
}

static int64_t to_ns(int64_t ticks, AVRational time_base)
{
    return ticks == AV_NOPTS_VALUE ? CUFRAMES_NO_TIME
                                   : av_rescale_q(ticks, time_base, (AVRational){1, NANOSECONDS});
}

static void publish(cuframes_publisher_t *publisher, const AVPacket *from, AVRational time_base)
{
    const cuframes_packet_desc_t packet = {
        .data = from->data,
        .size = (size_t)from->size,
        .pts_ns = to_ns(from->pts, time_base),
        .dts_ns = to_ns(from->dts, time_base),
        .duration_ns = to_ns(from->duration, time_base),
        .flags = from->flags & AV_PKT_FLAG_KEY ? CUFRAMES_PKT_FLAG_KEY : 0,
    };

    check(cuframes_publisher_send_packet(publisher, &packet, NULL),
          "cuframes_publisher_send_packet");
}

int main(int argc, char **argv)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    AVPacket *packet = av_packet_alloc();
    cuframes_publisher_t *publisher;
    AVFormatContext *file = NULL;
    int video;

    if (argc != 3 || !packet)
        return 2;
    check(avformat_open_input(&file, argv[2], NULL, NULL), argv[2]);
    check(avformat_find_stream_info(file, NULL), "avformat_find_stream_info");
    video = av_find_best_stream(file, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    check(video, "av_find_best_stream");
    publisher = make_publisher(argv[1], file->streams[video]);
    while (av_read_frame(file, packet) >= 0) {
        if (packet->stream_index == video)
            publish(publisher, packet, file->streams[video]->time_base);
        av_packet_unref(packet);
    }
    printf("published\n");
    fflush(stdout);
    poll(&reader, 1, -1);
    cuframes_publisher_destroy(publisher);
    av_packet_free(&packet);
    avformat_close_input(&file);
    return 0;
}
