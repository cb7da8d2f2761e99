/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits, and what of the machine this process sees.
 */
#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "doctor/findings.h"

#define MIB (UINT64_C(1) << 20)
/* For each subscriber its socket, and one more for one that polls; and some for the publisher. */
#define DESCRIPTORS_EACH 2
#define DESCRIPTORS_OWN  64
/* Less than this is gone with one channel of 4K pictures. */
#define FEW_BYTES (256 * MIB)

static void examine_descriptors(struct findings *findings)
{
    const rlim_t wanted = CUFRAMES_MAX_SUBSCRIBERS * DESCRIPTORS_EACH + DESCRIPTORS_OWN;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (limit.rlim_cur >= wanted)
        found_ok(findings, "descriptors", "a process may have %ju", (uintmax_t)limit.rlim_cur);
    else
        found_warning(findings, "descriptors",
                      "raise it: ulimit -n 4096, or LimitNOFILE= of a unit",
                      "a process may have %ju: enough for about %ju readers of a channel, not %d",
                      (uintmax_t)limit.rlim_cur,
                      (uintmax_t)(limit.rlim_cur > DESCRIPTORS_OWN
                                      ? (limit.rlim_cur - DESCRIPTORS_OWN) / DESCRIPTORS_EACH
                                      : 0),
                      CUFRAMES_MAX_SUBSCRIBERS);
}

static void examine_file_size(struct findings *findings)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    found_warning(findings, "file size", "ulimit -f unlimited",
                  "files are limited to %ju MiB, and so is the memory of a channel's frames",
                  (uintmax_t)limit.rlim_cur / MIB);
}

static void examine_address_space(struct findings *findings)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_AS, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return;
    found_warning(findings, "address space", "ulimit -v unlimited",
                  "a process may map %ju MiB, the frames of every channel it reads included",
                  (uintmax_t)limit.rlim_cur / MIB);
}

static void examine_locked(struct findings *findings)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0)
        return;
    if (limit.rlim_cur == RLIM_INFINITY)
        found_ok(findings, "locked memory", "no limit; frames in host memory are not locked");
    else
        found_ok(findings, "locked memory",
                 "at most %ju KiB, which does not matter: frames in host memory are not locked",
                 (uintmax_t)limit.rlim_cur / 1024);
}

static void examine_backlog(struct findings *findings)
{
    char text[32];
    long backlog;

    if (!read_text("/proc/sys/net/core/somaxconn", text, sizeof(text)))
        return;
    backlog = strtol(text, NULL, 10);
    if (backlog >= CUFRAMES_MAX_SUBSCRIBERS)
        found_ok(findings, "backlog", "%ld readers may attach in the same moment", backlog);
    else
        found_warning(findings, "backlog", "sysctl net.core.somaxconn=4096",
                      "only %ld readers may attach in the same moment", backlog);
}

/* The tightest memory limit from this process's cgroup up to the root; UINT64_MAX = none. */
static uint64_t cgroup_left(void)
{
    char line[PATH_MAX], path[2 * PATH_MAX], text[32];
    uint64_t least = UINT64_MAX;

    if (!read_text("/proc/self/cgroup", line, sizeof(line)) || strncmp(line, "0::/", 4) != 0)
        return least;
    for (char *group = line + 3, *slash = group; slash; slash = strrchr(group, '/')) {
        uint64_t max, used;

        if (slash != group || strlen(line) == 3)
            *slash = '\0';
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
        if (!read_text(path, text, sizeof(text)) || !strcmp(text, "max"))
            continue;
        max = strtoull(text, NULL, 10);
        snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.current", group);
        used = read_text(path, text, sizeof(text)) ? strtoull(text, NULL, 10) : 0;
        if (max > used && max - used < least)
            least = max - used;
        else if (max <= used)
            least = 0;
    }
    return least;
}

static uint64_t memory_available(void)
{
    FILE *file = fopen("/proc/meminfo", "re");
    uint64_t kib = 0;
    char line[128];

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            break;
    if (file)
        fclose(file);
    return kib * 1024;
}

static void examine_memory(struct findings *findings)
{
    uint64_t left = cgroup_left();
    uint64_t available = memory_available();

    if (left != UINT64_MAX && left < FEW_BYTES)
        found_warning(findings, "memory",
                      "give the container more memory: frames count as the publisher's",
                      "the cgroup leaves %" PRIu64 " MiB, which one channel can need", left / MIB);
    else if (left != UINT64_MAX)
        found_ok(findings, "memory", "the cgroup leaves %" PRIu64 " MiB", left / MIB);
    if (available && available < FEW_BYTES)
        found_warning(findings, "memory", "free memory before publishing more",
                      "%" PRIu64 " MiB are available on this machine", available / MIB);
    else if (available)
        found_ok(findings, "memory",
                 "%" PRIu64 " MiB are available on this machine; /dev/shm is "
                 "not used",
                 available / MIB);
}

static void examine_processors(struct findings *findings)
{
    cpu_set_t set;
    int count;

    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return;
    count = CPU_COUNT(&set);
    if (count >= 2)
        found_ok(findings, "processors", "%d for this process", count);
    else
        found_warning(findings, "processors", "give the container a second processor",
                      "one for this process: publisher and readers take turns");
}

static void examine_namespaces(struct findings *findings)
{
    unsigned long inside, outside, length;
    char text[128];

    if (!read_text("/proc/self/uid_map", text, sizeof(text)) ||
        sscanf(text, "%lu %lu %lu", &inside, &outside, &length) != 3)
        return;
    if (inside == 0 && outside == 0 && length == UINT32_MAX)
        found_ok(findings, "namespaces", "the machine's own user namespace");
    else
        found_ok(
            findings, "namespaces",
            "a user namespace (user %lu here is user %lu outside): sockets must be open to the "
            "user outside",
            inside, outside);
}

void examine_limits(struct findings *findings)
{
    examine_descriptors(findings);
    examine_file_size(findings);
    examine_address_space(findings);
    examine_locked(findings);
    examine_backlog(findings);
    examine_memory(findings);
    examine_processors(findings);
    examine_namespaces(findings);
}
