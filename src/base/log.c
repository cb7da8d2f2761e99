/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process's log callback. It is three words that belong together and change rarely, so they
 * are copied under a lock and called outside it.
 */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

#define MESSAGE_SIZE 640

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static cuframes_log_callback_t callback;
static void *callback_user;
/* The highest level that is wanted, -1 for none. Relaxed: only saves the work of formatting;
 * the callback itself is read under the lock. */
static atomic_int wanted_level = -1;

CUFRAMES_API void cuframes_set_log_callback(cuframes_log_callback_t new_callback, void *user,
                                            cuframes_log_level_t level)
{
    pthread_mutex_lock(&lock);
    callback = new_callback;
    callback_user = user;
    atomic_store_explicit(&wanted_level, new_callback ? (int)level : -1, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

void cf_log(cuframes_log_level_t level, const char *format, ...)
{
    char message[MESSAGE_SIZE];
    cuframes_log_callback_t call;
    void *user;
    va_list args;

    if ((int)level > atomic_load_explicit(&wanted_level, memory_order_relaxed))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);

    pthread_mutex_lock(&lock);
    call = callback;
    user = callback_user;
    pthread_mutex_unlock(&lock);
    if (call)
        call(level, message, user);
}
