/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stream.h"

#include <gst/pbutils/codec-utils.h>

#define UNKNOWN (-99) /* of profile and level */

/* FFmpeg's AVCodecID. */
enum { ID_H264 = 27, ID_HEVC = 173, ID_AV1 = 226, ID_AAC = 86018, ID_OPUS = 86076 };

/* ---- to caps ---- */

static void set_codec_data(GstStructure *structure, const cuframes_stream_t *stream)
{
    GstBuffer *data;

    if (stream->extradata_size == 0)
        return;
    data = gst_buffer_new_memdup(stream->extradata, stream->extradata_size);
    gst_structure_set(structure, "codec_data", GST_TYPE_BUFFER, data, NULL);
    gst_buffer_unref(data);
}

static void set_video(GstStructure *structure, const cuframes_stream_t *stream)
{
    if (stream->width > 0 && stream->height > 0)
        gst_structure_set(structure, "width", G_TYPE_INT, stream->width, "height", G_TYPE_INT,
                          stream->height, NULL);
    if (stream->fps_num > 0 && stream->fps_den > 0)
        gst_structure_set(structure, "framerate", GST_TYPE_FRACTION, stream->fps_num,
                          stream->fps_den, NULL);
    if (stream->sar_num > 0 && stream->sar_den > 0)
        gst_structure_set(structure, "pixel-aspect-ratio", GST_TYPE_FRACTION, stream->sar_num,
                          stream->sar_den, NULL);
}

static GstCaps *nal_caps(const cuframes_stream_t *stream, const gchar *media, const gchar *packed)
{
    gboolean length = stream->packaging == CUFRAMES_PACKAGING_LENGTH;
    GstCaps *caps =
        gst_caps_new_simple(media, "stream-format", G_TYPE_STRING, length ? packed : "byte-stream",
                            "alignment", G_TYPE_STRING, "au", NULL);
    GstStructure *structure = gst_caps_get_structure(caps, 0);

    /* Parameters in Annex B form are in the stream too, where parsers find them. */
    if (length)
        set_codec_data(structure, stream);
    set_video(structure, stream);
    return caps;
}

static GstCaps *av1_caps(const cuframes_stream_t *stream)
{
    GstCaps *caps = gst_caps_new_simple("video/x-av1", "stream-format", G_TYPE_STRING, "obu-stream",
                                        "alignment", G_TYPE_STRING, "tu", NULL);
    GstStructure *structure = gst_caps_get_structure(caps, 0);

    set_codec_data(structure, stream);
    set_video(structure, stream);
    return caps;
}

static void set_audio(GstStructure *structure, const cuframes_stream_t *stream)
{
    if (stream->sample_rate > 0)
        gst_structure_set(structure, "rate", G_TYPE_INT, stream->sample_rate, NULL);
    if (stream->channels > 0)
        gst_structure_set(structure, "channels", G_TYPE_INT, stream->channels, NULL);
}

static GstCaps *aac_caps(const cuframes_stream_t *stream)
{
    gboolean raw = stream->extradata_size > 0;
    GstCaps *caps = gst_caps_new_simple("audio/mpeg", "mpegversion", G_TYPE_INT, 4, "stream-format",
                                        G_TYPE_STRING, raw ? "raw" : "adts", "framed",
                                        G_TYPE_BOOLEAN, TRUE, NULL);
    GstStructure *structure = gst_caps_get_structure(caps, 0);

    set_codec_data(structure, stream);
    if (raw)
        gst_codec_utils_aac_caps_set_level_and_profile(caps, stream->extradata,
                                                       stream->extradata_size);
    set_audio(structure, stream);
    return caps;
}

static GstCaps *opus_caps(const cuframes_stream_t *stream)
{
    GstCaps *caps = NULL;

    if (stream->extradata_size > 0) {
        GstBuffer *header = gst_buffer_new_memdup(stream->extradata, stream->extradata_size);

        caps = gst_codec_utils_opus_create_caps_from_header(header, NULL);
        gst_buffer_unref(header);
    }
    if (!caps)
        caps = gst_codec_utils_opus_create_caps(
            stream->sample_rate > 0 ? (guint)stream->sample_rate : 48000,
            stream->channels > 0 ? (guint8)stream->channels : 2, 0, 0, 0, NULL);
    return caps;
}

GstCaps *gst_cuframes_stream_to_caps(const cuframes_stream_t *stream)
{
    switch (stream->codec_id) {
    case ID_H264:
        return nal_caps(stream, "video/x-h264", "avc");
    case ID_HEVC:
        return nal_caps(stream, "video/x-h265", "hvc1");
    case ID_AV1:
        return av1_caps(stream);
    case ID_AAC:
        return aac_caps(stream);
    case ID_OPUS:
        return opus_caps(stream);
    default:
        return NULL;
    }
}

