/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elementary streams in words.
 */
#pragma once

#include <stddef.h>

#include <cuframes/cuframes.h>

#define STREAM_TEXT_SIZE 160

/* "video", "audio", "data". */
const char *word_of_stream_type(cuframes_stream_type_t type);
/* "annexb", "length", "raw". */
const char *word_of_packaging(cuframes_packaging_t packaging);
/* "h264", or "codec 27" where the publisher gave no name. */
const char *codec_text(const cuframes_stream_t *stream, char text[40]);
/* "video h264 1920x1080, 25.00 a second". */
const char *stream_text(const cuframes_stream_t *stream, char text[STREAM_TEXT_SIZE]);
/* "h264+aac", cut to the size; "-" for none. */
const char *codecs_text(const cuframes_stream_t *streams, uint32_t count, char *text, size_t size);
