/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The limit that a device's set of rules has for an address: a search down a tree of wide nodes. Not the layout of a
 * set, nor how it is made: see mssbpf/abi.h and the loader.
 */
#ifndef MSSBPF_RULES_BPF_H
#define MSSBPF_RULES_BPF_H

#include "parse.h"
#include <bpf/bpf_helpers.h>

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
			__uint(value_size, sizeof(union mssbpf_rule_element)); /* by type, its BTF would be left out */
		});
} rules SEC(".maps");

/* Where the search stands, as forget() wants it. */
struct rule_search {
	__u8 unused;
	__u8 family; /* enum mssbpf_family */
	__u16 mss;   /* of the key that was found last */
	__u32 child; /* the node to look at next, counted from the beginning of its level */
	struct mssbpf_address address;
} __attribute__((aligned(8)));

/*
 * 1 if the difference of two numbers below 2^63 is negative, else 0. The compiler learns neither that it is about a
 * sign nor that there are two values: it would make branches of that, and the verifier would follow both ways of each.
 */
static __always_inline __u64 is_negative(__u64 difference)
{
	asm volatile("" : "+r"(difference));
	difference >>= 63;
	asm volatile("" : "+r"(difference));
	return difference;
}

/* 1 if one is less than the other, else 0: the borrow of their difference. */
static __always_inline __u64 is_less(__u64 one, __u64 other)
{
	return is_negative((~one & other) | ((~one | other) & (one - other)));
}

static __always_inline __u64 is_equal(__u64 one, __u64 other)
{
	__u64 bits = one ^ other;

	return 1 ^ is_negative(bits | -bits);
}

/*
 * Goes to the last of a node's keys that is at or below the address. All are compared, for the processor does that side
 * by side, while it would wait for each step of a search by halves. The MSS is asked for before, so that it is there.
 */
static __always_inline void ipv4_find(const struct mssbpf_rule_ipv4 *node, struct rule_search *search)
{
	__u64 address = search->address.half[0] >> 32, below = 0;

	asm volatile("" : : "r"(node->mss[0]));
#pragma clang loop unroll(full)
	for (int i = 1; i < MSSBPF_RULE_KEYS_IPV4; i++)
		below += is_negative(node->first[i] - address - 1);
	if (below >= MSSBPF_RULE_KEYS_IPV4) /* does not happen */
		return;
	search->mss = node->mss[below];
	search->child = search->child * MSSBPF_RULE_KEYS_IPV4 + below;
}

static __always_inline void ipv6_find(const struct mssbpf_rule_ipv6 *node, struct rule_search *search)
{
	enum { MASK = MSSBPF_RULE_KEYS_IPV6 - 1 };
	__u64 upper = search->address.half[0], lower = search->address.half[1], above = 0;

	asm volatile("" : : "r"(node->mss[0]));
#pragma clang loop unroll(full)
	for (int i = 1; i < MSSBPF_RULE_KEYS_IPV6; i++)
		above += is_less(upper, node->upper[i]);
	if (node->upper[(MASK - above) & MASK] == upper) {
#pragma clang loop unroll(full)
		for (int i = 1; i < MSSBPF_RULE_KEYS_IPV6; i++)
			above += is_equal(upper, node->upper[i]) & is_less(lower, node->lower[i]);
	}
	search->mss = node->mss[(MASK - above) & MASK];
	search->child = search->child * MSSBPF_RULE_KEYS_IPV6 + ((MASK - above) & MASK);
}

/*
 * The MSS limit that the element `place` of the map has for an address of a family: bytes, MSSBPF_MSS_NONE, or
 * MSSBPF_MSS_OWN when no rule is for it.
 */
static __noinline __u32 rule_mss(__u32 place, struct rule_search *search)
{
	void *set = bpf_map_lookup_elem(&rules, &place);
	const struct mssbpf_rule_head *head;
	__u32 index = 0;

	if (!set)
		return MSSBPF_MSS_OWN;
	head = bpf_map_lookup_elem(set, &index);
	if (!head)
		return MSSBPF_MSS_OWN;
#pragma clang loop unroll(disable)
	for (__u32 level = 0; level < MSSBPF_RULE_LEVELS; level++) {
		const union mssbpf_rule_element *node;
		__u32 family, nodes;

		forget(*search);
		family = search->family & 1;
		if (level >= head->levels[family])
			break;
		index = head->begin[family][level];
		nodes = head->begin[family][level + 1] - index;
		if (search->child >= nodes) /* found what is not used */
			search->child = nodes - 1;
		index += search->child;
		node = bpf_map_lookup_elem(set, &index);
		if (!node)
			break;
		if (family == MSSBPF_IPV6)
			ipv6_find(&node->ipv6, search);
		else if (level < MSSBPF_RULE_LEVELS_IPV4)
			ipv4_find(&node->ipv4, search);
	}
	return search->mss;
}

#endif
