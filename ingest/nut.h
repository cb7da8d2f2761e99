/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes frames as raw video in a NUT container, so that a stock ffmpeg or ffplay reads them from
 * a pipe with their times, colours and pixel shape.
 *
 * One thread at a time for each writer. The functions return CUFRAMES_OK or a negative
 * CUFRAMES_ERR_ value; after an error nut_writer_error() says what went wrong.
 */
#pragma once

#include <stdbool.h>

#include <cuframes/cuframes.h>

struct nut_writer;

/*
 * Starts a stream that looks like `first` (size, format, colour) on `fd`, which is borrowed and
 * stays open. `first` itself is not written. CUFRAMES_ERR_FORMAT if NUT has no name for its format;
 * CUFRAMES_ERR_NOT_FOUND if this build has no libavformat.
 */
int nut_writer_open(int fd, const cuframes_frame_t *first, struct nut_writer **out);

/* As nut_writer_open(), with the channel's rate and pixel shape, which a frame does not carry. */
int nut_writer_open_channel(int fd, const cuframes_frame_t *first,
                            const cuframes_channel_info_t *info, struct nut_writer **out);

/*
 * Lets a stream end while its reader stalls: with a non-blocking `fd`, `stop` is asked several times
 * a second then, and true ends the stream with CUFRAMES_ERR_WOULD_BLOCK.
 */
void nut_writer_set_stop(struct nut_writer *writer, bool (*stop)(void));

/*
 * Writes one frame. CUFRAMES_ERR_FORMAT when its size or format is not the stream's: close and
 * open again. CUFRAMES_ERR_DISCONNECTED when the reader of the pipe is gone (SIGPIPE must be
 * ignored). Times never go back: a frame without a pts, or one whose pts does not grow, is given
 * the least time that keeps the order.
 */
int nut_writer_frame(struct nut_writer *writer, const cuframes_frame_t *frame);

/* Finishes the file and frees the writer; NULL is fine. Returns the first error of the writer. */
int nut_writer_close(struct nut_writer *writer);

/* The sentence of this thread's newest failure here, never NULL. */
const char *nut_writer_error(void);
