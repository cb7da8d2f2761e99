/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Writes packets of a channel into a container, unchanged: to a file, a pipe or a socket, as the
 * caller's sink has it.
 *
 * Times in the container begin at 0 with what is heard or seen first. To know what that is, the
 * packets of the first moment are kept until each stream has begun, a second at most.
 *
 * One thread at a time for each writer. The functions return CUFRAMES_OK or a negative
 * CUFRAMES_ERR_ value, with a sentence in packet_writer_error().
 */
#pragma once

#include <stdbool.h>

#include <cuframes/cuframes.h>

struct packet_writer;

enum packet_format {
    PACKET_FORMAT_MP4, /* in fragments: readable up to the last whole one at any time */
    PACKET_FORMAT_MATROSKA,
    PACKET_FORMAT_MPEGTS,
    PACKET_FORMAT_NUT,
    PACKET_FORMAT_ANNEXB /* H.264 or HEVC alone, without times */
};

/* Where the bytes go. */
struct packet_sink {
    void *user;
    /* Takes all of it. False: that is not possible, and nothing more is to come. */
    bool (*write)(void *user, const uint8_t *data, size_t size);
    /* As lseek(), negative on failure; NULL = what is written is written. */
    int64_t (*seek)(void *user, int64_t offset, int whence);
    /* What was written so far is a whole container, should nothing follow; NULL = no matter. */
    void (*mark)(void *user);
};

/* "mp4", "mkv", "ts", "mpegts", "nut", "annexb"; false for another word. */
bool packet_format_from_name(const char *name, enum packet_format *format);

/*
 * Begins a container with those of the `count` streams whose bit is set in `mask` (0 = all). They
 * are copied. FORMAT if the container cannot carry one of them; NOT_FOUND if this build has no
 * FFmpeg libraries. The header is written with the first packets.
 */
int packet_writer_open(enum packet_format format, const cuframes_stream_t *streams, int32_t count,
                       uint32_t mask, const struct packet_sink *sink, struct packet_writer **out);

/* Writes a packet, which is borrowed; of a stream that was left out it is ignored. IO after the
 * sink has failed. */
int packet_writer_packet(struct packet_writer *writer, const cuframes_packet_t *packet);

/* Gives everything to the sink that can be given; `force` = also what a better place to cut at,
 * a key frame, would otherwise be waited for, up to a second. */
int packet_writer_flush(struct packet_writer *writer, bool force);
/*
 * Whether nothing was written so far because no key frame has brought the parameters that the
 * channel does not tell. What comes before it cannot be decoded and is left out; NOT_FOUND if it does
 * not come for many key frames, or at the end.
 */
bool packet_writer_waits(const struct packet_writer *writer);
/* Packets that the container's filters could not make sense of: damaged ones. */
uint64_t packet_writer_refused(const struct packet_writer *writer);

/* Writes the end of the container and frees the writer. NULL is fine. */
int packet_writer_close(struct packet_writer *writer);
/* Frees the writer without another byte to the sink. NULL is fine. */
void packet_writer_abandon(struct packet_writer *writer);

/* The sentence of this thread's newest failure here, never NULL. */
const char *packet_writer_error(void);
