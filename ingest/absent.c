/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a build without FFmpeg's libraries has in place of the ingester and the NUT writer: the
 * same functions, which say what to install.
 */
#include <stdio.h>

#include "ingest.h"
#include "nut.h"
#include "nut_error.h"
#include "packet_writer.h"
#include "packet_writer_error.h"

#define REMEDY                                                                                     \
    "this build has no FFmpeg libraries; install libavformat-dev, libavcodec-dev, libavutil-dev "  \
    "and libswscale-dev, then build again"

int ingest_main(int argc, char **argv, const char *progname)
{
    (void)argc;
    (void)argv;
    fprintf(stderr, "%s: %s\n", progname, REMEDY);
    return 1;
}

int nut_writer_open(int fd, const cuframes_frame_t *first, struct nut_writer **out)
{
    return nut_writer_open_channel(fd, first, NULL, out);
}

int nut_writer_open_channel(int fd, const cuframes_frame_t *first,
                            const cuframes_channel_info_t *info, struct nut_writer **out)
{
    (void)fd;
    (void)first;
    (void)info;
    (void)out;
    return nut_fail(CUFRAMES_ERR_NOT_FOUND, "%s", REMEDY);
}

void nut_writer_set_stop(struct nut_writer *writer, bool (*stop)(void))
{
    (void)writer;
    (void)stop;
}

int nut_writer_frame(struct nut_writer *writer, const cuframes_frame_t *frame)
{
    (void)writer;
    (void)frame;
    return nut_fail(CUFRAMES_ERR_NOT_FOUND, "%s", REMEDY);
}

int nut_writer_close(struct nut_writer *writer)
{
    (void)writer;
    return CUFRAMES_OK;
}

int packet_writer_open(enum packet_format format, const cuframes_stream_t *streams, int32_t count,
                       uint32_t mask, const struct packet_sink *sink, struct packet_writer **out)
{
    (void)format;
    (void)streams;
    (void)count;
    (void)mask;
    (void)sink;
    (void)out;
    return packet_writer_fail(CUFRAMES_ERR_NOT_FOUND, "%s", REMEDY);
}

int packet_writer_packet(struct packet_writer *writer, const cuframes_packet_t *packet)
{
    (void)writer;
    (void)packet;
    return packet_writer_fail(CUFRAMES_ERR_NOT_FOUND, "%s", REMEDY);
}

int packet_writer_flush(struct packet_writer *writer, bool force)
{
    (void)writer;
    (void)force;
    return CUFRAMES_OK;
}

bool packet_writer_waits(const struct packet_writer *writer)
{
    (void)writer;
    return false;
}

uint64_t packet_writer_refused(const struct packet_writer *writer)
{
    (void)writer;
    return 0;
}

int packet_writer_close(struct packet_writer *writer)
{
    (void)writer;
    return CUFRAMES_OK;
}

void packet_writer_abandon(struct packet_writer *writer)
{
    (void)writer;
}
