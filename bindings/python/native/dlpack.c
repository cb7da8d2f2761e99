/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * DLPack: pictures as tensors of other libraries, without a copy. A tensor is a view of its owner;
 * the consumer calls the deleter when it is done, from any thread.
 *
 * The structures are those of DLPack 1.0 (dmlc.github.io/dlpack), declared here, so that nothing is
 * needed to build. The capsule of before 1.0 cannot say that memory is read-only: who writes
 * through such a tensor gets a fault from the memory itself.
 */
#include <stdlib.h>
#include <string.h>

#include "owner.h"

enum { DEVICE_CPU = 1, DEVICE_CUDA = 2 };
enum { TYPE_UINT = 1 };
enum { FLAG_READ_ONLY = 1 };

struct device {
    int32_t type;
    int32_t id;
};

struct tensor {
    void *data;
    struct device device;
    int32_t ndim;
    struct {
        uint8_t code, bits;
        uint16_t lanes;
    } dtype;
    int64_t *shape;
    int64_t *strides; /* in items */
    uint64_t byte_offset;
};

struct managed {
    struct tensor tensor;
    void *context;
    void (*deleter)(struct managed *);
};

struct managed_versioned {
    struct {
        uint32_t major, minor;
    } version;
    void *context;
    void (*deleter)(struct managed_versioned *);
    uint64_t flags;
    struct tensor tensor;
};

/* One of both forms, and what it refers to. */
struct export
{
    union {
        struct managed plain;
        struct managed_versioned versioned;
    } as;
    int64_t shape[3];
    int64_t strides[3];
    struct pycf_owner *owner;
};

static const char plain_name[] = "dltensor", versioned_name[] = "dltensor_versioned";

static void end_export(struct export *export)
{
    PyGILState_STATE state;

    /* At the very end of the program there is nobody to give the frame back; the process's end
     * does. */
    if (!Py_IsInitialized())
        return;
    state = PyGILState_Ensure();
    pycf_owner_end_view(export->owner);
    PyGILState_Release(state);
    free(export);
}

static void delete_plain(struct managed *managed)
{
    end_export(managed->context);
}

static void delete_versioned(struct managed_versioned *managed)
{
    end_export(managed->context);
}

/* A capsule that nobody took: its name is still the first one. */
static void drop_capsule(PyObject *capsule)
{
    if (PyCapsule_IsValid(capsule, plain_name))
        delete_plain(PyCapsule_GetPointer(capsule, plain_name));
    else if (PyCapsule_IsValid(capsule, versioned_name))
        delete_versioned(PyCapsule_GetPointer(capsule, versioned_name));
}

static struct device device_of(const struct pycf_owner *owner)
{
    if (owner->picture.memory == CUFRAMES_MEMORY_CUDA)
        return (struct device){DEVICE_CUDA, owner->picture.device};
    return (struct device){DEVICE_CPU, 0};
}

static void fill_tensor(struct export *export, struct tensor *tensor,
                        const struct pycf_array *array)
{
    *tensor = (struct tensor){
        .data = array->data,
        .device = device_of(export->owner),
        .ndim = array->ndim,
        .dtype = {TYPE_UINT, (uint8_t)(array->item * 8), 1},
        .shape = export->shape,
        .strides = export->strides,
    };
    for (int i = 0; i < array->ndim; i++) {
        export->shape[i] = array->shape[i];
        export->strides[i] = array->strides[i] / array->item;
    }
}

static PyObject *make_capsule(struct pycf_owner *owner, const struct pycf_array *array,
                              bool versioned)
{
    struct export *export = calloc(1, sizeof(*export));
    PyObject *capsule;

    if (!export)
        return PyErr_NoMemory();
    export->owner = owner;
    if (versioned) {
        export->as.versioned.version.major = 1;
        export->as.versioned.context = export;
        export->as.versioned.deleter = delete_versioned;
        export->as.versioned.flags = owner->readonly ? FLAG_READ_ONLY : 0;
        fill_tensor(export, &export->as.versioned.tensor, array);
    } else {
        export->as.plain.context = export;
        export->as.plain.deleter = delete_plain;
        fill_tensor(export, &export->as.plain.tensor, array);
    }
    capsule = PyCapsule_New(&export->as, versioned ? versioned_name : plain_name, drop_capsule);
    if (!capsule) {
        free(export);
        return NULL;
    }
    pycf_owner_begin_view(owner, "a DLPack tensor");
    return capsule;
}

/* Whether the consumer knows the versioned form: max_version is None or (major, minor). */
static int takes_versioned(PyObject *max_version)
{
    long major, minor;

    if (max_version == Py_None)
        return 0;
    if (!PyTuple_Check(max_version) || !PyArg_ParseTuple(max_version, "ll", &major, &minor)) {
        PyErr_SetString(PyExc_TypeError, "max_version is (major, minor) or None");
        return -1;
    }
    return major >= 1;
}

static bool is_own_device(const struct pycf_owner *owner, PyObject *wanted)
{
    struct device own = device_of(owner);
    long type, id;

    if (wanted == Py_None)
        return true;
    if (!PyTuple_Check(wanted) || !PyArg_ParseTuple(wanted, "ll", &type, &id)) {
        PyErr_SetString(PyExc_TypeError, "dl_device is (type, id) or None");
        return false;
    }
    if (type == own.type && id == own.id)
        return true;
    PyErr_Format(
        PyExc_BufferError,
        "the picture is on DLPack device (%d, %d) and is not moved to (%ld, %ld): move the "
        "tensor after you have taken it",
        own.type, own.id, type, id);
    return false;
}

/*
 * The consumer's stream. A frame is complete and nothing has to wait for it; but it is given back,
 * and a slot is announced, behind the work of that stream. None, 0, 1 and 2 are default streams; -1
 * says that the consumer takes care itself.
 */
static bool note_stream(struct pycf_owner *owner, PyObject *stream)
{
    long long number = 0;

    if (owner->picture.memory == CUFRAMES_MEMORY_HOST) {
        if (stream == Py_None)
            return true;
        PyErr_SetString(PyExc_BufferError, "stream must be None for host memory");
        return false;
    }
    if (stream != Py_None && (number = PyLong_AsLongLong(stream)) == -1 && PyErr_Occurred())
        return false;
    if (number == -1)
        return true;
    return pycf_owner_use_stream(owner, number > 2 ? (void *)(uintptr_t)number : NULL);
}

PyObject *pycf_dlpack(struct pycf_owner *owner, const struct pycf_array *array, PyObject *args,
                      PyObject *kwargs)
{
    static char *names[] = {"stream", "max_version", "dl_device", "copy", NULL};
    PyObject *stream = Py_None, *max_version = Py_None, *device = Py_None, *copy = Py_None;
    int versioned;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOOO:__dlpack__", names, &stream, &max_version,
                                     &device, &copy))
        return NULL;
    if (!is_own_device(owner, device) || (versioned = takes_versioned(max_version)) < 0)
        return NULL;
    if (copy == Py_True) {
        PyErr_SetString(PyExc_BufferError,
                        "the tensor is a view: call copy() of the frame first, or copy the tensor");
        return NULL;
    }
    if (!note_stream(owner, stream))
        return NULL;
    return make_capsule(owner, array, versioned);
}

PyObject *pycf_dlpack_device(const struct pycf_owner *owner)
{
    struct device device = device_of(owner);

    return Py_BuildValue("(ii)", device.type, device.id);
}
