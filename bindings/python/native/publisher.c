/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Publisher: the owner of a channel.
 */
#include "publisher.h"

#include <stdlib.h>

#include "info.h"
#include "streams.h"

struct publisher {
    PyObject ob_base;
    struct pycf_channel *channel; /* NULL until it is initialised */
};

/* ---- the channel ---- */

struct pycf_channel *pycf_channel_new(void)
{
    struct pycf_channel *channel = calloc(1, sizeof(*channel));

    if (!channel)
        PyErr_NoMemory();
    else
        *channel = (struct pycf_channel){.refs = 1, .fork_count = pycf_fork_count()};
    return channel;
}

static void end(struct pycf_channel *channel)
{
    cuframes_publisher_t *publisher = channel->publisher;

    channel->publisher = NULL;
    Py_BEGIN_ALLOW_THREADS cuframes_publisher_destroy(publisher);
    Py_END_ALLOW_THREADS
}

void pycf_channel_close(struct pycf_channel *channel)
{
    channel->closed = true;
    if (channel->users == 0 && channel->publisher)
        end(channel);
}

void pycf_channel_unref(struct pycf_channel *channel)
{
    if (!channel || --channel->refs > 0)
        return;
    pycf_channel_close(channel);
    free(channel);
}

PyObject *pycf_channel_raise(const struct pycf_channel *channel, int err)
{
    if (err == CUFRAMES_ERR_INTERRUPTED && channel->closed && !PyErr_Occurred())
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "this publisher was closed");
    return pycf_raise(err);
}

bool pycf_channel_is_own(const struct pycf_channel *channel)
{
    return pycf_is_own(channel->fork_count, "publisher", "make another, under another key,");
}

bool pycf_channel_enter(struct pycf_channel *channel)
{
    if (channel && !pycf_channel_is_own(channel))
        return false;
    if (!channel || channel->closed) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "this publisher is closed");
        return false;
    }
    channel->users++;
    channel->refs++;
    return true;
}

void pycf_channel_leave(struct pycf_channel *channel)
{
    if (--channel->users == 0 && channel->closed && channel->publisher)
        end(channel);
    pycf_channel_unref(channel);
}

/* ---- making and ending ---- */

/* What config points to, besides strings that the arguments keep. */
struct wishes {
    cuframes_publisher_config_t config;
    cuframes_layout_t layout;
    uint32_t alignment;
    uint32_t users[CUFRAMES_MAX_ALLOWED_USERS];
};

/* A tuple of user numbers; None = whoever the socket lets through. */
static bool read_users(PyObject *users, struct wishes *wishes)
{
    Py_ssize_t count = users == Py_None ? 0 : PyTuple_Size(users);

    if (count < 0)
        return false;
    if (count > CUFRAMES_MAX_ALLOWED_USERS)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%zd users are allowed: at most %d can be",
                               count, CUFRAMES_MAX_ALLOWED_USERS);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (!pycf_unsigned(PyTuple_GetItem(users, i), &wishes->users[i]))
            return false;
    }
    wishes->config.allowed_user_count = (uint32_t)count;
    wishes->config.allowed_users = users == Py_None ? NULL : wishes->users;
    return true;
}

static bool parse(PyObject *args, PyObject *kwargs, struct wishes *wishes)
{
    static char *names[] = {"key",         "width",        "height",          "format",
                            "slots",       "policy",       "ack_timeout_ms",  "cuda_device",
                            "memory",      "flags",        "max_subscribers", "max_holds",
                            "socket_mode", "socket_group", "runtime_dir",     "alignment",
                            "fps",         "pixel_aspect", "color",           "allowed_users",
                            NULL};
    cuframes_publisher_config_t *c = &wishes->config;
    int format = 0, policy = 0, memory = 0;
    PyObject *users = Py_None;

    if (!PyArg_ParseTupleAndKeywords(
            args, kwargs, "siii|iiiiiO&iiO&zzO&(ii)(ii)(bbbb)O:Publisher", names, &c->key,
            &c->width, &c->height, &format, &c->ring_size, &policy, &c->consumer_ack_timeout_ms,
            &c->cuda_device, &memory, pycf_unsigned, &c->flags, &c->max_subscribers, &c->max_holds,
            pycf_unsigned, &c->socket_mode, &c->socket_group, &c->runtime_dir, pycf_unsigned,
            &wishes->alignment, &c->fps_num, &c->fps_den, &c->sar_num, &c->sar_den,
            &c->color.matrix, &c->color.primaries, &c->color.transfer, &c->color.range, &users) ||
        !read_users(users, wishes))
        return false;
    c->format = (cuframes_format_t)format;
    c->policy = (cuframes_policy_t)policy;
    c->memory = (cuframes_memory_t)memory;
    if (wishes->alignment > 1) {
        int err = cuframes_layout_init(&wishes->layout, c->format, c->width, c->height,
                                       wishes->alignment);

        if (err != CUFRAMES_OK)
            return pycf_raise(err);
        c->layout = &wishes->layout;
    }
    return true;
}

