/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "meta.h"

static const gchar *const sources[] = {
    [CUFRAMES_CLOCK_RECEIVED] = "received", [CUFRAMES_CLOCK_CAMERA] = "camera",
    [CUFRAMES_CLOCK_DEVICE] = "device",     [CUFRAMES_CLOCK_APPLICATION] = "application",
    [CUFRAMES_CLOCK_FILE] = "file",
};

void gst_cuframes_meta_register(void)
{
    static const gchar *no_tags[] = {NULL};

    if (!gst_meta_get_info(GST_CUFRAMES_META_NAME))
        gst_meta_register_custom(GST_CUFRAMES_META_NAME, no_tags, NULL, NULL, NULL);
}

GstCaps *gst_cuframes_unix_time_caps(void)
{
    static GstStaticCaps caps = GST_STATIC_CAPS("timestamp/x-unix");
    static GstCaps *made;

    if (g_once_init_enter(&made))
        g_once_init_leave(&made, gst_static_caps_get(&caps));
    return made;
}

static void attach_data(GstStructure *structure, const cuframes_frame_t *frame)
{
    gsize size;
    const void *bytes = cuframes_frame_user_data(frame, &size);
    GstBuffer *data;

    if (!bytes)
        return;
    data = gst_buffer_new_memdup(bytes, size);
    gst_structure_set(structure, "data", GST_TYPE_BUFFER, data, NULL);
    gst_buffer_unref(data);
}

void gst_cuframes_meta_attach(GstBuffer *buffer, const cuframes_frame_t *frame)
{
    GstCustomMeta *custom = gst_buffer_add_custom_meta(buffer, GST_CUFRAMES_META_NAME);
    GstStructure *structure = gst_custom_meta_get_structure(custom);
    cuframes_clock_source_t source;
    gint64 capture_ns = cuframes_frame_capture_ns(frame, &source);

    gst_structure_set(structure, "seq", G_TYPE_UINT64, cuframes_frame_seq(frame), "generation",
                      G_TYPE_UINT, cuframes_frame_generation(frame), "missed", G_TYPE_UINT64,
                      cuframes_frame_missed(frame), "published", G_TYPE_UINT64,
                      (guint64)cuframes_frame_published_ns(frame), NULL);
    if (capture_ns != CUFRAMES_NO_TIME && capture_ns >= 0) {
        if (source < G_N_ELEMENTS(sources) && sources[source])
            gst_structure_set(structure, "capture-source", G_TYPE_STRING, sources[source], NULL);
        gst_buffer_add_reference_timestamp_meta(buffer, gst_cuframes_unix_time_caps(),
                                                (GstClockTime)capture_ns, GST_CLOCK_TIME_NONE);
    }
    attach_data(structure, frame);
}

static cuframes_clock_source_t source_named(const gchar *name)
{
    for (guint i = 0; name && i < G_N_ELEMENTS(sources); i++)
        if (sources[i] && g_str_equal(name, sources[i]))
            return (cuframes_clock_source_t)i;
    return CUFRAMES_CLOCK_APPLICATION;
}

static gboolean read_data(const GstStructure *structure, cuframes_frame_meta_t *meta,
                          GstCuframesMetaMap *map)
{
    GstBuffer *data;

    if (!gst_structure_get(structure, "data", GST_TYPE_BUFFER, &data, NULL) || !data)
        return TRUE;
    if (gst_buffer_get_size(data) > CUFRAMES_MAX_USER_DATA ||
        !gst_buffer_map(data, &map->map, GST_MAP_READ)) {
        gst_buffer_unref(data);
        return FALSE;
    }
    map->data = data;
    meta->user_data = map->map.data;
    meta->user_size = (guint32)map->map.size;
    return TRUE;
}

gboolean gst_cuframes_meta_read(GstBuffer *buffer, cuframes_frame_meta_t *meta,
                                GstCuframesMetaMap *map)
{
    GstReferenceTimestampMeta *time =
        gst_buffer_get_reference_timestamp_meta(buffer, gst_cuframes_unix_time_caps());
    GstCustomMeta *custom = gst_buffer_get_custom_meta(buffer, GST_CUFRAMES_META_NAME);
    const GstStructure *structure = custom ? gst_custom_meta_get_structure(custom) : NULL;

    map->data = NULL;
    meta->capture_ns = CUFRAMES_NO_TIME;
    if (time && time->timestamp <= G_MAXINT64) {
        meta->capture_ns = (gint64)time->timestamp;
        meta->capture_source =
            source_named(structure ? gst_structure_get_string(structure, "capture-source") : NULL);
    }
    return !structure || read_data(structure, meta, map);
}

void gst_cuframes_meta_unmap(GstCuframesMetaMap *map)
{
    if (!map->data)
        return;
    gst_buffer_unmap(map->data, &map->map);
    gst_buffer_unref(map->data);
    map->data = NULL;
}
