/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors inside the library.
 *
 * A function that decides that something is an error calls cf_fail() once: it keeps the sentence
 * for cuframes_last_error(), logs it at debug level, and returns the number, so that
 * `return cf_fail(...)` reads well. Callers above only pass the number on.
 */
#pragma once

#include <errno.h>

#include <cuframes/error.h>

/* Keeps and logs the sentence. Not called by itself: see the macros. */
void cf_record_failure(int error, const char *format, ...) CUFRAMES_PRINTF(2, 3);
void cf_record_errno(int errnum, const char *format, ...) CUFRAMES_PRINTF(2, 3);

/* The error number of a failed system call: ENOMEM, EMFILE, ENFILE, EACCES and EPERM have their
 * own, everything else is IO. */
static inline int cf_error_from_errno(int errnum)
{
    switch (errnum) {
    case ENOMEM:
    case ENOSPC:
        return CUFRAMES_ERR_OUT_OF_MEMORY;
    case EMFILE:
    case ENFILE:
    case ETOOMANYREFS:
        return CUFRAMES_ERR_TOO_MANY;
    case EACCES:
    case EPERM:
        return CUFRAMES_ERR_PERMISSION;
    default:
        return CUFRAMES_ERR_IO;
    }
}

/* Records the sentence (a format and its arguments) for this thread, and is `error`. A macro, so
 * that a compiler and an analyser see which number is returned. */
#define cf_fail(error, ...)                                                                        \
    __extension__({                                                                                \
        const int cf_failed = (error);                                                             \
        cf_record_failure(cf_failed, __VA_ARGS__);                                                 \
        cf_failed;                                                                                 \
    })

/* The same for a failed system call: appends the words of `errnum`, and is the error for it. */
#define cf_fail_errno(errnum, ...)                                                                 \
    __extension__({                                                                                \
        const int cf_failed_errno = (errnum);                                                      \
        cf_record_errno(cf_failed_errno, __VA_ARGS__);                                             \
        cf_error_from_errno(cf_failed_errno);                                                      \
    })
