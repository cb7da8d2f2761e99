/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Subscriber: attaches when it is first used, gives frames, and waits so that signals, close() and
 * other threads come through.
 *
 * One thread at a time is inside the library (`lock`, taken without the GIL). While it attaches the
 * library asks as often as a slice whether to go on. A wait for a frame goes in slices of
 * PYCF_SLICE_MS: the library wakes as often by itself to look at its connection, so a slice costs
 * nothing, and between two of them Python's signal handlers run.
 */
#include <string.h>

#include "frame.h"
#include "info.h"
#include "subscriber.h"

/* ---- one thread at a time ---- */

static bool is_inside(const struct pycf_subscriber *s)
{
    return s->inside != 0 && s->inside == PyThread_get_thread_ident();
}

/* The lock is busy: waits for it. False = raised. */
static bool wait_for_lock(struct pycf_subscriber *s)
{
    PyLockStatus status;

    do {
        if (PyErr_CheckSignals() < 0)
            return false;
        Py_BEGIN_ALLOW_THREADS status =
            PyThread_acquire_lock_timed(s->lock, PYCF_SLICE_MS * 1000, 1);
        Py_END_ALLOW_THREADS
    } while (status != PY_LOCK_ACQUIRED);
    return true;
}

bool pycf_subscriber_is_own(const struct pycf_subscriber *s)
{
    return pycf_is_own(s->fork_count, "subscriber", "open the channel again");
}

bool pycf_subscriber_lock(struct pycf_subscriber *s)
{
    if (!pycf_subscriber_is_own(s))
        return false;
    if (PyThread_acquire_lock(s->lock, NOWAIT_LOCK) != PY_LOCK_ACQUIRED) {
        if (is_inside(s))
            return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                                   "a signal handler cannot use the subscriber for which the "
                                   "program waits, but it can close() it");
        if (!wait_for_lock(s))
            return false;
    }
    s->inside = PyThread_get_thread_ident();
    return true;
}

/* The lock is held, or this is a child of fork(). */
static void end(struct pycf_subscriber *s)
{
    cuframes_subscriber_t *subscriber = s->subscriber;

    s->subscriber = NULL;
    s->closed = true;
    Py_BEGIN_ALLOW_THREADS cuframes_subscriber_destroy(subscriber);
    Py_END_ALLOW_THREADS
}

void pycf_subscriber_unlock(struct pycf_subscriber *s)
{
    if (s->closing && !s->closed)
        end(s);
    s->inside = 0;
    PyThread_release_lock(s->lock);
}

PyObject *pycf_subscriber_closed(const struct pycf_subscriber *s)
{
    return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "this subscriber of %U is closed", s->key);
}

/* ---- attaching ---- */

static PyObject *nobody_there(const struct pycf_subscriber *s)
{
    char dir[4096] = "its runtime directory";

    if (!s->config.runtime_dir)
        cuframes_runtime_dir(dir, sizeof(dir));
    return pycf_raise_text(CUFRAMES_ERR_TIMEOUT,
                           "no publisher of %U came in time: is it started, and does it use the "
                           "runtime directory %s? cuframes.list() says what is there",
                           s->key, s->config.runtime_dir ? s->config.runtime_dir : dir);
}

/* Raises for what an attempt to attach came to. */
static PyObject *not_attached(const struct pycf_subscriber *s, int err)
{
    /* Told to end, by a signal handler that raised or by close(). */
    if (err == CUFRAMES_ERR_WOULD_BLOCK)
        return PyErr_Occurred() ? NULL : pycf_subscriber_closed(s);
    return err == CUFRAMES_ERR_TIMEOUT ? nobody_there(s) : pycf_raise(err);
}

bool pycf_subscriber_attach(struct pycf_subscriber *s, int64_t deadline_ns)
{
    const cuframes_connect_options_t options = {.stop = pycf_wait_check, .user = &s->closing};
    cuframes_subscriber_config_t config = s->config;
    int err;

    if (s->subscriber)
        return true;
    if (s->closing || s->closed)
        return pycf_subscriber_closed(s);
    config.connect = &options;
    config.connect_timeout_ms = pycf_timeout_ms(deadline_ns);
    Py_BEGIN_ALLOW_THREADS err = cuframes_subscriber_create(&config, &s->subscriber);
    Py_END_ALLOW_THREADS return err == CUFRAMES_OK || not_attached(s, err);
}

