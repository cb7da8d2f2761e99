/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Error names, and the newest error sentence of each thread. The sentence lives in thread-local
 * storage of fixed size, so recording an error cannot fail.
 */
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"

#define SENTENCE_SIZE 512

static _Thread_local char sentence[SENTENCE_SIZE];

CUFRAMES_API const char *cuframes_strerror(int error)
{
    switch (error) {
    case CUFRAMES_OK:
        return "success";
    case CUFRAMES_ERR_INVALID_ARG:
        return "invalid argument";
    case CUFRAMES_ERR_OUT_OF_MEMORY:
        return "out of memory";
    case CUFRAMES_ERR_CUDA:
        return "CUDA error";
    case CUFRAMES_ERR_IO:
        return "input/output error";
    case CUFRAMES_ERR_PROTOCOL:
        return "protocol error";
    case CUFRAMES_ERR_NOT_FOUND:
        return "not found";
    case CUFRAMES_ERR_TIMEOUT:
        return "timed out";
    case CUFRAMES_ERR_ALREADY_EXISTS:
        return "already exists";
    case CUFRAMES_ERR_DISCONNECTED:
        return "disconnected";
    case CUFRAMES_ERR_FORMAT:
        return "format not supported";
    case CUFRAMES_ERR_WOULD_BLOCK:
        return "would block";
    case CUFRAMES_ERR_TOO_MANY:
        return "too many";
    case CUFRAMES_ERR_EVICTED:
        return "evicted";
    case CUFRAMES_ERR_PERMISSION:
        return "permission denied";
    case CUFRAMES_ERR_INTERRUPTED:
        return "interrupted";
    case CUFRAMES_ERR_PACKET_OVERSIZED:
        return "packet too large";
    case CUFRAMES_ERR_NO_PACKET_RING:
        return "no packet ring";
    case CUFRAMES_ERR_NO_CODEC_PARAMS:
        return "no codec parameters yet";
    case CUFRAMES_ERR_PACKET_OVERRUN:
        return "packets lost";
    case CUFRAMES_ERR_INTERNAL:
        return "internal error";
    default:
        return "unknown error";
    }
}

CUFRAMES_API const char *cuframes_last_error(void)
{
    return sentence;
}

void cf_record_failure(int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    cf_log(CUFRAMES_LOG_DEBUG, "%s: %s", cuframes_strerror(error), sentence);
}

void cf_record_errno(int errnum, const char *format, ...)
{
    char words[128];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof(sentence))
        snprintf(sentence + n, sizeof(sentence) - (size_t)n, ": %s%s",
                 strerror_r(errnum, words, sizeof(words)),
                 errnum == EMFILE ? " (raise the limit: ulimit -n)" : "");
    cf_log(CUFRAMES_LOG_DEBUG, "%s", sentence);
}
