/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Properties that are fields of their element: installed with the field's place, then read and set
 * by the type of the property, under the object lock. "stats" is made by the element when it is
 * read.
 *
 * An element reads its fields in start() and in what start() comes before; there they do not
 * change, as every property is one that can be changed up to the state READY alone.
 */
#pragma once

#include <gst/gst.h>

#define GST_CUFRAMES_PROPERTY_FLAGS                                                                \
    (G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY)

/* Called without the object lock. */
typedef GstStructure *(*GstCuframesStatistics)(GstElement *element);

/* First: what the class does to set and get properties, and the property "stats". */
void gst_cuframes_properties_init(GObjectClass *class, GstCuframesStatistics statistics);
/*
 * The field lies `offset` bytes into the element: a gchar * for a string (an empty one becomes
 * NULL), a gint for an enumeration, else the type of the property. Consumes `spec`.
 */
void gst_cuframes_property_install(GObjectClass *class, gsize offset, GParamSpec *spec);
