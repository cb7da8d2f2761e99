/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames as Python objects, and the ledger in which a subscriber finds those it has given out.
 */
#pragma once

#include "owner.h"

struct pycf_frame;

/*
 * The frames of one subscriber that are not given back yet. It outlives the subscriber as long as
 * there are any; its references are counted under the GIL.
 */
struct pycf_ledger {
    Py_ssize_t refs;
    void *stream; /* that reads frames in GPU memory where no consumer says another; may be NULL */
    struct pycf_frame *first;
    struct pycf_frame *current; /* what the loop gave last, while it is held; borrowed */
};

struct pycf_frame {
    struct pycf_owner owner;
    cuframes_frame_t *frame; /* NULL: a copy, or given back */
    void *memory;            /* of a copy: pixels, then the user data */
    bool kept;               /* hold(): stays when its loop goes on */
    bool of_loop;            /* given by an iteration */
    uint64_t seq;
    uint64_t missed;
    int64_t pts_ns;
    int64_t published_ns;
    int64_t capture_ns;
    int64_t taken_ns;
    cuframes_clock_source_t source;
    uint32_t flags;
    uint64_t packet_seq; /* with CUFRAMES_FRAME_PACKET */
    uint32_t generation;
    const void *user_data;
    size_t user_size;
    struct pycf_ledger *ledger; /* NULL: not in one */
    struct pycf_frame *next, *previous;
};

struct pycf_ledger *pycf_ledger_new(void);
void pycf_ledger_unref(struct pycf_ledger *ledger);
/* What is held, for the message: a list of tuples (seq, seconds, views, code or None, line, what). */
PyObject *pycf_ledger_list(const struct pycf_ledger *ledger);

/* A frame object over a held frame, which it consumes, also on failure. `device` is the GPU that
 * frames in GPU memory are read on. NULL = raised. */
struct pycf_frame *pycf_frame_new(struct pycf_ledger *ledger, cuframes_frame_t *frame,
                                  int32_t device);
/* The loop goes on: the frame that it gave is given back unless the program said hold(). */
void pycf_ledger_step(struct pycf_ledger *ledger);
/* This is the frame that the loop gives now. */
void pycf_ledger_give(struct pycf_ledger *ledger, struct pycf_frame *frame);
