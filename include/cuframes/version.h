/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file version.h
 * Version of the library and of the wire protocol, and the library's clock.
 */
#ifndef CUFRAMES_VERSION_H
#define CUFRAMES_VERSION_H

#include <cuframes/base.h>

CUFRAMES_BEGIN_DECLS

#define CUFRAMES_VERSION_MAJOR 0
#define CUFRAMES_VERSION_MINOR 5
#define CUFRAMES_VERSION_PATCH 0

/** Version of the library that is loaded, "MAJOR.MINOR.PATCH". Static; any thread. */
CUFRAMES_API const char *cuframes_version_string(void);

/** Version of the wire protocol that this library speaks (5). Any thread. */
CUFRAMES_API uint32_t cuframes_protocol_version(void);

/** CLOCK_MONOTONIC in nanoseconds, the clock of every `…_ns` that is not said to be another. */
CUFRAMES_API int64_t cuframes_now_ns(void);

CUFRAMES_END_DECLS

#endif
