/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Group: processes of one host that meet under a name. The calls are those of cuframes/group.h;
 * they release the GIL, and Python's signal handlers run while they wait.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "module.h"

struct group {
    PyObject ob_base;
    cuframes_group_t *group; /* NULL = closed */
    bool busy;               /* a thread is inside the library */
    int32_t timeout_ms;      /* of calls that do not say another */
    unsigned fork_count;     /* of the process that joined */
};

static bool is_own(const struct group *group)
{
    return pycf_is_own(group->fork_count, "group", "join a group");
}

/* The group, marked as used; NULL = raised. */
static cuframes_group_t *enter(struct group *group)
{
    if (!is_own(group))
        return NULL;
    if (!group->group || group->busy) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                        group->busy ? "another thread uses this group" : "this group is closed");
        return NULL;
    }
    group->busy = true;
    return group->group;
}

/* Seconds as milliseconds for the library: None = for ever, NULL = `otherwise`. */
static bool timeout_of(PyObject *seconds, int32_t otherwise, int32_t *ms)
{
    int64_t deadline_ns;

    *ms = otherwise;
    if (!seconds)
        return true;
    if (!pycf_deadline(seconds, &deadline_ns))
        return false;
    *ms = pycf_timeout_ms(deadline_ns);
    if (*ms == 0)
        *ms = 1;
    return true;
}

static PyObject *group_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"name", "rank", "size", "timeout", "runtime_dir", "fd", NULL};
    cuframes_group_config_t config = {.rank = CUFRAMES_GROUP_ANY_RANK};
    PyObject *timeout = Py_None;
    struct group *group;
    int fd = -1, err;

    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "zii|Ozi:Group", names, &config.name,
                                     &config.rank, &config.size, &timeout, &config.runtime_dir,
                                     &fd) ||
        !timeout_of(timeout, -1, &config.timeout_ms))
        return NULL;
    if (!config.name && fd < 0)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG,
                               "a group has a name, or a descriptor (fd) that was handed down");
    if (!(group = (struct group *)PyType_GenericAlloc(type, 0)))
        return NULL;
    PYCF_BEGIN_WAIT(NULL);
    err = fd >= 0 ? cuframes_group_create_from_fd(&config, fd, &group->group)
                  : cuframes_group_create(&config, &group->group);
    PYCF_END_WAIT;
    if (err != CUFRAMES_OK) {
        Py_DECREF((PyObject *)group);
        return pycf_raise(err);
    }
    group->timeout_ms = config.timeout_ms;
    group->fork_count = pycf_fork_count();
    return (PyObject *)group;
}

static void group_dealloc(PyObject *self)
{
    cuframes_group_destroy(((struct group *)self)->group);
    pycf_free(self);
}

/* Memory of this module, about which the library has no sentence. */
#define NO_MEMORY 1

static PyObject *finish(struct group *group, int err, PyObject *result)
{
    group->busy = false;
    if (err == NO_MEMORY)
        return PyErr_NoMemory();
    if (err != CUFRAMES_OK)
        return pycf_raise(err);
    return result;
}

static PyObject *group_barrier(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"ranks", "timeout", NULL};
    PyObject *given = NULL, *timeout = NULL;
    cuframes_group_t *group;
    long ranks = 0;
    int32_t ms;
    int err;

    if (!is_own((struct group *)self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "|OO:barrier", names, &given, &timeout) ||
        (given && !pycf_whole_number(given, "ranks", 0, CUFRAMES_GROUP_MAX_RANKS,
                                     "a number of ranks, 0 for all", &ranks)) ||
        !timeout_of(timeout, ((struct group *)self)->timeout_ms, &ms) ||
        !(group = enter((struct group *)self)))
        return NULL;
    PYCF_BEGIN_WAIT(NULL);
    err = cuframes_group_barrier(group, (int)ranks, ms);
    PYCF_END_WAIT;
    return finish((struct group *)self, err, err ? NULL : Py_NewRef(Py_None));
}