/* What slots of the channel have that the library does not say with each. */
static int learn(struct pycf_channel *channel, const cuframes_publisher_config_t *config)
{
    cuframes_channel_info_t info;
    int err = cuframes_publisher_info(channel->publisher, &info);

    if (err != CUFRAMES_OK)
        return err;
    channel->width = config->width;
    channel->height = config->height;
    channel->format = config->format;
    channel->memory = info.memory;
    channel->color = config->color;
    channel->device = config->cuda_device;
    return CUFRAMES_OK;
}

static int publisher_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct publisher *publisher = (struct publisher *)self;
    struct wishes wishes = {0};
    struct pycf_channel *channel;
    int err;

    if (publisher->channel) {
        PyErr_SetString(PyExc_TypeError, "a publisher is initialised once");
        return -1;
    }
    if (!parse(args, kwargs, &wishes) || !(channel = pycf_channel_new()))
        return -1;
    Py_BEGIN_ALLOW_THREADS err = cuframes_publisher_create(&wishes.config, &channel->publisher);
    Py_END_ALLOW_THREADS if (err == CUFRAMES_OK) err = learn(channel, &wishes.config);
    if (err != CUFRAMES_OK) {
        pycf_raise(err);
        pycf_channel_unref(channel);
        return -1;
    }
    publisher->channel = channel;
    return 0;
}

static void publisher_dealloc(PyObject *self)
{
    struct publisher *publisher = (struct publisher *)self;

    if (publisher->channel)
        pycf_channel_close(publisher->channel);
    pycf_channel_unref(publisher->channel);
    pycf_free(self);
}

/* ---- methods ---- */

static struct pycf_channel *enter(PyObject *self)
{
    struct pycf_channel *channel = ((struct publisher *)self)->channel;

    return pycf_channel_enter(channel) ? channel : NULL;
}

/* Raises for an error, and leaves. */
static PyObject *leave_with(struct pycf_channel *channel, int err, PyObject *result)
{
    if (err < 0)
        result = pycf_channel_raise(channel, err);
    pycf_channel_leave(channel);
    return result;
}

static PyObject *publisher_acquire(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = enter(self);
    cuframes_buffer_t *buffer;
    PyObject *slot = NULL;
    int err;

    (void)unused;
    if (!channel)
        return NULL;
    PYCF_BEGIN_WAIT(&channel->closed);
    err = cuframes_publisher_acquire_buffer(channel->publisher, &buffer);
    PYCF_END_WAIT;
    if (err == CUFRAMES_OK)
        slot = pycf_buffer_new(channel, buffer);
    else if (err == CUFRAMES_ERR_WOULD_BLOCK)
        slot = Py_NewRef(Py_None);
    return leave_with(channel, err == CUFRAMES_ERR_WOULD_BLOCK ? 0 : err, slot);
}

static PyObject *publisher_reconfigure(PyObject *self, PyObject *args, PyObject *kwargs)
{
    struct pycf_channel *channel;
    struct wishes wishes = {0};
    int err;

    if (!parse(args, kwargs, &wishes) || !(channel = enter(self)))
        return NULL;
    Py_BEGIN_ALLOW_THREADS err = cuframes_publisher_reconfigure(channel->publisher, &wishes.config);
    Py_END_ALLOW_THREADS if (err == CUFRAMES_OK) err = learn(channel, &wishes.config);
    return leave_with(channel, err, err ? NULL : Py_NewRef(Py_None));
}

static PyObject *publisher_pause(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = enter(self);
    int err;

    (void)unused;
    if (!channel)
        return NULL;
    err = cuframes_publisher_pause(channel->publisher);
    return leave_with(channel, err, err ? NULL : Py_NewRef(Py_None));
}

static PyObject *publisher_add_client(PyObject *self, PyObject *given)
{
    struct pycf_channel *channel;
    long fd;
    int err;

    if (!(channel = enter(self)))
        return NULL;
    if (!pycf_whole_number(given, "fd", 0, INT32_MAX, "the number of an open descriptor", &fd))
        return leave_with(channel, CUFRAMES_OK, NULL);
    Py_BEGIN_ALLOW_THREADS err = cuframes_publisher_add_client(channel->publisher, (int)fd);
    Py_END_ALLOW_THREADS return leave_with(channel, err, err ? NULL : Py_NewRef(Py_None));
}

static PyObject *publisher_info(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = enter(self);
    cuframes_channel_info_t info;
    int err;

    (void)unused;
    if (!channel)
        return NULL;
    err = cuframes_publisher_info(channel->publisher, &info);
    return leave_with(channel, err, err ? NULL : pycf_info_dict(&info));
}

