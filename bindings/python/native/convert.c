/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Colour conversion of an owner's picture into a buffer of the caller.
 */
#include "colors.h"
#include "owner.h"

/* The output: rows of `width * samples` bytes, each without gaps. */
static bool check_out(const Py_buffer *out, const struct pycf_picture *picture, int samples)
{
    bool fits = out->itemsize == 1 && out->ndim == (samples == 1 ? 2 : 3) &&
                out->shape[0] == picture->height && out->shape[1] == picture->width &&
                (samples == 1 || out->shape[2] == samples);

    if (!fits) {
        if (samples == 1)
            pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "out must be uint8 with shape (%d, %d)",
                            picture->height, picture->width);
        else
            pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "out must be uint8 with shape (%d, %d, 3)",
                            picture->height, picture->width);
        return false;
    }
    if (out->strides[0] < 0 || (samples > 1 && out->strides[2] != 1) ||
        out->strides[1] != samples) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "the rows of out must be contiguous");
        return false;
    }
    return true;
}

static PyObject *convert_owner(struct pycf_owner *owner, enum pycf_order order,
                               const Py_buffer *out, int threads)
{
    bool done;

    if (!check_out(out, &owner->picture, order == PYCF_GRAY ? 1 : 3))
        return NULL;
    pycf_owner_begin_view(owner, NULL);
    Py_BEGIN_ALLOW_THREADS done =
        pycf_convert(&owner->picture, order, out->buf, (size_t)out->strides[0], threads);
    Py_END_ALLOW_THREADS pycf_owner_end_view(owner);
    if (!done)
        return pycf_raise_text(CUFRAMES_ERR_FORMAT,
                               "colour matrix %d of this picture is not known here: take its "
                               "planes with numpy()",
                               pycf_matrix_of(&owner->picture));
    Py_RETURN_NONE;
}

/* In place of what says that it has no buffer, or one that cannot be written. */
static PyObject *refuse_out(PyObject *target)
{
    bool is_array = !PyErr_ExceptionMatches(PyExc_TypeError);

    PyErr_Clear();
    if (is_array)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                               "out must be an array that can be written");
    PyErr_Format(PyExc_TypeError, "out is an array of uint8 that can be written; not %R", target);
    return NULL;
}

static PyObject *convert(PyObject *module, PyObject *args)
{
    PyObject *frame, *target, *result;
    struct pycf_owner *owner;
    Py_buffer out;
    int order, threads;

    (void)module;
    if (!PyArg_ParseTuple(args, "O!iOi", pycf_state.base_frame, &frame, &order, &target, &threads))
        return NULL;
    owner = (struct pycf_owner *)frame;
    if (owner->released)
        return owner->complain(owner);
    if (owner->picture.memory != CUFRAMES_MEMORY_HOST)
        return pycf_raise_text(CUFRAMES_ERR_CUDA,
                               "this frame is in GPU memory: convert a copy() of it");
    if (PyObject_GetBuffer(target, &out, PyBUF_WRITABLE | PyBUF_STRIDES) < 0)
        return refuse_out(target);
    result = convert_owner(owner, (enum pycf_order)order, &out, threads);
    PyBuffer_Release(&out);
    return result;
}

/* (matrix, is limited): what counts for the picture. */
static PyObject *colors_of(PyObject *module, PyObject *frame)
{
    const struct pycf_owner *owner = (struct pycf_owner *)frame;

    (void)module;
    if (!PyObject_TypeCheck(frame, pycf_state.base_frame)) {
        PyErr_SetString(PyExc_TypeError, "a frame is needed");
        return NULL;
    }
    return Py_BuildValue("(iO)", pycf_matrix_of(&owner->picture),
                         pycf_is_limited(&owner->picture) ? Py_True : Py_False);
}

static PyMethodDef functions[] = {
    {"_convert", convert, METH_VARARGS, NULL},
    {"_colors_of", colors_of, METH_O, NULL},
    {NULL, NULL, 0, NULL},
};

int pycf_convert_init(PyObject *module)
{
    return PyModule_AddFunctions(module, functions);
}