/* ---- bytes ---- */

/* Cuts what all gave into one bytes object for each. */
static PyObject *cut(const char *all, const size_t *sizes, int count)
{
    PyObject *list = PyList_New(0);

    for (int i = 0; list && i < count; i++) {
        PyObject *part = PyBytes_FromStringAndSize(all, (Py_ssize_t)sizes[i]);

        all += sizes[i];
        if (!part || PyList_Append(list, part) < 0)
            Py_CLEAR(list);
        Py_XDECREF(part);
    }
    return list;
}

static size_t sum(const size_t *sizes, int count)
{
    size_t bytes = 0;

    for (int i = 0; i < count; i++)
        bytes += sizes[i];
    return bytes;
}

/* Sizes first, so that there is room for all. */
static int exchange(cuframes_group_t *group, const Py_buffer *data, size_t *sizes, int count,
                    char **all, int32_t ms)
{
    uint64_t own = (uint64_t)data->len, *given = (uint64_t *)sizes;
    int err;

    static_assert(sizeof(size_t) == sizeof(uint64_t), "sizes are exchanged as 64 bits");
    *all = NULL;
    if ((err = cuframes_group_all_gather(group, &own, sizeof(own), given, ms)) != CUFRAMES_OK)
        return err;
    if (!(*all = malloc(sum(sizes, count) + 1)))
        return NO_MEMORY;
    return cuframes_group_all_gather_v(group, data->buf, (size_t)data->len, *all, sum(sizes, count),
                                       sizes, ms);
}

static PyObject *group_all_gather(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"data", "timeout", NULL};
    PyObject *given, *timeout = NULL, *list = NULL;
    Py_buffer data = {.obj = NULL};
    cuframes_group_t *group = NULL;
    size_t *sizes = NULL;
    char *all = NULL;
    int32_t ms;
    int err = NO_MEMORY, count = 0;

    if (!is_own((struct group *)self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:all_gather", names, &given, &timeout) ||
        !pycf_bytes(given, "data", &data))
        return NULL;
    if (!timeout_of(timeout, ((struct group *)self)->timeout_ms, &ms) ||
        !(group = enter((struct group *)self))) {
        PyBuffer_Release(&data);
        return NULL;
    }
    count = cuframes_group_size(group);
    if ((sizes = calloc((size_t)count, sizeof(*sizes))) != NULL) {
        PYCF_BEGIN_WAIT(NULL);
        err = exchange(group, &data, sizes, count, &all, ms);
        PYCF_END_WAIT;
    }
    if (err == CUFRAMES_OK)
        list = cut(all, sizes, count);
    free(all);
    free(sizes);
    PyBuffer_Release(&data);
    return finish((struct group *)self, err, list);
}

/* The argument "root". */
static bool read_root(PyObject *given, int *root)
{
    long rank;

    if (!pycf_whole_number(given, "root", 0, CUFRAMES_GROUP_MAX_RANKS - 1, "a rank, 0 to size - 1",
                           &rank))
        return false;
    *root = (int)rank;
    return true;
}

/* A broadcast of bytes: those of the root are given, the others' come into memory of their own. */
struct parcel {
    uint64_t size;
    void *given;    /* in the root */
    char *received; /* elsewhere; freed by the caller */
};

/* The root says how many bytes it has, then sends them. */
static int send_out(cuframes_group_t *group, int root, struct parcel *parcel, int32_t ms)
{
    bool is_root = cuframes_group_rank(group) == root;
    int err = cuframes_group_broadcast(group, root, &parcel->size, sizeof(parcel->size), ms);

    if (err != CUFRAMES_OK || parcel->size == 0)
        return err;
    /* Above the library's limit the next call says so, in every rank. */
    if (!is_root &&
        !(parcel->received = malloc(parcel->size > CUFRAMES_GROUP_MAX_BYTES ? 1 : parcel->size)))
        return NO_MEMORY;
    return cuframes_group_broadcast(group, root, is_root ? parcel->given : parcel->received,
                                    parcel->size, ms);
}

