/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where cuframes-media is: beside this program (a build folder), or at the place where both were
 * installed to, relative to this program and then absolute.
 */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/report.h"
#include "media.h"

#define PROGRAM "cuframes-media"

/* The folder of this program; "." if the system does not say. */
static void own_folder(char folder[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", folder, PATH_MAX - 1);
    char *slash;

    folder[length > 0 ? length : 0] = '\0';
    slash = strrchr(folder, '/');
    if (slash)
        *slash = '\0';
    else
        snprintf(folder, PATH_MAX, ".");
}

static void try(const char *folder, const char *below, char **argv)
{
    char path[2 * PATH_MAX];

    snprintf(path, sizeof(path), "%s%s/" PROGRAM, folder, below);
    execv(path, argv);
}

int media_run(int argc, char **argv)
{
    char **arguments = calloc((size_t)argc + 1, sizeof(*arguments));
    char folder[PATH_MAX];

    if (!arguments)
        return report_failed("out of memory");
    memcpy(arguments, argv, (size_t)argc * sizeof(*arguments));
    /* execv() copies the words; its type does not say that it leaves them alone. */
    arguments[0] = (char *)(uintptr_t)report_name();
    own_folder(folder);
    try(folder, "", arguments);
    try(folder, "/" CUFRAMES_MEDIA_FROM_BIN, arguments);
    try(CUFRAMES_MEDIA_FOLDER, "", arguments);
    free(arguments);
    return report_failed("cannot run " PROGRAM " (%s): it belongs into %s, install it again",
                         strerror(errno), CUFRAMES_MEDIA_FOLDER);
}
