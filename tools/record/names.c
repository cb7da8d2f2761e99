/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A pattern is dated if it has any conversion but %d, %5d, %05d and %%: "%d" alone is a number, with
 * others beside it the day.
 */
#include "record/names.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MOST_TRIES 100000

/* Length of a number's conversion at `at` ("%", digits, "d"), 0 if it is another. */
static size_t number_conversion(const char *at)
{
    size_t length = 1;

    while (isdigit((unsigned char)at[length]) && length < 4)
        length++;
    return at[length] == 'd' ? length + 1 : 0;
}

static void count_conversions(const char *pattern, int *numbers, int *others)
{
    *numbers = *others = 0;
    for (const char *at = pattern; (at = strchr(at, '%')); at++) {
        if (at[1] == '%')
            at++;
        else if (number_conversion(at))
            ++*numbers;
        else
            ++*others;
    }
}

bool record_names_init(struct record_names *names, const char *pattern, bool segments,
                       bool overwrite, const char **why)
{
    int numbers, others;

    *names = (struct record_names){
        .pattern = pattern, .segments = segments, .overwrite = overwrite, .kind = NAME_PLAIN};
    count_conversions(pattern, &numbers, &others);
    if (others > 0)
        names->kind = NAME_DATED;
    else if (numbers > 0)
        names->kind = NAME_NUMBERED;
    *why = numbers > 1 && others == 0 ? "it has more than one number" : "it is too long";
    return strlen(pattern) < PATH_MAX - 64 && (numbers <= 1 || others > 0);
}

/* The extension with its dot, or the end. */
static const char *extension(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *dot = strrchr(slash ? slash + 1 : path, '.');

    return dot && dot != path && dot[-1] != '/' ? dot : path + strlen(path);
}

/* Puts "-NUMBER" before the extension. */
static void insert_number(const char *path, const char *format, int number, char out[PATH_MAX])
{
    const char *dot = extension(path);
    char text[32];

    snprintf(text, sizeof(text), format, number);
    snprintf(out, PATH_MAX, "%.*s%s%s", (int)(dot - path), path, text, dot);
}

static void plain_name(const struct record_names *names, int number, char out[PATH_MAX])
{
    if (names->segments)
        insert_number(names->pattern, "-%05d", number, out);
    else if (number == 1)
        snprintf(out, PATH_MAX, "%s", names->pattern);
    else
        insert_number(names->pattern, "-%d", number, out);
}

static void numbered_name(const struct record_names *names, int number, char out[PATH_MAX])
{
    size_t used = 0;

    for (const char *at = names->pattern; *at && used < PATH_MAX - 32; at++) {
        size_t length = *at == '%' && at[1] != '%' ? number_conversion(at) : 0;

        if (length) {
            int width = atoi(at + 1);

            used += (size_t)snprintf(out + used, PATH_MAX - used, at[1] == '0' ? "%0*d" : "%*d",
                                     width, number);
            at += length - 1;
        } else {
            out[used++] = *at;
            at += *at == '%';
        }
    }
    out[used] = '\0';
}

static bool dated_name(const struct record_names *names, int try, char out[PATH_MAX])
{
    char dated[PATH_MAX - 32];
    time_t now = time(NULL);
    struct tm local;

    if (!localtime_r(&now, &local) || strftime(dated, sizeof(dated), names->pattern, &local) == 0) {
        errno = ENAMETOOLONG;
        return false;
    }
    if (try == 1)
        snprintf(out, PATH_MAX, "%s", dated);
    else
        insert_number(dated, "-%d", try, out);
    return true;
}

static bool make_name(const struct record_names *names, int number, int try, char out[PATH_MAX])
{
    if (names->kind == NAME_DATED)
        return dated_name(names, try, out);
    if (names->kind == NAME_NUMBERED)
        numbered_name(names, number, out);
    else
        plain_name(names, number, out);
    return true;
}

/* The one name that was asked for is not passed over. */
static bool is_the_one(const struct record_names *names)
{
    return names->kind == NAME_PLAIN && !names->segments && names->number == 0;
}

bool record_names_taken(const struct record_names *names)
{
    return is_the_one(names) && !names->overwrite && access(names->pattern, F_OK) == 0;
}

bool record_names_stream(const struct record_names *names)
{
    struct stat status;

    return is_the_one(names) && stat(names->pattern, &status) == 0 &&
           (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode));
}

bool record_names_create(struct record_names *names, struct recording_file *file)
{
    bool the_one = is_the_one(names);
    char path[PATH_MAX] = "";
    int number = names->number;

    for (int try = 1; try <= MOST_TRIES; try++) {
        if (!make_name(names, ++number, try, path))
            break;
        /* Dated files of one recording do not replace one another. */
        if (recording_file_create(
                file, path,
                names->overwrite && (names->kind != NAME_DATED || try > 1 || names->number == 0))) {
            names->number = number;
            return true;
        }
        if (errno != EEXIST || the_one)
            break;
    }
    snprintf(file->path, sizeof(file->path), "%s", path);
    return false;
}
