/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packet: one packet of the encoded stream, in memory of its own; and how a subscriber gets them.
 */
#include "streams.h"
#include "subscriber.h"

struct packet {
    PyObject ob_base;
    cuframes_packet_t *packet;
};

/* ---- reading ---- */

PyObject *pycf_subscriber_enable_packets(PyObject *self, PyObject *args)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    cuframes_packet_options_t options = {0};
    unsigned int start;
    int err;

    if (!pycf_subscriber_is_own(s) ||
        !PyArg_ParseTuple(args, "IO&O&", &start, pycf_unsigned, &options.pre_roll_ms, pycf_unsigned,
                          &options.streams))
        return NULL;
    options.start = (cuframes_packet_start_t)start;
    if (s->closed || !s->subscriber)
        return pycf_subscriber_closed(s);
    if (!pycf_subscriber_lock(s))
        return NULL;
    err = cuframes_subscriber_enable_packets_from(s->subscriber, &options);
    pycf_subscriber_unlock(s);
    return err == CUFRAMES_OK ? Py_NewRef(Py_None) : pycf_raise(err);
}

/* An overrun is told by the next packet's `lost`. Waits in slices; 1 = raised. */
static int take(struct pycf_subscriber *s, int64_t deadline_ns, cuframes_packet_t **packet)
{
    int err = cuframes_subscriber_next_packet(s->subscriber, packet, 0);

    while (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT ||
           err == CUFRAMES_ERR_PACKET_OVERRUN) {
        int32_t ms = deadline_ns == 0 ? 0 : pycf_left_ms(deadline_ns, PYCF_SLICE_MS);

        if (s->closing) {
            pycf_subscriber_closed(s);
            return 1;
        }
        if (ms == 0 && err != CUFRAMES_ERR_PACKET_OVERRUN)
            return err;
        Py_BEGIN_ALLOW_THREADS err = cuframes_subscriber_next_packet(s->subscriber, packet, ms);
        Py_END_ALLOW_THREADS if (err != CUFRAMES_OK && PyErr_CheckSignals() < 0) return 1;
    }
    return err;
}

static PyObject *wrap(cuframes_packet_t *from)
{
    struct packet *packet = (struct packet *)PyType_GenericAlloc(pycf_state.packet, 0);

    if (packet)
        packet->packet = from;
    else
        cuframes_subscriber_release_packet(NULL, from);
    return (PyObject *)packet;
}

/* (timeout in seconds, None = for ever, 0 = only look): a packet, or None when the time is over. */
PyObject *pycf_subscriber_next_packet(PyObject *self, PyObject *args)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    cuframes_packet_t *packet = NULL;
    PyObject *timeout = Py_None;
    int64_t deadline_ns;
    int err = 1;

    if (!pycf_subscriber_is_own(s) || !PyArg_ParseTuple(args, "O", &timeout) ||
        !pycf_deadline(timeout, &deadline_ns) || !pycf_subscriber_lock(s))
        return NULL;
    if (s->closed || s->closing || !s->subscriber)
        pycf_subscriber_closed(s);
    else
        err = take(s, deadline_ns, &packet);
    pycf_subscriber_unlock(s);
    if (err == CUFRAMES_OK)
        return wrap(packet);
    if (err == CUFRAMES_ERR_WOULD_BLOCK || err == CUFRAMES_ERR_TIMEOUT)
        Py_RETURN_NONE;
    return err == 1 ? NULL : pycf_raise(err);
}

static PyObject *list_streams(cuframes_subscriber_t *subscriber)
{
    int32_t count = cuframes_subscriber_stream_count(subscriber);
    PyObject *list;

    if (count < 0)
        return pycf_raise(count);
    list = PyList_New(0);
    for (int32_t i = 0; list && i < count; i++) {
        cuframes_stream_t stream;
        int err = cuframes_subscriber_stream(subscriber, i, &stream);
        PyObject *dict = err == CUFRAMES_OK ? pycf_stream_dict(&stream) : pycf_raise(err);

        if (!dict || PyList_Append(list, dict) < 0)
            Py_CLEAR(list);
        Py_XDECREF(dict);
    }
    return list;
}

PyObject *pycf_subscriber_streams(PyObject *self, PyObject *unused)
{
    struct pycf_subscriber *s = (struct pycf_subscriber *)self;
    PyObject *list = NULL;

    (void)unused;
    if (!pycf_subscriber_lock(s))
        return NULL;
    if (s->closed || !s->subscriber)
        pycf_subscriber_closed(s);
    else
        list = list_streams(s->subscriber);
    pycf_subscriber_unlock(s);
    return list;
}

/* ---- the type ---- */

static void packet_dealloc(PyObject *self)
{
    cuframes_subscriber_release_packet(NULL, ((struct packet *)self)->packet);
    pycf_free(self);
}

