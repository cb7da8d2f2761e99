/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "properties.h"

/* The number of a property is the offset of its field. Offset 1 lies in the parent. */
#define STATS 1

static GQuark statistics_quark(void)
{
    return g_quark_from_static_string("gst-cuframes-statistics");
}

static GstStructure *make_statistics(GObject *object)
{
    GstCuframesStatistics make = g_type_get_qdata(G_OBJECT_TYPE(object), statistics_quark());

    return make(GST_ELEMENT(object));
}

static void take_string(gchar **field, const GValue *value)
{
    g_free(*field);
    *field = g_value_dup_string(value);
    if (*field && !**field)
        g_clear_pointer(field, g_free);
}

static void set_property(GObject *object, guint offset, const GValue *value, GParamSpec *spec)
{
    gpointer field = G_STRUCT_MEMBER_P(object, offset);

    GST_OBJECT_LOCK(object);
    if (G_IS_PARAM_SPEC_STRING(spec))
        take_string(field, value);
    else if (G_IS_PARAM_SPEC_ENUM(spec))
        *(gint *)field = g_value_get_enum(value);
    else if (G_IS_PARAM_SPEC_INT(spec))
        *(gint *)field = g_value_get_int(value);
    else if (G_IS_PARAM_SPEC_UINT(spec))
        *(guint *)field = g_value_get_uint(value);
    else if (G_IS_PARAM_SPEC_BOOLEAN(spec))
        *(gboolean *)field = g_value_get_boolean(value);
    else if (G_IS_PARAM_SPEC_FLOAT(spec))
        *(gfloat *)field = g_value_get_float(value);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, offset, spec);
    GST_OBJECT_UNLOCK(object);
}

static void get_property(GObject *object, guint offset, GValue *value, GParamSpec *spec)
{
    gpointer field = G_STRUCT_MEMBER_P(object, offset);

    if (offset == STATS) {
        g_value_take_boxed(value, make_statistics(object));
        return;
    }
    GST_OBJECT_LOCK(object);
    if (G_IS_PARAM_SPEC_STRING(spec))
        g_value_set_string(value, *(gchar **)field);
    else if (G_IS_PARAM_SPEC_ENUM(spec))
        g_value_set_enum(value, *(gint *)field);
    else if (G_IS_PARAM_SPEC_INT(spec))
        g_value_set_int(value, *(gint *)field);
    else if (G_IS_PARAM_SPEC_UINT(spec))
        g_value_set_uint(value, *(guint *)field);
    else if (G_IS_PARAM_SPEC_BOOLEAN(spec))
        g_value_set_boolean(value, *(gboolean *)field);
    else if (G_IS_PARAM_SPEC_FLOAT(spec))
        g_value_set_float(value, *(gfloat *)field);
    else
        G_OBJECT_WARN_INVALID_PROPERTY_ID(object, offset, spec);
    GST_OBJECT_UNLOCK(object);
}

void gst_cuframes_properties_init(GObjectClass *class, GstCuframesStatistics statistics)
{
    class->set_property = set_property;
    class->get_property = get_property;
    g_type_set_qdata(G_OBJECT_CLASS_TYPE(class), statistics_quark(), statistics);
    g_object_class_install_property(
        class, STATS,
        g_param_spec_boxed("stats", "Statistics", "What this element has counted",
                           GST_TYPE_STRUCTURE, G_PARAM_READABLE | G_PARAM_STATIC_STRINGS));
}

void gst_cuframes_property_install(GObjectClass *class, gsize offset, GParamSpec *spec)
{
    g_object_class_install_property(class, (guint)offset, spec);
}
