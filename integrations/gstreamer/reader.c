/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "reader.h"

#include <errno.h>
#include <unistd.h>

#include "properties.h"
#include "report.h"

/* Between two looks for a channel that is not there. */
#define ATTACH_INTERVAL    (50 * GST_MSECOND)
#define DEFAULT_TIMEOUT_MS 5000

#define FIELD(name) (offset + G_STRUCT_OFFSET(GstCuframesReader, settings.name))

static void install_channel(GObjectClass *class, gsize offset)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_property_install(
        class, FIELD(key),
        g_param_spec_string("key", "Key", "Key of the channel to read", NULL, flags));
    gst_cuframes_property_install(
        class, FIELD(consumer_name),
        g_param_spec_string("consumer-name", "Consumer name",
                            "Name by which the publisher knows this reader, unique in the channel; "
                            "made up if not set",
                            NULL, flags));
    gst_cuframes_property_install(
        class, FIELD(runtime_dir),
        g_param_spec_string(
            "runtime-dir", "Runtime directory",
            "Directory with the channels' sockets; the library's default if not set", NULL, flags));
    gst_cuframes_property_install(
        class, FIELD(fd),
        g_param_spec_int("fd", "Descriptor",
                         "A connected socket whose other end a publisher serves, instead of a key; "
                         "the element closes it; -1 = none",
                         -1, G_MAXINT, -1, flags));
}

void gst_cuframes_reader_install(GObjectClass *class, gsize offset)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    install_channel(class, offset);
    gst_cuframes_property_install(
        class, FIELD(reconnect),
        g_param_spec_boolean("reconnect", "Reconnect",
                             "When the publisher goes, wait for the next one; otherwise the stream "
                             "ends (EOS)",
                             FALSE, flags));
    gst_cuframes_property_install(
        class, FIELD(timeout_ms),
        g_param_spec_int("timeout", "Timeout",
                         "How long to wait for the channel at the start, milliseconds; -1 = for "
                         "ever",
                         -1, G_MAXINT, DEFAULT_TIMEOUT_MS, flags));
}

void gst_cuframes_reader_init(GstCuframesReader *reader, GstElement *element)
{
    *reader = (GstCuframesReader){
        .settings = {.timeout_ms = DEFAULT_TIMEOUT_MS, .fd = -1},
        .element = element,
        .poll = gst_poll_new(TRUE),
    };
}

void gst_cuframes_reader_clear(GstCuframesReader *reader)
{
    gst_poll_free(reader->poll);
    g_free(reader->settings.key);
    g_free(reader->settings.consumer_name);
    g_free(reader->settings.runtime_dir);
    if (reader->settings.fd >= 0)
        close(reader->settings.fd);
}

