/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Arguments of what Python calls in this module directly; those of the package's own functions are
 * checked in _arguments.py. A wrong type is a TypeError, a value out of range
 * CuframesInvalidArgument.
 */
#include "module.h"

bool pycf_whole_number(PyObject *given, const char *name, long least, long most, const char *what,
                       long *number)
{
    PyObject *index = PyNumber_Index(given);
    int overflow = 0;
    long value = index ? PyLong_AsLongAndOverflow(index, &overflow) : 0;

    Py_XDECREF(index);
    if (!index) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, "%s is %s; not %R", name, what, given);
        return false;
    }
    if (overflow || value < least || value > most)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%s is %s; not %R", name, what, given);
    *number = value;
    return true;
}

bool pycf_bytes(PyObject *given, const char *name, Py_buffer *bytes)
{
    if (PyObject_GetBuffer(given, bytes, PyBUF_SIMPLE) == 0)
        return true;
    PyErr_Clear();
    PyErr_Format(PyExc_TypeError, "%s is bytes, or an object with contiguous bytes; not %R", name,
                 given);
    return false;
}
