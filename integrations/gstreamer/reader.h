/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two sources share: the properties of a channel that is read, attaching to it and waiting
 * for it in ways that another thread can end.
 *
 * The streaming thread's, but for gst_cuframes_reader_set_flushing(); `subscriber` is also read by
 * others, under the element's object lock.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/gst.h>

typedef struct {
    gchar *key;
    gchar *consumer_name;
    gchar *runtime_dir;
    gboolean reconnect;
    gint timeout_ms;
    gint fd; /* -1 = none, and after it was used */
} GstCuframesReading;

typedef struct {
    GstCuframesReading settings; /* properties, under the object lock */
    GstElement *element;         /* whose it is */
    cuframes_subscriber_t *subscriber;
    GstPoll *poll;
    GstPollFD poll_fd;
} GstCuframesReader;

void gst_cuframes_reader_init(GstCuframesReader *reader, GstElement *element);
void gst_cuframes_reader_clear(GstCuframesReader *reader);

/* The properties, for a GstCuframesReader that lies `offset` bytes into the element. */
void gst_cuframes_reader_install(GObjectClass *class, gsize offset);
/* In start(): FALSE after an element error, when neither key nor descriptor are as they should. */
gboolean gst_cuframes_reader_check(GstCuframesReader *reader);

/*
 * What the channel of the key is, which is waited for as attaching does. For a descriptor all zero.
 * OK, FLUSHING, or ERROR after an element error.
 */
GstFlowReturn gst_cuframes_reader_describe(GstCuframesReader *reader,
                                           cuframes_channel_info_t *info);
/*
 * Attaches as `config` and the properties say, waiting for the channel. The descriptor is used up.
 * OK, FLUSHING, or ERROR after an element error.
 */
GstFlowReturn gst_cuframes_reader_attach(GstCuframesReader *reader,
                                         const cuframes_subscriber_config_t *config);
void gst_cuframes_reader_detach(GstCuframesReader *reader);

typedef enum {
    GST_CUFRAMES_READER_READY,   /* ask the library again */
    GST_CUFRAMES_READER_TIMEOUT, /* nothing came */
    GST_CUFRAMES_READER_FLUSHING,
} GstCuframesReaderState;

/* Waits until the subscriber has something to say; with a timeout of 0 tells of flushing. */
GstCuframesReaderState gst_cuframes_reader_wait(GstCuframesReader *reader, GstClockTime timeout);
/* Ends waits now and until it is turned off. Any thread. */
void gst_cuframes_reader_set_flushing(GstCuframesReader *reader, gboolean on);
/* In unlock(): whether the base class asks because the element is being paused. */
gboolean gst_cuframes_reader_is_pausing(GstCuframesReader *reader);

/*
 * What an error of the library's next calls means for the stream: EOS when the channel has ended,
 * OK for an eviction that is followed by attaching again, else ERROR after an element error.
 */
GstFlowReturn gst_cuframes_reader_ended(GstCuframesReader *reader, int error);
