/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plane: one plane of a picture, with the protocols by which others take arrays. While a plane
 * lives, the memory of its picture does.
 */
#include "plane.h"

struct plane {
    PyObject ob_base;
    struct pycf_owner *owner;
    struct pycf_array array;
};

PyObject *pycf_plane_new(struct pycf_owner *owner, int32_t index)
{
    struct plane *plane = (struct plane *)PyType_GenericAlloc(pycf_state.plane, 0);

    if (!plane)
        return NULL;
    pycf_array_of_plane(&owner->picture, index, &plane->array);
    plane->owner = owner;
    pycf_owner_begin_view(owner, "a view of a plane");
    return (PyObject *)plane;
}

static void plane_dealloc(PyObject *self)
{
    struct plane *plane = (struct plane *)self;

    if (plane->owner)
        pycf_owner_end_view(plane->owner);
    pycf_free(self);
}

int pycf_fill_buffer(PyObject *exporter, struct pycf_array *array, bool readonly, Py_buffer *view,
                     int flags)
{
    bool contiguous = pycf_array_is_contiguous(array);

    view->obj = NULL;
    if (readonly && (flags & PyBUF_WRITABLE) == PyBUF_WRITABLE) {
        PyErr_SetString(PyExc_BufferError, "the picture is read-only: other processes read it too");
        return -1;
    }
    if (!contiguous && ((flags & PyBUF_STRIDES) != PyBUF_STRIDES ||
                        (flags & PyBUF_C_CONTIGUOUS) == PyBUF_C_CONTIGUOUS ||
                        (flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS ||
                        (flags & PyBUF_ANY_CONTIGUOUS) == PyBUF_ANY_CONTIGUOUS)) {
        PyErr_SetString(PyExc_BufferError, "the rows of the picture do not follow without a gap");
        return -1;
    }
    if ((flags & PyBUF_F_CONTIGUOUS) == PyBUF_F_CONTIGUOUS) {
        PyErr_SetString(PyExc_BufferError, "the picture is stored row by row");
        return -1;
    }
    *view = (Py_buffer){
        .buf = array->data,
        .obj = Py_NewRef(exporter),
        .len = pycf_array_bytes(array),
        .itemsize = array->item,
        .readonly = readonly,
        .ndim = (flags & PyBUF_ND) == PyBUF_ND ? array->ndim : 1,
        .format = (flags & PyBUF_FORMAT) == PyBUF_FORMAT ? (array->item == 2 ? "<H" : "B") : NULL,
        .shape = (flags & PyBUF_ND) == PyBUF_ND ? array->shape : NULL,
        .strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? array->strides : NULL,
    };
    return 0;
}

static int plane_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    struct plane *plane = (struct plane *)self;

    view->obj = NULL;
    if (plane->owner->picture.memory != CUFRAMES_MEMORY_HOST) {
        PyErr_SetString(PyExc_BufferError, pycf_owner_on_gpu(plane->owner));
        return -1;
    }
    return pycf_fill_buffer(self, &plane->array, plane->owner->readonly, view, flags);
}

/* ---- attributes ---- */

static PyObject *sizes(const ptrdiff_t *values, int count)
{
    PyObject *tuple = PyTuple_New(count);

    for (int i = 0; tuple && i < count; i++) {
        PyObject *value = PyLong_FromSsize_t(values[i]);

        if (!value || PyTuple_SetItem(tuple, i, value) < 0)
            Py_CLEAR(tuple);
    }
    return tuple;
}

static const char *type_string(const struct pycf_array *array)
{
    return array->item == 2 ? "<u2" : "|u1";
}

PyObject *pycf_interface_of(const struct pycf_array *array, bool readonly, bool on_gpu)
{
    PyObject *shape = sizes(array->shape, array->ndim);
    PyObject *strides = shape ? sizes(array->strides, array->ndim) : NULL;
    PyObject *interface;

    if (!strides) {
        Py_XDECREF(shape);
        return NULL;
    }
    interface =
        Py_BuildValue("{s:N,s:N,s:s,s:(KO),s:i}", "shape", shape, "strides", strides, "typestr",
                      type_string(array), "data", (unsigned long long)(uintptr_t)array->data,
                      readonly ? Py_True : Py_False, "version", 3);
    /* No stream to wait for: a frame is complete when it is given. */
    if (interface && on_gpu && PyDict_SetItemString(interface, "stream", Py_None) < 0)
        Py_CLEAR(interface);
    return interface;
}

static PyObject *plane_shape(PyObject *self, void *unused)
{
    const struct plane *plane = (struct plane *)self;

    (void)unused;
    return sizes(plane->array.shape, plane->array.ndim);
}

static PyObject *plane_strides(PyObject *self, void *unused)
{
    const struct plane *plane = (struct plane *)self;

    (void)unused;
    return sizes(plane->array.strides, plane->array.ndim);
}

static PyObject *plane_dtype(PyObject *self, void *unused)
{
    (void)unused;
    return PyUnicode_FromString(((struct plane *)self)->array.item == 2 ? "uint16" : "uint8");
}

static PyObject *plane_ptr(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromVoidPtr(((struct plane *)self)->array.data);
}

static PyObject *plane_pitch(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(((struct plane *)self)->array.strides[0]);
}

