/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file error.h
 * What can go wrong, as numbers and as words.
 *
 * Functions return CUFRAMES_OK (0) or one of the negative values below. The sentence behind the
 * number, with what to do about it, is in cuframes_last_error().
 */
#ifndef CUFRAMES_ERROR_H
#define CUFRAMES_ERROR_H

#include <cuframes/base.h>

CUFRAMES_BEGIN_DECLS

typedef enum cuframes_error {
    CUFRAMES_OK = 0,
    /** An argument is out of its range; cuframes_last_error() names it. */
    CUFRAMES_ERR_INVALID_ARG = -1,
    CUFRAMES_ERR_OUT_OF_MEMORY = -2,
    /** The GPU driver failed, or is not there. */
    CUFRAMES_ERR_CUDA = -3,
    /** A system call failed. */
    CUFRAMES_ERR_IO = -4,
    /** The peer speaks another version, or nonsense. */
    CUFRAMES_ERR_PROTOCOL = -5,
    /** No such channel, or the channel does not have what was asked for. */
    CUFRAMES_ERR_NOT_FOUND = -6,
    CUFRAMES_ERR_TIMEOUT = -7,
    /** The key has a publisher, or the subscriber's name is in use. */
    CUFRAMES_ERR_ALREADY_EXISTS = -8,
    /** The publisher is gone, or has closed this connection. */
    CUFRAMES_ERR_DISCONNECTED = -9,
    /** A format or a geometry that does not fit. */
    CUFRAMES_ERR_FORMAT = -10,
    /** Nothing to give now; trying later can succeed. */
    CUFRAMES_ERR_WOULD_BLOCK = -11,
    /** A stated limit is reached. */
    CUFRAMES_ERR_TOO_MANY = -12,
    /** The publisher waited for this subscriber as long as its policy allows, then went on. */
    CUFRAMES_ERR_EVICTED = -13,
    /** The operating system, or the publisher's socket permissions, do not allow it. */
    CUFRAMES_ERR_PERMISSION = -14,
    /** The program's own check ended the wait (interrupt.h). */
    CUFRAMES_ERR_INTERRUPTED = -15,
    CUFRAMES_ERR_PACKET_OVERSIZED = -20,
    CUFRAMES_ERR_NO_PACKET_RING = -21,
    CUFRAMES_ERR_NO_CODEC_PARAMS = -22,
    CUFRAMES_ERR_PACKET_OVERRUN = -23,
    /** A bug in this library. */
    CUFRAMES_ERR_INTERNAL = -100
} cuframes_error_t;

/** Short name of an error number, never NULL ("unknown error" for a stranger). Static; any thread. */
CUFRAMES_API const char *cuframes_strerror(int error);

/**
 * The sentence that goes with the newest error of this thread: what failed, on what, and what to
 * do. Empty before the first error. A call that succeeds does not change it. The text belongs to
 * the library and is valid until the next failing call of the same thread.
 */
CUFRAMES_API const char *cuframes_last_error(void);

CUFRAMES_END_DECLS

#endif
