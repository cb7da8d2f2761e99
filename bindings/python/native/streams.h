/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Elementary streams as dictionaries, and what a publisher does with them and with packets.
 */
#pragma once

#include "module.h"

/* A dictionary with the fields of cuframes.Stream, but plain numbers. NULL = raised. */
PyObject *pycf_stream_dict(const cuframes_stream_t *stream);

/* (slots, bytes, largest packet, milliseconds to keep, most bytes): a packet ring. */
PyObject *pycf_enable_packets(cuframes_publisher_t *publisher, PyObject *args);
/* A list of dictionaries as above. */
PyObject *pycf_set_streams(cuframes_publisher_t *publisher, PyObject *list);
/* (data, pts, dts, duration, capture, source, stream, flags), times in nanoseconds: the number. */
PyObject *pycf_send_packet(cuframes_publisher_t *publisher, PyObject *args);
