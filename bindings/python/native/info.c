/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Descriptions as dictionaries.
 */
#include "info.h"

#include <string.h>

static PyObject *enum_item(PyObject *tuple, long index)
{
    PyObject *item =
        index >= 0 && index < PyTuple_Size(tuple) ? PyTuple_GetItem(tuple, index) : NULL;

    return item ? Py_NewRef(item) : PyLong_FromLong(index);
}

/* "GPU-…", None for the host's memory. */
static PyObject *gpu_of(const uint8_t uuid[CUFRAMES_GPU_UUID_SIZE])
{
    static const uint8_t none[CUFRAMES_GPU_UUID_SIZE];
    char text[CUFRAMES_GPU_UUID_TEXT];

    if (!memcmp(uuid, none, sizeof(none)))
        Py_RETURN_NONE;
    cuframes_gpu_uuid_text(uuid, text);
    return PyUnicode_FromString(text);
}

PyObject *pycf_info_dict(const cuframes_channel_info_t *info)
{
    return Py_BuildValue(
        "{s:s,s:N,s:i,s:i,s:s,s:s,s:i,s:I,s:(ii),s:(ii),s:(iiii),s:i,s:i,s:L,s:I,s:N,s:N}", "key",
        info->key, "format", enum_item(pycf_state.formats, info->format), "width", info->width,
        "height", info->height, "memory", info->memory == CUFRAMES_MEMORY_CUDA ? "cuda" : "cpu",
        "policy", info->policy == CUFRAMES_POLICY_STRICT_WAIT ? "wait" : "drop", "slots",
        info->slots, "generation", info->generation, "fps", info->fps_num, info->fps_den,
        "pixel_aspect", info->sar_num, info->sar_den, "color", info->color.matrix,
        info->color.primaries, info->color.transfer, info->color.range, "ack_timeout_ms",
        info->ack_timeout_ms, "max_holds", info->max_holds, "pid", (long long)info->pid, "streams",
        info->stream_count, "gpu", gpu_of(info->gpu_uuid), "packets_only",
        PyBool_FromLong((long)(info->notes & CUFRAMES_CHANNEL_PACKETS_ONLY)));
}

PyObject *pycf_publisher_stats_dict(const cuframes_publisher_stats_t *stats)
{
    return Py_BuildValue(
        "{s:K,s:K,s:K,s:K,s:K,s:d,s:K,s:I,s:I,s:N,s:K,s:d,s:I,s:I,s:K,s:K,s:I,s:d,s:K}",
        "published", (unsigned long long)stats->published, "dropped",
        (unsigned long long)stats->dropped, "copied", (unsigned long long)stats->copied, "evicted",
        (unsigned long long)stats->evicted, "refused", (unsigned long long)stats->refused, "waited",
        (double)stats->waited_ns * 1e-9, "generations", (unsigned long long)stats->generations,
        "subscribers", stats->subscribers, "slots_held", stats->slots_held, "newest_ns",
        pycf_time(stats->newest_ns), "newest_seq", (unsigned long long)stats->newest_seq, "fps",
        stats->fps, "pending", stats->pending, "frame_subscribers", stats->frame_subscribers,
        "packets", (unsigned long long)stats->packets, "packet_bytes",
        (unsigned long long)stats->packet_bytes, "packets_kept", stats->packets_kept, "packet_kept",
        (double)stats->packet_kept_ns * 1e-9, "packet_ring_bytes",
        (unsigned long long)stats->packet_ring_bytes);
}

PyObject *pycf_subscriber_info_dict(const cuframes_subscriber_info_t *info)
{
    return Py_BuildValue("{s:s,s:s,s:I,s:K,s:K,s:K,s:L,s:I,s:s,s:K,s:K}", "name", info->name,
                         "mode", info->mode == CUFRAMES_MODE_STRICT_ORDER ? "order" : "newest",
                         "held", info->held, "received", (unsigned long long)info->received,
                         "missed", (unsigned long long)info->missed, "lag",
                         (unsigned long long)info->lag, "pid", (long long)info->pid, "uid",
                         info->uid, "access", cuframes_access_name(info->access),
                         "packets_received", (unsigned long long)info->packets_received,
                         "packets_lost", (unsigned long long)info->packets_lost);
}

PyObject *pycf_subscriber_info_list(const cuframes_subscriber_info_t *list, Py_ssize_t count)
{
    PyObject *all = PyList_New(0);

    for (Py_ssize_t i = 0; all && i < count; i++) {
        PyObject *item = pycf_subscriber_info_dict(&list[i]);

        if (!item || PyList_Append(all, item) < 0)
            Py_CLEAR(all);
        Py_XDECREF(item);
    }
    return all;
}
