/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor/findings.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add(struct findings *findings, struct finding finding)
{
    if (findings->count == findings->capacity) {
        size_t capacity = findings->capacity ? findings->capacity * 2 : 32;
        struct finding *list = reallocarray(findings->list, capacity, sizeof(*list));

        if (!list) {
            free(finding.message);
            free(finding.remedy);
            return;
        }
        findings->list = list;
        findings->capacity = capacity;
    }
    findings->failed += finding.verdict == VERDICT_FAIL;
    findings->warnings += finding.verdict == VERDICT_WARN;
    findings->list[findings->count++] = finding;
}

static char *message_of(const char *format, va_list args)
{
    char *message;

    return vasprintf(&message, format, args) < 0 ? NULL : message;
}

void findings_fini(struct findings *findings)
{
    for (size_t i = 0; i < findings->count; i++) {
        free(findings->list[i].message);
        free(findings->list[i].remedy);
    }
    free(findings->list);
    *findings = (struct findings){0};
}

void found_ok(struct findings *findings, const char *subject, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(findings, (struct finding){VERDICT_OK, subject, message_of(format, args), NULL});
    va_end(args);
}

void found_warning(struct findings *findings, const char *subject, const char *remedy,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(findings,
        (struct finding){VERDICT_WARN, subject, message_of(format, args), strdup(remedy)});
    va_end(args);
}

void found_failure(struct findings *findings, const char *subject, const char *remedy,
                   const char *format, ...)
{
    va_list args;

    va_start(args, format);
    add(findings,
        (struct finding){VERDICT_FAIL, subject, message_of(format, args), strdup(remedy)});
    va_end(args);
}

bool can_load(const char *name)
{
    void *library = dlopen(name, RTLD_LAZY | RTLD_LOCAL);

    if (library)
        dlclose(library);
    return library != NULL;
}

bool read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "re");
    size_t length;

    if (!file)
        return false;
    length = fread(text, 1, size - 1, file);
    fclose(file);
    text[length] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return true;
}
