/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframespacketsrc: one elementary stream of a channel, as its source encoded it.
 */
#pragma once

#include <gst/base/gstpushsrc.h>

G_BEGIN_DECLS

#define GST_TYPE_CUFRAMES_PACKET_SRC (gst_cuframes_packet_src_get_type())
G_DECLARE_FINAL_TYPE(GstCuframesPacketSrc, gst_cuframes_packet_src, GST, CUFRAMES_PACKET_SRC,
                     GstPushSrc)

GST_ELEMENT_REGISTER_DECLARE(cuframespacketsrc)

G_END_DECLS