static PyObject *publisher_stats(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = enter(self);
    cuframes_publisher_stats_t stats;
    int err;

    (void)unused;
    if (!channel)
        return NULL;
    err = cuframes_publisher_stats(channel->publisher, &stats);
    return leave_with(channel, err, err ? NULL : pycf_publisher_stats_dict(&stats));
}

static PyObject *publisher_subscribers(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = enter(self);
    cuframes_subscriber_info_t *list;
    PyObject *all = NULL;
    int count;

    (void)unused;
    if (!channel)
        return NULL;
    list = calloc(CUFRAMES_MAX_SUBSCRIBERS, sizeof(*list));
    if (!list)
        return leave_with(channel, 0, PyErr_NoMemory());
    count = cuframes_publisher_subscribers(channel->publisher, list, CUFRAMES_MAX_SUBSCRIBERS);
    if (count >= 0)
        all = pycf_subscriber_info_list(list, count);
    free(list);
    return leave_with(channel, count, all);
}

static PyObject *publisher_enable_packets(PyObject *self, PyObject *args)
{
    struct pycf_channel *channel = enter(self);
    PyObject *done = NULL;

    if (channel) {
        done = pycf_enable_packets(channel->publisher, args);
        pycf_channel_leave(channel);
    }
    return done;
}

static PyObject *publisher_set_streams(PyObject *self, PyObject *streams)
{
    struct pycf_channel *channel = enter(self);
    PyObject *done = NULL;

    if (channel) {
        done = pycf_set_streams(channel->publisher, streams);
        pycf_channel_leave(channel);
    }
    return done;
}

static PyObject *publisher_send_packet(PyObject *self, PyObject *args)
{
    struct pycf_channel *channel = enter(self);
    PyObject *seq = NULL;

    if (channel) {
        seq = pycf_send_packet(channel->publisher, args);
        pycf_channel_leave(channel);
    }
    return seq;
}

/* Raises unless the channel is open and this process's. */
static PyObject *publisher_own(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = enter(self);

    (void)unused;
    return channel ? leave_with(channel, CUFRAMES_OK, Py_NewRef(Py_None)) : NULL;
}

static PyObject *publisher_close(PyObject *self, PyObject *unused)
{
    struct pycf_channel *channel = ((struct publisher *)self)->channel;

    (void)unused;
    if (channel)
        pycf_channel_close(channel);
    Py_RETURN_NONE;
}

static PyMethodDef publisher_methods[] = {
    {"_acquire", publisher_acquire, METH_NOARGS, NULL},
    {"_reconfigure", (PyCFunction)(void (*)(void))publisher_reconfigure,
     METH_VARARGS | METH_KEYWORDS, NULL},
    {"_enable_packets", publisher_enable_packets, METH_VARARGS, NULL},
    {"_set_streams", publisher_set_streams, METH_O, NULL},
    {"_send_packet", publisher_send_packet, METH_VARARGS, NULL},
    {"_own", publisher_own, METH_NOARGS, NULL},
    {"_pause", publisher_pause, METH_NOARGS, NULL},
    {"_info", publisher_info, METH_NOARGS, NULL},
    {"stats", publisher_stats, METH_NOARGS,
     "stats() -> dict\n\nWhat the channel has counted since it was made: frames published, "
     "dropped and so on; packets too; `waited` and `packet_kept` in seconds, `fps` measured."},
    {"subscribers", publisher_subscribers, METH_NOARGS,
     "subscribers() -> list[dict]\n\nWho reads the channel now: name, mode, frames held, received "
     "and missed, lag in frames, process."},
    {"add_client", publisher_add_client, METH_O,
     "add_client(fd)\n\nServes a connected SOCK_SEQPACKET Unix socket whose other end is with a "
     "subscriber. The descriptor is consumed."},
    {"close", publisher_close, METH_NOARGS,
     "close()\n\nEnds the channel: subscribers read what they were given, then see that the "
     "publisher is gone. A second call does nothing."},
    {NULL, NULL, 0, NULL},
};

static PyObject *get_closed(PyObject *self, void *unused)
{
    const struct pycf_channel *channel = ((struct publisher *)self)->channel;

    (void)unused;
    return PyBool_FromLong(!channel || channel->closed);
}

static PyGetSetDef publisher_attributes[] = {
    {"closed", get_closed, NULL, "Whether it is closed.", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot publisher_slots[] = {
    {Py_tp_doc, "The compiled part of cuframes.Publisher."},
    {Py_tp_init, publisher_init},
    {Py_tp_dealloc, publisher_dealloc},
    {Py_tp_methods, publisher_methods},
    {Py_tp_getset, publisher_attributes},
    {0, NULL},
};

static PyType_Spec publisher_spec = {
    .name = "cuframes._cuframes.Publisher",
    .basicsize = sizeof(struct publisher),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE,
    .slots = publisher_slots,
};

int pycf_publisher_init(PyObject *module)
{
    if (pycf_buffer_init(module) < 0)
        return -1;
    return pycf_add_type(module, &publisher_spec, NULL) ? 0 : -1;
}