static PyObject *subscriber_connect(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    static char *names[] = {"timeout", NULL};
    PyObject *timeout = Py_None;
    int64_t deadline_ns;
    bool done;

    if (!pycf_subscriber_is_own(s) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|O:connect", names, &timeout) ||
        !pycf_deadline(timeout, &deadline_ns) || !pycf_subscriber_lock(s))
        return NULL;
    done = pycf_subscriber_attach(s, deadline_ns);
    pycf_subscriber_unlock(s);
    if (!done)
        return NULL;
    Py_RETURN_NONE;
}

/* ---- taking frames ---- */

/* Holds have run out, also after a garbage collection: warns, and raises who has them. */
static void raise_exhausted(struct pycf_subscriber *s)
{
    PyObject *list = pycf_ledger_list(s->ledger), *text;

    if (!list)
        return;
    text = PyObject_CallFunctionObjArgs(pycf_state.exhausted, (PyObject *)s, list, NULL);
    Py_DECREF(list);
    if (!text)
        return;
    pycf_raise_object(CUFRAMES_ERR_TOO_MANY, text);
    Py_DECREF(text);
}

/* Waits in slices. CUFRAMES_OK, an error of the library, or 1 with an exception. */
static int wait_for_frame(struct pycf_subscriber *s, int64_t deadline_ns, cuframes_frame_t **frame)
{
    for (;;) {
        int32_t ms = pycf_left_ms(deadline_ns, PYCF_SLICE_MS);
        int err;

        if (s->closing) {
            pycf_subscriber_closed(s);
            return 1;
        }
        if (ms == 0)
            return CUFRAMES_ERR_TIMEOUT;
        Py_BEGIN_ALLOW_THREADS err = cuframes_subscriber_next(s->subscriber, s->stream, frame, ms);
        Py_END_ALLOW_THREADS if (err != CUFRAMES_ERR_TIMEOUT) return err;
        if (PyErr_CheckSignals() < 0)
            return 1;
    }
}

/* The next frame if it is there. That takes less time than to give the GIL away, unless the frame
 * is copied. */
static int look(struct pycf_subscriber *s, cuframes_frame_t **frame)
{
    int err;

    if (!(s->config.flags & CUFRAMES_SUBSCRIBER_STAGED))
        return cuframes_subscriber_next(s->subscriber, s->stream, frame, 0);
    Py_BEGIN_ALLOW_THREADS err = cuframes_subscriber_next(s->subscriber, s->stream, frame, 0);
    Py_END_ALLOW_THREADS return err;
}

/* As wait_for_frame(); a deadline of 0 only looks. The lock is held. */
static int take(struct pycf_subscriber *s, int64_t deadline_ns, cuframes_frame_t **frame)
{
    int err = look(s, frame);

    if (err == CUFRAMES_ERR_TOO_MANY && s->ledger->first) {
        PyGC_Collect();
        err = look(s, frame);
    }
    if (err == CUFRAMES_ERR_WOULD_BLOCK && deadline_ns != 0)
        err = wait_for_frame(s, deadline_ns, frame);
    if (err == CUFRAMES_ERR_TOO_MANY) {
        raise_exhausted(s);
        return 1;
    }
    return err;
}

/* The GPU that the frame is read on: the one that was asked for, or the one that has the frames. */
static int32_t device_of(struct pycf_subscriber *s, const cuframes_frame_t *frame)
{
    uint32_t generation = cuframes_frame_generation(frame);
    cuframes_channel_info_t info;
    char name[CUFRAMES_GPU_UUID_TEXT];

    if (cuframes_frame_memory(frame) != CUFRAMES_MEMORY_CUDA)
        return 0;
    if (s->config.cuda_device >= 0)
        return s->config.cuda_device;
    if (s->device_generation != generation &&
        cuframes_subscriber_info(s->subscriber, &info) == CUFRAMES_OK) {
        cuframes_gpu_uuid_text(info.gpu_uuid, name);
        cuframes_gpu_find(name, &s->device);
        s->device_generation = generation;
    }
    return s->device;
}

static void count(struct pycf_subscriber *s, const struct pycf_frame *frame)
{
    s->received++;
    s->gaps += frame->missed;
    s->last_seq = (int64_t)frame->seq;
    s->last_pts_ns = frame->pts_ns;
}

/*
 * The next frame, before the deadline (0 = only look). NULL without an exception: `*err` says
 * what the library said.
 */
