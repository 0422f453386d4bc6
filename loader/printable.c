// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Names and texts that others chose, for terminals, JSON and Prometheus. Not quoting for the shell: that is shell.c.
 */
#include "printable.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many bytes the well-formed UTF-8 has that begins here (RFC 3629), or 0; what it is goes to *code. */
static size_t utf8_read(const char *text, unsigned int *code)
{
	static const unsigned int least[] = { 0, 0, 0x80, 0x800, 0x10000 }; /* by length: none is longer than need be */
	unsigned char first = *text;
	size_t length = first < 0x80   ? 1
			: first < 0xc0 ? 0
			: first < 0xe0 ? 2
			: first < 0xf0 ? 3
			: first < 0xf8 ? 4
				       : 0;

	*code = length < 2 ? first : first & (0x7f >> length);
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (text[i] & 0x3f);
	}
	return *code < least[length] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000) ? 0 : length;
}

/* The two ranges of control characters, and what stands between them. */
static bool is_control(unsigned int code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static void write_printable(const char *text, char *to)
{
	while (*text) {
		unsigned int code;
		size_t length = utf8_read(text, &code);

		if (length && !is_control(code)) {
			memcpy(to, text, length);
			text += length;
			to += length;
		} else {
			to += sprintf(to, "\\x%02x", (unsigned char)*text++);
		}
	}
	*to = '\0';
}

const char *name_printable(const char *name, char printable[PRINTABLE_NAME_SIZE])
{
	write_printable(name, printable);
	return printable;
}

char *text_printable(const char *text)
{
	char *printable = malloc(4 * strlen(text) + 1);

	if (printable)
		write_printable(text, printable);
	return printable;
}
