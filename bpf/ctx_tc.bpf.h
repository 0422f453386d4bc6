/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the clamp needs of a TC context (struct __sk_buff): parse, read options, write them back.
 * Not a place for decisions.
 *
 * Nothing here writes through a packet pointer: a program that does gets a prologue which unclones
 * every packet (net/core/filter.c, bpf_unclone_prologue), SYN or not.
 */
#ifndef MSSBPF_CTX_TC_BPF_H
#define MSSBPF_CTX_TC_BPF_H

#include "route.bpf.h"

static __always_inline const void *tc_data(const struct __sk_buff *skb)
{
	/* Volatile, so that the compiler does not cut the pointer to 32 bits, which the verifier takes for none. */
	return (const void *)(long)*(const volatile __u32 *)&skb->data;
}

static __always_inline const void *tc_end(const struct __sk_buff *skb)
{
	return (const void *)(long)*(const volatile __u32 *)&skb->data_end;
}

/*
 * The MTU of the SYN's route, in bytes; with MSSBPF_BOTH_WAYS in `flags` the smaller of that and the one back. 0 when
 * none is known.
 */
static __noinline __u32 tc_route_mtu(struct __sk_buff *skb, const struct syn *syn, enum mssbpf_direction direction,
				     __u32 flags)
{
	__u32 came_by = skb->ingress_ifindex; /* on ingress, the device itself */
	__u32 leaves_by = direction == MSSBPF_EGRESS ? skb->ifindex : 0;
	__u32 mtu = direction == MSSBPF_EGRESS ? carried_mtu(skb, syn->version) : 0;
	struct bpf_fib_lookup flow;

	if (mtu && !(flags & MSSBPF_BOTH_WAYS))
		return mtu;
	if (!flow_read(tc_data(skb), tc_end(skb), syn, &flow))
		return mtu;
	flow.mark = skb->mark;
	if (!mtu)
		mtu = route_mtu(skb, &flow, came_by, leaves_by);
	if (flags & MSSBPF_BOTH_WAYS)
		mtu = mtu_smaller(mtu, route_mtu_back(skb, &flow, came_by, leaves_by));
	return mtu;
}

/* Parses what of the packet is in the skb's linear part. */
static __always_inline enum parse_verdict tc_parse(const struct __sk_buff *skb, enum mssbpf_link link,
						   enum parse_depth depth, struct syn *syn)
{
	if (link == MSSBPF_LINK_ETHERNET)
		return parse_ethernet(tc_data(skb), tc_end(skb), depth, syn, NULL);
	return parse_ip(tc_data(skb), tc_end(skb), 0, skb->protocol, depth, syn, NULL);
}

/* Copies `length` bytes of the packet from `offset` on. Returns 0 or -errno. */
static __always_inline int tc_load(const struct __sk_buff *skb, __u32 offset, void *bytes, __u32 length)
{
	return bpf_skb_load_bytes(skb, offset, bytes, length);
}

/* Tells whether the packet comes from a test run with this mark, see struct mssbpf_watch. */
static __always_inline bool tc_is_marked(const struct __sk_buff *skb, __u64 mark)
{
	return skb->cb[0] == (__u32)mark && skb->cb[1] == mark >> 32;
}

/*
 * Writes the MSS (network order) wherever the walk says. Returns 0 or -errno. Before the first of several writes, all
 * of the header is made writable.
 */
static __noinline int tc_store_all(struct __sk_buff *skb, const struct syn *syn, const struct options_walk *walk,
				   __be16 mss)
{
	if (bpf_skb_pull_data(skb, syn->tcp_offset + syn->tcp_length))
		return -1;
#pragma clang loop unroll(disable)
	for (__u32 i = 0; i < ABOVE_WORDS; i++) {
		__u32 offset;
		int err;

		forget(*walk);
		if (above_ends(walk, i))
			break;
		offset = above_at(walk, i);
		err = offset ? bpf_skb_store_bytes(skb, syn->tcp_offset + offset, &mss, sizeof(mss), 0) : 0;
		if (err)
			return err;
	}
	return 0;
}

/*
 * Writes the limit (bytes, host order) wherever the walk says, and mends the checksum. Returns 0 or -errno.
 *
 * The order matters: the first write makes the skb writable, so that what follows cannot fail any more. (The header is
 * in its linear part, since it was parsed.) bpf_l4_csum_replace() leaves the field alone on CHECKSUM_PARTIAL, where it
 * holds the pseudo header's sum only; CHECKSUM_COMPLETE stays right since both changes cancel out.
 */
