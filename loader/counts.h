/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is counted: the names it has in tables, JSON and metrics, in the order it is shown, and sums. Not the names of
 * results, which are words.h's, nor where counters are read: that is maps.h.
 */
#ifndef MSSBPF_COUNTS_H
#define MSSBPF_COUNTS_H

#include "words.h"

struct count_name {
	unsigned int index; /* enum mssbpf_kind or mssbpf_family */
	const char *key;    /* in JSON and metrics */
	const char *head;   /* in tables */
};

extern const struct count_name kind_names[MSSBPF_KINDS];
extern const struct count_name family_names[MSSBPF_FAMILIES];

/* Largest MSS of each bucket of the histogram but the last, bytes. */
extern const unsigned int bucket_bounds[MSSBPF_BUCKETS - 1];

/* Sums of one family's counters, or added up for both. */
struct totals {
	__u64 kinds[MSSBPF_KINDS];
	__u64 results[MSSBPF_RESULTS];
};

void totals_add(struct totals *totals, const struct mssbpf_counters *counters, enum mssbpf_family family);

/* The numbers that tables have a column for: the SYNs by kind, those that are readable, then the results. */
enum { COUNT_COLUMNS = MSSBPF_UNREADABLE + MSSBPF_RESULTS };

const char *count_head(size_t column);
__u64 count_value(const struct totals *totals, size_t column);

/* How many SYNs announced an MSS. */
__u64 announced_count(const struct mssbpf_counters *counters, enum mssbpf_family family);

#endif
