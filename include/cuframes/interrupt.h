/* SPDX-License-Identifier: LGPL-2.1-or-later */
/**
 * @file interrupt.h
 * Ending waits that have no end of their own: for language bindings whose signal handlers run
 * between calls, and for programs with a "stop" button.
 *
 * The waits of a subscriber take a timeout and can be made in slices. These cannot, because giving
 * up changes something for others: acquire and publish under the wait policy (a timeout evicts), and
 * joining and every operation of a group (a timeout breaks it). They ask instead; so does
 * cuframes_query(), which would begin anew with each slice.
 */
#ifndef CUFRAMES_INTERRUPT_H
#define CUFRAMES_INTERRUPT_H

#include <cuframes/base.h>
#include <cuframes/error.h>

CUFRAMES_BEGIN_DECLS

/** Asked while a call waits; not 0 ends the call. It may use the library, but not the object whose
 *  call waits. */
typedef int (*cuframes_interrupt_check_t)(void *user);

/**
 * Sets what such waits of the calling thread ask, about every 50 ms and in that thread; NULL, as
 * each thread begins, is nothing. A call that was told to end returns CUFRAMES_ERR_INTERRUPTED.
 * Then acquire has given nothing and publish has published nothing: both can be called again. A
 * group whose operation was interrupted is broken by this rank, which the others are told; joining
 * can be tried again.
 */
CUFRAMES_API void cuframes_set_interrupt_check(cuframes_interrupt_check_t check, void *user);

CUFRAMES_END_DECLS

#endif
