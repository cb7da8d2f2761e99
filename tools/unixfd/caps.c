/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Caps of raw video as text, as gst_caps_to_string() writes them and gst_caps_from_string() reads
 * them, and GStreamer's numbers, which are part of its ABI.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "unixfd/protocol.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    cuframes_format_t format;
    int32_t number;
    const char *name;
} formats[] = {
    {CUFRAMES_FORMAT_NV12, 23, "NV12"},      {CUFRAMES_FORMAT_YUV420P, 2, "I420"},
    {CUFRAMES_FORMAT_RGB, 15, "RGB"},        {CUFRAMES_FORMAT_BGR, 16, "BGR"},
    {CUFRAMES_FORMAT_RGBA, 11, "RGBA"},      {CUFRAMES_FORMAT_GRAYSCALE, 25, "GRAY8"},
    {CUFRAMES_FORMAT_P010, 62, "P010_10LE"}, {CUFRAMES_FORMAT_YUV444P, 20, "Y444"},
    {CUFRAMES_FORMAT_BGRA, 12, "BGRA"},      {CUFRAMES_FORMAT_GRAY16, 27, "GRAY16_LE"},
};

/* Of colorimetry: GStreamer's number at the place of H.273's code point, 0 = unknown. */
static const uint8_t matrices[] = {1, 3, 0, 0, 2, 4, 4, 5, 0, 6};
static const uint8_t transfers[] = {0, 5, 0, 0, 4, 8, 16, 6, 1, 9, 10, 0, 0, 7, 13, 11, 14, 0, 15};
static const uint8_t primaries[] = {0, 1, 0, 0, 2, 3, 4, 5, 6, 7, 9, 10, 11};

/* Names for the four numbers range:matrix:transfer:primaries. */
static const struct {
    const char *name;
    const char *numbers;
} colorimetries[] = {
    {"bt601", "2:4:16:4"},     {"bt709", "2:3:5:1"},       {"smpte240m", "2:5:6:5"},
    {"sRGB", "1:1:7:1"},       {"bt2020", "2:6:11:7"},     {"bt2020-10", "2:6:13:7"},
    {"bt2100-pq", "2:6:14:7"}, {"bt2100-hlg", "2:6:15:7"},
};

int32_t unixfd_format_number(cuframes_format_t format)
{
    for (size_t i = 0; i < COUNT(formats); i++)
        if (formats[i].format == format)
            return formats[i].number;
    return 0;
}

bool unixfd_format_from_number(int32_t number, cuframes_format_t *format)
{
    for (size_t i = 0; i < COUNT(formats); i++) {
        if (formats[i].number == number) {
            *format = formats[i].format;
            return true;
        }
    }
    return false;
}

static const char *format_name(cuframes_format_t format)
{
    for (size_t i = 0; i < COUNT(formats); i++)
        if (formats[i].format == format)
            return formats[i].name;
    return "";
}

static unsigned number_at(const uint8_t *table, size_t count, uint8_t code_point)
{
    return code_point < count ? table[code_point] : 0;
}

static void colorimetry_text(const cuframes_color_t *color, bool rgb, char *text, size_t size)
{
    const unsigned range = color->range == CUFRAMES_RANGE_FULL      ? 1
                           : color->range == CUFRAMES_RANGE_LIMITED ? 2
                                                                    : 0;
    /* 0 is "not said" here, and identity only for what is RGB. */
    const unsigned matrix =
        color->matrix || rgb ? number_at(matrices, COUNT(matrices), color->matrix) : 0;

    text[0] = '\0';
    if (range || (matrix && !rgb) || color->transfer || color->primaries)
        snprintf(text, size, ", colorimetry=(string)%u:%u:%u:%u", range, matrix,
                 number_at(transfers, COUNT(transfers), color->transfer),
                 number_at(primaries, COUNT(primaries), color->primaries));
}

static bool is_rgb(cuframes_format_t format)
{
    return format == CUFRAMES_FORMAT_RGB || format == CUFRAMES_FORMAT_BGR ||
           format == CUFRAMES_FORMAT_RGBA || format == CUFRAMES_FORMAT_BGRA;
}

void unixfd_caps_text(const struct unixfd_picture *picture, char *text, size_t size)
{
    const bool rate = picture->fps_num > 0 && picture->fps_den > 0;
    const bool shape = picture->sar_num > 0 && picture->sar_den > 0;
    char color[64];

    colorimetry_text(&picture->color, is_rgb(picture->format), color, sizeof(color));
    snprintf(text, size,
             "video/x-raw, format=(string)%s, width=(int)%" PRId32 ", height=(int)%" PRId32
             ", interlace-mode=(string)progressive, pixel-aspect-ratio=(fraction)%" PRId32
             "/%" PRId32 ", framerate=(fraction)%" PRId32 "/%" PRId32 "%s",
             format_name(picture->format), picture->width, picture->height,
             shape ? picture->sar_num : 1, shape ? picture->sar_den : 1,
             rate ? picture->fps_num : 0, rate ? picture->fps_den : 1, color);
}

