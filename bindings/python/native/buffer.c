/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Buffer: a slot in the hands of the publishing program. It is written, then published once. What
 * still views it afterwards keeps its memory from being used again; arrays that were given out are
 * made read-only when it is published.
 */
#include <string.h>

#include "publisher.h"

struct buffer {
    struct pycf_owner owner;
    cuframes_buffer_t *buffer;
    struct pycf_channel *channel;
    PyObject *arrays; /* weak references to the arrays that numpy() gave */
    bool published;
    uint64_t seq;
};

static void give_back(struct pycf_owner *owner)
{
    struct buffer *buffer = (struct buffer *)owner;

    cuframes_buffer_unref(buffer->buffer);
    buffer->buffer = NULL;
}

static PyObject *complain(struct pycf_owner *owner)
{
    (void)owner;
    return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                           "this slot was published or given back: take another with frame()");
}

/* The planes of a slot as they are meant to be seen: the layout's, cut to the visible size. */
static void describe(struct pycf_picture *picture, cuframes_buffer_t *buffer)
{
    picture->plane_count = cuframes_format_planes(picture->format);
    for (int32_t i = 0; i < picture->plane_count; i++) {
        struct cuframes_plane *plane = &picture->planes[i];

        plane->data = cuframes_buffer_plane(buffer, i, &plane->pitch);
        cuframes_format_plane_size(picture->format, i, picture->width, picture->height,
                                   &plane->row_bytes, &plane->rows);
    }
}

PyObject *pycf_buffer_new(struct pycf_channel *channel, cuframes_buffer_t *slot)
{
    struct buffer *buffer = (struct buffer *)PyType_GenericAlloc(pycf_state.buffer, 0);
    struct pycf_picture picture = {
        .format = channel->format,
        .width = channel->width,
        .height = channel->height,
        .memory = channel->memory,
        .device = channel->device,
        .color = channel->color,
    };

    if (!buffer) {
        cuframes_buffer_unref(slot);
        return NULL;
    }
    describe(&picture, slot);
    buffer->owner.vacate = give_back;
    buffer->owner.complain = complain;
    buffer->buffer = slot;
    buffer->channel = channel;
    channel->refs++;
    pycf_owner_init(&buffer->owner, &picture);
    if (!(buffer->arrays = PyList_New(0))) {
        Py_DECREF((PyObject *)buffer);
        return NULL;
    }
    return (PyObject *)buffer;
}

static void buffer_dealloc(PyObject *self)
{
    struct buffer *buffer = (struct buffer *)self;

    pycf_owner_fini(&buffer->owner);
    Py_CLEAR(buffer->arrays);
    pycf_channel_unref(buffer->channel);
    pycf_free(self);
}

/* ---- publishing ---- */

/* The arrays that were given out and still live can no longer be written. */
static int seal_arrays(struct buffer *buffer)
{
    Py_ssize_t count = PyList_Size(buffer->arrays);

    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *array = PyWeakref_GetObject(PyList_GetItem(buffer->arrays, i));
        PyObject *flags;
        int err;

        if (!array)
            return -1;
        if (array == Py_None)
            continue;
        if (!(flags = PyObject_GetAttrString(array, "flags")))
            return -1;
        err = PyObject_SetAttrString(flags, "writeable", Py_False);
        Py_DECREF(flags);
        if (err < 0)
            return -1;
    }
    return PyList_SetSlice(buffer->arrays, 0, count, NULL);
}

