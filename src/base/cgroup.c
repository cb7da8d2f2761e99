/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Reads the limits of control groups as Linux documents them: admin-guide/cgroup-v2.rst and
 * admin-guide/cgroup-v1/memory.rst. A limit holds for a group and all groups below it, so the
 * process's group and each one above are asked. Levels that cannot be seen from inside a container
 * are left out; the container's own is then the root.
 */
#include "base/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* Names of the files of one version. */
struct version {
    const char *controller; /* folder below the root */
    const char *limit, *usage, *cache;
};

static const struct version version_1 = {
    .controller = "/memory",
    .limit = "memory.limit_in_bytes",
    .usage = "memory.usage_in_bytes",
    .cache = "\ntotal_inactive_file ",
};

static const struct version version_2 = {
    .controller = "",
    .limit = "memory.max",
    .usage = "memory.current",
    .cache = "\ninactive_file ",
};

/* Reads a small file into text that ends with NUL; false if it cannot be read. */
static bool read_text(const char *path, char *text, size_t size)
{
    int CF_CLOSE fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);

    if (length < 0)
        return false;
    text[length] = '\0';
    return true;
}

static bool read_group_file(const char *group, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];

    return snprintf(path, sizeof(path), "%s/%s", group, name) < (int)sizeof(path) &&
           read_text(path, text, size);
}

/* Page cache of a group that its limit would push out first. */
static uint64_t unused_cache(const char *group, const struct version *version)
{
    char text[8192];
    const char *found;

    if (!read_group_file(group, "memory.stat", text, sizeof(text)))
        return 0;
    found = strstr(text, version->cache);
    return found ? strtoull(found + strlen(version->cache), NULL, 10) : 0;
}

static uint64_t left_in_group(const char *group, const struct version *version)
{
    char text[64];
    uint64_t limit, usage;

    /* "max", or in version 1 a number that no machine has, is no limit. */
    if (!read_group_file(group, version->limit, text, sizeof(text)) || text[0] < '0' ||
        text[0] > '9')
        return UINT64_MAX;
    limit = strtoull(text, NULL, 10);
    if (limit >= INT64_MAX / 2 || !read_group_file(group, version->usage, text, sizeof(text)))
        return UINT64_MAX;
    usage = strtoull(text, NULL, 10);
    usage -= usage < unused_cache(group, version) ? usage : unused_cache(group, version);
    return usage < limit ? limit - usage : 0;
}

/* The least that is left in the group at `path` and in those above. */
static uint64_t left_along(const char *root, const struct version *version, const char *path)
{
    char group[PATH_MAX];
    int top = snprintf(group, sizeof(group), "%s%s", root, version->controller);
    uint64_t least = UINT64_MAX;

    if (top < 0 || (size_t)top + strlen(path) >= sizeof(group))
        return UINT64_MAX;
    memcpy(group + top, path, strlen(path) + 1);
    for (;;) {
        uint64_t left = left_in_group(group, version);
        char *slash;

        if (left < least)
            least = left;
        slash = strrchr(group + top, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Which version a line of the membership ("number:controllers:path") is of, if it is about memory. */
static const struct version *version_of(const char *controllers)
{
    char word[64];
    const char *comma;

    if (controllers[0] == '\0')
        return &version_2;
    for (; controllers; controllers = comma ? comma + 1 : NULL) {
        size_t length;

        comma = strchr(controllers, ',');
        length = comma ? (size_t)(comma - controllers) : strlen(controllers);
        snprintf(word, sizeof(word), "%.*s", (int)length, controllers);
        if (strcmp(word, "memory") == 0)
            return &version_1;
    }
    return NULL;
}

uint64_t cf_cgroup_memory_left(const char *membership, const char *root)
{
    uint64_t least = UINT64_MAX;
    char text[8192], *line, *rest = text;

    if (!read_text(membership, text, sizeof(text)))
        return UINT64_MAX;
    while ((line = strsep(&rest, "\n"))) {
        const struct version *version;
        const char *controllers;
        uint64_t left;

        strsep(&line, ":");
        controllers = strsep(&line, ":");
        version = controllers && line ? version_of(controllers) : NULL;
        left = version ? left_along(root, version, line) : UINT64_MAX;
        if (left < least)
            least = left;
    }
    return least;
}
