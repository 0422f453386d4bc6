/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The maps, and the one way to count. Not their layout: that is mssbpf/abi.h.
 */
#ifndef MSSBPF_MAPS_BPF_H
#define MSSBPF_MAPS_BPF_H

#include "parse.h"
#include <bpf/bpf_helpers.h>

/*
 * Entries are allocated as interfaces are attached; max_entries costs 16 bytes of buckets each and is
 * set by the loader.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct mssbpf_key);
	__type(value, struct mssbpf_limit);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct mssbpf_key);
	__type(value, struct mssbpf_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mssbpf_meta);
} meta SEC(".maps");

static __always_inline void count(const struct mssbpf_key *key, const struct syn *syn, enum mssbpf_result result)
{
	struct mssbpf_counters *counter = bpf_map_lookup_elem(&counters, key);
	__u32 family = syn->version == 6 ? MSSBPF_IPV6 : MSSBPF_IPV4;
	__u32 kind = syn->flags == 0 ? MSSBPF_UNREADABLE : syn->flags & TCP_FLAG_ACK ? MSSBPF_SYN_ACK : MSSBPF_SYN;
	__u32 cell = (family * MSSBPF_KINDS + kind) * MSSBPF_RESULTS + result;

	/* Keeps the compiler from checking one copy of the index and using another. */
	asm volatile("" : "+r"(cell));
	if (counter && syn->version != 0 && cell < sizeof(*counter) / sizeof(__u64))
		((__u64 *)counter->packets)[cell]++;
}

#endif
