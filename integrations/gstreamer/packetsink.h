/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframespacketsink: publishes one encoded stream as the packets of a channel.
 */
#pragma once

#include <gst/base/gstbasesink.h>

G_BEGIN_DECLS

#define GST_TYPE_CUFRAMES_PACKET_SINK (gst_cuframes_packet_sink_get_type())
G_DECLARE_FINAL_TYPE(GstCuframesPacketSink, gst_cuframes_packet_sink, GST, CUFRAMES_PACKET_SINK,
                     GstBaseSink)

GST_ELEMENT_REGISTER_DECLARE(cuframespacketsink)

G_END_DECLS
