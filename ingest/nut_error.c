/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error sentences of the NUT writer, with and without libavformat.
 */
#include "nut_error.h"

#include <stdarg.h>
#include <stdio.h>

#include "nut.h"

static _Thread_local char sentence[256];

int nut_fail(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    return error;
}

const char *nut_writer_error(void)
{
    return sentence;
}
