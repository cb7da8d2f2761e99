/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times: seconds of Python, nanoseconds and milliseconds of the library. Pure but for the clock.
 */
#include <math.h>

#include "module.h"

#define TIMEOUT "timeout is a number of seconds, 0 or more, or None to wait for ever; not %R"

bool pycf_deadline(PyObject *timeout, int64_t *deadline_ns)
{
    double value;

    *deadline_ns = INT64_MAX;
    if (timeout == Py_None)
        return true;
    value = PyFloat_AsDouble(timeout);
    if (value == -1.0 && PyErr_Occurred()) {
        /* An int too large for a double is as good as for ever. */
        if (!PyErr_ExceptionMatches(PyExc_OverflowError)) {
            PyErr_Format(PyExc_TypeError, TIMEOUT, timeout);
            return false;
        }
        PyErr_Clear();
        return true;
    }
    if (isnan(value) || value < 0)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, TIMEOUT, timeout);
    /* A century from now and "never" are the same. */
    if (value < 3e9)
        *deadline_ns = cuframes_now_ns() + (int64_t)(value * 1e9);
    return true;
}

int32_t pycf_left_ms(int64_t deadline_ns, int32_t most)
{
    int64_t left, ms;

    if (deadline_ns == INT64_MAX)
        return most;
    left = deadline_ns - cuframes_now_ns();
    if (left <= 0)
        return 0;
    ms = (left + 999999) / 1000000;
    return ms < most ? (int32_t)ms : most;
}

int32_t pycf_timeout_ms(int64_t deadline_ns)
{
    int64_t left = deadline_ns - cuframes_now_ns();

    return deadline_ns == INT64_MAX || left / 1000000 >= INT32_MAX
               ? -1
               : pycf_left_ms(deadline_ns, INT32_MAX);
}

PyObject *pycf_time(int64_t ns)
{
    if (ns == CUFRAMES_NO_TIME)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(ns);
}
