/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the doctor found: a list of lines, each with a verdict, what was seen, and what to do.
 * The parts of the examination are functions that add to it; none of them changes the machine.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include <cuframes/cuframes.h>

enum verdict {
    VERDICT_OK,
    VERDICT_WARN, /* works, with a limit that may hurt */
    VERDICT_FAIL, /* something does not work */
};

struct finding {
    enum verdict verdict;
    const char *subject; /* static */
    char *message;
    char *remedy; /* NULL for a verdict of OK */
};

struct findings {
    size_t count;
    size_t capacity;
    struct finding *list;
    int failed;
    int warnings;
};

void findings_fini(struct findings *findings);
/*
 * All is well with `subject`. The three functions print their message as printf does.
 */
void found_ok(struct findings *findings, const char *subject, const char *format, ...)
    CUFRAMES_PRINTF(3, 4);
/* `remedy` is what to do about it. */
void found_warning(struct findings *findings, const char *subject, const char *remedy,
                   const char *format, ...) CUFRAMES_PRINTF(4, 5);
void found_failure(struct findings *findings, const char *subject, const char *remedy,
                   const char *format, ...) CUFRAMES_PRINTF(4, 5);

/* The runtime directory: which and why, permissions, room. `given` is --runtime-dir or NULL. */
void examine_directory(struct findings *findings, const char *given);
/* The channels in it: live ones, dead ones, permissions of their sockets. */
void examine_channels(struct findings *findings, const char *given);
/* System calls that the library needs, by trying them. */
void examine_kernel(struct findings *findings);
/* Limits of the process, the machine and the container; namespaces. */
void examine_limits(struct findings *findings);
/* What there is of GPUs: device files, driver, what each GPU can do. */
void examine_gpu(struct findings *findings);
/* How `count` GPUs are shared: which reads which, MPS, and the libraries that decode and encode. */
void examine_gpu_sharing(struct findings *findings, int count);

/* Whether a shared library can be loaded. */
bool can_load(const char *name);
/* Reads a small text file without its newline; false if it cannot be read. */
bool read_text(const char *path, char *text, size_t size);