static PyObject *group_broadcast(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"root", "data", "timeout", NULL};
    PyObject *rank, *data = Py_None, *timeout = NULL, *result = NULL;
    Py_buffer given = {.obj = NULL};
    struct parcel parcel = {0};
    cuframes_group_t *group;
    int32_t ms;
    int root, err;

    if (!is_own((struct group *)self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:broadcast", names, &rank, &data,
                                     &timeout) ||
        !read_root(rank, &root) || (data != Py_None && !pycf_bytes(data, "data", &given)))
        return NULL;
    if (!timeout_of(timeout, ((struct group *)self)->timeout_ms, &ms) ||
        !(group = enter((struct group *)self))) {
        PyBuffer_Release(&given);
        return NULL;
    }
    if (cuframes_group_rank(group) == root)
        parcel = (struct parcel){.size = (uint64_t)given.len, .given = given.buf};
    PYCF_BEGIN_WAIT(NULL);
    err = send_out(group, root, &parcel, ms);
    PYCF_END_WAIT;
    if (err == CUFRAMES_OK)
        result = PyBytes_FromStringAndSize(parcel.given ? parcel.given : parcel.received,
                                           (Py_ssize_t)parcel.size);
    free(parcel.received);
    PyBuffer_Release(&given);
    return finish((struct group *)self, err, result);
}

/* ---- descriptors ---- */

#define FDS "fds is a list of descriptors: ints, or objects with fileno(); not %R"

/* A list of ints into `fds`, which has room for `most`. Their number, or -1 = raised. */
static int read_fds(PyObject *list, int *fds, int most)
{
    Py_ssize_t count = PySequence_Check(list) ? PySequence_Size(list) : -1;

    if (count < 0) {
        PyErr_Clear();
        PyErr_Format(PyExc_TypeError, FDS, list);
        return -1;
    }
    if (count > most) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%zd descriptors: at most %d in one exchange",
                        count, most);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *item = PySequence_GetItem(list, i);

        fds[i] = item ? PyObject_AsFileDescriptor(item) : -1;
        Py_XDECREF(item);
        if (fds[i] < 0) {
            PyErr_Clear();
            PyErr_Format(PyExc_TypeError, FDS, list);
            return -1;
        }
        /* Before the group hears of it: see the round of numbers in send_fds(). */
        if (fcntl(fds[i], F_GETFD) < 0) {
            pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "descriptor %d is not open", fds[i]);
            return -1;
        }
    }
    return (int)count;
}

static PyObject *list_of_fds(const int *fds, uint32_t count)
{
    PyObject *list = PyList_New(0);

    for (uint32_t i = 0; list && i < count; i++) {
        PyObject *fd = PyLong_FromLong(fds[i]);

        if (!fd || PyList_Append(list, fd) < 0)
            Py_CLEAR(list);
        Py_XDECREF(fd);
    }
    return list;
}

/* A list for each rank. */
static PyObject *lists_of_fds(const int *fds, const uint32_t *counts, int ranks)
{
    PyObject *all = PyList_New(0);

    for (int i = 0; all && i < ranks; i++) {
        PyObject *part = list_of_fds(fds, counts[i]);

        fds += counts[i];
        if (!part || PyList_Append(all, part) < 0)
            Py_CLEAR(all);
        Py_XDECREF(part);
    }
    return all;
}

/* What an exchange of descriptors needs room for. */
struct fd_room {
    int own[CUFRAMES_GROUP_MAX_FDS];
    int all[CUFRAMES_GROUP_MAX_FDS];
    uint32_t counts[CUFRAMES_GROUP_MAX_RANKS];
};

