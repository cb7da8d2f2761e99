/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frame: a picture with what is known about it. What does not change is read once, when the frame
 * is made; so a copy has it too.
 */
#include "frame.h"

#include <stdlib.h>
#include <string.h>

/* ---- the ledger ---- */

struct pycf_ledger *pycf_ledger_new(void)
{
    struct pycf_ledger *ledger = calloc(1, sizeof(*ledger));

    if (!ledger)
        PyErr_NoMemory();
    else
        ledger->refs = 1;
    return ledger;
}

void pycf_ledger_unref(struct pycf_ledger *ledger)
{
    if (ledger && --ledger->refs == 0)
        free(ledger);
}

static void enter(struct pycf_ledger *ledger, struct pycf_frame *frame)
{
    ledger->refs++;
    frame->ledger = ledger;
    frame->next = ledger->first;
    if (ledger->first)
        ledger->first->previous = frame;
    ledger->first = frame;
}

static void leave(struct pycf_frame *frame)
{
    struct pycf_ledger *ledger = frame->ledger;

    if (!ledger)
        return;
    if (frame->previous)
        frame->previous->next = frame->next;
    else
        ledger->first = frame->next;
    if (frame->next)
        frame->next->previous = frame->previous;
    if (ledger->current == frame)
        ledger->current = NULL;
    frame->ledger = NULL;
    pycf_ledger_unref(ledger);
}

PyObject *pycf_ledger_list(const struct pycf_ledger *ledger)
{
    PyObject *list = PyList_New(0);
    int64_t now = cuframes_now_ns();

    for (const struct pycf_frame *f = ledger->first; list && f; f = f->next) {
        const struct pycf_owner *owner = &f->owner;
        PyObject *item = Py_BuildValue("(KdnOiz)", (unsigned long long)f->seq,
                                       (double)(now - f->taken_ns) * 1e-9, owner->views,
                                       owner->place_code ? owner->place_code : Py_None,
                                       owner->place_line, owner->place_what);

        if (!item || PyList_Append(list, item) < 0)
            Py_CLEAR(list);
        Py_XDECREF(item);
    }
    return list;
}

/* ---- life ---- */

/* Behind the work that reads it; at once where there is no such work, or no such stream any more. */
static void release_on_gpu(const struct pycf_owner *owner, cuframes_frame_t *frame, void *otherwise)
{
    void *stream;
    int err;

    Py_BEGIN_ALLOW_THREADS;
    err = pycf_owner_stream(owner, otherwise, &stream);
    if (err == CUFRAMES_OK) {
        err = cuframes_frame_release_stream(frame, stream);
        pycf_owner_end_stream(owner, stream);
    }
    if (err != CUFRAMES_OK && cuframes_frame_release_stream(frame, NULL) != CUFRAMES_OK)
        cuframes_frame_release(frame);
    Py_END_ALLOW_THREADS;
}

static void give_back(struct pycf_owner *owner)
{
    struct pycf_frame *frame = (struct pycf_frame *)owner;
    void *stream = frame->ledger ? frame->ledger->stream : NULL;

    leave(frame);
    if (frame->frame && owner->picture.memory == CUFRAMES_MEMORY_CUDA)
        release_on_gpu(owner, frame->frame, stream);
    else if (frame->frame)
        cuframes_frame_release(frame->frame);
    frame->frame = NULL;
    free(frame->memory);
    frame->memory = NULL;
}

static PyObject *complain(struct pycf_owner *owner)
{
    const struct pycf_frame *frame = (struct pycf_frame *)owner;

    if (frame->of_loop)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                               "frame %llu was given back when its loop went on: call hold() in "
                               "the loop to keep a frame, or copy()",
                               (unsigned long long)frame->seq);
    return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "frame %llu was released",
                           (unsigned long long)frame->seq);
}

static struct pycf_frame *frame_alloc(void)
{
    struct pycf_frame *frame = (struct pycf_frame *)PyType_GenericAlloc(pycf_state.frame, 0);

    if (!frame)
        return NULL;
    frame->owner.vacate = give_back;
    frame->owner.complain = complain;
    return frame;
}

static void read_picture(const cuframes_frame_t *from, struct pycf_picture *picture)
{
    *picture = (struct pycf_picture){
        .format = cuframes_frame_format(from),
        .memory = cuframes_frame_memory(from),
        .plane_count = cuframes_frame_plane_count(from),
    };
    cuframes_frame_size(from, &picture->width, &picture->height);
    cuframes_frame_color(from, &picture->color);
    for (int32_t i = 0; i < picture->plane_count; i++)
        cuframes_frame_plane(from, i, &picture->planes[i]);
}