static struct pycf_frame *next_frame(struct pycf_subscriber *s, int64_t deadline_ns, bool step,
                                     int *err)
{
    struct pycf_frame *frame = NULL;
    cuframes_frame_t *taken = NULL;

    *err = 1;
    if (!pycf_subscriber_lock(s))
        return NULL;
    if (s->closed || s->closing) {
        pycf_subscriber_closed(s);
    } else if (pycf_subscriber_attach(s, deadline_ns)) {
        if (step)
            pycf_ledger_step(s->ledger);
        *err = take(s, deadline_ns, &taken);
    }
    if (*err == CUFRAMES_OK) {
        frame = pycf_frame_new(s->ledger, taken, device_of(s, taken));
        *err = frame ? CUFRAMES_OK : 1;
    }
    if (frame) {
        count(s, frame);
        if (step)
            pycf_ledger_give(s->ledger, frame);
    } else if (*err == CUFRAMES_ERR_TIMEOUT || *err == CUFRAMES_ERR_WOULD_BLOCK) {
        s->timeouts++;
    } else {
        s->errors++;
    }
    pycf_subscriber_unlock(s);
    return frame;
}

static PyObject *raise_of(struct pycf_subscriber *s, int err)
{
    if (err == 1)
        return NULL;
    if (err == CUFRAMES_ERR_TIMEOUT)
        return pycf_raise_text(err,
                               "no frame of %U came in time: cuframes.info() says what its "
                               "publisher sends",
                               s->key);
    return pycf_raise(err);
}

/* A century. */
#define MOST_MS 3000000000000

static PyObject *subscriber_next_frame(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"timeout_ms", NULL};
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    struct pycf_frame *frame;
    int64_t deadline_ns = INT64_MAX;
    PyObject *timeout = NULL;
    long timeout_ms = -1;
    int err;

    if (!pycf_subscriber_is_own(s) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|O:next_frame", names, &timeout) ||
        (timeout && !pycf_whole_number(timeout, "timeout_ms", LONG_MIN, MOST_MS,
                                       "a whole number of milliseconds, below 0 to wait for ever",
                                       &timeout_ms)))
        return NULL;
    if (timeout_ms >= 0)
        deadline_ns = timeout_ms == 0 ? 0 : cuframes_now_ns() + (int64_t)timeout_ms * 1000000;
    frame = next_frame(s, deadline_ns, false, &err);
    if (!frame)
        return raise_of(s, err);
    pycf_owner_note_place(&frame->owner, "next_frame()");
    return (PyObject *)frame;
}

static PyObject *subscriber_iternext(PyObject *self)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    struct pycf_frame *frame;
    int64_t deadline_ns;
    int err;

    if (!pycf_subscriber_is_own(s) || !pycf_deadline(s->timeout, &deadline_ns))
        return NULL;
    frame = next_frame(s, deadline_ns, true, &err);
    if (frame)
        return (PyObject *)frame;
    /* The end of the loop, where nobody asked to wait for the next publisher. */
    if (err == CUFRAMES_ERR_DISCONNECTED)
        return NULL;
    return raise_of(s, err);
}

static PyObject *subscriber_poll(PyObject *self, PyObject *unused)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    struct pycf_frame *frame;
    int err;

    (void)unused;
    frame = next_frame(s, 0, true, &err);
    if (frame)
        return (PyObject *)frame;
    if (err == CUFRAMES_ERR_WOULD_BLOCK)
        Py_RETURN_NONE;
    return raise_of(s, err);
}

static PyObject *subscriber_fileno(PyObject *self, PyObject *unused)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    int fd;

    (void)unused;
    if (!pycf_subscriber_is_own(s))
        return NULL;
    if (s->closed)
        return pycf_subscriber_closed(s);
    if (!s->subscriber)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                               "this subscriber of %U is not attached "
                               "yet: call connect() first",
                               s->key);
    fd = cuframes_subscriber_fd(s->subscriber);
    return fd < 0 ? pycf_raise(fd) : PyLong_FromLong(fd);
}

/* ---- making and ending ---- */

static bool close_subscriber(struct pycf_subscriber *s)
{
    if (s->closed)
        return true;
    s->closing = true;
    /* In a child of fork() the lock may be that of a thread that is not there. */
    if (s->fork_count != pycf_fork_count()) {
        end(s);
        return true;
    }
    /* In a signal handler of the thread that waits: the wait ends, and closes. */
    if (is_inside(s))
        return true;
    if (!pycf_subscriber_lock(s))
        return false;
    pycf_subscriber_unlock(s);
    return true;
}

