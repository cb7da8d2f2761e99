/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "packet_writer_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "packet_writer.h"

static _Thread_local char sentence[512];

int packet_writer_fail(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    return error;
}

const char *packet_writer_error(void)
{
    return sentence;
}

bool packet_format_from_name(const char *name, enum packet_format *format)
{
    static const struct {
        const char *name;
        enum packet_format format;
    } known[] = {
        {"mp4", PACKET_FORMAT_MP4},   {"mkv", PACKET_FORMAT_MATROSKA},
        {"ts", PACKET_FORMAT_MPEGTS}, {"mpegts", PACKET_FORMAT_MPEGTS},
        {"nut", PACKET_FORMAT_NUT},   {"annexb", PACKET_FORMAT_ANNEXB},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(name, known[i].name) == 0) {
            *format = known[i].format;
            return true;
        }
    }
    return false;
}