static PyObject *gather_fds(struct group *self, cuframes_group_t *group, struct fd_room *room,
                            int count, int32_t ms)
{
    int err, ranks = cuframes_group_size(group);

    PYCF_BEGIN_WAIT(NULL);
    err = cuframes_group_all_gather_fds(group, room->own, (uint32_t)count, room->all,
                                        CUFRAMES_GROUP_MAX_FDS, room->counts, ms);
    PYCF_END_WAIT;
    return finish(self, err, err ? NULL : lists_of_fds(room->all, room->counts, ranks));
}

static PyObject *group_all_gather_fds(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fds", "timeout", NULL};
    PyObject *list, *timeout = NULL, *result = NULL;
    struct fd_room *room;
    cuframes_group_t *group;
    int32_t ms;
    int count;

    if (!is_own((struct group *)self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:all_gather_fds", names, &list, &timeout) ||
        !timeout_of(timeout, ((struct group *)self)->timeout_ms, &ms))
        return NULL;
    if (!(room = calloc(1, sizeof(*room))))
        return PyErr_NoMemory();
    if ((count = read_fds(list, room->own, CUFRAMES_GROUP_MAX_FDS)) >= 0 &&
        (group = enter((struct group *)self)) != NULL)
        result = gather_fds((struct group *)self, group, room, count, ms);
    free(room);
    return result;
}

static PyObject *send_fds(struct group *self, cuframes_group_t *group, int root, int *fds,
                          int count, int32_t ms)
{
    bool is_root = cuframes_group_rank(group) == root;
    uint32_t number = (uint32_t)count;
    int err;

    PYCF_BEGIN_WAIT(NULL);
    err = cuframes_group_broadcast(group, root, &number, sizeof(number), ms);
    if (err == CUFRAMES_OK)
        err = cuframes_group_broadcast_fds(
            group, root, fds, number <= CUFRAMES_GROUP_MAX_FDS ? number : UINT32_MAX, ms);
    PYCF_END_WAIT;
    return finish(self, err, err ? NULL : list_of_fds(fds, is_root ? 0 : number));
}

static PyObject *group_broadcast_fds(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"root", "fds", "timeout", NULL};
    PyObject *rank, *list = NULL, *timeout = NULL, *result = NULL;
    struct fd_room *room;
    cuframes_group_t *group;
    int32_t ms;
    int root, count = 0;

    if (!is_own((struct group *)self) ||
        !PyArg_ParseTupleAndKeywords(args, kwargs, "O|OO:broadcast_fds", names, &rank, &list,
                                     &timeout) ||
        !read_root(rank, &root) || !timeout_of(timeout, ((struct group *)self)->timeout_ms, &ms))
        return NULL;
    if (!(room = calloc(1, sizeof(*room))))
        return PyErr_NoMemory();
    if (list && list != Py_None)
        count = read_fds(list, room->own, CUFRAMES_GROUP_MAX_FDS);
    if (count >= 0 && (group = enter((struct group *)self)) != NULL)
        result = send_fds((struct group *)self, group, root, room->own, count, ms);
    free(room);
    return result;
}

/* ---- the type ---- */

static PyObject *group_close(PyObject *self, PyObject *unused)
{
    struct group *group = (struct group *)self;
    cuframes_group_t *left = group->group;

    (void)unused;
    /* In a child of fork() it may be busy for a thread that is not there. */
    if (left && group->fork_count == pycf_fork_count() && !enter(group))
        return NULL;
    group->group = NULL;
    group->busy = false;
    Py_BEGIN_ALLOW_THREADS cuframes_group_destroy(left);
    Py_END_ALLOW_THREADS Py_RETURN_NONE;
}

static PyObject *group_enter(PyObject *self, PyObject *unused)
{
    (void)unused;
    return is_own((struct group *)self) ? Py_NewRef(self) : NULL;
}

static PyObject *group_exit(PyObject *self, PyObject *args)
{
    (void)args;
    return group_close(self, NULL);
}

