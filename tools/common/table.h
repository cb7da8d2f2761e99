/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Text in columns that are as wide as their widest cell. One thread.
 */
#pragma once

#include <stdio.h>

#include <cuframes/base.h>

#define TABLE_MAX_COLUMNS 16

struct table {
    int columns;
    const char *align; /* one character a column: 'l' or 'r'; borrowed */
    size_t count;      /* cells so far */
    size_t capacity;
    char **cells;
};

/* `headings` has as many texts as `align` has characters. */
void table_init(struct table *table, const char *align, const char *const *headings);
void table_fini(struct table *table);
/* Adds the next cell. Control characters are replaced. */
void table_add(struct table *table, const char *format, ...) CUFRAMES_PRINTF(2, 3);
void table_print(const struct table *table, FILE *file);
