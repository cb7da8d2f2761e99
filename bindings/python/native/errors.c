/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The exceptions: one class for each kind of failure, below CuframesError, and below the class of
 * Python's own that says the same. Each instance has the library's number as `code`.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "module.h"

enum kind {
    KIND_ERROR,
    KIND_GONE,
    KIND_TIMEOUT,
    KIND_DEVICE,
    KIND_SHM,
    KIND_PROTOCOL,
    KIND_ARGUMENT,
    KIND_MEMORY,
    KIND_INTERNAL,
    KIND_EXISTS,
    KIND_TOO_MANY,
    KIND_EVICTED,
    KIND_PERMISSION,
    KIND_PACKET,
    KIND_COUNT
};

static PyObject *classes[KIND_COUNT];

static const struct {
    const char *name;
    const char *doc;
} texts[KIND_COUNT] = {
    [KIND_ERROR] = {"CuframesError",
                    "Base of all errors of this package; `code` is the library's number."},
    [KIND_GONE] = {"CuframesPublisherGone",
                   "There is no such channel, or its publisher closed it or died. Also a "
                   "ConnectionError."},
    [KIND_TIMEOUT] = {"CuframesFrameTimeout", "Nothing came in time. Also a TimeoutError."},
    [KIND_DEVICE] = {"CuframesDeviceLost", "The GPU driver failed, or is not there."},
    [KIND_SHM] = {"CuframesShmError", "A system call failed."},
    [KIND_PROTOCOL] = {"CuframesProtocolMismatch", "The peer speaks another version, or nonsense."},
    [KIND_ARGUMENT] = {"CuframesInvalidArgument",
                       "An argument is out of its range, or what it names was closed or released. "
                       "Also a ValueError."},
    [KIND_MEMORY] = {"CuframesOutOfMemory", "There is no memory left. Also a MemoryError."},
    [KIND_INTERNAL] = {"CuframesInternal", "A bug in the library."},
    [KIND_EXISTS] = {"CuframesAlreadyExists",
                     "The key has a publisher, or the subscriber's name is in use."},
    [KIND_TOO_MANY] = {"CuframesTooMany",
                       "A stated limit is reached: frames held, subscribers, descriptors."},
    [KIND_EVICTED] = {"CuframesEvicted",
                      "The publisher waited for this subscriber as long as its policy allows, then "
                      "went on without it."},
    [KIND_PERMISSION] = {"CuframesPermissionError",
                         "The operating system, or the publisher's socket, do not allow it. Also a "
                         "PermissionError."},
    [KIND_PACKET] = {"CuframesPacketError",
                     "Packets: there are none, they are too large, or they were overwritten."},
};

static enum kind kind_of(int err)
{
    switch (err) {
    case CUFRAMES_ERR_NOT_FOUND:
    case CUFRAMES_ERR_DISCONNECTED:
        return KIND_GONE;
    case CUFRAMES_ERR_TIMEOUT:
    case CUFRAMES_ERR_WOULD_BLOCK:
        return KIND_TIMEOUT;
    case CUFRAMES_ERR_CUDA:
        return KIND_DEVICE;
    case CUFRAMES_ERR_IO:
        return KIND_SHM;
    case CUFRAMES_ERR_PROTOCOL:
        return KIND_PROTOCOL;
    case CUFRAMES_ERR_INVALID_ARG:
    case CUFRAMES_ERR_FORMAT:
        return KIND_ARGUMENT;
    case CUFRAMES_ERR_OUT_OF_MEMORY:
        return KIND_MEMORY;
    case CUFRAMES_ERR_INTERNAL:
        return KIND_INTERNAL;
    case CUFRAMES_ERR_ALREADY_EXISTS:
        return KIND_EXISTS;
    case CUFRAMES_ERR_TOO_MANY:
        return KIND_TOO_MANY;
    case CUFRAMES_ERR_EVICTED:
        return KIND_EVICTED;
    case CUFRAMES_ERR_PERMISSION:
        return KIND_PERMISSION;
    case CUFRAMES_ERR_PACKET_OVERSIZED:
    case CUFRAMES_ERR_NO_PACKET_RING:
    case CUFRAMES_ERR_NO_CODEC_PARAMS:
    case CUFRAMES_ERR_PACKET_OVERRUN:
        return KIND_PACKET;
    default:
        return KIND_ERROR;
    }
}

/* `code` of an instance that was raised without the library. */
static const int codes[KIND_COUNT] = {
    [KIND_ERROR] = CUFRAMES_ERR_INTERNAL,
    [KIND_GONE] = CUFRAMES_ERR_NOT_FOUND,
    [KIND_TIMEOUT] = CUFRAMES_ERR_TIMEOUT,
    [KIND_DEVICE] = CUFRAMES_ERR_CUDA,
    [KIND_SHM] = CUFRAMES_ERR_IO,
    [KIND_PROTOCOL] = CUFRAMES_ERR_PROTOCOL,
    [KIND_ARGUMENT] = CUFRAMES_ERR_INVALID_ARG,
    [KIND_MEMORY] = CUFRAMES_ERR_OUT_OF_MEMORY,
    [KIND_INTERNAL] = CUFRAMES_ERR_INTERNAL,
    [KIND_EXISTS] = CUFRAMES_ERR_ALREADY_EXISTS,
    [KIND_TOO_MANY] = CUFRAMES_ERR_TOO_MANY,
    [KIND_EVICTED] = CUFRAMES_ERR_EVICTED,
    [KIND_PERMISSION] = CUFRAMES_ERR_PERMISSION,
    [KIND_PACKET] = CUFRAMES_ERR_NO_PACKET_RING,
};

