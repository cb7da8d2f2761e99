/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Streams and the publisher's packets.
 */
#include "streams.h"

#include <stddef.h>
#include <string.h>

/* The fields that are plain numbers. */
#define NUMBER(name, field)                                                                        \
    {                                                                                              \
        name, offsetof(cuframes_stream_t, field), sizeof(int32_t)                                  \
    }
#define LARGE(name, field)                                                                         \
    {                                                                                              \
        name, offsetof(cuframes_stream_t, field), sizeof(int64_t)                                  \
    }

static const struct {
    const char *name;
    size_t offset;
    size_t size;
} numbers[] = {
    NUMBER("type", type),
    NUMBER("codec_id", codec_id),
    NUMBER("codec_tag", codec_tag),
    NUMBER("packaging", packaging),
    NUMBER("time_base_num", time_base_num),
    NUMBER("time_base_den", time_base_den),
    NUMBER("profile", profile),
    NUMBER("level", level),
    LARGE("bit_rate", bit_rate),
    NUMBER("width", width),
    NUMBER("height", height),
    NUMBER("fps_num", fps_num),
    NUMBER("fps_den", fps_den),
    NUMBER("sar_num", sar_num),
    NUMBER("sar_den", sar_den),
    NUMBER("video_delay", video_delay),
    NUMBER("sample_rate", sample_rate),
    NUMBER("channels", channels),
    LARGE("channel_mask", channel_mask),
    NUMBER("samples_per_packet", samples_per_packet),
    NUMBER("initial_padding", initial_padding),
    NUMBER("trailing_padding", trailing_padding),
    NUMBER("seek_preroll", seek_preroll),
    NUMBER("block_align", block_align),
    NUMBER("bits_per_sample", bits_per_sample),
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static int64_t get_number(const cuframes_stream_t *stream, size_t i)
{
    const char *place = (const char *)stream + numbers[i].offset;
    int64_t large;
    int32_t small;

    if (numbers[i].size == sizeof(large)) {
        memcpy(&large, place, sizeof(large));
        return large;
    }
    memcpy(&small, place, sizeof(small));
    return small;
}

static void set_number(cuframes_stream_t *stream, size_t i, int64_t value)
{
    char *place = (char *)stream + numbers[i].offset;
    int32_t small = (int32_t)value;

    if (numbers[i].size == sizeof(value))
        memcpy(place, &value, sizeof(value));
    else
        memcpy(place, &small, sizeof(small));
}

PyObject *pycf_stream_dict(const cuframes_stream_t *stream)
{
    PyObject *dict = Py_BuildValue(
        "{s:s,s:s,s:(iiii),s:y#}", "codec_name", stream->codec_name, "language", stream->language,
        "color", stream->color.matrix, stream->color.primaries, stream->color.transfer,
        stream->color.range, "extradata", stream->extradata ? stream->extradata : "",
        (Py_ssize_t)stream->extradata_size);

    for (size_t i = 0; dict && i < NUMBERS; i++) {
        PyObject *value = PyLong_FromLongLong(get_number(stream, i));

        if (!value || PyDict_SetItemString(dict, numbers[i].name, value) < 0)
            Py_CLEAR(dict);
        Py_XDECREF(value);
    }
    return dict;
}

/* A string of the dictionary, cut to the room there is. */
static int read_text(PyObject *dict, const char *name, char *to, size_t size)
{
    PyObject *value = PyDict_GetItemString(dict, name);
    const char *text = value ? PyUnicode_AsUTF8AndSize(value, NULL) : NULL;

    if (!text)
        return -1;
    memset(to, 0, size);
    memcpy(to, text, strnlen(text, size - 1));
    return 0;
}

/* The bytes of extradata stay the dictionary's. */
static int read_stream(PyObject *dict, cuframes_stream_t *stream)
{
    PyObject *color = PyDict_GetItemString(dict, "color");
    PyObject *extradata = PyDict_GetItemString(dict, "extradata");
    char *bytes;
    Py_ssize_t size;

    *stream = (cuframes_stream_t){0};
    for (size_t i = 0; i < NUMBERS; i++) {
        PyObject *value = PyDict_GetItemString(dict, numbers[i].name);
        long long number = value ? PyLong_AsLongLong(value) : 0;

        if (!value || (number == -1 && PyErr_Occurred()))
            return -1;
        set_number(stream, i, number);
    }
    if (!color || !extradata || PyBytes_AsStringAndSize(extradata, &bytes, &size) < 0 ||
        read_text(dict, "codec_name", stream->codec_name, sizeof(stream->codec_name)) < 0 ||
        read_text(dict, "language", stream->language, sizeof(stream->language)) < 0 ||
        !PyArg_ParseTuple(color, "bbbb", &stream->color.matrix, &stream->color.primaries,
                          &stream->color.transfer, &stream->color.range))
        return -1;
    if (size > CUFRAMES_MAX_EXTRADATA) {
        pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%zd bytes of extradata: at most %d", size,
                        CUFRAMES_MAX_EXTRADATA);
        return -1;
    }
    stream->extradata = size ? bytes : NULL;
    stream->extradata_size = (uint32_t)size;
    return 0;
}

