/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The properties of cuframessrc, and its URI.
 */
#include "src_private.h"

#define URI_SCHEME "cuframes"

enum {
    PROP_0,
    PROP_KEY,
    PROP_CONSUMER_NAME,
    PROP_RUNTIME_DIR,
    PROP_MODE,
    PROP_MEMORY,
    PROP_WHEN_FULL,
    PROP_RECONNECT,
    PROP_TIMEOUT,
    PROP_FRAME_TIMEOUT,
    PROP_MAX_HOLDS,
    PROP_MAX_FPS,
    PROP_FD,
    PROP_STATS,
};

static GType mode_type(void)
{
    static GType type;
    static const GEnumValue values[] = {
        {GST_CUFRAMES_SRC_NEWEST, "The newest frame each time, older ones are left out", "newest"},
        {GST_CUFRAMES_SRC_ORDER, "Every frame in order", "order"},
        {0},
    };

    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstCuframesSrcMode", values));
    return type;
}

static GType memory_type(void)
{
    static GType type;
    static const GEnumValue values[] = {
        {GST_CUFRAMES_SRC_MEMORY_AUTO, "Host memory in place; a channel in GPU memory is refused",
         "auto"},
        {GST_CUFRAMES_SRC_MEMORY_HOST,
         "Host memory; frames of a channel in GPU memory are copied to it", "host"},
        {0},
    };

    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstCuframesSrcMemory", values));
    return type;
}

static GType when_full_type(void)
{
    static GType type;
    static const GEnumValue values[] = {
        {GST_CUFRAMES_SRC_COPY, "Copy the frame, and give it back at once", "copy"},
        {GST_CUFRAMES_SRC_WAIT, "Wait until the pipeline lets go of a buffer", "wait"},
        {0},
    };

    if (g_once_init_enter(&type))
        g_once_init_leave(&type, g_enum_register_static("GstCuframesSrcWhenFull", values));
    return type;
}

static void take_string(gchar **place, const GValue *value)
{
    g_free(*place);
    *place = g_value_dup_string(value);
    if (*place && !**place)
        g_clear_pointer(place, g_free);
}

static void gst_cuframes_src_set_property(GObject *object, guint id, const GValue *value,
                                          GParamSpec *spec)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(object);

    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_KEY:
        take_string(&self->key, value);
        break;
    case PROP_CONSUMER_NAME:
        take_string(&self->consumer_name, value);
        break;
    case PROP_RUNTIME_DIR:
        take_string(&self->runtime_dir, value);
        break;
    case PROP_MODE:
        self->mode = g_value_get_enum(value);
        break;
    case PROP_MEMORY:
        self->memory = g_value_get_enum(value);
        break;
    case PROP_WHEN_FULL:
        self->when_full = g_value_get_enum(value);
        break;
    case PROP_RECONNECT:
        self->reconnect = g_value_get_boolean(value);
        break;
    case PROP_TIMEOUT:
        self->timeout_ms = g_value_get_int(value);
        break;
    case PROP_FRAME_TIMEOUT:
        self->frame_timeout_ms = g_value_get_uint(value);
        break;
    case PROP_MAX_HOLDS:
        self->max_holds = g_value_get_uint(value);
        break;
    case PROP_MAX_FPS:
        self->max_fps = g_value_get_float(value);
        break;
    case PROP_FD:
        self->fd = g_value_get_int(value);
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(self);
}

/* Called with the object lock. */
static GstStructure *statistics(GstCuframesSrc *self)
{
    cuframes_subscriber_stats_t stats = {0};

    if (self->reader.subscriber)
        cuframes_subscriber_stats(self->reader.subscriber, &stats);
    return gst_structure_new(
        "application/x-cuframes-src-stats", "delivered", G_TYPE_UINT64, self->delivered, "copied",
        G_TYPE_UINT64, self->copied, "received", G_TYPE_UINT64, stats.received, "missed",
        G_TYPE_UINT64, stats.missed, "skipped", G_TYPE_UINT64, stats.skipped, "reconnects",
        G_TYPE_UINT64, stats.reconnects, "generations", G_TYPE_UINT64, stats.generations, "held",
        G_TYPE_UINT, stats.held, "max-holds", G_TYPE_UINT, stats.max_holds, "publisher-dropped",
        G_TYPE_UINT64, stats.publisher_dropped, NULL);
}

static void gst_cuframes_src_get_property(GObject *object, guint id, GValue *value,
                                          GParamSpec *spec)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(object);

    GST_OBJECT_LOCK(self);
    switch (id) {
    case PROP_KEY:
        g_value_set_string(value, self->key);
        break;
    case PROP_CONSUMER_NAME:
        g_value_set_string(value, self->consumer_name);
        break;
    case PROP_RUNTIME_DIR:
        g_value_set_string(value, self->runtime_dir);
        break;
    case PROP_MODE:
        g_value_set_enum(value, self->mode);
        break;
    case PROP_MEMORY:
        g_value_set_enum(value, self->memory);
        break;
    case PROP_WHEN_FULL:
        g_value_set_enum(value, self->when_full);
        break;
    case PROP_RECONNECT:
        g_value_set_boolean(value, self->reconnect);
        break;
    case PROP_TIMEOUT:
        g_value_set_int(value, self->timeout_ms);
        break;
    case PROP_FRAME_TIMEOUT:
        g_value_set_uint(value, self->frame_timeout_ms);
        break;
    case PROP_MAX_HOLDS:
        g_value_set_uint(value, self->max_holds);
        break;
    case PROP_MAX_FPS:
        g_value_set_float(value, self->max_fps);
        break;
    case PROP_FD:
        g_value_set_int(value, self->fd);
        break;
    case PROP_STATS:
        g_value_take_boxed(value, statistics(self));
        break;
    default:
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, id, spec);
    }
    GST_OBJECT_UNLOCK(self);
}

