/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file stream.h
 * What an elementary stream is: codec, time base, shape of its pictures or its sound.
 */
#ifndef CUFRAMES_STREAM_H
#define CUFRAMES_STREAM_H

#include <cuframes/base.h>
#include <cuframes/format.h>

CUFRAMES_BEGIN_DECLS

/** Most elementary streams of a channel. */
#define CUFRAMES_MAX_STREAMS 8
/** Most bytes of a stream's extradata. */
#define CUFRAMES_MAX_EXTRADATA 4096

typedef enum cuframes_stream_type {
    CUFRAMES_STREAM_VIDEO = 0,
    CUFRAMES_STREAM_AUDIO = 1,
    CUFRAMES_STREAM_DATA = 2, /**< anything else (subtitles, ONVIF metadata) */
} cuframes_stream_type_t;

/** How the packets of a stream are put together. */
typedef enum cuframes_packaging {
    CUFRAMES_PACKAGING_RAW = 0,     /**< the codec has one form only */
    CUFRAMES_PACKAGING_ANNEX_B = 1, /**< NAL units after start codes, ITU-T H.264 annex B */
    CUFRAMES_PACKAGING_LENGTH = 2   /**< NAL units after their length; extradata is avcC or hvcC */
} cuframes_packaging_t;

/** One elementary stream. Zero-initialise it; zero means unknown. */
typedef struct cuframes_stream {
    cuframes_stream_type_t type;
    uint32_t codec_id;   /**< FFmpeg's AVCodecID: H.264 is 27, HEVC 173 */
    char codec_name[32]; /**< FFmpeg's short name, "h264"; for people */
    char language[8];    /**< ISO 639-2, "eng"; empty = not said */
    uint32_t codec_tag;  /**< the container's four characters, 0 = none */
    cuframes_packaging_t packaging;
    int32_t time_base_num, time_base_den; /**< seconds of a tick; 0/0 = nanoseconds */
    int32_t profile, level; /**< as in AVCodecParameters; set both to -99 for unknown */
    int64_t bit_rate;       /**< bits a second, 0 = unknown */
    /* video */
    int32_t width, height;
    int32_t fps_num, fps_den;
    int32_t sar_num, sar_den;
    cuframes_color_t color;
    int32_t video_delay; /**< frames by which decoding order and display order can differ */
    /* audio */
    int32_t sample_rate; /**< samples a second */
    int32_t channels;
    uint64_t channel_mask; /**< which speakers, as FFmpeg's AV_CH_…; 0 = unspecified order */
    int32_t samples_per_packet;
    int32_t initial_padding;  /**< samples that a player drops at the start */
    int32_t trailing_padding; /**< and at the end */
    int32_t seek_preroll;     /**< samples to decode after a seek before the output is right */
    int32_t block_align;
    int32_t bits_per_sample;
    /** Out-of-band parameters (SPS and PPS, AudioSpecificConfig), at most CUFRAMES_MAX_EXTRADATA
     *  bytes, NULL = none. Copied by the publisher; lent by the subscriber until its next packet
     *  call or destroy. */
    const void *extradata;
    uint32_t extradata_size;
    uint32_t _pad;
    uint64_t _reserved[8];
} cuframes_stream_t;

CUFRAMES_END_DECLS

#endif
