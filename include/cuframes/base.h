/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file base.h
 * Export and annotation macros, and the limits that hold for every channel.
 */
#ifndef CUFRAMES_BASE_H
#define CUFRAMES_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define CUFRAMES_BEGIN_DECLS extern "C" {
#define CUFRAMES_END_DECLS   }
#else
#define CUFRAMES_BEGIN_DECLS
#define CUFRAMES_END_DECLS
#endif

#if defined(__GNUC__)
#define CUFRAMES_API               __attribute__((visibility("default")))
#define CUFRAMES_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define CUFRAMES_API
#define CUFRAMES_PRINTF(fmt, args)
#endif

/** Most characters in a key, the terminating NUL not counted. */
#define CUFRAMES_KEY_MAX 63
/** Most characters in a subscriber's name, the terminating NUL not counted. */
#define CUFRAMES_NAME_MAX 63
/** Most subscribers of one channel; one more is refused with CUFRAMES_ERR_TOO_MANY. */
#define CUFRAMES_MAX_SUBSCRIBERS 256
/** Fewest and most slots of a channel; outside it CUFRAMES_ERR_INVALID_ARG. */
#define CUFRAMES_MIN_SLOTS 2
#define CUFRAMES_MAX_SLOTS 64
/** Slots of a channel whose publisher does not say. */
#define CUFRAMES_DEFAULT_SLOTS 8
/** Largest width and height of a picture, in pixels. */
#define CUFRAMES_MAX_DIMENSION 32768
/** Most planes of a format. */
#define CUFRAMES_MAX_PLANES 4
/** Most users on a channel's list of those who may connect. */
#define CUFRAMES_MAX_ALLOWED_USERS 64
/** Most bytes that a publisher may attach to one frame. */
#define CUFRAMES_MAX_USER_DATA 1024

#endif
