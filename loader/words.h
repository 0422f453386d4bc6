/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the numbers of mssbpf/abi.h are called in tables, JSON and on command lines. Not what they mean.
 */
#ifndef MSSBPF_WORDS_H
#define MSSBPF_WORDS_H

#include <mssbpf/abi.h>
#include <stddef.h>

/* "egress" or "ingress". */
const char *direction_name(unsigned int direction);

/* What becomes of a SYN. */
struct result_name {
	enum mssbpf_result result;
	const char *key;  /* in JSON */
	const char *head; /* in a table */
};

/* In the order they are shown. */
extern const struct result_name results[MSSBPF_RESULTS];

/* The result whose key is the first `length` bytes of the text, or -1. */
int result_find(const char *text, size_t length);

/* Lists all keys: "clamped, already_low, ...". */
enum { RESULT_KEYS_SIZE = 256 };
const char *result_keys(char text[RESULT_KEYS_SIZE]);

/* The key of a result; "unknown" for a number that is none. */
const char *result_key(unsigned int result);

#endif
