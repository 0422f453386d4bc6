// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Aligned columns on stdout. Not a layout engine.
 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_add(struct table *table, const char *format, ...)
{
	char(*grown)[TABLE_CELL_SIZE] = reallocarray(table->cells, table->count + 1, sizeof(*grown));
	va_list arguments;

	if (!grown) {
		fputs("mssbpf: out of memory\n", stderr);
		exit(1);
	}
	table->cells = grown;
	va_start(arguments, format);
	vsnprintf(grown[table->count++], sizeof(*grown), format, arguments);
	va_end(arguments);
}

void table_print(struct table *table)
{
	int widths[TABLE_COLUMNS_MAX] = {};

	for (size_t i = 0; i < table->count; i++) {
		int width = strlen(table->cells[i]);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;
		int width = widths[column];

		printf("%*s%s", column < table->words ? -width : width, table->cells[i],
		       column + 1 < table->columns ? "  " : "\n");
	}
	free(table->cells);
	table->cells = NULL;
	table->count = 0;
}
