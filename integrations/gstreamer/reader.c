/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reader.h"

#include <errno.h>

/* Between two looks for a channel that is not there. */
#define ATTACH_INTERVAL (50 * GST_MSECOND)

void gst_cuframes_reader_init(GstCuframesReader *reader, GstElement *element)
{
    *reader = (GstCuframesReader){.element = element, .poll = gst_poll_new(TRUE)};
}

void gst_cuframes_reader_clear(GstCuframesReader *reader)
{
    gst_poll_free(reader->poll);
}

static void say_attach_failed(GstElement *element, int error)
{
    const gchar *sentence = cuframes_last_error();

    if (error == CUFRAMES_ERR_NOT_FOUND)
        GST_ELEMENT_ERROR(element, RESOURCE, NOT_FOUND, ("%s", sentence), (NULL));
    else if (error == CUFRAMES_ERR_PERMISSION)
        GST_ELEMENT_ERROR(element, RESOURCE, NOT_AUTHORIZED, ("%s", sentence), (NULL));
    else if (error == CUFRAMES_ERR_ALREADY_EXISTS || error == CUFRAMES_ERR_TOO_MANY)
        GST_ELEMENT_ERROR(element, RESOURCE, BUSY, ("%s", sentence), (NULL));
    else if (error == CUFRAMES_ERR_INVALID_ARG)
        GST_ELEMENT_ERROR(element, RESOURCE, SETTINGS, ("%s", sentence), (NULL));
    else
        GST_ELEMENT_ERROR(element, RESOURCE, OPEN_READ, ("%s", sentence), (NULL));
}

static void take_subscriber(GstCuframesReader *reader, cuframes_subscriber_t *subscriber)
{
    GST_OBJECT_LOCK(reader->element);
    reader->subscriber = subscriber;
    GST_OBJECT_UNLOCK(reader->element);
    gst_poll_fd_init(&reader->poll_fd);
    reader->poll_fd.fd = cuframes_subscriber_fd(subscriber);
    gst_poll_add_fd(reader->poll, &reader->poll_fd);
    gst_poll_fd_ctl_read(reader->poll, &reader->poll_fd, TRUE);
    GST_INFO_OBJECT(reader->element, "attached as \"%s\"", cuframes_subscriber_name(subscriber));
}

static GstFlowReturn attach_over(GstCuframesReader *reader, cuframes_subscriber_config_t config,
                                 gint fd, gint timeout_ms)
{
    cuframes_subscriber_t *subscriber;
    int error;

    config.connect_timeout_ms = timeout_ms;
    error = cuframes_subscriber_create_from_fd(&config, fd, &subscriber);
    if (error) {
        say_attach_failed(reader->element, error);
        return GST_FLOW_ERROR;
    }
    take_subscriber(reader, subscriber);
    return GST_FLOW_OK;
}

GstFlowReturn gst_cuframes_reader_attach(GstCuframesReader *reader,
                                         const cuframes_subscriber_config_t *config, gint fd,
                                         gint timeout_ms)
{
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    cuframes_subscriber_t *subscriber;
    int error;

    if (fd >= 0)
        return attach_over(reader, *config, fd, timeout_ms);
    while ((error = cuframes_subscriber_create(config, &subscriber)) != CUFRAMES_OK) {
        if (error != CUFRAMES_ERR_NOT_FOUND ||
            (timeout_ms >= 0 && g_get_monotonic_time() >= deadline)) {
            say_attach_failed(reader->element, error);
            return GST_FLOW_ERROR;
        }
        if (gst_cuframes_reader_wait(reader, ATTACH_INTERVAL) == GST_CUFRAMES_READER_FLUSHING)
            return GST_FLOW_FLUSHING;
    }
    take_subscriber(reader, subscriber);
    return GST_FLOW_OK;
}

void gst_cuframes_reader_detach(GstCuframesReader *reader)
{
    cuframes_subscriber_t *subscriber;

    GST_OBJECT_LOCK(reader->element);
    subscriber = reader->subscriber;
    reader->subscriber = NULL;
    GST_OBJECT_UNLOCK(reader->element);
    if (subscriber)
        gst_poll_remove_fd(reader->poll, &reader->poll_fd);
    cuframes_subscriber_destroy(subscriber);
}

GstCuframesReaderState gst_cuframes_reader_wait(GstCuframesReader *reader, GstClockTime timeout)
{
    gint ready = gst_poll_wait(reader->poll, timeout);

    if (ready < 0 && errno == EBUSY)
        return GST_CUFRAMES_READER_FLUSHING;
    return ready == 0 ? GST_CUFRAMES_READER_TIMEOUT : GST_CUFRAMES_READER_READY;
}

void gst_cuframes_reader_set_flushing(GstCuframesReader *reader, gboolean on)
{
    gst_poll_set_flushing(reader->poll, on);
}

GstFlowReturn gst_cuframes_reader_ended(GstCuframesReader *reader, int error, gboolean reconnect)
{
    if (error == CUFRAMES_ERR_DISCONNECTED) {
        GST_INFO_OBJECT(reader->element, "%s", cuframes_last_error());
        return GST_FLOW_EOS;
    }
    if (error == CUFRAMES_ERR_EVICTED && reconnect) {
        GST_ELEMENT_WARNING(reader->element, RESOURCE, READ, ("%s", cuframes_last_error()), (NULL));
        return GST_FLOW_OK;
    }
    GST_ELEMENT_ERROR(reader->element, RESOURCE, READ, ("%s", cuframes_last_error()), (NULL));
    return GST_FLOW_ERROR;
}

gboolean gst_cuframes_reader_check_key(GstElement *element, const gchar *key, gint fd)
{
    if (fd >= 0)
        return TRUE;
    if (!key) {
        GST_ELEMENT_ERROR(element, RESOURCE, SETTINGS,
                          ("No channel: set the property \"key\" (or \"fd\")."), (NULL));
        return FALSE;
    }
    if (cuframes_check_key(key) == CUFRAMES_OK)
        return TRUE;
    GST_ELEMENT_ERROR(element, RESOURCE, SETTINGS, ("%s", cuframes_last_error()), (NULL));
    return FALSE;
}
