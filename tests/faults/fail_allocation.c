/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * For LD_PRELOAD: the allocation with the number $FAIL_ALLOCATION (from 1) fails, of those that the
 * program itself and libcuframes make; other libraries' are left alone. With $ALLOCATIONS_OF those
 * count that are made by objects with that in their names, which may be loaded at any time. At the end
 * the number of allocations goes to the file $ALLOCATIONS.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT     __attribute__((visibility("default")))
#define MOST_PARTS 16

/* The C library's own. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static struct {
    uintptr_t from, to;
} parts[MOST_PARTS];
static unsigned part_count;
static atomic_ulong allocations;
static unsigned long failing;
static const char *wanted;

static int note_code(struct dl_phdr_info *object, size_t size, void *argument)
{
    (void)size, (void)argument;
    if (object->dlpi_name[0] && !strstr(object->dlpi_name, "libcuframes"))
        return 0;
    for (int i = 0; i < object->dlpi_phnum && part_count < MOST_PARTS; i++) {
        const ElfW(Phdr) *header = &object->dlpi_phdr[i];

        if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
            continue;
        parts[part_count].from = object->dlpi_addr + header->p_vaddr;
        parts[part_count].to = parts[part_count].from + header->p_memsz;
        part_count++;
    }
    return 0;
}

__attribute__((constructor)) static void begin(void)
{
    const char *number = getenv("FAIL_ALLOCATION");

    failing = number ? strtoul(number, NULL, 10) : 0;
    wanted = getenv("ALLOCATIONS_OF");
    if (!wanted)
        dl_iterate_phdr(note_code, NULL);
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("ALLOCATIONS");
    FILE *file = path ? fopen(path, "we") : NULL;

    if (!file)
        return;
    fprintf(file, "%lu\n", atomic_load(&allocations));
    fclose(file);
}

static bool is_wanted(const void *caller)
{
    const char *slash;
    Dl_info object;

    if (dladdr(caller, &object) == 0 || !object.dli_fname)
        return false;
    slash = strrchr(object.dli_fname, '/');
    return strstr(slash ? slash : object.dli_fname, wanted) != NULL;
}

static bool counts(const void *caller)
{
    for (unsigned i = 0; i < part_count; i++)
        if ((uintptr_t)caller >= parts[i].from && (uintptr_t)caller < parts[i].to)
            return true;
    return wanted && is_wanted(caller);
}

static bool fails(const void *caller)
{
    if (!counts(caller) || atomic_fetch_add(&allocations, 1) + 1 != failing)
        return false;
    errno = ENOMEM;
    return true;
}

EXPORT void *malloc(size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_calloc(count, size);
}

EXPORT void *realloc(void *block, size_t size)
{
    return fails(__builtin_return_address(0)) ? NULL : __libc_realloc(block, size);
}

EXPORT char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = fails(__builtin_return_address(0)) ? NULL : __libc_malloc(size);

    return copy ? memcpy(copy, text, size) : NULL;
}
