/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a publisher and its slots share.
 */
#pragma once

#include "owner.h"

/*
 * A publisher and those who are using it now. Slots and threads keep it; close() ends the channel
 * at once if nobody is inside the library, else whoever leaves it last does. Counted under the GIL.
 */
struct pycf_channel {
    Py_ssize_t refs;
    Py_ssize_t users;
    bool closed;
    cuframes_publisher_t *publisher;
    unsigned fork_count; /* of the process that made it */
    /* What its slots have. */
    int32_t width, height;
    cuframes_format_t format;
    cuframes_color_t color;
    int32_t device;
    cuframes_memory_t memory;
};

struct pycf_channel *pycf_channel_new(void);
void pycf_channel_unref(struct pycf_channel *channel);
/* Whether this process made it; false = raised. Asked before anything else. */
bool pycf_channel_is_own(const struct pycf_channel *channel);
/* Enters the library: false = raised, it is a parent's, or closed. */
bool pycf_channel_enter(struct pycf_channel *channel);
void pycf_channel_leave(struct pycf_channel *channel);
/* As pycf_raise(); of a wait that closing ended it says that. */
PyObject *pycf_channel_raise(const struct pycf_channel *channel, int err);
void pycf_channel_close(struct pycf_channel *channel);

/* A slot object over a buffer, whose reference it consumes, also on failure. NULL = raised. */
PyObject *pycf_buffer_new(struct pycf_channel *channel, cuframes_buffer_t *buffer);
int pycf_buffer_init(PyObject *module);
