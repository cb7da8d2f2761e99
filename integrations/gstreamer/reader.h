/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the two sources share: attaching to a channel and waiting for it in ways that another thread
 * can end, and saying as element errors what the library says.
 *
 * The streaming thread's, but for gst_cuframes_reader_set_flushing(); `subscriber` is also read by
 * others, under the element's object lock.
 */
#pragma once

#include <cuframes/cuframes.h>
#include <gst/gst.h>

typedef struct {
    GstElement *element; /* whose it is */
    cuframes_subscriber_t *subscriber;
    GstPoll *poll;
    GstPollFD poll_fd;
} GstCuframesReader;

void gst_cuframes_reader_init(GstCuframesReader *reader, GstElement *element);
void gst_cuframes_reader_clear(GstCuframesReader *reader);

/*
 * Attaches as `config` says, over `fd` unless it is below 0 (consumed), else by the key, waiting up to
 * `timeout_ms` (-1 = for ever) for the channel. OK, FLUSHING, or ERROR after an element error.
 */
GstFlowReturn gst_cuframes_reader_attach(GstCuframesReader *reader,
                                         const cuframes_subscriber_config_t *config, gint fd,
                                         gint timeout_ms);
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

/*
 * What an error of the library's next calls means for the stream: EOS when the channel has ended,
 * OK for an eviction that is followed by attaching again, else ERROR after an element error.
 */
GstFlowReturn gst_cuframes_reader_ended(GstCuframesReader *reader, int error, gboolean reconnect);
/* FALSE after an element error: neither a key nor a descriptor, or a key that is none. */
gboolean gst_cuframes_reader_check_key(GstElement *element, const gchar *key, gint fd);
