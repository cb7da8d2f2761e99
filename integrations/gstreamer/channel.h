/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The channel that cuframessink publishes: a publisher that comes with the first picture and
 * changes with it, and slots of it as GstMemory.
 *
 * Shared by the element, its pools and every slot that is out; any thread. The publisher is
 * destroyed when the element has closed the channel and no call is under way.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/video/video.h>

#include "format.h"
#include "gstcuda.h"
#include "publishing.h"

typedef struct GstCuframesChannel GstCuframesChannel;

/* How the channel is made. */
typedef struct {
    GstCuframesPublishing publishing;
    gboolean socket; /* FALSE: clients come by gst_cuframes_channel_add_client() alone */
    gint policy;     /* cuframes_policy_t */
    guint ack_timeout_ms;
    gint slots;
    gint max_holds;
} GstCuframesChannelSettings;

/* `settings` are copied. */
GstCuframesChannel *gst_cuframes_channel_new(const GstCuframesChannelSettings *settings);
GstCuframesChannel *gst_cuframes_channel_ref(GstCuframesChannel *channel);
/* NULL is fine. */
void gst_cuframes_channel_unref(GstCuframesChannel *channel);
/* Ends it: subscribers are disconnected, slots can no longer be had. */
void gst_cuframes_channel_close(GstCuframesChannel *channel);

/* For pictures in GPU memory: where they are to be. Before they are prepared. */
void gst_cuframes_channel_set_context(GstCuframesChannel *channel, GstCudaContext *context);
/*
 * Makes the channel, or changes it, so that it has `picture`, and makes its slots with `layout`;
 * unless `exact` slots that are there may have another one. Returns CUFRAMES_OK or the library's error; DISCONNECTED after close.
 */
int gst_cuframes_channel_prepare(GstCuframesChannel *channel, const GstCuframesPicture *picture,
                                 const cuframes_layout_t *layout, gboolean exact);
/* Serves the other end of `fd`, also one that comes before the first picture. Consumes it. */
int gst_cuframes_channel_add_client(GstCuframesChannel *channel, int fd);
/* FALSE while there is no publisher. */
gboolean gst_cuframes_channel_stats(GstCuframesChannel *channel, cuframes_publisher_stats_t *stats);

/*
 * With the policy "wait", acquiring and publishing wait for readers. Asked meanwhile, and by the
 * thread that waits: TRUE ends the wait with INTERRUPTED, and nothing has happened.
 */
typedef gboolean (*GstCuframesStop)(gpointer user);

/* The stream is being flushed, or ends: who lends slots to upstream no longer waits for them. */
void gst_cuframes_channel_set_flushing(GstCuframesChannel *channel, gboolean on);
gboolean gst_cuframes_channel_is_flushing(GstCuframesChannel *channel);

/*
 * A free slot as a buffer of one memory with a GstVideoMeta. WOULD_BLOCK when there is none,
 * FORMAT when the channel no longer has `picture`. The slot is given back with the memory.
 */
int gst_cuframes_channel_acquire(GstCuframesChannel *channel, const GstCuframesPicture *picture,
                                 GstCuframesStop stop, gpointer user, GstBuffer **buffer);
/* Slots that are out as memory, published or not. */
guint gst_cuframes_channel_slots_out(GstCuframesChannel *channel);
gint gst_cuframes_channel_slots(const GstCuframesChannel *channel);

/*
 * Publishes the slot that `buffer` is. INVALID_ARG if it is not one (or not the whole of one) of
 * this channel's; other errors as cuframes_publisher_publish_buffer().
 */
int gst_cuframes_channel_publish(GstCuframesChannel *channel, GstBuffer *buffer,
                                 const cuframes_frame_meta_t *meta, GstCuframesStop stop,
                                 gpointer user);
