/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "report.h"

static GstResourceError code_of(int error, GstResourceError otherwise)
{
    switch (error) {
    case CUFRAMES_ERR_NOT_FOUND:
        return GST_RESOURCE_ERROR_NOT_FOUND;
    case CUFRAMES_ERR_PERMISSION:
        return GST_RESOURCE_ERROR_NOT_AUTHORIZED;
    case CUFRAMES_ERR_ALREADY_EXISTS:
    case CUFRAMES_ERR_TOO_MANY:
        return GST_RESOURCE_ERROR_BUSY;
    case CUFRAMES_ERR_INVALID_ARG:
        return GST_RESOURCE_ERROR_SETTINGS;
    default:
        return otherwise;
    }
}

static void post(GstElement *element, GstResourceError code, const gchar *sentence)
{
    gst_element_message_full(element, GST_MESSAGE_ERROR, GST_RESOURCE_ERROR, (gint)code,
                             g_strdup(sentence), NULL, __FILE__, GST_FUNCTION, __LINE__);
}

void gst_cuframes_report_error(GstElement *element, int error, GstResourceError otherwise)
{
    post(element, code_of(error, otherwise), cuframes_last_error());
}

gboolean gst_cuframes_report_key(GstElement *element, const gchar *key, const gchar *missing)
{
    if (key && cuframes_check_key(key) == CUFRAMES_OK)
        return TRUE;
    post(element, GST_RESOURCE_ERROR_SETTINGS, key ? cuframes_last_error() : missing);
    return FALSE;
}