static PyObject *subscriber_close(PyObject *self, PyObject *unused)
{
    (void)unused;
    if (!close_subscriber((struct pycf_subscriber *)self))
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *subscriber_enter(PyObject *self, PyObject *unused)
{
    const struct pycf_subscriber *s = (struct pycf_subscriber *)self;

    (void)unused;
    if (!pycf_subscriber_is_own(s))
        return NULL;
    return s->closed ? pycf_subscriber_closed(s) : Py_NewRef(self);
}

static PyObject *subscriber_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return subscriber_close(self, NULL);
}

static PyObject *subscriber_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    struct pycf_subscriber *s;

    (void)args, (void)kwargs;
    s = (struct pycf_subscriber *)PyType_GenericAlloc(type, 0);
    if (!s)
        return NULL;
    s->fork_count = pycf_fork_count();
    s->closed = true; /* until it is initialised */
    s->last_seq = -1;
    s->last_pts_ns = CUFRAMES_NO_TIME;
    s->key = PyUnicode_FromString("?");
    s->timeout = Py_NewRef(Py_None);
    s->lock = PyThread_allocate_lock();
    s->ledger = pycf_ledger_new();
    if (!s->key || !s->lock || !s->ledger) {
        Py_DECREF((PyObject *)s);
        return PyErr_Occurred() ? NULL : PyErr_NoMemory();
    }
    return (PyObject *)s;
}

/* Keeps the string, and gives its bytes (NULL for None). */
static bool keep_string(PyObject *from, PyObject **place, const char **bytes)
{
    PyObject *old = *place;

    *bytes = NULL;
    if (from != Py_None && !PyUnicode_Check(from)) {
        PyErr_Format(PyExc_TypeError, "name and runtime_dir are strings or None, not %R", from);
        return false;
    }
    if (from != Py_None && !(*bytes = PyUnicode_AsUTF8AndSize(from, NULL)))
        return false;
    *place = Py_NewRef(from);
    Py_XDECREF(old);
    return true;
}

static int subscriber_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"key",    "name",    "mode", "cuda_device", "memory",
                            "flags",  "every",   "fps",  "max_holds",   "runtime_dir",
                            "stream", "timeout", NULL};
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    cuframes_subscriber_config_t config = {.connect_timeout_ms = -1};
    PyObject *key, *name = Py_None, *dir = Py_None, *timeout = Py_None;
    unsigned long long stream = 0;
    int64_t unused_ns;
    int err;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "U|OiiO&O&O&fO&OO&O:Subscriber", names, &key,
                                     &name, &config.mode, &config.cuda_device, pycf_unsigned,
                                     &config.memory, pycf_unsigned, &config.flags, pycf_unsigned,
                                     &config.every, &config.max_fps, pycf_unsigned,
                                     &config.max_holds, &dir, pycf_address, &stream, &timeout) ||
        !pycf_deadline(timeout, &unused_ns))
        return -1;
    if (s->subscriber || !s->closed) {
        PyErr_SetString(PyExc_TypeError, "a subscriber is initialised once");
        return -1;
    }
    if (!keep_string(key, &s->key, &config.key) ||
        !keep_string(name, &s->name, &config.consumer_name) ||
        !keep_string(dir, &s->runtime_dir, &config.runtime_dir))
        return -1;
    if ((err = cuframes_check_key(config.key)) != CUFRAMES_OK) {
        pycf_raise(err);
        return -1;
    }
    Py_DECREF(s->timeout);
    s->timeout = Py_NewRef(timeout);
    s->stream = s->ledger->stream = (void *)(uintptr_t)stream;
    config.flags |= CUFRAMES_SUBSCRIBER_POLL;
    s->config = config;
    s->closed = false;
    return 0;
}

static void subscriber_dealloc(PyObject *self)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;

    if (s->subscriber) {
        Py_BEGIN_ALLOW_THREADS cuframes_subscriber_destroy(s->subscriber);
        Py_END_ALLOW_THREADS
    }
    pycf_ledger_unref(s->ledger);
    if (s->lock)
        PyThread_free_lock(s->lock);
    Py_CLEAR(s->key);
    Py_CLEAR(s->name);
    Py_CLEAR(s->runtime_dir);
    Py_CLEAR(s->timeout);
    pycf_free(self);
}

