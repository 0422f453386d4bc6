// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Aligned columns. Not a layout engine.
 */
#include "table.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void out_of_memory(void)
{
	fputs("mssbpf: out of memory\n", stderr);
	exit(1);
}

void table_add(struct table *table, const char *format, ...)
{
	va_list arguments;
	int length;

	if (!table->cells)
		table->cells = open_memstream(&table->text, &table->length);
	if (!table->cells)
		out_of_memory();
	va_start(arguments, format);
	length = vfprintf(table->cells, format, arguments);
	va_end(arguments);
	if (length < 0 || putc('\0', table->cells) == EOF)
		out_of_memory();
	table->count++;
}

/* How many characters of UTF-8 a cell has: all bytes but those that go on. */
static int cell_width(const char *cell)
{
	int width = 0;

	for (; *cell; cell++)
		width += (*cell & 0xc0) != 0x80;
	return width;
}

static void pad(FILE *file, int width)
{
	while (width-- > 0)
		putc_unlocked(' ', file);
}

void table_write(struct table *table, FILE *file)
{
	int widths[TABLE_COLUMNS_MAX] = {};
	const char *cell;

	if (table->cells && fclose(table->cells))
		out_of_memory();
	cell = table->text;
	for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
		int width = cell_width(cell);

		if (width > widths[i % table->columns])
			widths[i % table->columns] = width;
	}
	cell = table->text;
	for (size_t i = 0; i < table->count; i++, cell += strlen(cell) + 1) {
		size_t column = i % table->columns;
		bool word = table->words >> column & 1, last = column + 1 == table->columns;
		int rest = widths[column] - cell_width(cell);

		if (table->headless && i < table->columns)
			continue;
		pad(file, word ? 0 : rest);
		fputs_unlocked(cell, file);
		pad(file, word && !last ? rest : 0);
		fputs_unlocked(last ? "\n" : "  ", file);
	}
	free(table->text);
	table->cells = NULL;
	table->text = NULL;
	table->count = 0;
}

void table_print(struct table *table)
{
	table_write(table, stdout);
}
