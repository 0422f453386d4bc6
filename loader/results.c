// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The names of results. Nothing else.
 */
#include "results.h"

#include <stddef.h>

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

const char *result_key(unsigned int result)
{
	for (size_t i = 0; i < MSSBPF_RESULTS; i++)
		if (results[i].result == result)
			return results[i].key;
	return "unknown";
}
