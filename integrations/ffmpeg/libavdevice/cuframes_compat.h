/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What differs between the FFmpeg releases that these files are built for, 5.1 and 7.1, and
 * between FFmpeg's own tree and the shim for a stock FFmpeg (CUFRAMES_SHIM), which sees FFmpeg's
 * public headers alone.
 *
 * The parts of the format structures that only FFmpeg itself sees are public in 5.1's headers. In
 * 7.1 they are in headers that are not installed: for the shim they are declared here as 7.1 has
 * them. A shim is used with exactly the release that it was built for (shim.c checks).
 */
#ifndef AVDEVICE_CUFRAMES_COMPAT_H
#define AVDEVICE_CUFRAMES_COMPAT_H

#include <libavdevice/avdevice.h>
#include <libavformat/avformat.h>
#include <libavformat/version.h>
#include <libavutil/frame.h>

#define CUFRAMES_FFMPEG_5_1 (LIBAVFORMAT_VERSION_MAJOR == 59 && LIBAVFORMAT_VERSION_MINOR == 27)
#define CUFRAMES_FFMPEG_7_1 (LIBAVFORMAT_VERSION_MAJOR == 61 && LIBAVFORMAT_VERSION_MINOR == 7)

#if !CUFRAMES_FFMPEG_5_1 && !CUFRAMES_FFMPEG_7_1
#error "cuframes knows FFmpeg 5.1 (libavformat 59.27) and 7.1 (libavformat 61.7)"
#endif

#if CUFRAMES_FFMPEG_5_1
typedef AVInputFormat CuframesInputFormat;
typedef AVOutputFormat CuframesOutputFormat;
/* The field of a format that applications see. */
#define CUFRAMES_PUBLIC(field) field
#elif defined(CUFRAMES_SHIM)
typedef struct CuframesInputFormat {
    AVInputFormat p;
    enum AVCodecID raw_codec_id;
    int priv_data_size;
    int flags_internal;
    int (*read_probe)(const AVProbeData *);
    int (*read_header)(AVFormatContext *);
    int (*read_packet)(AVFormatContext *, AVPacket *);
    int (*read_close)(AVFormatContext *);
    int (*read_seek)(AVFormatContext *, int, int64_t, int);
    int64_t (*read_timestamp)(AVFormatContext *, int, int64_t *, int64_t);
    int (*read_play)(AVFormatContext *);
    int (*read_pause)(AVFormatContext *);
    int (*read_seek2)(AVFormatContext *, int, int64_t, int64_t, int64_t, int);
    int (*get_device_list)(AVFormatContext *, AVDeviceInfoList *);
} CuframesInputFormat;

typedef struct CuframesOutputFormat {
    AVOutputFormat p;
    int priv_data_size;
    int flags_internal;
    int (*write_header)(AVFormatContext *);
    int (*write_packet)(AVFormatContext *, AVPacket *);
    int (*write_trailer)(AVFormatContext *);
    int (*interleave_packet)(AVFormatContext *, AVPacket *, int, int);
    int (*query_codec)(enum AVCodecID, int);
    void (*get_output_timestamp)(AVFormatContext *, int, int64_t *, int64_t *);
    int (*control_message)(AVFormatContext *, int, void *, size_t);
    int (*write_uncoded_frame)(AVFormatContext *, int, AVFrame **, unsigned);
    int (*get_device_list)(AVFormatContext *, AVDeviceInfoList *);
    int (*init)(AVFormatContext *);
    void (*deinit)(AVFormatContext *);
    int (*check_bitstream)(AVFormatContext *, AVStream *, const AVPacket *);
} CuframesOutputFormat;
#define CUFRAMES_PUBLIC(field) p.field
#else
#include <libavformat/demux.h>
#include <libavformat/mux.h>
typedef FFInputFormat CuframesInputFormat;
typedef FFOutputFormat CuframesOutputFormat;
#define CUFRAMES_PUBLIC(field) p.field
#endif

/* libavformat exports it for libavdevice, but its header is not installed. */
void avpriv_set_pts_info(AVStream *st, int pts_wrap_bits, unsigned int pts_num,
                         unsigned int pts_den);

static inline void cuframes_set_duration(AVFrame *frame, int64_t duration)
{
#if CUFRAMES_FFMPEG_5_1
    frame->pkt_duration = duration;
#else
    frame->duration = duration;
#endif
}

static inline void cuframes_set_key(AVFrame *frame)
{
#if CUFRAMES_FFMPEG_5_1
    frame->key_frame = 1;
#else
    frame->flags |= AV_FRAME_FLAG_KEY;
#endif
}

static inline int cuframes_is_key(const AVFrame *frame)
{
#if CUFRAMES_FFMPEG_5_1
    return frame->key_frame;
#else
    return (frame->flags & AV_FRAME_FLAG_KEY) != 0;
#endif
}

#endif