gboolean gst_cuframes_reader_check(GstCuframesReader *reader)
{
    return reader->settings.fd >= 0 ||
           gst_cuframes_report_key(reader->element, reader->settings.key,
                                   "No channel: set the property \"key\" (or \"fd\").");
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

/* Something that is tried until the channel is there. */
typedef int (*Attempt)(GstCuframesReader *reader, gpointer data);

static int keep_trying(GstCuframesReader *reader, Attempt attempt, gpointer data)
{
    gint timeout_ms = reader->settings.timeout_ms;
    gint64 deadline = g_get_monotonic_time() + (gint64)timeout_ms * 1000;
    int error;

    while ((error = attempt(reader, data)) == CUFRAMES_ERR_NOT_FOUND) {
        if (timeout_ms >= 0 && g_get_monotonic_time() >= deadline)
            break;
        if (gst_cuframes_reader_wait(reader, ATTACH_INTERVAL) == GST_CUFRAMES_READER_FLUSHING)
            return CUFRAMES_ERR_WOULD_BLOCK;
    }
    return error;
}

/* WOULD_BLOCK stands for flushing. */
static GstFlowReturn tried(GstCuframesReader *reader, int error)
{
    if (error == CUFRAMES_OK)
        return GST_FLOW_OK;
    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return GST_FLOW_FLUSHING;
    gst_cuframes_report_error(reader->element, error, GST_RESOURCE_ERROR_OPEN_READ);
    return GST_FLOW_ERROR;
}

/* Asked by the library while it waits for a publisher's answer. */
static int is_flushing(void *reader)
{
    return gst_cuframes_reader_wait(reader, 0) == GST_CUFRAMES_READER_FLUSHING;
}

/* How long to wait for an answer; 0 is the library's own way to say "not for long". */
static gint32 answer_timeout_ms(const GstCuframesReader *reader)
{
    return reader->settings.timeout_ms < 0 ? G_MAXINT32 : reader->settings.timeout_ms;
}

static int query(GstCuframesReader *reader, gpointer data)
{
    cuframes_channel_report_t *report;
    int error;

    cuframes_set_interrupt_check(is_flushing, reader);
    error = cuframes_query(reader->settings.runtime_dir, reader->settings.key,
                           answer_timeout_ms(reader), &report);
    cuframes_set_interrupt_check(NULL, NULL);
    if (error)
        return error == CUFRAMES_ERR_INTERRUPTED ? CUFRAMES_ERR_WOULD_BLOCK : error;
    *(cuframes_channel_info_t *)data = report->info;
    cuframes_channel_report_free(report);
    return CUFRAMES_OK;
}

GstFlowReturn gst_cuframes_reader_describe(GstCuframesReader *reader, cuframes_channel_info_t *info)
{
    *info = (cuframes_channel_info_t){0};
    return reader->settings.fd >= 0 ? GST_FLOW_OK : tried(reader, keep_trying(reader, query, info));
}

typedef struct {
    cuframes_subscriber_config_t config;
    cuframes_connect_options_t connect;
    cuframes_subscriber_t *subscriber;
} Attachment;

static int attach_by_key(GstCuframesReader *reader, gpointer data)
{
    Attachment *attachment = data;

    return cuframes_subscriber_create(&attachment->config, &attachment->subscriber);
}

static int attach_over(Attachment *attachment, gint fd)
{
    attachment->config.connect_timeout_ms = attachment->connect.answer_timeout_ms;
    return cuframes_subscriber_create_from_fd(&attachment->config, fd, &attachment->subscriber);
}

GstFlowReturn gst_cuframes_reader_attach(GstCuframesReader *reader,
                                         const cuframes_subscriber_config_t *config)
{
    Attachment attachment = {.config = *config};
    GstFlowReturn ret;
    gint fd;

    GST_OBJECT_LOCK(reader->element);
    fd = reader->settings.fd;
    reader->settings.fd = -1; /* the library closes it, whatever comes */
    GST_OBJECT_UNLOCK(reader->element);
    attachment.config.key = reader->settings.key;
    attachment.config.consumer_name = reader->settings.consumer_name;
    attachment.config.runtime_dir = reader->settings.runtime_dir;
    attachment.config.flags |= CUFRAMES_SUBSCRIBER_POLL;
    attachment.config.connect = &attachment.connect;
    attachment.connect.stop = is_flushing;
    attachment.connect.user = reader;
    attachment.connect.answer_timeout_ms = answer_timeout_ms(reader);
    if (reader->settings.reconnect && fd < 0)
        attachment.config.flags |= CUFRAMES_SUBSCRIBER_RECONNECT;
    ret = tried(reader, fd >= 0 ? attach_over(&attachment, fd)
                                : keep_trying(reader, attach_by_key, &attachment));
    if (ret == GST_FLOW_OK)
        take_subscriber(reader, attachment.subscriber);
    return ret;
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

/*
 * GstBaseSrc of 1.24 and later unlocks create() for a pause. When the pipeline is resumed before the
 * streaming task has stopped for that, the base class takes it for running, and it stops for good.
 * The base class does not wait for create() then, so that nothing has to end: create() goes on
 * waiting, as it does with 1.22, and a frame that comes meanwhile waits before the sink.
 */
gboolean gst_cuframes_reader_is_pausing(GstCuframesReader *reader)
{
    gboolean pausing;

    GST_OBJECT_LOCK(reader->element);
    pausing = GST_STATE(reader->element) == GST_STATE_PLAYING &&
              GST_STATE_NEXT(reader->element) == GST_STATE_PAUSED;
    GST_OBJECT_UNLOCK(reader->element);
    return pausing;
}

GstFlowReturn gst_cuframes_reader_ended(GstCuframesReader *reader, int error)
{
    if (error == CUFRAMES_ERR_DISCONNECTED) {
        GST_INFO_OBJECT(reader->element, "%s", cuframes_last_error());
        return GST_FLOW_EOS;
    }
    if (error == CUFRAMES_ERR_EVICTED && reader->settings.reconnect) {
        GST_ELEMENT_WARNING(reader->element, RESOURCE, READ, ("%s", cuframes_last_error()), (NULL));
        return GST_FLOW_OK;
    }
    gst_cuframes_report_error(reader->element, error, GST_RESOURCE_ERROR_READ);
    return GST_FLOW_ERROR;
}
