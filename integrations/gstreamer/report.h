/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Saying as messages of an element what the library says. Any thread.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/gst.h>

/*
 * Posts the library's last error as one of `element`'s, with GStreamer's code for `error`, or
 * `otherwise` where it has none. In the thread that the error came to.
 */
void gst_cuframes_report_error(GstElement *element, int error, GstResourceError otherwise);
/* FALSE after an element error: no key (which `missing` says), or one that is none. */
gboolean gst_cuframes_report_key(GstElement *element, const gchar *key, const gchar *missing);
