/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the files of the extension module `cuframes._cuframes` share.
 *
 * The module uses the limited API of CPython 3.11, so that one binary serves every later version.
 * What is better said in Python is in the package around it; it tells this module once which
 * classes to make (pycf_register). State is per process: the module refuses a second interpreter.
 *
 * Threads: everything runs under the GIL, which is what protects the objects' fields, except
 * between Py_BEGIN_ALLOW_THREADS and Py_END_ALLOW_THREADS.
 */
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>

#include <cuframes/cuframes.h>

/* What the package has told the module; borrowed nowhere, never freed. */
struct pycf_state {
    PyTypeObject *frame;  /* subclass of _cuframes.Frame that subscribers give */
    PyTypeObject *buffer; /* subclass of _cuframes.Buffer that publishers give */
    PyTypeObject *packet; /* subclass of _cuframes.Packet */
    PyObject *formats;    /* tuple: PixelFormat by number */
    PyObject *sources;    /* tuple: ClockSource by number */
    PyObject *exhausted;  /* called when the holds of a subscriber have run out */
    PyTypeObject *base_frame;
    PyTypeObject *base_buffer;
    PyTypeObject *base_packet;
    PyTypeObject *plane;
};
extern struct pycf_state pycf_state;

#define PYCF_NS_PER_S INT64_C(1000000000)
/* Longest stay in the library before signals and close() are looked at. */
#define PYCF_SLICE_MS 50

/* errors.c */
int pycf_errors_init(PyObject *module);
/* Raises the exception of a CUFRAMES_ERR_… with the library's sentence; returns NULL. */
PyObject *pycf_raise(int err);
/* The same with a sentence of its own; the format is that of PyUnicode_FromFormat(). */
PyObject *pycf_raise_text(int err, const char *format, ...);
/* The same for a sentence that is a Python string; steals nothing. */
PyObject *pycf_raise_object(int err, PyObject *text);

/*
 * Around a call of the library that cannot be made in slices: as Py_BEGIN_ALLOW_THREADS, and Python's
 * signal handlers run while it waits. The call ends with CUFRAMES_ERR_INTERRUPTED if one of them
 * raises, or when `*closing` (may be NULL) is set.
 */
#define PYCF_BEGIN_WAIT(closing)                                                                   \
    cuframes_set_interrupt_check(pycf_wait_check, closing);                                        \
    Py_BEGIN_ALLOW_THREADS
#define PYCF_END_WAIT Py_END_ALLOW_THREADS cuframes_set_interrupt_check(NULL, NULL);
int pycf_wait_check(void *closing);

/* Processes: number of forks between the program's start and this process, which an object keeps
 * from its birth. False = it is that of a parent, and raised so: "this WHAT was made before fork():
 * INSTEAD in the child". Comes before everything else that may be wrong. */
unsigned pycf_fork_count(void);
bool pycf_is_own(unsigned fork_count, const char *what, const char *instead);

/* arguments.c: arguments of what is called from C directly. False = raised, with the argument's name, what
 * it may be and what was given. */
bool pycf_whole_number(PyObject *given, const char *name, long least, long most, const char *what,
                       long *number);
/* Bytes of any kind; to be released. */
bool pycf_bytes(PyObject *given, const char *name, Py_buffer *bytes);

/* Converters for "O&" of PyArg_Parse…(): 1, or 0 = raised. A uint32_t, which "I" would cut to size. */
int pycf_unsigned(PyObject *object, void *number);
/* An address or handle, as unsigned long long. */
int pycf_address(PyObject *object, void *number);

/* times.c: seconds as Python has them. */
/* The argument "timeout": None = never (INT64_MAX), else the deadline on cuframes_now_ns(); false = raised. */
bool pycf_deadline(PyObject *timeout, int64_t *deadline_ns);
/* Milliseconds left for the library: -1 = for ever. */
int32_t pycf_timeout_ms(int64_t deadline_ns);
/* Milliseconds left, rounded up, at most `most`; 0 when the deadline has passed. */
int32_t pycf_left_ms(int64_t deadline_ns, int32_t most);
/* An int of nanoseconds, None for CUFRAMES_NO_TIME. */
PyObject *pycf_time(int64_t ns);

/* Adds the heap type of `spec` to the module under its last name; NULL = raised. Borrowed. */
PyTypeObject *pycf_add_type(PyObject *module, PyType_Spec *spec, PyObject *bases);
/* Frees an object of a heap type whose fields are cleared. */
void pycf_free(PyObject *self);

/* Each adds its types and functions; -1 = raised. */
int pycf_plane_init(PyObject *module);
int pycf_frame_init(PyObject *module);
int pycf_subscriber_init(PyObject *module);
int pycf_publisher_init(PyObject *module);
int pycf_discovery_init(PyObject *module);
int pycf_group_init(PyObject *module);
int pycf_convert_init(PyObject *module);
int pycf_packets_init(PyObject *module);
