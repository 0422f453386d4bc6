// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Words for numbers. Nothing else.
 */
#include "words.h"

#include <stdio.h>
#include <string.h>

const struct result_name results[MSSBPF_RESULTS] = {
	{ MSSBPF_CLAMPED, "clamped", "CLAMPED" },
	{ MSSBPF_ALREADY_LOW, "already_low", "LOW" },
	{ MSSBPF_NO_MSS, "no_mss", "NO-MSS" },
	{ MSSBPF_MALFORMED, "malformed", "MALFORMED" },
	{ MSSBPF_TRUNCATED, "truncated", "TRUNCATED" },
	{ MSSBPF_AH, "ah", "AH" },
	{ MSSBPF_TCP_AO, "tcp_ao", "TCP-AO" },
	{ MSSBPF_UNWRITABLE, "unwritable", "UNWRITABLE" },
	{ MSSBPF_ADDED, "added", "ADDED" },
	{ MSSBPF_EXEMPT, "exempt", "EXEMPT" },
};

const char *direction_name(unsigned int direction)
{
	return direction == MSSBPF_EGRESS ? "egress" : "ingress";
}

const char *result_key(unsigned int result)
{
	for (size_t i = 0; i < MSSBPF_RESULTS; i++)
		if (results[i].result == result)
			return results[i].key;
	return "unknown";
}

int result_find(const char *text, size_t length)
{
	for (size_t i = 0; i < MSSBPF_RESULTS; i++)
		if (strlen(results[i].key) == length && !memcmp(results[i].key, text, length))
			return results[i].result;
	return -1;
}

const char *result_keys(char text[RESULT_KEYS_SIZE])
{
	size_t used = 0;

	for (size_t i = 0; i < MSSBPF_RESULTS; i++)
		used += snprintf(text + used, RESULT_KEYS_SIZE - used, "%s%s", i ? ", " : "", results[i].key);
	return text;
}
