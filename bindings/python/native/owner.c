/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Owners of pictures: lifetime, and what they offer as arrays.
 */
#include "owner.h"

#include <stdlib.h>

#include "plane.h"

void pycf_owner_init(struct pycf_owner *owner, const struct pycf_picture *picture)
{
    owner->picture = *picture;
    owner->is_one = pycf_array_of_picture(&owner->picture, &owner->whole);
}

void pycf_owner_note_place(struct pycf_owner *owner, const char *what)
{
    PyFrameObject *frame;

    if (owner->place_code)
        return;
    frame = PyEval_GetFrame();
    if (!frame)
        return;
    owner->place_code = (PyObject *)PyFrame_GetCode(frame);
    owner->place_line = PyFrame_GetLineNumber(frame);
    owner->place_what = what;
}

static void vacate(struct pycf_owner *owner)
{
    if (owner->vacant)
        return;
    owner->vacant = true;
    owner->vacate(owner);
}

void pycf_owner_begin_view(struct pycf_owner *owner, const char *what)
{
    owner->views++;
    Py_INCREF((PyObject *)owner);
    if (what)
        pycf_owner_note_place(owner, what);
}

void pycf_owner_end_view(struct pycf_owner *owner)
{
    owner->views--;
    if (owner->released && owner->views == 0 && !owner->pinned)
        vacate(owner);
    Py_DECREF((PyObject *)owner);
}

void pycf_owner_release(struct pycf_owner *owner)
{
    owner->released = true;
    if (owner->views == 0 && !owner->pinned)
        vacate(owner);
}

void pycf_owner_fini(struct pycf_owner *owner)
{
    vacate(owner);
    Py_CLEAR(owner->place_code);
    free(owner->streams);
    owner->streams = NULL;
}

/* ---- streams ---- */

bool pycf_owner_use_stream(struct pycf_owner *owner, void *stream)
{
    void **more;

    for (uint32_t i = 0; i < owner->stream_count; i++)
        if (owner->streams[i] == stream)
            return true;
    more = realloc(owner->streams, (owner->stream_count + 1) * sizeof(*more));
    if (!more) {
        PyErr_NoMemory();
        return false;
    }
    more[owner->stream_count++] = stream;
    owner->streams = more;
    return true;
}

int pycf_owner_stream(const struct pycf_owner *owner, void *otherwise, void **stream)
{
    *stream = owner->stream_count ? owner->streams[0] : otherwise;
    if (owner->stream_count < 2)
        return CUFRAMES_OK;
    return cuframes_gpu_join_streams(owner->picture.device, owner->streams, owner->stream_count,
                                     stream);
}

void pycf_owner_end_stream(const struct pycf_owner *owner, void *stream)
{
    if (owner->stream_count > 1)
        cuframes_gpu_end_stream(owner->picture.device, stream);
}

/* ---- arrays ---- */

const char *pycf_owner_on_gpu(const struct pycf_owner *owner)
{
    return owner->readonly ? "this frame is in GPU memory: use torch.from_dlpack(frame) or "
                             "cupy.from_dlpack(frame), copy it with frame.copy() or bgr(), or open "
                             "the channel with device=\"cpu\", staged=True"
                           : "this slot is in GPU memory: write into torch.from_dlpack(buf) or "
                             "cupy.from_dlpack(buf), or let send() copy an array into one";
}

PyObject *pycf_owner_planes(struct pycf_owner *owner)
{
    int32_t count = owner->picture.plane_count;
    PyObject *planes;

    if (owner->released)
        return owner->complain(owner);
    if (!(planes = PyTuple_New(count)))
        return NULL;
    for (int32_t i = 0; i < count; i++) {
        PyObject *plane = pycf_plane_new(owner, i);

        if (!plane || PyTuple_SetItem(planes, i, plane) < 0) {
            Py_DECREF(planes);
            return NULL;
        }
    }
    return planes;
}

PyObject *pycf_numpy_asarray(PyObject *object)
{
    static PyObject *asarray;

    if (!asarray) {
        PyObject *numpy = PyImport_ImportModule("numpy");

        if (!numpy)
            return NULL;
        asarray = PyObject_GetAttrString(numpy, "asarray");
        Py_DECREF(numpy);
        if (!asarray)
            return NULL;
    }
    return PyObject_CallFunctionObjArgs(asarray, object, NULL);
}