void gst_cuframes_src_install_properties(GObjectClass *class)
{
    const GParamFlags flags = G_PARAM_READWRITE | G_PARAM_STATIC_STRINGS | GST_PARAM_MUTABLE_READY;

    class->set_property = gst_cuframes_src_set_property;
    class->get_property = gst_cuframes_src_get_property;
    g_object_class_install_property(
        class, PROP_KEY,
        g_param_spec_string("key", "Key", "Key of the channel to read", NULL, flags));
    g_object_class_install_property(
        class, PROP_CONSUMER_NAME,
        g_param_spec_string("consumer-name", "Consumer name",
                            "Name by which the publisher knows this reader, unique in the channel; "
                            "made up if not set",
                            NULL, flags));
    g_object_class_install_property(
        class, PROP_RUNTIME_DIR,
        g_param_spec_string(
            "runtime-dir", "Runtime directory",
            "Directory with the channels' sockets; the library's default if not set", NULL, flags));
    g_object_class_install_property(class, PROP_MODE,
                                    g_param_spec_enum("mode", "Mode", "Which frames to read",
                                                      mode_type(), GST_CUFRAMES_SRC_NEWEST, flags));
    g_object_class_install_property(class, PROP_MEMORY,
                                    g_param_spec_enum("memory", "Memory",
                                                      "Where the frames are to be", memory_type(),
                                                      GST_CUFRAMES_SRC_MEMORY_AUTO, flags));
    g_object_class_install_property(
        class, PROP_WHEN_FULL,
        g_param_spec_enum("when-full", "When full",
                          "What to do when the pipeline keeps as many buffers as this reader may "
                          "hold frames",
                          when_full_type(), GST_CUFRAMES_SRC_COPY, flags));
    g_object_class_install_property(
        class, PROP_RECONNECT,
        g_param_spec_boolean("reconnect", "Reconnect",
                             "When the publisher goes, wait for the next one; otherwise the stream "
                             "ends (EOS)",
                             FALSE, flags));
    g_object_class_install_property(
        class, PROP_TIMEOUT,
        g_param_spec_int("timeout", "Timeout",
                         "How long to wait for the channel at the start, milliseconds; -1 = for "
                         "ever",
                         -1, G_MAXINT, GST_CUFRAMES_SRC_DEFAULT_TIMEOUT_MS, flags));
    g_object_class_install_property(
        class, PROP_FRAME_TIMEOUT,
        g_param_spec_uint("frame-timeout", "Frame timeout",
                          "Fail when no frame comes for so long, milliseconds; 0 = never", 0,
                          G_MAXINT, 0, flags));
    g_object_class_install_property(
        class, PROP_MAX_HOLDS,
        g_param_spec_uint("max-holds", "Most holds",
                          "Frames to hold at most, that is buffers without a copy in the pipeline "
                          "and one more; 0 = what the channel grants, at most 4",
                          0, CUFRAMES_MAX_SLOTS - 1, 0, flags));
    g_object_class_install_property(
        class, PROP_MAX_FPS,
        g_param_spec_float("max-fps", "Most frames a second",
                           "Leave out frames beyond this rate; 0 = none", 0, 100000, 0, flags));
    g_object_class_install_property(
        class, PROP_FD,
        g_param_spec_int("fd", "Descriptor",
                         "A connected socket whose other end a publisher serves, instead of a key; "
                         "the element closes it; -1 = none",
                         -1, G_MAXINT, -1, flags));
    g_object_class_install_property(
        class, PROP_STATS,
        g_param_spec_boxed("stats", "Statistics", "What this reader has counted",
                           GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
    gst_type_mark_as_plugin_api(mode_type(), 0);
    gst_type_mark_as_plugin_api(memory_type(), 0);
    gst_type_mark_as_plugin_api(when_full_type(), 0);
}

/* ---- cuframes://KEY ---- */

static GstURIType uri_type(GType type)
{
    return GST_URI_SRC;
}

static const gchar *const *uri_protocols(GType type)
{
    static const gchar *const protocols[] = {URI_SCHEME, NULL};

    return protocols;
}

static gchar *uri_get(GstURIHandler *handler)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(handler);
    gchar *uri;

    GST_OBJECT_LOCK(self);
    uri = self->key ? g_strdup_printf(URI_SCHEME "://%s", self->key) : NULL;
    GST_OBJECT_UNLOCK(self);
    return uri;
}

static gboolean uri_set(GstURIHandler *handler, const gchar *uri, GError **error)
{
    const gchar *key = uri + strlen(URI_SCHEME "://");

    if (!g_str_has_prefix(uri, URI_SCHEME "://") || cuframes_check_key(key) != CUFRAMES_OK) {
        g_set_error(error, GST_URI_ERROR, GST_URI_ERROR_BAD_URI,
                    "\"%s\" is not " URI_SCHEME "://KEY with a key of 1 to %d characters of "
                    "A-Z a-z 0-9 _ -",
                    uri, CUFRAMES_KEY_MAX);
        return FALSE;
    }
    g_object_set(handler, "key", key, NULL);
    return TRUE;
}

void gst_cuframes_src_uri_handler_init(gpointer iface, gpointer data)
{
    GstURIHandlerInterface *handler = iface;

    handler->get_type = uri_type;
    handler->get_protocols = uri_protocols;
    handler->get_uri = uri_get;
    handler->set_uri = uri_set;
}
