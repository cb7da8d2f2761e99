/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two demuxers and the muxer share: reading a URL, errors, formats, colours, and waiting
 * in a way that the application can interrupt.
 */
#ifndef AVDEVICE_CUFRAMES_COMMON_H
#define AVDEVICE_CUFRAMES_COMMON_H

#include <cuframes/cuframes.h>

#include "cuframes_compat.h"

/* Where a stream's times are nanoseconds. */
#define CUFRAMES_NS_BASE ((AVRational){1, 1000000000})

/*
 * Takes the key out of `url` ("SCHEME://KEY?option=value&…", or KEY alone), which is to be freed,
 * and sets the options, which `priv` must have. `scheme` is without "://".
 */
int ff_cuframes_parse_url(AVFormatContext *s, void *priv, const char *scheme, char **key);

/* AVERROR of a library error. */
int ff_cuframes_averror(int err);
/* Logs the newest library error with what was tried, and gives its AVERROR. */
int ff_cuframes_fail(void *log, int err, const char *what);

/* Whether the application wants to stop. */
int ff_cuframes_interrupted(AVFormatContext *s);

/* Time by which something must have happened; `duration` in microseconds, below 0 = never. */
int64_t ff_cuframes_deadline(int64_t duration);
/* Milliseconds for one call that waits: short enough to look for interruption in between. */
int32_t ff_cuframes_slice(int64_t deadline);

/*
 * What a demuxer does when a wait of one slice brought nothing: 0 = wait again, else what to
 * return. The ffmpeg program asks every input not to block, and sleeps 10 ms when it has nothing:
 * a slice of waiting comes first, or pictures would be late by that.
 */
int ff_cuframes_wait_again(AVFormatContext *s, int64_t deadline, const char *what);

/*
 * By when a publisher must have answered while a channel is opened. `open_timeout` as the option
 * has it: with 0 the channel must be there, and its publisher has a second to answer, or `timeout`
 * where that is shorter.
 */
int64_t ff_cuframes_open_deadline(int64_t open_timeout, int64_t timeout);

/*
 * What a channel is, before it is attached to; no wait is longer than the application wants. With
 * `may_come`, one that is not there may come until the deadline. `report` is to be freed.
 */
int ff_cuframes_look(AVFormatContext *s, const char *runtime_dir, const char *key, int may_come,
                     int64_t deadline, cuframes_channel_report_t **report);

/* Attaches as `config` says, by a deadline of ff_cuframes_open_deadline(). */
int ff_cuframes_attach(AVFormatContext *s, cuframes_subscriber_config_t *config,
                       int64_t open_timeout, int64_t deadline, cuframes_subscriber_t **subscriber);

/* How a stream ends whose publisher is gone: AVERROR_EOF if it closed the channel, else an error. */
int ff_cuframes_end(AVFormatContext *s, const char *runtime_dir, const char *key);

/* AV_PIX_FMT_NONE if this FFmpeg has no such format. */
enum AVPixelFormat ff_cuframes_pix_fmt(cuframes_format_t format);
/* CUFRAMES_ERR_FORMAT for what cannot be shared. `full_range` is 1 for the yuvj formats. */
int ff_cuframes_format(enum AVPixelFormat pix_fmt, cuframes_format_t *format, int *full_range);

/* Colours of a channel or frame as FFmpeg has them, and back. */
typedef struct CuframesColor {
    enum AVColorSpace space;
    enum AVColorPrimaries primaries;
    enum AVColorTransferCharacteristic trc;
    enum AVColorRange range;
} CuframesColor;
CuframesColor ff_cuframes_color_from(const cuframes_color_t *color, cuframes_format_t format);
cuframes_color_t ff_cuframes_color_to(enum AVColorSpace space, enum AVColorPrimaries primaries,
                                      enum AVColorTransferCharacteristic trc,
                                      enum AVColorRange range);

/* Channels of a runtime directory into `list`: all, or those with packets. */
int ff_cuframes_list(AVFormatContext *s, const char *runtime_dir, int packets,
                     AVDeviceInfoList *list);

#endif