/* ---- attributes ---- */

static PyObject *subscriber_stats(PyObject *self, PyObject *unused)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    cuframes_subscriber_stats_t stats = {0};
    int err;

    (void)unused;
    if (!pycf_subscriber_is_own(s))
        return NULL;
    if (s->subscriber && (err = cuframes_subscriber_stats(s->subscriber, &stats)) != CUFRAMES_OK)
        return pycf_raise(err);
    return Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:K,s:I,s:I,s:K,s:K,s:s,s:K,s:K}", "frames_received",
        (unsigned long long)s->received, "timeouts", (unsigned long long)s->timeouts, "errors",
        (unsigned long long)s->errors, "gap_count", (unsigned long long)s->gaps, "skipped",
        (unsigned long long)stats.skipped, "missed", (unsigned long long)stats.missed, "reconnects",
        (unsigned long long)stats.reconnects, "generations", (unsigned long long)stats.generations,
        "held", stats.held, "max_holds", stats.max_holds, "publisher_dropped",
        (unsigned long long)stats.publisher_dropped, "staged", (unsigned long long)stats.staged,
        "access", cuframes_access_name(stats.access), "packets_received",
        (unsigned long long)stats.packets_received, "packets_lost",
        (unsigned long long)stats.packets_lost);
}

static PyObject *subscriber_info(PyObject *self, PyObject *unused)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    cuframes_channel_info_t info;
    int err = CUFRAMES_ERR_DISCONNECTED;

    (void)unused;
    if (!pycf_subscriber_lock(s))
        return NULL;
    if (s->closed) {
        pycf_subscriber_unlock(s);
        return pycf_subscriber_closed(s);
    }
    if (s->subscriber)
        err = cuframes_subscriber_info(s->subscriber, &info);
    pycf_subscriber_unlock(s);
    return err == CUFRAMES_OK ? pycf_info_dict(&info) : pycf_raise(err);
}

static PyObject *subscriber_own(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pycf_subscriber_is_own((struct pycf_subscriber *)self) ? Py_NewRef(Py_None) : NULL;
}

static PyObject *subscriber_held(PyObject *self, PyObject *unused)
{
    (void)unused;
    return pycf_ledger_list(((struct pycf_subscriber *)self)->ledger);
}

static PyMethodDef subscriber_methods[] = {
    {"connect", (PyCFunction)(void (*)(void))subscriber_connect, METH_VARARGS | METH_KEYWORDS,
     "connect(timeout=None)\n\nAttaches to the publisher unless that has happened; waits for it up "
     "to `timeout` seconds (None = for ever). Iterating and next_frame() do it by themselves."},
    {"next_frame", (PyCFunction)(void (*)(void))subscriber_next_frame, METH_VARARGS | METH_KEYWORDS,
     "next_frame(timeout_ms=-1) -> Frame\n\nThe next frame: it is yours until you release it or "
     "forget it. timeout_ms below 0 waits for ever, 0 only looks. Raises CuframesFrameTimeout; "
     "CuframesPublisherGone; CuframesTooMany if as many frames are held as were granted."},
    {"poll", subscriber_poll, METH_NOARGS,
     "poll() -> Frame | None\n\nOne step of a loop without waiting: gives back the frame of the "
     "step before, and returns the next one if there is one."},
    {"fileno", subscriber_fileno, METH_NOARGS,
     "fileno() -> int\n\nA descriptor that is readable when poll() has something to say; for "
     "select, selectors and event loops. Call poll() until it gives None, before the first wait "
     "too. Do not read it, do not close it."},
    {"close", subscriber_close, METH_NOARGS,
     "close()\n\nDetaches; any thread, also while another waits. Frames that are held stay valid."},
    {"stats", subscriber_stats, METH_NOARGS,
     "stats() -> dict[str, Any]\n\nWhat it has counted since it was made; frames held, and how "
     "many are granted; `access`: how it gets at the frames (\"in place\", \"staged\" and so on)."},
    {"_enable_packets", pycf_subscriber_enable_packets, METH_VARARGS, NULL},
    {"_next_packet", pycf_subscriber_next_packet, METH_VARARGS, NULL},
    {"_streams", pycf_subscriber_streams, METH_NOARGS, NULL},
    {"_info", subscriber_info, METH_NOARGS, NULL},
    {"_own", subscriber_own, METH_NOARGS, NULL},
    {"_held", subscriber_held, METH_NOARGS, NULL},
    {"__enter__", subscriber_enter, METH_NOARGS, "Itself; closed at the end of with."},
    {"__exit__", subscriber_exit, METH_VARARGS, "Closes it."},
    {NULL, NULL, 0, NULL},
};