struct pycf_frame *pycf_frame_new(struct pycf_ledger *ledger, cuframes_frame_t *from,
                                  int32_t device)
{
    struct pycf_frame *frame = frame_alloc();
    struct pycf_picture picture;

    if (!frame) {
        cuframes_frame_release(from);
        return NULL;
    }
    read_picture(from, &picture);
    picture.device = device;
    pycf_owner_init(&frame->owner, &picture);
    frame->owner.readonly = true;
    frame->frame = from;
    frame->seq = cuframes_frame_seq(from);
    frame->missed = cuframes_frame_missed(from);
    frame->pts_ns = cuframes_frame_pts_ns(from);
    frame->published_ns = cuframes_frame_published_ns(from);
    frame->capture_ns = cuframes_frame_capture_ns(from, &frame->source);
    frame->flags = cuframes_frame_flags(from);
    cuframes_frame_packet_seq(from, &frame->packet_seq);
    frame->generation = cuframes_frame_generation(from);
    frame->user_data = cuframes_frame_user_data(from, &frame->user_size);
    frame->taken_ns = cuframes_now_ns();
    enter(ledger, frame);
    return frame;
}

void pycf_ledger_step(struct pycf_ledger *ledger)
{
    struct pycf_frame *frame = ledger->current;

    ledger->current = NULL;
    if (frame && !frame->kept && !frame->owner.released)
        pycf_owner_release(&frame->owner);
}

void pycf_ledger_give(struct pycf_ledger *ledger, struct pycf_frame *frame)
{
    frame->of_loop = true;
    ledger->current = frame;
}

static void frame_dealloc(PyObject *self)
{
    pycf_owner_fini((struct pycf_owner *)self);
    pycf_free(self);
}

/* Copies the pixels to `memory` (room for the picture and its user data). */
static int fill_copy(struct pycf_frame *copy, const struct pycf_frame *from, size_t size)
{
    struct pycf_picture picture = from->owner.picture;
    int err = CUFRAMES_OK;

    pycf_picture_packed(&picture, copy->memory);
    Py_BEGIN_ALLOW_THREADS if (from->frame) err =
        cuframes_frame_copy_to_host(from->frame, copy->memory, size);
    else pycf_picture_copy(&from->owner.picture, &picture);
    Py_END_ALLOW_THREADS if (err != CUFRAMES_OK) return err;
    pycf_owner_init(&copy->owner, &picture);
    copy->seq = from->seq;
    copy->missed = from->missed;
    copy->pts_ns = from->pts_ns;
    copy->published_ns = from->published_ns;
    copy->capture_ns = from->capture_ns;
    copy->source = from->source;
    copy->flags = from->flags;
    copy->packet_seq = from->packet_seq;
    copy->generation = from->generation;
    copy->taken_ns = from->taken_ns;
    copy->user_size = from->user_size;
    if (from->user_size) {
        memcpy((uint8_t *)copy->memory + size, from->user_data, from->user_size);
        copy->user_data = (uint8_t *)copy->memory + size;
    }
    return CUFRAMES_OK;
}

static PyObject *frame_copy(PyObject *self, PyObject *unused)
{
    struct pycf_frame *from = (struct pycf_frame *)self, *copy;
    const struct pycf_picture *picture = &from->owner.picture;
    size_t size;
    int err;

    (void)unused;
    if (from->owner.released)
        return complain(&from->owner);
    size = cuframes_calc_frame_size(picture->format, picture->width, picture->height, NULL, NULL);
    if (!(copy = frame_alloc()))
        return NULL;
    if (!(copy->memory = malloc(size + from->user_size))) {
        Py_DECREF((PyObject *)copy);
        return PyErr_NoMemory();
    }
    pycf_owner_begin_view(&from->owner, NULL);
    err = fill_copy(copy, from, size);
    pycf_owner_end_view(&from->owner);
    if (err != CUFRAMES_OK) {
        Py_DECREF((PyObject *)copy);
        return pycf_raise(err);
    }
    return (PyObject *)copy;
}

/* ---- methods ---- */

static PyObject *frame_release(PyObject *self, PyObject *unused)
{
    struct pycf_frame *frame = (struct pycf_frame *)self;

    (void)unused;
    if (!frame->owner.released) {
        frame->of_loop = false;
        pycf_owner_release(&frame->owner);
    }
    Py_RETURN_NONE;
}

