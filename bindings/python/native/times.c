/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Times: seconds of Python, nanoseconds and milliseconds of the library. Pure but for the clock.
 */
#include <math.h>

#include "module.h"

bool pycf_deadline(PyObject *seconds, int64_t *deadline_ns)
{
    double value;

    *deadline_ns = INT64_MAX;
    if (seconds == Py_None)
        return true;
    value = PyFloat_AsDouble(seconds);
    if (value == -1.0 && PyErr_Occurred())
        return false;
    if (isnan(value)) {
        PyErr_SetString(PyExc_ValueError, "a timeout is a number of seconds, or None");
        return false;
    }
    /* A century from now and "never" are the same. */
    if (value >= 0 && value < 3e9)
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

PyObject *pycf_time(int64_t ns)
{
    if (ns == CUFRAMES_NO_TIME)
        Py_RETURN_NONE;
    return PyLong_FromLongLong(ns);
}
