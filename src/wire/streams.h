/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptions of elementary streams as bytes: one record of fixed size for each, and the parameter
 * memory of a packet generation, which is such records and the streams' extradata. No I/O in here.
 * docs/protocol.md has the bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cuframes/stream.h>

/* Bytes of one stream's record. */
#define CF_STREAM_SIZE 160
/* "CUFSTRM5" in memory order on a little-endian machine. */
#define CF_STREAMS_MAGIC UINT64_C(0x354d525453465543)
/* Bytes of the parameter memory before the first record, and at most. */
#define CF_STREAMS_HEAD 16
#define CF_STREAMS_MAX_SIZE                                                                        \
    (CF_STREAMS_HEAD + CUFRAMES_MAX_STREAMS * (CF_STREAM_SIZE + CUFRAMES_MAX_EXTRADATA))

/* CUFRAMES_OK if a description adds up, else `error` and a sentence about stream `index`. */
int cf_stream_check(const cuframes_stream_t *stream, uint32_t index, int error);

/* One record, without extradata. What is encoded must be in order; what is decoded is only read,
 * not judged, except that bytes which must be 0 are looked at (false). */
void cf_stream_encode(const cuframes_stream_t *stream, uint32_t extradata_size,
                      uint8_t bytes[CF_STREAM_SIZE]);
bool cf_stream_decode(const uint8_t bytes[CF_STREAM_SIZE], cuframes_stream_t *stream);

/* The parameter memory of a generation; returns its length. */
size_t cf_streams_encode(uint32_t generation, const cuframes_stream_t *streams, uint32_t count,
                         uint8_t bytes[CF_STREAMS_MAX_SIZE]);

/* Decodes and judges `size` bytes. The extradata of the streams points into them. PROTOCOL if they
 * are not the parameters of `generation`; the outputs are written on success only. */
int cf_streams_decode(const uint8_t *bytes, size_t size, uint32_t generation,
                      cuframes_stream_t streams[CUFRAMES_MAX_STREAMS], uint32_t *count);
