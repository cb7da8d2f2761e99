/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both libraries report errors by a callback that must not return, so both are left by longjmp;
 * the functions that set the jump up keep no locals that change.
 */
#include "common/image.h"

#include <jpeglib.h>
#include <png.h>
#include <setjmp.h>

static void png_failed(png_structp png, png_const_charp text)
{
    snprintf(png_get_error_ptr(png), IMAGE_MESSAGE_SIZE, "%s", text);
    png_longjmp(png, 1);
}

static void png_warned(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void png_rows(png_structp png, png_infop info, const struct image *image, int compression)
{
    png_set_compression_level(png, compression);
    /* One cheap filter for all rows: choosing for each row costs more time than it saves space. */
    png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_SUB);
    png_set_IHDR(png, info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
                 PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < image->height; y++)
        png_write_row(png, image->rgb + (size_t)y * (size_t)image->width * 3);
    png_write_end(png, NULL);
}

bool image_write_png(FILE *file, const struct image *image, int compression,
                     char message[IMAGE_MESSAGE_SIZE])
{
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, message, png_failed, png_warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;

    if (!info) {
        png_destroy_write_struct(&png, NULL);
        snprintf(message, IMAGE_MESSAGE_SIZE, "out of memory");
        return false;
    }
    if (setjmp(png_jmpbuf(png))) {
        png_destroy_write_struct(&png, &info);
        return false;
    }
    png_init_io(png, file);
    png_rows(png, info, image, compression);
    png_destroy_write_struct(&png, &info);
    return true;
}

struct jpeg_errors {
    struct jpeg_error_mgr base; /* first: the library hands back a pointer to it */
    jmp_buf jump;
    char *message;
};

static void jpeg_failed(j_common_ptr jpeg)
{
    struct jpeg_errors *errors = (struct jpeg_errors *)jpeg->err;
    char text[JMSG_LENGTH_MAX];

    jpeg->err->format_message(jpeg, text);
    snprintf(errors->message, IMAGE_MESSAGE_SIZE, "%.*s", IMAGE_MESSAGE_SIZE - 1, text);
    longjmp(errors->jump, 1);
}

static void jpeg_rows(struct jpeg_compress_struct *jpeg, const struct image *image, int quality)
{
    jpeg->image_width = (JDIMENSION)image->width;
    jpeg->image_height = (JDIMENSION)image->height;
    jpeg->input_components = 3;
    jpeg->in_color_space = JCS_RGB;
    jpeg_set_defaults(jpeg);
    jpeg_set_quality(jpeg, quality, TRUE);
    jpeg_start_compress(jpeg, TRUE);
    while (jpeg->next_scanline < jpeg->image_height) {
        /* The library's type for a row that it only reads is not const. */
        JSAMPROW row = (JSAMPROW)(uintptr_t)(image->rgb + (size_t)jpeg->next_scanline *
                                                              (size_t)image->width * 3);

        jpeg_write_scanlines(jpeg, &row, 1);
    }
    jpeg_finish_compress(jpeg);
}

bool image_write_jpeg(FILE *file, const struct image *image, int quality,
                      char message[IMAGE_MESSAGE_SIZE])
{
    struct jpeg_compress_struct jpeg = {0};
    struct jpeg_errors errors = {.message = message};

    jpeg.err = jpeg_std_error(&errors.base);
    errors.base.error_exit = jpeg_failed;
    if (setjmp(errors.jump)) {
        jpeg_destroy_compress(&jpeg);
        return false;
    }
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg_rows(&jpeg, image, quality);
    jpeg_destroy_compress(&jpeg);
    return true;
}
