/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What becomes of a SYN, as it is called in tables, JSON and on command lines. Not what it means: that is
 * mssbpf/abi.h.
 */
#ifndef MSSBPF_RESULTS_H
#define MSSBPF_RESULTS_H

#include <mssbpf/abi.h>

struct result_name {
	enum mssbpf_result result;
	const char *key;  /* in JSON */
	const char *head; /* in a table */
};

/* In the order they are shown. */
extern const struct result_name results[MSSBPF_RESULTS];

/* The key of a result; "unknown" for a number that is none. */
const char *result_key(unsigned int result);

#endif
