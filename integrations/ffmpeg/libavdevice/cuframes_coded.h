/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Descriptions of encoded streams, between the library and FFmpeg. */
#ifndef AVDEVICE_CUFRAMES_CODED_H
#define AVDEVICE_CUFRAMES_CODED_H

#include <cuframes/cuframes.h>

#include "cuframes_compat.h"

/* FFmpeg's codec of a stream, by name if it has one: numbers differ between releases. */
enum AVCodecID ff_cuframes_codec(const cuframes_stream_t *stream);

/* Fills an AVStream, its time base included. */
int ff_cuframes_stream_from(const cuframes_stream_t *stream, AVStream *st);

/* Describes an AVStream; extradata is lent by it. */
void ff_cuframes_stream_to(const AVStream *st, cuframes_stream_t *stream);

#endif
