/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cells are kept in reading order; a cell that could not be allocated prints as nothing.
 */
#include "common/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

#define CELL_SIZE 192
#define GAP       "  "

static void add_text(struct table *table, const char *text)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        char **cells = reallocarray(table->cells, capacity, sizeof(*cells));

        if (!cells)
            return;
        table->cells = cells;
        table->capacity = capacity;
    }
    table->cells[table->count++] = strdup(text);
}

void table_init(struct table *table, const char *align, const char *const *headings)
{
    *table = (struct table){.columns = (int)strlen(align), .align = align};
    for (int i = 0; i < table->columns; i++)
        add_text(table, headings[i]);
}

void table_fini(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    *table = (struct table){0};
}

void table_add(struct table *table, const char *format, ...)
{
    char text[CELL_SIZE];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    make_printable(text);
    add_text(table, text);
}

static const char *cell(const struct table *table, size_t index)
{
    return table->cells[index] ? table->cells[index] : "";
}

static void measure(const struct table *table, int widths[TABLE_MAX_COLUMNS])
{
    memset(widths, 0, sizeof(int) * TABLE_MAX_COLUMNS);
    for (size_t i = 0; i < table->count; i++) {
        int *width = &widths[i % (size_t)table->columns];
        int length = (int)strlen(cell(table, i));

        *width = length > *width ? length : *width;
    }
}

void table_print(const struct table *table, FILE *file)
{
    int widths[TABLE_MAX_COLUMNS];

    measure(table, widths);
    for (size_t i = 0; i < table->count; i++) {
        int column = (int)(i % (size_t)table->columns);
        const char *text = cell(table, i);

        bool last = column == table->columns - 1;

        if (table->align[column] == 'r')
            fprintf(file, "%*s", widths[column], text);
        else /* no blanks at the end of a line */
            fprintf(file, "%-*s", last ? 0 : widths[column], text);
        fputs(last ? "\n" : GAP, file);
    }
}
