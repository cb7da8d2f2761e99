/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What gst-inspect-1.0 shows of the elements: each has its texts, and each property says what it is,
 * in which unit.
 */
#include <string.h>

#include "elements.h"

/* Every property of ours that is a number, and how its text says the unit. */
static const struct {
    const char *property, *unit;
} units[] = {
    {"ack-timeout", "milliseconds"}, {"cuda-device-id", "by CUDA's number"},
    {"fd", "connected socket"},      {"frame-timeout", "milliseconds"},
    {"keep", "milliseconds"},        {"max-fps", "frames a second"},
    {"max-holds", "rames"},          {"max-subscribers", "readers"},
    {"pre-roll", "milliseconds"},    {"slots", "Frames"},
    {"socket-mode", "octal"},        {"stream", "Number"},
    {"timeout", "milliseconds"},
};

static bool is_number(const GParamSpec *spec)
{
    return G_IS_PARAM_SPEC_INT(spec) || G_IS_PARAM_SPEC_UINT(spec) || G_IS_PARAM_SPEC_INT64(spec) ||
           G_IS_PARAM_SPEC_UINT64(spec) || G_IS_PARAM_SPEC_FLOAT(spec) ||
           G_IS_PARAM_SPEC_DOUBLE(spec);
}

static bool says_unit(GParamSpec *spec)
{
    for (gsize i = 0; i < G_N_ELEMENTS(units); i++)
        if (!strcmp(units[i].property, spec->name))
            return strstr(g_param_spec_get_blurb(spec), units[i].unit) != NULL;
    return false;
}

static void check_choices(GParamSpec *spec)
{
    const GEnumClass *class = G_PARAM_SPEC_ENUM(spec)->enum_class;

    for (guint i = 0; i < class->n_values; i++) {
        CHECK(*class->values[i].value_nick);
        CHECK_GT(strlen(class->values[i].value_name), strlen(class->values[i].value_nick));
    }
}

static void check_property(GParamSpec *spec)
{
    const char *nick = g_param_spec_get_nick(spec), *blurb = g_param_spec_get_blurb(spec);

    if (!nick || !strcmp(nick, spec->name) || !blurb || strlen(blurb) < 8)
        g_error("%s has no text", spec->name);
    if (is_number(spec) && !says_unit(spec))
        g_error("%s does not say its unit", spec->name);
    if (G_IS_PARAM_SPEC_ENUM(spec))
        check_choices(spec);
}

static void check_element(const char *name)
{
    static const char *const texts[] = {GST_ELEMENT_METADATA_LONGNAME, GST_ELEMENT_METADATA_KLASS,
                                        GST_ELEMENT_METADATA_DESCRIPTION,
                                        GST_ELEMENT_METADATA_AUTHOR};
    GstElement *element = gst_element_factory_make(name, NULL);
    GstElementClass *class;
    GParamSpec **specs;
    guint count, ours = 0;

    CHECK(element);
    class = GST_ELEMENT_GET_CLASS(element);
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        CHECK_GT(strlen(gst_element_class_get_metadata(class, texts[i])), 4U);
    specs = g_object_class_list_properties(G_OBJECT_CLASS(class), &count);
    for (guint i = 0; i < count; i++) {
        if (specs[i]->owner_type != G_OBJECT_TYPE(element))
            continue;
        check_property(specs[i]);
        ours++;
    }
    CHECK_GT(ours, 5U);
    g_free(specs);
    gst_object_unref(element);
}

ELEMENT_TEST(texts_are_complete)
{
    check_element("cuframessrc");
    check_element("cuframessink");
    check_element("cuframespacketsrc");
    check_element("cuframespacketsink");
    gst_deinit();
}