static bool read_meta(PyObject *args, PyObject *kwargs, cuframes_frame_meta_t *meta,
                      Py_buffer *user_data, PyObject **stream)
{
    static char *names[] = {"pts_ns", "capture_ns", "source", "flags",      "user_data", "color",
                            "crop",   "copies",     "stream", "packet_seq", NULL};
    long long pts_ns, capture_ns;
    int source = 0;
    uint32_t flags = 0;
    PyObject *packet_seq = Py_None;

    *stream = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "LLiO&y*|(bbbb)(iiii)O&OO:publish", names,
                                     &pts_ns, &capture_ns, &source, pycf_unsigned, &flags,
                                     user_data, &meta->color.matrix, &meta->color.primaries,
                                     &meta->color.transfer, &meta->color.range, &meta->crop.x,
                                     &meta->crop.y, &meta->crop.width, &meta->crop.height,
                                     pycf_unsigned, &meta->copies, stream, &packet_seq))
        return false;
    if (packet_seq != Py_None) {
        meta->packet_seq = PyLong_AsUnsignedLongLong(packet_seq);
        flags |= CUFRAMES_FRAME_PACKET;
    }
    meta->pts_ns = pts_ns;
    meta->capture_ns = capture_ns;
    meta->capture_source = (cuframes_clock_source_t)source;
    meta->flags = flags;
    return !PyErr_Occurred();
}

/* The stream that fills the slot, if the program says one; else consumers of DLPack did. */
static bool read_stream(PyObject *wanted, void **stream)
{
    unsigned long long number;

    *stream = NULL;
    if (wanted == Py_None)
        return true;
    number = PyLong_AsUnsignedLongLong(wanted);
    if (number == (unsigned long long)-1 && PyErr_Occurred())
        return false;
    *stream = (void *)(uintptr_t)number;
    return true;
}

/* An exception is set already. */
#define SEALING_FAILED 1

/* Announces the slot behind `stream`, or, if that is not given, behind all that were used. */
static int publish(struct buffer *buffer, bool given, void *stream,
                   const cuframes_frame_meta_t *meta)
{
    int err = CUFRAMES_OK;

    buffer->published = true; /* no other thread comes in between */
    PYCF_BEGIN_WAIT(&buffer->channel->closed);
    if (!given)
        err = pycf_owner_stream(&buffer->owner, NULL, &stream);
    if (err == CUFRAMES_OK) {
        err = cuframes_publisher_publish_buffer(buffer->channel->publisher, buffer->buffer, stream,
                                                meta, &buffer->seq);
        if (!given)
            pycf_owner_end_stream(&buffer->owner, stream);
    }
    PYCF_END_WAIT;
    if (err != CUFRAMES_OK)
        buffer->published = false;
    return err;
}

static PyObject *buffer_publish(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct buffer *buffer = (struct buffer *)self;
    cuframes_frame_meta_t meta = {0};
    Py_buffer user_data = {.obj = NULL};
    PyObject *wanted;
    void *stream;
    int err;

    if (!pycf_channel_is_own(buffer->channel))
        return NULL;
    if (buffer->published || !buffer->buffer || buffer->owner.released)
        return complain(&buffer->owner);
    if (!read_meta(args, kwargs, &meta, &user_data, &wanted) || !read_stream(wanted, &stream)) {
        PyBuffer_Release(&user_data);
        return NULL;
    }
    if (user_data.len > CUFRAMES_MAX_USER_DATA) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                        "the metadata has %zd bytes: at most %d go with a frame", user_data.len,
                        CUFRAMES_MAX_USER_DATA);
        PyBuffer_Release(&user_data);
        return NULL;
    }
    meta.user_data = user_data.len ? user_data.buf : NULL;
    meta.user_size = (uint32_t)user_data.len;
    if (!pycf_channel_enter(buffer->channel)) {
        PyBuffer_Release(&user_data);
        return NULL;
    }
    err = seal_arrays(buffer) < 0 ? SEALING_FAILED
                                  : publish(buffer, wanted != Py_None, stream, &meta);
    PyBuffer_Release(&user_data);
    if (err != CUFRAMES_OK && err != SEALING_FAILED)
        pycf_channel_raise(buffer->channel, err);
    pycf_channel_leave(buffer->channel);
    if (err != CUFRAMES_OK)
        return NULL;
    buffer->owner.readonly = true;
    pycf_owner_release(&buffer->owner);
    return PyLong_FromUnsignedLongLong(buffer->seq);
}

