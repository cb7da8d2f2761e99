/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cuframes snapshot: the newest frame as a PNG or JPEG file. The frame is held only while it is
 * converted; compressing and writing happen after it. The file appears under its name when it is
 * complete, so that nobody reads half a picture and a failure leaves the old one.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "common/attach.h"
#include "common/convert.h"
#include "common/file.h"
#include "common/image.h"
#include "common/options.h"
#include "common/stop.h"

struct settings {
    cuframes_subscriber_config_t config;
    const char *file;
    double wait_s;
    bool jpeg;
    bool type_given;
    int quality;
    int compression;
};

enum { ID_TYPE = 1, ID_QUALITY, ID_COMPRESSION, ID_WAIT };

static const struct option_row rows[] = {
    {ID_TYPE, "type", "png|jpeg", "what to write (default: by the file's ending)"},
    {ID_QUALITY, "quality", "N", "of a JPEG, 1 to 100 (default 90)"},
    {ID_COMPRESSION, "compression", "N", "of a PNG, 0 to 9 (default 1, the fastest)"},
    {ID_WAIT, "wait", "S", "wait so long for the channel and its first frame\n(default 5)"},
    {0},
};

static const struct usage usage = {
    .synopsis = "KEY FILE [options]",
    .about = "Writes the newest frame of channel KEY to FILE, as PNG or JPEG by its ending.\n"
             "FILE - is standard output and needs --type.",
    .rows = rows,
};

static bool take_type(const struct options *o, struct settings *s)
{
    s->type_given = true;
    s->jpeg = !strcmp(o->value, "jpeg") || !strcmp(o->value, "jpg");
    if (s->jpeg || !strcmp(o->value, "png"))
        return true;
    report_usage("--type: \"%s\" is not png or jpeg", o->value);
    return false;
}

static bool take_option(const struct options *o, int id, void *settings)
{
    struct settings *s = settings;

    switch (id) {
    case ID_TYPE:
        return take_type(o, s);
    case ID_QUALITY:
        return options_int(o, 1, 100, &s->quality);
    case ID_COMPRESSION:
        return options_int(o, 0, 9, &s->compression);
    default:
        return options_number(o, 0, 1e6, &s->wait_s);
    }
}

static int type_by_ending(struct settings *s)
{
    const char *dot = strrchr(s->file, '.');

    if (s->type_given)
        return TOOL_CONTINUE;
    if (dot && (!strcasecmp(dot, ".jpg") || !strcasecmp(dot, ".jpeg")))
        s->jpeg = true;
    else if (!dot || strcasecmp(dot, ".png") != 0)
        return report_usage("\"%s\" ends in neither .png nor .jpg: name one, or give --type",
                            s->file);
    return TOOL_CONTINUE;
}

static int parse(int argc, char **argv, struct settings *s)
{
    struct options o;
    char **words;
    int rc = options_read(&o, &usage, argc, argv, take_option, s);

    if (rc != TOOL_CONTINUE)
        return rc;
    words = options_channel(&o, 2, "KEY and FILE:", &s->config);
    if (!words)
        return TOOL_USAGE;
    attach_for_cpu(&s->config);
    s->file = words[1];
    rc = type_by_ending(s);
    if (rc != TOOL_CONTINUE)
        return rc;
    return options_needs(&o, ID_QUALITY, s->jpeg, "a JPEG to write") &&
                   options_needs(&o, ID_COMPRESSION, !s->jpeg, "a PNG to write")
               ? TOOL_CONTINUE
               : TOOL_USAGE;
}

/* The frame's picture in memory of our own. */
static int copy_picture(const cuframes_frame_t *frame, struct image *image, uint8_t **memory)
{
    struct picture picture;
    uint8_t *rgb;

    if (picture_of_frame(frame, &picture) != CUFRAMES_OK)
        return report_failed("cannot convert this frame: it is in GPU memory, or of a format that "
                             "this version does not know");
    rgb = malloc((size_t)picture.width * (size_t)picture.height * 3);
    if (!rgb)
        return report_failed("out of memory for a picture of %" PRId32 "x%" PRId32, picture.width,
                             picture.height);
    convert_picture(&picture, CONVERT_RGB, rgb, (size_t)picture.width * 3);
    *image = (struct image){.rgb = rgb, .width = picture.width, .height = picture.height};
    *memory = rgb;
    return TOOL_CONTINUE;
}

