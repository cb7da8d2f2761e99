/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptors and scoped cleanup. Who owns a descriptor is in the verb: a function that consumes
 * one closes it also on failure; one that borrows leaves it alone; one that dups says so.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

/* Closes *fd unless it is negative and makes it -1; keeps errno. */
void cf_close(int *fd);

/* Adds one to an eventfd that does not block. A full counter will be heard as it is. */
void cf_event_add(int fd);

/* Takes the descriptor out of *fd, leaving -1. */
static inline int cf_steal_fd(int *fd)
{
    int taken = *fd;

    *fd = -1;
    return taken;
}

static inline void cf_free_cleanup(void *p)
{
    free(*(void **)p);
}

/* int CF_CLOSE fd = …;  closes at the end of the scope. */
#define CF_CLOSE __attribute__((cleanup(cf_close)))
/* void * CF_FREE p = …; frees at the end of the scope. */
#define CF_FREE __attribute__((cleanup(cf_free_cleanup)))
