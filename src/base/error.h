/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Errors inside the library.
 *
 * A function that decides that something is an error calls cf_fail() once: it keeps the sentence
 * for cuframes_last_error(), logs it at debug level, and returns the number, so that
 * `return cf_fail(...)` reads well. Callers above only pass the number on.
 */
#pragma once

#include <cuframes/error.h>

/* Records the sentence for this thread and returns `error`. */
int cf_fail(int error, const char *format, ...) CUFRAMES_PRINTF(2, 3);

/* The same for a failed system call: appends the words of `errnum` and picks the error from it
 * (ENOMEM, EMFILE, ENFILE, EACCES, EPERM have their own; everything else is IO). */
int cf_fail_errno(int errnum, const char *format, ...) CUFRAMES_PRINTF(2, 3);

/* The error number that cf_fail_errno() would return. */
int cf_error_from_errno(int errnum);