static int take_newest(const struct settings *s, struct image *image, uint8_t **memory)
{
    int64_t deadline_ns = cuframes_now_ns() + (int64_t)(s->wait_s * 1e9);
    cuframes_subscriber_t *subscriber;
    cuframes_frame_t *frame;
    int rc;
    int error = attach(&s->config, s->wait_s, 0, &subscriber);

    if (error == CUFRAMES_ERR_WOULD_BLOCK)
        return report_failed("interrupted");
    if (error)
        return report_library(error);
    error = attach_next(subscriber, deadline_ns, &frame);
    if (error == CUFRAMES_OK) {
        rc = copy_picture(frame, image, memory);
        cuframes_frame_release(frame);
    } else if (error == CUFRAMES_ERR_TIMEOUT) {
        rc = report_failed("channel %s has published no frame in %g s", s->config.key, s->wait_s);
    } else if (error == CUFRAMES_ERR_WOULD_BLOCK) {
        rc = report_failed("interrupted");
    } else {
        rc = report_library(error);
    }
    cuframes_subscriber_destroy(subscriber);
    return rc;
}

static int encode(const struct settings *s, const struct image *image, FILE *file)
{
    char message[IMAGE_MESSAGE_SIZE] = "";
    bool written = s->jpeg ? image_write_jpeg(file, image, s->quality, message)
                           : image_write_png(file, image, s->compression, message);

    if (written && fflush(file) == 0)
        return TOOL_DONE;
    if (!ferror(file))
        return report_failed("cannot write %s: %s", s->file, message);
    /* The reader of a pipe has gone: nobody is there to be told. */
    return errno == EPIPE ? TOOL_FAILED
                          : report_failed("cannot write %s: %s", s->file, strerror(errno));
}

/* A name beside `file`, for it to be renamed over it. */
static bool temporary_name(const char *file, char name[4096])
{
    return snprintf(name, 4096, "%s.XXXXXX", file) < 4096;
}

static int replace_file(const struct settings *s, const struct image *image)
{
    mode_t mask = umask(0);
    char name[4096];
    FILE *file;
    int fd, rc;

    umask(mask);
    if (!temporary_name(s->file, name))
        return report_failed("the name of the file is too long");
    if (!file_check_links(s->file))
        return TOOL_FAILED;
    fd = mkostemp(name, O_CLOEXEC);
    if (fd < 0)
        return report_failed("cannot write %s: %s", s->file, strerror(errno));
    file = fdopen(fd, "wb");
    rc = encode(s, image, file);
    fchmod(fd, 0666 & ~mask);
    fclose(file);
    if (rc == TOOL_DONE && rename(name, s->file) < 0)
        rc = report_failed("cannot write %s: %s", s->file, strerror(errno));
    if (rc != TOOL_DONE)
        unlink(name);
    return rc;
}

/* A device or a pipe is written to; it cannot be replaced by a file. */
static int write_special(const struct settings *s, const struct image *image)
{
    int fd = file_open(s->file, O_WRONLY, 0);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "wb");
    int rc;

    if (!file && fd >= 0)
        close(fd);
    if (!file)
        return report_failed("cannot write %s: %s", s->file, strerror(errno));
    rc = encode(s, image, file);
    fclose(file);
    return rc;
}

static int write_image(const struct settings *s, const struct image *image)
{
    struct stat status;

    if (!strcmp(s->file, "-"))
        return encode(s, image, stdout);
    if (stat(s->file, &status) == 0 && !S_ISREG(status.st_mode))
        return write_special(s, image);
    return replace_file(s, image);
}

/* Before any option. */
static const struct settings defaults = {
    .file = "", .wait_s = ATTACH_DEFAULT_WAIT_S, .quality = 90, .compression = 1};

int command_snapshot(int argc, char **argv)
{
    struct settings s = defaults;
    struct image image;
    uint8_t *memory = NULL;
    int rc = parse(argc, argv, &s);

    if (rc != TOOL_CONTINUE)
        return rc;
    stop_on_signals();
    rc = take_newest(&s, &image, &memory);
    if (rc == TOOL_CONTINUE)
        rc = write_image(&s, &image);
    free(memory);
    return rc;
}
