/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file log.h
 * The library never prints. It hands what it has to say to one callback.
 */
#ifndef CUFRAMES_LOG_H
#define CUFRAMES_LOG_H

#include <cuframes/base.h>

CUFRAMES_BEGIN_DECLS

typedef enum cuframes_log_level {
    CUFRAMES_LOG_ERROR = 0,
    CUFRAMES_LOG_WARNING = 1,
    CUFRAMES_LOG_INFO = 2,
    CUFRAMES_LOG_DEBUG = 3
} cuframes_log_level_t;

/**
 * Takes one message without a newline, valid during the call. It is called from any thread of the
 * program and from the library's own; it must not call back into the library.
 */
typedef void (*cuframes_log_callback_t)(cuframes_log_level_t level, const char *message,
                                        void *user);

/**
 * Sets the process's log callback; NULL turns logging off, which is how a process starts.
 * Messages above `level` are not made. Any thread; when it returns, the old callback may still be
 * running in another thread, so keep what it uses alive.
 */
CUFRAMES_API void cuframes_set_log_callback(cuframes_log_callback_t callback, void *user,
                                            cuframes_log_level_t level);

CUFRAMES_END_DECLS

#endif