static PyObject *view_of_plane(struct pycf_owner *owner, int32_t index)
{
    PyObject *plane, *array;

    if (index < 0 || index >= owner->picture.plane_count)
        return pycf_raise_text(
            CUFRAMES_ERR_INVALID_ARG, "there is no plane %d: this %s picture has %d", index,
            cuframes_format_name(owner->picture.format), owner->picture.plane_count);
    if (!(plane = pycf_plane_new(owner, index)))
        return NULL;
    array = pycf_numpy_asarray(plane);
    Py_DECREF(plane);
    return array;
}

PyObject *pycf_owner_numpy(struct pycf_owner *owner, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"plane", NULL};
    PyObject *which = Py_None, *arrays;
    int32_t count = owner->picture.plane_count;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O:numpy", names, &which))
        return NULL;
    if (owner->released)
        return owner->complain(owner);
    if (owner->picture.memory != CUFRAMES_MEMORY_HOST)
        return pycf_raise_text(CUFRAMES_ERR_CUDA, "%s", pycf_owner_on_gpu(owner));
    if (which != Py_None) {
        long index;

        if (!pycf_whole_number(which, "plane", LONG_MIN, LONG_MAX,
                               "the index of a plane, or None for all", &index))
            return NULL;
        return view_of_plane(owner, index < 0 || index > INT32_MAX ? -1 : (int32_t)index);
    }
    if (!(arrays = PyTuple_New(count)))
        return NULL;
    for (int32_t i = 0; i < count; i++) {
        PyObject *array = view_of_plane(owner, i);

        if (!array || PyTuple_SetItem(arrays, i, array) < 0) {
            Py_DECREF(arrays);
            return NULL;
        }
    }
    return arrays;
}

static int not_one_array(const struct pycf_owner *owner)
{
    const struct pycf_picture *picture = &owner->picture;

    if (picture->format != CUFRAMES_FORMAT_YUV444P && (picture->width % 2 || picture->height % 2)) {
        PyErr_Format(PyExc_BufferError,
                     "a %s picture of %dx%d, an odd size, is not one array: take the planes one by "
                     "one, from numpy() or planes%s",
                     cuframes_format_name(picture->format), picture->width, picture->height,
                     owner->readonly ? "; bgr(), rgb() and gray() give one array" : "");
        return -1;
    }
    PyErr_Format(PyExc_BufferError,
                 "the planes of this %s picture do not lie one behind the other, so it is not one "
                 "array: take the planes one by one, from numpy() or planes",
                 cuframes_format_name(owner->picture.format));
    return -1;
}

int pycf_owner_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;

    view->obj = NULL;
    if (owner->released) {
        owner->complain(owner);
        return -1;
    }
    if (owner->picture.memory != CUFRAMES_MEMORY_HOST) {
        PyErr_SetString(PyExc_BufferError, pycf_owner_on_gpu(owner));
        return -1;
    }
    if (!owner->is_one)
        return not_one_array(owner);
    if (pycf_fill_buffer(self, &owner->whole, owner->readonly, view, flags) < 0)
        return -1;
    owner->views++;
    pycf_owner_note_place(owner, "a buffer");
    return 0;
}

void pycf_owner_release_buffer(PyObject *self, Py_buffer *view)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;

    (void)view;
    Py_INCREF((PyObject *)owner);
    pycf_owner_end_view(owner);
}

PyObject *pycf_owner_array_interface(struct pycf_owner *owner)
{
    if (owner->released)
        return owner->complain(owner);
    if (owner->picture.memory != CUFRAMES_MEMORY_HOST || !owner->is_one) {
        PyErr_SetString(PyExc_AttributeError, owner->is_one ? "__array_interface__: in GPU memory"
                                                            : "__array_interface__: not one array");
        return NULL;
    }
    owner->pinned = true;
    pycf_owner_note_place(owner, "an array");
    return pycf_interface_of(&owner->whole, owner->readonly, false);
}

PyObject *pycf_owner_cuda_array_interface(struct pycf_owner *owner)
{
    if (owner->released)
        return owner->complain(owner);
    if (owner->picture.memory != CUFRAMES_MEMORY_CUDA || !owner->is_one) {
        PyErr_SetString(PyExc_AttributeError, owner->is_one
                                                  ? "__cuda_array_interface__: in host memory"
                                                  : "__cuda_array_interface__: not one array");
        return NULL;
    }
    owner->pinned = true;
    pycf_owner_note_place(owner, "a GPU array");
    return pycf_interface_of(&owner->whole, owner->readonly, true);
}
