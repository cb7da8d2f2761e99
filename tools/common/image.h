/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PNG and JPEG files of 8-bit RGB pictures. `file` is borrowed and is not flushed. False: failed,
 * and `message` (a static or library text) says why.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct image {
    const uint8_t *rgb; /* rows of width * 3 bytes, top first */
    int width;
    int height;
};

#define IMAGE_MESSAGE_SIZE 200

/* `compression` is zlib's 0 to 9. */
bool image_write_png(FILE *file, const struct image *image, int compression,
                     char message[IMAGE_MESSAGE_SIZE]);
/* `quality` is 1 to 100. */
bool image_write_jpeg(FILE *file, const struct image *image, int quality,
                      char message[IMAGE_MESSAGE_SIZE]);