/* ---- from caps ---- */

static void take_extradata(GstCuframesStream *made, GstBuffer *buffer)
{
    if (!buffer || gst_buffer_get_size(buffer) > CUFRAMES_MAX_EXTRADATA ||
        !gst_buffer_map(buffer, &made->map, GST_MAP_READ))
        return;
    made->extradata = gst_buffer_ref(buffer);
    made->stream.extradata = made->map.data;
    made->stream.extradata_size = (guint32)made->map.size;
}

static void take_codec_data(const GstStructure *structure, GstCuframesStream *made)
{
    const GValue *value = gst_structure_get_value(structure, "codec_data");

    if (value && GST_VALUE_HOLDS_BUFFER(value))
        take_extradata(made, gst_value_get_buffer(value));
}

static void take_opus_header(GstCaps *caps, GstCuframesStream *made)
{
    guint8 channels, family, streams, coupled, mapping[256];
    guint32 rate;
    GstBuffer *header;

    if (!gst_codec_utils_opus_parse_caps(caps, &rate, &channels, &family, &streams, &coupled,
                                         mapping))
        return;
    header =
        gst_codec_utils_opus_create_header(rate, channels, family, streams, coupled, mapping, 0, 0);
    take_extradata(made, header);
    gst_clear_buffer(&header);
}

static void describe_codec(GstCuframesStream *made, cuframes_stream_type_t type, guint32 id,
                           const gchar *name)
{
    made->stream.type = type;
    made->stream.codec_id = id;
    g_strlcpy(made->stream.codec_name, name, sizeof(made->stream.codec_name));
}

static void take_video(const GstStructure *structure, cuframes_stream_t *stream)
{
    gst_structure_get_int(structure, "width", &stream->width);
    gst_structure_get_int(structure, "height", &stream->height);
    gst_structure_get_fraction(structure, "framerate", &stream->fps_num, &stream->fps_den);
    gst_structure_get_fraction(structure, "pixel-aspect-ratio", &stream->sar_num, &stream->sar_den);
    if (stream->fps_num <= 0 || stream->fps_den <= 0)
        stream->fps_num = stream->fps_den = 0;
}

static void take_packaging(const GstStructure *structure, cuframes_stream_t *stream)
{
    const gchar *format = gst_structure_get_string(structure, "stream-format");

    stream->packaging = g_strcmp0(format, "byte-stream") == 0 ? CUFRAMES_PACKAGING_ANNEX_B
                                                              : CUFRAMES_PACKAGING_LENGTH;
}

static gboolean identify(const GstStructure *structure, GstCuframesStream *made)
{
    if (gst_structure_has_name(structure, "video/x-h264"))
        describe_codec(made, CUFRAMES_STREAM_VIDEO, ID_H264, "h264");
    else if (gst_structure_has_name(structure, "video/x-h265"))
        describe_codec(made, CUFRAMES_STREAM_VIDEO, ID_HEVC, "hevc");
    else if (gst_structure_has_name(structure, "video/x-av1"))
        describe_codec(made, CUFRAMES_STREAM_VIDEO, ID_AV1, "av1");
    else if (gst_structure_has_name(structure, "audio/mpeg"))
        describe_codec(made, CUFRAMES_STREAM_AUDIO, ID_AAC, "aac");
    else if (gst_structure_has_name(structure, "audio/x-opus"))
        describe_codec(made, CUFRAMES_STREAM_AUDIO, ID_OPUS, "opus");
    else
        return FALSE;
    return TRUE;
}

gboolean gst_cuframes_stream_from_caps(GstCaps *caps, GstCuframesStream *stream)
{
    const GstStructure *structure = gst_caps_get_structure(caps, 0);
    GstCuframesStream made = {.stream = {.profile = UNKNOWN, .level = UNKNOWN}};

    if (!identify(structure, &made))
        return FALSE;
    if (made.stream.codec_id == ID_H264 || made.stream.codec_id == ID_HEVC)
        take_packaging(structure, &made.stream);
    if (made.stream.type == CUFRAMES_STREAM_VIDEO) {
        take_video(structure, &made.stream);
    } else {
        gst_structure_get_int(structure, "rate", &made.stream.sample_rate);
        gst_structure_get_int(structure, "channels", &made.stream.channels);
    }
    if (made.stream.codec_id == ID_OPUS)
        take_opus_header(caps, &made);
    else
        take_codec_data(structure, &made);
    *stream = made;
    return TRUE;
}

void gst_cuframes_stream_clear(GstCuframesStream *stream)
{
    if (stream->extradata) {
        gst_buffer_unmap(stream->extradata, &stream->map);
        gst_buffer_unref(stream->extradata);
    }
    *stream = (GstCuframesStream){0};
}
