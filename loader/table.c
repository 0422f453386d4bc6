// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Aligned columns. Not a layout engine.
 */
#include "table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void table_add(struct table *table, const char *format, ...)
{
	char **grown = reallocarray(table->cells, table->count + 1, sizeof(*grown));
	va_list arguments;
	int length = -1;

	if (grown) {
		table->cells = grown;
		va_start(arguments, format);
		length = vasprintf(&grown[table->count++], format, arguments);
		va_end(arguments);
	}
	if (length < 0) {
		fputs("mssbpf: out of memory\n", stderr);
		exit(1);
	}
}

void table_write(struct table *table, FILE *file)
{
	int widths[TABLE_COLUMNS_MAX] = {};

	for (size_t i = 0; i < table->count; i++) {
		int width = strlen(table->cells[i]);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	for (size_t i = 0; i < table->count; i++) {
		size_t column = i % table->columns;
		bool word = table->words >> column & 1, last = column + 1 == table->columns;

		fprintf(file, "%*s%s",
			!word  ? widths[column]
			: last ? 0
			       : -widths[column],
			table->cells[i], last ? "\n" : "  ");
		free(table->cells[i]);
	}
	free(table->cells);
	table->cells = NULL;
	table->count = 0;
}

void table_print(struct table *table)
{
	table_write(table, stdout);
}