static PyMethodDef group_methods[] = {
    {"barrier", (PyCFunction)(void (*)(void))group_barrier, METH_VARARGS | METH_KEYWORDS,
     "barrier(ranks=0, timeout=...)\n\nWaits until the first `ranks` ranks (0 = all) are here."},
    {"all_gather", (PyCFunction)(void (*)(void))group_all_gather, METH_VARARGS | METH_KEYWORDS,
     "all_gather(data, timeout=...) -> list[bytes]\n\nGives bytes, of any length in each rank "
     "(at most 64 MiB), and gets those of all ranks, in their order."},
    {"broadcast", (PyCFunction)(void (*)(void))group_broadcast, METH_VARARGS | METH_KEYWORDS,
     "broadcast(root, data=None, timeout=...) -> bytes\n\nSends the bytes of rank `root` to all; "
     "elsewhere `data` is not looked at. Returns them, in the root too."},
    {"all_gather_fds", (PyCFunction)(void (*)(void))group_all_gather_fds,
     METH_VARARGS | METH_KEYWORDS,
     "all_gather_fds(fds, timeout=...) -> list[list[int]]\n\nGives descriptors (ints, or objects "
     "with fileno(); they stay yours) and gets new ones, close-on-exec, yours to close, of all "
     "ranks, in their order; those of this rank as duplicates."},
    {"broadcast_fds", (PyCFunction)(void (*)(void))group_broadcast_fds,
     METH_VARARGS | METH_KEYWORDS,
     "broadcast_fds(root, fds=None, timeout=...) -> list[int]\n\nSends the descriptors of rank "
     "`root` to all. Returns new ones, yours to close; an empty list in the root."},
    {"close", group_close, METH_NOARGS,
     "close()\n\nLeaves the group: later calls of the others fail and name this rank."},
    {"__enter__", group_enter, METH_NOARGS, "Itself; leaves the group at the end of with."},
    {"__exit__", group_exit, METH_VARARGS, "Leaves the group."},
    {NULL, NULL, 0, NULL},
};

static PyObject *number_of(PyObject *self, int (*get)(const cuframes_group_t *))
{
    const cuframes_group_t *group = ((struct group *)self)->group;
    int number;

    if (!is_own((struct group *)self))
        return NULL;
    if (!group)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "this group is closed");
    number = get(group);
    return number < -1 ? pycf_raise(number) : PyLong_FromLong(number);
}

static PyObject *get_rank(PyObject *self, void *unused)
{
    (void)unused;
    return number_of(self, cuframes_group_rank);
}

static PyObject *get_size(PyObject *self, void *unused)
{
    (void)unused;
    return number_of(self, cuframes_group_size);
}

static PyObject *get_broken_rank(PyObject *self, void *unused)
{
    PyObject *number = number_of(self, cuframes_group_broken_rank);

    (void)unused;
    if (!number || PyLong_AsLong(number) >= 0)
        return number;
    Py_DECREF(number);
    Py_RETURN_NONE;
}

static PyObject *get_closed(PyObject *self, void *unused)
{
    (void)unused;
    return PyBool_FromLong(!((struct group *)self)->group);
}

static PyGetSetDef group_attributes[] = {
    {"rank", get_rank, NULL, "This process's rank.", NULL},
    {"size", get_size, NULL, "Number of ranks.", NULL},
    {"broken_rank", get_broken_rank, NULL, "The rank that broke the group; None while it is whole.",
     NULL},
    {"closed", get_closed, NULL, "Whether this process has left the group.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot group_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Group."},
    {Py_tp_new, group_new},
    {Py_tp_dealloc, group_dealloc},
    {Py_tp_methods, group_methods},
    {Py_tp_getset, group_attributes},
    {0, NULL},
};

static PyType_Spec group_spec = {
    .name = "cuframes._cuframes.Group",
    .basicsize = sizeof(struct group),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = group_slots,
};

int pycf_group_init(PyObject *module)
{
    return pycf_add_type(module, &group_spec, NULL) ? 0 : -1;
}
