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

/* Volatile: copies of constants would not lie where BTF says. */
const volatile __u16 bucket_bounds[16] = { MSSBPF_BUCKET_BOUNDS, 0xffff, 0xffff, 0xffff, 0xffff };

/* The bucket of an MSS in the histogram: how many bounds are below it. By halves, without a branch. */
static __always_inline __u32 bucket_of(__u32 mss)
{
	__u32 bucket = 0;

#pragma clang loop unroll(full)
	for (__u32 half = 8; half; half /= 2) {
		__u32 middle = bucket + half - 1;

		/* Below 16 anyway, which Linux 5.10's verifier does not see. */
		asm volatile("" : "+r"(middle));
		bucket += (bucket_bounds[middle & 15] - mss) >> 31 ? half : 0;
	}
	return bucket;
}

/* Adds to one of the counters; an index out of range, which does not happen, adds to none. */
static __always_inline void cell_add(struct mssbpf_counters *counters, __u32 cell, __u64 number)
{
	/* Keeps the compiler from checking one copy of the index and using another. */
	asm volatile("" : "+r"(cell));
	if (cell < sizeof(*counters) / sizeof(__u64))
		((__u64 *)counters)[cell] += number;
}

/* Counts a packet that is a SYN, perhaps; `announced` is its MSS, 0 when none was read. */
static __always_inline void count(struct mssbpf_counters *counter, const struct syn *syn, enum mssbpf_result result,
				  __u16 announced)
{
	__u32 family = syn_family(syn);

	if (syn->version == 0)
		return;
	cell_add(counter,
		 offsetof(struct mssbpf_counters, packets) / sizeof(__u64) +
			 (family * MSSBPF_KINDS + syn_kind(syn)) * MSSBPF_RESULTS + result,
		 1);
	if (!announced)
		return;
	cell_add(counter,
		 offsetof(struct mssbpf_counters, announced) / sizeof(__u64) + family * MSSBPF_BUCKETS +
			 bucket_of(announced),
		 1);
	cell_add(counter, offsetof(struct mssbpf_counters, announced_bytes) / sizeof(__u64) + family, announced);
}

#endif