static PyObject *get_name(PyObject *self, void *unused)
{
    const struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    const char *name = s->subscriber ? cuframes_subscriber_name(s->subscriber) : NULL;

    (void)unused;
    if (name)
        return PyUnicode_FromString(name);
    return Py_NewRef(s->name ? s->name : Py_None);
}

#define GETTER(name, value)                                                                        \
    static PyObject *get_##name(PyObject *self, void *unused)                                      \
    {                                                                                              \
        const struct pycf_subscriber *s = (struct pycf_subscriber *)self;                          \
                                                                                                   \
        (void)unused;                                                                              \
        return (value);                                                                            \
    }

GETTER(key, Py_NewRef(s->key))
GETTER(runtime_dir, Py_NewRef(s->runtime_dir ? s->runtime_dir : Py_None))
GETTER(timeout, Py_NewRef(s->timeout))
GETTER(raw_mode, PyLong_FromLong(s->config.mode))
GETTER(raw_flags, PyLong_FromUnsignedLong(s->config.flags))
GETTER(cuda_device, PyLong_FromLong(s->config.cuda_device))
GETTER(consumer_stream, PyLong_FromVoidPtr(s->stream))
GETTER(closed, PyBool_FromLong(s->closed))
GETTER(connected, PyBool_FromLong(s->subscriber != NULL))
GETTER(frames_received, PyLong_FromUnsignedLongLong(s->received))
GETTER(timeouts, PyLong_FromUnsignedLongLong(s->timeouts))
GETTER(errors, PyLong_FromUnsignedLongLong(s->errors))
GETTER(gap_count, PyLong_FromUnsignedLongLong(s->gaps))
GETTER(last_seq, s->last_seq < 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(s->last_seq))
GETTER(last_frame_pts_ns, pycf_time(s->last_pts_ns))

static PyGetSetDef subscriber_attributes[] = {
    {"key", get_key, NULL, "The channel's key.", NULL},
    {"consumer_name", get_name, NULL,
     "The name by which the publisher knows it; None before it attaches if none was given.", NULL},
    {"runtime_dir", get_runtime_dir, NULL, "The runtime directory that was given, or None.", NULL},
    {"timeout", get_timeout, NULL, "Seconds that a step of a loop waits, or None.", NULL},
    {"_mode", get_raw_mode, NULL, NULL, NULL},
    {"_flags", get_raw_flags, NULL, NULL, NULL},
    {"cuda_device", get_cuda_device, NULL, "The CUDA device that was asked for.", NULL},
    {"consumer_stream", get_consumer_stream, NULL, "The CUDA stream that was given, 0 = none.",
     NULL},
    {"closed", get_closed, NULL, "Whether it is closed.", NULL},
    {"connected", get_connected, NULL, "Whether it has attached to a publisher.", NULL},
    {"frames_received", get_frames_received, NULL, "Frames given so far.", NULL},
    {"timeouts", get_timeouts, NULL, "Calls that ended without a frame.", NULL},
    {"errors", get_errors, NULL, "Calls that ended with another error.", NULL},
    {"gap_count", get_gap_count, NULL, "Frames missed so far.", NULL},
    {"last_seq", get_last_seq, NULL, "Sequence number of the newest frame given, or None.", NULL},
    {"last_frame_pts_ns", get_last_frame_pts_ns, NULL,
     "Its presentation time in nanoseconds, or None.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot subscriber_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Subscriber."},
    {Py_tp_new, subscriber_new},
    {Py_tp_init, subscriber_init},
    {Py_tp_dealloc, subscriber_dealloc},
    {Py_tp_iter, PyObject_SelfIter},
    {Py_tp_iternext, subscriber_iternext},
    {Py_tp_methods, subscriber_methods},
    {Py_tp_getset, subscriber_attributes},
    {0, NULL},
};

static PyType_Spec subscriber_spec = {
    .name = "cuframes._cuframes.Subscriber",
    .basicsize = sizeof(struct pycf_subscriber),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = subscriber_slots,
};

int pycf_subscriber_init(PyObject *module)
{
    return pycf_add_type(module, &subscriber_spec, NULL) ? 0 : -1;
}
