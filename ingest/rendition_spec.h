/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What one --output asks for: a further channel, of its own size, from the same decoder. Pure
 * functions.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <cuframes/cuframes.h>

#define RENDITION_NAME_MAX CUFRAMES_KEY_MAX

struct rendition_spec {
    char name[RENDITION_NAME_MAX + 1];
    char key[CUFRAMES_KEY_MAX + 1]; /* the channel's: KEY-NAME; "" before rendition_spec_name() */
    int32_t width, height;
    double max_fps; /* 0 = all */
    bool format_given;
    cuframes_format_t format;
    cuframes_memory_t memory;
};

/*
 * Reads NAME=WxH[@FPS][,format=F][,memory=host|cuda]. On failure `why` says what is wrong, and
 * `spec` is not to be used.
 */
bool rendition_spec_parse(const char *text, struct rendition_spec *spec, char *why, size_t size);

/* Makes the channel's key of the input's. On failure `why` says what is wrong. */
bool rendition_spec_name(struct rendition_spec *spec, const char *key, char *why, size_t size);