static __always_inline int tc_options_lower(struct __sk_buff *skb, const struct syn *syn,
					    const struct options_walk *walk, __u16 limit)
{
	__be16 mss = bpf_htons(limit);
	int err = likely(above_is_single(walk))
			  ? bpf_skb_store_bytes(skb, syn->tcp_offset + walk->last, &mss, sizeof(mss), 0)
			  : tc_store_all(skb, syn, walk, mss);

	if (err)
		return err;
	return bpf_l4_csum_replace(skb, syn->tcp_offset + TCP_CHECKSUM, 0, bpf_htonl(walk->change), 0);
}

/* Tells whether an IPv4 SYN is a fragment, the first of several. */
static __always_inline bool tc_is_fragment(const struct __sk_buff *skb, const struct syn *syn)
{
	__be16 flags = 0;

	return bpf_skb_load_bytes(skb, syn->ip_offset + IPV4_FRAGMENT, &flags, sizeof(flags)) ||
	       flags & bpf_htons(IP_MORE_FRAGMENTS);
}

/*
 * Makes the IP header say that the packet is longer by the option. For the sum of CHECKSUM_COMPLETE, IPv4's checksum
 * makes up for that; IPv6 has none.
 */
static __always_inline void tc_ip_grow(struct __sk_buff *skb, const struct syn *syn)
{
	__u32 old = syn->ip_end - syn->ip_offset - (syn->version == 4 ? 0 : sizeof(struct ipv6hdr));
	__be16 before = bpf_htons(old), after = bpf_htons(old + TCP_OPTION_MSS_LENGTH);

	if (syn->version == 4) {
		bpf_l3_csum_replace(skb, syn->ip_offset + IPV4_CHECKSUM, before, after, sizeof(after));
		bpf_skb_store_bytes(skb, syn->ip_offset + IPV4_LENGTH, &after, sizeof(after), 0);
	} else {
		bpf_skb_store_bytes(skb, syn->ip_offset + IPV6_LENGTH, &after, sizeof(after), BPF_F_RECOMPUTE_CSUM);
	}
}

/*
 * Puts an MSS option in front of the others, behind which the packet ends. What follows an IP
 * packet in its frame is padding, which it grows into. Returns 0 or -errno.
 *
 * What can fail comes first: growing, then the write that reaches farthest, which makes all before it writable. The sum
 * of CHECKSUM_COMPLETE is given up by the kernel when the skb grows; for padding that is overwritten, it is corrected
 * (BPF_F_RECOMPUTE_CSUM), and the other changes cancel out but for the pseudo header's length.
 */
static __always_inline int tc_option_add(struct __sk_buff *skb, const struct syn *syn, __u16 mss)
{
	const __u8 option[TCP_OPTION_MSS_LENGTH] = { TCP_OPTION_MSS, TCP_OPTION_MSS_LENGTH, mss >> 8, mss & 0xff };
	__u32 zero = 0, length, old_length = skb->len, tcp = syn->tcp_offset, end = syn->ip_end;
	__u8 words, options[TCP_OPTIONS_MAX];
	int err;

	if (end + sizeof(option) > old_length)
		err = bpf_skb_change_tail(skb, end + sizeof(option), 0);
	else
		err = bpf_skb_store_bytes(skb, end, &zero, sizeof(zero), BPF_F_RECOMPUTE_CSUM);
	err = err ?: bpf_skb_load_bytes(skb, tcp + TCP_DATA_OFFSET, &words, sizeof(words));
	length = syn->tcp_length - TCP_HEADER_MIN;
	if (!err && length >= sizeof(__u32) && length <= TCP_OPTIONS_MAX - sizeof(option)) {
		err = bpf_skb_load_bytes(skb, tcp + TCP_HEADER_MIN, options, length);
		err = err ?: bpf_skb_store_bytes(skb, tcp + TCP_HEADER_MIN + sizeof(option), options, length, 0);
	}
	err = err ?: bpf_skb_store_bytes(skb, tcp + TCP_HEADER_MIN, option, sizeof(option), 0);
	if (err) {
		if (skb->len > old_length)
			bpf_skb_change_tail(skb, old_length, 0);
		return err;
	}
	words += 1 << 4;
	bpf_skb_store_bytes(skb, tcp + TCP_DATA_OFFSET, &words, sizeof(words), 0);
	bpf_l4_csum_replace(skb, tcp + TCP_CHECKSUM, 0, bpf_htons(checksum_fold(added_change(mss))), 0);
	bpf_l4_csum_replace(skb, tcp + TCP_CHECKSUM, 0, bpf_htons(sizeof(option)), BPF_F_PSEUDO_HDR);
	tc_ip_grow(skb, syn);
	return 0;
}

#endif
