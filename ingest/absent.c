/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a build without FFmpeg's libraries has in place of the ingester and the NUT writer: the
 * same functions, which say what to install.
 */
#include <stdio.h>

#include "ingest.h"
#include "nut.h"
#include "nut_error.h"

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