static PyObject *frame_hold(PyObject *self, PyObject *unused)
{
    struct pycf_frame *frame = (struct pycf_frame *)self;

    (void)unused;
    if (frame->owner.released)
        return complain(&frame->owner);
    frame->kept = true;
    pycf_owner_note_place(&frame->owner, "hold()");
    return Py_NewRef(self);
}

static PyObject *frame_enter(PyObject *self, PyObject *unused)
{
    struct pycf_frame *frame = (struct pycf_frame *)self;

    (void)unused;
    return frame->owner.released ? complain(&frame->owner) : Py_NewRef(self);
}

static PyObject *frame_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return frame_release(self, NULL);
}

static PyObject *frame_check(PyObject *self, PyObject *unused)
{
    struct pycf_frame *frame = (struct pycf_frame *)self;
    int err;

    (void)unused;
    if (frame->owner.released)
        return complain(&frame->owner);
    if (frame->frame && (err = cuframes_frame_check(frame->frame)) != CUFRAMES_OK)
        return pycf_raise(err);
    Py_RETURN_NONE;
}

static PyObject *frame_numpy(PyObject *self, PyObject *args, PyObject *kwargs)
{
    return pycf_owner_numpy((struct pycf_owner *)self, args, kwargs);
}

static PyObject *frame_dlpack(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;

    if (owner->released)
        return owner->complain(owner);
    if (!owner->is_one) {
        PyErr_SetString(PyExc_BufferError, "this picture is not one tensor: take its planes, each "
                                           "of which is one");
        return NULL;
    }
    return pycf_dlpack(owner, &owner->whole, args, kwargs);
}

/* The capsule of one plane, in the form of before DLPack 1.0. */
static PyObject *dlpack_of_plane(PyObject *self, int32_t index)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;
    struct pycf_array array;
    PyObject *arguments, *capsule;

    if (owner->released)
        return owner->complain(owner);
    if (index >= owner->picture.plane_count)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%s has one plane: use dlpack_y()",
                               cuframes_format_name(owner->picture.format));
    pycf_array_of_plane(&owner->picture, index, &array);
    if (!(arguments = PyTuple_New(0)))
        return NULL;
    capsule = pycf_dlpack(owner, &array, arguments, NULL);
    Py_DECREF(arguments);
    return capsule;
}

static PyObject *frame_dlpack_y(PyObject *self, PyObject *unused)
{
    (void)unused;
    return dlpack_of_plane(self, 0);
}

static PyObject *frame_dlpack_uv(PyObject *self, PyObject *unused)
{
    (void)unused;
    return dlpack_of_plane(self, 1);
}

static PyObject *frame_dlpack_device(PyObject *self, PyObject *unused)
{
    struct pycf_owner *owner = (struct pycf_owner *)self;

    (void)unused;
    return owner->released ? owner->complain(owner) : pycf_dlpack_device(owner);
}

