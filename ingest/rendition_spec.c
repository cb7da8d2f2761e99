/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * NAME=WxH[@FPS][,format=F][,memory=host|cuda], word by word on a copy.
 */
#include "rendition_spec.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPEC_MAX 256
#define FPS_MAX  1000

struct reason {
    char *text;
    size_t size;
};

static bool wrong(struct reason why, const char *format, ...) CUFRAMES_PRINTF(2, 3);

static bool wrong(struct reason why, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why.text, why.size, format, args);
    va_end(args);
    return false;
}

static bool parse_name(const char *name, struct rendition_spec *spec, struct reason why)
{
    if (cuframes_check_key(name))
        return wrong(why, "the name \"%s\" cannot be a part of a key: %s", name,
                     cuframes_last_error());
    memcpy(spec->name, name, strlen(name) + 1); /* a key's limit is this one's */
    return true;
}

static bool parse_fps(const char *text, struct rendition_spec *spec, struct reason why)
{
    char *end;
    double fps = strtod(text, &end);

    if (end == text || *end || !isfinite(fps) || fps < 0.001 || fps > FPS_MAX)
        return wrong(why, "\"@%s\": give frames a second from 0.001 to %d", text, FPS_MAX);
    spec->max_fps = fps;
    return true;
}

static bool parse_size(char *text, struct rendition_spec *spec, struct reason why)
{
    char *fps = strchr(text, '@');
    int used = 0;

    if (fps)
        *fps++ = '\0';
    if (sscanf(text, "%6dx%6d%n", &spec->width, &spec->height, &used) != 2 || text[used] ||
        spec->width < 1 || spec->height < 1 || spec->width > CUFRAMES_MAX_DIMENSION ||
        spec->height > CUFRAMES_MAX_DIMENSION)
        return wrong(why, "\"%s\": give WIDTHxHEIGHT in pixels, each from 1 to %d", text,
                     CUFRAMES_MAX_DIMENSION);
    return !fps || parse_fps(fps, spec, why);
}

static bool parse_memory(const char *text, struct rendition_spec *spec, struct reason why)
{
    if (strcmp(text, "host") == 0)
        spec->memory = CUFRAMES_MEMORY_HOST;
    else if (strcmp(text, "cuda") == 0)
        spec->memory = CUFRAMES_MEMORY_CUDA;
    else
        return wrong(why, "\"memory=%s\": give host or cuda", text);
    return true;
}

static bool parse_property(const char *text, struct rendition_spec *spec, struct reason why)
{
    if (strncmp(text, "memory=", 7) == 0)
        return parse_memory(text + 7, spec, why);
    if (strncmp(text, "format=", 7) != 0)
        return wrong(why, "\"%s\": give format=F or memory=host|cuda", text);
    if (cuframes_format_from_name(text + 7, &spec->format))
        return wrong(why, "%s", cuframes_last_error());
    spec->format_given = true;
    return true;
}

bool rendition_spec_parse(const char *text, struct rendition_spec *spec, char *why_text,
                          size_t why_size)
{
    struct reason why = {why_text, why_size};
    char copy[SPEC_MAX], *rest = NULL, *size, *word;

    *spec = (struct rendition_spec){.memory = CUFRAMES_MEMORY_AUTO};
    if (strlen(text) >= sizeof(copy))
        return wrong(why, "it is longer than %zu characters", sizeof(copy) - 1);
    memcpy(copy, text, strlen(text) + 1);
    size = strchr(copy, '=');
    if (!size)
        return wrong(why, "give NAME=WIDTHxHEIGHT");
    *size++ = '\0';
    word = strtok_r(size, ",", &rest);
    if (!parse_name(copy, spec, why) || !parse_size(word ? word : size, spec, why))
        return false;
    while ((word = strtok_r(NULL, ",", &rest)))
        if (!parse_property(word, spec, why))
            return false;
    return true;
}

bool rendition_spec_name(struct rendition_spec *spec, const char *key, char *why, size_t size)
{
    char whole[2 * CUFRAMES_KEY_MAX + 2];

    snprintf(whole, sizeof(whole), "%s-%s", key, spec->name);
    if (cuframes_check_key(whole))
        return wrong((struct reason){why, size}, "its channel would be called %s: %s", whole,
                     cuframes_last_error());
    memcpy(spec->key, whole, strlen(whole) + 1);
    return true;
}
