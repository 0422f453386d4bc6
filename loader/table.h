/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Aligned columns: words left, numbers right. Not a layout engine.
 */
#ifndef MSSBPF_TABLE_H
#define MSSBPF_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
	TABLE_COLUMNS_MAX = 32,
};

struct table {
	size_t columns;
	unsigned int words; /* a bit for each column, 1: words, 0: numbers */
	bool headless;	    /* the first row is not printed, and only makes columns as wide as with it */
	size_t count;	    /* of cells */
	FILE *cells;	    /* the text below, while it is written */
	char *text;	    /* of all cells, each with its NUL */
	size_t length;
};

/* Adds one cell, printf-like; a new row begins after `columns` cells. Exits when memory is short. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *table, const char *format, ...);

/* Prints the table and releases it. */
void table_write(struct table *table, FILE *file);

/* ... on stdout. */
void table_print(struct table *table);

#endif