static PyMethodDef frame_methods[] = {
    {"release", frame_release, METH_NOARGS,
     "release()\n\nGives the frame back to the publisher. Views that still live (arrays, tensors) "
     "keep the memory until the last of them is gone; the frame itself can no longer be used. A "
     "second call does nothing."},
    {"hold", frame_hold, METH_NOARGS,
     "hold() -> Frame\n\nKeeps the frame when the loop that gave it goes on, until release() or "
     "until it is garbage. Returns the frame itself. A subscriber may hold max_holds frames."},
    {"check", frame_check, METH_NOARGS,
     "check()\n\nRaises CuframesEvicted if the publisher (one with the wait policy) has evicted "
     "this subscriber, after which the picture may be overwritten. Ask after the last read of a "
     "frame that was held for long."},
    {"copy", frame_copy, METH_NOARGS,
     "copy() -> Frame\n\nA frame with pixels of its own in host memory, writable, packed, and with "
     "all that is known about this one; it holds nothing. A frame in GPU memory is copied down."},
    {"numpy", (PyCFunction)(void (*)(void))frame_numpy, METH_VARARGS | METH_KEYWORDS,
     "numpy(plane=None) -> tuple of arrays, or one array\n\nViews of the planes, in place: arrays "
     "of uint8 (uint16 for p010 and gray16) with shape (rows, columns) or (rows, columns, samples "
     "of a pixel); read-only. With plane=n only that one. They keep the frame's memory. Draw into "
     "copies: bgr(), or copy().numpy(). The memory is read-only too, and OpenCV 4.6, which does "
     "not "
     "look at an array's flag, ends the process with a segmentation fault."},
    {"__enter__", frame_enter, METH_NOARGS, "The frame itself; released at the end of with."},
    {"__exit__", frame_exit, METH_VARARGS, "Releases the frame."},
    {"__dlpack__", (PyCFunction)(void (*)(void))frame_dlpack, METH_VARARGS | METH_KEYWORDS,
     "__dlpack__(*, stream=None, max_version=None, dl_device=None, copy=None)\n\n"
     "A DLPack capsule of the whole picture, read-only; BufferError if its planes are not one "
     "array. It keeps the frame until its consumer deletes the tensor."},
    {"__dlpack_device__", frame_dlpack_device, METH_NOARGS,
     "__dlpack_device__() -> tuple[int, int]\n\n(1, 0) for host memory, (2, n) for CUDA device n."},
    {"dlpack_y", frame_dlpack_y, METH_NOARGS,
     "dlpack_y()\n\nA DLPack capsule of plane 0, in the form of before DLPack 1.0."},
    {"dlpack_uv", frame_dlpack_uv, METH_NOARGS,
     "dlpack_uv()\n\nA DLPack capsule of plane 1, in the form of before DLPack 1.0: for nv12 "
     "(rows / 2, columns / 2, 2)."},
    {NULL, NULL, 0, NULL},
};

/* ---- attributes ---- */

/* A getter that raises once the frame is released; `f` is the frame, `o` its owner part. */
#define GETTER(name, value)                                                                        \
    static PyObject *get_##name(PyObject *self, void *unused)                                      \
    {                                                                                              \
        struct pycf_frame *f = (struct pycf_frame *)self;                                          \
        struct pycf_owner *o = &f->owner;                                                          \
                                                                                                   \
        (void)unused;                                                                              \
        return o->released ? complain(o) : (value);                                                \
    }

static PyObject *item_of(PyObject *tuple, Py_ssize_t index)
{
    PyObject *item = PyTuple_GetItem(tuple, index);

    return item ? Py_NewRef(item) : NULL;
}

static PyObject *color_of(const cuframes_color_t *color)
{
    return Py_BuildValue("(iiii)", color->matrix, color->primaries, color->transfer, color->range);
}

static PyObject *seconds(int64_t ns)
{
    return ns == CUFRAMES_NO_TIME ? Py_NewRef(Py_None) : PyFloat_FromDouble((double)ns / 1e9);
}

GETTER(seq, PyLong_FromUnsignedLongLong(f->seq))
GETTER(dropped, PyLong_FromUnsignedLongLong(f->missed))
GETTER(pts_ns, pycf_time(f->pts_ns))
GETTER(pts, seconds(f->pts_ns))
GETTER(published_ns, PyLong_FromLongLong(f->published_ns))
GETTER(capture_ns, pycf_time(f->capture_ns))
GETTER(clock_source, item_of(pycf_state.sources, f->source))
/* As floating point: a publisher can say any time. */
GETTER(age, PyFloat_FromDouble(((double)cuframes_now_ns() - (double)f->published_ns) * 1e-9))
GETTER(packet_seq, f->flags &CUFRAMES_FRAME_PACKET ? PyLong_FromUnsignedLongLong(f->packet_seq)
                                                   : Py_NewRef(Py_None))
GETTER(flags, PyLong_FromUnsignedLong(f->flags))
GETTER(generation, PyLong_FromUnsignedLong(f->generation))
GETTER(user_data,
       PyBytes_FromStringAndSize(f->user_size ? f->user_data : "", (Py_ssize_t)f->user_size))
GETTER(format, item_of(pycf_state.formats, o->picture.format))
GETTER(width, PyLong_FromLong(o->picture.width))
GETTER(height, PyLong_FromLong(o->picture.height))
GETTER(color, color_of(&o->picture.color))
GETTER(cuda_ptr, PyLong_FromVoidPtr((void *)(uintptr_t)o->picture.planes[0].data))
GETTER(pitch_y, PyLong_FromUnsignedLong(o->picture.planes[0].pitch))
GETTER(pitch_uv,
       PyLong_FromUnsignedLong(o->picture.plane_count > 1 ? o->picture.planes[1].pitch : 0))