/* (plane, bytes, stream or None): writes rows of the plane's pitch from host memory. */
static PyObject *buffer_write(PyObject *self, PyObject *args)
{
    struct buffer *buffer = (struct buffer *)self;
    Py_buffer data = {.obj = NULL};
    const char *start, *plane;
    PyObject *wanted;
    void *stream;
    int index, err;

    if (!PyArg_ParseTuple(args, "iy*O", &index, &data, &wanted))
        return NULL;
    if (buffer->owner.released || !read_stream(wanted, &stream)) {
        PyBuffer_Release(&data);
        return buffer->owner.released ? complain(&buffer->owner) : NULL;
    }
    start = cuframes_buffer_data(buffer->buffer);
    plane = cuframes_buffer_plane(buffer->buffer, index, NULL);
    pycf_owner_begin_view(&buffer->owner, NULL);
    Py_BEGIN_ALLOW_THREADS err =
        plane ? cuframes_buffer_write(buffer->buffer, (size_t)(plane - start), data.buf,
                                      (size_t)data.len, stream)
              : CUFRAMES_ERR_INTERNAL;
    Py_END_ALLOW_THREADS pycf_owner_end_view(&buffer->owner);
    PyBuffer_Release(&data);
    return err == CUFRAMES_OK ? Py_NewRef(Py_None) : pycf_raise(err);
}

/* Raises unless it can be published by this process. */
static PyObject *buffer_own(PyObject *self, PyObject *unused)
{
    struct buffer *buffer = (struct buffer *)self;

    (void)unused;
    if (!pycf_channel_is_own(buffer->channel))
        return NULL;
    return buffer->owner.released ? complain(&buffer->owner) : Py_NewRef(Py_None);
}

static PyObject *buffer_discard(PyObject *self, PyObject *unused)
{
    struct buffer *buffer = (struct buffer *)self;

    (void)unused;
    if (!buffer->owner.released)
        pycf_owner_release(&buffer->owner);
    Py_RETURN_NONE;
}

/* Remembers an array, or each of a tuple, to seal it later. */
static int remember_arrays(struct buffer *buffer, PyObject *arrays)
{
    Py_ssize_t count = PyTuple_Check(arrays) ? PyTuple_Size(arrays) : 1;

    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *array = PyTuple_Check(arrays) ? PyTuple_GetItem(arrays, i) : arrays;
        PyObject *weak = PyWeakref_NewRef(array, NULL);
        int err = weak ? PyList_Append(buffer->arrays, weak) : -1;

        Py_XDECREF(weak);
        if (err < 0)
            return -1;
    }
    return 0;
}

static PyObject *buffer_numpy(PyObject *self, PyObject *args, PyObject *kwargs)
{
    PyObject *arrays = pycf_owner_numpy((struct pycf_owner *)self, args, kwargs);

    if (arrays && remember_arrays((struct buffer *)self, arrays) < 0)
        Py_CLEAR(arrays);
    return arrays;
}

static PyObject *buffer_whole(PyObject *self, PyObject *unused)
{
    struct buffer *buffer = (struct buffer *)self;
    PyObject *view, *array;

    (void)unused;
    if (buffer->owner.released)
        return complain(&buffer->owner);
    if (!(view = PyMemoryView_FromObject(self)))
        return NULL;
    array = pycf_numpy_asarray(view);
    Py_DECREF(view);
    if (array && remember_arrays(buffer, array) < 0)
        Py_CLEAR(array);
    return array;
}

static PyObject *buffer_dlpack(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;

    if (owner->released)
        return complain(owner);
    if (!owner->is_one) {
        PyErr_SetString(PyExc_BufferError, "this picture is not one tensor: take its planes, each "
                                           "of which is one");
        return NULL;
    }
    return pycf_dlpack(owner, &owner->whole, args, kwargs);
}

static PyObject *buffer_dlpack_device(PyObject *self, PyObject *unused)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;

    (void)unused;
    return owner->released ? complain(owner) : pycf_dlpack_device(owner);
}

