/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The library's descriptions as dictionaries, from which the package makes its data classes.
 */
#pragma once

#include "module.h"

PyObject *pycf_info_dict(const cuframes_channel_info_t *info);
PyObject *pycf_publisher_stats_dict(const cuframes_publisher_stats_t *stats);
PyObject *pycf_subscriber_info_dict(const cuframes_subscriber_info_t *info);
/* A list of those. */
PyObject *pycf_subscriber_info_list(const cuframes_subscriber_info_t *list, Py_ssize_t count);