static PyObject *plane_nbytes(PyObject *self, void *unused)
{
    (void)unused;
    return PyLong_FromSsize_t(pycf_array_bytes(&((struct plane *)self)->array));
}

static PyObject *interface_in(PyObject *self, cuframes_memory_t memory, const char *missing)
{
    const struct plane *plane = (struct plane *)self;

    if (plane->owner->picture.memory != memory) {
        PyErr_SetString(PyExc_AttributeError, missing);
        return NULL;
    }
    return pycf_interface_of(&plane->array, plane->owner->readonly, memory == CUFRAMES_MEMORY_CUDA);
}

static PyObject *plane_array_interface(PyObject *self, void *unused)
{
    (void)unused;
    return interface_in(self, CUFRAMES_MEMORY_HOST, "__array_interface__: in GPU memory");
}

static PyObject *plane_cuda_array_interface(PyObject *self, void *unused)
{
    (void)unused;
    return interface_in(self, CUFRAMES_MEMORY_CUDA, "__cuda_array_interface__: in host memory");
}

static PyGetSetDef plane_attributes[] = {
    {"shape", plane_shape, NULL,
     "(rows, columns), or (rows, columns, samples of a pixel) where those lie side by side.", NULL},
    {"strides", plane_strides, NULL, "Bytes from one item to the next, for each dimension.", NULL},
    {"dtype", plane_dtype, NULL, "\"uint8\", or \"uint16\" for formats with 16-bit samples.", NULL},
    {"ptr", plane_ptr, NULL, "Address of the first visible byte, host or device memory.", NULL},
    {"pitch", plane_pitch, NULL, "Bytes from one row to the next.", NULL},
    {"nbytes", plane_nbytes, NULL, "Bytes of the visible picture, without padding.", NULL},
    {"__array_interface__", plane_array_interface, NULL,
     "NumPy's array interface, version 3; host memory only.", NULL},
    {"__cuda_array_interface__", plane_cuda_array_interface, NULL,
     "The CUDA array interface, version 3; GPU memory only.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *plane_array(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"dtype", "copy", NULL};
    PyObject *dtype = Py_None, *copy = Py_None, *view, *array;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:__array__", names, &dtype, &copy))
        return NULL;
    /* Without this NumPy would make an array of one object. */
    if (((struct plane *)self)->owner->picture.memory != CUFRAMES_MEMORY_HOST) {
        PyErr_SetString(PyExc_TypeError, pycf_owner_on_gpu(((struct plane *)self)->owner));
        return NULL;
    }
    if (!(view = PyMemoryView_FromObject(self)))
        return NULL;
    array = pycf_numpy_asarray(view);
    Py_DECREF(view);
    if (array && (dtype != Py_None || copy == Py_True)) {
        PyObject *made = dtype == Py_None ? PyObject_CallMethod(array, "copy", NULL)
                                          : PyObject_CallMethod(array, "astype", "O", dtype);

        Py_DECREF(array);
        return made;
    }
    return array;
}

static PyObject *plane_dlpack(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct plane *plane = (struct plane *)self;

    return pycf_dlpack(plane->owner, &plane->array, args, kwargs);
}

static PyObject *plane_dlpack_device(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pycf_dlpack_device(((struct plane *)self)->owner);
}

static PyMethodDef plane_methods[] = {
    {"__array__", (PyCFunction)(void (*)(void))plane_array, METH_VARARGS | METH_KEYWORDS,
     "__array__(dtype=None, copy=None)\n\nA NumPy array of the plane, a view unless asked "
     "otherwise; host memory only."},
    {"__dlpack__", (PyCFunction)(void (*)(void))plane_dlpack, METH_VARARGS | METH_KEYWORDS,
     "__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)\n\n"
     "A DLPack capsule; it keeps the memory until its consumer deletes the tensor."},
    {"__dlpack_device__", plane_dlpack_device, METH_NOARGS,
     "__dlpack_device__() -> tuple[int, int]\n\n(1, 0) for host memory, (2, n) for CUDA device n."},
    {NULL, NULL, 0, NULL},
};

static PyObject *plane_repr(PyObject *self)
{
    const struct plane *plane = (struct plane *)self;
    PyObject *shape = sizes(plane->array.shape, plane->array.ndim), *text;

    if (!shape)
        return NULL;
    text = PyUnicode_FromFormat("<cuframes.Plane %R %s>", shape,
                                plane->array.item == 2 ? "uint16" : "uint8");
    Py_DECREF(shape);
    return text;
}

static PyType_Slot plane_slots[] = {
    {Py_tp_doc, "One plane of a picture, in place.\n\n"
                "While it lives, the picture's memory is kept. np.asarray(plane) is a view; "
                "torch.from_dlpack(plane) and cupy.from_dlpack(plane) too."},
    {Py_tp_dealloc, plane_dealloc},
    {Py_tp_repr, plane_repr},
    {Py_tp_getset, plane_attributes},
    {Py_tp_methods, plane_methods},
    {Py_bf_getbuffer, plane_get_buffer},
    {0, NULL},
};

static PyType_Spec plane_spec = {
    .name = "cuframes._cuframes.Plane",
    .basicsize = sizeof(struct plane),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = plane_slots,
};

int pycf_plane_init(PyObject *module)
{
    pycf_state.plane = pycf_add_type(module, &plane_spec, NULL);
    return pycf_state.plane ? 0 : -1;
}
