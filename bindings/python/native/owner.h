/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An owner is a Python object that keeps a picture's memory: a frame (held, or a copy) or a slot of
 * a publisher. Views of the picture (planes, buffers, DLPack tensors) keep their owner and count
 * in it. When the program releases the owner, the memory stays until the last view is gone.
 */
#pragma once

#include "module.h"
#include "picture.h"

struct pycf_owner {
    PyObject ob_base;
    Py_ssize_t views;
    bool released; /* by the program: its attributes raise */
    bool pinned;   /* an address was given away that only the object's own life protects */
    bool vacant;   /* the memory has been given back */
    bool readonly;
    bool is_one; /* `whole` describes the picture */
    struct pycf_picture picture;
    struct pycf_array whole;
    /* GPU memory: the streams whose work uses it, as its consumers said; NULL = the legacy default
     * stream. */
    void **streams;
    uint32_t stream_count;
    /* Where the first view was taken, for the message about holds; see pycf_owner_note_place(). */
    PyObject *place_code;
    int place_line;
    const char *place_what;
    /* Gives the memory back; called once. */
    void (*vacate)(struct pycf_owner *);
    /* Raises that it was released; returns NULL. */
    PyObject *(*complain)(struct pycf_owner *);
};

/* Sets the picture and what follows from it. */
void pycf_owner_init(struct pycf_owner *owner, const struct pycf_picture *picture);
/* A view begins and ends; it keeps the object alive. */
void pycf_owner_begin_view(struct pycf_owner *owner, const char *what);
void pycf_owner_end_view(struct pycf_owner *owner);
/* Work of this stream uses the memory from now on; false = raised. */
bool pycf_owner_use_stream(struct pycf_owner *owner, void *stream);
/* A stream that is behind all of those, or `otherwise` if there are none. To be ended with
 * pycf_owner_end_stream(), whatever is done behind it. CUFRAMES_OK or an error of the library. */
int pycf_owner_stream(const struct pycf_owner *owner, void *otherwise, void **stream);
void pycf_owner_end_stream(const struct pycf_owner *owner, void *stream);
/* The program lets go. */
void pycf_owner_release(struct pycf_owner *owner);
/* The object's end; the caller frees it. */
void pycf_owner_fini(struct pycf_owner *owner);
/* Remembers the line of Python that runs now, unless one is known. */
void pycf_owner_note_place(struct pycf_owner *owner, const char *what);

/* Attributes, buffer and DLPack of an owner, with which its type is built. */
PyObject *pycf_owner_planes(struct pycf_owner *owner);
PyObject *pycf_owner_numpy(struct pycf_owner *owner, PyObject *args, PyObject *kwargs);
int pycf_owner_get_buffer(PyObject *self, Py_buffer *view, int flags);
void pycf_owner_release_buffer(PyObject *self, Py_buffer *view);
PyObject *pycf_owner_array_interface(struct pycf_owner *owner);
PyObject *pycf_owner_cuda_array_interface(struct pycf_owner *owner);

/* Why there is no array of the processor's, and what to do. */
const char *pycf_owner_on_gpu(const struct pycf_owner *owner);

/* numpy.asarray(); NULL = raised. */
PyObject *pycf_numpy_asarray(PyObject *object);

/* plane.c: the dictionaries of the array interfaces. */
PyObject *pycf_interface_of(const struct pycf_array *array, bool readonly, bool on_gpu);
int pycf_fill_buffer(PyObject *exporter, struct pycf_array *array, bool readonly, Py_buffer *view,
                     int flags);

/* dlpack.c: a capsule over `array`, which lives in the owner. Arguments of __dlpack__(). */
PyObject *pycf_dlpack(struct pycf_owner *owner, const struct pycf_array *array, PyObject *args,
                      PyObject *kwargs);
PyObject *pycf_dlpack_device(const struct pycf_owner *owner);