GETTER(planes, pycf_owner_planes(o))
GETTER(device, o->picture.memory == CUFRAMES_MEMORY_CUDA
                   ? PyUnicode_FromFormat("cuda:%d", o->picture.device)
                   : PyUnicode_FromString("cpu"))
GETTER(array_interface, pycf_owner_array_interface(o))
GETTER(cuda_array_interface, pycf_owner_cuda_array_interface(o))

static PyObject *get_released(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(((struct pycf_owner *)self)->released);
}

static PyGetSetDef frame_attributes[] = {
    {"seq", get_seq, NULL, "Sequence number: 0 for the channel's first frame, +1 for each.", NULL},
    {"dropped", get_dropped, NULL,
     "Frames that this subscriber was to get and did not, since its frame before.", NULL},
    {"pts_ns", get_pts_ns, NULL,
     "Presentation time in nanoseconds on the publisher's time line, or None.", NULL},
    {"pts", get_pts, NULL, "Presentation time in seconds, or None.", NULL},
    {"published_ns", get_published_ns, NULL,
     "When the frame was announced, nanoseconds on CLOCK_MONOTONIC (now_ns()).", NULL},
    {"capture_ns", get_capture_ns, NULL,
     "When the picture was taken, nanoseconds since 1970, or None.", NULL},
    {"clock_source", get_clock_source, NULL, "ClockSource: where capture_ns comes from.", NULL},
    {"age", get_age, NULL, "Seconds since the frame was announced.", NULL},
    {"packet_seq", get_packet_seq, NULL,
     "Packet.seq of the packet that it was decoded from, or None.", NULL},
    {"flags", get_flags, NULL, "Bits of FrameFlags.", NULL},
    {"generation", get_generation, NULL, "Changes with the channel's size, format or memory.",
     NULL},
    {"user_data", get_user_data, NULL,
     "The publisher's own bytes for this frame, a copy; b\"\" if there are none.", NULL},
    {"format", get_format, NULL, "PixelFormat.", NULL},
    {"width", get_width, NULL, "Visible width in pixels.", NULL},
    {"height", get_height, NULL, "Visible height in pixels.", NULL},
    {"color", get_color, NULL,
     "(matrix, primaries, transfer, range): code points of ITU-T H.273, 0 = not said; range 1 = "
     "limited, 2 = full.",
     NULL},
    {"cuda_ptr", get_cuda_ptr, NULL,
     "Address of plane 0: device memory for frames on a GPU, else host memory.", NULL},
    {"pitch_y", get_pitch_y, NULL, "Bytes from one row of plane 0 to the next.", NULL},
    {"pitch_uv", get_pitch_uv, NULL, "The same of plane 1; 0 if there is none.", NULL},
    {"planes", get_planes, NULL, "Tuple of Plane: the picture in place.", NULL},
    {"device", get_device, NULL, "\"cpu\", or \"cuda:0\" and so on: where the pixels are.", NULL},
    {"released", get_released, NULL, "Whether the frame was released; never raises.", NULL},
    {"__array_interface__", get_array_interface, NULL,
     "NumPy's array interface, version 3; host memory only.", NULL},
    {"__cuda_array_interface__", get_cuda_array_interface, NULL,
     "The CUDA array interface, version 3; GPU memory only.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyObject *frame_repr(PyObject *self)
{
    const struct pycf_frame *frame = (struct pycf_frame *)self;
    const struct pycf_picture *picture = &frame->owner.picture;

    return PyUnicode_FromFormat("<cuframes.Frame %llu, %dx%d %s%s>", (unsigned long long)frame->seq,
                                picture->width, picture->height,
                                cuframes_format_name(picture->format),
                                frame->owner.released ? ", released" : "");
}

static PyType_Slot frame_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Frame."},
    {Py_tp_dealloc, frame_dealloc},
    {Py_tp_repr, frame_repr},
    {Py_tp_methods, frame_methods},
    {Py_tp_getset, frame_attributes},
    {Py_bf_getbuffer, pycf_owner_get_buffer},
    {Py_bf_releasebuffer, pycf_owner_release_buffer},
    {0, NULL},
};

static PyType_Spec frame_spec = {
    .name = "cuframes._cuframes.Frame",
    .basicsize = sizeof(struct pycf_frame),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION,
    .slots = frame_slots,
};

int pycf_frame_init(PyObject *module)
{
    pycf_state.base_frame = pycf_add_type(module, &frame_spec, NULL);
    return pycf_state.base_frame ? 0 : -1;
}
