/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which channels there are: functions, and Watch, which is told when they come and go.
 */
#include "info.h"

static PyObject *runtime_dir(PyObject *module, PyObject *unused)
{
    char path[4096];
    int err = cuframes_runtime_dir(path, sizeof(path));

    (void)module, (void)unused;
    return err == CUFRAMES_OK ? PyUnicode_DecodeFSDefault(path) : pycf_raise(err);
}

static PyObject *list_keys(PyObject *module, PyObject *args)
{
    const char *dir = NULL;
    cuframes_key_list_t *list;
    PyObject *keys;
    int err;

    (void)module;
    if (!PyArg_ParseTuple(args, "|z:_keys", &dir))
        return NULL;
    Py_BEGIN_ALLOW_THREADS err = cuframes_list(dir, &list);
    Py_END_ALLOW_THREADS if (err != CUFRAMES_OK) return pycf_raise(err);
    keys = PyList_New(0);
    for (uint32_t i = 0; keys && i < list->count; i++) {
        PyObject *key = PyUnicode_FromString(list->keys[i]);

        if (!key || PyList_Append(keys, key) < 0)
            Py_CLEAR(keys);
        Py_XDECREF(key);
    }
    cuframes_key_list_free(list);
    return keys;
}

static PyObject *query(PyObject *module, PyObject *args)
{
    const char *key, *dir = NULL;
    cuframes_channel_report_t *report;
    PyObject *result;
    int timeout_ms = 0, err;

    (void)module;
    if (!PyArg_ParseTuple(args, "s|zi:_query", &key, &dir, &timeout_ms))
        return NULL;
    PYCF_BEGIN_WAIT(NULL);
    err = cuframes_query(dir, key, timeout_ms, &report);
    PYCF_END_WAIT;
    if (err != CUFRAMES_OK)
        return pycf_raise(err);
    result = Py_BuildValue(
        "(NNN)", pycf_info_dict(&report->info), pycf_publisher_stats_dict(&report->stats),
        pycf_subscriber_info_list(report->subscribers, (Py_ssize_t)report->subscriber_count));
    cuframes_channel_report_free(report);
    return result;
}

static PyMethodDef functions[] = {
    {"runtime_dir", runtime_dir, METH_NOARGS,
     "runtime_dir() -> str\n\nThe runtime directory that is used where none is given."},
    {"_keys", list_keys, METH_VARARGS, NULL},
    {"_query", query, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

/* ---- Watch ---- */

struct watch {
    PyObject ob_base;
    cuframes_watch_t *watch; /* NULL = closed */
    PyThread_type_lock lock;
    unsigned fork_count; /* of the process that made it */
};

static PyObject *watch_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"runtime_dir", NULL};
    struct watch *watch;
    const char *dir = NULL;
    int err;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|z:Watch", names, &dir) ||
        !(watch = (struct watch *)PyType_GenericAlloc(type, 0)))
        return NULL;
    if (!(watch->lock = PyThread_allocate_lock())) {
        Py_DECREF((PyObject *)watch);
        return PyErr_NoMemory();
    }
    watch->fork_count = pycf_fork_count();
    err = cuframes_watch_create(dir, &watch->watch);
    if (err != CUFRAMES_OK) {
        Py_DECREF((PyObject *)watch);
        return pycf_raise(err);
    }
    return (PyObject *)watch;
}

static void watch_dealloc(PyObject *self)
{
    struct watch *watch = (struct watch *)self;

    cuframes_watch_destroy(watch->watch);
    if (watch->lock)
        PyThread_free_lock(watch->lock);
    pycf_free(self);
}

static bool is_own(const struct watch *watch)
{
    return pycf_is_own(watch->fork_count, "watch", "make another");
}

static PyObject *watch_closed(void)
{
    return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "this watch is closed");
}

/* One event: (added, key). The caller has the lock. Errors as cuframes_watch_next(), 1 = raised. */
static int wait_for_event(struct watch *watch, int64_t deadline_ns, cuframes_watch_event_t *event)
{
    int err = cuframes_watch_next(watch->watch, event, 0);

    while (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT) {
        int32_t ms = pycf_left_ms(deadline_ns, PYCF_SLICE_MS);

        if (ms == 0)
            return err;
        Py_BEGIN_ALLOW_THREADS err = cuframes_watch_next(watch->watch, event, ms);
        Py_END_ALLOW_THREADS if (PyErr_CheckSignals() < 0) return 1;
    }
    return err;
}

static PyObject *watch_next(PyObject *self, PyObject *args)
{
    struct watch *watch = (struct watch *)self;
    cuframes_watch_event_t event;
    PyObject *timeout = Py_None;
    int64_t deadline_ns;
    int err;

    if (!is_own(watch) || !PyArg_ParseTuple(args, "|O:_next", &timeout) ||
        !pycf_deadline(timeout, &deadline_ns))
        return NULL;
    if (PyThread_acquire_lock(watch->lock, NOWAIT_LOCK) != PY_LOCK_ACQUIRED)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "another thread uses this watch: make "
                                                         "one for each");
    if (!watch->watch) {
        watch_closed();
        err = 1;
    } else {
        err = wait_for_event(watch, deadline_ns, &event);
    }
    PyThread_release_lock(watch->lock);
    if (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT)
        Py_RETURN_NONE;
    if (err != CUFRAMES_OK)
        return err == 1 ? NULL : pycf_raise(err);
    return Py_BuildValue("(Os)", event.type == CUFRAMES_WATCH_ADDED ? Py_True : Py_False,
                         event.key);
}

static PyObject *watch_fileno(PyObject *self, PyObject *unused)
{
    const struct watch *watch = (struct watch *)self;

    (void)unused;
    if (!is_own(watch))
        return NULL;
    return watch->watch ? PyLong_FromLong(cuframes_watch_fd(watch->watch)) : watch_closed();
}

static PyObject *watch_close(PyObject *self, PyObject *unused)
{
    struct watch *watch = (struct watch *)self;

    (void)unused;
    /* In a child of fork() the lock may be that of a thread that is not there. */
    if (watch->fork_count == pycf_fork_count() &&
        PyThread_acquire_lock(watch->lock, NOWAIT_LOCK) != PY_LOCK_ACQUIRED)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "another thread uses this watch");
    cuframes_watch_destroy(watch->watch);
    watch->watch = NULL;
    if (watch->fork_count == pycf_fork_count())
        PyThread_release_lock(watch->lock);
    Py_RETURN_NONE;
}

static PyMethodDef watch_methods[] = {
    {"_next", watch_next, METH_VARARGS, NULL},
    {"fileno", watch_fileno, METH_NOARGS,
     "fileno() -> int\n\nA descriptor that is readable when there is an event."},
    {"close", watch_close, METH_NOARGS, "close()\n\nEnds the watch."},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot watch_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Watch."},
    {Py_tp_new, watch_new},
    {Py_tp_dealloc, watch_dealloc},
    {Py_tp_methods, watch_methods},
    {0, NULL},
};

static PyType_Spec watch_spec = {
    .name = "cuframes._cuframes.Watch",
    .basicsize = sizeof(struct watch),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = watch_slots,
};

int pycf_discovery_init(PyObject *module)
{
    if (PyModule_AddFunctions(module, functions) < 0)
        return -1;
    return pycf_add_type(module, &watch_spec, NULL) ? 0 : -1;
}
