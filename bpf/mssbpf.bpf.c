// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The entry points of the data path: TC ingress and egress, for devices with an Ethernet header and for
 * devices without. Not the place for parsing (parse.h) or for the clamp itself (clamp.h).
 */
#include "ctx_tc.bpf.h"
#include "maps.bpf.h"

enum {
	/* Bytes made linear when the headers are not: what common headers take, then what any chain may. */
	PULL_COMMON = 256,
	PULL_ALL = 20 * 1024,
};

/*
 * Parses a packet whose headers may lie outside the skb's linear part: they are pulled in. A packet that
 * ends too early itself, or that the kernel has no memory to pull, remains PARSE_SHORT.
 */
static __always_inline enum parse_verdict tc_parse_pulling(struct __sk_buff *skb, enum mssbpf_link link,
							   struct syn *syn)
{
	enum parse_verdict verdict = PARSE_OTHER;

#pragma clang loop unroll(disable)
	for (int i = 0; i < 3; i++) {
		__u32 length = i == 0 ? PULL_COMMON : PULL_ALL;

		verdict = tc_parse(skb, link, PARSE_WHOLE, syn);
		if (verdict != PARSE_SHORT)
			break;
		if (length > skb->len)
			length = skb->len;
		if (length > tc_end(skb) - tc_data(skb) && bpf_skb_pull_data(skb, length))
			break;
	}
	return verdict;
}

/* The largest MSS for this SYN: the order's own, or what the MTU of the device and perhaps of the route leave now. */
static __always_inline __u16 tc_limit(struct __sk_buff *skb, const struct syn *syn, enum mssbpf_direction direction,
				      const union mssbpf_order *order)
{
	__u32 mtu = 0;

	if (order->flags & (syn->version == 4 ? MSSBPF_LIVE_IPV4 : MSSBPF_LIVE_IPV6)) {
		mtu = tc_mtu(skb);
		if (order->flags & MSSBPF_ROUTE)
			mtu = mtu_smaller(mtu, tc_route_mtu(skb, syn, direction, order->flags));
	}
	if (mtu)
		return mss_of_mtu(mtu, syn->version);
	return syn->version == 4 ? order->mss4 : order->mss6;
}

/* The limit, in a place that forget() takes. */
struct limit {
	__u16 unused;
	__u16 mss;
} __attribute__((aligned(8)));

/*
 * Lowers the MSS of a SYN that tc_parse() found. Returns what became of it.
 */
static __always_inline enum mssbpf_result tc_clamp_syn(struct __sk_buff *skb, const struct syn *syn,
						       enum mssbpf_direction direction, const union mssbpf_order *order)
{
	__u8 options[TCP_OPTIONS_MAX] = {};
	__u32 length = syn->tcp_length - TCP_HEADER_MIN;
	struct limit limit = { .unused = 1 };
	__u32 change = 0;
	enum mssbpf_result result;

	if (syn->covered)
		return MSSBPF_AH;
	/* Ahead of the checks of `length`: Linux 6.1's verifier forgets what is checked before a call. */
	limit.mss = tc_limit(skb, syn, direction, order);
	forget(limit);
	if (length < sizeof(__u32)) /* options come in words */
		return MSSBPF_NO_MSS;
	if (length > TCP_OPTIONS_MAX || tc_options_load(skb, syn, options, length))
		return MSSBPF_TRUNCATED;
	result = options_clamp(options, length, limit.mss, &change);
	if (result != MSSBPF_CLAMPED || order->flags & MSSBPF_DRY_RUN)
		return result;
	return tc_options_store(skb, syn, options, length, change) ? MSSBPF_UNWRITABLE : MSSBPF_CLAMPED;
}

/*
 * The slow path: everything but packets that are seen at a glance to be no SYN. A function of its own
 * so that the fast path needs no callee-saved register.
 */
static __noinline int tc_slow(struct __sk_buff *skb, enum mssbpf_link link, enum mssbpf_direction direction)
{
	struct mssbpf_key key = { .ifindex = skb->ifindex, .direction = direction };
	const struct mssbpf_limit *limit;
	union mssbpf_order order;
	enum mssbpf_result result;
	enum parse_verdict verdict;
	struct syn syn;

	verdict = tc_parse_pulling(skb, link, &syn);
	if (verdict == PARSE_OTHER)
		return TC_ACT_UNSPEC;
	limit = bpf_map_lookup_elem(&limits, &key);
	if (!limit)
		return TC_ACT_UNSPEC;
	forget(syn);
	order.word = *(const volatile __u64 *)&limit->order.word;

	if (verdict == PARSE_SYN)
		result = tc_clamp_syn(skb, &syn, direction, &order);
	else
		result = verdict == PARSE_MALFORMED ? MSSBPF_MALFORMED : MSSBPF_TRUNCATED;
	count(&key, &syn, result);
	return TC_ACT_UNSPEC;
}

static __always_inline int tc(struct __sk_buff *skb, enum mssbpf_link link, enum mssbpf_direction direction)
{
	struct syn syn;

	if (likely(tc_parse(skb, link, PARSE_GLANCE, &syn) == PARSE_OTHER))
		return TC_ACT_UNSPEC;
	return tc_slow(skb, link, direction);
}

SEC("tc")
int mssbpf_tc_eth_egress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_ETHERNET, MSSBPF_EGRESS);
}

SEC("tc")
int mssbpf_tc_eth_ingress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_ETHERNET, MSSBPF_INGRESS);
}

SEC("tc")
int mssbpf_tc_l3_egress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_NONE, MSSBPF_EGRESS);
}

SEC("tc")
int mssbpf_tc_l3_ingress(struct __sk_buff *skb)
{
	return tc(skb, MSSBPF_LINK_NONE, MSSBPF_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
