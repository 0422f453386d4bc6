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

/* Orders (union mssbpf_order), by slot; 0 where no entry has the slot. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE); /* for the loader, which looks for zeros */
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} orders SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct mssbpf_key);
	__type(value, struct mssbpf_counters);
} counters SEC(".maps");

/* The loader's own, as are `limits` and `meta`: what the counters were when they were last reset. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1);
	__type(key, struct mssbpf_key);
	__type(value, struct mssbpf_counters);
} baseline SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct mssbpf_meta);
} meta SEC(".maps");

static __always_inline enum mssbpf_family syn_family(const struct syn *syn)
{
	return syn->version == 6 ? MSSBPF_IPV6 : MSSBPF_IPV4;
}

static __always_inline enum mssbpf_kind syn_kind(const struct syn *syn)
{
	return syn->flags == 0 ? MSSBPF_UNREADABLE : syn->flags & TCP_FLAG_ACK ? MSSBPF_SYN_ACK : MSSBPF_SYN;
}

/* The bucket of each MSS in the histogram. Volatile: copies of constants would not lie where BTF says. */
#define BUCKET(bucket, first, last) [first... last] = bucket,
const volatile __u8 buckets[MSSBPF_BUCKETS_LAST + 1] = { MSSBPF_BUCKETS_EACH(BUCKET) };

/*
 * Counts a packet that is a SYN, perhaps; `announced` is its MSS, 0 when none was read. Indices are kept within the
 * counters for the verifier, which does not know them.
 */
static __always_inline void count(struct mssbpf_counters *counters, const struct syn *syn, enum mssbpf_result result,
				  __u16 announced)
{
	enum mssbpf_family family = syn_family(syn);
	__u32 bucket = MSSBPF_BUCKETS - 1;

	if (syn->version == 0)
		return;
	counters->packets[family][syn_kind(syn)][result & 15]++;
	if (!announced)
		return;
	if (announced <= MSSBPF_BUCKETS_LAST)
		bucket = buckets[announced];
	if (bucket < MSSBPF_BUCKETS)
		counters->announced[family][bucket]++;
	counters->announced_bytes[family] += announced;
}

#endif
