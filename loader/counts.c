// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What is counted: its names, and sums. Not where counters are read.
 */
#include "counts.h"

const struct count_name kind_names[MSSBPF_KINDS] = {
	{ MSSBPF_SYN, "syn", "SYN" },
	{ MSSBPF_SYN_ACK, "syn_ack", "SYN-ACK" },
	{ MSSBPF_UNREADABLE, "unreadable", "UNREADABLE" },
};

const struct count_name family_names[MSSBPF_FAMILIES] = {
	{ MSSBPF_IPV4, "ipv4", "IPv4" },
	{ MSSBPF_IPV6, "ipv6", "IPv6" },
};

#define BUCKET(bucket, first, last) [bucket] = last,
const unsigned int bucket_bounds[MSSBPF_BUCKETS - 1] = { MSSBPF_BUCKETS_EACH(BUCKET) };

void totals_add(struct totals *totals, const struct mssbpf_counters *counters, enum mssbpf_family family)
{
	for (size_t kind = 0; kind < MSSBPF_KINDS; kind++) {
		for (size_t result = 0; result < MSSBPF_RESULTS; result++) {
			totals->kinds[kind] += counters->packets[family][kind][result];
			totals->results[result] += counters->packets[family][kind][result];
		}
	}
}

const char *count_head(size_t column)
{
	return column < MSSBPF_UNREADABLE ? kind_names[column].head : results[column - MSSBPF_UNREADABLE].head;
}

__u64 count_value(const struct totals *totals, size_t column)
{
	return column < MSSBPF_UNREADABLE ? totals->kinds[kind_names[column].index]
					  : totals->results[results[column - MSSBPF_UNREADABLE].result];
}

__u64 announced_count(const struct mssbpf_counters *counters, enum mssbpf_family family)
{
	__u64 count = 0;

	for (size_t bucket = 0; bucket < MSSBPF_BUCKETS; bucket++)
		count += counters->announced[family][bucket];
	return count;
}