static int packet_get_buffer(PyObject *self, Py_buffer *view, int flags)
{
    const cuframes_packet_t *packet = ((struct packet *)self)->packet;

    return PyBuffer_FillInfo(view, self, (void *)(uintptr_t)cuframes_packet_data(packet),
                             (Py_ssize_t)cuframes_packet_size(packet), 1, flags);
}

static Py_ssize_t packet_length(PyObject *self)
{
    return (Py_ssize_t)cuframes_packet_size(((struct packet *)self)->packet);
}

static PyObject *seconds(int64_t ns)
{
    return ns == CUFRAMES_NO_TIME ? Py_NewRef(Py_None) : PyFloat_FromDouble((double)ns / 1e9);
}

static PyObject *source_of(const cuframes_packet_t *packet)
{
    cuframes_clock_source_t source;
    PyObject *item;

    cuframes_packet_capture_ns(packet, &source);
    item = PyTuple_GetItem(pycf_state.sources, source);
    return item ? Py_NewRef(item) : NULL;
}

#define GETTER(name, value)                                                                        \
    static PyObject *get_##name(PyObject *self, void *unused)                                      \
    {                                                                                              \
        const cuframes_packet_t *p = ((struct packet *)self)->packet;                              \
                                                                                                   \
        (void)unused;                                                                              \
        return (value);                                                                            \
    }

GETTER(seq, PyLong_FromUnsignedLongLong(cuframes_packet_seq(p)))
GETTER(pts_ns, pycf_time(cuframes_packet_pts(p)))
GETTER(dts_ns, pycf_time(cuframes_packet_dts(p)))
GETTER(pts, seconds(cuframes_packet_pts(p)))
GETTER(dts, seconds(cuframes_packet_dts(p)))
GETTER(duration_ns, PyLong_FromLongLong(cuframes_packet_duration(p)))
GETTER(duration, PyFloat_FromDouble((double)cuframes_packet_duration(p) / 1e9))
GETTER(published_ns, PyLong_FromLongLong(cuframes_packet_published_ns(p)))
GETTER(capture_ns, pycf_time(cuframes_packet_capture_ns(p, NULL)))
GETTER(clock_source, source_of(p))
GETTER(flags, PyLong_FromUnsignedLong(cuframes_packet_flags(p)))
GETTER(is_key, PyBool_FromLong(cuframes_packet_flags(p) & CUFRAMES_PKT_FLAG_KEY))
GETTER(stream_index, PyLong_FromUnsignedLong(cuframes_packet_stream(p)))
GETTER(generation, PyLong_FromUnsignedLong(cuframes_packet_generation(p)))
GETTER(lost, PyLong_FromUnsignedLongLong(cuframes_packet_lost(p)))
GETTER(age,
       PyFloat_FromDouble(((double)cuframes_now_ns() - (double)cuframes_packet_published_ns(p)) *
                          1e-9))

static PyGetSetDef packet_attributes[] = {
    {"seq", get_seq, NULL, "Number in the channel's sequence of packets, from 0.", NULL},
    {"pts_ns", get_pts_ns, NULL, "Presentation time in nanoseconds, or None.", NULL},
    {"dts_ns", get_dts_ns, NULL, "Decoding time in nanoseconds, or None.", NULL},
    {"pts", get_pts, NULL, "Presentation time in seconds, or None.", NULL},
    {"dts", get_dts, NULL, "Decoding time in seconds, or None.", NULL},
    {"duration_ns", get_duration_ns, NULL, "Duration in nanoseconds, 0 = unknown.", NULL},
    {"duration", get_duration, NULL, "Duration in seconds, 0 = unknown.", NULL},
    {"published_ns", get_published_ns, NULL,
     "When it was published, nanoseconds on CLOCK_MONOTONIC (now_ns()).", NULL},
    {"capture_ns", get_capture_ns, NULL, "When it was taken, nanoseconds since 1970, or None.",
     NULL},
    {"clock_source", get_clock_source, NULL, "ClockSource: where capture_ns comes from.", NULL},
    {"flags", get_flags, NULL, "Bits of PacketFlags.", NULL},
    {"is_key", get_is_key, NULL, "Whether decoding can start here.", NULL},
    {"stream_index", get_stream_index, NULL, "Index of its stream.", NULL},
    {"generation", get_generation, NULL, "Changes with the streams' descriptions.", NULL},
    {"lost", get_lost, NULL,
     "Packets that were overwritten before they were read, just before this one.", NULL},
    {"age", get_age, NULL, "Seconds since it was published.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot packet_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Packet."},
    {Py_tp_dealloc, packet_dealloc},
    {Py_tp_getset, packet_attributes},
    {Py_sq_length, packet_length},
    {Py_bf_getbuffer, packet_get_buffer},
    {0, NULL},
};

static PyType_Spec packet_spec = {
    .name = "cuframes._cuframes.Packet",
    .basicsize = sizeof(struct packet),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = packet_slots,
};

int pycf_packets_init(PyObject *module)
{
    pycf_state.base_packet = pycf_add_type(module, &packet_spec, NULL);
    return pycf_state.base_packet ? 0 : -1;
}
