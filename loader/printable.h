/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Names and texts that others chose, for terminals, JSON and Prometheus. Not quoting for the shell: that is shell.h.
 */
#ifndef MSSBPF_PRINTABLE_H
#define MSSBPF_PRINTABLE_H

#include <linux/if.h>

enum { PRINTABLE_NAME_SIZE = 4 * IFNAMSIZ }; /* bytes, of what the longest name of an interface becomes */

/*
 * Linux lets names of interfaces have any bytes but '/', ':' and white space. Writes one with \xNN for control
 * characters, which a terminal may obey, and for bytes that are no UTF-8. Returns `printable`.
 */
const char *name_printable(const char *name, char printable[PRINTABLE_NAME_SIZE]);

/* Likewise of any text. Returns NULL without memory, else what the caller frees. */
char *text_printable(const char *text);

#endif
