/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The GStreamer plug-in "cuframes".
 */
#include <gst/gst.h>

#include "meta.h"
#include "packetsink.h"
#include "packetsrc.h"
#include "sink.h"
#include "src.h"

static gboolean plugin_init(GstPlugin *plugin)
{
    gst_cuframes_meta_register();
    return GST_ELEMENT_REGISTER(cuframessrc, plugin) &&
           GST_ELEMENT_REGISTER(cuframessink, plugin) &&
           GST_ELEMENT_REGISTER(cuframespacketsrc, plugin) &&
           GST_ELEMENT_REGISTER(cuframespacketsink, plugin);
}

#define PACKAGE "cuframes"
GST_PLUGIN_DEFINE(GST_VERSION_MAJOR, GST_VERSION_MINOR, cuframes,
                  "Video frames shared between processes", plugin_init, CUFRAMES_PLUGIN_VERSION,
                  "LGPL", "cuframes", "cuframes")
