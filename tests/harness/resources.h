/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a process has: descriptors, mappings of memfds, threads. Taken before and after, it shows
 * what leaked.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct test_descriptor {
    int fd;
    char target[128];
};

struct test_resources {
    struct test_descriptor *descriptors;
    size_t descriptor_count;
    size_t mappings; /* of memfds */
    size_t threads;
};

void test_resources_take(struct test_resources *resources);
void test_resources_free(struct test_resources *resources);

/* Fails with what is there now and was not in `before`. Waits a little for threads to vanish:
 * one that was joined can be listed for a moment longer. */
void test_resources_check(const char *file, int line, const struct test_resources *before,
                          const char *when);

#define CHECK_NO_LEAK(before, when) test_resources_check(__FILE__, __LINE__, before, when)

/* Number of descriptors whose target (as /proc/self/fd shows it) contains `piece`. */
size_t test_count_descriptors(const char *piece);

/* Fails if this process has a child that it did not wait for. */
void test_children_check(void);
