/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publishes the video packets of a file in a channel that tells no parameters of the codec, only
 * the size of the picture: a publisher need not have them. Ends when its standard output is closed.
 * The first LATE key frames lose the parameters that they have inside; with "tell" as the last word the
 * channel tells them from then on.
 *
 * bare_packets KEY FILE [LATE [tell]]
 */
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <libavcodec/bsf.h>
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

static void describe(cuframes_publisher_t *publisher, const AVStream *from, bool tell)
{
    cuframes_stream_t stream = {.type = CUFRAMES_STREAM_VIDEO,
                                .codec_id = (uint32_t)from->codecpar->codec_id,
                                .packaging = from->codecpar->codec_id == AV_CODEC_ID_AV1
                                                 ? CUFRAMES_PACKAGING_RAW
                                                 : CUFRAMES_PACKAGING_ANNEX_B,
                                .width = from->codecpar->width,
                                .height = from->codecpar->height};

    if (tell) {
        stream.extradata = from->codecpar->extradata;
        stream.extradata_size = (uint32_t)from->codecpar->extradata_size;
    }
    snprintf(stream.codec_name, sizeof(stream.codec_name), "%s",
             avcodec_get_name(from->codecpar->codec_id));
    check(cuframes_publisher_set_streams(publisher, &stream, 1), "cuframes_publisher_set_streams");
}

static cuframes_publisher_t *make_publisher(const char *key, const AVStream *from)
{
    const cuframes_publisher_config_t config = {.key = key,
                                                .flags = CUFRAMES_PUBLISHER_PACKETS_ONLY};
    cuframes_publisher_t *publisher;

    check(cuframes_publisher_create(&config, &publisher), "cuframes_publisher_create");
    check(cuframes_publisher_enable_packets(publisher, NULL), "cuframes_publisher_enable_packets");
    describe(publisher, from, false);
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

/* Takes the parameter sets out of packets. */
static AVBSFContext *make_filter(const AVStream *from)
{
    bool hevc = from->codecpar->codec_id == AV_CODEC_ID_HEVC;
    AVBSFContext *filter;

    check(av_bsf_list_parse_str(
              hevc ? "filter_units=remove_types=32-34" : "filter_units=remove_types=7-8", &filter),
          "av_bsf_list_parse_str");
    check(avcodec_parameters_copy(filter->par_in, from->codecpar), "avcodec_parameters_copy");
    check(av_bsf_init(filter), "av_bsf_init");
    return filter;
}

static void strip(AVBSFContext *filter, AVPacket *packet)
{
    check(av_bsf_send_packet(filter, packet), "av_bsf_send_packet");
    check(av_bsf_receive_packet(filter, packet), "av_bsf_receive_packet");
}

int main(int argc, char **argv)
{
    struct pollfd reader = {.fd = STDOUT_FILENO};
    AVPacket *packet = av_packet_alloc();
    cuframes_publisher_t *publisher;
    AVFormatContext *file = NULL;
    AVBSFContext *filter = NULL;
    int video, late, key_frames = 0;

    if (argc < 3 || argc > 5 || !packet)
        return 2;
    late = argc > 3 ? atoi(argv[3]) : 0;
    check(avformat_open_input(&file, argv[2], NULL, NULL), argv[2]);
    check(avformat_find_stream_info(file, NULL), "avformat_find_stream_info");
    video = av_find_best_stream(file, AVMEDIA_TYPE_VIDEO, -1, -1, NULL, 0);
    check(video, "av_find_best_stream");
    if (late > 0)
        filter = make_filter(file->streams[video]);
    publisher = make_publisher(argv[1], file->streams[video]);
    while (av_read_frame(file, packet) >= 0) {
        if (packet->stream_index == video) {
            key_frames += (packet->flags & AV_PKT_FLAG_KEY) != 0;
            if (key_frames <= late)
                strip(filter, packet);
            else if (argc == 5 && key_frames == late + 1 && (packet->flags & AV_PKT_FLAG_KEY))
                describe(publisher, file->streams[video], true);
            publish(publisher, packet, file->streams[video]->time_base);
        }
        av_packet_unref(packet);
    }
    printf("published\n");
    fflush(stdout);
    poll(&reader, 1, -1);
    cuframes_publisher_destroy(publisher);
    av_bsf_free(&filter);
    av_packet_free(&packet);
    avformat_close_input(&file);
    return 0;
}
