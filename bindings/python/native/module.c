/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The extension module: what it consists of, and its few functions about the library itself.
 */
#include "module.h"

#include <pthread.h>

struct pycf_state pycf_state;

/* Changes in a child alone, while that has one thread. */
static unsigned forks;

static void in_child(void)
{
    forks++;
}

unsigned pycf_fork_count(void)
{
    return forks;
}

bool pycf_is_own(unsigned fork_count, const char *what, const char *instead)
{
    return fork_count == forks ||
           pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                           "this %s was made before fork(): %s in the child", what, instead);
}

void pycf_free(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc free_object = (freefunc)PyType_GetSlot(type, Py_tp_free);

    free_object(self);
    Py_DECREF(type);
}

int pycf_wait_check(void *closing)
{
    PyGILState_STATE state = PyGILState_Ensure();
    bool stop = PyErr_CheckSignals() < 0 || (closing && *(const bool *)closing);

    PyGILState_Release(state);
    return stop;
}

PyTypeObject *pycf_add_type(PyObject *module, PyType_Spec *spec, PyObject *bases)
{
    PyObject *type = PyType_FromModuleAndSpec(module, spec, bases);
    int err;

    if (!type)
        return NULL;
    err = PyModule_AddType(module, (PyTypeObject *)type);
    Py_DECREF(type);
    return err < 0 ? NULL : (PyTypeObject *)type;
}

int pycf_unsigned(PyObject *object, void *number)
{
    PyObject *index = PyNumber_Index(object);
    int overflow = 0;
    long long value = index ? PyLong_AsLongLongAndOverflow(index, &overflow) : 0;

    Py_XDECREF(index);
    if (!index)
        return 0;
    if (overflow || value < 0 || value > UINT32_MAX) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%S is not a number from 0 to %lu", object,
                        (unsigned long)UINT32_MAX);
        return 0;
    }
    *(uint32_t *)number = (uint32_t)value;
    return 1;
}

int pycf_address(PyObject *object, void *number)
{
    PyObject *index = PyNumber_Index(object);
    unsigned long long value = index ? PyLong_AsUnsignedLongLong(index) : 0;

    Py_XDECREF(index);
    if (!index || (value == (unsigned long long)-1 && PyErr_Occurred()))
        return 0;
    *(unsigned long long *)number = value;
    return 1;
}

static PyObject *version_string(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyUnicode_FromString(cuframes_version_string());
}

static PyObject *protocol_version(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyLong_FromUnsignedLong(cuframes_protocol_version());
}

static PyObject *now_ns(PyObject *module, PyObject *unused)
{
    (void)module, (void)unused;
    return PyLong_FromLongLong(cuframes_now_ns());
}

/* Replaces a word of the state by a new reference. */
static void set_object(PyObject **place, PyObject *object)
{
    PyObject *old = *place;

    Py_INCREF(object);
    *place = object;
    Py_XDECREF(old);
}

static PyObject *register_package(PyObject *module, PyObject *args)
{
    PyObject *frame, *buffer, *packet, *formats, *sources, *exhausted;

    (void)module;
    if (!PyArg_ParseTuple(args, "O!O!O!O!O!O", &PyType_Type, &frame, &PyType_Type, &buffer,
                          &PyType_Type, &packet, &PyTuple_Type, &formats, &PyTuple_Type, &sources,
                          &exhausted))
        return NULL;
    if (!PyType_IsSubtype((PyTypeObject *)frame, pycf_state.base_frame) ||
        !PyType_IsSubtype((PyTypeObject *)buffer, pycf_state.base_buffer) ||
        !PyType_IsSubtype((PyTypeObject *)packet, pycf_state.base_packet) ||
        PyTuple_Size(formats) != CUFRAMES_FORMAT_COUNT ||
        PyTuple_Size(sources) != CUFRAMES_CLOCK_FILE + 1 || !PyCallable_Check(exhausted)) {
        PyErr_SetString(PyExc_TypeError, "the package does not fit its extension module");
        return NULL;
    }
    set_object((PyObject **)&pycf_state.frame, frame);
    set_object((PyObject **)&pycf_state.buffer, buffer);
    set_object((PyObject **)&pycf_state.packet, packet);
    set_object(&pycf_state.formats, formats);
    set_object(&pycf_state.sources, sources);
    set_object(&pycf_state.exhausted, exhausted);
    Py_RETURN_NONE;
}

static PyMethodDef functions[] = {
    {"version_string", version_string, METH_NOARGS,
     "version_string() -> str\n\nVersion of the library in this package, \"MAJOR.MINOR.PATCH\"."},
    {"protocol_version", protocol_version, METH_NOARGS,
     "protocol_version() -> int\n\nVersion of the wire protocol that the library speaks (5)."},
    {"now_ns", now_ns, METH_NOARGS,
     "now_ns() -> int\n\nCLOCK_MONOTONIC in nanoseconds: the clock of published_ns."},
    {"_register", register_package, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static int add_parts(PyObject *module)
{
    static int64_t interpreter = -1;
    int64_t now = PyInterpreterState_GetID(PyInterpreterState_Get());

    if (interpreter >= 0 && interpreter != now) {
        PyErr_SetString(PyExc_ImportError, "cuframes works in one interpreter of a process only");
        return -1;
    }
    if (interpreter < 0 && pthread_atfork(NULL, NULL, in_child) != 0) {
        PyErr_NoMemory();
        return -1;
    }
    interpreter = now;
    if (pycf_errors_init(module) < 0 || pycf_plane_init(module) < 0 ||
        pycf_frame_init(module) < 0 || pycf_subscriber_init(module) < 0 ||
        pycf_publisher_init(module) < 0 || pycf_discovery_init(module) < 0 ||
        pycf_group_init(module) < 0 || pycf_convert_init(module) < 0 ||
        pycf_packets_init(module) < 0)
        return -1;
    return 0;
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, add_parts},
    {0, NULL},
};

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT,
    .m_name = "cuframes._cuframes",
    .m_doc = "The compiled part of the package cuframes, with the library in it.",
    .m_methods = functions,
    .m_slots = slots,
};

PyMODINIT_FUNC PyInit__cuframes(void);
PyMODINIT_FUNC PyInit__cuframes(void)
{
    return PyModuleDef_Init(&definition);
}
