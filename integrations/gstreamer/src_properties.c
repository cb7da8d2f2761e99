/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The properties of cuframessrc, and its URI.
 */
#include "properties.h"
#include "src_private.h"

#define URI_SCHEME "cuframes"

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
        {GST_CUFRAMES_SRC_MEMORY_AUTO,
         "Where the frames are, if the elements behind name it in their caps; else host", "auto"},
        {GST_CUFRAMES_SRC_MEMORY_HOST,
         "Host memory; frames of a channel in GPU memory are copied to it", "host"},
        {GST_CUFRAMES_SRC_MEMORY_CUDA,
         "GPU memory (memory:CUDAMemory); frames in host memory are read in place", "cuda"},
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

static GstStructure *statistics(GstElement *element)
{
    GstCuframesSrc *self = GST_CUFRAMES_SRC(element);
    cuframes_subscriber_stats_t stats = {0};
    GstStructure *structure;

    GST_OBJECT_LOCK(self);
    if (self->reader.subscriber)
        cuframes_subscriber_stats(self->reader.subscriber, &stats);
    structure = gst_structure_new(
        "application/x-cuframes-src-stats", "delivered", G_TYPE_UINT64, self->delivered, "copied",
        G_TYPE_UINT64, self->copied, "received", G_TYPE_UINT64, stats.received, "missed",
        G_TYPE_UINT64, stats.missed, "skipped", G_TYPE_UINT64, stats.skipped, "reconnects",
        G_TYPE_UINT64, stats.reconnects, "generations", G_TYPE_UINT64, stats.generations, "held",
        G_TYPE_UINT, stats.held, "max-holds", G_TYPE_UINT, stats.max_holds, "publisher-dropped",
        G_TYPE_UINT64, stats.publisher_dropped, "staged", G_TYPE_UINT64, stats.staged, "access",
        G_TYPE_STRING, cuframes_access_name(stats.access), "memory", G_TYPE_STRING,
        self->in_gpu_memory ? "cuda" : "host", NULL);
    GST_OBJECT_UNLOCK(self);
    return structure;
}

#define FIELD(name) G_STRUCT_OFFSET(GstCuframesSrc, name)

static void install_choices(GObjectClass *class)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_property_install(class, FIELD(mode),
                                  g_param_spec_enum("mode", "Mode", "Which frames to read",
                                                    mode_type(), GST_CUFRAMES_SRC_NEWEST, flags));
    gst_cuframes_property_install(class, FIELD(memory),
                                  g_param_spec_enum("memory", "Memory",
                                                    "Where the frames are to be", memory_type(),
                                                    GST_CUFRAMES_SRC_MEMORY_AUTO, flags));
    gst_cuframes_property_install(
        class, FIELD(when_full),
        g_param_spec_enum("when-full", "When full",
                          "What to do when the pipeline keeps as many buffers as this reader may "
                          "hold frames",
                          when_full_type(), GST_CUFRAMES_SRC_COPY, flags));
    gst_type_mark_as_plugin_api(mode_type(), 0);
    gst_type_mark_as_plugin_api(memory_type(), 0);
    gst_type_mark_as_plugin_api(when_full_type(), 0);
}

void gst_cuframes_src_install_properties(GObjectClass *class)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_properties_init(class, statistics);
    gst_cuframes_reader_install(class, FIELD(reader));
    gst_cuframes_cuda_install(class, FIELD(cuda));
    install_choices(class);
    gst_cuframes_property_install(
        class, FIELD(frame_timeout_ms),
        g_param_spec_uint("frame-timeout", "Frame timeout",
                          "Fail when no frame comes for so long, milliseconds; 0 = never", 0,
                          G_MAXINT, 0, flags));
    gst_cuframes_property_install(
        class, FIELD(max_holds),
        g_param_spec_uint("max-holds", "Most holds",
                          "Frames to hold at most, that is buffers without a copy in the pipeline "
                          "and one more; 0 = what the channel grants, at most 4",
                          0, CUFRAMES_MAX_SLOTS - 1, 0, flags));
    gst_cuframes_property_install(
        class, FIELD(max_fps),
        g_param_spec_float("max-fps", "Most frames a second",
                           "Leave out frames beyond this rate, frames a second; 0 = "
                           "none",
                           0, 100000, 0, flags));
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
    const gchar *key;
    gchar *uri;

    GST_OBJECT_LOCK(self);
    key = self->reader.settings.key;
    uri = key ? g_strdup_printf(URI_SCHEME "://%s", key) : NULL;
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
