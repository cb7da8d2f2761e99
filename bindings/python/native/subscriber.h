/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A subscriber as a Python object: frames in subscriber.c, packets in packets.c.
 */
#pragma once

#include "frame.h"

struct pycf_subscriber {
    PyObject ob_base;
    cuframes_subscriber_t *subscriber; /* NULL before it attaches, and when it is closed */
    cuframes_subscriber_config_t config;
    PyObject *key, *name, *runtime_dir; /* what the configuration's strings are in */
    PyObject *timeout;                  /* seconds for each wait of an iteration, or None */
    void *stream;
    PyThread_type_lock lock;
    unsigned long inside; /* the thread that has the lock, 0 = none */
    unsigned fork_count;  /* of the process that made it */
    bool closing;         /* close() was called: whoever has the lock closes it, at the latest */
    bool closed;
    struct pycf_ledger *ledger;
    int32_t device; /* that reads frames in GPU memory, in this generation */
    uint32_t device_generation;
    uint64_t received, timeouts, errors, gaps;
    int64_t last_seq; /* -1: none yet */
    int64_t last_pts_ns;
};

/* Whether this process made it; false = raised. Asked before anything else. */
bool pycf_subscriber_is_own(const struct pycf_subscriber *s);
/* One thread at a time is inside the library. False = raised. */
bool pycf_subscriber_lock(struct pycf_subscriber *s);
void pycf_subscriber_unlock(struct pycf_subscriber *s);
/* Attaches unless it is. The lock is held. False = raised. */
bool pycf_subscriber_attach(struct pycf_subscriber *s, int64_t deadline_ns);
/* Raises that it is closed; returns NULL. */
PyObject *pycf_subscriber_closed(const struct pycf_subscriber *s);

/* packets.c: methods of the type. */
PyObject *pycf_subscriber_enable_packets(PyObject *self, PyObject *args);
PyObject *pycf_subscriber_next_packet(PyObject *self, PyObject *args);
PyObject *pycf_subscriber_streams(PyObject *self, PyObject *unused);
