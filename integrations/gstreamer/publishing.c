/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "publishing.h"

#include "properties.h"

#define FIELD(name) (offset + G_STRUCT_OFFSET(GstCuframesPublishing, name))

void gst_cuframes_publishing_install(GObjectClass *class, gsize offset)
{
    const GParamFlags flags = GST_CUFRAMES_PROPERTY_FLAGS;

    gst_cuframes_property_install(
        class, FIELD(key),
        g_param_spec_string("key", "Key", "Key of the channel to publish", NULL, flags));
    gst_cuframes_property_install(
        class, FIELD(runtime_dir),
        g_param_spec_string("runtime-dir", "Runtime directory",
                            "Directory for the channel's socket; the library's default if not set",
                            NULL, flags));
    gst_cuframes_property_install(
        class, FIELD(socket_mode),
        g_param_spec_uint("socket-mode", "Socket mode",
                          "Permission bits of the socket (0660 is octal); 0 = 0600", 0, 0777, 0,
                          flags));
    gst_cuframes_property_install(
        class, FIELD(socket_group),
        g_param_spec_string("socket-group", "Socket group",
                            "Name or number of the socket's group; the process's if not set", NULL,
                            flags));
    gst_cuframes_property_install(
        class, FIELD(max_subscribers),
        g_param_spec_int("max-subscribers", "Most subscribers", "Most readers at a time", 1,
                         CUFRAMES_MAX_SUBSCRIBERS, CUFRAMES_MAX_SUBSCRIBERS, flags));
}

void gst_cuframes_publishing_init(GstCuframesPublishing *publishing)
{
    *publishing = (GstCuframesPublishing){.max_subscribers = CUFRAMES_MAX_SUBSCRIBERS};
}

void gst_cuframes_publishing_clear(GstCuframesPublishing *publishing)
{
    g_free(publishing->key);
    g_free(publishing->runtime_dir);
    g_free(publishing->socket_group);
}

GstCuframesPublishing gst_cuframes_publishing_copy(const GstCuframesPublishing *publishing)
{
    GstCuframesPublishing copy = *publishing;

    copy.key = g_strdup(copy.key);
    copy.runtime_dir = g_strdup(copy.runtime_dir);
    copy.socket_group = g_strdup(copy.socket_group);
    return copy;
}

void gst_cuframes_publishing_configure(const GstCuframesPublishing *publishing,
                                       cuframes_publisher_config_t *config)
{
    config->key = publishing->key;
    config->runtime_dir = publishing->runtime_dir;
    config->socket_group = publishing->socket_group;
    config->socket_mode = publishing->socket_mode;
    config->max_subscribers = publishing->max_subscribers;
}
