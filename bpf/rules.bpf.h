/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The limit that a device's set of rules has for an address: a binary search over ranges, which costs twice as many
 * steps for the square of as many rules. Not the layout of a set, nor how it is made: see mssbpf/abi.h and the loader.
 */
#ifndef MSSBPF_RULES_BPF_H
#define MSSBPF_RULES_BPF_H

#include "parse.h"
#include <bpf/bpf_helpers.h>

enum {
	RULE_STEPS_MAX = 22, /* halvings: sets of up to four million ranges */
};

/*
 * By number, not by ifindex: an array's element changes from one set to the next at once. In a map of hashed keys, a
 * program may find neither set while one takes the other's place (before Linux 6.15).
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1); /* set by the loader */
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_INNER_MAP); /* sets differ in size */
			__uint(max_entries, 1);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct mssbpf_rule)); /* by type, its BTF would be left out */
		});
} rules SEC(".maps");

/* Where the search stands, as forget() wants it. */
struct rule_search {
	__u64 unused;
	__u32 unused_too;
	__u32 base; /* the element that begins at or before the address */
	__u32 unused_again;
	__u32 count; /* of elements from base on, among which the last such is */
} __attribute__((aligned(8)));

/*
 * The MSS limit that the element `place` of the map has for an address (host order, upper half first; IPv4's in the
 * lower half) of IP version 4 or 6: bytes, MSSBPF_MSS_NONE, or MSSBPF_MSS_OWN when no rule is for it.
 */
static __noinline __u32 rule_mss(__u32 place, const __u64 address[2], __u8 version)
{
	struct rule_search search = { .unused = 1 };
	void *set = bpf_map_lookup_elem(&rules, &place);
	const struct mssbpf_rule *rule;
	__u32 index = 0;

	if (!set)
		return MSSBPF_MSS_OWN;
	rule = bpf_map_lookup_elem(set, &index);
	if (!rule)
		return MSSBPF_MSS_OWN;
	search.base = version == 4 ? 1 : 1 + rule->ranges[0];
	search.count = rule->ranges[version == 4 ? 0 : 1];
#pragma clang loop unroll(disable)
	for (int i = 0; i < RULE_STEPS_MAX; i++) {
		__u32 half;

		forget(search);
		half = search.count >> 1;
		if (!half)
			break;
		index = search.base + half;
		rule = bpf_map_lookup_elem(set, &index);
		if (!rule)
			break;
		if (rule->first[0] != address[0] ? rule->first[0] < address[0] : rule->first[1] <= address[1])
			search.base = index;
		search.count -= half;
	}
	index = search.base;
	rule = search.count ? bpf_map_lookup_elem(set, &index) : NULL;
	return rule ? rule->mss : MSSBPF_MSS_OWN;
}

#endif