static PyObject *cousin_of(enum kind kind)
{
    switch (kind) {
    case KIND_GONE:
        return PyExc_ConnectionError;
    case KIND_TIMEOUT:
        return PyExc_TimeoutError;
    case KIND_ARGUMENT:
        return PyExc_ValueError;
    case KIND_MEMORY:
        return PyExc_MemoryError;
    case KIND_PERMISSION:
        return PyExc_PermissionError;
    default:
        return NULL;
    }
}

static PyObject *make_class(enum kind kind)
{
    PyObject *cousin = cousin_of(kind), *bases, *attributes, *made;
    char name[64];

    snprintf(name, sizeof(name), "cuframes.%s", texts[kind].name);
    if (kind == KIND_ERROR)
        bases = PyTuple_Pack(1, PyExc_Exception);
    else if (cousin)
        bases = PyTuple_Pack(2, classes[KIND_ERROR], cousin);
    else
        bases = PyTuple_Pack(1, classes[KIND_ERROR]);
    if (!bases)
        return NULL;
    attributes = Py_BuildValue("{s:i}", "code", codes[kind]);
    made = attributes ? PyErr_NewExceptionWithDoc(name, texts[kind].doc, bases, attributes) : NULL;
    Py_XDECREF(attributes);
    Py_DECREF(bases);
    return made;
}

int pycf_errors_init(PyObject *module)
{
    for (enum kind kind = 0; kind < KIND_COUNT; kind++) {
        if (!classes[kind] && !(classes[kind] = make_class(kind)))
            return -1;
        if (PyModule_AddObjectRef(module, texts[kind].name, classes[kind]) < 0)
            return -1;
    }
    return 0;
}

PyObject *pycf_raise_object(int err, PyObject *text)
{
    PyObject *class = classes[kind_of(err)];
    PyObject *error = PyObject_CallFunctionObjArgs(class, text, NULL);
    PyObject *code = error ? PyLong_FromLong(err) : NULL;

    if (code && PyObject_SetAttrString(error, "code", code) == 0)
        PyErr_SetObject(class, error);
    Py_XDECREF(code);
    Py_XDECREF(error);
    return NULL;
}

/* What the library's sentences call as C has it, and how it is called here. */
static const char *const translations[][2] = {
    {"cuframes_publisher_enable_packets()", "enable_packets()"},
    {"cuframes_publisher_set_streams()", "set_streams()"},
    {"publish with NULL", "publish without a stream"},
    {"CUFRAMES_GROUP_ANY_RANK", "None"},
    {"CUFRAMES_SUBSCRIBER_PACKETS_ONLY", "cuframes.packets() in Python"},
    {"CUFRAMES_SUBSCRIBER_STAGED", "staged=True"},
    {"consumer_ack_timeout_ms", "ack_timeout"},
    {"max_packet_size", "max_packet"},
    {"max_data_size", "max_size"},
    {"keep_ms", "keep"},
    {"ring_slots", "slots"},
    {"ring_size", "slots"},
    {"NULL", "None"},
};

/* A new string in place of `text`, which it consumes; NULL = raised. */
static PyObject *translated(PyObject *text)
{
    for (size_t i = 0; text && i < sizeof(translations) / sizeof(translations[0]); i++) {
        PyObject *other =
            PyObject_CallMethod(text, "replace", "ss", translations[i][0], translations[i][1]);

        Py_DECREF(text);
        text = other;
    }
    return text;
}

PyObject *pycf_raise(int err)
{
    const char *sentence = cuframes_last_error();
    PyObject *text;

    /* What a signal handler raised says more. */
    if (err == CUFRAMES_ERR_INTERRUPTED && PyErr_Occurred())
        return NULL;
    if (err == CUFRAMES_ERR_WOULD_BLOCK)
        sentence = "there is nothing now";
    else if (!*sentence)
        sentence = cuframes_strerror(err);
    text = translated(PyUnicode_DecodeUTF8(sentence, (Py_ssize_t)strlen(sentence), "replace"));
    if (!text)
        return NULL;
    pycf_raise_object(err, text);
    Py_DECREF(text);
    return NULL;
}

PyObject *pycf_raise_text(int err, const char *format, ...)
{
    PyObject *text;
    va_list arguments;

    va_start(arguments, format);
    text = PyUnicode_FromFormatV(format, arguments);
    va_end(arguments);
    if (!text)
        return NULL;
    pycf_raise_object(err, text);
    Py_DECREF(text);
    return NULL;
}
