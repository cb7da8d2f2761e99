/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two sinks share: the properties of a channel that is published.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/gst.h>

typedef struct {
    gchar *key;
    gchar *runtime_dir;
    gchar *socket_group;
    guint socket_mode;
    gint max_subscribers;
} GstCuframesPublishing;

/* The properties, for a GstCuframesPublishing that lies `offset` bytes into the element. */
void gst_cuframes_publishing_install(GObjectClass *class, gsize offset);
/* The defaults. */
void gst_cuframes_publishing_init(GstCuframesPublishing *publishing);
void gst_cuframes_publishing_clear(GstCuframesPublishing *publishing);
/* A copy with strings of its own. */
GstCuframesPublishing gst_cuframes_publishing_copy(const GstCuframesPublishing *publishing);
/* Fills in its part of `config`; the strings are lent. */
void gst_cuframes_publishing_configure(const GstCuframesPublishing *publishing,
                                       cuframes_publisher_config_t *config);