PyObject *pycf_set_streams(cuframes_publisher_t *publisher, PyObject *list)
{
    cuframes_stream_t streams[CUFRAMES_MAX_STREAMS];
    Py_ssize_t count = PyList_Size(list);
    int err;

    if (count < 0)
        return NULL;
    if (count == 0 || count > CUFRAMES_MAX_STREAMS)
        return pycf_raise_text(CUFRAMES_ERR_INVALID_ARG, "%zd streams: 1 to %d are possible", count,
                               CUFRAMES_MAX_STREAMS);
    for (Py_ssize_t i = 0; i < count; i++) {
        if (read_stream(PyList_GetItem(list, i), &streams[i]) < 0) {
            if (!PyErr_Occurred())
                PyErr_SetString(PyExc_TypeError, "a stream lacks a field");
            return NULL;
        }
    }
    err = cuframes_publisher_set_streams(publisher, streams, (int32_t)count);
    return err == CUFRAMES_OK ? Py_NewRef(Py_None) : pycf_raise(err);
}

PyObject *pycf_enable_packets(cuframes_publisher_t *publisher, PyObject *args)
{
    cuframes_packet_ring_options_t options = {0};
    int err;

    if (!PyArg_ParseTuple(args, "O&O&O&O&O&", pycf_unsigned, &options.ring_slots, pycf_unsigned,
                          &options.data_size, pycf_unsigned, &options.max_packet_size,
                          pycf_unsigned, &options.keep_ms, pycf_unsigned, &options.max_data_size))
        return NULL;
    Py_BEGIN_ALLOW_THREADS err = cuframes_publisher_enable_packets(publisher, &options);
    Py_END_ALLOW_THREADS return err == CUFRAMES_OK ? Py_NewRef(Py_None) : pycf_raise(err);
}

PyObject *pycf_send_packet(cuframes_publisher_t *publisher, PyObject *args)
{
    cuframes_packet_desc_t packet = {0};
    long long pts_ns, dts_ns, duration_ns, capture_ns;
    Py_buffer data = {.obj = NULL};
    uint64_t seq;
    int source, err;

    if (!PyArg_ParseTuple(args, "y*LLLLiO&O&", &data, &pts_ns, &dts_ns, &duration_ns, &capture_ns,
                          &source, pycf_unsigned, &packet.stream, pycf_unsigned, &packet.flags))
        return NULL;
    packet.data = data.buf;
    packet.size = (size_t)data.len;
    packet.pts_ns = pts_ns;
    packet.dts_ns = dts_ns;
    packet.duration_ns = duration_ns;
    packet.capture_ns = capture_ns;
    packet.capture_source = (cuframes_clock_source_t)source;
    Py_BEGIN_ALLOW_THREADS err = cuframes_publisher_send_packet(publisher, &packet, &seq);
    Py_END_ALLOW_THREADS PyBuffer_Release(&data);
    return err == CUFRAMES_OK ? PyLong_FromUnsignedLongLong(seq) : pycf_raise(err);
}