static PyMethodDef buffer_methods[] = {
    {"_publish", (PyCFunction)(void (*)(void))buffer_publish, METH_VARARGS | METH_KEYWORDS, NULL},
    {"_own", buffer_own, METH_NOARGS, NULL},
    {"_write", buffer_write, METH_VARARGS, NULL},
    {"_whole", buffer_whole, METH_NOARGS, NULL},
    {"discard", buffer_discard, METH_NOARGS,
     "discard()\n\nGives the slot back without publishing it. A second call does nothing."},
    {"numpy", (PyCFunction)(void (*)(void))buffer_numpy, METH_VARARGS | METH_KEYWORDS,
     "numpy(plane=None) -> tuple of arrays, or one array\n\nWritable views of the planes, in "
     "place, with shapes as Frame.numpy() has them. They become read-only when the slot is "
     "published."},
    {"__dlpack__", (PyCFunction)(void (*)(void))buffer_dlpack, METH_VARARGS | METH_KEYWORDS,
     "__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)\n\n"
     "A DLPack capsule of the whole picture, writable. Do not write after publishing."},
    {"__dlpack_device__", buffer_dlpack_device, METH_NOARGS,
     "__dlpack_device__() -> tuple[int, int]\n\n(1, 0) for host memory, (2, n) for CUDA device n."},
    {NULL, NULL, 0, NULL},
};

/* ---- attributes ---- */

#define GETTER(name, value)                                                                        \
    static PyObject *get_##name(PyObject *self, void *unused)                                      \
    {                                                                                              \
        struct buffer *b = (struct buffer *)self;                                                  \
        struct pycf_owner *o = &b->owner;                                                          \
                                                                                                   \
        (void)unused, (void)o;                                                                     \
        return (value);                                                                            \
    }

static PyObject *format_of(const struct pycf_owner *owner)
{
    PyObject *format = PyTuple_GetItem(pycf_state.formats, owner->picture.format);

    return format ? Py_NewRef(format) : NULL;
}

GETTER(seq, b->published ? PyLong_FromUnsignedLongLong(b->seq) : Py_NewRef(Py_None))
GETTER(published, PyBool_FromLong(b->published))
GETTER(released, PyBool_FromLong(o->released))
GETTER(format, format_of(o))
GETTER(width, PyLong_FromLong(o->picture.width))
GETTER(height, PyLong_FromLong(o->picture.height))
GETTER(planes, pycf_owner_planes(o))
GETTER(array_interface, pycf_owner_array_interface(o))
GETTER(cuda_array_interface, pycf_owner_cuda_array_interface(o))
GETTER(device, o->picture.memory == CUFRAMES_MEMORY_CUDA
                   ? PyUnicode_FromFormat("cuda:%d", o->picture.device)
                   : PyUnicode_FromString("cpu"))

static PyGetSetDef buffer_attributes[] = {
    {"seq", get_seq, NULL, "Sequence number that it was published with; None before.", NULL},
    {"published", get_published, NULL, "Whether it was published.", NULL},
    {"released", get_released, NULL, "Whether it was published or given back.", NULL},
    {"format", get_format, NULL, "PixelFormat.", NULL},
    {"width", get_width, NULL, "Width in pixels.", NULL},
    {"height", get_height, NULL, "Height in pixels.", NULL},
    {"planes", get_planes, NULL, "Tuple of Plane: the slot in place.", NULL},
    {"device", get_device, NULL, "\"cpu\", or \"cuda:0\" and so on: where the slot is.", NULL},
    {"__array_interface__", get_array_interface, NULL,
     "NumPy's array interface, version 3; host memory only.", NULL},
    {"__cuda_array_interface__", get_cuda_array_interface, NULL,
     "The CUDA array interface, version 3; GPU memory only.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot buffer_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Buffer."},
    {Py_tp_dealloc, buffer_dealloc},
    {Py_tp_methods, buffer_methods},
    {Py_tp_getset, buffer_attributes},
    {Py_bf_getbuffer, pycf_owner_get_buffer},
    {Py_bf_releasebuffer, pycf_owner_release_buffer},
    {0, NULL},
};

static PyType_Spec buffer_spec = {
    .name = "cuframes._cuframes.Buffer",
    .basicsize = sizeof(struct buffer),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = buffer_slots,
};

int pycf_buffer_init(PyObject *module)
{
    pycf_state.base_buffer = pycf_add_type(module, &buffer_spec, NULL);
    return pycf_state.base_buffer ? 0 : -1;
}