/* ---- reading ---- */

/* Copies the value of `field` without its type and quotes. False: the caps do not have it. */
static bool field_value(const char *text, const char *field, char *value, size_t size)
{
    const size_t length = strlen(field);
    const char *at = text;
    size_t end;

    while ((at = strchr(at, ',')) != NULL) {
        at += 1 + strspn(at + 1, " ");
        if (!strncmp(at, field, length) && at[length] == '=')
            break;
    }
    if (!at)
        return false;
    at += length + 1;
    if (*at == '(') {
        at = strchr(at, ')');
        if (!at)
            return false;
        at++;
    }
    at += strspn(at, " \"");
    end = strcspn(at, ",;\"");
    if (end >= size)
        return false;
    memcpy(value, at, end);
    value[end] = '\0';
    return true;
}

static bool field_integer(const char *text, const char *field, int32_t *value)
{
    char word[32];
    char *end;
    long number;

    if (!field_value(text, field, word, sizeof(word)))
        return false;
    number = strtol(word, &end, 10);
    if (end == word || *end || number < 1 || number > CUFRAMES_MAX_DIMENSION)
        return false;
    *value = (int32_t)number;
    return true;
}

/* Leaves both at 0 when it is not said. */
static void field_fraction(const char *text, const char *field, int32_t *num, int32_t *den)
{
    char word[32];
    int n, d;

    if (field_value(text, field, word, sizeof(word)) && sscanf(word, "%d/%d", &n, &d) == 2 &&
        n > 0 && d > 0) {
        *num = n;
        *den = d;
    }
}

static uint8_t code_point_of(const uint8_t *table, size_t count, unsigned number)
{
    for (size_t i = 1; number && i < count; i++)
        if (table[i] == number)
            return (uint8_t)i;
    return 0;
}

static void parse_colorimetry(const char *text, cuframes_color_t *color)
{
    unsigned range, matrix, transfer, primary;
    char word[64];
    const char *numbers = word;

    if (!field_value(text, "colorimetry", word, sizeof(word)))
        return;
    for (size_t i = 0; i < COUNT(colorimetries); i++)
        if (!strcmp(word, colorimetries[i].name))
            numbers = colorimetries[i].numbers;
    if (sscanf(numbers, "%u:%u:%u:%u", &range, &matrix, &transfer, &primary) != 4)
        return;
    color->range = range == 1   ? CUFRAMES_RANGE_FULL
                   : range == 2 ? CUFRAMES_RANGE_LIMITED
                                : CUFRAMES_RANGE_UNSPECIFIED;
    color->matrix = code_point_of(matrices, COUNT(matrices), matrix);
    color->transfer = code_point_of(transfers, COUNT(transfers), transfer);
    color->primaries = code_point_of(primaries, COUNT(primaries), primary);
}

static bool parse_format(const char *text, cuframes_format_t *format)
{
    char word[32];

    if (!field_value(text, "format", word, sizeof(word)))
        return false;
    for (size_t i = 0; i < COUNT(formats); i++) {
        if (!strcmp(word, formats[i].name)) {
            *format = formats[i].format;
            return true;
        }
    }
    return false;
}

int unixfd_caps_parse(const char *text, struct unixfd_picture *picture, const char **why)
{
    struct unixfd_picture made = {0};

    if (strncmp(text, "video/x-raw", 11) != 0 || (text[11] != ',' && text[11] != '(')) {
        *why = "they are not raw video";
        return CUFRAMES_ERR_FORMAT;
    }
    if (text[11] == '(' && strncmp(text + 11, "(memory:SystemMemory)", 21) != 0) {
        *why = "their memory is not the host's";
        return CUFRAMES_ERR_FORMAT;
    }
    if (!parse_format(text, &made.format)) {
        *why = "their pixel format is none that a channel can have";
        return CUFRAMES_ERR_FORMAT;
    }
    if (!field_integer(text, "width", &made.width) ||
        !field_integer(text, "height", &made.height)) {
        *why = "they have no width and height that a channel can have";
        return CUFRAMES_ERR_FORMAT;
    }
    field_fraction(text, "framerate", &made.fps_num, &made.fps_den);
    field_fraction(text, "pixel-aspect-ratio", &made.sar_num, &made.sar_den);
    parse_colorimetry(text, &made.color);
    *picture = made;
    return CUFRAMES_OK;
}
